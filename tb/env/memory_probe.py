# SPDX-License-Identifier: Apache-2.0
"""Sees inside the engine what it makes of each beat and response of the memory: taken for a burst, or dropped."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from tb.env.bench_error import BenchError
from tb.signals import Signals


class MemoryProbe:
    """Follows R and B of the memory from the pins through the engine's input buffers to the place of the decision.

    ``on_read_beat`` is called with (ID, RDATA, RRESP, taken), ``on_response`` with (ID, BRESP, taken), in the cycle in
    which the engine takes or drops it. What comes out of a buffer must be what went in, in its order.
    """

    def __init__(self, dut: Any) -> None:
        self._read = Signals(dut.u_read, "")
        self._write = Signals(dut.u_write, "")
        self._entered: dict[str, deque[tuple[int, ...]]] = {"r": deque(), "b": deque()}
        self.on_read_beat: list[Callable[[int, int, int, bool], None]] = []
        self.on_response: list[Callable[[int, int, bool], None]] = []

    def entered(self, channel: str, payload: tuple[int, ...]) -> None:
        """A beat (R) or response (B) was handed over at the pins."""
        self._entered[channel].append(payload[:-1] if channel == "r" else payload)

    def after_edge(self) -> None:
        """A probe drives nothing."""

    def settled(self, in_reset: bool) -> None:
        """See what leaves the buffers in this cycle."""
        if in_reset:
            for queue in self._entered.values():
                queue.clear()
            return
        read, write = self._read, self._write
        if read.get("r_pop"):
            beat = read.get("r_id"), read.get("r_data"), read.get("r_resp")
            self._left("r", beat)
            for on_beat in self.on_read_beat:
                on_beat(*beat, bool(read.get("match_hit")))
        if write.get("r_pop"):
            response = write.get("r_id"), write.get("r_resp")
            self._left("b", response)
            for on_response in self.on_response:
                on_response(*response, bool(write.get("match_hit")))

    def _left(self, channel: str, payload: tuple[int, ...]) -> None:
        queue = self._entered[channel]
        sent = queue.popleft() if queue else None
        if payload != sent:
            raise BenchError(f"the engine looks at {payload} on m_axi_{channel}, the memory sent {sent}")
