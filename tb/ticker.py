# SPDX-License-Identifier: Apache-2.0
"""One loop over the clock for all pin-level parts of the bench: the triggers are paid once a cycle, not once a part."""

from __future__ import annotations

from typing import Any, Protocol

import cocotb
from cocotb.task import Task
from cocotb.triggers import ReadOnly, RisingEdge


class Ticked(Protocol):
    """A part of the bench that drives or watches pins."""

    def after_edge(self) -> None:
        """Drive outputs for the cycle that has begun."""

    def settled(self, in_reset: bool) -> None:
        """Sample the pins of this cycle: what the next rising edge will see. Nothing may be driven here."""


class Ticker:
    """Calls its parts in every cycle: all ``after_edge`` after RisingEdge, then all ``settled`` after ReadOnly.

    Args:
        clock: handle of the clock.
        reset: handle of the active-high reset.
    """

    def __init__(self, clock: Any, reset: Any) -> None:
        self._clock, self._reset = clock, reset
        self._parts: list[Ticked] = []
        self._task: Task[None] | None = None

    def add(self, part: Ticked) -> None:
        """Add a part; it is called from the next cycle on."""
        self._parts.append(part)

    def start(self) -> None:
        """Begin to tick."""
        self._task = cocotb.start_soon(self._run())

    def stop(self) -> None:
        """Stop ticking."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self) -> None:
        edge, settled = RisingEdge(self._clock), ReadOnly()
        parts, reset = self._parts, self._reset
        while True:
            await edge
            for part in parts:
                part.after_edge()
            await settled
            in_reset = int(reset.value) == 1
            for part in parts:
                part.settled(in_reset)
