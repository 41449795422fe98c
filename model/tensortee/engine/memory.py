# SPDX-License-Identifier: Apache-2.0
"""The untrusted memory behind the engine."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from tensortee.format import LINE_BYTES


class Memory(Protocol):
    """Byte-addressed memory. Nothing that it returns is trusted."""

    def read(self, addr: int, nbytes: int, /) -> bytes:
        """What a read of `nbytes` bytes from `addr` on returns. The engine asks for one line at a time."""

    def write(self, addr: int, data: bytes, /) -> None:
        """Store bytes from `addr` on."""


@runtime_checkable
class FailingMemory(Memory, Protocol):
    """Memory that may answer with errors."""

    def error(self, addr: int, nbytes: int, write: bool, /) -> int:
        """AXI response to an access of one beat: 0 (OKAY), 2 (SLVERR) or 3 (DECERR). A write with an error is lost."""


class Dram:
    """Plain memory of any size; bytes that were never written read as zero.

    Tests tamper with it through `cells`.

    Attributes:
        cells: 64-byte line at each line address that was written.
    """

    def __init__(self) -> None:
        self.cells: dict[int, bytearray] = {}

    def read(self, addr: int, nbytes: int, /) -> bytes:
        """Bytes from `addr` on."""
        out = bytearray()
        while nbytes > 0:
            line, offset = addr & -LINE_BYTES, addr % LINE_BYTES
            take = min(nbytes, LINE_BYTES - offset)
            out += self.cells.get(line, bytes(LINE_BYTES))[offset : offset + take]
            addr += take
            nbytes -= take
        return bytes(out)

    def write(self, addr: int, data: bytes, /) -> None:
        """Store bytes from `addr` on."""
        position = 0
        while position < len(data):
            line, offset = addr + position & -LINE_BYTES, (addr + position) % LINE_BYTES
            take = min(len(data) - position, LINE_BYTES - offset)
            cell = self.cells.setdefault(line, bytearray(LINE_BYTES))
            cell[offset : offset + take] = data[position : position + take]
            position += take
