# SPDX-License-Identifier: Apache-2.0
"""Runs of the CPU simulator that the system study shares: simulated once, kept in memory."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from tensortee.study.cpu.simulator import KernelRun, run_adam, run_stream
from tensortee.study.hardware import LINE_BYTES, Cpu

StreamKind = Literal["copy", "cast"]

REFERENCE_BYTES = 32 << 20
"""Stream that is simulated: several times the last-level cache, so its time grows linearly from there."""

WARM_ITERATION = 2
"""First stream that finds the last-level cache full of the lines of the one before, as a long stream does."""


@dataclass(frozen=True, slots=True)
class CpuCost:
    """Time and traffic of a kernel on the CPU.

    Attributes:
        seconds: time, seconds.
        data_bytes: bytes of data to and from DRAM.
        dram_bytes: the same with metadata.
    """

    seconds: float
    data_bytes: float
    dram_bytes: float


@lru_cache(maxsize=256)
def adam(elements: tuple[int, ...], cpu: Cpu, scheme: str, threads: int, iteration: int) -> KernelRun:
    """One Adam update of a list of parameters.

    Args:
        elements: elements of each parameter.
        cpu: CPU.
        scheme: memory protection of `cpu.simulator`.
        threads: threads.
        iteration: iteration of the training run, from 1; only "tenanalyzer" learns from one to the next.
    """
    iterations = iteration if scheme == "tenanalyzer" else min(iteration, WARM_ITERATION)
    return run_adam(elements, cpu, scheme, threads=threads, iterations=iterations)[-1]


@lru_cache(maxsize=256)
def _reference(kind: StreamKind, cpu: Cpu, scheme: str, threads: int, iteration: int) -> KernelRun:
    return run_stream(kind, REFERENCE_BYTES, cpu, scheme, threads=threads, iterations=iteration)


def stream(
    kind: StreamKind, nbytes: float, cpu: Cpu, scheme: str, threads: int, *, iteration: int = WARM_ITERATION
) -> CpuCost:
    """A copy, or a conversion from fp32 to fp16.

    Args:
        kind: "copy" or "cast".
        nbytes: bytes of the input.
        cpu: CPU.
        scheme: memory protection of `cpu.simulator`.
        threads: threads.
        iteration: how often the same buffers were streamed, this time included, as in `adam`.
    """
    iteration = max(iteration, WARM_ITERATION) if scheme == "tenanalyzer" else WARM_ITERATION
    run = _reference(kind, cpu, scheme, threads, iteration)
    share = nbytes / REFERENCE_BYTES
    return CpuCost(seconds=share * run.seconds, data_bytes=share * data_bytes(run), dram_bytes=share * dram_bytes(run))


def data_bytes(run: KernelRun) -> float:
    """Bytes of data that a kernel moves to and from DRAM."""
    return LINE_BYTES * (run.read_lines + run.write_lines)


def dram_bytes(run: KernelRun) -> float:
    """Bytes that a kernel moves to and from DRAM, metadata included."""
    return data_bytes(run) + LINE_BYTES * run.metadata_lines
