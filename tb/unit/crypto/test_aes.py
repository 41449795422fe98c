# SPDX-License-Identifier: Apache-2.0
"""Tests of `aes_encrypt` and `aes_key_expand`, joined by `aes_keyed`."""

from __future__ import annotations

import random
from typing import Any

import cocotb
from cocotb.triggers import ReadOnly
from Crypto.Cipher import AES
from tensortee.reference.aes import cipher_states, expand_key

from tb.unit.crypto.pipeline import Pipeline
from tb.unit.crypto.vectors import aes_vectors

FIPS_197_KEYS = {
    128: 0x2B7E151628AED2A6ABF7158809CF4F3C,
    256: 0x603DEB1015CA71BE2B73AEF0857D77811F352C073B6108D72D9810A30914DFF4,
}
FIPS_197_LAST_ROUND_KEY = {
    128: 0xD014F9A8C9EE2589E13F0CC8B6630CA6,
    256: 0xFE4890D1E6188D0B046DF344706C631E,
}
FIPS_197_C = {128: 0x69C4E0D86A7B0430D8CDB78070B4C55A, 256: 0x8EA2B7CA516745BFEAFC49904B496089}
MAX_US = 2000


class Bench(Pipeline):
    """The joined blocks, with the width of the key read from the design."""

    def __init__(self, dut: Any) -> None:
        self.key_w = len(dut.key)
        self.rounds = self.key_w // 32 + 6
        super().__init__(dut, self.rounds + 1, ("in_block", "in_side"), ("out_block", "out_side"))
        dut.start.value = 0
        dut.key.value = 0

    @property
    def schedule_cycles(self) -> int:
        """Cycles from start to done."""
        return 11 if self.key_w == 128 else 14

    async def load(self, key: int) -> None:
        """Run the key schedule; round_keys must be zero until it is complete, done exactly on time."""
        self.dut.start.value = 1
        self.dut.key.value = key
        await self.step()
        self.dut.start.value = 0
        self.dut.key.value = 0
        for cycle in range(1, self.schedule_cycles + 1):
            await self.step()
            await ReadOnly()
            complete = cycle == self.schedule_cycles - 1
            if cycle < self.schedule_cycles - 1:
                assert int(self.dut.done.value) == 0, f"done too early, {cycle} cycles after start"
                assert int(self.dut.round_keys.value) == 0
            elif complete:
                assert int(self.dut.done.value) == 1, f"not done {cycle} cycles after start"
                assert int(self.dut.round_keys.value) >> (128 * self.rounds + 128 - self.key_w) == key
        await self.step()

    async def encrypt(self, block: int, result: int, side: int = 0) -> None:
        """One block, whose result is known."""
        await self.send({"in_block": block, "in_side": side}, {"out_block": result, "out_side": side})


def _cipher(key: int, key_w: int) -> Any:
    return AES.new(key.to_bytes(key_w // 8, "big"), AES.MODE_ECB)


def _encrypt(cipher: Any, block: int) -> int:
    return int.from_bytes(cipher.encrypt(block.to_bytes(16, "big")), "big")


@cocotb.test(timeout_time=MAX_US, timeout_unit="us")
async def fips_197_examples(dut: Any) -> None:
    """Key schedule of appendix A, encryption of appendix C."""
    bench = Bench(dut)
    await bench.start()
    await bench.load(FIPS_197_KEYS[bench.key_w])
    assert int(dut.round_keys.value) & (2**128 - 1) == FIPS_197_LAST_ROUND_KEY[bench.key_w]
    await bench.load(int.from_bytes(bytes(range(bench.key_w // 8)), "big"))
    await bench.encrypt(0x00112233445566778899AABBCCDDEEFF, FIPS_197_C[bench.key_w])
    await bench.drain()


@cocotb.test(timeout_time=MAX_US, timeout_unit="us")
async def cavp_texts(dut: Any) -> None:
    """CAVP GFSbox and VarTxt, back to back under one key."""
    bench = Bench(dut)
    await bench.start()
    for name in ("GFSbox", "VarTxt"):
        vectors = aes_vectors(name, bench.key_w)
        assert len({vector.key for vector in vectors}) == 1
        await bench.load(vectors[0].key)
        for count, vector in enumerate(vectors):
            await bench.encrypt(vector.block, vector.result, count % 251)
        await bench.drain()


@cocotb.test(timeout_time=MAX_US * 10, timeout_unit="us")
async def cavp_keys(dut: Any) -> None:
    """CAVP KeySbox and VarKey, a new key for every block."""
    bench = Bench(dut)
    await bench.start()
    for name in ("KeySbox", "VarKey"):
        for vector in aes_vectors(name, bench.key_w):
            await bench.load(vector.key)
            await bench.encrypt(vector.block, vector.result)
            await bench.drain()


@cocotb.test(timeout_time=MAX_US, timeout_unit="us")
async def random_blocks_with_bubbles(dut: Any) -> None:
    """Random keys, blocks, side data and gaps against PyCryptodome."""
    bench = Bench(dut)
    rng = random.Random(cocotb.RANDOM_SEED)
    await bench.start()
    for density in (1.0, 0.7, 0.2):
        key = rng.getrandbits(bench.key_w)
        cipher = _cipher(key, bench.key_w)
        await bench.load(key)
        for _ in range(100):
            while rng.random() >= density:
                await bench.step()
            block = rng.getrandbits(128)
            await bench.encrypt(block, _encrypt(cipher, block), rng.getrandbits(8))
        await bench.drain()


@cocotb.test(timeout_time=MAX_US, timeout_unit="us")
async def every_round_matches_the_reference(dut: Any) -> None:
    """Round keys and the state after every round against the stepwise golden reference."""
    bench = Bench(dut)
    rng = random.Random(cocotb.RANDOM_SEED)
    await bench.start()
    stages = [dut.u_aes.white_block, *(dut.u_aes.g_round[r].u_round.out_block for r in range(1, bench.rounds + 1))]
    for _ in range(4):
        key, block = rng.randbytes(bench.key_w // 8), rng.getrandbits(128)
        await bench.load(int.from_bytes(key, "big"))
        schedule = int(dut.round_keys.value)
        keys = [schedule >> (128 * (bench.rounds - r)) & (2**128 - 1) for r in range(bench.rounds + 1)]
        assert keys == expand_key(key)
        states = cipher_states(key, block)
        await bench.encrypt(block, states[-1])
        for number, (stage, state) in enumerate(zip(stages, states, strict=True)):
            await ReadOnly()
            assert int(stage.value) == state, f"state after round {number}"
            await bench.step()
        await bench.drain()


@cocotb.test(timeout_time=MAX_US, timeout_unit="us")
async def clear_empties_every_stage(dut: Any) -> None:
    """One cycle of clear leaves no block, side data or round key anywhere, and the next key works."""
    bench = Bench(dut)
    rng = random.Random(cocotb.RANDOM_SEED)
    await bench.start()
    key = rng.getrandbits(bench.key_w)
    cipher = _cipher(key, bench.key_w)
    await bench.load(key)
    stages = [
        dut.u_aes.white_block,
        *(dut.u_aes.g_round[number].u_round.out_block for number in range(1, bench.rounds)),
    ]
    for _ in range(bench.latency):
        block = rng.getrandbits(128)
        await bench.encrypt(block, _encrypt(cipher, block), 0xA5)
    await ReadOnly()
    assert all(int(stage.value) for stage in stages), "the pipeline is not full, so the test would prove nothing"
    await bench.step()
    await bench.clear()
    await ReadOnly()
    assert not any(int(stage.value) for stage in stages)
    assert int(dut.u_expand.schedule.value) == 0
    assert int(dut.done.value) == 0
    assert int(dut.round_keys.value) == 0
    await bench.step(bench.latency + 2)
    key, block = rng.getrandbits(bench.key_w), rng.getrandbits(128)
    await bench.load(key)
    await bench.encrypt(block, _encrypt(_cipher(key, bench.key_w), block))
    await bench.drain()


@cocotb.test(timeout_time=MAX_US, timeout_unit="us")
async def start_while_busy_begins_anew(dut: Any) -> None:
    """A second key replaces one whose schedule is not complete."""
    bench = Bench(dut)
    rng = random.Random(cocotb.RANDOM_SEED)
    await bench.start()
    for busy in range(1, bench.schedule_cycles):
        dut.start.value = 1
        dut.key.value = rng.getrandbits(bench.key_w)
        await bench.step()
        dut.start.value = 0
        await bench.step(busy - 1)
        key, block = rng.getrandbits(bench.key_w), rng.getrandbits(128)
        await bench.load(key)
        await bench.encrypt(block, _encrypt(_cipher(key, bench.key_w), block))
        await bench.drain()
