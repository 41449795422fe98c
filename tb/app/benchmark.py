# SPDX-License-Identifier: Apache-2.0
"""``python -m tb.app.benchmark``: measures the engine at every bus width in both simulators.

Prints a table, leaves ``build/bench/engine.json``, and fails if a target is missed or the simulators disagree. With
``--update`` the figures become the measured file that ships with the package.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from itertools import product

from rich.console import Console
from rich.table import Table

from tb.app.engine import DATA_WIDTHS
from tb.app.performance import TARGETS, Figures, load_measured, measure, missed, save_measured
from tb.runner import BUILD, SIMULATORS, SimulationError, simulators

ENGINE_FILE = BUILD / "bench" / "engine.json"


def figures_table(results: list[tuple[str, Figures]]) -> Table:
    """Return the table of all measurements, targets in the first row."""
    table = Table(title="Engine, clock cycles", title_justify="left")
    table.add_column("simulator")
    table.add_column("DATA_W", justify="right")
    for name in TARGETS:
        table.add_column(name.replace("_", " "), justify="right")
    table.add_row("target", "", *(f"{relation.value} {bound:g}" for relation, bound in TARGETS.values()))
    table.add_section()
    for simulator, figures in results:
        table.add_row(simulator, str(figures["data_w"]), *(f"{figures[name]:g}" for name in TARGETS))
    return table


def commands_table(figures: list[Figures]) -> Table:
    """Return the table of command costs, a column for each bus width."""
    table = Table(title="Commands, clock cycles", title_justify="left")
    table.add_column("")
    for entry in figures:
        table.add_column(f"DATA_W = {entry['data_w']}", justify="right")
    for name in figures[0]["command_cycles"]:
        table.add_row(name.upper(), *(str(entry["command_cycles"][name]) for entry in figures))
    return table


def disagreements(results: list[tuple[str, Figures]]) -> list[str]:
    """Return one line for every bus width at which the simulators differ."""
    lines = []
    for data_w in DATA_WIDTHS:
        distinct = {json.dumps(figures, sort_keys=True) for _, figures in results if figures["data_w"] == data_w}
        if len(distinct) > 1:
            lines.append(f"DATA_W = {data_w}: the simulators measure different figures")
    return lines


def outdated(results: list[tuple[str, Figures]]) -> list[str]:
    """Return one line for every measurement that differs from the measured file."""
    measured = load_measured()
    return [
        f"DATA_W = {figures['data_w']} in {simulator} differs from the measured file: run scripts/bench.py --update"
        for simulator, figures in results
        if measured.get(figures["data_w"]) != figures
    ]


def main(argv: list[str] | None = None) -> int:
    """Measure, print, write; returns the exit code: 0 good, 1 a figure is not as it has to be, 2 it could not run."""
    parser = argparse.ArgumentParser(prog="python -m tb.app.benchmark", description="Measure the engine in cycles.")
    parser.add_argument("--update", action="store_true", help="make the figures the measured file of the package")
    options = parser.parse_args(argv)
    try:
        names = simulators()
        if options.update and len(names) < len(SIMULATORS):
            raise SimulationError("--update needs the figures of both simulators: run it without SIM")
        cases = list(product(names, DATA_WIDTHS))
        with ProcessPoolExecutor(os.cpu_count()) as pool:
            figures = list(pool.map(measure, *zip(*cases, strict=True)))
    except SimulationError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    results = [(simulator, entry) for (simulator, _), entry in zip(cases, figures, strict=True)]
    ENGINE_FILE.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"simulator": simulator, **entry} for simulator, entry in results]
    ENGINE_FILE.write_text(json.dumps(rows, indent=1) + "\n")
    console = Console()
    console.print(figures_table(results))
    console.print(commands_table(figures[: len(DATA_WIDTHS)]))
    console.print(f"Written: {ENGINE_FILE}", soft_wrap=True, markup=False)
    problems = [f"{simulator}, {line}" for simulator, entry in results for line in missed(entry)]
    problems += disagreements(results)
    if options.update and not problems:
        save_measured([entry for simulator, entry in results if simulator == names[0]])
    if not options.update:
        problems += outdated(results)
    for problem in problems:
        print(f"bench: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
