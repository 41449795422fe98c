# SPDX-License-Identifier: Apache-2.0
"""Schedule of a training step: what ZeRO-Offload moves and when, or the optimizer on the NPU instead.

ZeRO-Offload (Ren et al., USENIX ATC 2021) keeps master weights and moments in fp32 on the CPU: gradients go down as
backward produces them, in buckets; Adam runs on the CPU; fp16 weights go up. The TensorTEE paper sends gradients in
fp32 (evaluation set-up).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tensortee.study.workload.layers import GRADIENT_CAST, HALF_BYTES, SINGLE_BYTES
from tensortee.study.workload.operators import Parameter, Pass, Stream, Workload


@dataclass(frozen=True, slots=True)
class Bucket:
    """Gradients that are sent together.

    Attributes:
        elements: elements of all its tensors.
        tensors: number of tensors.
        ready: part of the backward pass after which all of them are known, 0 to 1.
    """

    elements: int
    tensors: int
    ready: float


@dataclass(frozen=True, slots=True)
class OffloadTraffic:
    """Bytes of one ZeRO-Offload step.

    Attributes:
        gradients_down: fp32 gradients, NPU to CPU.
        weights_up: fp16 weights, CPU to NPU.
        adam_read: gradients, master weights and two moments read by Adam on the CPU.
        adam_write: master weights and moments written by it.
        cast_read: master weights read for the conversion to fp16.
        cast_write: fp16 weights written by it.
    """

    gradients_down: int
    weights_up: int
    adam_read: int
    adam_write: int
    cast_read: int
    cast_write: int


def offload_traffic(workload: Workload) -> OffloadTraffic:
    """Bytes that one step moves over the link and in the memory of the CPU."""
    elements = workload.parameter_elements
    return OffloadTraffic(
        gradients_down=SINGLE_BYTES * elements,
        weights_up=HALF_BYTES * elements,
        adam_read=4 * SINGLE_BYTES * elements,
        adam_write=3 * SINGLE_BYTES * elements,
        cast_read=SINGLE_BYTES * elements,
        cast_write=HALF_BYTES * elements,
    )


def gradient_buckets(workload: Workload, bucket_elements: int) -> tuple[Bucket, ...]:
    """Buckets in the order of sending.

    Gradients are known in the reverse order of the parameters, at a rate proportional to their elements: layers are
    alike, so this is the time of whole layers. A tensor is not split, and one that is larger than a bucket goes alone.

    Args:
        workload: a training step.
        bucket_elements: limit of a bucket, elements.

    Raises:
        ValueError: the limit is below 1.
    """
    if bucket_elements < 1:
        raise ValueError(f"bucket_elements must be at least 1, not {bucket_elements}")
    groups: list[list[Parameter]] = []
    filled = bucket_elements
    for parameter in reversed(workload.parameters):
        if filled + parameter.elements > bucket_elements:
            groups.append([])
            filled = 0
        groups[-1].append(parameter)
        filled += parameter.elements
    buckets = []
    done, total = 0, workload.parameter_elements
    for group in groups:
        elements = sum(parameter.elements for parameter in group)
        done += elements
        buckets.append(Bucket(elements, len(group), done / total))
    return tuple(buckets)


def npu_training_workload(workload: Workload) -> Workload:
    """The same step with the optimizer on the NPU: no conversion of gradients, and Adam behind the backward pass.

    Adam reads an fp16 gradient and three fp32 tensors (master weight, two moments) and writes these three and the fp16
    weight: 28 bytes for each parameter. It is counted to the phase "backward".

    Args:
        workload: a training step.
    """
    passes = [
        replace(part, operators=tuple(operator for operator in part.operators if operator.name != GRADIENT_CAST))
        for part in workload.passes
    ]
    elements, tensors = workload.parameter_elements, len(workload.parameters)
    nbytes = (3 * SINGLE_BYTES + HALF_BYTES) * elements
    passes.append(Pass("backward", (Stream("adam", nbytes, nbytes, 4 * tensors, 4 * tensors),)))
    return replace(
        workload,
        passes=tuple(part for part in passes if part.operators),
        assumptions=(*workload.assumptions, "Adam on the NPU: fp32 master weights and moments in its memory"),
    )
