# SPDX-License-Identifier: Apache-2.0
"""Constrained-random traffic: several tensors, legal and illegal bursts, commands, any timing; the model knows all."""

from __future__ import annotations

import os

import cocotb
import pyuvm
from tensortee.engine.registers import Opcode, SlotState

from tb.dram import DramTiming
from tb.env.axi_manager import ManagerTiming
from tb.env.base_test import EngineTest
from tb.env.bursts import FIXED, INCR, WRAP, Burst
from tb.env.plan import runs
from tb.memory import LINE_BYTES

BASE = 0x1_0000
STRIDE = 0x2000
SLOTS = 4
MAX_BYTES = 40 * LINE_BYTES
ROUNDS_VARIABLE = "ENGINE_ROUNDS"


class RandomTest(EngineTest):
    """Steps that take slots through their states with random traffic, and random timing of both sides."""

    canary_slot = 0

    def rounds(self) -> int:
        """Number of rounds; ``ENGINE_ROUNDS`` overrides it."""
        return int(os.environ.get(ROUNDS_VARIABLE, "5" if self.slow else "40"))

    def calm(self) -> None:
        """End the random timing."""
        self.env.axi.driver.manager.timing = ManagerTiming()
        self.env.dram.timing = DramTiming()

    def change_timing(self) -> None:
        """Draw idle and stall rates, latencies and orders."""
        rng = self.rng
        rate, stall = rng.choice((0.0, 0.1, 0.5)), rng.choice((0.0, 0.2, 0.6))
        self.env.axi.driver.manager.timing = ManagerTiming(
            ar_idle=rate * rng.random(),
            aw_idle=rate * rng.random(),
            w_idle=rate * rng.random(),
            r_stall=rate * rng.random(),
            b_stall=rate * rng.random(),
            write_order=rng.choice(("together", "data_first", "address_first")),
        )
        latency = rng.choice(((1, 4), (10, 50), (1, 150)))
        self.env.dram.timing = DramTiming(
            read_latency=latency,
            write_latency=latency,
            ar_stall=stall * rng.random(),
            aw_stall=stall * rng.random(),
            w_stall=stall * rng.random(),
            r_idle=stall * rng.random(),
            b_idle=stall * rng.random(),
            reorder=rng.random() < 0.7,
            interleave=rng.random() < 0.5,
            write_order=rng.choice(("any", "aw_first", "w_first")),
        )

    def base(self, slot: int) -> int:
        """Base address of a slot's tensor."""
        return BASE + slot * STRIDE

    def ident(self) -> int:
        """A random ID."""
        return self.rng.randrange(self.env.axi.driver.manager.id_count)

    async def step(self, slot: int) -> None:
        """Take a slot one step on its way: mostly the proper next command with its traffic, sometimes another one."""
        seq, rng = self.seq, self.rng
        if rng.random() < 0.15:
            await seq.command(rng.choice([op for op in Opcode if op != Opcode.ZEROIZE]), slot, self.base(slot), 100)
        state = self.env.predictor.engine.slots[slot].state
        nbytes = self.env.predictor.engine.slots[slot].nbytes
        lines = -(-nbytes // LINE_BYTES)
        if state == SlotState.EMPTY:
            await seq.command(Opcode.DEFINE, slot, self.base(slot), rng.randint(1, MAX_BYTES))
        elif state in (SlotState.DEFINED, SlotState.POISONED):
            await seq.command(Opcode.OPEN_WRITE, slot)
        elif state == SlotState.WRITING:
            plan = runs(self.base(slot), lines, self.env.bus_bytes, rng, longest=rng.choice((1, 4, 64)))
            rng.shuffle(plan)
            if rng.random() < 0.2:
                plan = plan[: rng.randrange(len(plan) + 1)]
            await seq.write_lines(self.base(slot), rng.randbytes(nbytes), plan, idents=rng.choice((1, 4)))
            await seq.command(Opcode.CLOSE_WRITE, slot)
        elif state == SlotState.READING:
            plan = runs(self.base(slot), lines, self.env.bus_bytes, rng, longest=rng.choice((1, 4, 64)))
            rng.shuffle(plan)
            if rng.random() < 0.2:
                plan.append(rng.choice(plan))
            await seq.read_lines(self.base(slot), nbytes, plan, idents=4)
            await seq.command(Opcode.CLOSE_READ, slot)
        else:
            await seq.command(rng.choice((Opcode.OPEN_READ, Opcode.OPEN_READ, Opcode.OPEN_WRITE, Opcode.RELEASE)), slot)


@pyuvm.test(timeout_time=40, timeout_unit="ms")
class RandomTraffic(RandomTest):
    """Rounds of one step for each slot and of bursts of any kind, between which everything is compared."""

    async def body(self) -> None:
        """Play the rounds."""
        for _ in range(self.rounds()):
            self.change_timing()
            for slot in range(1, SLOTS + 1):
                await self.step(slot)
            await self.noise()
            await self.env.drain()
            # Refusals of a read and of a write in the same cycle share an alert pulse.
            self.env.adopt_faults()
            await self.seq.compare_registers()
            await self.seq.clear_faults()
        self.calm()

    async def noise(self) -> None:
        """Bursts of any kind at any place, reads and writes one after the other so that the fault log has one order."""
        seq, rng = self.seq, self.rng
        reads: list[Burst] = []
        for _ in range(rng.randrange(12)):
            size = rng.randrange(seq.full + 2)
            kind = rng.choices((INCR, WRAP, FIXED), (6, 3, 1))[0]
            beats = rng.choice((2, 4, 8, 16)) if kind == WRAP else rng.randint(1, 40)
            addr = self.base(rng.randint(1, SLOTS)) + rng.randrange(MAX_BYTES)
            if kind == WRAP and rng.random() < 0.9:
                addr &= -(1 << size)
            reads.append(await seq.read(addr, beats, size=min(size, 7), kind=kind, ident=self.ident()))
        await seq.finish(reads)
        writes: list[Burst] = []
        for _ in range(rng.randrange(5)):
            lines = rng.randint(1, 3)
            addr = self.base(rng.randint(1, SLOTS)) + rng.randrange(MAX_BYTES)
            addr &= -LINE_BYTES if rng.random() < 0.8 else -8
            writes.append(await seq.write(addr, rng.randbytes(lines * LINE_BYTES), ident=self.ident()))
        await seq.finish(writes)


@pyuvm.test(timeout_time=40, timeout_unit="ms")
class ConcurrentTensors(RandomTest):
    """All slots go their ways at the same time: commands of one run while bursts of the others are under way."""

    async def body(self) -> None:
        """Start one thread for each slot and change the timing meanwhile."""

        async def life(slot: int) -> None:
            for _ in range(self.rounds()):
                await self.step(slot)

        lives = [cocotb.start_soon(life(slot)) for slot in range(1, SLOTS + 1)]
        while not all(task.done() for task in lives):
            self.change_timing()
            await self.seq.idle(self.rng.randrange(100, 1500))
        for task in lives:
            await task
        self.calm()
        await self.seq.compare_registers()
