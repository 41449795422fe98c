# SPDX-License-Identifier: Apache-2.0
"""Watches alerts and interrupt, and that nothing is released while the engine is not READY."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tb.env.bursts import SLVERR
from tb.signals import Signals

RELEASE_CYCLES = 3
"""Cycles after the end of READY in which a new beat may still be one that was on its way."""


class SidebandMonitor:
    """Counts ``alert_recov`` pulses, follows ``alert_fatal`` and ``irq``; sees that a blocked engine releases nothing.

    SEC_CM: DATA.BLOCKED - outside READY every read beat is zero with an error, every write beat zero without strobes. A
    beat that was offered before has to stay until it is taken; that is the protocol's rule, and the only exception.
    """

    def __init__(self, dut: Any) -> None:
        self._pins = Signals(dut, "")
        self._ready = dut.u_ctrl.engine_ready
        self.recoverable = 0
        self.fatal = False
        self.irq = False
        self.blocked_beats = {"s_axi_r": 0, "m_axi_w": 0}
        """Beats that were offered outside READY, and checked."""
        self.on_blocked: list[Callable[[], None]] = []
        """Called in the first cycle in which the engine is no longer READY."""
        self.ready = False
        """The engine is READY."""
        self._blocked_for = 0
        self._offered = {"s_axi_r": False, "m_axi_w": False}

    def after_edge(self) -> None:
        """A monitor drives nothing."""

    def settled(self, in_reset: bool) -> None:
        """Check this cycle."""
        pins = self._pins
        if in_reset:
            self.fatal = self.irq = self.ready = False
            self._blocked_for = 0
            self._offered = dict.fromkeys(self._offered, False)
            return
        self.recoverable += pins.get("alert_recov")
        self.fatal = bool(pins.get("alert_fatal"))
        self.irq = bool(pins.get("irq"))
        was_ready, self.ready = self.ready, self._ready.value == 1
        if was_ready and not self.ready:
            for listener in self.on_blocked:
                listener()
        self._blocked_for = 0 if self.ready else self._blocked_for + 1
        for channel, secret, response in (("s_axi_r", "data", "resp"), ("m_axi_w", "data", "strb")):
            if not pins.get(f"{channel}valid"):
                continue
            new = not self._offered[channel]
            self._offered[channel] = not pins.get(f"{channel}ready")
            if not new or self._blocked_for <= RELEASE_CYCLES:
                continue
            self.blocked_beats[channel] += 1
            wanted = SLVERR if channel == "s_axi_r" else 0
            if pins.get(channel + secret) or pins.get(channel + response) != wanted:
                raise AssertionError(f"{channel} released a beat {self._blocked_for} cycles after the end of READY")
