# SPDX-License-Identifier: Apache-2.0
"""Merge the coverage of the RTL regressions into a text summary and an HTML report; part of ``make cov``.

Inputs, left by simulations with ``COV=1``:

* ``build/cov/verilator/*.dat``: line, branch and toggle coverage of the RTL, from Verilator;
* ``build/cov/functional/*.json``: functional coverage, sampled by the monitors of the bench::

      {"groups": [{"name": "axi_read", "bins": {"burst_len_1": 12, ...}, "waived": {"bin": "category: reason"}}]}

Outputs: ``build/cov/index.html`` with one annotated page per source file, ``build/cov/summary.txt`` and
``build/cov/summary.json``. It is a failure if a functional bin was never hit and is not waived, if a bin is waived but
was hit, or if the line coverage of a file is below the floor. Verilator leaves out checks that stop a simulation.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
from rich.console import Console
from rich.table import Table

from scripts.verilator_coverage import CoverageError, Point, read

ROOT = Path(__file__).resolve().parent.parent
RTL = ROOT / "rtl"
COVERAGE = ROOT / "build" / "cov"
LINE_FLOOR_PERCENT = 90.0


@dataclass
class FileCoverage:
    """Coverage of one source file: hit and total of each kind, and the counts of its lines."""

    name: str
    hit: Counter[str] = field(default_factory=Counter)
    total: Counter[str] = field(default_factory=Counter)
    line_counts: dict[int, int] = field(default_factory=dict)
    missed_toggles: dict[int, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, point: Point, count: int) -> None:
        """Add one point."""
        kind = "toggle" if point.kind == "toggle" else "line"
        self.total[kind] += 1
        self.hit[kind] += count > 0
        if kind == "toggle":
            if not count:
                self.missed_toggles[point.line].append(point.what)
            return
        for line in point.lines or (point.line,):
            self.line_counts[line] = min(self.line_counts.get(line, count), count)

    def percent(self, kind: str) -> float | None:
        """Covered share in percent, None if there is nothing to cover."""
        return 100.0 * self.hit[kind] / self.total[kind] if self.total[kind] else None


@dataclass
class FunctionalGroup:
    """One group of functional coverage: hits of each bin, and the reason of each waived bin."""

    name: str
    bins: Counter[str] = field(default_factory=Counter)
    waived: dict[str, str] = field(default_factory=dict)

    @property
    def holes(self) -> list[str]:
        """Bins that were never hit and are not waived."""
        return [name for name, count in self.bins.items() if not count and name not in self.waived]

    @property
    def stale(self) -> list[str]:
        """Bins that are waived although they were hit."""
        return [name for name in self.waived if self.bins[name]]

    @property
    def hit(self) -> int:
        """Number of bins that were hit."""
        return sum(count > 0 for count in self.bins.values())


def merge_code(folder: Path) -> list[FileCoverage]:
    """Merge Verilator's data of all runs, by file.

    Raises:
        CoverageError: there is no data.
    """
    counts: Counter[Point] = Counter()
    for path in sorted(folder.glob("*.dat")):
        for point, count in read(path, RTL).items():
            counts[point] += count
    if not counts:
        raise CoverageError(f"no coverage of the RTL in {folder}. Fix: run make cov")
    files: dict[str, FileCoverage] = {}
    for point, count in counts.items():
        name = Path(point.file).name
        files.setdefault(name, FileCoverage(name)).add(point, count)
    return [files[name] for name in sorted(files)]


def merge_functional(folder: Path) -> list[FunctionalGroup]:
    """Merge the functional coverage of all runs, by group.

    Raises:
        CoverageError: a file is malformed, or a waiver has no reason.
    """
    groups: dict[str, FunctionalGroup] = {}
    for path in sorted(folder.glob("*.json")):
        try:
            entries: list[dict[str, Any]] = json.loads(path.read_text())["groups"]
            for entry in entries:
                group = groups.setdefault(entry["name"], FunctionalGroup(entry["name"]))
                for name, count in entry["bins"].items():
                    group.bins[name] += int(count)
                    group.bins.setdefault(name, 0)
                group.waived |= entry.get("waived", {})
        except (KeyError, TypeError, ValueError) as error:
            raise CoverageError(f"{path} is not functional coverage: {error!r}") from None
    for group in groups.values():
        for name, reason in group.waived.items():
            if ":" not in reason:
                raise CoverageError(f"the waiver of {group.name}.{name} is not of the form 'category: reason'")
    return [groups[name] for name in sorted(groups)]


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}%"


def code_table(files: list[FileCoverage]) -> Table:
    """Code coverage by file."""
    table = Table("file", title="Code coverage of the RTL (Verilator)")
    for heading in ("lines and branches", "covered", "toggles", "covered"):
        table.add_column(heading, justify="right")
    for item in [*files, total_of(files)]:
        if item.name == "total":
            table.add_section()
        table.add_row(
            item.name,
            f"{item.hit['line']}/{item.total['line']}",
            _percent(item.percent("line")),
            f"{item.hit['toggle']}/{item.total['toggle']}",
            _percent(item.percent("toggle")),
        )
    return table


def total_of(files: list[FileCoverage]) -> FileCoverage:
    """Sum over all files."""
    total = FileCoverage("total")
    for item in files:
        total.hit += item.hit
        total.total += item.total
    return total


def functional_table(groups: list[FunctionalGroup]) -> Table:
    """Functional coverage by group."""
    table = Table("group", title="Functional coverage (monitors of the bench)")
    for heading in ("bins", "hit", "waived", "holes"):
        table.add_column(heading, justify="right")
    for group in groups:
        holes = group.holes
        waived = len(group.bins) - group.hit - len(holes)
        table.add_row(group.name, str(len(group.bins)), str(group.hit), str(waived), ", ".join(holes) or "0")
    return table


_STYLE = """
body { font-family: sans-serif; margin: 2em; } table { border-collapse: collapse; }
td, th { border: 1px solid #ccc; padding: 2px 8px; text-align: right; }
td:first-child, th:first-child { text-align: left; }
pre { line-height: 1.25; } .hit { background: #dfd; } .miss { background: #fbb; } .half { background: #ffd; }
"""

_INDEX = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Coverage</title><style>{{ style }}</style>
</head><body><h1>Coverage of the TensorTEE regressions</h1>
<h2>Code (Verilator)</h2><table><tr><th>file<th>lines and branches<th>covered<th>toggles<th>covered</tr>
{% for item in files %}<tr><td>{% if item.name != "total" %}<a href="{{ item.name }}.html">{{ item.name }}</a>
{% else %}total{% endif %}<td>{{ item.hit["line"] }}/{{ item.total["line"] }}<td>{{ percent(item.percent("line")) }}
<td>{{ item.hit["toggle"] }}/{{ item.total["toggle"] }}<td>{{ percent(item.percent("toggle")) }}</tr>
{% endfor %}</table>
<h2>Functional</h2>{% for group in groups %}<h3>{{ group.name }}: {{ group.hit }} of {{ group.bins | length }} bins</h3>
<table><tr><th>bin<th>hits<th>waiver</tr>{% for name, count in group.bins | dictsort %}
<tr class="{{ "hit" if count else "half" if name in group.waived else "miss" }}"><td>{{ name }}<td>{{ count }}
<td>{{ group.waived.get(name, "") }}</tr>{% endfor %}</table>{% else %}<p>none measured</p>{% endfor %}
</body></html>
"""

_SOURCE = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{{ item.name }}</title>
<style>{{ style }}</style></head><body><p><a href="index.html">all files</a></p><h1>{{ item.name }}</h1>
<p>Green: executed. Red: never executed. Yellow: bits that did not toggle both ways; point at the line to see them.</p>
<pre>{% for number, text, count, toggles in lines -%}
<span class="{{ "miss" if count == 0 else "half" if toggles else "hit" if count is not none else "" }}"
 title="{{ toggles }}">{{ "%5d %10s " | format(number, "" if count is none else count) }}{{ text }}</span>
{% endfor %}</pre></body></html>
"""


def write_html(files: list[FileCoverage], groups: list[FunctionalGroup], folder: Path) -> None:
    """Write the index and one page per source file."""
    environment = jinja2.Environment(autoescape=True)
    index = environment.from_string(_INDEX)
    (folder / "index.html").write_text(
        index.render(style=_STYLE, files=[*files, total_of(files)], groups=groups, percent=_percent)
    )
    source = environment.from_string(_SOURCE)
    for item in files:
        lines = [
            (number, text, item.line_counts.get(number), ", ".join(item.missed_toggles.get(number, [])))
            for number, text in enumerate(next(RTL.rglob(item.name)).read_text().splitlines(), 1)
        ]
        (folder / f"{item.name}.html").write_text(source.render(style=_STYLE, item=item, lines=lines))


def problems_of(files: list[FileCoverage], groups: list[FunctionalGroup], floor: float) -> list[str]:
    """What makes the regression fail."""
    problems = []
    for item in files:
        percent = item.percent("line")
        if percent is not None and percent < floor:
            problems.append(f"{item.name}: {percent:.1f}% of lines and branches, below {floor:.1f}%")
    if not groups:
        problems.append("no functional coverage was measured")
    problems += [f"{group.name}: bin {name} was never hit" for group in groups for name in group.holes]
    problems += [
        f"{group.name}: bin {name} is waived, but was hit: delete the waiver"
        for group in groups
        for name in group.stale
    ]
    return problems


def main() -> int:
    """Command line entry."""
    parser = argparse.ArgumentParser(description="Merge and report the coverage of the RTL regressions.")
    parser.add_argument("--floor", type=float, default=LINE_FLOOR_PERCENT, help="lowest line coverage of a file in %%")
    arguments = parser.parse_args()
    try:
        files = merge_code(COVERAGE / "verilator")
        groups = merge_functional(COVERAGE / "functional")
    except CoverageError as error:
        print(f"cov: {error}", file=sys.stderr)
        return 1
    problems = problems_of(files, groups, arguments.floor)
    tables = [code_table(files), functional_table(groups)]
    Console(width=120).print(*tables, sep="\n")
    with (COVERAGE / "summary.txt").open("w") as text:
        Console(file=text, width=120).print(*tables, sep="\n")
    summary = {
        "code": {
            item.name: {kind: {"hit": item.hit[kind], "total": item.total[kind]} for kind in ("line", "toggle")}
            for item in [*files, total_of(files)]
        },
        "functional": {group.name: {"bins": len(group.bins), "hit": group.hit} for group in groups},
        "problems": problems,
    }
    (COVERAGE / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    write_html(files, groups, COVERAGE)
    for problem in problems:
        print(f"cov: {problem}", file=sys.stderr)
    print(f"cov: {len(problems)} problems; report: build/cov/index.html")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
