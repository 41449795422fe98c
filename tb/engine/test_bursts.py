# SPDX-License-Identifier: Apache-2.0
"""Every burst that AXI4 allows: lengths, sizes, alignments, types, identifiers, order of channels, 4 KiB edges."""

from __future__ import annotations

import pyuvm
from tensortee.engine.registers import Opcode, Result

from tb.dram import DramTiming
from tb.env.base_test import EngineTest
from tb.env.bursts import BOUNDARY, OKAY, SLVERR, WRAP, Burst
from tb.env.plan import MAX_BEATS, runs
from tb.memory import LINE_BYTES

BASE = 0x4_0000
WRAP_BEATS = (2, 4, 8, 16)
IN_FLIGHT = 64


class BurstTest(EngineTest):
    """A tensor of several pages is stored; the tests read it in every way."""

    pages = 2

    async def body(self) -> None:
        """Store, open a window, read, close: with lines read several times the window reports that and nothing else."""
        self.data = self.rng.randbytes(self.pages * BOUNDARY)
        await self.seq.define(0, BASE, len(self.data))
        await self.seq.store(0, BASE, self.data)
        self.env.dram.timing = DramTiming(read_latency=12, write_latency=3)
        await self.seq.expect(Result.OK, Opcode.OPEN_READ, 0)
        self.bursts: list[Burst] = []
        await self.read_all()
        await self.seq.finish(self.bursts)
        assert len(self.bursts) > 0
        for burst in self.bursts:
            assert set(burst.responses) == {OKAY}, f"the read at {burst.addr:#x} was refused"
            for addr, part in burst.payload(self.env.bus_bytes):
                assert part == self.data[addr - BASE : addr - BASE + len(part)], f"wrong data at {addr:#x}"
        await self.seq.expect(Result.COVERAGE_ERROR, Opcode.CLOSE_READ, 0)

    async def read_all(self) -> None:
        """Issue the reads."""
        raise NotImplementedError

    async def one(self, addr: int, beats: int, size: int, kind: int = 1) -> None:
        """Issue one read; not too many at once, so that the queues of the bench stay short."""
        self.bursts.append(await self.seq.read(addr, beats, size=size, kind=kind, ident=self.rng.randrange(4)))
        if len(self.bursts) % IN_FLIGHT == 0:
            await self.bursts[-1].done.wait()


@pyuvm.test(timeout_time=5, timeout_unit="ms")
class ReadLengths(BurstTest):
    """Full-width INCR bursts of every length, at random places in a page."""

    async def read_all(self) -> None:
        """Read every length that fits into a page."""
        size = self.seq.full
        for beats in self.thin(range(1, min(MAX_BEATS, BOUNDARY >> size) + 1), 14):
            page = BASE + BOUNDARY * self.rng.randrange(self.pages)
            start = self.rng.randrange(0, BOUNDARY - (beats << size) + 1, 1 << size)
            await self.one(page + start, beats, size)


@pyuvm.test(timeout_time=5, timeout_unit="ms")
class ReadAlignments(BurstTest):
    """Short full-width bursts from every byte of a line."""

    async def read_all(self) -> None:
        """Cross length with start byte."""
        cases = [(beats, start) for beats in (1, 2, 3, 4, 5, 8) for start in range(LINE_BYTES)]
        for beats, start in self.thin(cases, 40):
            await self.one(BASE + LINE_BYTES * self.rng.randrange(48) + start, beats, self.seq.full)


@pyuvm.test(timeout_time=5, timeout_unit="ms")
class ReadNarrow(BurstTest):
    """Bursts of every size below the bus width, from any byte, of many lengths up to 256 beats."""

    async def read_all(self) -> None:
        """Cross size with length."""
        for size in range(self.seq.full):
            lengths = (*range(1, 18), 31, 64, 65, 128, 255, MAX_BEATS)
            for beats in self.thin((beats for beats in lengths if beats << size <= BOUNDARY), 5):
                start = self.rng.randrange(0, BOUNDARY - (beats << size) + 1)
                await self.one(BASE + start, beats, size)


@pyuvm.test(timeout_time=5, timeout_unit="ms")
class ReadWrap(BurstTest):
    """WRAP bursts of every size and length, from every start in their window (at random for long ones)."""

    async def read_all(self) -> None:
        """Cross size, length and start."""
        for size in range(self.seq.full + 1):
            for beats in WRAP_BEATS:
                window = BASE + (beats << size) * self.rng.randrange(2 * BOUNDARY // (beats << size))
                for start in self.thin(range(beats), 2):
                    await self.one(window + (start << size), beats, size, WRAP)


@pyuvm.test(timeout_time=5, timeout_unit="ms")
class WriteLengths(EngineTest):
    """Writes of every number of lines from 1 to 64, each at a random place of its page, and the rest of the page."""

    async def body(self) -> None:
        """Write one page for each length, in one epoch, then read it back in one window."""
        longest = min(BOUNDARY, MAX_BEATS * self.env.bus_bytes) // LINE_BYTES
        lengths = self.thin(range(1, longest + 1), 4)
        data = self.rng.randbytes(len(lengths) * BOUNDARY)
        await self.seq.define(0, BASE, len(data))
        plan = []
        for page, count in enumerate(lengths):
            first = self.rng.randrange(64 - count + 1)
            at = page * 64
            plan.append((at + first, count))
            plan += [(at + line, part) for line, part in runs(BASE, first, self.env.bus_bytes, self.rng)]
            after = first + count
            plan += [
                (at + after + line, part)
                for line, part in runs(BASE + after * LINE_BYTES, 64 - after, self.env.bus_bytes, self.rng)
            ]
        await self.seq.store(0, BASE, data, plan=plan)
        assert await self.seq.load(0, BASE, len(data)) == data


@pyuvm.test(timeout_time=5, timeout_unit="ms")
class Identifiers(EngineTest):
    """Many bursts under way with one ID and with many, while the memory reorders and interleaves."""

    async def body(self) -> None:
        """Write and read the same tensor with 1, 2 and all IDs."""
        self.env.dram.timing = DramTiming(
            read_latency=(5, 90), write_latency=(1, 60), reorder=True, interleave=True, b_idle=0.2, r_idle=0.1
        )
        lines = 40 if self.slow else 200
        data = self.rng.randbytes(lines * LINE_BYTES - 7)
        await self.seq.define(0, BASE, len(data))
        for idents in (1, 2, self.env.axi.driver.manager.id_count):
            plan = runs(BASE, lines, self.env.bus_bytes, self.rng, longest=4)
            self.rng.shuffle(plan)
            await self.seq.expect(Result.OK, Opcode.OPEN_WRITE, 0)
            await self.seq.write_lines(BASE, data, plan, idents=idents)
            await self.seq.expect(Result.OK, Opcode.CLOSE_WRITE, 0)
            self.rng.shuffle(plan)
            await self.seq.expect(Result.OK, Opcode.OPEN_READ, 0)
            assert await self.seq.read_lines(BASE, len(data), plan, idents=idents) == data
            await self.seq.expect(Result.OK, Opcode.CLOSE_READ, 0)
        statistics = self.env.dram.statistics
        assert statistics.overtaken, "no response overtook another: the test showed nothing"
        assert statistics.interleaved, "no read was interleaved with another: the test showed nothing"


@pyuvm.test(timeout_time=5, timeout_unit="ms")
class ChannelOrder(EngineTest):
    """Data before, with and after addresses on either side of the engine."""

    async def body(self) -> None:
        """Cross the orders of NPU and memory."""
        data = self.rng.randbytes(12 * LINE_BYTES)
        await self.seq.define(0, BASE, len(data))
        timing = self.env.axi.driver.manager.timing
        for npu in ("together", "data_first", "address_first"):
            for memory in ("any", "aw_first", "w_first"):
                timing.write_order = npu
                self.env.dram.timing = DramTiming(write_order=memory)
                plan = runs(BASE, 12, self.env.bus_bytes, self.rng, longest=4)
                await self.seq.store(0, BASE, data, plan=plan)
                assert await self.seq.load(0, BASE, len(data)) == data


@pyuvm.test(timeout_time=5, timeout_unit="ms")
class PageEdges(EngineTest):
    """Bursts that begin and end exactly at a 4 KiB edge are served, bursts that cross it are refused."""

    async def body(self) -> None:
        """Work around the edge inside one tensor of two pages."""
        data = self.rng.randbytes(2 * BOUNDARY)
        await self.seq.define(0, BASE, len(data))
        await self.seq.expect(Result.OK, Opcode.OPEN_WRITE, 0)
        edge = BASE + BOUNDARY
        two = self.rng.randbytes(2 * LINE_BYTES)
        crossing = [await self.seq.write(edge - LINE_BYTES, two)]
        await self.seq.finish(crossing)
        plan = [(60, 4), (64, 4), *((line, 4) for line in range(0, 60, 4)), *((line, 4) for line in range(68, 128, 4))]
        await self.seq.write_lines(BASE, data, plan)
        await self.seq.expect(Result.OK, Opcode.CLOSE_WRITE, 0)
        await self.seq.expect(Result.OK, Opcode.OPEN_READ, 0)
        served = []
        for size in range(self.seq.full + 1):
            step = 1 << size
            served.append(await self.seq.read(edge - step, 1, size=size))
            served.append(await self.seq.read(edge, 1, size=size))
            served.append(await self.seq.read(edge - 4 * step, 4, size=size))
            crossing.append(await self.seq.read(edge - step, 2, size=size))
            crossing.append(await self.seq.read(edge - 3 * step, 16, size=size))
        # The last beat of an unaligned burst ends with its aligned container, not behind it.
        served.append(await self.seq.read(edge - 2 * self.env.bus_bytes + 1, 2))
        await self.seq.finish([*served, *crossing])
        assert all(set(burst.responses) == {OKAY} for burst in served)
        assert all(set(burst.responses) == {SLVERR} for burst in crossing)
        await self.seq.expect(Result.COVERAGE_ERROR, Opcode.CLOSE_READ, 0)
