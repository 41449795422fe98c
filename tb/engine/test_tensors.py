# SPDX-License-Identifier: Apache-2.0
"""Tensors of every kind of length, in every order of lines, many slots at a time."""

from __future__ import annotations

import pyuvm
from tensortee.engine.registers import Opcode, Result

from tb.dram import DramTiming
from tb.env.base_test import EngineTest
from tb.env.plan import full_runs, runs
from tb.memory import LINE_BYTES

BASE = 0x1_0000
LENGTHS = (
    1,
    2,
    15,
    16,
    17,
    31,
    33,
    47,
    48,
    49,
    63,
    64,
    65,
    79,
    80,
    81,
    127,
    128,
    129,
    255,
    1000,
    4095,
    4096,
    4097,
    9001,
)


@pyuvm.test(timeout_time=5, timeout_unit="ms")
class Lengths(EngineTest):
    """Every class of length: below a block, below a line, around multiples of both, several pages."""

    async def body(self) -> None:
        """Write and read each, lines in random order."""
        for nbytes in self.thin(LENGTHS, 12):
            lines = -(-nbytes // LINE_BYTES)
            data = self.rng.randbytes(nbytes)
            await self.seq.define(0, BASE, nbytes)
            plan = runs(BASE, lines, self.env.bus_bytes, self.rng)
            self.rng.shuffle(plan)
            await self.seq.store(0, BASE, data, plan=plan)
            self.rng.shuffle(plan)
            assert await self.seq.load(0, BASE, nbytes, plan=plan) == data, f"{nbytes} bytes"
            await self.seq.expect(Result.OK, Opcode.RELEASE, 0)


@pyuvm.test(timeout_time=5, timeout_unit="ms")
class Orders(EngineTest):
    """Lines one by one: ascending, descending, strided, random; the tag is the same for each."""

    async def body(self) -> None:
        """Write in one order, read in another."""
        lines = 24
        nbytes = lines * LINE_BYTES - 3
        data = self.rng.randbytes(nbytes)
        up = list(range(lines))
        mixed = self.rng.sample(up, lines)
        orders = [up, up[::-1], up[::3] + up[1::3] + up[2::3], mixed]
        await self.seq.define(0, BASE, nbytes)
        for write, read in zip(orders, [*orders[1:], orders[0]], strict=True):
            await self.seq.store(0, BASE, data, plan=[(line, 1) for line in write])
            assert await self.seq.load(0, BASE, nbytes, plan=[(line, 1) for line in read]) == data


@pyuvm.test(timeout_time=5, timeout_unit="ms")
class Bases(EngineTest):
    """Bases on any line, not only on 4 KiB, so that bursts span two groups of 64 lines of the write map."""

    async def body(self) -> None:
        """Write and read each in the longest legal bursts, shuffled."""
        for first_line in self.thin((1, 16, 37, 63), 2):
            base = BASE + first_line * LINE_BYTES
            lines = self.rng.randrange(130, 200)
            nbytes = lines * LINE_BYTES - self.rng.randrange(LINE_BYTES)
            data = self.rng.randbytes(nbytes)
            plan = full_runs(base, lines, self.env.bus_bytes)
            assert any(line // 64 != (line + count - 1) // 64 for line, count in plan)
            await self.seq.define(0, base, nbytes)
            self.rng.shuffle(plan)
            await self.seq.store(0, base, data, plan=plan)
            self.rng.shuffle(plan)
            assert await self.seq.load(0, base, nbytes, plan=plan) == data, f"base {base:#x}"
            await self.seq.expect(Result.OK, Opcode.RELEASE, 0)


@pyuvm.test(timeout_time=5, timeout_unit="ms")
class ManySlots(EngineTest):
    """All slots in use, several open at once, their bursts mixed."""

    canary_slot = 0

    async def body(self) -> None:
        """Open several epochs and windows together."""
        seq, slots = self.seq, range(1, self.env.backdoor.slots)
        sizes = {slot: self.rng.randrange(1, 5 * LINE_BYTES) for slot in slots}
        bases = {slot: BASE + slot * 0x400 for slot in slots}
        data = {slot: self.rng.randbytes(sizes[slot]) for slot in slots}
        self.env.dram.timing = DramTiming(read_latency=(4, 60), write_latency=(1, 40), reorder=True, interleave=True)
        for slot in slots:
            await seq.define(slot, bases[slot], sizes[slot])
            await seq.expect(Result.OK, Opcode.OPEN_WRITE, slot)
        pieces = [(slot, line) for slot in slots for line in range(-(-sizes[slot] // LINE_BYTES))]
        self.rng.shuffle(pieces)
        bursts = []
        for slot, line in pieces:
            part = data[slot][line * LINE_BYTES : (line + 1) * LINE_BYTES].ljust(LINE_BYTES, b"\x5a")
            ident = self.rng.randrange(self.env.axi.driver.manager.id_count)
            bursts.append(await seq.write(bases[slot] + line * LINE_BYTES, part, ident=ident))
        await seq.finish(bursts)
        for slot in slots:
            await seq.expect(Result.OK, Opcode.CLOSE_WRITE, slot)
        for slot in slots:
            await seq.expect(Result.OK, Opcode.OPEN_READ, slot)
        self.rng.shuffle(pieces)
        bursts = []
        for slot, line in pieces:
            ident = self.rng.randrange(self.env.axi.driver.manager.id_count)
            beats = LINE_BYTES // self.env.bus_bytes
            bursts.append(await seq.read(bases[slot] + line * LINE_BYTES, beats, ident=ident))
        await seq.finish(bursts)
        for slot in slots:
            await seq.expect(Result.OK, Opcode.CLOSE_READ, slot)


@pyuvm.test(timeout_time=5, timeout_unit="ms")
class ReadWhileWriting(EngineTest):
    """One tensor is read while another is written; then a third is written from what was read."""

    async def body(self) -> None:
        """Mix reads and writes in flight."""
        seq = self.seq
        lines = 16 if self.slow else 64
        nbytes = lines * LINE_BYTES
        data = self.rng.randbytes(nbytes)
        for slot in (2, 3):
            await seq.define(slot, BASE + slot * 0x2000, nbytes)
        await seq.store(2, BASE + 0x4000, data)
        await seq.expect(Result.OK, Opcode.OPEN_READ, 2)
        await seq.expect(Result.OK, Opcode.OPEN_WRITE, 3)
        reads, writes = [], []
        for line, count in runs(BASE, lines, self.env.bus_bytes, self.rng, longest=8):
            at = line * LINE_BYTES
            reads.append(
                await seq.read(BASE + 0x4000 + at, count * LINE_BYTES // self.env.bus_bytes, ident=line % 16 % 4)
            )
            writes.append(await seq.write(BASE + 0x6000 + at, data[at : at + count * LINE_BYTES], ident=line % 3))
        await seq.finish([*reads, *writes])
        await seq.expect(Result.OK, Opcode.CLOSE_READ, 2)
        await seq.expect(Result.OK, Opcode.CLOSE_WRITE, 3)
        assert await seq.load(3, BASE + 0x6000, nbytes) == data
        assert self.env.dram.read(BASE + 0x4000, nbytes) != self.env.dram.read(BASE + 0x6000, nbytes)
