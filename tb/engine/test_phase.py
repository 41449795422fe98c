# SPDX-License-Identifier: Apache-2.0
"""One flipped bit in the state machine of the key unit's arithmetic, while a command waits for a product."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.triggers import ClockCycles, FallingEdge
from tensortee.engine.registers import EngineState, Opcode, Result

from tb.engine.player import BASE, SLOT, Player
from tb.env.base_test import numbered_key
from tb.memory import LINE_BYTES

ENOUGH_CYCLES = 500
"""For any DEFINE."""


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def arithmetic_phase(dut: Any) -> None:
    """Every bit of every phase that DEFINE passes: FATAL and ABORTED, neither a hang nor a wrong product."""
    player = Player(dut)
    await player.start()
    await player.install(numbered_key(len(dut.key_data) // 8, 0))
    phase, ready = dut.u_keys.phase, dut.u_keys.state.value
    hung, unnoticed = [], []
    for value in range(1 << len(phase)):
        for bit in range(len(phase)):
            if await player.registers.get("STATUS.STATE") != EngineState.READY:
                # A state without a key is enough: what is tested does not depend on the key.
                await player.command(Opcode.ZEROIZE)
                await FallingEdge(dut.clk)
                dut.u_keys.state.value = ready
                await ClockCycles(dut.clk, 3)
            await player.registers.write64("CMD_BASE", BASE)
            await player.registers.write64("CMD_NBYTES", LINE_BYTES * 40)
            given = cocotb.start_soon(player.registers.write("CMD", SLOT=SLOT, OPCODE=Opcode.DEFINE))
            seen = False
            for _ in range(ENOUGH_CYCLES):
                await FallingEdge(dut.clk)
                seen = dut.u_commands.asked.value == 1 and int(phase.value) == value
                if seen:
                    break
            if seen:
                phase.value = value ^ 1 << bit
                await given
                await ClockCycles(dut.clk, ENOUGH_CYCLES)
                flip = f"{value:b} bit {bit}"
                if await player.registers.get("STATUS.CMD_BUSY"):
                    hung.append(flip)
                elif await player.registers.get("STATUS.STATE") != EngineState.FATAL:
                    unnoticed.append(flip)
                else:
                    assert await player.registers.get("CMD_RESULT.RESULT") == Result.ABORTED
            await player.command(Opcode.ZEROIZE)
    assert not hung, f"flips after which DEFINE never ends: {hung}"
    assert not unnoticed, f"flips that nobody notices: {unnoticed}"
