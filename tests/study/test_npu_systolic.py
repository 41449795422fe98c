# SPDX-License-Identifier: Apache-2.0
"""Systolic array and tiling: against SCALE-Sim's cycles, and against loop nests that are walked tile by tile."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensortee.study.hardware import Npu
from tensortee.study.npu.systolic import (
    TIME_TOLERANCE,
    Tiling,
    TilingError,
    choose_tiling,
    compute_cycles,
    dram_bytes_per_second,
    plan_gemm,
)
from tensortee.study.workload.operators import Gemm

from tests.study.npu_workloads import GEMMS

SMALL = Npu(array_rows=8, array_columns=16, scratchpad_bytes=16 << 10)
"""So small that most products need many tiles."""

SMALL_SIZES = st.integers(1, 200)


def seconds(tiling: Tiling, npu: Npu, traffic: float) -> float:
    exposed = (tiling.fill_bytes + tiling.drain_bytes) / dram_bytes_per_second(npu)
    return max(tiling.compute_cycles / npu.clock_hz + exposed, traffic / dram_bytes_per_second(npu))


def traffic(m: int, n: int, k: int, tiling: Tiling) -> int:
    return 2 * (m * k * tiling.a_passes + k * n * tiling.b_passes + m * n)


def loads(m: int, n: int, k: int, tiling: Tiling) -> tuple[int, int]:
    """Elements of A and of B that are loaded if the loops are walked and a tile is kept until another is needed."""
    spans = [
        [(start, min(start + tile, size)) for start in range(0, size, tile)]
        for size, tile in ((m, tiling.tile_m), (n, tiling.tile_n), (k, tiling.tile_k))
    ]
    outer = itertools.product(spans[0], spans[1]) if tiling.m_outer else itertools.product(spans[1], spans[0])
    a = b = 0
    held: tuple[object, object] = (None, None)
    for first, second in outer:
        rows, columns = (first, second) if tiling.m_outer else (second, first)
        for depth in spans[2]:
            if held[0] != (rows, depth):
                a += (rows[1] - rows[0]) * (depth[1] - depth[0])
            if held[1] != (columns, depth):
                b += (columns[1] - columns[0]) * (depth[1] - depth[0])
            held = ((rows, depth), (columns, depth))
    return a, b


def test_cycles_are_those_of_scalesim() -> None:
    measured = json.loads((Path(__file__).parent / "data" / "scalesim_cycles.json").read_text())["gemms"]
    assert len(measured) >= 40
    for it in measured:
        ours = compute_cycles(it["m"], it["n"], it["k"], Npu(array_rows=it["rows"], array_columns=it["columns"]), 1)
        # SCALE-Sim prints the number of the last cycle, counted from 0.
        assert ours == it["cycles"] + 1, it


def test_folds_over_part_of_the_depth_pay_the_skew_again() -> None:
    npu = Npu(array_rows=8, array_columns=4)
    assert compute_cycles(8, 4, 100, npu, 1) == 100 + 10
    assert compute_cycles(8, 4, 100, npu, 5) == 100 + 5 * 10
    assert compute_cycles(9, 5, 100, npu, 5) == 4 * (100 + 5 * 10)


def test_a_product_that_fits_moves_once() -> None:
    plan = plan_gemm(Gemm("fits", 700, 900, 800), Npu())
    assert [access.passes for access in plan.accesses] == [1, 1, 1]
    assert [access.tensor_bytes for access in plan.accesses] == [2 * 700 * 800, 2 * 800 * 900, 2 * 700 * 900]
    assert [access.write for access in plan.accesses] == [False, False, True]


@given(SMALL_SIZES, SMALL_SIZES, SMALL_SIZES)
@settings(max_examples=150)
def test_operands_are_read_as_often_as_the_loops_load_them(m: int, n: int, k: int) -> None:
    tiling = choose_tiling(m, n, k, 1, 2, 2, SMALL)
    assert loads(m, n, k, tiling) == (m * k * tiling.a_passes, k * n * tiling.b_passes)


@given(SMALL_SIZES, SMALL_SIZES, SMALL_SIZES)
@settings(max_examples=100)
def test_tiles_fit_in_the_scratchpad(m: int, n: int, k: int) -> None:
    tiling = choose_tiling(m, n, k, 1, 2, 2, SMALL)
    tiles = 2 * (tiling.tile_m + tiling.tile_n) * tiling.tile_k + 2 * tiling.tile_m * tiling.tile_n
    assert tiles <= tiling.scratchpad_bytes <= SMALL.scratchpad_bytes
    assert tiling.tile_m <= m
    assert tiling.tile_n <= n
    assert tiling.tile_k <= k
    assert tiling.fill_bytes == 2 * (tiling.tile_m + tiling.tile_n) * tiling.tile_k
    assert tiling.drain_bytes == 2 * tiling.tile_m * tiling.tile_n


def least_traffic(m: int, n: int, k: int, npu: Npu) -> int:
    """Least traffic of all tilings in whole arrays and depths of 32, fp16."""
    best = 1 << 62
    rows, columns = range(npu.array_rows, m + npu.array_rows, npu.array_rows), range(16, n + 16, 16)
    for tm, tn, tk, m_outer in itertools.product(rows, columns, (*range(32, k, 32), k), (False, True)):
        tile_m, tile_n = min(tm, m), min(tn, n)
        one_m, one_n, whole_k = tile_m == m, tile_n == n, tk == k
        a_buffers, b_buffers = 1 if one_m and whole_k else 2, 1 if one_n and whole_k else 2
        sums = (2 if whole_k else 4) * tile_m * tile_n * (1 if one_m and one_n else 2)
        if 2 * tk * (a_buffers * tile_m + b_buffers * tile_n) + sums > npu.scratchpad_bytes:
            continue
        a_passes = 1 if whole_k and (m_outer or one_m) else math.ceil(n / tile_n)
        b_passes = 1 if whole_k and (not m_outer or one_n) else math.ceil(m / tile_m)
        best = min(best, 2 * (m * k * a_passes + k * n * b_passes + m * n))
    return best


@given(SMALL_SIZES, SMALL_SIZES, SMALL_SIZES)
@settings(max_examples=40)
def test_no_tiling_has_less_traffic_if_dram_is_slow(m: int, n: int, k: int) -> None:
    slow = SMALL.model_copy(update={"dram_bytes_per_second": 1e6})
    assert traffic(m, n, k, choose_tiling(m, n, k, 1, 2, 2, slow)) == least_traffic(m, n, k, slow)


@given(SMALL_SIZES, SMALL_SIZES, SMALL_SIZES)
@settings(max_examples=50)
def test_more_scratchpad_or_bandwidth_is_never_slower(m: int, n: int, k: int) -> None:
    def time(npu: Npu) -> float:
        tiling = choose_tiling(m, n, k, 1, 2, 2, npu)
        return seconds(tiling, npu, traffic(m, n, k, tiling))

    larger = [SMALL.model_copy(update={"scratchpad_bytes": size << 10}) for size in (16, 24, 32, 64, 1024)]
    faster = [SMALL.model_copy(update={"dram_bytes_per_second": rate * 1e9}) for rate in (1, 2, 10, 128, 1000)]
    for npus in (larger, faster):
        times = [time(npu) for npu in npus]
        assert all(later <= before * (1 + TIME_TOLERANCE) for before, later in itertools.pairwise(times))


def test_less_scratchpad_means_more_traffic() -> None:
    sizes = [
        traffic(4096, 4096, 4096, choose_tiling(4096, 4096, 4096, 1, 2, 2, npu))
        for npu in (
            Npu(scratchpad_bytes=128 << 20),
            Npu(scratchpad_bytes=32 << 20),
            Npu(scratchpad_bytes=8 << 20),
        )
    ]
    assert sizes[0] == 3 * 2 * 4096**2
    assert sizes[0] < sizes[1] < sizes[2]


def test_shared_weights_make_one_product_of_many() -> None:
    shared = plan_gemm(Gemm("shared", 128, 512, 512, count=8, weight_operand=True), Npu())
    alone = plan_gemm(Gemm("alone", 128, 512, 512, count=8), Npu())
    assert shared == plan_gemm(Gemm("one", 8 * 128, 512, 512, weight_operand=True), Npu())
    assert alone.accesses[1].tensor_bytes == 8 * shared.accesses[1].tensor_bytes
    assert alone.tiling.compute_cycles == 8 * compute_cycles(128, 512, 512, Npu(), 1)


@given(GEMMS)
@settings(max_examples=50)
def test_the_array_is_never_faster_than_its_elements(gemm: Gemm) -> None:
    npu = Npu()
    assert plan_gemm(gemm, npu).tiling.compute_cycles * npu.array_rows * npu.array_columns >= gemm.macs


def test_panels_of_operands_that_are_read_again() -> None:
    npu = Npu(array_rows=64, array_columns=64, scratchpad_bytes=1 << 20)
    plan = plan_gemm(Gemm("large", 4096, 4096, 4096), npu)
    tiling, (a, b, c) = plan.tiling, plan.accesses
    tiles_m, tiles_n = math.ceil(4096 / tiling.tile_m), math.ceil(4096 / tiling.tile_n)
    assert a.passes == tiles_n > 1
    assert b.passes == tiles_m > 1
    assert (a.panels, b.panels) == ((tiles_m, 1) if tiling.m_outer else (1, tiles_n))
    assert c.passes == c.panels == 1


def test_only_operands_that_are_cut_in_both_directions_are_in_pieces_and_only_if_stored_by_rows() -> None:
    blocks, by_rows = Npu(), Npu(matrix_layout="rows")
    for gemm in (
        Gemm("rows", 11264, 1024, 1024),
        Gemm("columns", 1024, 11264, 1024),
        Gemm("weight gradient", 1024, 4096, 11264),
    ):
        plan = plan_gemm(gemm, by_rows)
        cut = (plan.tiling.tile_m < gemm.m, plan.tiling.tile_n < gemm.n, plan.tiling.tile_k < gemm.k)
        assert sum(cut) == 1
        assert all(access.piece_bytes == access.row_bytes for access in plan.accesses)
    gemm = Gemm("both", 8192, 8192, 8192)
    plan = plan_gemm(gemm, by_rows)
    tiling = plan.tiling
    assert max(tiling.tile_m, tiling.tile_n, tiling.tile_k) < 8192
    assert [access.piece_bytes for access in plan.accesses] == [2 * tiling.tile_k, 2 * tiling.tile_n, 2 * tiling.tile_n]
    assert all(access.piece_bytes == access.row_bytes for access in plan_gemm(gemm, blocks).accesses)


def test_a_scratchpad_that_is_too_small_is_named() -> None:
    with pytest.raises(TilingError, match=r"needs at least \d+ bytes of scratchpad, not 4096"):
        plan_gemm(Gemm("large", 4096, 4096, 4096), Npu(scratchpad_bytes=4096))


def test_traffic_is_not_spent_on_a_slightly_earlier_start() -> None:
    tiling = choose_tiling(4096, 4096, 4096, 1, 2, 2, Npu(array_rows=32, array_columns=32))
    # The array takes ten times as long as DRAM at least, so there is no reason to read an operand often.
    assert tiling.a_passes * tiling.b_passes <= 4
