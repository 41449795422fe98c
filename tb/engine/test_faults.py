# SPDX-License-Identifier: Apache-2.0
"""Faults forced into the RTL, and the time that a failing comparison takes."""

from __future__ import annotations

import cocotb
import pyuvm
from cocotb.triggers import ReadOnly, RisingEdge
from tensortee.engine.registers import EngineState, Opcode, Result

from tb.env.base_test import EngineTest
from tb.memory import LINE_BYTES

SLOT = 2
BASE = 0x1_0000
NBYTES = 5 * LINE_BYTES - 3


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
