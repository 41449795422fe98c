# SPDX-License-Identifier: Apache-2.0
"""The engine's speed in clock cycles: measuring it, its targets, and the file of measured figures.

The figures are deterministic: the same on every machine and in both simulators. The file is part of the package, so
that documentation and studies use what was measured, and a test compares it with the RTL.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from tb.app.bench_engine import DRAM_LATENCY, OUTPUT_VARIABLE, SCATTERED_LINES, STREAM_BYTES
from tb.app.engine import run_on_engine
from tb.runner import ROOT

MEASURED_FILE = ROOT / "model" / "tensortee" / "engine" / "performance.json"


class Relation(Enum):
    """How a figure has to compare with its bound."""

    AT_LEAST = "at least"
    AT_MOST = "at most"

    def holds(self, figure: float, bound: float) -> bool:
        """Say whether the figure meets the bound."""
        return figure >= bound if self is Relation.AT_LEAST else figure <= bound


TARGETS: dict[str, tuple[Relation, float]] = {
    "read_beats_per_cycle": (Relation.AT_LEAST, 0.99),
    "write_beats_per_cycle": (Relation.AT_LEAST, 0.99),
    "added_read_latency_cycles": (Relation.AT_MOST, 6),
    "scattered_lines_per_cycle": (Relation.AT_LEAST, 0.125),
}

Figures = dict[str, Any]


def measure(simulator: str, data_w: int) -> Figures:
    """Measure the engine at one bus width.

    Returns:
        ``data_w``, the figures of ``TARGETS``, ``read_latency_floor_cycles``: what a read takes however fast the memory
        is, and ``command_cycles``: the cost of each command.

    Raises:
        SimulationError: it cannot be built, or the simulation failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "figures.json"
        run_on_engine("tb.app.bench_engine", simulator, data_w, extra_env={OUTPUT_VARIABLE: str(output)})
        return {"data_w": data_w, **json.loads(output.read_text())}


def missed(figures: Figures) -> list[str]:
    """Return one line for every target that the figures miss."""
    return [
        f"DATA_W = {figures['data_w']}: {name} is {figures[name]}, has to be {relation.value} {bound:g}"
        for name, (relation, bound) in TARGETS.items()
        if not relation.holds(figures[name], bound)
    ]


def load_measured() -> dict[int, Figures]:
    """Return the figures of the measured file by bus width.

    Raises:
        FileNotFoundError: there is no such file; ``scripts/bench.py --update`` makes it.
    """
    document = json.loads(MEASURED_FILE.read_text())
    return {figures["data_w"]: figures for figures in document["figures"]}


def save_measured(figures: Sequence[Figures]) -> None:
    """Write the measured file."""
    stream = "beats per clock cycle, reads and writes at the same time in bursts of 4 KiB, first to last beat"
    document = {
        "kind": "measured",
        "by": "scripts/bench.py --update: RTL simulation, identical in Icarus Verilog and Verilator",
        "units": {
            "data_w": "bits",
            "read_beats_per_cycle": stream,
            "write_beats_per_cycle": stream,
            "added_read_latency_cycles": "clock cycles from read address to first beat, more than the memory alone",
            "read_latency_floor_cycles": "clock cycles from read address to first beat, memory latency 1 cycle",
            "scattered_lines_per_cycle": "single-line reads in random order per clock cycle",
            "command_cycles": "clock cycles from the write of CMD to irq; key: from its handshake to state READY",
        },
        "conditions": {
            "dram_read_latency_cycles": DRAM_LATENCY,
            "streamed_bytes_per_direction": STREAM_BYTES,
            "scattered_lines": SCATTERED_LINES,
        },
        "targets": {name: f"{relation.value} {bound:g}" for name, (relation, bound) in TARGETS.items()},
        "figures": sorted(figures, key=lambda entry: int(entry["data_w"])),
    }
    MEASURED_FILE.parent.mkdir(parents=True, exist_ok=True)
    MEASURED_FILE.write_text(json.dumps(document, indent=1) + "\n")
