# SPDX-License-Identifier: Apache-2.0
"""Footprint of a workload in the NPU's memory: weights, gradients, optimizer, activations or cache.

Activations are those that the kernels of `layers` read again in the backward pass; nothing is recomputed. An eager
framework needs more for a while (temporaries, fragments), so this is a lower bound.
"""

from __future__ import annotations

from dataclasses import dataclass

from tensortee.study.workload.architecture import TransformerConfig, parameters
from tensortee.study.workload.layers import HALF_BYTES, SINGLE_BYTES, Attention


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes in the NPU's memory.

    Attributes:
        weights: fp16 weights.
        gradients: gradients that are there at one time.
        optimizer: master weights and moments.
        activations: activations kept for the backward pass, with the logits; for inference the cache of keys and
            values.
    """

    weights: float
    gradients: float
    optimizer: float
    activations: float

    @property
    def total(self) -> float:
        """All bytes."""
        return self.weights + self.gradients + self.optimizer + self.activations


def training_footprint(
    config: TransformerConfig,
    batch: int,
    sequence_length: int,
    *,
    attention: Attention = "unfused",
    dropout: bool = False,
    offload: bool = True,
    bucket_elements: int = 500_000_000,
) -> Footprint:
    """Footprint of a training step.

    Args:
        config: architecture.
        batch: sequences.
        sequence_length: tokens of each.
        attention: whether scores are kept.
        dropout: whether masks are kept.
        offload: ZeRO-Offload: one bucket of gradients in fp16 and fp32 at a time, and no optimizer.
        bucket_elements: limit of a bucket, elements.
    """
    elements = sum(tensor.elements for tensor in parameters(config))
    tokens = batch * sequence_length
    layers = sum(
        count * _layer_activations(config, batch, sequence_length, attention, dropout, experts=experts)
        for count, experts in config.layer_groups
    )
    # Logits, their log-probabilities and their gradient.
    head = 3 * tokens * config.vocabulary * HALF_BYTES
    in_flight = min(elements, bucket_elements)
    return Footprint(
        weights=HALF_BYTES * elements,
        gradients=(HALF_BYTES + SINGLE_BYTES) * in_flight if offload else HALF_BYTES * elements,
        optimizer=0 if offload else 3 * SINGLE_BYTES * elements,
        activations=layers + head,
    )


def inference_footprint(config: TransformerConfig, batch: int, positions: int) -> Footprint:
    """Footprint of inference at its end.

    Args:
        config: architecture.
        batch: sequences.
        positions: tokens of each, prompt and answer; a window limits what is kept.
    """
    kept = min(positions, config.window or positions) if config.decoder else 0
    return Footprint(
        weights=HALF_BYTES * sum(tensor.elements for tensor in parameters(config)),
        gradients=0,
        optimizer=0,
        activations=config.layers * batch * kept * 2 * config.kv_width * HALF_BYTES,
    )


def _layer_activations(
    config: TransformerConfig, batch: int, length: int, attention: Attention, dropout: bool, *, experts: bool
) -> float:
    """Bytes that one layer keeps for its backward pass."""
    tokens = batch * length
    # Input and output of each norm; projections; context.
    values = tokens * (2 * config.norms_per_layer * config.hidden + 2 * config.query_width + 2 * config.kv_width)
    masks = 2 * tokens * config.hidden if dropout else 0
    if attention == "unfused":
        scores = tokens * config.heads * min(length, config.window or length)
        values += (2 if dropout else 1) * scores
        masks += scores if dropout else 0
    kept = 3 if config.gated else 2
    if experts:
        sent = tokens * config.experts_per_token
        values += sent * (2 * config.hidden + kept * config.expert_intermediate)
        values += tokens * (config.experts + kept * config.shared_intermediate)
    else:
        values += kept * tokens * config.intermediate
    return values * HALF_BYTES + masks
