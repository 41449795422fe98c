# SPDX-License-Identifier: Apache-2.0
"""Faults forced into the RTL, and the time that a failing comparison takes."""

from __future__ import annotations

from typing import Any

import cocotb
import pyuvm
from cocotb.triggers import ClockCycles, FallingEdge, ReadOnly, RisingEdge
from tensortee.engine.registers import EngineState, Opcode, Result, SlotState

from tb.env.base_test import EngineTest
from tb.env.bursts import INCR, OKAY
from tb.env.quiet_test import QuietTest
from tb.memory import LINE_BYTES

SLOT = 2
BASE = 0x1_0000
NBYTES = 5 * LINE_BYTES - 3
WRITE_CYCLES = 16
"""From the address of a write to its last state."""
FATAL_CYCLES = 8
"""From a fault to FATAL and the answer of the command under way, with room to spare."""
CHECK_CYCLES = 1
"""A command whose state is checked after the fault is refused."""
OVER_CYCLES = 3
"""A command that is this near to its end when the fault comes may still end as it would have."""
FIRST_STATE = {
    Opcode.DEFINE: SlotState.EMPTY,
    Opcode.OPEN_WRITE: SlotState.DEFINED,
    Opcode.CLOSE_WRITE: SlotState.WRITING,
    Opcode.OPEN_READ: SlotState.SEALED,
    Opcode.CLOSE_READ: SlotState.READING,
    Opcode.RELEASE: SlotState.DEFINED,
}
"""What a slot must be for each command to take all its steps."""
LAST_RESULT = {Opcode.CLOSE_WRITE: Result.COVERAGE_ERROR, Opcode.CLOSE_READ: Result.COVERAGE_ERROR}
"""How a command on such a slot ends, if not with OK."""


@pyuvm.test(timeout_time=10, timeout_unit="ms")
class CommandStateInjection(EngineTest):
    """F3: a state of the command unit that does not exist is a fatal error, idle and in the middle of a command."""

    async def body(self) -> None:
        """Force such states; the engine must stop, forget its key, and come back with a new one."""
        registers, fsm = self.env.control.registers, self.dut.u_commands.fsm
        known = 1 << len(fsm)
        for busy in (False, True):
            await self.seq.define(SLOT, BASE, NBYTES)
            await self.seq.store(SLOT, BASE, self.rng.randbytes(NBYTES))
            if busy:
                assert await registers.try_write("CMD", SLOT=SLOT, OPCODE=Opcode.OPEN_WRITE) == 0
                self.env.predictor.engine.command(Opcode.OPEN_WRITE, SLOT)
            fsm.value = known - 1
            await self.seq.until(EngineState.FATAL)
            await self.seq.idle(4)
            assert self.env.sideband.fatal, "alert_fatal is low"
            assert int(self.dut.u_keys.round_keys.value) == 0, "the key survived"
            for number in range(self.env.backdoor.slots):
                assert self.env.backdoor.slot(number).tag == bytes(16), "a tag survived"
            await self.rekey()
            await self.seq.clear_faults()
            self.env.adopt_faults()


class InjectionTest(QuietTest):
    """Bits flipped in an engine whose buses are idle."""

    async def prepare(self, opcode: Opcode, slot: int) -> None:
        """Make the engine READY and bring a slot, by the back door, to where a command takes all its steps.

        The first key is installed; afterwards the key unit is put into READY without one, which saves thousands of
        cycles for each fault: what is tested here does not depend on the key.
        """
        registers, keys = self.env.control.registers, self.dut.u_keys
        if not hasattr(self, "ready_code"):
            self.ready_code = int(keys.state.value)
        if self.dut.u_ctrl.engine_ready.value != 1:
            await self.until_key_ready()
            await FallingEdge(self.dut.clk)
            keys.state.value = self.ready_code
            await ClockCycles(self.dut.clk, 3)
        assert self.dut.u_ctrl.engine_ready.value == 1
        if opcode in FIRST_STATE:
            self.dut.u_table.lines[slot].value = 5
            self.dut.u_table.state[slot].value = FIRST_STATE[opcode]
        if opcode == Opcode.DEFINE:
            await registers.write64("CMD_BASE", BASE)
            await registers.write64("CMD_NBYTES", NBYTES)
        await registers.write("INTR_ENABLE", FATAL=1)
        await registers.bus.write(registers.register("INTR_STATE").address, 0xF)

    async def give(self, opcode: Opcode, slot: int) -> None:
        """Give a command; returns in the cycle in which the command unit sees it."""
        seen = RisingEdge(self.dut.u_csr.cmd_valid)
        self.written = cocotb.start_soon(self.env.control.registers.try_write("CMD", SLOT=slot, OPCODE=opcode))
        await seen

    async def trace(self, opcode: Opcode, slot: int) -> list[int]:
        """Let a command run; returns the state of the command unit in each cycle from ``give`` until it is done."""
        await self.prepare(opcode, slot)
        await self.give(opcode, slot)
        states = []
        while True:
            await FallingEdge(self.dut.clk)
            states.append(int(self.dut.u_commands.fsm.value))
            if len(states) > 1 and self.dut.u_commands.busy.value == 0:
                assert await self.written == OKAY
                await ClockCycles(self.dut.clk, FATAL_CYCLES)
                return states

    async def is_fatal(self, what: str) -> None:
        """FATAL with alert and interrupt; the interrupt comes once."""
        registers, dut = self.env.control.registers, self.dut
        assert await registers.get("STATUS.STATE") == EngineState.FATAL, f"{what}: the engine is not in FATAL"
        assert dut.alert_fatal.value == 1, f"{what}: alert_fatal is low"
        assert await registers.get("INTR_STATE.FATAL") == 1, f"{what}: no FATAL interrupt"
        assert dut.irq.value == 1, f"{what}: irq is low"
        await registers.write("INTR_STATE", FATAL=1)
        await ClockCycles(dut.clk, FATAL_CYCLES)
        assert await registers.get("INTR_STATE.FATAL") == 0, f"{what}: the FATAL interrupt came twice"
        assert dut.irq.value == 0, f"{what}: irq stays high"

    async def is_answered(self, what: str, opcode: Opcode, slot: int, *results: Result) -> None:
        """The command ended with one of the results, as its own; its registers hold no secret."""
        registers = self.env.control.registers
        assert await self.written == OKAY
        assert await registers.get("STATUS.CMD_BUSY") == 0, f"{what}: CMD_BUSY hangs"
        assert await registers.get("INTR_STATE.CMD_DONE") == 1, f"{what}: no CMD_DONE"
        result = await registers.read("CMD_RESULT")
        assert (result["OPCODE"], result["SLOT"]) == (opcode, slot), f"{what}: the result is that of {result}"
        assert result["RESULT"] in results, f"{what}: ended with {result['RESULT']!r}"
        assert int(self.dut.u_commands.sum.value) == 0, f"{what}: something is left in `sum`"

    def next_slot(self) -> int:
        """A slot for each injection, so that no result can be that of the one before."""
        self.injections = getattr(self, "injections", 0) + 1
        return self.injections % self.env.backdoor.slots


@pyuvm.test(timeout_time=20, timeout_unit="ms")
class CommandsInFatal(InjectionTest):
    """F3: the key unit fails in any cycle of any command: the command ends with ABORTED and keeps no secret."""

    stride = 5

    async def quiet_body(self) -> None:
        """Sweep the cycle of the fault through every command."""
        for opcode in FIRST_STATE:
            states = await self.trace(opcode, self.next_slot())
            assert len(states) > OVER_CYCLES
            for cycle in self.thin(self.cycles(states), 3):
                what = f"{opcode.name}, fault in cycle {cycle} of {len(states)} (state {states[cycle]:#x})"
                slot = self.next_slot()
                await self.prepare(opcode, slot)
                await self.give(opcode, slot)
                await ClockCycles(self.dut.clk, cycle, rising=False)
                await self.flip(self.dut.u_keys.state, self.rng.randrange(len(self.dut.u_keys.state)))
                await ClockCycles(self.dut.clk, FATAL_CYCLES)
                others = [Result.NOT_READY] if cycle <= CHECK_CYCLES else []
                if cycle >= len(states) - OVER_CYCLES:
                    others.append(LAST_RESULT.get(opcode, Result.OK))
                await self.is_answered(what, opcode, slot, Result.ABORTED, *others)
                await self.is_fatal(what)
                await self.pulse_zeroize()

    def cycles(self, states: list[int]) -> list[int]:
        """The cycles around each change of the state, and some between."""
        changes = {at for at in range(1, len(states)) if states[at] != states[at - 1]}
        near = {at + offset for at in changes for offset in (-1, 0)}
        return sorted(near | set(range(0, len(states), self.stride)) | {len(states) - 1})


@pyuvm.test(timeout_time=20, timeout_unit="ms")
class CommandStateFlips(InjectionTest):
    """F3: each bit of the command unit's state, flipped in every state it takes: FATAL and an answer."""

    async def quiet_body(self) -> None:
        """Walk the states with all commands; flip each bit in the first cycle of each state, once."""
        visited: set[int] = set()
        cases = []
        for opcode in (*FIRST_STATE, Opcode.ZEROIZE):
            states = await self.trace(opcode, self.next_slot())
            for cycle, state in enumerate(states[:-1]):
                if state not in visited:
                    visited.add(state)
                    cases += [(opcode, cycle, state, bit) for bit in range(len(self.dut.u_commands.fsm))]
        assert len(visited) >= 19, f"only the states {sorted(visited)} were visited"
        for opcode, cycle, state, bit in self.thin(cases, 12):
            what = f"{opcode.name}, bit {bit} of state {state:#x} flipped"
            slot = self.next_slot()
            await self.prepare(opcode, slot)
            await self.give(opcode, slot)
            await ClockCycles(self.dut.clk, cycle, rising=False)
            assert await self.flip(self.dut.u_commands.fsm, bit) == state, f"{what}: the command ran otherwise"
            flipped = state ^ 1 << bit
            assert flipped not in visited, f"{what}: {flipped:#x} is a legal state"
            await ClockCycles(self.dut.clk, FATAL_CYCLES)
            if opcode == Opcode.ZEROIZE and state != states[0]:
                await self.until_fatal()
            await self.is_answered(what, opcode, slot, Result.ABORTED)
            await self.is_fatal(what)
            await self.pulse_zeroize()

    async def until_fatal(self) -> None:
        """The erasure that is under way ends first."""
        if self.dut.alert_fatal.value != 1:
            await RisingEdge(self.dut.alert_fatal)
            await ClockCycles(self.dut.clk, FATAL_CYCLES)


@pyuvm.test(timeout_time=20, timeout_unit="ms")
class FatalEvents(InjectionTest):
    """F3: the entry into FATAL is one event, whatever its cause: key unit, write map, write path, wrong tag."""

    async def quiet_body(self) -> None:
        """Each bit of the key unit's state, at rest and while it computes; then the other causes."""
        dut = self.dut
        cases = [(dut.u_keys.state, bit, cycle) for cycle in (None, 12) for bit in range(len(dut.u_keys.state))]
        for handle, bit, cycle in self.thin(cases, 4):
            what = f"bit {bit} of the key unit's state flipped, {'at rest' if cycle is None else 'computing'}"
            await self.prepare(Opcode.DEFINE, slot := self.next_slot())
            if cycle is not None:
                await self.give(Opcode.DEFINE, slot)
                await ClockCycles(dut.clk, cycle)
            await self.flip(handle, bit)
            await ClockCycles(dut.clk, FATAL_CYCLES)
            if cycle is not None:
                await self.is_answered(what, Opcode.DEFINE, slot, Result.ABORTED)
            await self.is_fatal(what)
            await self.pulse_zeroize()
        await self.without_key()
        await self.wrong_tag()
        await self.write("write map", dut.u_map.fsm)
        await self.write("write path", dut.u_write.aw_fsm)

    async def without_key(self) -> None:
        """A bit of the key unit's state while it has no key, and while a key is set up."""
        dut = self.dut
        for cycles in (None, 3, 40, 900):
            bit = self.rng.randrange(len(dut.u_keys.state))
            await self.until_key_ready()
            await self.env.control.registers.write("INTR_ENABLE", FATAL=1)
            if cycles is not None:
                dut.key_data.value = self.rng.getrandbits(8 * self.env.key_bytes)
                dut.key_valid.value = 1
                await ClockCycles(dut.clk, 2)
                dut.key_valid.value = 0
                dut.key_data.value = 0
                await ClockCycles(dut.clk, cycles)
            await self.flip(dut.u_keys.state, bit)
            await ClockCycles(dut.clk, FATAL_CYCLES)
            await self.is_fatal(f"bit {bit} of the key unit's state flipped, {cycles} cycles after a key")
            await self.pulse_zeroize()

    async def wrong_tag(self) -> None:
        """Close a window of one line whose sums were set by the back door."""
        dut, slot = self.dut, self.next_slot()
        await self.prepare(Opcode.CLOSE_READ, slot)
        # No line: the coverage hash is zero, as it must be, and the tag is not that of the slot.
        dut.u_table.lines[slot].value = 0
        dut.u_table.g_end[slot].value = 1 << 127
        await self.give(Opcode.CLOSE_READ, slot)
        await RisingEdge(dut.alert_fatal)
        await ClockCycles(dut.clk, FATAL_CYCLES)
        await self.is_answered("wrong tag", Opcode.CLOSE_READ, slot, Result.TAG_ERROR)
        await self.is_fatal("wrong tag")
        await self.pulse_zeroize()

    async def write(self, name: str, fsm: Any) -> None:
        """Each bit of a state, in each state that a write of two lines in two words of the map takes it to."""
        states = await self.write_states(fsm)
        last = {state: cycle for cycle, state in enumerate(states)}
        cases = [(cycle, bit) for cycle in last.values() for bit in range(len(fsm))]
        for cycle, bit in self.thin(cases, 4):
            what = f"bit {bit} of the state {states[cycle]:#x} of the {name} flipped"
            await self.write_states(fsm, (cycle, bit))
            await ClockCycles(self.dut.clk, FATAL_CYCLES)
            await self.is_fatal(what)
            # The data of the write never comes: only a reset ends it.
            await self.reset()

    async def write_states(self, fsm: Any, flip: tuple[int, int] | None = None) -> list[int]:
        """Ask for a write by hand; returns the states it leads to, or flips a bit in one of its cycles."""
        dut, slot = self.dut, self.next_slot()
        await self.prepare(Opcode.CLOSE_WRITE, slot)
        dut.u_table.base[slot].value = BASE // LINE_BYTES
        dut.u_table.lines[slot].value = 128
        dut.u_table.nbytes[slot].value = 128 * LINE_BYTES
        for word in range(2):
            dut.u_map.u_map.mem[slot * self.env.parameters["MAP_WORDS"] + word].value = 0
        beats = 2 * LINE_BYTES // self.env.bus_bytes
        request = {"addr": BASE + 63 * LINE_BYTES, "len": beats - 1, "size": self.seq.full, "burst": INCR, "valid": 1}
        await RisingEdge(dut.clk)
        for name, value in request.items():
            getattr(dut, f"s_axi_aw{name}").value = value
        await RisingEdge(dut.clk)
        for name in request:
            getattr(dut, f"s_axi_aw{name}").value = 0
        states: list[int] = []
        for cycle in range(WRITE_CYCLES):
            if flip is not None and cycle == flip[0]:
                await self.flip(fsm, flip[1])
                return states
            await FallingEdge(dut.clk)
            states.append(int(fsm.value))
        await self.reset()
        return states


@pyuvm.test(timeout_time=10, timeout_unit="ms")
class ConstantTime(EngineTest):
    """D4: CLOSE_READ takes the same number of cycles whether the tag matches or not, and wherever the data differs."""

    async def close_cycles(self) -> tuple[int, Result]:
        """Read the tensor, close the window; returns the cycles in which the command unit is busy, and the result."""
        await self.seq.expect(Result.OK, Opcode.OPEN_READ, SLOT)
        await self.seq.read_lines(BASE, NBYTES)
        await self.env.drain()
        cycles = 0

        async def count() -> None:
            nonlocal cycles
            while True:
                await RisingEdge(self.dut.clk)
                await ReadOnly()
                cycles += int(self.dut.u_commands.busy.value)

        task = cocotb.start_soon(count())
        result = await self.seq.command(Opcode.CLOSE_READ, SLOT)
        task.cancel()
        return cycles, result

    async def body(self) -> None:
        """Measure with good data, then with a bit flipped at the start, in the middle and at the end."""
        taken: dict[str, int] = {}
        cases = (("equal", None), ("first", 0), ("middle", NBYTES // 2), ("last", NBYTES - 1))
        for name, offset in self.thin(cases, 2):
            await self.seq.define(SLOT, BASE, NBYTES)
            await self.seq.store(SLOT, BASE, self.rng.randbytes(NBYTES))
            if offset is not None:
                for memory in self.env.tampered(SLOT):
                    memory.flip(BASE + offset, 7)
            cycles, result = await self.close_cycles()
            assert result == (Result.OK if offset is None else Result.TAG_ERROR)
            taken[name] = cycles
            await self.rekey()
        assert min(taken.values()) > 0
        assert len(set(taken.values())) == 1, f"the duration of CLOSE_READ depends on the data: {taken}"
