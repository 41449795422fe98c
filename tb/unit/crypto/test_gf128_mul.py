# SPDX-License-Identifier: Apache-2.0
"""Tests of `gf128_mul`. The latency of the build comes in STAGES."""

from __future__ import annotations

import os
import random
from typing import Any

import cocotb
from cocotb.triggers import ReadOnly

from tb.unit.crypto.field import ONE, inverse, multiply
from tb.unit.crypto.pipeline import Pipeline

ALL = 2**128 - 1
MAX_US = 2000
PRODUCTS = ("q0", "q1", "q2", "q3", "q01", "q23", "q02", "q13", "q0123")


def _bench(dut: Any) -> Pipeline:
    return Pipeline(dut, int(os.environ["STAGES"]), ("a", "b"), ("p",))


async def _multiply(bench: Pipeline, a: int, b: int, product: int) -> None:
    await bench.send({"a": a, "b": b}, {"p": product})


@cocotb.test(timeout_time=MAX_US, timeout_unit="us")
async def sp_800_38d_example(dut: Any) -> None:
    """X_1 of test case 2 of the GCM specification, with H = AES_0(0)."""
    bench = _bench(dut)
    await bench.start()
    await _multiply(
        bench,
        0x0388DACE60B6A392F328C2B971B2FE78,
        0x66E94BD4EF8A2C3B884CFA59CA342B2E,
        0x5E2EC746917062882C85B0685353DEB7,
    )
    await bench.drain()


@cocotb.test(timeout_time=MAX_US, timeout_unit="us")
async def corner_cases(dut: Any) -> None:
    """Zero, one, every power of x on either side, all ones, and words of zeros."""
    bench = _bench(dut)
    rng = random.Random(cocotb.RANDOM_SEED)
    await bench.start()
    corners = [0, ONE, ALL, 1, *(0xFFFFFFFF << shift for shift in range(0, 128, 32))]
    for a in corners:
        for b in (*corners, rng.getrandbits(128)):
            await _multiply(bench, a, b, multiply(a, b))
    for degree in range(128):
        value = rng.getrandbits(128)
        await _multiply(bench, 1 << degree, value, multiply(1 << degree, value))
        await _multiply(bench, value, 1 << degree, multiply(value, 1 << degree))
    for _ in range(8):
        value = rng.getrandbits(128) | 1
        await _multiply(bench, value, ONE, value)
        await _multiply(bench, value, inverse(value), ONE)
    await bench.drain()


@cocotb.test(timeout_time=MAX_US, timeout_unit="us")
async def random_products_with_bubbles(dut: Any) -> None:
    """Random products, back to back and with gaps."""
    bench = _bench(dut)
    rng = random.Random(cocotb.RANDOM_SEED)
    await bench.start()
    for density in (1.0, 0.6, 0.2):
        for _ in range(200):
            while rng.random() >= density:
                await bench.step()
            a, b = rng.getrandbits(128), rng.getrandbits(128)
            await _multiply(bench, a, b, multiply(a, b))
        await bench.drain()


@cocotb.test(timeout_time=MAX_US, timeout_unit="us")
async def input_is_ignored_while_not_valid(dut: Any) -> None:
    """Data without in_valid computes nothing and leaves nothing behind."""
    bench = _bench(dut)
    rng = random.Random(cocotb.RANDOM_SEED)
    await bench.start()
    for _ in range(10):
        dut.a.value, dut.b.value = rng.getrandbits(128), rng.getrandbits(128)
        await bench.step()
    bench.idle()
    await _multiply(bench, ONE, ONE, ONE)
    await bench.drain()


@cocotb.test(timeout_time=MAX_US, timeout_unit="us")
async def clear_empties_every_stage(dut: Any) -> None:
    """After one cycle of clear nothing comes out, and no stage holds anything."""
    bench = _bench(dut)
    rng = random.Random(cocotb.RANDOM_SEED)
    await bench.start()
    for _ in range(bench.latency + 2):
        value = rng.getrandbits(128)
        await _multiply(bench, value, value, multiply(value, value))
    # A product offered together with clear is dropped too.
    dut.in_valid.value, dut.a.value, dut.b.value = 1, ALL, ALL
    await bench.clear()
    bench.idle()
    await ReadOnly()
    held = [dut.p]
    if bench.latency >= 2:
        held.append(dut.g_joined.z)
    if bench.latency >= 3:
        held += [getattr(dut.g_products, name) for name in PRODUCTS]
    assert not any(int(register.value) for register in held)
    await bench.step()
    await _multiply(bench, ONE, ALL, ALL)
    await bench.drain()
