# SPDX-License-Identifier: Apache-2.0
"""Measure SCALE-Sim's cycles on small GEMMs and compare the study's systolic array with them.

SCALE-Sim needs other versions of packages than this project, so it is installed into an environment of its own below
build/. It simulates every cycle and is slow, so its results are kept in `tests/study/data/scalesim_cycles.json`,
with which `tests/study/test_npu_systolic.py` compares the model.

Usage: python -m scripts.scalesim_check [--update]
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import venv
from pathlib import Path
from typing import TypedDict

from rich.console import Console
from rich.table import Table
from tensortee.study.hardware import Npu
from tensortee.study.npu.systolic import compute_cycles

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "scalesim"
RESULT = ROOT / "tests" / "study" / "data" / "scalesim_cycles.json"
PACKAGES = ("scalesim==3.0.0", "numpy<2.4")
ARRAYS = ((8, 8), (16, 16), (32, 32), (16, 64), (64, 16))
SHAPES = (
    (16, 16, 16),
    (1, 64, 64),
    (64, 1, 100),
    (64, 64, 64),
    (65, 33, 17),
    (100, 60, 200),
    (128, 96, 256),
    (256, 256, 128),
)
"""m, n, k of the products."""

CONFIG = """[general]
run_name = run

[architecture_presets]
ArrayHeight: {rows}
ArrayWidth: {columns}
IfmapSramSzkB: 1024
FilterSramSzkB: 1024
OfmapSramSzkB: 1024
IfmapOffset: 0
FilterOffset: 10000000
OfmapOffset: 20000000
Dataflow: os
Bandwidth: 10
ReadRequestBuffer: 32
WriteRequestBuffer: 32

[layout]
IfmapCustomLayout: False
FilterCustomLayout: False
IfmapSRAMBankBandwidth: 10
IfmapSRAMBankNum: 10
IfmapSRAMBankPort: 2
FilterSRAMBankBandwidth: 10
FilterSRAMBankNum: 10
FilterSRAMBankPort: 2

[sparsity]
SparsitySupport: false

[run_presets]
InterfaceBandwidth: CALC
UseRamulatorTrace: False
"""


class Measurement(TypedDict):
    """One product on one array; cycles as SCALE-Sim reports them: the number of the last one, from 0 on, no stalls."""

    rows: int
    columns: int
    m: int
    n: int
    k: int
    cycles: int


def environment() -> Path:
    """Python of SCALE-Sim's environment; installs it first if it is not there."""
    python = BUILD / "venv" / "bin" / "python"
    complete = BUILD / "venv" / "complete"
    if not complete.exists():
        venv.create(BUILD / "venv", with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        complete.touch()
    return python


def measure(python: Path, rows: int, columns: int) -> list[Measurement]:
    """Run all products on one array in SCALE-Sim's output-stationary mode.

    Raises:
        RuntimeError: SCALE-Sim failed; the text has the end of its log.
    """
    folder = BUILD / f"{rows}x{columns}"
    folder.mkdir(parents=True, exist_ok=True)
    config, topology, layout = folder / "array.cfg", folder / "gemms.csv", folder / "layout.csv"
    config.write_text(CONFIG.format(rows=rows, columns=columns))
    lines = [f"gemm{number},{m},{n},{k}," for number, (m, n, k) in enumerate(SHAPES)]
    topology.write_text("\n".join(["Layer,M,N,K,", *lines, ""]))
    layout.write_text("Layer,\n")
    command: list[str | Path] = [python, "-m", "scalesim.scale", "-i", "gemm", "-s", "N"]
    command += ["-c", config, "-t", topology, "-l", layout, "-p", folder]
    report = folder / "run" / "COMPUTE_REPORT.csv"
    report.unlink(missing_ok=True)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if not report.exists():
        raise RuntimeError(f"SCALE-Sim failed:\n{(done.stdout + done.stderr)[-2000:]}")
    with report.open(newline="") as stream:
        table = [{name.strip(): value for name, value in row.items() if name} for row in csv.DictReader(stream)]
    return [
        Measurement(
            rows=rows, columns=columns, m=m, n=n, k=k, cycles=int(row["Total Cycles"]) - int(row["Stall Cycles"])
        )
        for (m, n, k), row in zip(SHAPES, table, strict=True)
    ]


def compare(measurements: list[Measurement]) -> Table:
    """Table of SCALE-Sim's cycles, ours and the error."""
    table = Table(*("array", "m x n x k", "SCALE-Sim", "model", "error"), title="Output-stationary cycles")
    for it in measurements:
        npu = Npu(array_rows=it["rows"], array_columns=it["columns"])
        ours = compute_cycles(it["m"], it["n"], it["k"], npu, 1)
        error = ours / it["cycles"] - 1
        cells = (f"{it['rows']}x{it['columns']}", f"{it['m']} x {it['n']} x {it['k']}")
        table.add_row(*cells, str(it["cycles"]), str(ours), f"{error:+.2%}")
    return table


def main() -> int:
    """Measure, print, and with --update record; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--update", action="store_true", help="record the cycles for the tests")
    update = parser.parse_args().update
    python = environment()
    measurements = [it for rows, columns in ARRAYS for it in measure(python, rows, columns)]
    Console().print(compare(measurements))
    text = {"kind": "measured", "by": "scripts/scalesim_check.py --update", "packages": PACKAGES, "dataflow": "os"}
    record = json.dumps({**text, "unit": "cycles", "gemms": measurements}, indent=1) + "\n"
    if update:
        RESULT.write_text(record)
    elif not RESULT.exists() or json.loads(RESULT.read_text()) != json.loads(record):
        print(f"{RESULT.relative_to(ROOT)} is not what SCALE-Sim says: run with --update", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
