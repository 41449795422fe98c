# SPDX-License-Identifier: Apache-2.0
"""Training steps: the parts add up, overlap obeys its laws, schemes come in their order, NPUs share the work."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensortee.study.hardware import System
from tensortee.study.hardware.conservation import ConservationError
from tensortee.study.system.step import SCHEMES, Step, StepScheme, exposed_seconds, training_step, training_steps
from tensortee.study.system.transfer import transfer
from tensortee.study.workload.architecture import TransformerConfig
from tensortee.study.workload.operators import Workload
from tensortee.study.workload.transformer import training_workload

ITERATION = 3


@cache
def workload() -> Workload:
    config = TransformerConfig(
        name="small", layers=4, hidden=512, heads=8, intermediate=2048, vocabulary=8192, max_positions=512
    )
    return training_workload(config, batch=8, sequence_length=256)


def step(scheme: StepScheme, **system: Any) -> Step:
    return training_step(workload(), System.model_validate(system), scheme, adam_iteration=ITERATION)


@given(
    parts=st.lists(st.tuples(st.floats(0, 10), st.floats(0, 10)), min_size=1, max_size=8),
    end=st.floats(0, 20),
    more=st.floats(1, 3),
)
def test_exposed_time_obeys_its_laws(parts: list[tuple[float, float]], end: float, more: float) -> None:
    ready = sorted(min(start, end) for start, _ in parts)
    durations = [duration for _, duration in parts]
    beside = exposed_seconds(ready, durations, end, overlaps=True)
    after = exposed_seconds(ready, durations, end, overlaps=False)
    assert 0 <= beside <= after * (1 + 1e-9)
    assert after == pytest.approx(sum(durations))
    slower = exposed_seconds(ready, [more * duration for duration in durations], end, overlaps=True)
    assert slower >= beside * (1 - 1e-9) - 1e-9


def test_exposed_time_by_hand() -> None:
    assert exposed_seconds([1, 2, 4], [2, 2, 2], 4, overlaps=True) == 3
    assert exposed_seconds([1, 2, 4], [0.5, 0.5, 0.5], 4, overlaps=True) == 0.5
    assert exposed_seconds([0.5], [1], 4, overlaps=True) == 0
    assert exposed_seconds([0.5], [1], 4, overlaps=False) == 1


@pytest.mark.parametrize("scheme", SCHEMES)
def test_breakdown_adds_up(scheme: StepScheme) -> None:
    result = step(scheme)
    assert set(result.breakdown) == {"npu", "cpu", "comm_weights", "comm_gradients"}
    assert result.seconds == sum(result.breakdown.values())
    assert result.breakdown["npu"] == result.npu.seconds
    assert result.breakdown["cpu"] == result.adam.seconds
    assert all(seconds > 0 for seconds in result.breakdown.values())
    elements = workload().parameter_elements
    assert sum(part.nbytes for part in result.gradients) == 4 * elements
    assert sum(part.nbytes for part in result.weights) == 2 * elements


def test_schemes_come_in_their_order() -> None:
    plain, direct, staged = step("non-secure"), step("tensortee"), step("sgx+mgx")
    assert plain.seconds <= direct.seconds <= staged.seconds
    for part in plain.breakdown:
        assert plain.breakdown[part] <= direct.breakdown[part] * (1 + 1e-9)
        assert direct.breakdown[part] <= staged.breakdown[part] * (1 + 1e-9)


def test_all_schemes_at_once_are_the_same_steps() -> None:
    steps = training_steps(workload(), System(), ["tensortee", "non-secure"], adam_iteration=ITERATION)
    assert steps == {"tensortee": step("tensortee"), "non-secure": step("non-secure")}


def test_a_protected_step_that_is_faster_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SCHEMES, "non-secure", SCHEMES["sgx+mgx"])
    with pytest.raises(ConservationError, match="without protection against tensortee"):
        training_steps(workload(), System(), ["tensortee"], adam_iteration=ITERATION)


def test_staged_gradients_are_not_hidden() -> None:
    staged = step("sgx+mgx")
    assert staged.breakdown["comm_gradients"] == pytest.approx(sum(part.seconds for part in staged.gradients))


def test_small_buckets_hide_gradients_behind_backward() -> None:
    one = step("non-secure")
    many = step("non-secure", gradient_bucket_elements=2_000_000)
    assert len(many.gradients) > len(one.gradients) == 1
    assert one.breakdown["comm_gradients"] == pytest.approx(one.gradients[0].seconds)
    assert many.breakdown["comm_gradients"] < one.breakdown["comm_gradients"]
    staged = step("sgx+mgx", gradient_bucket_elements=2_000_000)
    assert staged.breakdown["comm_gradients"] == pytest.approx(sum(part.seconds for part in staged.gradients))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_faster_links_are_never_slower(scheme: StepScheme) -> None:
    seconds = [step(scheme, link={"pcie_generation": generation}).seconds for generation in (3, 4, 5, 6)]
    assert seconds == sorted(seconds, reverse=True)
    assert seconds[0] > seconds[-1]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_npus_share_gradients_and_weights(scheme: StepScheme) -> None:
    one, two = step(scheme), step(scheme, npus=2)
    elements = workload().parameter_elements
    assert two.tokens == 2 * one.tokens
    assert two.breakdown["npu"] == one.breakdown["npu"]
    assert two.breakdown["cpu"] == one.breakdown["cpu"]
    down = [part for part in two.gradients if part.direction == "to_cpu"]
    ring = [part for part in two.gradients if part.direction == "npu_to_npu"]
    assert sum(part.nbytes for part in down) == 4 * elements / 2
    assert sum(part.nbytes for part in ring) == 2 * elements / 2
    gathered = [part for part in two.weights if part.direction == "npu_to_npu"]
    assert sum(part.nbytes for part in gathered) == elements
    assert 1 < two.tokens / two.seconds * one.seconds / one.tokens < 2


def test_pipelined_staging_helps_but_does_not_hide() -> None:
    serial = step("sgx+mgx")
    pipelined = training_step(workload(), System(), "sgx+mgx", adam_iteration=ITERATION, pipelined_staging=True)
    elements = workload().parameter_elements
    expected = transfer(4 * elements, len(workload().parameters), System(), "staging", pipelined=True).seconds
    assert pipelined.breakdown["comm_gradients"] == pytest.approx(expected)
    assert pipelined.seconds < serial.seconds


def test_unknown_schemes_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown scheme 'sgx': non-secure"):
        training_step(workload(), System(), "sgx")  # type: ignore[arg-type]
