# SPDX-License-Identifier: Apache-2.0
"""Watches alerts and interrupt, and that nothing is released while the engine is in FATAL."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.task import Task
from cocotb.triggers import ReadOnly, RisingEdge

from tb.env.bursts import SLVERR
from tb.signals import Signals

RELEASE_CYCLES = 6
"""Cycles after alert_fatal in which beats that were already on their way may still come out."""


class SidebandMonitor:
    """Counts ``alert_recov`` pulses and follows ``alert_fatal`` and ``irq``.

    SEC_CM: DATA.BLOCKED - with alert_fatal high every read beat is zero with an error, every write beat has no strobes.
    """

    def __init__(self, dut: Any) -> None:
        self._dut = dut
        self._pins = Signals(dut, "")
        self.recoverable = 0
        self.fatal = False
        self.irq = False
        self.beats_in_fatal = 0
        self._task: Task[None] | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._task = cocotb.start_soon(self._run())

    async def _run(self) -> None:
        edge, settled = RisingEdge(self._dut.clk), ReadOnly()
        pins = self._pins
        since_fatal = 0
        while True:
            await edge
            await settled
            if int(self._dut.rst.value):
                self.fatal = self.irq = False
                since_fatal = 0
                continue
            self.recoverable += pins.get("alert_recov")
            self.fatal = bool(pins.get("alert_fatal"))
            self.irq = bool(pins.get("irq"))
            since_fatal = since_fatal + 1 if self.fatal else 0
            if since_fatal <= RELEASE_CYCLES:
                continue
            if pins.get("s_axi_rvalid"):
                self.beats_in_fatal += 1
                if pins.get("s_axi_rdata") or pins.get("s_axi_rresp") != SLVERR:
                    raise AssertionError("a read beat was released while alert_fatal is high")
            if pins.get("m_axi_wvalid") and pins.get("m_axi_wstrb"):
                raise AssertionError("a write beat reached the memory while alert_fatal is high")
