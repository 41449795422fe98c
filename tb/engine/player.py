# SPDX-License-Identifier: Apache-2.0
"""Plays third-party AES-GCM vectors on the RTL: encrypted by a write epoch, opened or refused by a read window.

The engine makes its own IVs, so the IV of a slot is set from outside, in the simulation only. The golden model takes no
part: what is right is in the vectors.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, ReadOnly, RisingEdge
from tensortee.engine.registers import EngineState, Opcode, Result, SlotState

from tb.axil import AxiLiteManager
from tb.dram import Dram, DramTiming
from tb.engine.vectors import Vector
from tb.env.axi_manager import AxiManager
from tb.env.backdoor import Backdoor
from tb.env.bursts import OKAY, Burst
from tb.env.plan import words
from tb.memory import LINE_BYTES
from tb.regmodel import RegisterModel
from tb.ticker import Ticker

SLOT = 0
BASE = 0x4000
ICARUS_SAMPLE = 3
POLL_CYCLES = 64


class Player:
    """Plays vectors on the engine, with nothing between them and the pins but the bus agents."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.dram = Dram(dut, "m_axi", lines_only=True, timing=DramTiming(read_latency=3, write_latency=1))
        self.manager = AxiManager(dut)
        self.registers = RegisterModel(AxiLiteManager(dut, "s_axil", dut.clk))
        self.table = Backdoor(dut)
        self.ticker = Ticker(dut.clk, dut.rst)
        self.key = b""

    async def start(self) -> None:
        """Clock and reset."""
        self.dut.rst.value = 1
        for name in ("zeroize", "key_valid", "key_data"):
            getattr(self.dut, name).value = 0
        Clock(self.dut.clk, 10, "ns").start()
        await ClockCycles(self.dut.clk, 1)
        self.dram.start(self.ticker)
        self.manager.start(self.ticker)
        self.ticker.start()
        await ClockCycles(self.dut.clk, 3)
        self.dut.rst.value = 0

    async def install(self, key: bytes) -> None:
        """Zeroize and install the key of a vector."""
        await self.command(Opcode.ZEROIZE)
        # The buses are idle meanwhile: without the ticker the thousands of cycles pass faster.
        self.ticker.stop()
        self.key = key
        self.dut.key_data.value = int.from_bytes(key, "little")
        self.dut.key_valid.value = 1
        taken = False
        while not taken:
            await ReadOnly()
            taken = self.dut.key_ready.value == 1
            await RisingEdge(self.dut.clk)
        self.dut.key_valid.value = 0
        self.dut.key_data.value = 0
        while await self.registers.get("STATUS.STATE") != EngineState.READY:
            await ClockCycles(self.dut.clk, POLL_CYCLES)
        self.ticker.start()

    async def command(self, opcode: Opcode, nbytes: int = 0) -> Result:
        """Execute a command on SLOT and return its result."""
        if opcode == Opcode.DEFINE:
            await self.registers.write64("CMD_BASE", BASE)
            await self.registers.write64("CMD_NBYTES", nbytes)
        await self.registers.write("CMD", SLOT=SLOT, OPCODE=opcode)
        while await self.registers.get("STATUS.CMD_BUSY"):
            pass
        return Result(await self.registers.get("CMD_RESULT.RESULT"))

    async def transfer(self, burst: Burst) -> Burst:
        """Issue a burst and wait for it."""
        self.manager.issue(burst)
        await burst.done.wait()
        assert set(burst.responses) == {OKAY}
        return burst

    async def write(self, data: bytes) -> None:
        """Write the tensor in one burst."""
        padded = data.ljust(-(-len(data) // LINE_BYTES) * LINE_BYTES, b"\xee")
        beats = words(padded, self.manager.bus_bytes)
        every = (1 << self.manager.bus_bytes) - 1
        size = self.manager.bus_bytes.bit_length() - 1
        await self.transfer(Burst(True, 0, BASE, len(beats), size, 1, beats, [every] * len(beats)))

    async def read(self, nbytes: int) -> bytes:
        """Read the tensor in one burst."""
        lines = -(-nbytes // LINE_BYTES)
        size = self.manager.bus_bytes.bit_length() - 1
        burst = await self.transfer(Burst(False, 0, BASE, lines * LINE_BYTES >> size, size))
        return b"".join(part for _, part in burst.payload(self.manager.bus_bytes))[:nbytes]

    async def encrypt(self, vector: Vector) -> None:
        """Seal the plaintext; ciphertext in DRAM and tag in the table must be those of the vector."""
        assert vector.plaintext is not None
        await self.install(vector.key)
        assert await self.command(Opcode.DEFINE, len(vector.plaintext)) == Result.OK
        assert await self.command(Opcode.OPEN_WRITE) == Result.OK
        self.table.deposit_iv(SLOT, vector.iv)
        await ClockCycles(self.dut.clk, 1)
        await self.write(vector.plaintext)
        assert await self.command(Opcode.CLOSE_WRITE) == Result.OK
        stored = self.dram.read(BASE, len(vector.ciphertext))
        assert stored == vector.ciphertext, f"{vector.source}: ciphertext {stored.hex()}"
        tag = self.table.slot(SLOT).tag
        assert tag == vector.tag, f"{vector.source}: tag {tag.hex()}"

    async def decrypt(self, vector: Vector) -> None:
        """Open ciphertext and tag of the vector; a wrong tag must end in FATAL."""
        nbytes = len(vector.ciphertext)
        if self.key == vector.key and self.table.slot(SLOT).state == SlotState.SEALED:
            assert await self.command(Opcode.RELEASE) == Result.OK
        else:
            await self.install(vector.key)
        assert await self.command(Opcode.DEFINE, nbytes) == Result.OK
        assert await self.command(Opcode.OPEN_WRITE) == Result.OK
        await self.write(bytes(nbytes))
        assert await self.command(Opcode.CLOSE_WRITE) == Result.OK
        self.table.deposit_iv(SLOT, vector.iv)
        self.table.deposit_tag(SLOT, vector.tag)
        self.dram.write(BASE, vector.ciphertext)
        await ClockCycles(self.dut.clk, 1)
        assert await self.command(Opcode.OPEN_READ) == Result.OK
        data = await self.read(nbytes)
        result = await self.command(Opcode.CLOSE_READ)
        if vector.plaintext is None:
            assert result == Result.TAG_ERROR, f"{vector.source} must be refused, but gave {result!r}"
            assert await self.registers.get("STATUS.STATE") == EngineState.FATAL
            assert self.table.slot(SLOT).state == SlotState.POISONED
            return
        assert result == Result.OK, f"{vector.source} gave {result!r}"
        assert data == vector.plaintext, f"{vector.source}: plaintext {data.hex()}"


def choose(vectors: Iterable[Vector]) -> list[Vector]:
    """All vectors, or a sample with accepted and refused ones on Icarus; there must be some."""
    every = list(vectors)
    assert every, "the package holds no vector that the engine can carry"
    if "icarus" not in cocotb.SIM_NAME.lower():
        return every
    rng = Random(int(cocotb.RANDOM_SEED))
    good = [vector for vector in every if vector.plaintext is not None]
    bad = [vector for vector in every if vector.plaintext is None]
    return [*rng.sample(good, min(ICARUS_SAMPLE, len(good))), *rng.sample(bad, min(1, len(bad)))]
