# SPDX-License-Identifier: Apache-2.0
"""Check the testplan against the tests that ran; part of ``make test`` and ``make regress``.

Fails if a test that the plan names did not run or did not pass, if a test that ran maps to no testpoint, or if the plan
itself is malformed. Tests of the nightly tier have to run in that tier only. Reads ``build/tests/pytest.json``
(``pytest --record``) and ``build/tests/cocotb/*.json`` (``tb/runner.py``).

A cocotb test counts as run whatever its outcome: benches that must fail are part of the plan, and the pytest test
around each of them judges it.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from scripts.testplan import COCOTB, FOLDER, ROOT, TestplanError, Testpoint, load

RESULTS = ROOT / "build" / "tests"


def without_parameters(name: str) -> str:
    """Name of a test without its parameters: pytest writes ``f[a-b]``, cocotb ``f/x=1/y=2``."""
    path, separator, rest = name.partition("::")
    if separator:
        return f"{path}::{rest.split('[', maxsplit=1)[0]}"
    return re.split(r"[/\[]", name, maxsplit=1)[0]


class Results:
    """Tests that ran, by their full names and by their names without parameters, and whether the tier is nightly."""

    def __init__(self, *, nightly: bool = False) -> None:
        self.nightly = nightly
        self.outcomes: dict[str, set[str]] = defaultdict(set)
        self.simulators: dict[str, set[str]] = defaultdict(set)
        self.names: set[str] = set()

    def add(self, name: str, outcome: str, simulator: str | None = None) -> None:
        """Add one test of one run; skipped tests have not run."""
        if outcome == "skipped":
            return
        self.names.add(name)
        for key in {name, without_parameters(name)}:
            self.outcomes[key].add(outcome)
            if simulator is not None:
                self.simulators[key].add(simulator)


def read_results(folder: Path) -> Results:
    """Read what pytest and the cocotb runner recorded.

    Raises:
        TestplanError: pytest left no record.
    """
    record = folder / "pytest.json"
    if not record.exists():
        raise TestplanError(f"no record of the tests in {record}. Fix: run make test")
    outcomes = json.loads(record.read_text())
    results = Results(nightly=outcomes["nightly"])
    for name, outcome in outcomes["tests"].items():
        results.add(name, outcome)
    for path in sorted((folder / "cocotb").glob("*.json")):
        run = json.loads(path.read_text())
        for test in run["tests"]:
            results.add(COCOTB + test["name"], test["status"], run["simulator"])
    return results


def problems_of(points: Iterable[Testpoint], results: Results) -> list[str]:
    """Everything in which plan and results disagree, one line each."""
    problems = []
    mapped: set[str] = set()
    for point in points:
        for test in point.tests:
            mapped.add(test)
            outcomes = results.outcomes.get(test, set())
            if not outcomes and (results.nightly or test not in point.nightly):
                problems.append(f"{point.id} ({point.file}): {test} did not run")
            elif "failed" in outcomes and not test.startswith(COCOTB):
                problems.append(f"{point.id} ({point.file}): {test} failed")
    problems += [
        f"{name} ran, but is in no testpoint of tests/testplan.d"
        for name in sorted({without_parameters(name) for name in results.names if name not in mapped})
        if name not in mapped
    ]
    return problems


def print_tables(points: list[Testpoint], results: Results) -> None:
    """Print the testpoints with their tests, and the attacks with their testpoints."""
    console = Console(width=140)
    table = Table("testpoint", "title", "security", "tests", "simulators", title="Testplan")
    for point in sorted(points, key=lambda point: point.id):
        simulators = sorted({name for test in point.tests for name in results.simulators.get(test, ())})
        ran = sum(bool(results.outcomes.get(test)) for test in point.tests)
        table.add_row(
            point.id, point.title, " ".join(point.security), f"{ran}/{len(point.tests)}", " ".join(simulators)
        )
    console.print(table)
    by_attack: dict[str, list[Testpoint]] = defaultdict(list)
    for point in points:
        for attack in point.security:
            by_attack[attack].append(point)
    attacks = Table("requirement", "testpoints", "shown on RTL", title="Security requirements")
    for attack in sorted(by_attack, key=lambda name: (name[0], int(name[1:]))):
        tests = [test for point in by_attack[attack] for test in point.tests]
        on_rtl = any(test.startswith((COCOTB, "tests/rtl/")) for test in tests)
        attacks.add_row(attack, " ".join(point.id for point in by_attack[attack]), "yes" if on_rtl else "no")
    console.print(attacks)


def main() -> int:
    """Command line entry."""
    parser = argparse.ArgumentParser(description="Check the testplan against the tests that ran.")
    parser.add_argument("--plan", type=Path, default=FOLDER, help="folder of the testplan")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the records")
    arguments = parser.parse_args()
    try:
        points = load(arguments.plan)
        results = read_results(arguments.results)
    except TestplanError as error:
        print(f"testplan: {error}", file=sys.stderr)
        return 1
    print_tables(points, results)
    problems = problems_of(points, results)
    for problem in problems:
        print(f"testplan: {problem}", file=sys.stderr)
    tests = {test for point in points for test in point.tests}
    print(f"testplan: {len(points)} testpoints, {len(tests)} tests, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
