# SPDX-License-Identifier: Apache-2.0
"""Tests of `write_map` against sets of written lines, every cycle of its answers exact.

The parameters of the build come in SLOTS and MAP_WORDS.
"""

from __future__ import annotations

import itertools
import os
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly, RisingEdge
from tensortee.engine.registers import FaultCause

PERIOD_NS = 10
MAX_US = 2000
WORD = 64
MAX_LINES = 2**30
STATES = {
    "IDLE": 0b0000,
    "SEEK": 0b0011,
    "MOVE": 0b0101,
    "FIRST": 0b0110,
    "SECOND": 0b1001,
    "MARK": 0b1010,
    "CLEAR": 0b1100,
}
STATE_BITS = 4
CORNERS = (
    "clear",
    "clear of a tensor longer than the map",
    "clear goes before check",
    "check waits for a clear",
    "one word marked",
    "two words marked",
    "rewrite in the first word",
    "rewrite in the second word",
    "below the window",
    "above the window",
    "window moved",
    "window moved for a burst over the wrap",
)


class Check(NamedTuple):
    """A burst that asks."""

    slot: int
    line: int
    lines: int


class Clear(NamedTuple):
    """A new epoch of a tensor of so many lines."""

    slot: int
    lines: int


@dataclass
class Epoch:
    """What a slot has written in its epoch."""

    lines: int = 0
    written: set[int] = field(default_factory=set)
    oldest: int = 0


class Model:
    """The map as sets of lines, with the cycles that each answer takes.

    Args:
        slots: number of slots.
        words: words in the window of each slot.

    Attributes:
        reached: how often each corner was reached.
    """

    def __init__(self, slots: int, words: int) -> None:
        self.words = words
        self.epochs = [Epoch() for _ in range(slots)]
        self.reached: Counter[str] = Counter()

    def clear(self, request: Clear) -> int:
        """Begin an epoch; returns the cycles until it is done."""
        self.epochs[request.slot] = Epoch(request.lines)
        words = -(-request.lines // WORD)
        self.reached["clear of a tensor longer than the map" if words > self.words else "clear"] += 1
        return min(words, self.words) + 1

    def check(self, request: Check) -> tuple[FaultCause, int]:
        """The answer to a burst, and the cycles until it comes."""
        epoch = self.epochs[request.slot]
        lines = set(range(request.line, request.line + request.lines))
        first, last = request.line // WORD, (request.line + request.lines - 1) // WORD
        cycles = 0
        while True:
            if first < epoch.oldest:
                self.reached["below the window"] += 1
                assert epoch.written & lines, "the model refuses lines that were not written"
                return FaultCause.REWRITE, cycles + 2
            if last - epoch.oldest < self.words:
                break
            cycles += 2
            if not epoch.written.issuperset(range(epoch.oldest * WORD, (epoch.oldest + 1) * WORD)):
                self.reached["above the window"] += 1
                return FaultCause.ORDER, cycles + 1
            epoch.oldest += 1
            self.reached["window moved"] += 1
            if last != first and last % self.words == 0:
                self.reached["window moved for a burst over the wrap"] += 1
        again = sorted(epoch.written & lines)
        if again and again[0] // WORD == first:
            self.reached["rewrite in the first word"] += 1
            return FaultCause.REWRITE, cycles + 3
        if again:
            self.reached["rewrite in the second word"] += 1
            return FaultCause.REWRITE, cycles + 4
        epoch.written |= lines
        self.reached["two words marked" if last != first else "one word marked"] += 1
        return FaultCause.NONE, cycles + (5 if last != first else 3)


class Bench:
    """Drives both ports and checks all outputs in every cycle.

    Args:
        dut: handle of `write_map`.

    Attributes:
        check: the burst that is offered until it is taken.
        clear: the epoch that is offered until it is taken.
        due: what is taken and not yet answered: the answer to a burst, or the epoch that begins.
        answers: answers and completions that were checked.
        upset: the state machine was just made to leave a state that does not exist.
    """

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.rng = random.Random(cocotb.RANDOM_SEED)
        self.slots, self.words = int(os.environ["SLOTS"]), int(os.environ["MAP_WORDS"])
        self.model = Model(self.slots, self.words)
        self.check: Check | None = None
        self.clear: Clear | None = None
        self.due: FaultCause | Clear | None = None
        self.answers: list[FaultCause | Clear] = []
        self.upset = False
        self._busy = 0
        self._driven: tuple[Check | None, Clear | None] | None = None

    @classmethod
    async def start(cls, dut: Any) -> Bench:
        """Start the clock and leave reset."""
        bench = cls(dut)
        bench.drive()
        dut.rst.value = 1
        Clock(dut.clk, PERIOD_NS, unit="ns").start()
        for _ in range(2):
            await RisingEdge(dut.clk)
        dut.rst.value = 0
        return bench

    def drive(self) -> None:
        """Offer what there is; what is not offered is noise, new with each change."""
        dut, rng = self.dut, self.rng
        if self._driven == (self.check, self.clear):
            return
        self._driven = self.check, self.clear
        check = self.check or Check(rng.randrange(self.slots), rng.randrange(MAX_LINES), rng.randrange(1, WORD + 1))
        clear = self.clear or Clear(rng.randrange(self.slots), rng.randrange(1, MAX_LINES + 1))
        dut.check_valid.value, dut.clear_valid.value = self.check is not None, self.clear is not None
        dut.check_slot.value, dut.check_line.value, dut.check_count.value = check
        dut.clear_slot.value, dut.clear_lines.value = clear

    async def cycle(self) -> None:
        """One cycle: drive, compare all outputs, go on to the next rising edge."""
        dut, reached = self.dut, self.model.reached
        self.drive()
        await ReadOnly()
        idle = self._busy == 0
        answer = self.due if idle else None
        cause = FaultCause.NOT_READY if self.upset else answer
        assert int(dut.fault.value) == self.upset
        assert int(dut.clear_done.value) == (self.upset or isinstance(answer, Clear))
        assert int(dut.rsp_valid.value) == isinstance(cause, FaultCause)
        if isinstance(cause, FaultCause):
            assert int(dut.rsp_cause.value) == cause, f"answered {int(dut.rsp_cause.value)}, expected {cause!r}"
        self.upset = False
        if answer is not None:
            self.answers.append(answer)
            self.due = None
        assert int(dut.clear_ready.value) == idle
        assert int(dut.check_ready.value) == (idle and self.clear is None)
        if idle and self.clear is not None:
            reached["clear goes before check"] += self.check is not None
            self.due, self._busy = self.clear, self.model.clear(self.clear)
            self.clear = None
        elif idle and self.check is not None:
            self.due, self._busy = self.model.check(self.check)
            self.check = None
        elif isinstance(self.due, Clear):
            reached["check waits for a clear"] += self.check is not None
        self._busy = max(0, self._busy - 1)
        await RisingEdge(dut.clk)

    async def finish(self) -> None:
        """Wait until all that is offered is answered."""
        while self.check is not None or self.clear is not None or self.due is not None:
            await self.cycle()

    async def ask(self, slot: int, line: int, lines: int) -> FaultCause:
        """Let one burst ask, and return the answer."""
        self.check = Check(slot, line, lines)
        await self.finish()
        answer = self.answers[-1]
        assert isinstance(answer, FaultCause)
        return answer

    async def open(self, slot: int, lines: int) -> None:
        """Begin an epoch."""
        self.clear = Clear(slot, lines)
        await self.finish()

    async def fill(self, slot: int, first: int, last: int) -> None:
        """Write the words first .. last - 1 completely."""
        for word in range(first, last):
            assert await self.ask(slot, word * WORD, WORD) == FaultCause.NONE

    async def flip(self, state: str, code: int) -> None:
        """In this cycle, in which the machine is in a state, replace its code."""
        dut = self.dut
        self.drive()
        await FallingEdge(dut.clk)
        assert int(dut.fsm.value) == STATES[state], f"not in {state}"
        dut.fsm.value = code
        await ReadOnly()
        assert not int(dut.check_ready.value)
        assert not int(dut.clear_ready.value)
        await RisingEdge(dut.clk)
        self.due, self._busy, self.upset = None, 0, True

    def memory(self) -> list[int]:
        """The first words of the map of slot 0, from the memory itself."""
        return [int(self.dut.u_map.mem[word].value) for word in range(4)]


def _tensor(bench: Bench) -> int:
    """Lines of a tensor: shorter than the map, as long, longer."""
    words = bench.rng.choice([1, 2, 3, 4, bench.words, bench.words + 1, MAX_LINES // WORD])
    return min(MAX_LINES, max(1, words * WORD + bench.rng.randrange(-WORD, WORD)))


def _burst(bench: Bench, slot: int) -> Check:
    """A burst near one of the corners of the window."""
    rng, epoch = bench.rng, bench.model.epochs[slot]
    start = epoch.oldest * WORD
    missing = next(line for line in range(start, MAX_LINES + 1) if line not in epoch.written)
    corners = [
        start + rng.randrange(4 * WORD),
        start - rng.randrange(1, 2 * WORD),
        start + bench.words * WORD - rng.randrange(-WORD, WORD),
        missing - rng.randrange(WORD),
        missing + rng.randrange(WORD),
    ]
    line = max(0, min(rng.choice([*corners, *(missing for _ in corners)]), epoch.lines - 1))
    count = rng.choice([1, 2, 63, 64, rng.randrange(1, WORD + 1)])
    return Check(slot, line, min(count, epoch.lines - line))


@cocotb.test(timeout_time=MAX_US, timeout_unit="us")
async def random_bursts(dut: Any) -> None:
    """Bursts of two slots near the corners of the window, with and without pauses; epochs begin meanwhile.

    Slot 0 begins with all words but one full, and a burst over the end of the map, so that its window moves.
    """
    bench = await Bench.start(dut)
    rng, slots = bench.rng, (0, bench.slots - 1)
    for slot in slots:
        await bench.open(slot, MAX_LINES)
    await bench.fill(0, 0, bench.words - 1)
    assert await bench.ask(0, bench.words * WORD - 1, 2) == FaultCause.NONE
    for pause in (0.0, 0.5, 0.9):
        enough = len(bench.answers) + 400
        while len(bench.answers) < enough:
            if bench.check is None and rng.random() >= pause:
                bench.check = _burst(bench, rng.choice(slots))
                if bench.clear is None and rng.random() < 0.03:
                    # The burst stays within its tensor.
                    bench.clear = Clear(slots[1], max(bench.check.line + bench.check.lines, _tensor(bench)))
            await bench.cycle()
        await bench.finish()
    assert set(bench.model.reached) == set(CORNERS), bench.model.reached
    assert all(bench.model.reached.values()), bench.model.reached
    assert {type(answer) for answer in bench.answers} == {FaultCause, Clear}


@cocotb.test(timeout_time=MAX_US, timeout_unit="us")
async def window_moves_over_the_whole_map(dut: Any) -> None:
    """Every word full: the window moves by its whole length at once; one word with a gap stops it there."""
    bench = await Bench.start(dut)
    words = bench.words
    await bench.open(1, MAX_LINES)
    await bench.fill(1, 0, words)
    assert await bench.ask(1, (2 * words - 1) * WORD, WORD) == FaultCause.NONE
    assert bench.model.epochs[1].oldest == words
    assert await bench.ask(1, (2 * words - 1) * WORD, 1) == FaultCause.REWRITE
    assert await bench.ask(1, words * WORD - 1, 1) == FaultCause.REWRITE
    await bench.open(1, 3 * words * WORD)
    gap = words // 2
    await bench.fill(1, 0, gap)
    assert await bench.ask(1, gap * WORD, WORD - 1) == FaultCause.NONE
    await bench.fill(1, gap + 1, words)
    assert await bench.ask(1, 2 * words * WORD, WORD) == FaultCause.ORDER
    assert bench.model.epochs[1].oldest == gap
    assert await bench.ask(1, (gap + 1) * WORD - 1, 1) == FaultCause.NONE
    assert await bench.ask(1, (2 * words - 2) * WORD + 1, WORD) == FaultCause.NONE


@cocotb.test(timeout_time=MAX_US, timeout_unit="us")
async def end_of_the_largest_tensor(dut: Any) -> None:
    """The last lines that an index can name, with the window moved there by hand."""
    bench = await Bench.start(dut)
    await bench.open(0, MAX_LINES)
    start = MAX_LINES // WORD - bench.words - 1
    dut.oldest[0].value = start
    bench.model.epochs[0].oldest = start
    await bench.fill(0, start, start + 1)
    assert await bench.ask(0, MAX_LINES - WORD - 1, WORD) == FaultCause.NONE
    assert bench.model.epochs[0].oldest == start + 1
    assert await bench.ask(0, MAX_LINES - WORD, WORD) == FaultCause.REWRITE
    assert await bench.ask(0, MAX_LINES - 1, 1) == FaultCause.NONE
    assert await bench.ask(0, start * WORD, 1) == FaultCause.REWRITE


@cocotb.test(timeout_time=MAX_US, timeout_unit="us")
async def slots_are_independent(dut: Any) -> None:
    """Each slot remembers its own lines, and an epoch of one empties no other."""
    bench = await Bench.start(dut)
    for slot in range(bench.slots):
        await bench.open(slot, 2 * WORD)
        assert await bench.ask(slot, 3 * slot, 3) == FaultCause.NONE
    for slot in range(bench.slots):
        for other in range(bench.slots):
            expected = FaultCause.REWRITE if slot == other else FaultCause.NONE
            assert await bench.ask(slot, 3 * other + 1, 1) == expected
    await bench.open(1, 2 * WORD)
    for slot in range(bench.slots):
        assert await bench.ask(slot, 1, 1) == (FaultCause.NONE if slot == 1 else FaultCause.REWRITE)


async def _lead_to(bench: Bench, state: str) -> None:
    """From an empty map in slot 0, bring the state machine into a state by what is asked of it."""
    cycles = {"IDLE": 0, "SEEK": 1, "MOVE": 2, "FIRST": 2, "SECOND": 3, "MARK": 4, "CLEAR": 2}[state]
    if state == "MOVE":
        await bench.fill(0, 0, 1)
        bench.check = Check(0, bench.words * WORD, 1)
    elif state == "CLEAR":
        bench.clear = Clear(0, 4 * WORD)
    elif state != "IDLE":
        bench.check = Check(0, WORD - 1, 2)
    for _ in range(cycles):
        await bench.cycle()


@cocotb.test(timeout_time=MAX_US, timeout_unit="us")
async def states_that_do_not_exist_are_answered(dut: Any) -> None:
    """From each state into each code that is none, every flipped bit among them: a fault, an answer, no mark."""
    bench = await Bench.start(dut)
    wrong = sorted(set(range(2**STATE_BITS)) - set(STATES.values()))
    assert {code ^ 1 << bit for code in STATES.values() for bit in range(STATE_BITS)} <= set(wrong)
    checked = 0
    for state, code in itertools.product(STATES, wrong):
        await bench.open(0, 4 * WORD)
        await _lead_to(bench, state)
        # What is offered now has to wait for the next cycle.
        bench.check, bench.clear = Check(0, WORD, 1), Clear(0, 4 * WORD)
        flip = cocotb.start_soon(bench.flip(state, code))
        await FallingEdge(dut.clk)
        before = bench.memory()
        await flip
        await bench.cycle()
        assert bench.memory() == before, f"{state}: a state that does not exist wrote"
        await bench.finish()
        assert bench.answers[-2:] == [Clear(0, 4 * WORD), FaultCause.NONE]
        assert await bench.ask(0, WORD, 1) == FaultCause.REWRITE
        checked += 1
    assert checked == 63
