# SPDX-License-Identifier: Apache-2.0
"""Kernels of the CPU under each scheme: Adam against threads, iterations and tensors, and a tiled matrix product."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tensortee.study.cpu.simulator import KernelRun, run_adam, run_gemm
from tensortee.study.hardware import Cpu
from tensortee.study.report.results import AdamRow, CpuScheme, GemmResults, TensorsLimitRow

THREADS = (1, 2, 4, 8)
ITERATIONS = 40
"""Iterations of the longest curve that the paper prints."""

PRINTED_THREADS = 4
PRINTED_ADAM: dict[tuple[CpuScheme, int], float] = {
    ("sgx", 1): 2.64,
    ("softvn", 1): 1.04,
    ("tenanalyzer", 1): 2.56,
    ("tenanalyzer", 2): 1.56,
    ("tenanalyzer", 5): 1.24,
    ("tenanalyzer", 10): 1.10,
    ("tenanalyzer", 20): 1.08,
    ("tenanalyzer", 40): 1.05,
}
"""Time of Adam over the non-secure time with four threads, as printed (ASPLOS 2024), by scheme and iteration."""

PRINTED_GEMM_HIT_IN = 0.988
GEMM_N, GEMM_TILE = 256, 64

LIMIT_PARAMETERS = 64 << 20
LIMIT_ITERATION = 20


def adam_curve(
    elements: Sequence[int], cpu: Cpu, scheme: CpuScheme, threads: int, iterations: int
) -> tuple[list[AdamRow], KernelRun]:
    """Adam of one model, iteration by iteration, over the non-secure time.

    Args:
        elements: elements of each parameter.
        cpu: hardware.
        scheme: memory protection.
        threads: threads.
        iterations: updates one after the other.

    Returns:
        A row for each iteration, and the last run.
    """
    plain = run_adam(elements, cpu, "none", threads=threads, iterations=2)[-1].seconds
    runs = run_adam(elements, cpu, scheme, threads=threads, iterations=iterations)
    learns = scheme == "tenanalyzer"
    rows = [
        AdamRow(
            threads=threads,
            iteration=run.iteration,
            scheme=scheme,
            time_over_non_secure=run.seconds / plain,
            hit_in=run.hit_in if learns else None,
            hit_all=run.hit_in + run.hit_boundary if learns else None,
            printed_time_over_non_secure=(
                PRINTED_ADAM.get((scheme, run.iteration)) if threads == PRINTED_THREADS else None
            ),
        )
        for run in runs
    ]
    return rows, runs[-1]


def gemm(cpu: Cpu) -> GemmResults:
    """Hit rate of TenAnalyzer in a tiled matrix product: the first one, and the one after it."""
    first, second = (run_gemm(GEMM_N, GEMM_TILE, cpu, "tenanalyzer", iterations=count) for count in (1, 2))
    return GemmResults(
        hit_in=second.hit_in,
        first_hit_in=first.hit_in,
        n=GEMM_N,
        tile=GEMM_TILE,
        printed_hit_in=PRINTED_GEMM_HIT_IN,
    )


def tensors_limit(tensors: int, cpu: Cpu) -> TensorsLimitRow:
    """Adam over a number of tensors of many sizes that lie apart, so that no two of them can share an entry.

    Equal tensors at equal distances would be tiles of one, and TenAnalyzer would find that.

    Args:
        tensors: parameters; each has four tensors (parameter, two moments, gradient).
        cpu: hardware.
    """
    sizes = np.random.default_rng(tensors).uniform(0.5, 1.5, tensors)
    elements = [int(size) for size in sizes * LIMIT_PARAMETERS / sizes.sum()]
    threads = 1
    plain = run_adam(elements, cpu, "none", threads=threads, iterations=2, apart=True)[-1]
    run = run_adam(elements, cpu, "tenanalyzer", threads=threads, iterations=LIMIT_ITERATION, apart=True)[-1]
    return TensorsLimitRow(tensors=4 * tensors, time_over_non_secure=run.seconds / plain.seconds, hit_in=run.hit_in)
