# SPDX-License-Identifier: Apache-2.0
"""Constrained-random traffic: several tensors, legal and illegal bursts, commands, any timing; the model knows all."""

from __future__ import annotations

import os
from collections import Counter

import cocotb
import pyuvm
from tensortee.engine.registers import EngineState, Opcode, Result, SlotState

from tb.dram import DramTiming
from tb.env.axi_manager import ManagerTiming
from tb.env.base_test import EngineTest
from tb.env.bursts import FIXED, INCR, WRAP, Burst
from tb.env.plan import pieces, runs
from tb.hostile import Freedom, HostileDram
from tb.memory import LINE_BYTES

BASE = 0x1_0000
STRIDE = 0x2000
MAX_SLOTS = 4
MAX_BYTES = 40 * LINE_BYTES
ROUNDS_VARIABLE = "ENGINE_ROUNDS"


class RandomTest(EngineTest):
    """Steps that take slots through their states with random traffic, and random timing of both sides."""

    canary_slot = 0

    def build_phase(self) -> None:
        """Choose the slots."""
        super().build_phase()
        slots = self.env.parameters["SLOTS"]
        self.slots = self.rng.sample(range(slots), min(MAX_SLOTS, slots))

    def rounds(self) -> int:
        """Number of rounds; ``ENGINE_ROUNDS`` overrides it."""
        return int(os.environ.get(ROUNDS_VARIABLE, "5" if self.slow else "40"))

    async def calm(self) -> None:
        """End the random timing, and make room for the canary."""
        self.env.axi.driver.manager.timing = ManagerTiming()
        self.env.dram.timing = DramTiming()
        if self.env.predictor.engine.slots[self.canary_slot].state == SlotState.READING:
            await self.seq.command(Opcode.CLOSE_READ, self.canary_slot)
        await self.seq.command(Opcode.RELEASE, self.canary_slot)

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
            for slot in self.slots:
                await self.step(slot)
            await self.noise()
            await self.env.drain()
            # Refusals of a read and of a write in the same cycle share an alert pulse.
            self.env.adopt_faults()
            await self.seq.compare_registers()
            await self.seq.clear_faults()
        await self.calm()

    async def noise(self) -> None:
        """Bursts of any kind at any place, reads and writes one after the other so that the fault log has one order."""
        seq, rng = self.seq, self.rng
        reads: list[Burst] = []
        for _ in range(rng.randrange(12)):
            size = rng.randrange(seq.full + 2)
            kind = rng.choices((INCR, WRAP, FIXED), (6, 3, 1))[0]
            beats = rng.choice((2, 4, 8, 16)) if kind == WRAP else rng.randint(1, 40)
            addr = self.base(rng.choice(self.slots)) + rng.randrange(MAX_BYTES)
            if kind == WRAP and rng.random() < 0.9:
                addr &= -(1 << size)
            reads.append(await seq.read(addr, beats, size=min(size, 7), kind=kind, ident=self.seq.ident()))
        await seq.finish(reads)
        writes: list[Burst] = []
        for _ in range(rng.randrange(5)):
            lines = rng.randint(1, 3)
            addr = self.base(rng.choice(self.slots)) + rng.randrange(MAX_BYTES)
            addr &= -LINE_BYTES if rng.random() < 0.8 else -8
            writes.append(await seq.write(addr, rng.randbytes(lines * LINE_BYTES), ident=self.seq.ident()))
        await seq.finish(writes)


@pyuvm.test(timeout_time=40, timeout_unit="ms")
class ConcurrentTensors(RandomTest):
    """All slots go their ways at the same time: commands of one run while bursts of the others are under way."""

    async def body(self) -> None:
        """Start one thread for each slot and change the timing meanwhile."""

        async def life(slot: int) -> None:
            for _ in range(self.rounds()):
                await self.step(slot)

        lives = [cocotb.start_soon(life(slot)) for slot in self.slots]
        while not all(task.done() for task in lives):
            self.change_timing()
            await self.seq.idle(self.rng.randrange(100, 1500))
        for task in lives:
            await task
        await self.calm()
        await self.seq.compare_registers()


@pyuvm.test(timeout_time=40, timeout_unit="ms")
class HostileMemory(RandomTest):
    """All slots go their ways in front of a hostile memory, with every check on.

    Rounds with honest data, however late, and stray beats: every window that covers its tensor closes OK. Rounds in
    which the memory does anything: a window that closes OK has given the NPU what the NPU wrote, and nothing else; a
    wrong tag ends in FATAL, and the next key goes on.
    """

    dram_class = HostileDram
    steps = 4

    def build_phase(self) -> None:
        """Choose the IDs: few, so that strays meet bursts. The last is that of strays that must not disturb."""
        super().build_phase()
        self.idents = range(min(8, 1 << self.env.parameters["ID_W"]))

    def rounds(self) -> int:
        """Every third of them is honest."""
        return int(os.environ.get(ROUNDS_VARIABLE, "5" if self.slow else "30"))

    async def body(self) -> None:
        """Play the rounds."""
        dram = self.env.dram
        assert isinstance(dram, HostileDram)
        self.dram = dram
        self.verdicts: Counter[str] = Counter()
        for number in range(self.rounds()):
            self.honest = number % 3 == 0
            self.change_timing()
            dram.freedom = self.some_freedom()
            if not self.honest:
                # Only what is offered for some time can be answered early.
                dram.timing.ar_stall = dram.timing.aw_stall = dram.timing.w_stall = self.rng.choice((0.2, 0.8))
            lives = [cocotb.start_soon(self.life(slot)) for slot in self.slots[:3]]
            for task in lives:
                await task
            await self.end_round()
        await self.calm()
        self.logger.info(f"the memory did: {dict(sorted(dram.acts.items()))}; windows: {dict(self.verdicts)}")
        assert self.verdicts["honest OK"], "no window closed in front of a slow memory"
        assert self.verdicts["refused"], "no window failed in front of a hostile memory"
        assert len(dram.acts) >= 10 or self.slow, f"the memory made little use of its freedom: {dict(dram.acts)}"

    def some_freedom(self) -> Freedom:
        """Draw what the memory does in this round."""
        rng = self.rng

        def often(rate: float) -> float:
            return rng.choice((0.0, rate / 4, rate))

        if self.honest:
            return Freedom(hold=often(0.1), wrong_last=often(0.5), stray=often(0.05), stray_idents=self.idents[-1:])
        return Freedom(
            hold=often(0.1),
            wrong_last=often(0.5),
            wrong_data=often(0.03),
            wrong_response=often(0.03),
            surplus=often(0.3),
            stray=often(0.01),
            stray_idents=self.idents,
            early=often(0.2),
        )

    def ident(self) -> int:
        """A random ID, but the last."""
        return self.rng.choice(self.idents[:-1])

    def lives_on(self) -> bool:
        """No window has failed by its tag, and nobody has zeroized the engine."""
        return self.env.predictor.engine.state == EngineState.READY

    async def life(self, slot: int) -> None:
        """Take a slot through its states."""
        seq, rng = self.seq, self.rng
        for _ in range(self.steps):
            state = self.env.predictor.engine.slots[slot].state
            if not self.lives_on():
                return
            if not self.honest and rng.random() < 0.03:
                await seq.command(Opcode.ZEROIZE, slot)
            elif state == SlotState.EMPTY:
                await seq.command(Opcode.DEFINE, slot, self.base(slot), rng.randint(1, 10 * LINE_BYTES))
                await self.write_epoch(slot)
            elif state in (SlotState.SEALED, SlotState.VERIFIED) and rng.random() < 0.8:
                await self.read_window(slot)
            elif rng.random() < 0.2:
                await seq.command(Opcode.RELEASE, slot)
            else:
                await self.write_epoch(slot)

    async def write_epoch(self, slot: int) -> None:
        """Write a tensor; with honest data it must be sealed."""
        nbytes = self.env.predictor.engine.slots[slot].nbytes
        await self.seq.command(Opcode.OPEN_WRITE, slot)
        plan = runs(self.base(slot), -(-nbytes // LINE_BYTES), self.env.bus_bytes, self.rng, longest=4)
        self.rng.shuffle(plan)
        await self.seq.write_lines(self.base(slot), self.rng.randbytes(nbytes), plan, idents=self.ident() + 1)
        result = await self.seq.command(Opcode.CLOSE_WRITE, slot)
        assert result == Result.OK or not self.honest, f"an epoch with honest data closed with {result!r}"

    async def read_window(self, slot: int) -> None:
        """Touch every line once, mostly parts of lines; close at once, while the memory owes the rest."""
        seq, base = self.seq, self.base(slot)
        nbytes = self.env.predictor.engine.slots[slot].nbytes
        await seq.command(Opcode.OPEN_READ, slot)
        bursts = []
        for addr, beats, size, kind in pieces(base, -(-nbytes // LINE_BYTES), self.env.bus_bytes, self.rng):
            bursts.append(await seq.read(addr, beats, size=size, kind=kind, ident=self.ident()))
        await seq.finish(bursts)
        result = await seq.command(Opcode.CLOSE_READ, slot)
        assert result == Result.OK or not self.honest, f"a window with honest data closed with {result!r}"
        self.verdicts["refused" if result != Result.OK else "honest OK" if self.honest else "hostile OK"] += 1
        if result != Result.OK:
            return
        # What the NPU has seen is what the NPU has written: whatever the model says.
        for burst in bursts:
            for addr, part in burst.payload(self.env.bus_bytes):
                wanted = self.env.scoreboard.plaintext.peek(addr, len(part))[: max(0, base + nbytes - addr)]
                assert part == wanted.ljust(len(part), b"\0"), f"the window of slot {slot} is OK, {addr:#x} is wrong"

    async def end_round(self) -> None:
        """Let everything come to its end; after FATAL or ZEROIZE go on with a new key."""
        env, seq = self.env, self.seq
        await env.drain()
        await seq.idle(10)
        env.dram.timing.r_idle = env.dram.timing.b_idle = 0.0
        self.dram.freedom = Freedom()
        await env.drain()
        env.adopt_faults()
        await seq.compare_registers(("STATUS", "CMD_RESULT"))
        if not self.lives_on():
            await self.rekey()
            # What was written when READY ended is lost, and in which lines is a matter of timing.
            env.predictor.memory.restore(env.dram.memory.snapshot())
        elif env.predictor.engine.control.fault_count < 2:
            await seq.compare_registers()
        await seq.clear_faults()
