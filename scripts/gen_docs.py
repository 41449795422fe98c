# SPDX-License-Identifier: Apache-2.0
"""Writes the generated tables of the documentation, between their markers; ``--check`` fails if one is not fresh.

A table lies between ``<!-- generated: NAME -->`` and ``<!-- end: NAME -->``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
MEASURED_FILE = ROOT / "model" / "tensortee" / "engine" / "performance.json"
STUDY_FILE = ROOT / "tests" / "study" / "data" / "paper_results.json"


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table, numbers to the right."""
    lines = [" | ".join(head), " | ".join(["---", *["---:"] * (len(head) - 1)]), *(" | ".join(row) for row in rows)]
    return "\n".join(f"| {line} |" for line in lines)


def engine_performance(measured: dict[str, Any]) -> str:
    """Return the table of throughput and latency."""
    names = [name for name in measured["figures"][0] if name not in ("data_w", "command_cycles")]
    rows = [["target", *(measured["targets"].get(name, "") for name in names)]]
    rows += [
        [f"`DATA_W` = {figures['data_w']}", *(f"{figures[name]:g}" for name in names)]
        for figures in measured["figures"]
    ]
    return markdown_table(["", *(name.replace("_", " ") for name in names)], rows)


def command_cycles(measured: dict[str, Any]) -> str:
    """Return the table of command costs."""
    names = list(measured["figures"][0]["command_cycles"])
    rows = [
        [f"`DATA_W` = {figures['data_w']}", *(str(figures["command_cycles"][name]) for name in names)]
        for figures in measured["figures"]
    ]
    return markdown_table(["", *(name.replace("_", " ").upper() for name in names)], rows)


def study_config(_measured: dict[str, Any]) -> str:
    """Return the reference of a study's configuration."""
    from tensortee.study.sweep.config import Config, Source

    rows = []
    for model, prefix in ((Source, "workload."), (Config, "")):
        for name, field in model.model_fields.items():
            if name != "workload":
                rows.append([f"`{prefix}{name}`", (field.description or "").replace("|", "or")])
    lines = ["| key | meaning |", "| --- | --- |", *(f"| {key} | {meaning} |" for key, meaning in rows)]
    return "\n".join(lines)


def study_comparisons(_measured: dict[str, Any]) -> str:
    """Return the table of the paper's numbers beside ours."""
    rows = [
        [row["quantity"], f"{row['printed']:g}", f"{row['ours']:.3g}", f"{row['error']:+.0%}", row["kind"]]
        for row in json.loads(STUDY_FILE.read_text())["comparisons"]
    ]
    return markdown_table(["quantity", "printed", "ours", "error", "kind"], rows)


def study_models(_measured: dict[str, Any]) -> str:
    """Return the table of the models' training steps."""
    rows = [
        [
            row["model"],
            f"{row['parameters'] / 1e6:.0f} M",
            str(row["batch"]),
            "" if row["printed_speedup"] is None else f"{row['printed_speedup']:g}",
            f"{row['speedup']:.2f}",
            f"{row['overhead']:.1%}",
        ]
        for row in json.loads(STUDY_FILE.read_text())["speedups"]
    ]
    head = ["model", "parameters", "batch", "speed-up printed", "speed-up", "overhead over non-secure"]
    return markdown_table(head, rows)


TABLES: dict[str, tuple[str, Callable[[dict[str, Any]], str]]] = {
    "engine-performance": ("docs/results.md", engine_performance),
    "command-cycles": ("docs/results.md", command_cycles),
    "study-models": ("docs/study/results.md", study_models),
    "study-comparisons": ("docs/study/results.md", study_comparisons),
    "study-config": ("docs/study/README.md", study_config),
}


class MarkerError(Exception):
    """A file does not hold exactly one pair of markers of a table."""


def inserted(text: str, name: str, table: str) -> str:
    """Return a text with the table between its markers replaced; raises ``MarkerError``."""
    begin, end = f"<!-- generated: {name} -->\n", f"<!-- end: {name} -->"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise MarkerError(f"one pair of markers {begin.strip()} and {end} is needed")
    before, rest = text.split(begin)
    return f"{before}{begin}\n{table}\n\n{end}{rest.split(end)[1]}"


def main() -> int:
    """Write or check all tables; returns the exit code."""
    parser = argparse.ArgumentParser(description="Write the generated tables of the documentation.")
    parser.add_argument("--check", action="store_true", help="only check that they are fresh")
    options = parser.parse_args()
    measured = json.loads(MEASURED_FILE.read_text())
    stale = 0
    for name, (file, make) in TABLES.items():
        path = ROOT / file
        text = path.read_text()
        try:
            new = inserted(text, name, make(measured))
        except MarkerError as error:
            print(f"gen_docs: {file}: {error}", file=sys.stderr)
            return 2
        if new == text:
            continue
        if options.check:
            print(f"gen_docs: {file}: the table {name} is not fresh: run `make docs`", file=sys.stderr)
            stale = 1
        else:
            path.write_text(new)
            print(f"gen_docs: {file}: wrote {name}")
    return stale


if __name__ == "__main__":
    sys.exit(main())
