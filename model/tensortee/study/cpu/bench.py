# SPDX-License-Identifier: Apache-2.0
"""Speed of the CPU simulator, `python -m tensortee.study.cpu.bench`.

Counts the line accesses to DRAM that are simulated in a second on one core, with timing and protection: lines of data,
which the cores ask for, and lines of metadata, which the protection adds. Compilation does not count.

Writes `build/bench/study.json`.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from tensortee.checkpoint.atomic import write_file
from tensortee.study.cpu import kernels
from tensortee.study.cpu.simulator import Machine
from tensortee.study.hardware import Cpu

TARGETS = {"sgx": 20e6, "tenanalyzer": 5e6}
"""Line accesses a second that the simulator should reach, by scheme. Wall clock: to miss it is no failure."""

OUTPUT = Path("build/bench/study.json")

_TENSORS = [320_000] * 16
_RUNS = 5


def _speed(scheme: str) -> dict[str, float]:
    """Lines a second of Adam with 8 threads, best of several runs."""
    cpu = Cpu()
    trace = kernels.adam(_TENSORS, cpu)
    machine = Machine(cpu, scheme, trace.lines, scale=10)
    machine.run(trace)
    best = {"data": 0.0, "metadata": 0.0}
    for _ in range(_RUNS):
        begin = time.perf_counter()
        run = machine.run(trace)
        seconds = time.perf_counter() - begin
        data = (run.read_lines + run.write_lines) / seconds
        if data > best["data"]:
            best = {"data": data, "metadata": run.metadata_lines / seconds}
    return best


def benchmark() -> dict[str, dict[str, float]]:
    """Lines read and written in DRAM that are simulated in a second, for each scheme of `TARGETS`.

    Returns:
        For each scheme, lines of "data" and of "metadata", and "all" of them.
    """
    speeds = {scheme: _speed(scheme) for scheme in TARGETS}
    return {scheme: {**speed, "all": sum(speed.values())} for scheme, speed in speeds.items()}


def main() -> int:
    """Measure, print and write the speeds; the exit code says nothing of them."""
    speeds = benchmark()
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    content = {scheme: {"lines_per_second": speed, "target": TARGETS[scheme]} for scheme, speed in speeds.items()}
    write_file(OUTPUT, json.dumps(content, indent=2).encode() + b"\n")
    for scheme, speed in speeds.items():
        data, metadata, both = (speed[kind] / 1e6 for kind in ("data", "metadata", "all"))
        print(
            f"study, CPU under {scheme}: {both:.1f} million line accesses a second "
            f"(target: {TARGETS[scheme] / 1e6:.0f}{'' if speed['all'] >= TARGETS[scheme] else ', MISSED'}), "
            f"{data:.1f} of data and {metadata:.1f} of metadata"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
