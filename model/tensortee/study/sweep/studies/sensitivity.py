# SPDX-License-Identifier: Apache-2.0
"""What the conclusions depend on: each input goes to the ends of its range, one at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tensortee.study.hardware import System
from tensortee.study.npu.simulator import run_workload
from tensortee.study.report.results import TornadoRow
from tensortee.study.system.step import training_step
from tensortee.study.workload.operators import Workload

ADAM_ITERATION = 10
"""Iteration of Adam behind the conclusions; the same at both ends and in the middle."""


@dataclass(frozen=True, slots=True)
class Range:
    """Range of an input.

    Attributes:
        parameter: dotted path in `System`.
        low: low end.
        high: high end.
    """

    parameter: str
    low: float
    high: float


RANGES = (
    Range("cpu.adam_cycles_per_element", 6.0, 24.0),
    Range("cpu.outstanding_lines", 3, 12),
    Range("cpu.metadata_misses", 2, 6),
    Range("cpu.metadata_cache_bytes", 16 << 10, 128 << 10),
    Range("cpu.meta_table_entries", 128, 2048),
    Range("cpu.merge_candidates", 2, 32),
    Range("cpu.dram.channels", 1, 4),
    Range("cpu.dram.controller_ns", 15.0, 60.0),
    Range("npu.dram_bytes_per_second", 64e9, 512e9),
    Range("npu.dram_efficiency", 0.75, 1.0),
    Range("npu.scratchpad_bytes", 16 << 20, 64 << 20),
    Range("npu.descriptor_bytes", 256 << 10, 1 << 20),
    Range("npu.mac_bytes", 4, 8),
    Range("link.pcie_generation", 3, 6),
    Range("link.efficiency", 0.7, 0.95),
    Range("link.staging_aes_bytes_per_second", 4e9, 32e9),
    Range("gradient_bucket_elements", 50_000_000, 1_000_000_000),
)
"""Half to double, or the neighbours that are built, where nothing better is known."""

CONCLUSIONS = {
    "speed-up over SGX+MGX": "1",
    "overhead of TensorTEE": "1",
    "speed-up of the gradients' transfer": "1",
    "Adam under SGX over non-secure": "1",
    "Adam under TenAnalyzer over non-secure": "1",
    "NPU overhead of 64-byte MACs": "1",
    "NPU overhead of 4-KiB MACs": "1",
}
"""What is looked at, and its unit."""


def with_parameter(system: System, path: str, value: Any) -> System:
    """A system with one parameter changed.

    Args:
        system: hardware.
        path: dotted path, e.g. "cpu.dram.channels".
        value: new value; checked as in a configuration file.

    Raises:
        KeyError: there is no such parameter.
        pydantic.ValidationError: the value is out of range.
    """
    content = system.model_dump()
    *folders, name = path.split(".")
    place = content
    for folder in folders:
        place = place[folder]
    if name not in place:
        raise KeyError(f"no parameter {path!r}")
    place[name] = type(place[name])(value)
    return System.model_validate(content)


def value_of(system: System, path: str) -> float:
    """A parameter by its dotted path."""
    value: Any = system
    for name in path.split("."):
        value = getattr(value, name)
    return float(value)


def conclusions(workload: Workload, system: System) -> dict[str, float]:
    """All conclusions, by the names of `CONCLUSIONS`, for one workload on one system."""
    plain, baseline, ours = (
        training_step(workload, system, scheme, adam_iteration=ADAM_ITERATION)
        for scheme in ("non-secure", "sgx+mgx", "tensortee")
    )
    npu = run_workload(workload.passes, system.npu, "none").seconds
    fine, coarse = (
        run_workload(workload.passes, system.npu, "mac", mac_block_bytes=block).seconds for block in (64, 4096)
    )
    results = (
        baseline.seconds / ours.seconds,
        ours.seconds / plain.seconds - 1,
        sum(part.seconds for part in baseline.gradients) / sum(part.seconds for part in ours.gradients),
        baseline.adam.seconds / plain.adam.seconds,
        ours.adam.seconds / plain.adam.seconds,
        fine / npu - 1,
        coarse / npu - 1,
    )
    return dict(zip(CONCLUSIONS, results, strict=True))


def tornado(
    system: System, base: dict[str, float], ends: dict[tuple[str, float], dict[str, float]]
) -> list[TornadoRow]:
    """Rows of the chart: for each conclusion, the inputs that move it, the strongest first.

    Args:
        system: hardware of the middle.
        base: conclusions with it.
        ends: conclusions by parameter and value.
    """
    rows = [
        TornadoRow(
            conclusion=conclusion,
            unit=unit,
            parameter=entry.parameter,
            low=entry.low,
            base=value_of(system, entry.parameter),
            high=entry.high,
            result_low=ends[entry.parameter, entry.low][conclusion],
            result_base=base[conclusion],
            result_high=ends[entry.parameter, entry.high][conclusion],
        )
        for conclusion, unit in CONCLUSIONS.items()
        for entry in RANGES
    ]
    order = {conclusion: place for place, conclusion in enumerate(CONCLUSIONS)}
    moving = [row for row in rows if row.result_low != row.result_base or row.result_high != row.result_base]
    return sorted(moving, key=lambda row: (order[row.conclusion], -_swing(row)))


def _swing(row: TornadoRow) -> float:
    results = (row.result_low, row.result_base, row.result_high)
    return max(results) - min(results)
