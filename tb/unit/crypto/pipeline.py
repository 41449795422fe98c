# SPDX-License-Identifier: Apache-2.0
"""Driver and cycle-exact checker of a pipeline that never stalls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge
from cocotb.utils import get_sim_time

PERIOD_NS = 10


class Pipeline:
    """Feeds a pipeline and checks every cycle of its output.

    In each cycle the output must be exactly what was announced for that cycle; in all others ``out_valid`` must be low
    and the data outputs zero. Inputs change after the rising edge, outputs are sampled when all is settled.

    Args:
        dut: handle with ``clk``, ``clear``, ``in_valid`` and ``out_valid``.
        latency: cycles from ``in_valid`` to ``out_valid``.
        inputs: names of the data inputs.
        outputs: names of the data outputs.
    """

    def __init__(self, dut: Any, latency: int, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> None:
        self.dut = dut
        self.latency = latency
        self.inputs = inputs
        self.outputs = outputs
        self.checked = 0
        self._due: dict[int, Mapping[str, int]] = {}

    @property
    def cycle(self) -> int:
        """Number of the current cycle; it changes with the rising edge."""
        return int(get_sim_time("ns")) // PERIOD_NS

    async def start(self) -> None:
        """Start the clock, empty the pipeline and start checking."""
        self.idle()
        self.dut.clear.value = 1
        Clock(self.dut.clk, PERIOD_NS, unit="ns").start()
        for _ in range(2):
            await RisingEdge(self.dut.clk)
        cocotb.start_soon(self._check())
        self.dut.clear.value = 0
        await self.step()

    def idle(self) -> None:
        """Drive no input; the data inputs are zero, as the design rules ask of every source."""
        self.dut.in_valid.value = 0
        for name in self.inputs:
            getattr(self.dut, name).value = 0

    async def step(self, cycles: int = 1) -> None:
        """Let clock cycles pass."""
        for _ in range(cycles):
            await RisingEdge(self.dut.clk)

    async def send(self, values: Mapping[str, int], expected: Mapping[str, int]) -> None:
        """Offer one input for one cycle and announce its output."""
        self.dut.in_valid.value = 1
        for name, value in values.items():
            getattr(self.dut, name).value = value
        self._due[self.cycle + self.latency] = dict(expected)
        await self.step()
        self.idle()

    async def clear(self) -> None:
        """Clear the pipeline for one cycle: nothing that is under way may come out after it."""
        self.dut.clear.value = 1
        self._due = {cycle: values for cycle, values in self._due.items() if cycle <= self.cycle}
        await self.step()
        self.dut.clear.value = 0

    async def drain(self) -> None:
        """Wait until everything has come out, and check that something did."""
        await self.step(self.latency + 2)
        assert not self._due, f"outputs that never came, due in cycles {sorted(self._due)}"
        assert self.checked, "no output was checked"

    async def _check(self) -> None:
        while True:
            await RisingEdge(self.dut.clk)
            await ReadOnly()
            expected = self._due.pop(self.cycle, None)
            valid = int(self.dut.out_valid.value)
            assert valid == (expected is not None), f"cycle {self.cycle}: out_valid is {valid}"
            for name in self.outputs:
                want = 0 if expected is None else expected[name]
                got = int(getattr(self.dut, name).value)
                assert got == want, f"cycle {self.cycle}: {name} is {got:#x}, expected {want:#x}"
            self.checked += expected is not None
