# SPDX-License-Identifier: Apache-2.0
"""Say in ten lines what ran; the end of ``make test`` and ``make regress``, whatever came before it.

Reads what pytest, the cocotb runner and the functional coverage left in ``build/``.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from scripts.check_testplan import RESULTS, problems_of, read_results
from scripts.testplan import TestplanError, load
from tb.env import coverage

NAMES_SHOWN = 3


def group_of(test: str) -> str:
    """Part of the project that a test belongs to: the folder below ``tests/``, else the bench and scripts."""
    parts = Path(test.partition("::")[0]).parts
    return parts[1] if len(parts) > 2 else "bench and scripts"


def counted(numbers: Counter[str]) -> str:
    """Numbers of things, the largest first."""
    return ", ".join(f"{name} {number}" for name, number in numbers.most_common()) or "none"


def short_list(names: list[str]) -> str:
    """The first names of a list."""
    more = len(names) - NAMES_SHOWN
    return "  ".join(names[:NAMES_SHOWN]) + (f"  and {more} more" if more > 0 else "") or "none"


def tests_lines(record: dict[str, Any]) -> dict[str, str]:
    """What pytest ran."""
    tests: dict[str, str] = record["tests"]
    outcomes = Counter(tests.values())
    minutes, seconds = divmod(record["seconds"], 60)
    return {
        "tier": "nightly" if record["nightly"] else "pull request (make regress has the nightly one)",
        "tests": f"{outcomes['passed']} passed, {outcomes['failed']} failed, {outcomes['skipped']} skipped"
        f" in {minutes} min {seconds:02} s",
        "by group": counted(Counter(map(group_of, tests))),
        "failed": short_list([name for name, outcome in tests.items() if outcome == "failed"]),
    }


def simulation_lines(runs: list[dict[str, Any]], outcomes: dict[str, str]) -> dict[str, str]:
    """What cocotb ran; a test that failed although the pytest test around it passed had to fail."""
    tests: Counter[str] = Counter()
    for run in runs:
        as_planned = outcomes.get(run["pytest"]) == "passed"
        tests.update(
            "must fail" if as_planned and test["status"] == "failed" else test["status"] for test in run["tests"]
        )
    builds = {(run["simulator"], run["toplevel"], *sorted(run["parameters"].items())) for run in runs}
    of_simulator = Counter(run["simulator"] for run in runs)
    seeds = Counter(str(run["seed"]) for run in runs)
    return {
        "simulations": f"{counted(of_simulator)}; {len(builds)} builds",
        "cocotb tests": f"{tests['passed']} passed, {tests['failed']} failed, {tests['must fail']} failed as they must",
        "seeds": short_list([f"{seed} ({number} runs)" for seed, number in seeds.most_common()]),
    }


def verdict_lines(folder: Path) -> dict[str, str]:
    """Testplan and functional coverage."""
    try:
        points = load()
        plan = f"{len(points)} testpoints, {len(problems_of(points, read_results(folder)))} problems"
    except TestplanError as error:
        plan = str(error).splitlines()[0]
    bins = [count for point in coverage.merge().values() for count in point.values()]
    reached = sum(map(bool, bins))
    return {
        "testplan": plan,
        "coverage": f"{reached} of {len(bins)} functional bins, {len(coverage.holes(coverage.merge()))} holes",
    }


def summary(folder: Path) -> str:
    """The ten lines.

    Raises:
        TestplanError: pytest left no record.
    """
    path = folder / "pytest.json"
    if not path.exists():
        raise TestplanError(f"no record of the tests in {path}: pytest did not come to its end")
    record = json.loads(path.read_text())
    runs = [json.loads(path.read_text()) for path in sorted((folder / "cocotb").glob("*.json"))]
    lines = {
        **tests_lines(record),
        **simulation_lines(runs, record["tests"]),
        **verdict_lines(folder),
        "logs": "build/cocotb/<simulator>/<build>/runs/<test>/simulation.log",
    }
    return "\n".join(f"{name:13} {text}" for name, text in lines.items())


def main() -> int:
    """Command line entry."""
    try:
        print(summary(RESULTS))
    except TestplanError as error:
        print(f"summary: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
