# SPDX-License-Identifier: Apache-2.0
"""Traces of the CPU's kernels: every line that must be touched, by whom and how often."""

from __future__ import annotations

import numpy as np
import pytest
from tensortee.study.cpu import kernels
from tensortee.study.hardware import Cpu

CPU = Cpu()


@pytest.mark.parametrize("threads", [1, 3, 8])
def test_adam_reads_four_buffers_and_writes_three(threads: int) -> None:
    trace = kernels.adam([1000, 16, 5000, 1], CPU, threads=threads)
    lines, writes = np.unique(trace.accesses, return_counts=True)[0] >> 1, trace.accesses & 1
    assert trace.threads == threads
    total = 63 + 1 + 313 + 1
    expected = np.concatenate([first + np.arange(total) for first, _ in trace.buffers])
    assert np.array_equal(lines, expected)
    assert len(trace.accesses) == 4 * total
    assert writes.sum() == 3 * total
    gradients = trace.buffers[3][0]
    assert not writes[trace.accesses >> 1 >= gradients].any()


def test_adam_gives_each_thread_a_contiguous_chunk_of_each_tensor() -> None:
    trace = kernels.adam([16 * 100, 16 * 40], CPU, threads=4)
    parameters = [
        part[::4] >> 1
        for part in (trace.accesses[a:b] for a, b in zip(trace.bounds[:-1], trace.bounds[1:], strict=True))
    ]
    assert [list(part[:25]) for part in parameters] == [list(range(25 * t, 25 * t + 25)) for t in range(4)]
    assert [list(part[25:]) for part in parameters] == [list(range(100 + 10 * t, 110 + 10 * t)) for t in range(4)]


def test_scaling_keeps_tensors_and_streams() -> None:
    sizes = [16 * 100_000, 16 * 20, 16]
    assert list(kernels.scaled_tensors(sizes, 8, 100)) == [1000, 20, 1]
    trace = kernels.adam(sizes, CPU, scale=100)
    assert trace.scale == pytest.approx(100_021 / 1021)


def test_streams() -> None:
    copy = kernels.stream("copy", 64 * 100, CPU, threads=3)
    assert len(copy.accesses) == 200
    assert (copy.accesses & 1).sum() == 100
    cast = kernels.stream("cast", 64 * 100, CPU, threads=1)
    assert len(cast.accesses) == 150
    assert list(cast.accesses[:3]) == [0, 2, 2 * cast.buffers[1][0] + 1]


def test_gemm_reads_tiles_and_writes_each_line_once() -> None:
    trace = kernels.gemm(128, 64, CPU)
    lines, times = np.unique(trace.accesses, return_counts=True)
    written = lines & 1 == 1
    assert set(times[written]) == {1}
    assert set(times[~written]) == {2}
    assert written.sum() == 128 * 8
    assert list(trace.accesses[:5] >> 1) == [0, 1, 2, 3, 8]


def test_noise_is_added_and_depends_on_the_seed_only() -> None:
    trace = kernels.stream("copy", 64 * 1000, CPU)
    noisy, again, other = (kernels.with_noise(trace, 0.5, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(noisy.accesses, again.accesses)
    assert not np.array_equal(noisy.accesses, other.accesses)
    kernel = noisy.accesses[noisy.accesses >> 1 < trace.lines]
    assert np.array_equal(kernel, trace.accesses)
    assert len(noisy.accesses) == 3000
    assert noisy.accesses.max() >> 1 < noisy.lines


def test_arguments() -> None:
    with pytest.raises(ValueError, match="at least one tensor"):
        kernels.adam([], CPU)
    with pytest.raises(ValueError, match="at least one element"):
        kernels.adam([16, 0], CPU)
    with pytest.raises(ValueError, match="at least one byte"):
        kernels.stream("copy", 0, CPU)
    with pytest.raises(ValueError, match="tiles"):
        kernels.gemm(100, 64, CPU)
    with pytest.raises(ValueError, match="at least 0"):
        kernels.with_noise(kernels.stream("copy", 64, CPU), -1)


def test_tensors_apart_are_no_neighbours() -> None:
    sizes = [16 * 30, 16 * 50]
    near, far = (kernels.adam(sizes, CPU, threads=2, apart=apart) for apart in (False, True))
    assert len(near.accesses) == len(far.accesses) == 4 * 80
    assert near.scale == far.scale == 1
    lines = np.unique(far.accesses >> 1)
    gaps = np.diff(lines)
    assert np.count_nonzero(gaps > 1) == 7
    assert np.unique(near.accesses >> 1).size == lines.size
