# SPDX-License-Identifier: Apache-2.0
"""Generation of text: prefill and decoding, with the weights on the NPU or streamed over the link.

Four schemes: *non-secure*; *mgx*, an NPU with MACs of blocks and staged transfers; *tensor-delayed*, this project's NPU
with direct transfers; *bounce*, an NPU whose memory is inside the package and stays open, with transfers through an
encrypted bounce buffer (confidential computing of NVIDIA's H100).

Prompts and answers are token numbers, a few bytes each. Offloaded weights are what loads the link: each forward pass
brings them once, layer by layer in front of the computation (as FlexGen and DeepSpeed-Inference do), so a pass takes
the longer of the two, or their sum if transfers do not overlap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tensortee.study.hardware import System
from tensortee.study.hardware.conservation import at_most, conserve, not_negative
from tensortee.study.npu.simulator import CapacityError, NpuRun, run_workload
from tensortee.study.system.transfer import Transfer, TransferScheme, transfer
from tensortee.study.workload.operators import Workload

InferenceScheme = Literal["non-secure", "mgx", "tensor-delayed", "bounce"]

SCHEMES: dict[InferenceScheme, tuple[str, TransferScheme]] = {
    "non-secure": ("none", "plain"),
    "mgx": ("mgx", "staging"),
    "tensor-delayed": ("tensor-delayed", "direct"),
    "bounce": ("none", "bounce"),
}
"""Schemes of the NPU and of the transfers."""

TOKEN_BYTES = 4
"""A token number on the link."""

WEIGHT_BYTES = 2
"""An element of the weights: fp16."""


@dataclass(frozen=True, slots=True)
class InferencePhase:
    """Prefill, or all of decoding.

    Attributes:
        seconds: time, seconds.
        npu_seconds: time of the NPU by itself.
        exposed_seconds: time of the link that the NPU does not hide.
        passes: forward passes.
    """

    seconds: float
    npu_seconds: float
    exposed_seconds: float
    passes: int


@dataclass(frozen=True, slots=True)
class Inference:
    """A batch of prompts answered.

    Attributes:
        scheme: scheme.
        seconds: from prompts on the CPU to answers on the CPU, seconds.
        prefill: first pass with the prompts' way to the NPU.
        decode: later passes with the answers' way back, token by token.
        npu: NPU's part.
        weights: transfer of the offloaded weights for one pass; None if all weights are on the NPU.
    """

    scheme: InferenceScheme
    seconds: float
    prefill: InferencePhase
    decode: InferencePhase
    npu: NpuRun
    weights: Transfer | None

    @property
    def seconds_per_token(self) -> float:
        """Time of one pass of decoding: one token for each sequence of the batch."""
        return self.decode.seconds / self.decode.passes if self.decode.passes else 0.0


def inference(
    workload: Workload,
    system: System,
    scheme: InferenceScheme,
    *,
    batch: int,
    prompt_length: int,
    decode_passes: int,
    offloaded_share: float = 0.0,
    threads: int | None = None,
) -> Inference:
    """Answer a batch of prompts.

    Args:
        workload: its passes are of the phases "prefill" and "decode" and cover all tokens.
        system: hardware; one NPU is used.
        scheme: "non-secure", "mgx", "tensor-delayed" or "bounce".
        batch: prompts.
        prompt_length: tokens of a prompt.
        decode_passes: forward passes behind the prefill.
        offloaded_share: share of the weights that stays in the CPU's memory and crosses the link in each pass.
        threads: threads of the CPU's copies; None: all cores.

    Raises:
        ValueError: an argument is out of range or unknown.
        CapacityError: the weights that stay on the NPU do not fit there.
        ConservationError: the result breaks a conservation law.
    """
    if scheme not in SCHEMES:
        raise ValueError(f"unknown scheme {scheme!r}: {', '.join(SCHEMES)}")
    if not 0 <= offloaded_share <= 1:
        raise ValueError(f"offloaded_share is a share between 0 and 1, not {offloaded_share}")
    if batch < 1 or prompt_length < 1 or decode_passes < 0:
        raise ValueError(
            f"{batch} prompts of {prompt_length} tokens with {decode_passes} passes: counts must be positive"
        )
    system = system.model_copy(update={"npus": 1})
    weight_bytes = WEIGHT_BYTES * workload.parameter_elements
    resident = (1 - offloaded_share) * weight_bytes
    if resident > system.npu.dram_capacity_bytes:
        raise CapacityError(
            f"{workload.name}: weights of {resident / 1e9:.1f} GB do not fit in the NPU's "
            f"{system.npu.dram_capacity_bytes / 1e9:.1f} GB: offload a share of them"
        )
    npu_scheme, link_scheme = SCHEMES[scheme]
    npu = run_workload(workload.passes, system.npu, npu_scheme)
    weights = None
    if offloaded_share:
        tensors = max(1, round(offloaded_share * len(workload.parameters)))
        weights = transfer(
            offloaded_share * weight_bytes, tensors, system, link_scheme, direction="to_npu", threads=threads
        )
    prompts = transfer(TOKEN_BYTES * batch * prompt_length, 1, system, link_scheme, direction="to_npu", threads=threads)
    answer = transfer(TOKEN_BYTES * batch, 1, system, link_scheme, direction="to_cpu", threads=threads)

    prefill = _phase(npu.by_phase.get("prefill", 0.0), weights, 1, prompts.seconds + answer.seconds)
    decode = _phase(npu.by_phase.get("decode", 0.0), weights, decode_passes, decode_passes * answer.seconds)
    result = Inference(
        scheme=scheme,
        seconds=prefill.seconds + decode.seconds,
        prefill=prefill,
        decode=decode,
        npu=npu,
        weights=weights,
    )
    conserve("inference, phases of the NPU", prefill.npu_seconds + decode.npu_seconds, npu.seconds)
    return result


def _phase(npu_seconds: float, weights: Transfer | None, passes: int, token_seconds: float) -> InferencePhase:
    """Passes that need the offloaded weights each, and token numbers that wait for them."""
    link = passes * weights.seconds if weights else 0.0
    hidden = min(npu_seconds, link) if weights and weights.overlaps else 0.0
    exposed = link - hidden + token_seconds
    phase = InferencePhase(npu_seconds + exposed, npu_seconds, exposed, passes)
    not_negative("inference, exposed time of the link", exposed)
    at_most("inference, exposed time of the link", exposed, link + token_seconds)
    return phase
