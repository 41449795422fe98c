# SPDX-License-Identifier: Apache-2.0
"""Watches alerts and interrupt, and that nothing is released while the engine is in FATAL."""

from __future__ import annotations

from typing import Any

from tb.env.bursts import SLVERR
from tb.signals import Signals

RELEASE_CYCLES = 6
"""Cycles after alert_fatal in which beats that were already on their way may still come out."""


class SidebandMonitor:
    """Counts ``alert_recov`` pulses and follows ``alert_fatal`` and ``irq``.

    SEC_CM: DATA.BLOCKED - with alert_fatal high every read beat is zero with an error, every write beat has no strobes.
    """

    def __init__(self, dut: Any) -> None:
        self._pins = Signals(dut, "")
        self.recoverable = 0
        self.fatal = False
        self.irq = False
        self.beats_in_fatal = 0
        self._since_fatal = 0

    def after_edge(self) -> None:
        """A monitor drives nothing."""

    def settled(self, in_reset: bool) -> None:
        """Check this cycle."""
        pins = self._pins
        if in_reset:
            self.fatal = self.irq = False
            self._since_fatal = 0
            return
        self.recoverable += pins.get("alert_recov")
        self.fatal = bool(pins.get("alert_fatal"))
        self.irq = bool(pins.get("irq"))
        self._since_fatal = self._since_fatal + 1 if self.fatal else 0
        if self._since_fatal > RELEASE_CYCLES:
            self._nothing_released()

    def _nothing_released(self) -> None:
        pins = self._pins
        if pins.get("s_axi_rvalid"):
            self.beats_in_fatal += 1
            if pins.get("s_axi_rdata") or pins.get("s_axi_rresp") != SLVERR:
                raise AssertionError("a read beat was released while alert_fatal is high")
        if pins.get("m_axi_wvalid") and pins.get("m_axi_wstrb"):
            raise AssertionError("a write beat reached the memory while alert_fatal is high")
