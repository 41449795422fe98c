# SPDX-License-Identifier: Apache-2.0
"""Speed of the CPU simulator: data lines that it moves in a second on one core, timing and protection included."""

from __future__ import annotations

import time

from tensortee.study.cpu import kernels
from tensortee.study.cpu.simulator import Machine
from tensortee.study.hardware import Cpu

TARGETS = {"sgx_lines_per_second": 20e6, "tenanalyzer_lines_per_second": 5e6}
"""Data lines a second that the simulator must reach."""

_TENSORS = [320_000] * 16
_RUNS = 5


def _lines_per_second(scheme: str) -> float:
    """Data lines a second of Adam with 8 threads, best of several runs; compilation does not count."""
    cpu = Cpu()
    trace = kernels.adam(_TENSORS, cpu)
    machine = Machine(cpu, scheme, trace.lines, scale=10)
    machine.run(trace)
    best = 0.0
    for _ in range(_RUNS):
        begin = time.perf_counter()
        run = machine.run(trace)
        best = max(best, (run.read_lines + run.write_lines) / (time.perf_counter() - begin))
    return best


def benchmark() -> dict[str, float]:
    """Data lines read and written in DRAM that are simulated in a second, for each scheme of `TARGETS`."""
    return {name: _lines_per_second(name.removesuffix("_lines_per_second")) for name in TARGETS}
