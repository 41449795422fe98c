# SPDX-License-Identifier: Apache-2.0
"""What the memory owes in one direction: beats or responses go to the bursts of their ID in the order of request."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from tensortee.engine import ReadRequest, WriteRequest

from tb.env.bench_error import BenchError
from tb.env.bursts import Burst

Request = TypeVar("Request", bound=ReadRequest | WriteRequest)


@dataclass(eq=False)
class Entry(Generic[Request]):
    """A burst that the memory has to answer.

    Attributes:
        burst: the NPU's.
        request: the model's.
        parts: (address, beats) of each burst at the memory that is still to be seen there.
        unseen: beats in ``parts``.
    """

    burst: Burst
    request: Request
    parts: deque[tuple[int, int]]

    @property
    def unseen(self) -> int:
        """Beats that the memory was not asked for yet."""
        return sum(beats for _, beats in self.parts)


class Ledger(Generic[Request]):
    """Bursts of one direction that the memory has not answered completely.

    A burst that was caught by the end of READY may have been refused by the engine although the model forwards it:
    ``withdraw`` is called for it as soon as that is known.
    """

    def __init__(self, withdraw: Callable[[Entry[Request]], None]) -> None:
        self._withdraw = withdraw
        self._by_ident: defaultdict[int, deque[Entry[Request]]] = defaultdict(deque)
        self._to_ask: deque[Entry[Request]] = deque()

    def clear(self) -> None:
        """Forget everything: reset."""
        self._by_ident.clear()
        self._to_ask.clear()

    def add(self, burst: Burst, request: Request, parts: list[tuple[int, int]]) -> None:
        """A burst was forwarded."""
        entry = Entry(burst, request, deque(parts))
        self._by_ident[burst.ident].append(entry)
        self._to_ask.append(entry)

    def asked(self, burst: Burst) -> None:
        """A burst appeared at the memory: it must be the next one that was forwarded, whole."""
        while self._to_ask:
            entry = self._to_ask[0]
            if (burst.ident, burst.addr, burst.beats) == (entry.burst.ident, *entry.parts[0]):
                entry.parts.popleft()
                if not entry.parts:
                    self._to_ask.popleft()
                return
            if not entry.burst.note.get("interrupted"):
                break
            self.refused(entry)
        wanted = f"{self._to_ask[0].parts[0]} of {self._to_ask[0].burst}" if self._to_ask else "nothing"
        raise BenchError(f"the memory is asked for {burst}, expected {wanted}")

    def refused(self, entry: Entry[Request]) -> None:
        """The engine did not forward a burst, because it was no longer READY."""
        self._to_ask.remove(entry)
        self.done(entry)
        self._withdraw(entry)

    def next(self, ident: int) -> Entry[Request] | None:
        """The burst that the next beat or response with this ID belongs to."""
        queue = self._by_ident[ident]
        return queue[0] if queue else None

    def done(self, entry: Entry[Request]) -> None:
        """A burst has got everything."""
        self._by_ident[entry.burst.ident].remove(entry)

    def entries(self) -> list[Entry[Request]]:
        """All bursts to which something is owed."""
        return [entry for queue in self._by_ident.values() for entry in queue]

    def settle(self) -> None:
        """Nothing is under way in the engine any more: what never reached the memory was refused."""
        for entry in [entry for entry in self._to_ask if entry.burst.note.get("interrupted")]:
            self.refused(entry)
