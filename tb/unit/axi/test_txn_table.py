# SPDX-License-Identifier: Apache-2.0
"""Tests of `txn_table` against a list of bursts in the order of their arrival, all outputs in every cycle.

The parameters of the build come in N and ID_W.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from dataclasses import dataclass
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge

PERIOD_NS = 10
MAX_US = 2000
CYCLES = 250
CORNERS = (
    "full",
    "free of a full table",
    "done and free at once",
    "done, free and alloc at once",
    "alloc with the done of its ID",
    "alloc behind bursts of its ID",
    "free before an older burst",
    "done before an older burst of another ID",
    "no match although the ID is in use",
    "match",
)


@dataclass
class Burst:
    """A burst in the table."""

    entry: int
    id: int
    done: bool = False


class Model:
    """The bursts in use, the oldest first.

    Args:
        entries: size of the table.

    Attributes:
        older: for each entry, the entries in use that were taken before it was.
        reached: how often each corner was reached.
    """

    def __init__(self, entries: int) -> None:
        self.entries = entries
        self.bursts: list[Burst] = []
        self.older: list[set[int]] = [set() for _ in range(entries)]
        self.reached: Counter[str] = Counter()

    @property
    def free(self) -> list[int]:
        """Entries that may be taken."""
        return sorted(set(range(self.entries)) - {burst.entry for burst in self.bursts})

    @property
    def eldest(self) -> dict[int, Burst]:
        """For each ID the oldest burst that expects responses."""
        return {burst.id: burst for burst in reversed(self.bursts) if not burst.done}

    def step(self, alloc: int | None, done: Burst | None, free: Burst | None) -> None:
        """What a cycle changes; `alloc` is the ID of a new burst."""
        reached, entry = self.reached, self.free[0] if self.free else None
        full = entry is None
        reached["full"] += full
        if done is not None:
            reached["done before an older burst of another ID"] += any(not b.done for b in self._before(done))
            done.done = True
        if free is not None:
            assert free.done
            reached["free of a full table"] += full
            reached["free before an older burst"] += self.bursts[0] is not free
            reached["done and free at once"] += free is done
            reached["done, free and alloc at once"] += free is done and alloc is not None
            self.bursts.remove(free)
            for older in self.older:
                older.discard(free.entry)
        if alloc is not None:
            assert entry is not None
            reached["alloc with the done of its ID"] += done is not None and done.id == alloc
            reached["alloc behind bursts of its ID"] += alloc in self.eldest
            self.older[entry] = {burst.entry for burst in self.bursts}
            self.bursts.append(Burst(entry, alloc))

    def _before(self, burst: Burst) -> list[Burst]:
        return self.bursts[: self.bursts.index(burst)]


class Bench:
    """Drives the table and checks all its outputs in every cycle.

    Args:
        dut: handle of `txn_table`.

    Attributes:
        matches: matches that were checked.
    """

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.rng = random.Random(cocotb.RANDOM_SEED)
        self.entries, self.id_w = int(os.environ["N"]), int(os.environ["ID_W"])
        self.matches = 0
        self.model = Model(self.entries)

    @classmethod
    async def start(cls, dut: Any) -> Bench:
        """Start the clock and leave reset."""
        bench = cls(dut)
        for name in ("alloc", "alloc_id", "match_id", "done", "done_idx", "free", "free_idx"):
            getattr(dut, name).value = 0
        Clock(dut.clk, PERIOD_NS, unit="ns").start()
        await bench.reset()
        return bench

    async def reset(self) -> None:
        """Forget all bursts."""
        self.dut.rst.value = 1
        for _ in range(2):
            await RisingEdge(self.dut.clk)
        self.dut.rst.value = 0
        self.model = Model(self.entries)

    async def cycle(
        self, match: int, alloc: int | None = None, done: Burst | None = None, free: Burst | None = None
    ) -> None:
        """One cycle with these inputs; what is not asked for is noise."""
        dut, rng, model = self.dut, self.rng, self.model
        dut.alloc.value, dut.done.value, dut.free.value = alloc is not None, done is not None, free is not None
        dut.alloc_id.value = rng.randrange(2**self.id_w) if alloc is None else alloc
        dut.done_idx.value = rng.randrange(self.entries) if done is None else done.entry
        dut.free_idx.value = rng.randrange(self.entries) if free is None else free.entry
        dut.match_id.value = match
        await ReadOnly()
        available, eldest = model.free, model.eldest
        assert int(dut.alloc_ok.value) == bool(available)
        if available:
            assert int(dut.alloc_idx.value) == available[0]
        assert int(dut.eldest.value) == sum(1 << burst.entry for burst in eldest.values())
        ids, older = int(dut.ids.value), int(dut.older.value)
        for burst in model.bursts:
            assert ids >> burst.entry * self.id_w & (1 << self.id_w) - 1 == burst.id
        assert older == sum(1 << i * self.entries + j for i, entries in enumerate(model.older) for j in entries)
        expected = eldest.get(match)
        assert int(dut.match_hit.value) == (expected is not None)
        if expected is not None:
            assert int(dut.match_idx.value) == expected.entry
            self.matches += 1
        model.reached["match"] += expected is not None
        model.reached["no match although the ID is in use"] += expected is None and match in {
            burst.id for burst in model.bursts
        }
        model.step(alloc, done, free)
        await RisingEdge(dut.clk)


@cocotb.test(timeout_time=MAX_US, timeout_unit="us")
async def random_bursts(dut: Any) -> None:
    """Bursts come and go in every order that AXI allows: one ID, two and all; into an empty table and a full one."""
    bench = await Bench.start(dut)
    rng, model = bench.rng, bench.model
    for ids in (1, 2, 2**bench.id_w):
        for come, leave in ((0.9, 0.1), (0.9, 0.9), (0.1, 0.5), (0.5, 0.5)):
            for _ in range(CYCLES):
                alloc = rng.randrange(ids) if model.free and rng.random() < come else None
                eldest = list(model.eldest.values())
                done = rng.choice(eldest) if eldest and rng.random() < leave else None
                may_leave = [burst for burst in model.bursts if burst.done or burst is done]
                # Often at once, else some time later.
                free = done if rng.random() < 0.5 else rng.choice(may_leave or [None])
                await bench.cycle(rng.randrange(ids), alloc, done, free if rng.random() < leave else None)
    assert set(model.reached) == set(CORNERS), model.reached
    assert all(model.reached.values()), model.reached


@cocotb.test(timeout_time=MAX_US, timeout_unit="us")
async def unanswered_bursts_block_no_other(dut: Any) -> None:
    """Bursts of one ID are never answered: those of another pass in each entry that is left, one every two cycles."""
    bench = await Bench.start(dut)
    for stuck in (1, 2, 3):
        await bench.reset()
        model = bench.model
        for number in range(bench.entries - 1):
            await bench.cycle(0, 0 if number < stuck or number % 2 else 1)
        while others := [burst for burst in model.bursts if burst.id == 1]:
            await bench.cycle(1, done=others[0], free=others[0])
        room = len(model.free)
        assert room >= 1
        for _ in range(4 * bench.entries):
            await bench.cycle(0, 1)
            (burst,) = (burst for burst in model.bursts if burst.id == 1)
            await bench.cycle(1, done=burst, free=burst)
        assert len(model.free) == room


@cocotb.test(timeout_time=MAX_US, timeout_unit="us")
async def bursts_of_one_id_match_in_order(dut: Any) -> None:
    """A table full of one ID, taken into entries that became free out of order, is answered in order of arrival."""
    bench = await Bench.start(dut)
    rng, model = bench.rng, bench.model
    for _ in range(bench.entries):
        await bench.cycle(1, 0)
    for _ in range(bench.entries):
        await bench.cycle(0, done=model.eldest[0])
    waiting = list(model.bursts)
    while waiting == model.bursts:
        rng.shuffle(waiting)
    for burst in waiting:
        await bench.cycle(0, free=burst)
        await bench.cycle(0, 1)
    order = [burst.entry for burst in model.bursts]
    assert order == [burst.entry for burst in waiting]
    assert order != sorted(order)
    before = bench.matches
    for _ in range(bench.entries):
        await bench.cycle(1, done=model.eldest[1], free=model.eldest[1])
    assert bench.matches == before + bench.entries


@cocotb.test(timeout_time=MAX_US, timeout_unit="us")
async def reset_empties_the_table(dut: Any) -> None:
    """Bursts from before a reset neither match nor hold an entry."""
    bench = await Bench.start(dut)
    for _ in range(bench.entries):
        await bench.cycle(1, 1)
    assert bench.matches == bench.entries - 1
    dut.alloc.value, dut.done.value, dut.free.value = 1, 1, 1
    await bench.reset()
    for _ in range(bench.entries):
        await bench.cycle(1, 0)
