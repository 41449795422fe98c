# SPDX-License-Identifier: Apache-2.0
"""The forgery of the first engine, in its three forms: a memory that owes beats and pays them into the next window.

The same attacks run on the engine as it is and on one with the old fault put back (``tests/rtl/test_forgery.py``). The
variable ``FORGED`` says which is under test: on the old engine each attack must succeed, or the test shows nothing; on
the present one it must fail. No model takes part: what the NPU wrote and read decides.
"""

from __future__ import annotations

import os
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles
from tensortee.engine.registers import EngineState, Opcode, Result

from tb.dram import Dram, DramTiming
from tb.engine.player import BASE, Player
from tb.env.base_test import numbered_key
from tb.env.bursts import INCR, Burst
from tb.memory import LINE_BYTES

FORGED_VARIABLE = "FORGED"
PATIENCE_CYCLES = 1500
"""How long a command that waits for the memory is watched before the memory pays."""
OWING, WRITER, READER, TAIL = 0, 1, 2, 3
"""IDs of bursts: beats of one ID stay in order, so what is owed to one does not hold up the others."""


class OwingDram(Dram):
    """A memory that stops within the bursts of an ID: ``limit`` tells after how many beats."""

    def __init__(self, dut: Any) -> None:
        timing = DramTiming(read_latency=3, write_latency=1, reorder=True, interleave=True)
        super().__init__(dut, "m_axi", lines_only=True, timing=timing)
        self.limit: dict[int, int] = {}

    def _eligible(self, bursts: list[Any]) -> list[Any]:
        return [burst for burst in super()._eligible(bursts) if burst.done < self.limit.get(burst.ident, burst.beats)]


class Attacker(Player):
    """One tensor in one slot, an NPU that reads parts of it, and the memory above."""

    def __init__(self, dut: Any) -> None:
        super().__init__(dut)
        self.dram: OwingDram = OwingDram(dut)
        self.bytes = self.manager.bus_bytes
        self.size = self.bytes.bit_length() - 1
        self.data = b""
        self.keys = 0

    async def session(self, nbytes: int) -> None:
        """Install a fresh key and define the tensor."""
        await self.install(numbered_key(len(self.dut.key_data) // 8, self.keys))
        self.keys += 1
        assert await self.command(Opcode.DEFINE, nbytes) == Result.OK

    async def store(self, value: int) -> None:
        """Write every byte of the tensor with a value in a new epoch, honestly, up to the closing."""
        slot = self.table.slot(0)
        self.data = bytes([value]) * slot.nbytes
        assert await self.command(Opcode.OPEN_WRITE) == Result.OK
        await self.write(self.data)

    async def seal(self, value: int) -> None:
        """An honest epoch."""
        await self.store(value)
        assert await self.command(Opcode.CLOSE_WRITE) == Result.OK

    async def load(self, at: int, beats: int, ident: int) -> bytes:
        """Read ``beats`` beats from byte ``at`` of the tensor; returns what the NPU gets."""
        burst = await self.transfer(Burst(False, ident, BASE + at, beats, self.size, INCR))
        return b"".join(part for _, part in burst.payload(self.bytes))

    async def owe(self) -> None:
        """The NPU reads the first beat of line 0; the memory keeps the other beats of the line."""
        self.dram.limit[OWING] = 1
        await self.load(0, 1, OWING)

    async def pay(self, beats: int, difference: bytes) -> None:
        """Deliver ``beats`` of the owed beats: ``difference`` in the first, zeros in the others."""
        owed = self.dram.memory.peek(BASE, LINE_BYTES)
        for number in range(beats):
            at = (1 + number) * self.bytes
            self.dram.memory.poke(BASE + at, (difference if number == 0 else b"").ljust(self.bytes, b"\0"))
        self.dram.limit[OWING] += beats
        await ClockCycles(self.dut.clk, 30)
        self.dram.memory.poke(BASE, owed)

    async def close_or_pay(self, opcode: Opcode, difference: bytes) -> Result:
        """Close a window. If the engine waits for what the memory owes, the memory pays, and the plot is over."""
        await self.registers.write("CMD", SLOT=0, OPCODE=opcode)
        for _ in range(PATIENCE_CYCLES // 8):
            if not await self.registers.get("STATUS.CMD_BUSY"):
                break
            await ClockCycles(self.dut.clk, 4)
        else:
            await self.pay(LINE_BYTES // self.bytes - 1, difference)
        while await self.registers.get("STATUS.CMD_BUSY"):
            await ClockCycles(self.dut.clk, 4)
        return Result(await self.registers.get("CMD_RESULT.RESULT"))

    async def owes(self) -> bool:
        """Whether the memory still owes beats of line 0."""
        return self.dram.limit[OWING] < LINE_BYTES // self.bytes


def verdict(forged: bool, what: str) -> None:
    """Compare what the attack reached with what it must reach on this engine."""
    wanted = os.environ[FORGED_VARIABLE] == "1"
    assert forged == wanted, f"{what}: the forgery {'succeeded' if forged else 'failed'}"


async def attacker(dut: Any, nbytes: int) -> Attacker:
    """An attacker with a sealed tensor and an open read window, in which the memory begins to owe."""
    result = Attacker(dut)
    await result.start()
    await result.session(nbytes)
    await result.seal(0x11)
    assert await result.command(Opcode.OPEN_READ) == Result.OK
    await result.owe()
    return result


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def into_an_epoch(dut: Any) -> None:
    """An owed beat is added to the next write epoch: the tag that is sealed is that of other data."""
    attack = await attacker(dut, 2 * LINE_BYTES)
    difference = bytes([0x5A]) * 5
    await attack.close_or_pay(Opcode.CLOSE_READ, difference)
    forged = False
    if await attack.owes():
        await attack.store(0x22)
        await attack.pay(1, difference)
        assert await attack.command(Opcode.CLOSE_WRITE) == Result.OK
        for number, byte in enumerate(difference):
            at = BASE + attack.bytes + number
            attack.dram.memory.poke(at, bytes([attack.dram.memory.peek(at, 1)[0] ^ byte]))
        assert await attack.command(Opcode.OPEN_READ) == Result.OK
        read = await attack.load(0, 2 * LINE_BYTES // attack.bytes, READER)
        forged = await attack.command(Opcode.CLOSE_READ) == Result.OK and read != attack.data
    verdict(forged, "into the next epoch")


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def into_a_window(dut: Any) -> None:
    """The last beat owed to one read window balances hash and count of the next: five bytes are wrong, VERIFIED."""
    tail = 5
    attack = await attacker(dut, LINE_BYTES + tail)
    beats = LINE_BYTES // attack.bytes
    difference = bytes([0xC3]) * 5
    await attack.close_or_pay(Opcode.CLOSE_READ, difference)
    forged = False
    if await attack.owes():
        await attack.seal(0x33)
        assert await attack.command(Opcode.OPEN_READ) == Result.OK
        honest = attack.dram.memory.peek(BASE, LINE_BYTES)
        for number, byte in enumerate(difference):
            at = attack.bytes + number
            attack.dram.memory.poke(BASE + at, bytes([honest[at] ^ byte]))
        read = await attack.load(0, beats, READER)
        attack.dram.limit[TAIL] = 1
        read += await attack.load(LINE_BYTES, 1, TAIL)
        await attack.pay(beats - 1, difference)
        result = await attack.command(Opcode.CLOSE_READ)
        forged = result == Result.OK and read[: LINE_BYTES + tail] != attack.data
    verdict(forged, "into the next window")


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def into_a_session(dut: Any) -> None:
    """A beat owed before ZEROIZE is counted under the next key: a window passes that lacks the end of a line."""
    tail = 5
    attack = await attacker(dut, LINE_BYTES + tail)
    beats = LINE_BYTES // attack.bytes
    await attack.registers.write("CMD", SLOT=0, OPCODE=Opcode.ZEROIZE)
    await ClockCycles(dut.clk, PATIENCE_CYCLES)
    forged = False
    if await attack.registers.get("STATUS.STATE") == EngineState.WIPE:
        await attack.pay(beats - 1, b"")
        while await attack.registers.get("STATUS.STATE") != EngineState.NO_KEY:
            await ClockCycles(dut.clk, 16)
    else:
        await attack.session(LINE_BYTES + tail)
        await attack.seal(0x44)
        assert await attack.command(Opcode.OPEN_READ) == Result.OK
        await attack.load(0, beats, READER)
        attack.dram.limit[TAIL] = 1
        await attack.load(LINE_BYTES, 1, TAIL)
        await attack.pay(beats - 1, b"")
        forged = await attack.command(Opcode.CLOSE_READ) == Result.OK
    verdict(forged, "into the next session")
