# SPDX-License-Identifier: Apache-2.0
"""Walk of every register and field against the compiled SystemRDL, on any AXI4-Lite driver.

The reference is the register map itself, elaborated by systemrdl-compiler, and not the files generated from it: so a
mistake of the generator cannot hide one of the RTL.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from pathlib import Path

from systemrdl import RDLCompiler
from systemrdl.node import FieldNode, RegNode
from systemrdl.rdltypes import OnWriteType

from tb.axil import OKAY, SLVERR
from tb.regmodel import RegisterBus

SOURCE = Path(__file__).resolve().parents[3] / "rtl" / "tensortee.rdl"

ADDRESS_SPACE = 1 << 12
WORD_BYTES = 4
ALL_ONES = 0xFFFFFFFF
FULL_STROBE = 0xF

Hook = Callable[[], Awaitable[None]]


@cache
def reference() -> tuple[RegNode, ...]:
    """The registers of the map in address order."""
    compiler = RDLCompiler()
    compiler.compile_file(str(SOURCE))
    return tuple(sorted(compiler.elaborate().top.registers(), key=lambda reg: reg.absolute_address))


def _mask(field: FieldNode) -> int:
    return ((1 << int(field.width)) - 1) << int(field.lsb)


def _fields_mask(reg: RegNode, select: Callable[[FieldNode], bool]) -> int:
    return sum(_mask(field) for field in reg.fields() if select(field))


def _clears_on_one(field: FieldNode) -> bool:
    return bool(field.get_property("onwrite") is OnWriteType.woclr)


def _is_plain_storage(field: FieldNode) -> bool:
    """Software writes it, reads it back, and nothing else changes it."""
    return bool(
        field.is_sw_readable
        and field.is_sw_writable
        and not field.is_hw_writable
        and field.get_property("onwrite") is None
    )


class RegisterWalk:
    """One walk; the engine must be idle and just out of reset, with no access on its AXI4 port.

    Args:
        bus: the driver.
        live: what the fields without a reset value show, as ``{"REGISTER.FIELD": value}``.
        set_bits: for each register with bits that are cleared by writing one, something that makes hardware set all
            of them, awaited before the clearing is tested.
        inert_writes: for each register in which writing starts something, a word that may be written.
    """

    def __init__(
        self,
        bus: RegisterBus,
        *,
        live: Mapping[str, int],
        set_bits: Mapping[str, Hook],
        inert_writes: Mapping[str, int],
    ) -> None:
        self._bus = bus
        self._live = live
        self._set_bits = set_bits
        self._inert_writes = inert_writes
        self._errors: list[str] = []
        self.checks = 0
        """Comparisons made so far."""

    def _check(self, what: str, got: int, expected: int) -> None:
        self.checks += 1
        if got != expected:
            self._errors.append(f"{what}: got 0x{got:X}, expected 0x{expected:X}")

    async def _read(self, reg: RegNode) -> int:
        data, resp = await self._bus.read(reg.absolute_address)
        self._check(f"{reg.inst_name}: RRESP", resp, OKAY)
        return data

    async def _write(self, reg: RegNode, data: int) -> None:
        self._check(
            f"{reg.inst_name}: BRESP of writing 0x{data:X}", await self._bus.write(reg.absolute_address, data), OKAY
        )

    async def _snapshot(self) -> dict[str, int]:
        return {reg.inst_name: await self._read(reg) for reg in reference()}

    async def _check_unchanged(self, why: str, before: Mapping[str, int], *, but: str = "") -> None:
        """Compare all registers except those whose names start with ``but``."""
        after = await self._snapshot()
        for name, value in before.items():
            if not but or not name.startswith(but):
                self._check(f"{name} after {why}", after[name], value)

    def _reset_value(self, field: FieldNode) -> int:
        path = f"{field.parent.inst_name}.{field.inst_name}"
        reset = field.get_property("reset")
        if reset is None:
            return self._live[path]
        return int(reset)

    async def reset_values(self) -> None:
        """Every field shows its reset value or `live`, unreadable fields and unnamed bits zero."""
        for reg in reference():
            data = await self._read(reg)
            for field in reg.fields():
                expected = self._reset_value(field) if field.is_sw_readable else 0
                what = f"{reg.inst_name}.{field.inst_name} after reset"
                self._check(what, (data & _mask(field)) >> field.lsb, expected)
            unnamed = ALL_ONES & ~_fields_mask(reg, lambda _: True)
            self._check(f"{reg.inst_name}: unnamed bits", data & unnamed, 0)

    async def unmapped(self) -> None:
        """Every other word and every unaligned address answers SLVERR, with zero data, and changes nothing."""
        before = await self._snapshot()
        mapped = {reg.absolute_address for reg in reference()}
        for addr in range(0, ADDRESS_SPACE, WORD_BYTES):
            holes = [addr + 1, addr + 2, addr + 3] if addr in mapped else [addr]
            for hole in holes:
                data, resp = await self._bus.read(hole)
                self._check(f"read of 0x{hole:03X}: RRESP", resp, SLVERR)
                self._check(f"read of 0x{hole:03X}: RDATA", data, 0)
                self._check(f"write of 0x{hole:03X}: BRESP", await self._bus.write(hole, ALL_ONES), SLVERR)
        await self._check_unchanged("writes to unmapped addresses", before)

    async def read_only(self) -> None:
        """A write to a register without a writable field answers SLVERR and changes nothing."""
        before = await self._snapshot()
        for reg in reference():
            if not any(field.is_sw_writable for field in reg.fields()):
                for data in (0, ALL_ONES):
                    resp = await self._bus.write(reg.absolute_address, data)
                    self._check(f"{reg.inst_name}: BRESP of a write", resp, SLVERR)
        await self._check_unchanged("writes to read-only registers", before)

    async def partial_strobes(self) -> None:
        """A write of fewer than four bytes answers SLVERR and changes nothing, whatever the register."""
        before = await self._snapshot()
        for reg in reference():
            for strobe in range(FULL_STROBE):
                resp = await self._bus.write(reg.absolute_address, ALL_ONES, strobe)
                self._check(f"{reg.inst_name}: BRESP with WSTRB 0x{strobe:X}", resp, SLVERR)
            await self._check_unchanged(f"partial writes to {reg.inst_name}", before)

    async def storage(self) -> None:
        """Every bit of every read-write field holds what is written to it, and touches nothing else."""
        for reg in reference():
            writable = _fields_mask(reg, lambda field: field.is_sw_writable)
            if not writable or writable != _fields_mask(reg, _is_plain_storage):
                continue
            before = await self._snapshot()
            walking = [1 << bit for bit in range(32)]
            for data in (ALL_ONES, 0, *walking, *(ALL_ONES ^ one for one in walking)):
                await self._write(reg, data)
                self._check(f"{reg.inst_name} after writing 0x{data:X}", await self._read(reg), data & writable)
            # What a selector selects changes with it.
            follows = reg.inst_name.removesuffix("SEL") if reg.inst_name.endswith("_SEL") else reg.inst_name
            await self._check_unchanged(f"writing {reg.inst_name}", before, but=follows)
            await self._write(reg, before[reg.inst_name])

    async def write_one_to_clear(self) -> None:
        """Each such bit is kept by a written zero and cleared, alone, by a written one."""
        for reg in reference():
            bits = _fields_mask(reg, _clears_on_one)
            if not bits:
                continue
            await self._set_bits[reg.inst_name]()
            held = await self._read(reg)
            self._check(f"{reg.inst_name}: bits that hardware sets", held & bits, bits)
            await self._write(reg, ALL_ONES & ~bits)
            self._check(f"{reg.inst_name} after writing zeros", await self._read(reg), held)
            for bit in (1 << position for position in range(32) if bits >> position & 1):
                await self._write(reg, bit)
                bits &= ~bit
                data = await self._read(reg)
                mask = _fields_mask(reg, _clears_on_one)
                self._check(f"{reg.inst_name} after clearing 0x{bit:X}", data & mask, bits)
            self._check(f"{reg.inst_name} when clear", await self._read(reg), 0)

    async def write_only(self) -> None:
        """Registers that software can only write accept a write and read as zero."""
        for reg in reference():
            if any(field.is_sw_readable for field in reg.fields()):
                continue
            await self._write(reg, self._inert_writes[reg.inst_name])
            self._check(f"{reg.inst_name} after a write", await self._read(reg), 0)

    async def run(self) -> int:
        """Walk everything.

        Returns:
            The number of comparisons.

        Raises:
            AssertionError: with every difference found.
        """
        for step in (
            self.reset_values,
            self.unmapped,
            self.read_only,
            self.partial_strobes,
            self.storage,
            self.write_one_to_clear,
            self.write_only,
        ):
            await step()
        assert not self._errors, f"{len(self._errors)} differences from {SOURCE.name}:\n" + "\n".join(self._errors)
        return self.checks
