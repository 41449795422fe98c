# SPDX-License-Identifier: Apache-2.0
"""The forgery by late beats succeeds on the engine with the old fault put back, and fails on the engine as it is."""

from __future__ import annotations

import pytest

from tb.mutation import LATE_BEATS, NO_WINDOW_CHECK, mutate
from tb.runner import BUILD, SimulationError, rtl_sources, run_cocotb, simulators
from tests.rtl.test_engine import BUILDS as ENGINE_BUILDS

OLD = BUILD / "mutated" / "late_beats"
BUILDS = {build.parameters["DATA_W"]: build.parameters for build in ENGINE_BUILDS[:2]}
"""Two builds of the regression, of 128 and 256 bit: the engine as it is was built for them anyway."""
FORMS = {128: None, 256: "into_a_window|into_a_session"}
"""At 256 bit the one beat that can be owed is the last of its line: in an epoch its count gives it away."""


@pytest.mark.parametrize("data_w", BUILDS)
@pytest.mark.parametrize("simulator", simulators())
def test_forgery_succeeds_on_the_old_engine_and_fails_on_this_one(simulator: str, data_w: int) -> None:
    old = mutate(rtl_sources(), [LATE_BEATS, *NO_WINDOW_CHECK], OLD)
    for sources, forged in ((old, "1"), (rtl_sources(), "0")):
        run_cocotb(
            toplevel="tensortee_engine",
            sources=sources,
            module="tb.engine.test_forgery",
            parameters=BUILDS[data_w],
            sim=simulator,
            test_filter=FORMS[data_w],
            extra_env={"FORGED": forged},
        )


def test_assertion_notices_the_old_fault() -> None:
    """On one simulator: Icarus, whose builds are cheap, unless another one is asked for."""
    old = mutate(rtl_sources(), [LATE_BEATS], OLD.with_name("late_beats_checked"))
    with pytest.raises(SimulationError, match="whose window is not that of its burst"):
        run_cocotb(
            toplevel="tensortee_engine",
            sources=old,
            module="tb.engine.test_forgery",
            parameters=BUILDS[128],
            sim=simulators()[-1],
            test_filter="into_an_epoch",
            extra_env={"FORGED": "1"},
        )


NOTICED_BY = (("random", "HostileMemory"), ("owed", "BeatsHeld"), ("owed", "ExactBytes"))


@pytest.mark.parametrize(("module", "test"), NOTICED_BY)
def test_bench_notices_the_old_fault(module: str, test: str) -> None:
    """Without the assertion too: the predictor is told of a command that ended while the memory owed beats."""
    old = mutate(rtl_sources(), [LATE_BEATS, *NO_WINDOW_CHECK], OLD)
    with pytest.raises(SimulationError, match="while the memory owe"):
        run_cocotb(
            toplevel="tensortee_engine",
            sources=old,
            module=f"tb.engine.test_{module}",
            parameters=BUILDS[128],
            sim=simulators()[0],
            test_filter=f"{test}$",
        )
