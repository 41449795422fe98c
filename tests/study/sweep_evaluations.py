# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for the simulation: quick answers that depend on the configuration, and say that they were asked."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from tensortee.study.report.results import RunResults, SchemeRow
from tensortee.study.sweep.config import Config
from tensortee.study.sweep.sweep import load_sweep, run_sweep

LOG = "TENSORTEE_TEST_SWEEP_LOG"


def answer(config: Config) -> RunResults:
    """Numbers with many digits, so that a rounding on the way would show."""
    seconds = 1 / (3 + config.system.link.pcie_generation) + (config.batch or 0) ** 0.5
    return RunResults(
        workload=config.workload.model or "file",
        mode=config.mode,
        tokens=1,
        parameters=1,
        rows=[SchemeRow(scheme="non-secure", seconds=seconds, parts={"all": seconds}, overhead=0.0)],
    )


def logged(config: Config) -> RunResults:
    """Slow, and logs each answer: one short line is one write, so lines of processes do not mix."""
    time.sleep(0.15)
    result = answer(config)
    with Path(os.environ[LOG]).open("a") as stream:
        stream.write(f"{config.batch}\n")
    return result


def failing(config: Config) -> RunResults:
    if config.batch == 2:
        raise ValueError("batch of two")
    return answer(config)


def dying(config: Config) -> RunResults:
    if config.batch == 2:
        os._exit(3)
    return answer(config)


def never(config: Config) -> RunResults:
    raise AssertionError(f"computed again: {config}")


if __name__ == "__main__":
    run_sweep(load_sweep(Path(sys.argv[1])), Path(sys.argv[2]), logged, jobs=2)
