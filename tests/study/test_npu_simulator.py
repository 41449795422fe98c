# SPDX-License-Identifier: Apache-2.0
"""Whole workloads on the NPU: closed forms, monotony, conservation."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensortee.study.hardware import Npu
from tensortee.study.hardware.conservation import ConservationError
from tensortee.study.npu import protection as plugins
from tensortee.study.npu.protection import Cost, schemes
from tensortee.study.npu.simulator import CapacityError, run_workload
from tensortee.study.npu.systolic import TIME_TOLERANCE, plan_gemm
from tensortee.study.workload.operators import Gather, Gemm, Operator, Pass, Stream

from tests.study.npu_workloads import OPERATORS, ConstantCost, layer, step

NPU = Npu()
RATE = NPU.dram_bytes_per_second * NPU.dram_efficiency
BLOCK_BYTES = st.sampled_from((64, 256, 512, 4096))


def test_a_stream_takes_its_bytes() -> None:
    run = run_workload([Stream("add", 3 << 20, 1 << 20, 3, 1)], NPU, "none")
    assert (run.read_bytes, run.write_bytes) == (3 << 20, 1 << 20)
    assert run.seconds == run.dram_seconds == pytest.approx((4 << 20) / RATE)
    assert run.compute_seconds == run.stall_seconds == run.metadata_bytes == run.overfetch_bytes == run.windows == 0


def test_products_inside_a_fused_stream_keep_the_array_busy() -> None:
    fused = Stream("attention", 1 << 20, 1 << 20, macs=512 * 512 * 10**6)
    run = run_workload([fused], NPU, "none")
    assert run.seconds == run.compute_seconds == pytest.approx(1e6 / NPU.clock_hz)


def test_bytes_are_whole_lines() -> None:
    assert run_workload([Stream("bias", 100, 1, 2, 1)], NPU, "none").read_bytes == 2 * 64
    gather = run_workload([Gather("rows", rows=10, row_bytes=128, table_bytes=1 << 20)], NPU, "none")
    assert (gather.read_bytes, gather.write_bytes) == (1280, 0)


def test_a_product_that_fits_takes_its_operands_once() -> None:
    run = run_workload([Gemm("fits", 640, 1280, 320)], NPU, "none")
    assert run.read_bytes == 2 * (640 * 320 + 320 * 1280)
    assert run.write_bytes == 2 * 640 * 1280


def test_a_product_bound_by_the_array_takes_its_cycles_and_the_first_and_last_tile() -> None:
    npu = Npu(array_rows=32, array_columns=32)
    gemm = Gemm("deep", 4096, 4096, 4096)
    tiling = plan_gemm(gemm, npu).tiling
    exposed = (tiling.fill_bytes + tiling.drain_bytes) / RATE
    run = run_workload([gemm], npu, "none")
    assert run.compute_seconds > 10 * run.dram_seconds
    assert run.seconds == pytest.approx(tiling.compute_cycles / npu.clock_hz + exposed)
    hidden = run_workload([gemm], npu, "mgx")
    assert hidden.stall_seconds > 0
    assert hidden.seconds == run.seconds


def test_passes_repeat_and_phases_add_up() -> None:
    once, run = (run_workload(passes, NPU, "tensor-delayed") for passes in (layer(), step()))
    assert run.windows == 9 * once.windows > 0
    assert once.by_phase == {"forward": pytest.approx(once.seconds)}
    assert run.by_phase["forward"] == pytest.approx(3 * once.seconds)
    assert run.by_phase["backward"] == pytest.approx(6 * once.seconds)
    assert run.seconds == pytest.approx(9 * once.seconds)
    assert run.metadata_bytes == pytest.approx(9 * once.metadata_bytes)


def test_an_empty_workload_takes_no_time() -> None:
    assert run_workload([], NPU, "tensor-delayed").seconds == 0


@given(OPERATORS, st.sampled_from(schemes()), BLOCK_BYTES)
@settings(max_examples=100)
def test_protection_is_never_faster_and_moves_the_same_data(operators: list[Operator], scheme: str, block: int) -> None:
    base = run_workload(operators, NPU, "none")
    run = run_workload(operators, NPU, scheme, mac_block_bytes=block)
    assert run.seconds >= base.seconds
    assert run.data_bytes == pytest.approx(base.read_bytes + base.write_bytes)
    assert run.read_bytes + run.write_bytes <= run.seconds * NPU.dram_bytes_per_second
    assert run.seconds <= run.compute_seconds + run.dram_seconds + run.stall_seconds + 1e-12


@given(OPERATORS)
@settings(max_examples=50)
def test_more_bandwidth_is_never_slower(operators: list[Operator]) -> None:
    npus = [Npu(dram_bytes_per_second=rate * 1e9) for rate in (16, 64, 128, 1000)]
    times = [run_workload(operators, npu, "none").seconds for npu in npus]
    assert all(later <= before * (1 + TIME_TOLERANCE) for before, later in itertools.pairwise(times))


@pytest.mark.parametrize("scheme", schemes())
def test_more_bandwidth_or_scratchpad_is_never_slower_for_a_transformer(scheme: str) -> None:
    faster = [Npu(dram_bytes_per_second=rate * 1e9) for rate in (32, 64, 128, 256, 1024)]
    larger = [Npu(scratchpad_bytes=size << 20) for size in (8, 16, 32, 64, 256)]
    for npus in (faster, larger):
        times = [run_workload(step(), npu, scheme).seconds for npu in npus]
        assert times == sorted(times, reverse=True)


def test_data_that_does_not_fit_is_refused() -> None:
    run_workload(layer(), NPU, "mac", mac_block_bytes=512, footprint_bytes=39e9)
    with pytest.raises(CapacityError, match=r"39\.0 GB of data take 43\.3 GB with metadata; the NPU has 40\.0 GB"):
        run_workload(layer(), NPU, "mac", mac_block_bytes=64, footprint_bytes=39e9)


@pytest.mark.parametrize(
    ("cost", "law"),
    [
        (Cost(stall_cycles=-1.0), "stall_seconds"),
        (Cost(metadata_read_bytes=-64.0), "metadata_bytes"),
        (Cost(overfetch_bytes=-64.0), "overfetch_bytes"),
        (Cost(stall_cycles=math.nan), "stall_seconds"),
    ],
)
def test_broken_laws_are_errors(monkeypatch: pytest.MonkeyPatch, cost: Cost, law: str) -> None:
    monkeypatch.setitem(plugins._SCHEMES, "wrong", lambda _: ConstantCost(cost))
    with pytest.raises(ConservationError, match=law):
        run_workload([Pass("forward", (Stream("copy", 1 << 20, 1 << 20),))], NPU, "wrong")
