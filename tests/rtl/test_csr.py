# SPDX-License-Identifier: Apache-2.0
"""The control and status registers, `axil_csr`, and the register walk itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest
from tensortee.engine.registers import REGISTERS, EngineState

from tb.axil import OKAY, SLVERR
from tb.regmodel import RegisterAccessError, RegisterModel
from tb.runner import SimulationError, lint_verilog, rtl_sources, run_cocotb
from tb.unit.csr.walk import RegisterWalk

PARAMETERS = (
    {"SLOTS": 16, "ADDR_W": 40, "LANES": 1, "KEY_W": 128},
    {"SLOTS": 2, "ADDR_W": 32, "LANES": 2, "KEY_W": 128},
    {"SLOTS": 64, "ADDR_W": 48, "LANES": 4, "KEY_W": 256},
)


def _name(parameters: dict[str, int]) -> str:
    return "-".join(f"{name}={value}" for name, value in parameters.items())


@pytest.mark.parametrize("parameters", PARAMETERS, ids=_name)
def test_axil_csr(parameters: dict[str, int]) -> None:
    run_cocotb(
        toplevel="axil_csr",
        sources=rtl_sources("axil_csr"),
        module="tb.unit.csr.test_axil_csr",
        parameters=parameters,
        extra_env={"CSR_PARAMETERS": json.dumps(parameters)},
    )


@pytest.mark.parametrize("parameters", PARAMETERS, ids=_name)
def test_lint(parameters: dict[str, int]) -> None:
    assert lint_verilog("axil_csr", rtl_sources("axil_csr"), parameters) == ""


@pytest.mark.parametrize(
    ("sim", "name", "value"),
    [
        ("icarus", "SLOTS", 3),
        ("icarus", "SLOTS", 128),
        ("icarus", "ADDR_W", 49),
        ("icarus", "LANES", 3),
        ("icarus", "KEY_W", 192),
        ("verilator", "LANES", 3),
    ],
)
def test_illegal_parameter_stops_and_names_the_instance(sim: str, name: str, value: int) -> None:
    with pytest.raises(SimulationError, match=rf"axil_csr: {name} is {value}, must be"):
        run_cocotb(
            toplevel="axil_csr",
            sources=rtl_sources("axil_csr"),
            module="tb.unit.csr.test_axil_csr",
            parameters={name: value},
            sim=sim,
            extra_env={"CSR_PARAMETERS": json.dumps({**PARAMETERS[0], name: value})},
        )


class RegisterFile:
    """The register map as a Python object, on which defects can be planted to see whether the walk finds them."""

    def __init__(self) -> None:
        self.words = {register.address: register.reset for register in REGISTERS.values()}
        self.words[REGISTERS["STATUS"].address] = EngineState.NO_KEY
        self.names = {register.address: register.name for register in REGISTERS.values()}

    async def read(self, addr: int) -> tuple[int, int]:
        """A word and RRESP."""
        return (self.words[addr], OKAY) if addr in self.words else (0, SLVERR)

    async def write(self, addr: int, data: int, strb: int = 0xF) -> int:
        """BRESP."""
        if addr not in self.words or not REGISTERS[self.names[addr]].writable or strb != 0xF:
            return SLVERR
        self.store(addr, data)
        return OKAY

    def store(self, addr: int, data: int) -> None:
        """What a legal write does."""
        name = self.names[addr]
        if name == "INTR_TEST":
            self.words[REGISTERS["INTR_STATE"].address] |= data & 0xF
        for field in REGISTERS[name].fields:
            if field.write_one_to_clear and data & field.mask:
                self.clear(name, field.mask)
            elif field.readable and field.writable and not field.write_one_to_clear:
                self.words[addr] = self.words[addr] & ~field.mask | data & field.mask

    def clear(self, name: str, mask: int) -> None:
        """What writing one to a bit does."""
        if name == "FAULT_STATUS":
            for part in ("FAULT_STATUS", "FAULT_ADDR_LO", "FAULT_ADDR_HI", "FAULT_COUNT"):
                self.words[REGISTERS[part].address] = 0
        else:
            self.words[REGISTERS[name].address] &= ~mask


class _WrongReset(RegisterFile):
    def __init__(self) -> None:
        super().__init__()
        self.words[REGISTERS["VERSION"].address] ^= 1 << 16


class _StoresUnnamedBits(RegisterFile):
    def store(self, addr: int, data: int) -> None:
        super().store(addr, data)
        if self.names[addr] == "SLOT_SEL":
            self.words[addr] = data & 0x1FF


class _LosesABit(RegisterFile):
    def store(self, addr: int, data: int) -> None:
        super().store(addr, data & ~(1 << 30))


class _WritesTheNeighbour(RegisterFile):
    def store(self, addr: int, data: int) -> None:
        super().store(addr, data)
        if self.names[addr] == "CMD_BASE_LO":
            super().store(addr + 4, data)


class _KeepsAOneToClear(RegisterFile):
    def clear(self, name: str, mask: int) -> None:
        super().clear(name, mask if name == "FAULT_STATUS" else mask & ~0b0100)


class _ClearsAllAtOnce(RegisterFile):
    def clear(self, name: str, mask: int) -> None:
        super().clear(name, mask if name == "FAULT_STATUS" else 0xF)


class _KeepsTheFaultLog(RegisterFile):
    def clear(self, name: str, mask: int) -> None:
        self.words[REGISTERS[name].address] &= ~mask


class _TakesPartialWrites(RegisterFile):
    async def write(self, addr: int, data: int, strb: int = 0xF) -> int:
        await super().write(addr, data, 0xF if strb == 0x7 else strb)
        return OKAY if strb == 0xF and addr in self.words and REGISTERS[self.names[addr]].writable else SLVERR


class _AnswersPartialWrites(RegisterFile):
    async def write(self, addr: int, data: int, strb: int = 0xF) -> int:
        return await super().write(addr, data, strb) if strb else OKAY


class _AnswersUnmapped(RegisterFile):
    async def read(self, addr: int) -> tuple[int, int]:
        return (0, OKAY) if addr == 0xFFC else await super().read(addr)


class _AliasesAddresses(RegisterFile):
    async def write(self, addr: int, data: int, strb: int = 0xF) -> int:
        resp = await super().write(addr & 0xFF, data, strb)
        return resp if addr < 0x100 else SLVERR


class _IgnoresAlignment(RegisterFile):
    async def read(self, addr: int) -> tuple[int, int]:
        return await super().read(addr & ~3)


class _AcceptsReadOnly(RegisterFile):
    async def write(self, addr: int, data: int, strb: int = 0xF) -> int:
        return OKAY if self.names.get(addr) == "ID" and strb == 0xF else await super().write(addr, data, strb)


class _ShowsWriteOnly(RegisterFile):
    def store(self, addr: int, data: int) -> None:
        super().store(addr, data)
        if self.names[addr] == "CMD":
            self.words[addr] = data


def _walk(registers: RegisterFile) -> int:
    async def set_interrupts() -> None:
        await registers.write(REGISTERS["INTR_TEST"].address, 0xF)

    async def raise_fault() -> None:
        registers.words[REGISTERS["FAULT_STATUS"].address] = 0xC000_0503
        registers.words[REGISTERS["FAULT_COUNT"].address] = 1

    walk = RegisterWalk(
        registers,
        live={
            **{f"PARAMS.{field.name}": 0 for field in REGISTERS["PARAMS"].fields},
            "STATUS.STATE": EngineState.NO_KEY,
            "STATUS.CMD_BUSY": 0,
            "STATUS.KEY_REFUSED": 0,
        },
        set_bits={"INTR_STATE": set_interrupts, "FAULT_STATUS": raise_fault},
        inert_writes={"INTR_TEST": 0, "CMD": 0x1200},
    )
    return asyncio.run(walk.run())


def test_walk_accepts_an_ideal_register_file() -> None:
    assert _walk(RegisterFile()) > 5000


@pytest.mark.parametrize(
    ("defect", "message"),
    [
        (_WrongReset, "VERSION.FORMAT after reset: got 0x0, expected 0x1"),
        (_StoresUnnamedBits, "SLOT_SEL after writing"),
        (_LosesABit, "CMD_NBYTES_HI after writing 0x40000000"),
        (_WritesTheNeighbour, "CMD_BASE_HI after writing CMD_BASE_LO"),
        (_KeepsAOneToClear, "INTR_STATE after clearing 0x4"),
        (_ClearsAllAtOnce, "INTR_STATE after clearing 0x1: got 0x0"),
        (_KeepsTheFaultLog, "FAULT_STATUS when clear"),
        (_TakesPartialWrites, "after partial writes to CMD_BASE_LO"),
        (_AnswersPartialWrites, "ID: BRESP with WSTRB 0x0"),
        (_AnswersUnmapped, "read of 0xFFC: RRESP"),
        (_AliasesAddresses, "after writes to unmapped addresses"),
        (_IgnoresAlignment, "read of 0x001"),
        (_AcceptsReadOnly, "ID: BRESP of a write"),
        (_ShowsWriteOnly, "CMD after a write: got 0x1200"),
    ],
)
def test_walk_finds_each_defect(defect: Callable[[], RegisterFile], message: str) -> None:
    with pytest.raises(AssertionError) as caught:
        _walk(defect())
    assert message in str(caught.value)


def test_register_model_names_fields() -> None:
    async def use() -> None:
        registers = RegisterModel(RegisterFile())
        await registers.write64("CMD_BASE", 0x12_3456_7880)
        assert await registers.read64("CMD_BASE") == 0x12_3456_7880
        assert await registers.get("STATUS.STATE") is EngineState.NO_KEY
        assert await registers.try_write("ID", MAGIC=0) == SLVERR
        with pytest.raises(RegisterAccessError, match="write of ID"):
            await registers.write("ID", MAGIC=0)
        with pytest.raises(KeyError, match="no register is named 'CMD_BAS'"):
            await registers.write("CMD_BAS", VALUE=0)
        with pytest.raises(KeyError, match="STATUS has no field 'STAT'; it has STATE, CMD_BUSY, KEY_REFUSED"):
            await registers.get("STATUS.STAT")
        with pytest.raises(ValueError, match=r"CMD\.OPCODE: 16 does not fit 4 bits"):
            await registers.write("CMD", OPCODE=16)

    asyncio.run(use())
