# SPDX-License-Identifier: Apache-2.0
"""The forgery by late beats succeeds on the engine with the old fault put back, and fails on the engine as it is."""

from __future__ import annotations

import pytest

from tb.mutation import LATE_BEATS, NO_WINDOW_CHECK, mutate
from tb.runner import BUILD, SimulationError, rtl_sources, run_cocotb, simulators

OLD = BUILD / "mutated" / "late_beats"
WIDTHS = {"verilator": (128, 256), "icarus": (128, 256)}
CASES = [(simulator, width) for simulator in simulators() for width in WIDTHS[simulator]]


@pytest.mark.parametrize(("simulator", "data_w"), CASES)
def test_forgery_succeeds_on_the_old_engine_and_fails_on_this_one(simulator: str, data_w: int) -> None:
    old = mutate(rtl_sources(), [LATE_BEATS, *NO_WINDOW_CHECK], OLD)
    for sources, forged in ((old, "1"), (rtl_sources(), "0")):
        run_cocotb(
            toplevel="tensortee_engine",
            sources=sources,
            module="tb.engine.test_forgery",
            parameters={"DATA_W": data_w, "KEY_W": 128},
            sim=simulator,
            extra_env={"FORGED": forged},
        )


@pytest.mark.parametrize("simulator", simulators())
def test_assertion_notices_the_old_fault(simulator: str) -> None:
    old = mutate(rtl_sources(), [LATE_BEATS], OLD.with_name("late_beats_checked"))
    with pytest.raises(SimulationError, match="whose window is not that of its burst"):
        run_cocotb(
            toplevel="tensortee_engine",
            sources=old,
            module="tb.engine.test_forgery",
            parameters={"DATA_W": 128, "KEY_W": 128},
            sim=simulator,
            test_filter="into_an_epoch",
            extra_env={"FORGED": "1"},
        )
