# SPDX-License-Identifier: Apache-2.0
"""One step of training with ZeRO-Offload: what the NPU, the CPU and the links cost under three schemes.

Order of a step (ZeRO-Offload, USENIX ATC 2021, without delayed update): the NPU computes forward and backward; fp32
gradients leave in buckets during backward; the CPU runs Adam over all parameters; the new weights are converted to fp16
and sent up. The next step needs them, so a step is

    NPU + exposed gradients + Adam + weights.

With several NPUs (data parallel, ZeRO stage 2) each bucket is first reduced and scattered in a ring over the links,
each NPU sends its part of the sums, Adam runs once, and the weights come back in parts that the NPUs pass on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tensortee.study.cpu.simulator import KernelRun
from tensortee.study.hardware import System
from tensortee.study.hardware.conservation import at_most, conserve, not_negative
from tensortee.study.npu.simulator import NpuRun, run_workload
from tensortee.study.system.cpu_runs import CpuCost, adam, stream
from tensortee.study.system.transfer import Transfer, TransferScheme, transfer
from tensortee.study.workload.operators import Workload
from tensortee.study.workload.schedule import Bucket, gradient_buckets

StepScheme = Literal["non-secure", "sgx+mgx", "tensortee"]

GRADIENT_BYTES = 4
WEIGHT_BYTES = 2
MASTER_BYTES = 4
"""Bytes of an element: gradient on the link and master weight on the CPU in fp32, weight on the NPU in fp16."""

REDUCED_BYTES = 2
"""Bytes of an element of a gradient that is summed between NPUs: fp16."""

STEADY_ITERATION = 20
"""Iteration of Adam that stands for a training run: runs have thousands, and TenAnalyzer changes little from here."""


@dataclass(frozen=True, slots=True)
class Protection:
    """The schemes of the parts of a system.

    Attributes:
        npu: scheme of `npu.simulator`.
        cpu: scheme of `cpu.simulator`.
        transfer: scheme of `transfer`.
    """

    npu: str
    cpu: str
    transfer: TransferScheme


SCHEMES: dict[StepScheme, Protection] = {
    "non-secure": Protection("none", "none", "plain"),
    "sgx+mgx": Protection("mgx", "sgx", "staging"),
    "tensortee": Protection("tensor-delayed", "tenanalyzer", "direct"),
}


@dataclass(frozen=True, slots=True)
class Step:
    """A training step.

    Attributes:
        scheme: "non-secure", "sgx+mgx" or "tensortee".
        seconds: time of the step, seconds.
        breakdown: exposed time of "npu", "cpu", "comm_weights" and "comm_gradients"; their sum is `seconds`.
        npu: forward and backward on one NPU.
        adam: Adam on the CPU.
        cast: conversion of the weights to fp16 on the CPU.
        gradients: transfers of the gradients of one NPU, in order.
        weights: transfers of the weights to one NPU, in order.
        npus: NPUs that worked.
        tokens: tokens of all NPUs.
    """

    scheme: StepScheme
    seconds: float
    breakdown: dict[str, float]
    npu: NpuRun
    adam: KernelRun
    cast: CpuCost
    gradients: tuple[Transfer, ...]
    weights: tuple[Transfer, ...]
    npus: int
    tokens: int


def training_step(
    workload: Workload,
    system: System,
    scheme: StepScheme,
    *,
    threads: int | None = None,
    adam_iteration: int = STEADY_ITERATION,
    pipelined_staging: bool = False,
) -> Step:
    """Time of one training step.

    Args:
        workload: forward and backward of one NPU's batch.
        system: hardware.
        scheme: "non-secure", "sgx+mgx" or "tensortee".
        threads: threads of the CPU; None: all cores.
        adam_iteration: iteration of the training run, from 1: TenAnalyzer learns in the first ones.
        pipelined_staging: let the stages of a staged transfer overlap each other, see `transfer`.

    Raises:
        ValueError: an argument is out of range or unknown.
        ConservationError: the result breaks a conservation law.
    """
    if scheme not in SCHEMES:
        raise ValueError(f"unknown scheme {scheme!r}: {', '.join(SCHEMES)}")
    protection = SCHEMES[scheme]
    threads = system.cpu.cores if threads is None else threads
    elements = tuple(parameter.elements for parameter in workload.parameters)

    npu = run_workload(workload.passes, system.npu, protection.npu)
    update = adam(elements, system.cpu, protection.cpu, threads, adam_iteration)
    masters = MASTER_BYTES * sum(elements)
    cast = stream("cast", masters, system.cpu, protection.cpu, threads, iteration=adam_iteration)
    links = _Links(system, protection.transfer, threads, pipelined_staging)

    buckets = gradient_buckets(workload, system.gradient_bucket_elements)
    gradients = [links.reduce(bucket) for bucket in buckets]
    backward = npu.by_phase.get("backward", 0.0)
    exposed = exposed_seconds(
        [bucket.ready * backward for bucket in buckets],
        [sum(part.seconds for part in parts) for parts in gradients],
        backward,
        overlaps=all(part.overlaps for parts in gradients for part in parts),
    )
    weights = links.distribute(sum(elements), len(elements))

    breakdown = {
        "npu": npu.seconds,
        "cpu": update.seconds,
        "comm_weights": cast.seconds + sum(part.seconds for part in weights),
        "comm_gradients": exposed,
    }
    step = Step(
        scheme=scheme,
        seconds=sum(breakdown.values()),
        breakdown=breakdown,
        npu=npu,
        adam=update,
        cast=cast,
        gradients=tuple(part for parts in gradients for part in parts),
        weights=tuple(weights),
        npus=system.npus,
        tokens=workload.tokens * system.npus,
    )
    _check(step, sum(elements))
    return step


def training_steps(
    workload: Workload, system: System, schemes: Sequence[StepScheme] = tuple(SCHEMES), **options: Any
) -> dict[StepScheme, Step]:
    """The same step under several schemes, checked against the one without protection.

    Args:
        workload: forward and backward of one NPU's batch.
        system: hardware.
        schemes: schemes.
        **options: as of `training_step`.

    Raises:
        ValueError: an argument is out of range or unknown.
        ConservationError: a protected step is faster than the plain one, or a result breaks another law.
    """
    plain = training_step(workload, system, "non-secure", **options)
    steps = {
        scheme: plain if scheme == "non-secure" else training_step(workload, system, scheme, **options)
        for scheme in schemes
    }
    for scheme, step in steps.items():
        at_most(f"step without protection against {scheme}", plain.seconds, step.seconds)
    return steps


def exposed_seconds(ready: Sequence[float], durations: Sequence[float], end: float, *, overlaps: bool) -> float:
    """Time by which transfers over one link outlast the computation, seconds.

    Args:
        ready: when each transfer may start, ascending, seconds.
        durations: time of each transfer, seconds.
        end: end of the computation, seconds.
        overlaps: whether transfers may run beside the computation; otherwise they start at its end.
    """
    free = 0.0 if overlaps else end
    for start, duration in zip(ready, durations, strict=True):
        free = max(free, start) + duration
    return max(0.0, free - end)


@dataclass(frozen=True, slots=True)
class _Links:
    """Collective transfers over the links of all NPUs, seen from one of them."""

    system: System
    scheme: TransferScheme
    threads: int
    pipelined: bool

    def reduce(self, bucket: Bucket) -> list[Transfer]:
        """Gradients of a bucket: ring reduce-scatter between the NPUs, then the sums of one part to the CPU."""
        parts = self._ring(bucket.elements * REDUCED_BYTES, bucket.tensors)
        down = transfer(
            GRADIENT_BYTES * bucket.elements / self.system.npus,
            self._part(bucket.tensors),
            self.system,
            self.scheme,
            direction="to_cpu",
            pipelined=self.pipelined,
            threads=self.threads,
        )
        return [*parts, down]

    def distribute(self, elements: int, tensors: int) -> list[Transfer]:
        """Weights: a part from the CPU to each NPU, then ring all-gather between the NPUs."""
        up = transfer(
            WEIGHT_BYTES * elements / self.system.npus,
            self._part(tensors),
            self.system,
            self.scheme,
            direction="to_npu",
            pipelined=self.pipelined,
            threads=self.threads,
        )
        return [up, *self._ring(elements * WEIGHT_BYTES, tensors)]

    def _ring(self, nbytes: float, tensors: int) -> list[Transfer]:
        """Each of n - 1 rounds passes 1/n of the data on; a round ends before the next one begins."""
        npus = self.system.npus
        return [
            transfer(
                nbytes / npus,
                self._part(tensors),
                self.system,
                self.scheme,
                direction="npu_to_npu",
                pipelined=self.pipelined,
                threads=self.threads,
            )
            for _ in range(npus - 1)
        ]

    def _part(self, tensors: int) -> int:
        return math.ceil(tensors / self.system.npus)


def _check(step: Step, elements: int) -> None:
    """Bytes on the link are those of the parameters, parts are not negative and add up, exposed is at most all."""
    for part, seconds in step.breakdown.items():
        not_negative(f"step, {part}", seconds)
    conserve("step", sum(step.breakdown.values()), step.seconds)
    down = sum(part.nbytes for part in step.gradients if part.direction == "to_cpu")
    conserve("gradients sent, bytes", down * step.npus, GRADIENT_BYTES * elements)
    up = sum(part.nbytes for part in step.weights if part.direction == "to_npu")
    conserve("weights sent, bytes", up * step.npus, WEIGHT_BYTES * elements)
    at_most("exposed gradients", step.breakdown["comm_gradients"], sum(part.seconds for part in step.gradients))
