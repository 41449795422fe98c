# SPDX-License-Identifier: Apache-2.0
"""Tests of `key_unit`. The lanes of the build come in LANES."""

from __future__ import annotations

import os
import random
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge
from cocotb.utils import get_sim_time
from Crypto.Cipher import AES
from tensortee.reference.aes import expand_key
from tensortee.reference.lines import beat_step, digit_power

from tb.unit.crypto.field import ONE, inverse, multiply, power

PERIOD_NS = 10
DIGIT_TABLES = 5
DIGITS = 64
BEAT_TABLE = 5
BEAT_LINES = 256
SETUP_CYCLES = {1: 2840, 2: 2328, 4: 2072}
SETUP_CYCLES_MORE_256 = 3
MULTIPLY, POWER_H, POWER_G = 0, 1, 2
STATE_BITS = 5
MAX_US = 2000
SECRETS = (
    "round_keys",
    "h",
    "hinv1",
    "hinv2",
    "hinv3",
    "g",
    "tbl_data",
    "op_p",
    "acc",
    "base",
    "exponent",
    "u_expand.schedule",
    "u_expand.round_keys",
    "u_mul.g_joined.z",
    "u_mul.p",
)


class Bench:
    """A key unit with an AES lane and with the tables that it writes.

    Args:
        dut: handle of `key_unit`.
        rng: decides the delays of the AES lane.

    Attributes:
        tables: what the tables hold, ``(tbl_sel, tbl_addr)`` to data. Garbage before the first wipe.
        forced_response: if not None, the AES lane answers this instead of the truth.
        lane_delay: cycles from aes_req_valid to aes_rsp_valid of the last request.
        answer: whether the AES lane answers at all.
    """

    def __init__(self, dut: Any, rng: random.Random) -> None:
        self.dut = dut
        self.rng = rng
        self.lanes = int(os.environ["LANES"])
        self.key_w = len(dut.key_data)
        self.rounds = self.key_w // 32 + 6
        self.tables: dict[tuple[int, int], int] = {
            **{(table, digit): 0xBAD for table in range(DIGIT_TABLES) for digit in range(DIGITS)},
            **{(BEAT_TABLE, beat): 0xBAD for beat in range(BEAT_LINES // self.lanes)},
        }
        self.wipe_cycles = len(self.tables) + 2
        self.forced_response: int | None = None
        self.answer = True
        self.lane_delay = 0
        self.requests = 0
        self.schedules: set[int] = set()
        self._cipher: Any = None

    @classmethod
    async def start(cls, dut: Any) -> Bench:
        """Start the clock, leave reset and wait until the tables are erased."""
        bench = cls(dut, random.Random(cocotb.RANDOM_SEED))
        bench.idle()
        dut.rst.value = 1
        Clock(dut.clk, PERIOD_NS, unit="ns").start()
        await bench.step(2)
        cocotb.start_soon(bench._lane())
        cocotb.start_soon(bench._watch())
        erased = cocotb.start_soon(bench.expect_erasure())
        await bench.step()
        dut.rst.value = 0
        await erased
        return bench

    def idle(self) -> None:
        """Drive nothing."""
        for name in ("key_valid", "key_data", "zeroize", "aes_req_ready", "aes_rsp_valid", "aes_rsp_block"):
            getattr(self.dut, name).value = 0
        for name in ("op_valid", "op_kind", "op_a", "op_b", "op_e"):
            getattr(self.dut, name).value = 0

    @property
    def cycle(self) -> int:
        """Number of the current cycle; it changes with the rising edge."""
        return int(get_sim_time("ns")) // PERIOD_NS

    async def step(self, cycles: int = 1) -> None:
        """Let clock cycles pass."""
        for _ in range(cycles):
            await RisingEdge(self.dut.clk)

    async def until(self, name: str, limit: int = 4000) -> int:
        """Wait for an output to be high; return the cycle in which it rose."""
        for _ in range(limit):
            await ReadOnly()
            if int(getattr(self.dut, name).value):
                cycle = self.cycle
                await self.step()
                return cycle
            await self.step()
        raise AssertionError(f"{name} is not high after {limit} cycles")

    async def offer(self, key: bytes) -> int:
        """Hand over a key; return the cycle in which it is taken."""
        self._cipher = AES.new(key, AES.MODE_ECB)
        self.schedules.clear()
        self.dut.key_valid.value = 1
        self.dut.key_data.value = int.from_bytes(key, "little")
        taken = await self.until("key_ready")
        self.dut.key_valid.value = 0
        self.dut.key_data.value = 0
        return taken

    async def install(self, key: bytes) -> int:
        """Install a key; check the duration, the constants and the tables. Returns H."""
        taken = await self.offer(key)
        ready = await self.until("ready")
        expected = SETUP_CYCLES[self.lanes] + (SETUP_CYCLES_MORE_256 if self.key_w == 256 else 0) + self.lane_delay
        assert ready - taken == expected, f"set-up took {ready - taken} cycles, expected {expected}"
        h = int.from_bytes(AES.new(key, AES.MODE_ECB).encrypt(bytes(16)), "big")
        await ReadOnly()
        self._check_installed(key, h)
        await self.step()
        return h

    def _check_installed(self, key: bytes, h: int) -> None:
        step = inverse(h)
        constants = {"h": h, "hinv1": step, "hinv2": power(step, 2), "hinv3": power(step, 3), "g": power(step, 4)}
        for name, value in constants.items():
            assert int(getattr(self.dut, name).value) == value, f"{name} is wrong"
        for table in range(DIGIT_TABLES):
            base, value = power(constants["g"], DIGITS**table), ONE
            for digit in range(DIGITS):
                assert self.tables[table, digit] == value, f"T_{table}[{digit}] is wrong"
                value = multiply(value, base)
        base, value = power(step, self.lanes), ONE
        for beat in range(BEAT_LINES // self.lanes):
            assert self.tables[BEAT_TABLE, beat] == value, f"B[{beat}] is wrong"
            value = multiply(value, base)
        assert len(self.schedules) == 2, "round_keys was seen half complete"
        assert 0 in self.schedules
        for _ in range(8):
            digit, beat = self.rng.randrange(DIGITS), self.rng.randrange(BEAT_LINES // self.lanes)
            table = self.rng.randrange(DIGIT_TABLES)
            assert self.tables[table, digit] == digit_power(h, table, digit)
            assert self.tables[BEAT_TABLE, beat] == beat_step(h, self.lanes, beat)
        schedule = int.from_bytes(b"".join(round_key.to_bytes(16, "big") for round_key in expand_key(key)), "big")
        assert int(self.dut.round_keys.value) == schedule
        assert not int(self.dut.key_refused.value)

    def held_secrets(self) -> dict[str, int]:
        """Registers that can hold something secret, and are not zero."""
        found = {}
        for path in SECRETS:
            handle = self.dut
            for name in path.split("."):
                handle = getattr(handle, name)
            if value := int(handle.value):
                found[path] = value
        return found

    async def expect_erasure(self, begun: int | None = None) -> None:
        """Registers are gone at once, tables and no_key on time, counted from ``begun`` or, without it, from now."""
        begun = self.cycle if begun is None else begun
        await self.step()
        await ReadOnly()
        assert self.held_secrets() == {}
        assert not any(int(getattr(self.dut, name).value) for name in ("no_key", "setup", "ready", "aes_req_valid"))
        await self.step()
        ended = await self.until("no_key")
        assert ended - begun == self.wipe_cycles, f"erasure took {ended - begun} cycles, expected {self.wipe_cycles}"
        assert set(self.tables.values()) == {0}
        assert self.held_secrets() == {}

    async def zeroize(self, begun: int | None = None) -> None:
        """Pulse zeroize and check the erasure, which may be under way since ``begun``."""
        self.dut.zeroize.value = 1
        erasure = cocotb.start_soon(self.expect_erasure(begun))
        await self.step()
        self.dut.zeroize.value = 0
        await erasure

    async def operate(self, kind: int, a: int = 0, b: int = 0, e: int = 0) -> tuple[int, int]:
        """Run an operation; return the result and the cycles from its acceptance to op_done."""
        dut = self.dut
        dut.op_valid.value, dut.op_kind.value = 1, kind
        dut.op_a.value, dut.op_b.value, dut.op_e.value = a, b, e
        taken = await self.until("op_ready")
        dut.op_valid.value, dut.op_kind.value = 0, 0
        dut.op_a.value, dut.op_b.value, dut.op_e.value = 0, 0, 0
        while True:
            await ReadOnly()
            if int(dut.op_done.value):
                break
            assert int(dut.op_p.value) == 0, "op_p shows an intermediate value"
            await self.step()
        result, cycles = int(dut.op_p.value), self.cycle - taken
        await self.step()
        await ReadOnly()
        assert not int(dut.op_done.value), "op_done is not a pulse"
        assert int(dut.op_p.value) == result, "op_p is not held"
        await self.step()
        return result, cycles

    async def _lane(self) -> None:
        """The AES lane: takes a request after a random time and answers after another."""
        dut = self.dut
        while True:
            await self.until("aes_req_valid", limit=10**9)
            asked = self.cycle - 1
            await self.step(self.rng.randrange(4))
            dut.aes_req_ready.value = 1
            await ReadOnly()
            block = int(dut.aes_req_block.value)
            taken = int(dut.aes_req_valid.value)
            await self.step()
            dut.aes_req_ready.value = 0
            if not taken or not self.answer:
                continue
            self.requests += 1
            truth = int.from_bytes(self._cipher.encrypt(block.to_bytes(16, "big")), "big")
            response = truth if self.forced_response is None else self.forced_response
            await self.step(self.rng.randrange(1, 16))
            dut.aes_rsp_valid.value, dut.aes_rsp_block.value = 1, response
            self.lane_delay = self.cycle - asked
            await self.step()
            dut.aes_rsp_valid.value, dut.aes_rsp_block.value = 0, 0

    async def _watch(self) -> None:
        """Collect table writes; check what must hold in every cycle."""
        dut = self.dut
        while True:
            await RisingEdge(dut.clk)
            await ReadOnly()
            assert int(dut.no_key.value) + int(dut.setup.value) + int(dut.ready.value) <= 1
            assert int(dut.key_ready.value) == int(dut.no_key.value)
            where, data = (int(dut.tbl_sel.value), int(dut.tbl_addr.value)), int(dut.tbl_data.value)
            if int(dut.tbl_we.value):
                assert where in self.tables, f"write to table entry {where}, which does not exist"
                self.tables[where] = data
            else:
                assert (*where, data) == (0, 0, 0), "table port is not zero while not writing"
            if not int(dut.ready.value):
                assert not int(dut.op_ready.value)
            self.schedules.add(int(dut.round_keys.value))


def _key(bench: Bench) -> bytes:
    return bench.rng.randbytes(bench.key_w // 8)


@cocotb.test(timeout_time=MAX_US, timeout_unit="us")
async def keys_install(dut: Any) -> None:
    """Reset erases; then constants, tables and round keys for several keys, the duration exact."""
    bench = await Bench.start(dut)
    assert bench.requests == 0
    for _ in range(3):
        await bench.install(_key(bench))
        await bench.zeroize()
    assert bench.requests == 3


@cocotb.test(timeout_time=MAX_US, timeout_unit="us")
async def key_bytes_are_in_bus_order(dut: Any) -> None:
    """The key of FIPS 197, appendix C: byte 0 enters at key_data[7:0] and leads round key 0."""
    bench = await Bench.start(dut)
    await bench.install(bytes(range(bench.key_w // 8)))
    await ReadOnly()
    assert int(dut.round_keys.value) >> (128 * bench.rounds) == 0x000102030405060708090A0B0C0D0E0F


@cocotb.test(timeout_time=MAX_US, timeout_unit="us")
async def operations(dut: Any) -> None:
    """Products and powers, corner cases and random ones, with their exact durations."""
    bench = await Bench.start(dut)
    h = await bench.install(_key(bench))
    g = power(inverse(h), 4)
    for a, b in ((0, 0), (0, h), (ONE, h), (2**128 - 1, 1), *((bench.rng.getrandbits(128), h) for _ in range(8))):
        assert await bench.operate(MULTIPLY, a=a, b=b, e=bench.rng.getrandbits(37)) == (multiply(a, b), 5)
    exponents = [0, 1, 2, 3, 2**36, 2**37 - 1, *(bench.rng.getrandbits(bench.rng.randrange(1, 38)) for _ in range(8))]
    for exponent in exponents:
        cycles = 4 * exponent.bit_length() + 1 if exponent else 2
        noise = bench.rng.getrandbits(128)
        assert await bench.operate(POWER_H, noise, noise, exponent) == (power(h, exponent), cycles)
        assert await bench.operate(POWER_G, noise, noise, exponent) == (power(g, exponent), cycles)


@cocotb.test(timeout_time=MAX_US, timeout_unit="us")
async def weak_keys_are_refused(dut: Any) -> None:
    """H = 0 and H^4 = 1 (that is, H = 1) erase the key and raise key_refused until the next key."""
    bench = await Bench.start(dut)
    for weak in (0, ONE):
        bench.forced_response = weak
        await bench.offer(_key(bench))
        await bench.until("aes_rsp_valid")
        await ReadOnly()
        assert int(dut.key_refused.value) == 1
        assert bench.held_secrets() == {}
        await bench.step()
        await bench.until("no_key")
        assert set(bench.tables.values()) == {0}
        await bench.zeroize()
        assert int(dut.key_refused.value) == 1, "zeroize hides the refusal"
        bench.forced_response = None
        await bench.install(_key(bench))
        await bench.zeroize()
        assert int(dut.key_refused.value) == 0
    bench.forced_response = 1
    await bench.offer(_key(bench))
    await bench.until("ready")
    assert int(dut.key_refused.value) == 0, "a sound H was refused"


@cocotb.test(timeout_time=MAX_US * 10, timeout_unit="us")
async def zeroize_at_any_time_of_set_up(dut: Any) -> None:
    """Zeroize in each phase of the set-up erases everything, and the next key installs."""
    bench = await Bench.start(dut)
    moments = [0, 1, 12, 16, 25, 300, *(bench.rng.randrange(SETUP_CYCLES[bench.lanes]) for _ in range(5))]
    for moment in moments:
        await bench.offer(_key(bench))
        await bench.step(moment)
        await bench.zeroize()
    await bench.install(_key(bench))


@cocotb.test(timeout_time=MAX_US, timeout_unit="us")
async def late_response_is_dropped(dut: Any) -> None:
    """A response to a request from before zeroize does not become H."""
    bench = await Bench.start(dut)
    bench.answer = False
    await bench.offer(_key(bench))
    await bench.until("aes_req_valid")
    await bench.step(8)
    erased = cocotb.start_soon(bench.zeroize())
    await bench.step(3)
    dut.aes_rsp_valid.value, dut.aes_rsp_block.value = 1, 0x1234
    await bench.step()
    dut.aes_rsp_valid.value, dut.aes_rsp_block.value = 0, 0
    await erased
    bench.answer = True
    await bench.install(_key(bench))


@cocotb.test(timeout_time=MAX_US, timeout_unit="us")
async def zeroize_wins(dut: Any) -> None:
    """Zeroize during an operation, during the erasure itself (which goes on), and together with a key."""
    bench = await Bench.start(dut)
    h = await bench.install(_key(bench))
    assert (await bench.operate(POWER_H, e=1))[0] == h
    dut.op_valid.value, dut.op_kind.value, dut.op_e.value = 1, POWER_H, 2**37 - 1
    await bench.until("op_ready")
    dut.op_valid.value, dut.op_kind.value, dut.op_e.value = 0, 0, 0
    await bench.step(20)
    await bench.zeroize()
    dut.zeroize.value, begun = 1, bench.cycle
    await bench.step(bench.wipe_cycles // 2)
    await bench.zeroize(begun)
    dut.key_valid.value, dut.key_data.value = 1, bench.rng.getrandbits(bench.key_w)
    erased = cocotb.start_soon(bench.zeroize())
    await bench.step()
    dut.key_valid.value, dut.key_data.value = 0, 0
    await erased
    assert bench.requests == 1, "a key that came with zeroize was used"


@cocotb.test(timeout_time=MAX_US * 4, timeout_unit="us")
async def states_that_do_not_exist_erase(dut: Any) -> None:
    """Each single flipped bit of the state register, in ready and in set-up, erases the key."""
    bench = await Bench.start(dut)
    for bit in range(STATE_BITS):
        taken = await bench.offer(_key(bench))
        if bit % 2:
            await bench.until("ready")
        else:
            await bench.step(bench.rng.randrange(20, 1000))
        dut.state.value = int(dut.state.value) ^ (1 << bit)
        assert bench.cycle > taken
        await bench.expect_erasure()
