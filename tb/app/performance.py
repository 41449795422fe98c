# SPDX-License-Identifier: Apache-2.0
"""The engine's speed in clock cycles: measuring it, its targets, and the file of measured figures.

The figures are deterministic: the same on every machine and in both simulators. The file is part of the package, so
that documentation and studies use what was measured, and a test compares it with the RTL.
"""

from __future__ import annotations

import json
import operator
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tb.app.bench_engine import DRAM_LATENCY, OUTPUT_VARIABLE, SCATTERED_LINES, STREAM_BYTES
from tb.app.engine import run_on_engine
from tb.runner import ROOT

MEASURED_FILE = ROOT / "model" / "tensortee" / "data" / "engine_performance.json"

TARGETS = {
    "read_beats_per_cycle": (operator.ge, 0.99),
    "write_beats_per_cycle": (operator.ge, 0.99),
    "added_read_latency_cycles": (operator.le, 6),
    "scattered_lines_per_cycle": (operator.ge, 1 / 8),
}
"""Figure: how it has to compare with what."""

Figures = dict[str, Any]


def measure(simulator: str, data_w: int) -> Figures:
    """Measure the engine at one bus width.

    Returns:
        ``data_w``, the four figures of ``TARGETS``, and ``command_cycles``: the cost of each command.

    Raises:
        SimulationError: it cannot be built, or the simulation failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "figures.json"
        run_on_engine("tb.app.bench_engine", simulator, data_w, extra_env={OUTPUT_VARIABLE: str(output)})
        return {"data_w": data_w, **json.loads(output.read_text())}


def missed(figures: Figures) -> list[str]:
    """Return one line for every target that the figures miss."""
    lines = []
    for name, (holds, target) in TARGETS.items():
        if not holds(figures[name], target):
            sign = "at least" if holds is operator.ge else "at most"
            lines.append(f"DATA_W = {figures['data_w']}: {name} is {figures[name]}, has to be {sign} {target}")
    return lines


def load_measured() -> dict[int, Figures]:
    """Return the figures of the measured file by bus width.

    Raises:
        FileNotFoundError: there is no such file; ``scripts/bench.py --update`` makes it.
    """
    document = json.loads(MEASURED_FILE.read_text())
    return {figures["data_w"]: figures for figures in document["figures"]}


def save_measured(figures: Sequence[Figures]) -> None:
    """Write the measured file."""
    document = {
        "kind": "measured",
        "by": "scripts/bench.py --update: RTL simulation, identical in Icarus Verilog and Verilator",
        "units": {
            "read_beats_per_cycle": "beats per clock cycle, reads and writes at the same time in bursts of 4 KiB",
            "write_beats_per_cycle": "beats per clock cycle, reads and writes at the same time in bursts of 4 KiB",
            "added_read_latency_cycles": "clock cycles from read address to first beat, more than the memory alone",
            "scattered_lines_per_cycle": "single-line reads in random order per clock cycle",
            "command_cycles": "clock cycles from the write of CMD to irq; key: from the handshake to READY",
        },
        "conditions": {
            "dram_read_latency_cycles": DRAM_LATENCY,
            "streamed_bytes": STREAM_BYTES,
            "scattered_lines": SCATTERED_LINES,
        },
        "figures": sorted(figures, key=lambda entry: int(entry["data_w"])),
    }
    MEASURED_FILE.parent.mkdir(parents=True, exist_ok=True)
    MEASURED_FILE.write_text(json.dumps(document, indent=1) + "\n")
