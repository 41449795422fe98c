# SPDX-License-Identifier: Apache-2.0
"""Inference: phases, order of the schemes, offloaded weights, and what is refused."""

from __future__ import annotations

import pytest
from tensortee.study.hardware import System
from tensortee.study.npu.simulator import CapacityError
from tensortee.study.system.inference import SCHEMES, Inference, InferenceScheme, inference
from tensortee.study.system.transfer import transfer
from tensortee.study.workload.architecture import TransformerConfig, parameters
from tensortee.study.workload.transformer import inference_workload

CONFIG = TransformerConfig(
    name="small", layers=4, hidden=1024, heads=16, intermediate=4096, vocabulary=8192, max_positions=512
)
PROMPT, GENERATED = 128, 16
PASSES = GENERATED - 1


def answer(
    scheme: InferenceScheme, batch: int = 4, offloaded_share: float = 0.0, system: System | None = None
) -> Inference:
    return inference(
        inference_workload(CONFIG, batch, PROMPT, GENERATED),
        system or System(),
        scheme,
        batch=batch,
        prompt_length=PROMPT,
        decode_passes=PASSES,
        offloaded_share=offloaded_share,
    )


@pytest.mark.parametrize("scheme", SCHEMES)
def test_phases_add_up(scheme: InferenceScheme) -> None:
    result = answer(scheme)
    assert result.seconds == result.prefill.seconds + result.decode.seconds
    assert result.prefill.npu_seconds == result.npu.by_phase["prefill"]
    assert result.decode.npu_seconds == result.npu.by_phase["decode"]
    for phase in (result.prefill, result.decode):
        assert phase.seconds == phase.npu_seconds + phase.exposed_seconds
    assert result.seconds_per_token == result.decode.seconds / PASSES
    assert result.weights is None


def test_tensor_granularity_costs_less_than_blocks() -> None:
    plain, tensor, blocks = (answer(scheme).seconds for scheme in ("non-secure", "tensor-delayed", "mgx"))
    assert plain <= tensor <= blocks


def test_a_memory_inside_the_package_costs_only_transfers() -> None:
    plain, bounce = answer("non-secure"), answer("bounce")
    assert bounce.npu.seconds == plain.npu.seconds
    assert plain.seconds <= bounce.seconds < 1.07 * plain.seconds


def test_offloaded_weights_cross_the_link_in_each_pass() -> None:
    tensors = len(parameters(CONFIG))
    elements = sum(parameter.elements for parameter in parameters(CONFIG))
    for scheme, link in (("non-secure", "plain"), ("mgx", "staging")):
        result = answer(scheme, offloaded_share=1.0)  # type: ignore[arg-type]
        once = transfer(2 * elements, tensors, System(), link, direction="to_npu")  # type: ignore[arg-type]
        assert result.weights == once
        both = PASSES * once.seconds + result.decode.npu_seconds
        hidden = both - result.decode.seconds
        if scheme == "mgx":
            assert hidden == pytest.approx(0, abs=1e-3)
        else:
            assert hidden == pytest.approx(min(PASSES * once.seconds, result.decode.npu_seconds), rel=1e-2)


def test_offloading_more_is_never_faster() -> None:
    for scheme in SCHEMES:
        seconds = [answer(scheme, offloaded_share=share).seconds for share in (0, 0.25, 0.5, 1)]
        assert seconds == sorted(seconds)


def test_software_encryption_loses_most_when_all_is_offloaded() -> None:
    fast = System.model_validate({"link": {"pcie_generation": 5}, "cpu": {"dram": {"channels": 8}}})
    plain, bounce = (answer(scheme, 1, 1.0, fast).seconds for scheme in ("non-secure", "bounce"))
    assert 0.8 < 1 - plain / bounce < 0.92


def test_larger_batches_take_longer_and_give_more() -> None:
    one, eight = answer("tensor-delayed", 1), answer("tensor-delayed", 8)
    assert one.seconds < eight.seconds < 8 * one.seconds


def test_weights_must_fit() -> None:
    small = System.model_validate({"npu": {"dram_capacity_bytes": 1e7}})
    with pytest.raises(CapacityError, match="offload a share"):
        answer("non-secure", system=small)
    assert answer("non-secure", offloaded_share=1.0, system=small).seconds > 0


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"scheme": "h100"}, "unknown scheme 'h100'"),
        ({"offloaded_share": 1.5}, "share between 0 and 1"),
        ({"batch": 0}, "must be positive"),
        ({"decode_passes": -1}, "must be positive"),
    ],
)
def test_what_is_out_of_range_is_refused(change: dict[str, object], text: str) -> None:
    arguments = {"scheme": "mgx", "batch": 1, "prompt_length": PROMPT, "decode_passes": 0} | change
    with pytest.raises(ValueError, match=text):
        inference(inference_workload(CONFIG, 1, PROMPT, 1), System(), **arguments)  # type: ignore[arg-type]
