# SPDX-License-Identifier: Apache-2.0
"""Schedule of a step: buckets of gradients, bytes of ZeRO-Offload, the optimizer on the NPU, derived gradients."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensortee.study.workload import catalog
from tensortee.study.workload.backward import with_backward
from tensortee.study.workload.operators import Gather, Gemm, Parameter, Pass, Stream, Workload
from tensortee.study.workload.schedule import Bucket, gradient_buckets, npu_training_workload, offload_traffic
from tensortee.study.workload.transformer import inference_workload, training_workload


def workload_of(*sizes: int) -> Workload:
    tensors = tuple(Parameter(f"p{index}", (size,)) for index, size in enumerate(sizes))
    return Workload("w", (), tensors, (), 1, ())


def test_buckets_go_from_the_last_layer_to_the_first() -> None:
    assert gradient_buckets(workload_of(10, 50, 30, 10), 45) == (
        Bucket(40, 2, 0.4),
        Bucket(50, 1, 0.9),
        Bucket(10, 1, 1.0),
    )


@given(st.lists(st.integers(1, 100), min_size=1, max_size=30), st.integers(1, 200))
def test_buckets_hold_all_gradients(sizes: list[int], limit: int) -> None:
    buckets = gradient_buckets(workload_of(*sizes), limit)
    assert sum(bucket.elements for bucket in buckets) == sum(sizes)
    assert sum(bucket.tensors for bucket in buckets) == len(sizes)
    assert all(bucket.elements <= limit or bucket.tensors == 1 for bucket in buckets)
    times = [bucket.ready for bucket in buckets]
    assert times == sorted(times)
    assert times[-1] == 1.0


def test_a_bucket_holds_something() -> None:
    with pytest.raises(ValueError, match="bucket_elements must be at least 1"):
        gradient_buckets(workload_of(1), 0)


def test_bytes_of_an_offloaded_step() -> None:
    traffic = offload_traffic(workload_of(70, 30))
    assert (traffic.gradients_down, traffic.weights_up) == (400, 200)
    assert (traffic.adam_read, traffic.adam_write) == (1600, 1200)
    assert (traffic.cast_read, traffic.cast_write) == (400, 200)


@pytest.mark.parametrize("offload", [False, True])
def test_the_optimizer_on_the_npu(offload: bool) -> None:
    config = catalog.entry("GPT").config
    step = npu_training_workload(training_workload(config, 2, 64, offload=offload))
    assert step.passes[:-1] == training_workload(config, 2, 64, offload=False).passes
    (adam,) = step.passes[-1].operators
    assert isinstance(adam, Stream)
    assert adam.read_bytes + adam.write_bytes == 28 * step.parameter_elements
    assert any("Adam on the NPU" in text for text in step.assumptions)


def test_derived_gradients_double_the_work() -> None:
    passes = (
        Pass("forward", (Gather("look", 4, 8, 80), Stream("look.write", 0, 32, 0, 1))),
        Pass("forward", (Gemm("fc", 4, 6, 5, weight_operand=True), Stream("act", 48, 48)), 3),
    )
    forward = Workload("w", passes, (Parameter("fc", (5, 6)),), (), 4, ())
    step = with_backward(forward)
    assert step.passes[:2] == passes
    assert step.passes[2] == Pass(
        "backward",
        (
            Stream("act.gradient", 96, 48, 2, 1),
            Gemm("fc.dx", 4, 5, 6, weight_operand=True),
            Gemm("fc.dw", 5, 6, 4),
        ),
        3,
    )
    assert step.passes[3].operators == (
        Stream("look.write.gradient", 32, 0, 1, 0),
        Gather("look.gradient", 4, 8, 80),
        Stream("look.gradient.write", 0, 32, 0, 1),
    )
    assert step.passes[4].operators == (Stream("gradient.cast", 60, 120),)
    assert step.flops == 3 * forward.flops
    assert len(with_backward(forward, offload=False).passes) == 4
    assert "loss" in step.unmodelled


def test_a_backward_pass_is_derived_once_and_only_of_training() -> None:
    config = catalog.entry("GPT").config
    step = training_workload(config, 1, 8)
    assert with_backward(step) is step
    with pytest.raises(ValueError, match="decode, prefill: only a forward pass is trained"):
        with_backward(inference_workload(config, 1, 8, 2))
