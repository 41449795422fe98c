# SPDX-License-Identifier: Apache-2.0
"""A memory that lies about what, when, for whom and how it answers, within what an AXI4 bus can carry."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tb.dram import DECERR, EXOKAY, INCR, OKAY, SLVERR, Dram, MemoryBurst

HOLD_CYCLES = 2000


@dataclass
class Freedom:
    """What a ``HostileDram`` does, each with its own probability, 0 .. 1; all zero is an honest memory.

    ``hold`` and ``wrong_last`` lie about no data: a window with them must close as with an honest memory. So must one
    with strays whose ID nobody uses.
    """

    hold: float = 0.0
    """After a beat or an accepted address: the next beat, or the response, is held for a while."""
    hold_cycles: int = HOLD_CYCLES
    """The longest time for that."""
    wrong_last: float = 0.0
    """Of a beat: RLAST is inverted."""
    wrong_data: float = 0.0
    """Of an owed beat: other data."""
    wrong_response: float = 0.0
    """Of an owed beat or response: EXOKAY, SLVERR or DECERR."""
    surplus: float = 0.0
    """After the last owed beat, or the response, of a burst: one more with its ID."""
    stray: float = 0.0
    """Per cycle and channel: a beat or a response with any ID of ``stray_idents``."""
    stray_idents: Sequence[int] = ()
    early: float = 0.0
    """Per cycle: a beat for an address that is offered and not accepted; a response before the data or the address."""


class HostileDram(Dram):
    """The adversary of the threat model as an AXI4 subordinate; ``freedom`` says what it does, by its seed.

    It may, all at once and at any time, whatever the engine's state:

    * hold any beat or response, within a line too, across commands, ZEROIZE and new keys;
    * deliver owed beats with other data: flipped bits, zeros, data of other places, old ciphertext of the place, and
      the same difference again and again;
    * answer with any response, and set RLAST as it likes;
    * send beats after the last one of an ID, beats and responses with IDs that have nothing under way, beats for
      addresses that it has not accepted, responses before data and address, and more responses than writes;
    * reorder between IDs, interleave, and stall any channel.

    It may not

    * break the handshake: what is offered stays until it is taken. A real bus enforces that, and an engine behind one
      that does not has no defined behaviour;
    * keep what it owes for ever: after at most ``hold_cycles`` for each beat it goes on, else tests would not end.
      Denial of service is outside the threat model; a directed test may use ``hold`` and ``release`` as it likes;
    * change its cells: they hold what the engine wrote, so that the bench can open the image with a third-party
      library. Wrong cells differ in nothing from wrong data of the beats that come from them;
    * look into the engine: it sees the memory bus only, as the adversary does.

    Attributes:
        freedom: see ``Freedom``.
        acts: how often it did what.
        forge: if set, maps (address, data) of each owed beat to the data that is sent.
    """

    honest = False

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.freedom = Freedom()
        self.acts: Counter[str] = Counter()
        self.forge: Callable[[int, int], int] | None = None
        self._kept_beats = 0
        self._kept_responses = False
        self._beats: deque[tuple[int, int, int]] = deque()
        self._responses: deque[tuple[int, int]] = deque()
        self._extra: tuple[int, int] | None = None
        self._old: dict[int, int] = {}
        self._difference = self._rng.getrandbits(8 * self._bytes)
        self._answered: set[MemoryBurst] = set()

    # Directed tests ---------------------------------------------------------------------------------------------------

    def hold(self, beats: int = 0, *, responses: bool = False) -> None:
        """Keep the last ``beats`` beats of every read, and the responses to writes, until ``release``."""
        self._kept_beats, self._kept_responses = beats, responses

    def release(self) -> None:
        """End ``hold``."""
        self._kept_beats, self._kept_responses = 0, False

    def send_beat(self, ident: int, data: int = 0, response: int = OKAY) -> None:
        """Send a read beat that nobody asked for, before everything else."""
        self._beats.append((ident, data, response))

    def send_response(self, ident: int, response: int = OKAY) -> None:
        """Send a write response that nobody waits for, before everything else."""
        self._responses.append((ident, response))

    @property
    def owes(self) -> int:
        """Beats of accepted reads that were not sent yet."""
        return sum(burst.beats - burst.done for burst in self._queues.reads)

    @property
    def idle(self) -> bool:
        """Nothing is owed, and nothing more waits to be sent."""
        return super().idle and not (self._beats or self._responses or self._current or self._response)

    # Reads ------------------------------------------------------------------------------------------------------------

    def _in_reset(self) -> None:
        super()._in_reset()
        self._beats.clear()
        self._responses.clear()
        self._answered.clear()

    def _does(self, what: str, probability: float) -> bool:
        """Whether it does something now; counted."""
        if not (probability and self._rng.random() < probability):
            return False
        self.acts[what] += 1
        return True

    def _hold(self, burst: MemoryBurst, what: str) -> None:
        if self._does(what, self.freedom.hold):
            burst.due = self.cycle + self._rng.randint(1, self.freedom.hold_cycles)

    def _made_up(self, ident: int, data: int, response: int) -> MemoryBurst:
        """A burst of no place, for a beat or response that was not asked for."""
        self._extra = data, response
        return MemoryBurst(ident, 0, 0, self._size, INCR, -1)

    def _choose_read(self) -> MemoryBurst | None:
        freedom = self.freedom
        if self._beats:
            return self._made_up(*self._beats.popleft())
        if freedom.stray_idents and self._does("stray beat", freedom.stray):
            return self._made_up(self._rng.choice(freedom.stray_idents), self._any_word(), self._any_response())
        offered = self._pending.get("ar")
        if offered is not None and self._does("early beat", freedom.early):
            return self._made_up(offered[0], self._word(offered[1]), OKAY)
        eligible = [
            burst for burst in self._eligible(self._queues.reads) if burst.beats - burst.done > self._kept_beats
        ]
        if not eligible:
            return None
        return eligible[0] if self._rng.random() < 0.5 else self._rng.choice(eligible)

    def _beat(self, burst: MemoryBurst) -> tuple[int, int, bool]:
        if burst.serial < 0:
            assert self._extra is not None
            return *self._extra, bool(self._rng.getrandbits(1))
        data, response, last = super()._beat(burst)
        at = burst.beat_address(burst.done)
        if self.forge is not None:
            data = self.forge(at, data)
        if self._does("wrong data", self.freedom.wrong_data):
            data = self._wrong_word(at, data)
        if self._does("wrong response", self.freedom.wrong_response):
            response = self._rng.choice((EXOKAY, SLVERR, DECERR))
        return data, response, last != self._does("wrong RLAST", self.freedom.wrong_last)

    def _beat_taken(self, burst: MemoryBurst) -> None:
        if burst.serial < 0:
            return
        super()._beat_taken(burst)
        if burst.done < burst.beats:
            self._hold(burst, "beat held within a line" if burst.done * self._bytes % 64 else "beat held")
        elif self._does("surplus beat", self.freedom.surplus):
            self._beats.append((burst.ident, self._any_word(), OKAY))

    def _word(self, addr: int) -> int:
        return int.from_bytes(self.memory.peek(addr & -self._bytes, self._bytes), "little")

    def _any_word(self) -> int:
        """Data from anywhere that was written, or random."""
        if self._old and self._rng.random() < 0.5:
            return self._word(self._rng.choice(list(self._old)))
        return self._rng.getrandbits(8 * self._bytes)

    def _any_response(self) -> int:
        return self._rng.choice((OKAY, OKAY, EXOKAY, SLVERR, DECERR))

    def _wrong_word(self, addr: int, word: int) -> int:
        """Other data for a beat."""
        choice = self._rng.randrange(5)
        if choice == 0:
            return word ^ (1 << self._rng.randrange(8 * self._bytes))
        if choice == 1:
            return 0
        if choice == 2:
            return self._any_word()
        if choice == 3:
            return self._old.get(addr, 0)
        return word ^ self._difference

    # Writes -----------------------------------------------------------------------------------------------------------

    def _store(self, addr: int, data: int, strobe: int) -> None:
        self._old[addr] = self._word(addr)
        super()._store(addr, data, strobe)

    def _stored(self, burst: MemoryBurst) -> None:
        if burst in self._answered:
            self._answered.remove(burst)
            return
        super()._stored(burst)
        self._hold(burst, "response held")

    def _choose_response(self) -> MemoryBurst | None:
        freedom = self.freedom
        if self._responses:
            ident, response = self._responses.popleft()
            return self._made_up(ident, 0, response)
        if freedom.stray_idents and self._does("stray response", freedom.stray):
            return self._made_up(self._rng.choice(freedom.stray_idents), 0, self._any_response())
        if self._kept_responses:
            return None
        hasty = self._unanswered()
        if hasty is not None and self._does("response before data", freedom.early):
            self._answered.add(hasty)
            return self._made_up(hasty.ident, 0, OKAY)
        offered = self._pending.get("aw")
        if offered is not None and self._does("response before address", freedom.early):
            return self._made_up(offered[0], 0, OKAY)
        eligible = self._eligible(self._queues.responses)
        return self._rng.choice(eligible) if eligible else None

    def _unanswered(self) -> MemoryBurst | None:
        """A write whose data is not complete and which is the oldest of its ID."""
        owed = {burst.ident for burst in self._queues.responses}
        for burst in self._queues.writes:
            if burst.ident not in owed and burst not in self._answered:
                return burst
            owed.add(burst.ident)
        return None

    def _response_taken(self, burst: MemoryBurst) -> None:
        if burst.serial < 0:
            return
        super()._response_taken(burst)
        if self._does("surplus response", self.freedom.surplus):
            self._responses.append((burst.ident, OKAY))

    def _response_code(self, burst: MemoryBurst) -> int:
        if burst.serial < 0:
            assert self._extra is not None
            return self._extra[1]
        if self._does("wrong response", self.freedom.wrong_response):
            return self._rng.choice((EXOKAY, SLVERR, DECERR))
        return burst.response
