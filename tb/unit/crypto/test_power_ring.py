# SPDX-License-Identifier: Apache-2.0
"""Tests of `power_ring` against powers of the reference, every cycle of its answers exact."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge
from tensortee.reference.gf128 import ONE, inverse, multiply, power
from tensortee.reference.lines import digit_power, line_power

PERIOD_NS = 10
MAX_US = 2000
POSITIONS = 5
DIGITS = 64
MAX_LINE = 2**30 - 1
ROUND = 3
READ, WRITE = 0, 1
SECRETS = ("digit_power", "look_acc", "u_mul.g_joined.z", "u_mul.p", "rsp_q")
CORNERS = (
    *(f"a digit at position {position}" for position in range(POSITIONS)),
    *(f"{digits} digits" for digits in range(POSITIONS + 1)),
    "both ask",
    "one asks twice in a row",
    "no room",
    "overtaken",
    "answers in cycles that follow",
)


class Request(NamedTuple):
    """A burst that starts at a line."""

    line: int
    tag: int


def digits_of(line: int) -> list[int]:
    """The digits of a line index in base 64, the lowest first."""
    return [line >> 6 * position & DIGITS - 1 for position in range(POSITIONS)]


class Bench:
    """Drives both requesters and checks, in every cycle, who is served and what comes out.

    Args:
        dut: handle of `power_ring`.

    Attributes:
        asking: request of each side, offered until it is taken.
        expect: the answer for a line index, None if any will do.
        served: requests taken, for each side.
        checked: answers whose value was checked.
        reached: how often each corner was reached.
    """

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.rng = random.Random(cocotb.RANDOM_SEED)
        self.tags = 2 ** len(dut.rsp_tag)
        self.h = self.rng.getrandbits(128)
        self.g = power(inverse(self.h), 4)
        self.asking: list[Request | None] = [None, None]
        self.expect: Callable[[int], int | None] = lambda line: power(self.g, line)
        self.served = [0, 0]
        self.checked = 0
        self.reached: Counter[str] = Counter()
        self._cycle = 0
        self._last = WRITE
        self._returning: set[int] = set()
        self._due: dict[int, tuple[int, int, int | None]] = {}

    @classmethod
    async def start(cls, dut: Any) -> Bench:
        """Start the clock, leave reset and write the tables."""
        bench = cls(dut)
        dut.tbl_we.value = 0
        bench.drive()
        dut.rst.value = 1
        Clock(dut.clk, PERIOD_NS, unit="ns").start()
        for _ in range(2):
            await RisingEdge(dut.clk)
        dut.rst.value = 0
        for position in range(POSITIONS):
            base, value = power(bench.g, DIGITS**position), ONE
            for digit in range(DIGITS):
                await bench.write(position, digit, value)
                value = multiply(value, base)
            assert value == digit_power(bench.h, position, DIGITS)
        return bench

    def drive(self) -> None:
        """Offer what there is; what is not offered is noise."""
        dut, rng = self.dut, self.rng
        read, write = (
            request or Request(rng.randrange(MAX_LINE + 1), rng.randrange(self.tags)) for request in self.asking
        )
        dut.rd_req_valid.value, dut.wr_req_valid.value = (request is not None for request in self.asking)
        dut.rd_req_line.value, dut.rd_req_tag.value = read
        dut.wr_req_line.value, dut.wr_req_tag.value = write

    async def write(self, sel: int, addr: int, data: int) -> None:
        """Write one table entry."""
        dut = self.dut
        dut.tbl_we.value, dut.tbl_sel.value, dut.tbl_addr.value, dut.tbl_data.value = 1, sel, addr, data
        await self.cycle()
        dut.tbl_we.value, dut.tbl_data.value = 0, self.rng.getrandbits(128)

    async def wipe(self) -> None:
        """Write zeros over the tables; what is under way meanwhile may be answered with anything."""
        self.expect = lambda _: None
        self._due = {cycle: (side, tag, None) for cycle, (side, tag, _) in self._due.items()}
        for position in range(POSITIONS):
            for digit in range(DIGITS):
                await self.write(position, digit, 0)
        await self.finish()
        self.expect = lambda _: 0

    async def cycle(self) -> None:
        """One cycle: drive, compare all outputs, go on to the next rising edge."""
        dut, reached = self.dut, self.reached
        self.drive()
        await ReadOnly()
        if int(dut.u_digits.we.value):
            assert int(dut.u_digits.waddr.value) < POSITIONS * DIGITS, "written behind the end of the memory"
        answer = self._due.pop(self._cycle, None)
        assert int(dut.rsp_valid.value) == (answer is not None)
        q = int(dut.rsp_q.value)
        if answer is None:
            assert q == 0, "rsp_q is not zero while it is not valid"
        else:
            assert (int(dut.rsp_is_wr.value), int(dut.rsp_tag.value)) == answer[:2]
            assert answer[2] in (q, None), f"cycle {self._cycle}: {q:#x}, expected {answer[2]:#x}"
            self.checked += answer[2] is not None
            reached["answers in cycles that follow"] += self._cycle + 1 in self._due
        side = self._turn()
        ready = (int(dut.rd_req_ready.value), int(dut.wr_req_ready.value))
        for one in (READ, WRITE):
            if self.asking[one] is not None:
                assert ready[one] == (one == side), f"cycle {self._cycle}: side {one} is ready: {ready[one]}"
        if side is not None:
            self._take(side)
        self._returning.discard(self._cycle)
        self._cycle += 1
        await RisingEdge(dut.clk)

    def _turn(self) -> int | None:
        """Who is served in this cycle: with room, one that asks; of two the one that was not served last."""
        asking = [side for side in (READ, WRITE) if self.asking[side] is not None]
        self.reached["both ask"] += len(asking) == 2
        if self._cycle in self._returning:
            self.reached["no room"] += bool(asking)
            return None
        return next((side for side in asking if len(asking) == 1 or side != self._last), None)

    def _take(self, side: int) -> None:
        """A request enters the ring: it comes back after each round, and leaves after the last."""
        request = self.asking[side]
        assert request is not None
        digits = digits_of(request.line)
        used = sum(digit != 0 for digit in digits)
        rounds = max(1, used)
        self._returning |= {self._cycle + ROUND * k for k in range(1, rounds)}
        due = self._cycle + ROUND * rounds + 1
        assert due not in self._due
        self.reached["overtaken"] += any(other > due for other in self._due)
        self.reached["one asks twice in a row"] += side == self._last
        self.reached[f"{used} digits"] += 1
        for position, digit in enumerate(digits):
            self.reached[f"a digit at position {position}"] += digit != 0
        self._due[due] = (side, request.tag, self.expect(request.line))
        self._last = side
        self.served[side] += 1
        self.asking[side] = None

    async def finish(self) -> None:
        """Wait until all that was asked is answered."""
        while self._due or self.asking != [None, None]:
            await self.cycle()
        await self.cycle()

    async def ask(self, line: int) -> None:
        """One request of either side, alone."""
        self.asking[self.rng.choice((READ, WRITE))] = Request(line, self.rng.randrange(self.tags))
        await self.finish()


def _line(rng: random.Random) -> int:
    """A line index in which each digit is as often zero as not."""
    return sum(rng.choice((0, rng.randrange(DIGITS))) << 6 * position for position in range(POSITIONS))


@cocotb.test(timeout_time=MAX_US, timeout_unit="us")
async def every_entry_of_every_table(dut: Any) -> None:
    """Each digit at each position alone, which are also the powers that the reference names; the largest index."""
    bench = await Bench.start(dut)
    for position in range(POSITIONS):
        for digit in range(DIGITS):
            bench.asking[READ] = Request(digit << 6 * position, 0)
            while bench.asking[READ] is not None:
                await bench.cycle()
    for line in (0, 1, 63, 64, MAX_LINE, MAX_LINE - 63):
        assert power(bench.g, line) == line_power(bench.h, line)
        await bench.ask(line)
    assert bench.checked == POSITIONS * DIGITS + 6


@cocotb.test(timeout_time=MAX_US, timeout_unit="us")
async def random_requests(dut: Any) -> None:
    """Both sides ask with and without pauses, one more often than the other too."""
    bench = await Bench.start(dut)
    rng = bench.rng
    for pauses in ((0.0, 0.0), (0.5, 0.5), (0.0, 0.9), (0.95, 0.0), (0.9, 0.9)):
        for _ in range(400):
            for side in (READ, WRITE):
                if bench.asking[side] is None and rng.random() >= pauses[side]:
                    bench.asking[side] = Request(_line(rng), rng.randrange(bench.tags))
            await bench.cycle()
    await bench.finish()
    assert bench.checked == sum(bench.served)
    assert min(bench.served) > 100
    assert set(bench.reached) == set(CORNERS), bench.reached
    assert all(bench.reached.values()), bench.reached


@cocotb.test(timeout_time=MAX_US, timeout_unit="us")
async def throughput_and_fairness(dut: Any) -> None:
    """Both sides ask in every cycle: a digit per cycle, so a request every so many cycles as it has digits, in turn."""
    bench = await Bench.start(dut)
    rng, cycles = bench.rng, 360
    for digits in (1, 2, 3, 4, 5):
        for cycle in range(30 + cycles):
            if cycle == 30:
                before = tuple(bench.served)
            for side in (READ, WRITE):
                if bench.asking[side] is None:
                    line = sum(rng.randrange(1, DIGITS) << 6 * position for position in range(digits))
                    bench.asking[side] = Request(line, rng.randrange(bench.tags))
            await bench.cycle()
        assert [after - at for after, at in zip(bench.served, before, strict=True)] == [cycles // digits // 2] * 2
        await bench.finish()
    assert bench.checked == sum(bench.served)


@cocotb.test(timeout_time=MAX_US, timeout_unit="us")
async def other_tables_are_not_ours(dut: Any) -> None:
    """Writes to the beat table, to tables that do not exist and behind the ends of ours change nothing."""
    bench = await Bench.start(dut)
    for sel in range(8):
        for addr in range(0 if sel >= POSITIONS else DIGITS, 256, 1 if sel == POSITIONS else 7):
            await bench.write(sel, addr, bench.rng.getrandbits(128))
    for line in (0, MAX_LINE, *(_line(bench.rng) for _ in range(20))):
        await bench.ask(line)
    for position in range(POSITIONS):
        for digit in range(DIGITS):
            await bench.ask(digit << 6 * position)


@cocotb.test(timeout_time=MAX_US, timeout_unit="us")
async def wipe_leaves_nothing(dut: Any) -> None:
    """Zeros over the tables while requests are under way: memory and registers are empty, answers are zero."""
    bench = await Bench.start(dut)
    rng = bench.rng
    seen: set[str] = set()
    for _ in range(40):
        for side in (READ, WRITE):
            bench.asking[side] = bench.asking[side] or Request(_line(rng), rng.randrange(bench.tags))
        await bench.cycle()
        seen.update(name for name, value in _held(dut).items() if value)
    assert seen == set(SECRETS)
    await bench.wipe()
    assert _held(dut) == dict.fromkeys(SECRETS, 0)
    assert not any(int(dut.u_digits.mem[entry].value) for entry in range(POSITIONS * DIGITS))
    before = bench.checked
    for line in (0, 1, MAX_LINE, *(_line(rng) for _ in range(20))):
        await bench.ask(line)
    assert bench.checked == before + 23
    assert _held(dut) == dict.fromkeys(SECRETS, 0)


def _held(dut: Any) -> dict[str, int]:
    """Registers that can hold a power of H."""
    held = {}
    for path in SECRETS:
        handle = dut
        for name in path.split("."):
            handle = getattr(handle, name)
        held[path] = int(handle.value)
    return held
