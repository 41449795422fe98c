# SPDX-License-Identifier: Apache-2.0
"""The tiers, and the ten lines at the end of each."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.summary import summary
from scripts.testplan import ROOT, TestplanError


def leave_results(folder: Path, outcome: str) -> None:
    """What a small run leaves: two pytest tests, the second with a cocotb run in which a test fails."""
    (folder / "cocotb").mkdir()
    tests = {"tests/model/test_a.py::test_b[1]": "passed", "tests/rtl/test_c.py::test_d": outcome}
    (folder / "pytest.json").write_text(json.dumps({"nightly": True, "seconds": 61, "tests": tests}))
    run = {
        "simulator": "icarus",
        "toplevel": "t",
        "parameters": {"W": "1"},
        "seed": 7,
        "pytest": "tests/rtl/test_c.py::test_d",
        "tests": [{"name": "m.f", "status": "failed"}, {"name": "m.g", "status": "passed"}],
    }
    for number in (1, 2):
        (folder / "cocotb" / f"{number}.json").write_text(json.dumps(run))


def lines_of(folder: Path) -> dict[str, str]:
    return {line[:13].strip(): line[14:] for line in summary(folder).splitlines()}


def test_summary_has_ten_lines(tmp_path: Path) -> None:
    leave_results(tmp_path, "passed")
    lines = lines_of(tmp_path)
    assert len(lines) == 10
    assert lines["tier"] == "nightly"
    assert lines["tests"] == "2 passed, 0 failed, 0 skipped in 1 min 01 s"
    assert lines["by group"] == "model 1, rtl 1"
    assert lines["failed"] == "none"
    assert lines["simulations"] == "icarus 2; 1 builds"
    assert lines["cocotb tests"] == "2 passed, 0 failed, 2 failed as they must"
    assert lines["seeds"] == "7 (2 runs)"
    # The real plan names tests that this run does not have.
    assert not lines["testplan"].endswith(" 0 problems")


def test_failures_are_named(tmp_path: Path) -> None:
    leave_results(tmp_path, "failed")
    lines = lines_of(tmp_path)
    assert lines["tests"].startswith("1 passed, 1 failed, ")
    assert lines["failed"] == "tests/rtl/test_c.py::test_d"
    assert lines["cocotb tests"] == "2 passed, 2 failed, 0 failed as they must"


def test_missing_record_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TestplanError, match="did not come to its end"):
        summary(tmp_path)


def test_tests_of_the_nightly_tier_are_left_out_unless_asked_for() -> None:
    def collected(*options: str) -> str:
        command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *options, "tests/test_integration_files.py"]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    day, night = collected(), collected("--nightly")
    assert "target=sim_verilator" not in day
    assert "1 deselected" in day
    assert "target=sim_verilator" in night
