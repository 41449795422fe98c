# SPDX-License-Identifier: Apache-2.0
"""Refused bursts without end: what the memory has delivered goes on to the NPU all the same, and commands end."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.triggers import ClockCycles
from tensortee.engine.registers import EngineState, Opcode, Result

from tb.engine.player import BASE, SLOT, Player
from tb.env.base_test import numbered_key
from tb.env.bursts import INCR, OKAY, Burst
from tb.env.plan import words
from tb.memory import LINE_BYTES

LINES = 16
NOWHERE = 0x100_0000
FLOOD = 6000
"""Refused bursts: more than fit into the time in which the others must end."""
PATIENCE_CYCLES = 3000
READER, REFUSED = 0, 1


async def prepare(dut: Any) -> Player:
    """A sealed tensor."""
    player = Player(dut)
    await player.start()
    await player.install(numbered_key(len(dut.key_data) // 8, 0))
    assert await player.command(Opcode.DEFINE, LINES * LINE_BYTES) == Result.OK
    assert await player.command(Opcode.OPEN_WRITE) == Result.OK
    await player.write(bytes(LINES * LINE_BYTES))
    assert await player.command(Opcode.CLOSE_WRITE) == Result.OK
    return player


def flood(player: Player, at: int) -> list[Burst]:
    """Issue reads of one beat that the engine has to refuse."""
    size = player.manager.bus_bytes.bit_length() - 1
    bursts = [Burst(False, REFUSED, at, 1, size, INCR) for _ in range(FLOOD)]
    for burst in bursts:
        player.manager.issue(burst)
    return bursts


def reads(player: Player) -> Burst:
    """Issue a read of the tensor."""
    size = player.manager.bus_bytes.bit_length() - 1
    burst = Burst(False, READER, BASE, LINES * LINE_BYTES >> size, size, INCR)
    player.manager.issue(burst)
    return burst


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def reads_go_on(dut: Any) -> None:
    """A read in an open window, while another ID reads where no tensor lies."""
    player = await prepare(dut)
    assert await player.command(Opcode.OPEN_READ) == Result.OK
    burst = reads(player)
    refused = flood(player, NOWHERE)
    await ClockCycles(dut.clk, PATIENCE_CYCLES)
    answered = sum(bool(other.responses) for other in refused)
    assert answered < FLOOD, "the flood was over too early"
    assert burst.responses == [OKAY] * burst.beats, f"{len(burst.responses)} beats came beside {answered} refusals"


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def close_ends(dut: Any) -> None:
    """CLOSE_READ waits for a burst, while the NPU goes on to read the tensor, which is refused from now on."""
    player = await prepare(dut)
    assert await player.command(Opcode.OPEN_READ) == Result.OK
    burst = reads(player)
    while not burst.note.get("address_taken"):
        await ClockCycles(dut.clk, 1)
    await player.registers.write("CMD", SLOT=SLOT, OPCODE=Opcode.CLOSE_READ)
    flood(player, BASE)
    await ClockCycles(dut.clk, PATIENCE_CYCLES)
    assert await player.registers.get("STATUS.CMD_BUSY") == 0, f"CLOSE_READ waits, {len(burst.responses)} beats came"


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def wipe_ends(dut: Any) -> None:
    """ZEROIZE while a burst is under way and the NPU goes on to read."""
    player = await prepare(dut)
    assert await player.command(Opcode.OPEN_READ) == Result.OK
    burst = reads(player)
    while not burst.note.get("address_taken"):
        await ClockCycles(dut.clk, 1)
    await player.registers.write("CMD", SLOT=SLOT, OPCODE=Opcode.ZEROIZE)
    flood(player, BASE)
    await ClockCycles(dut.clk, PATIENCE_CYCLES)
    assert await player.registers.get("STATUS.STATE") == EngineState.NO_KEY, f"WIPE; {len(burst.responses)} beats came"


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def responses_go_on(dut: Any) -> None:
    """The response to a write, while another ID writes where no tensor lies and takes its refusals slowly."""
    player = await prepare(dut)
    manager = player.manager
    assert await player.command(Opcode.OPEN_WRITE) == Result.OK
    manager.timing.b_stall = 0.8
    player.dram.timing.write_latency = 400
    size = manager.bus_bytes.bit_length() - 1
    every = (1 << manager.bus_bytes) - 1
    beats = words(bytes(LINE_BYTES), manager.bus_bytes)
    burst = Burst(True, READER, BASE, len(beats), size, INCR, beats, [every] * len(beats))
    manager.issue(burst)
    refused = [Burst(True, REFUSED, NOWHERE, 1, size, INCR, [0], [every]) for _ in range(FLOOD)]
    for other in refused:
        manager.issue(other)
    await ClockCycles(dut.clk, PATIENCE_CYCLES)
    answered = sum(bool(other.responses) for other in refused)
    assert answered < FLOOD, "the flood was over too early"
    assert burst.responses == [OKAY], f"no response beside {answered} refusals"
