# SPDX-License-Identifier: Apache-2.0
"""Speed of the CPU simulator, `python -m tensortee.study.cpu.bench`.

Counts the data lines that are moved between cores' caches and DRAM in a second on one core, with timing and protection;
compilation does not count. Writes `build/bench/study.json`.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from tensortee.study.cpu import kernels
from tensortee.study.cpu.simulator import Machine
from tensortee.study.hardware import Cpu

TARGETS = {"sgx_lines_per_second": 20e6, "tenanalyzer_lines_per_second": 5e6}
"""Data lines a second that the simulator must reach."""

OUTPUT = Path("build/bench/study.json")

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


def main() -> int:
    """Measure, print and write the speeds; returns 1 if a target is missed."""
    speeds = benchmark()
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps({**speeds, "targets": TARGETS}, indent=2) + "\n", encoding="utf-8")
    for name, speed in speeds.items():
        print(f"{name.replace('_', ' ')}: {speed / 1e6:.1f} million (target: {TARGETS[name] / 1e6:.0f} million)")
    return int(any(speeds[name] < target for name, target in TARGETS.items()))


if __name__ == "__main__":
    sys.exit(main())
