# SPDX-License-Identifier: Apache-2.0
"""CPU kernels under memory protection: closed forms, order of the schemes, independence of the scale."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from tensortee.study.cpu import bench, kernels, metadata
from tensortee.study.cpu.simulator import SCHEMES, KernelRun, Machine, run_adam, run_gemm, run_stream
from tensortee.study.hardware import Cpu, Ddr
from tensortee.study.hardware.conservation import ConservationError

CPU = Cpu()
HIDDEN = 1024
LAYER = [HIDDEN] * 4 + [3 * HIDDEN * HIDDEN, 3 * HIDDEN, HIDDEN * HIDDEN, HIDDEN, 4 * HIDDEN * HIDDEN, 4 * HIDDEN]
GPT2_M = [50257 * HIDDEN, HIDDEN * HIDDEN] + 24 * [*LAYER, 4 * HIDDEN * HIDDEN, HIDDEN]
SMALL = [50257 * 64, *LAYER]


@cache
def adam(scheme: str, threads: int, iterations: int = 1, cpu: Cpu = CPU) -> list[KernelRun]:
    return run_adam(GPT2_M, cpu, scheme, threads=threads, iterations=iterations, scale=150)


def reading(lines: int) -> kernels.Trace:
    return kernels.Trace("read", 2 * np.arange(lines), np.array([0, lines]), 8.0, ((0, lines),))


def writing(lines: int) -> kernels.Trace:
    return replace(reading(lines), kernel="write", accesses=2 * np.arange(lines) + 1)


def nodes(lines: int) -> list[int]:
    """VN lines, then nodes of each level of the tree, that a stream of lines needs."""
    levels = len(metadata.level_lines(CPU.protected_bytes, CPU.tree_arity))
    return [-(-lines // 8 ** (level + 1)) for level in range(levels)]


def test_levels_of_the_tree() -> None:
    assert metadata.level_lines(64 << 30, 8) == [1 << 27 >> 3 * level for level in range(9)]
    assert metadata.level_lines(1 << 20, 8) == [2048, 256, 32, 4]


@pytest.mark.parametrize(("cache_bytes", "refetched"), [(32 << 10, 0.1), (8 << 20, 0.0)])
def test_metadata_of_a_stream_of_reads_is_the_closed_form(cache_bytes: int, refetched: float) -> None:
    """In the small cache, upper nodes of the tree leave before they are used again."""
    lines = 40_000
    run = Machine(Cpu(metadata_cache_bytes=cache_bytes), "sgx", lines).run(reading(lines))
    kinds = run.metadata_by_kind
    assert run.read_lines == lines
    assert kinds["vn read"] == kinds["mac read"] == lines / 8
    tree = sum(nodes(lines)[1:])
    assert tree <= kinds["tree read"] <= (1 + refetched) * tree
    assert kinds["vn write"] == kinds["tree write"] == kinds["mac write"] == run.write_lines == 0
    assert run.metadata_lines == sum(kinds.values())


def test_metadata_of_a_stream_of_writes_is_the_closed_form() -> None:
    lines = 1 << 18
    machine = Machine(CPU, "sgx", lines)
    run = machine.run(writing(lines), flush=True)
    changed = machine.metadata.tags[machine.metadata.changed == 1]
    first_mac = machine.metadata.bases[-1]
    kinds = run.metadata_by_kind
    assert run.write_lines == run.read_lines == lines
    assert kinds["mac write"] + (changed >= first_mac).sum() == pytest.approx(lines / 8, rel=0.02)
    assert kinds["vn write"] + (changed < machine.metadata.bases[1]).sum() == pytest.approx(lines / 8, rel=0.02)
    # Once for the read and once for the write-back, which comes when the cache is full.
    assert kinds["vn read"] == pytest.approx(2 * lines / 8, rel=0.05)


def test_what_each_scheme_fetches() -> None:
    traffic = {scheme: adam(scheme, 4, 3)[-1].metadata_by_kind for scheme in SCHEMES}
    assert not any(traffic["none"].values())
    assert {name for name, lines in traffic["softvn"].items() if lines} == {"mac read", "mac write"}
    assert all(traffic["sgx"].values())
    tensors = traffic["tenanalyzer"]
    data = adam("tenanalyzer", 4, 3)[-1]
    assert tensors["mac read"] + tensors["mac write"] + tensors["vn read"] < 0.01 * data.read_lines
    assert tensors["vn write"] == pytest.approx(data.write_lines / 8, rel=0.2)


@pytest.mark.parametrize(("threads", "printed"), [(4, 2.64), (8, 3.7)])
def test_calibration_lies_between_the_printed_figures(threads: int, printed: float) -> None:
    assert adam("sgx", threads, 3)[-1].seconds / adam("none", threads, 3)[-1].seconds == pytest.approx(printed, rel=0.2)


@pytest.mark.parametrize("threads", [4, 8])
def test_tenanalyzer_over_the_iterations(threads: int) -> None:
    plain = adam("none", threads, 3)[-1].seconds
    runs = adam("tenanalyzer", threads, 3)
    assert runs[0].seconds > 2 * plain
    assert runs[0].hit_in < 0.1
    assert runs[0].hit_in + runs[0].hit_boundary > 0.9
    assert runs[2].seconds < 1.15 * plain
    assert runs[2].hit_in > 0.95
    assert runs[2].invalidations == 0


@pytest.mark.parametrize("threads", [1, 4, 8])
def test_protection_never_makes_it_faster(threads: int) -> None:
    plain, sgx, softvn = (adam(scheme, threads, 3)[-1].seconds for scheme in ("none", "sgx", "softvn"))
    tensors = adam("tenanalyzer", threads, 3)[-1].seconds
    assert plain <= tensors <= sgx
    assert plain <= softvn <= sgx


@pytest.mark.parametrize(
    ("scheme", "tolerance"), [("none", 0.01), ("softvn", 0.01), ("tenanalyzer", 0.01), ("sgx", 0.2)]
)
def test_more_threads_are_never_slower(scheme: str, tolerance: float) -> None:
    """SGX-like: the streams of 8 threads crowd the metadata cache, so that it fetches more than for 4."""
    seconds = [adam(scheme, threads, 3)[-1].seconds for threads in (1, 2, 4, 8)]
    assert all(more <= (1 + tolerance) * less for less, more in pairwise(seconds))


@pytest.mark.parametrize("scheme", ["none", "sgx"])
def test_more_channels_are_never_slower(scheme: str) -> None:
    seconds = [adam(scheme, 8, 1, Cpu(dram=Ddr(channels=channels)))[-1].seconds for channels in (1, 2, 4)]
    assert all(more <= 1.01 * less for less, more in pairwise(seconds))
    assert seconds[1] < 0.95 * seconds[0]


@pytest.mark.parametrize("scheme", ["none", "sgx", "tenanalyzer"])
def test_the_scale_hardly_matters(scheme: str) -> None:
    """In the third iteration: how soon TenAnalyzer has learned depends a little on it."""
    small, large = (run_adam(GPT2_M, CPU, scheme, scale=scale, iterations=3)[-1] for scale in (240, 80))
    assert small.seconds == pytest.approx(large.seconds, rel=0.08)
    assert small.read_lines == pytest.approx(large.read_lines, rel=0.01)


def test_times_grow_with_the_bytes() -> None:
    once, twice = (run_stream("copy", nbytes, CPU, "sgx", iterations=2).seconds for nbytes in (1 << 26, 1 << 27))
    assert twice == pytest.approx(2 * once, rel=0.05)


def test_runs_repeat_exactly() -> None:
    assert run_adam(SMALL, CPU, "tenanalyzer") == run_adam(SMALL, CPU, "tenanalyzer")


def test_gemm_is_found() -> None:
    assert run_gemm(256, 64, CPU, "tenanalyzer").hit_in > 0.95


def test_noise_does_not_stop_detection() -> None:
    trace = kernels.with_noise(kernels.adam(SMALL, CPU, threads=4, scale=4), 0.05)
    machine = Machine(CPU, "tenanalyzer", trace.lines, scale=4)
    runs = [machine.run(trace, flush=True) for _ in range(3)]
    assert runs[-1].hit_in > 0.8


def test_a_wrong_version_number_is_an_error() -> None:
    trace = kernels.adam(SMALL, CPU, threads=4, scale=4)
    machine = Machine(CPU, "tenanalyzer", trace.lines, scale=4)
    machine.run(trace, flush=True)
    machine.lines.versions[trace.buffers[3][0] + 100] += 1
    with pytest.raises(ConservationError, match="wrong version numbers"):
        machine.run(trace)


def test_saturated_streams_stay_below_the_peak() -> None:
    busy = Cpu(outstanding_lines=32, copy_cycles_per_line=1.0)
    assert 0.8 < run_stream("copy", 1 << 25, busy, "none", iterations=2).dram_busy_share <= 1


def test_arguments() -> None:
    with pytest.raises(ValueError, match="no protection scheme 'sev'"):
        Machine(CPU, "sev", 100)
    with pytest.raises(ValueError, match="do not fit"):
        Machine(Cpu(protected_bytes=1 << 20), "sgx", 1 << 20)


def test_benchmark_measures_every_target(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "_TENSORS", [160_000])
    monkeypatch.setattr(bench, "_RUNS", 1)
    speeds = bench.benchmark()
    assert speeds.keys() == bench.TARGETS.keys()
    for speed in speeds.values():
        assert speed["data"] > 0
        assert speed["metadata"] > 0
        assert speed["all"] == speed["data"] + speed["metadata"]
