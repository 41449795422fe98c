# SPDX-License-Identifier: Apache-2.0
"""AXI4 bursts as the engine sees them: which are legal, and which bytes and lines they touch (AXI4, section A3.4.1)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from tensortee.format import LINE_BYTES

PAGE_BYTES = 4096
_WRAP_BEATS = (2, 4, 8, 16)


class Response(IntEnum):
    """AXI4 response codes."""

    OKAY = 0
    EXOKAY = 1
    SLVERR = 2
    DECERR = 3


class BurstType(IntEnum):
    """AXI4 burst types; 3 is reserved."""

    FIXED = 0
    INCR = 1
    WRAP = 2


@dataclass(frozen=True, slots=True)
class BurstShape:
    """Where a burst goes.

    Attributes:
        addr: AxADDR, byte address.
        beats: AxLEN + 1, 1 .. 256.
        size: AxSIZE, log2 of the bytes of a beat.
        kind: AxBURST.
    """

    addr: int
    beats: int
    size: int
    kind: int

    @property
    def beat_bytes(self) -> int:
        """Bytes of a beat."""
        return 1 << self.size

    @property
    def extent(self) -> int:
        """Bytes of all beats, were the first one aligned."""
        return self.beats << self.size

    @property
    def start(self) -> int:
        """Lowest byte address of the aligned beats."""
        alignment = self.extent if self.kind == BurstType.WRAP else self.beat_bytes
        return self.addr & -alignment

    @property
    def end(self) -> int:
        """Byte address behind the last beat."""
        return self.start + self.extent

    def readable(self, bus_bytes: int) -> bool:
        """Whether a read of this shape is legal and supported on a bus of `bus_bytes` bytes."""
        if self.beat_bytes > bus_bytes:
            return False
        if self.kind == BurstType.INCR:
            return self._in_page()
        return self.kind == BurstType.WRAP and self.beats in _WRAP_BEATS and self.addr % self.beat_bytes == 0

    def writable(self, bus_bytes: int) -> bool:
        """Whether a write of this shape is legal and supported on a bus of `bus_bytes` bytes."""
        return self.beat_bytes <= bus_bytes and self.kind == BurstType.INCR and self._in_page()

    def whole_lines(self, bus_bytes: int) -> bool:
        """Whether it consists of whole lines in beats as wide as the bus."""
        return self.beat_bytes == bus_bytes and self.addr % LINE_BYTES == 0 and self.extent % LINE_BYTES == 0

    def line_parts(self) -> list[tuple[int, int]]:
        """(first byte address, end) of the runs of whole lines that a read fetches, in their order.

        A WRAP begins with the line of its address; what lies before that in its container comes last.
        """
        low, high = self.start & -LINE_BYTES, -(-self.end // LINE_BYTES) * LINE_BYTES
        first = self.addr & -LINE_BYTES if self.kind == BurstType.WRAP else low
        return [(first, high), (low, first)] if first > low else [(first, high)]

    def _in_page(self) -> bool:
        return self.addr // PAGE_BYTES == (self.end - 1) // PAGE_BYTES

    def beat_address(self, number: int) -> int:
        """Byte address of a beat; that of the first one need not be aligned."""
        if number == 0:
            return self.addr
        address = (self.addr & -self.beat_bytes) + (number << self.size)
        return address - self.extent if self.kind == BurstType.WRAP and address >= self.end else address
