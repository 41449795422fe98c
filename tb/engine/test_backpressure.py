# SPDX-License-Identifier: Apache-2.0
"""Idle cycles and back-pressure on every channel, crossed with burst sizes: the data must not depend on time."""

from __future__ import annotations

from itertools import product

import pyuvm
from tensortee.engine.registers import Opcode, Result

from tb.dram import DramTiming
from tb.env.axi_manager import ManagerTiming
from tb.env.base_test import EngineTest
from tb.env.plan import runs
from tb.memory import LINE_BYTES

BASE = 0x1_0000
RATES = (0.0, 0.3, 0.8)


@pyuvm.test(timeout_time=10, timeout_unit="ms")
class BackPressureMatrix(EngineTest):
    """Idle rate of the NPU x stall rate of both sides x longest burst x speed of the memory."""

    async def body(self) -> None:
        """Write and read a tensor at each point of the matrix."""
        lines = 10 if self.slow else 24
        nbytes = lines * LINE_BYTES - 5
        points = list(product(RATES, RATES, (1, 4, 64), ((1, 3), (30, 60))))
        for idle, stall, longest, latency in self.thin(points, 6):
            self.env.axi.driver.manager.timing = ManagerTiming(idle, idle, idle, stall, stall)
            self.env.dram.timing = DramTiming(
                latency, latency, stall, stall, stall, idle, idle, reorder=True, interleave=bool(longest % 2)
            )
            data = self.rng.randbytes(nbytes)
            # Defined anew each time: a build may have few version numbers.
            await self.seq.define(0, BASE, nbytes)
            plan = runs(BASE, lines, self.env.bus_bytes, self.rng, longest)
            self.rng.shuffle(plan)
            await self.seq.store(0, BASE, data, plan=plan)
            assert await self.seq.load(0, BASE, nbytes, plan=plan) == data
            await self.seq.expect(Result.OK, Opcode.RELEASE, 0)
        self.env.axi.driver.manager.timing = ManagerTiming()
        self.env.dram.timing = DramTiming()


@pyuvm.test(timeout_time=5, timeout_unit="ms")
class SlowResponses(EngineTest):
    """R and B are not taken for a long time while everything behind them fills up: nothing is lost or locks up."""

    async def body(self) -> None:
        """Hold READY low, then let go."""
        lines = 48
        nbytes = lines * LINE_BYTES
        data = self.rng.randbytes(nbytes)
        await self.seq.define(0, BASE, nbytes)
        manager = self.env.axi.driver.manager
        manager.timing = ManagerTiming(r_stall=0.97, b_stall=0.97)
        self.env.dram.timing = DramTiming(read_latency=1, write_latency=1)
        plan = runs(BASE, lines, self.env.bus_bytes, self.rng, longest=2)
        await self.seq.store(0, BASE, data, plan=plan)
        manager.timing = ManagerTiming(r_stall=0.9)
        assert await self.seq.load(0, BASE, nbytes, plan=plan) == data
        manager.timing = ManagerTiming()
