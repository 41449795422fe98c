# SPDX-License-Identifier: Apache-2.0
"""Tensors in DRAM behind the engine: definition, tiled writing in an epoch, tiled reading in a window."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from tensortee.engine.registers import Opcode, Result, SlotState

from tb.app.control import EngineControl
from tb.app.port import OKAY, Burst, NpuPort, read_burst, write_burst
from tb.app.tiles import Span, stored_bytes, tiled


class ProtectionError(Exception):
    """The engine refused something in a flow in which nothing may be refused."""


@dataclass(eq=False)
class Tensor:
    """One tensor of the session.

    Attributes:
        name: its name, for reports.
        slot: its slot in the engine.
        base: byte address, line aligned.
        nbytes: length in bytes.
        sha256: digest of the plaintext that was written last, hex.
    """

    name: str
    slot: int
    base: int
    nbytes: int
    sha256: str = ""

    @property
    def lines(self) -> int:
        """Number of 64-byte lines."""
        return stored_bytes(self.nbytes) // 64


@dataclass(frozen=True)
class SealedState:
    """What the engine holds of a sealed tensor, read out of its table in the simulation; IV and tag in hex."""

    tensor_id: int
    version: int
    iv: str
    tag: str


class ProtectedMemory:
    """The engine and the NPU's port on it, for software that wants to store tensors.

    Args:
        dut: cocotb handle of the engine.
        control: its host side.
        port: the NPU's bus.
        rng: order of the tiles.
    """

    def __init__(self, dut: Any, control: EngineControl, port: NpuPort, rng: Random) -> None:
        self._table = dut.u_table
        self.control = control
        self.port = port
        self._rng = rng

    async def define(self, tensor: Tensor) -> None:
        """Bind the tensor to its slot."""
        _expect(await self.control.define(tensor.slot, tensor.base, tensor.nbytes), Opcode.DEFINE, tensor)

    async def open(self, opcode: Opcode, tensor: Tensor) -> None:
        """Open a write epoch or a read window; raises ``ProtectionError`` if that is refused."""
        _expect(await self.control.command(opcode, tensor.slot), opcode, tensor)

    def write_bursts(self, tensor: Tensor, data: bytes) -> list[Burst]:
        """Return the bursts that write a tensor in tiles; bytes past its end are offered as zero."""
        padded = data.ljust(stored_bytes(len(data)), b"\0")
        tensor.sha256 = hashlib.sha256(data).hexdigest()
        return [
            write_burst(tensor.base + offset, padded[offset : offset + length])
            for offset, length in tiled(tensor.base, tensor.nbytes, self._rng)
        ]

    def read_bursts(self, tensor: Tensor) -> list[Burst]:
        """Return the bursts that read each line of a tensor once, in tiles."""
        return [
            read_burst(tensor.base + offset, length) for offset, length in tiled(tensor.base, tensor.nbytes, self._rng)
        ]

    async def step(self, reads: Sequence[Tensor], writes: Mapping[Tensor, bytes]) -> dict[Tensor, bytes]:
        """Read some tensors whole and write others whole, at the same time.

        Returns:
            The plaintext of the tensors that were read, each verified: its window closed with OK.

        Raises:
            ProtectionError: a command or an access was refused, or a window did not verify.
        """
        for tensor in reads:
            await self.open(Opcode.OPEN_READ, tensor)
        for tensor in writes:
            await self.open(Opcode.OPEN_WRITE, tensor)
        read = {tensor: self.read_bursts(tensor) for tensor in reads}
        written = [burst for tensor, data in writes.items() for burst in self.write_bursts(tensor, data)]
        await self.port.transfer([burst for bursts in read.values() for burst in bursts] + written)
        for burst in [*written, *(burst for bursts in read.values() for burst in bursts)]:
            if burst.response != OKAY:
                direction = "write" if burst.is_write else "read"
                raise ProtectionError(f"the {direction} at {burst.addr:#x} got response {burst.response}")
        for tensor in reads:
            _expect(await self.control.command(Opcode.CLOSE_READ, tensor.slot), Opcode.CLOSE_READ, tensor)
        for tensor in writes:
            _expect(await self.control.command(Opcode.CLOSE_WRITE, tensor.slot), Opcode.CLOSE_WRITE, tensor)
        return {tensor: assemble(tensor, bursts) for tensor, bursts in read.items()}

    async def read(self, tensor: Tensor) -> bytes:
        """Read one tensor; see ``step``."""
        return (await self.step([tensor], {}))[tensor]

    async def slot_state(self, tensor: Tensor) -> SlotState:
        """Return the state of the tensor's slot, from the registers."""
        registers = self.control.registers
        await registers.write("SLOT_SEL", VALUE=tensor.slot)
        return SlotState(await registers.get("SLOT_STATUS.STATE"))

    async def sealed_state(self, tensor: Tensor) -> SealedState:
        """Return IV and tag as the engine's table holds them, after a check against the registers.

        Raises:
            ProtectionError: the registers show another identity, version or place.
        """
        table, registers = self._table, self.control.registers
        iv = int(table.iv_hi[tensor.slot].value) << 64 | int(table.version[tensor.slot].value)
        tag = int(table.tag[tensor.slot].value)
        await registers.write("SLOT_SEL", VALUE=tensor.slot)
        shown = (await registers.get("SLOT_ID.VALUE"), await registers.read64("SLOT_VERSION"))
        place = (await registers.read64("SLOT_BASE"), await registers.read64("SLOT_NBYTES"))
        if shown != (iv >> 64 & 0xFFFFFFF, iv & (1 << 64) - 1) or place != (tensor.base, tensor.nbytes):
            raise ProtectionError(
                f"{tensor.name}: the registers of slot {tensor.slot} do not show what its table holds"
            )
        # The table holds the tag in NIST order: its first byte is in bits [127:120].
        return SealedState(shown[0], shown[1], iv.to_bytes(12, "big").hex(), tag.to_bytes(16, "big").hex())


def assemble(tensor: Tensor, bursts: Sequence[Burst]) -> bytes:
    """Return the tensor's bytes from bursts that cover it in any order."""
    data = bytearray(stored_bytes(tensor.nbytes))
    for burst in bursts:
        offset = burst.addr - tensor.base
        data[offset : offset + burst.nbytes] = burst.data
    return bytes(data[: tensor.nbytes])


def span_burst(tensor: Tensor, span: Span) -> Burst:
    """Return the read of a span of a tensor."""
    return read_burst(tensor.base + span[0], span[1])


def _expect(result: Result, opcode: Opcode, tensor: Tensor) -> None:
    if result != Result.OK:
        raise ProtectionError(f"{opcode.name} of {tensor.name} (slot {tensor.slot}): {result.name}")
