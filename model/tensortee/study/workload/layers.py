# SPDX-License-Identifier: Apache-2.0
"""Operators of a transformer's layer, forward and backward.

Each kernel reads its inputs from DRAM and writes its outputs to DRAM, as an eager framework executes it. A chain of
element-wise operators on the same tensor is one kernel: scale, mask and softmax; gate and activation; bias and what
follows. A bias is added, and its gradient summed, by the GEMM that has the data anyway. Splitting and merging heads is
a change of strides, which the DMA of an NPU addresses without a copy.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from tensortee.study.workload.architecture import TransformerConfig, layer_parameters
from tensortee.study.workload.operators import Gather, Gemm, Operator, Stream

HALF_BYTES = 2
"""Bytes of an fp16 weight, activation or gradient."""

SINGLE_BYTES = 4
"""Bytes of an fp32 gradient, master weight or moment."""

GRADIENT_CAST = "gradient.cast"
"""Name of the streams that convert gradients for the CPU; without offload there are none."""

Attention = Literal["unfused", "fused"]
"""Unfused: scores are written to DRAM. Fused: they stay on the chip and are computed again for the gradient."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Tokens that a layer processes at a time.

    Attributes:
        batch: sequences.
        queries: new tokens of each sequence.
        keys: positions that each of them attends to, itself included.
        attention: whether scores go to DRAM.
        dropout: whether the layer drops activations.
    """

    batch: int
    queries: int
    keys: int
    attention: Attention = "unfused"
    dropout: bool = False

    @property
    def tokens(self) -> int:
        """New tokens of all sequences."""
        return self.batch * self.queries


def forward_layer(config: TransformerConfig, shape: Shape, *, experts: bool) -> Iterator[Operator]:
    """Operators of a layer's forward pass.

    Args:
        config: architecture.
        shape: tokens.
        experts: whether the layer has experts.
    """
    yield from forward_attention(config, shape)
    yield from forward_rest(config, shape, experts=experts)


def forward_attention(config: TransformerConfig, shape: Shape) -> Iterator[Operator]:
    """Scores, softmax and context: the part whose size depends on the number of keys."""
    scores, context = _attention_gemms(config, shape)
    if shape.attention == "fused":
        queries, cache = _query_bytes(config, shape), _cache_bytes(config, shape)
        yield Stream("attention", queries + cache, queries, 3, 1, macs=scores.macs + context.macs)
        return
    nbytes = _score_bytes(config, shape)
    yield scores
    yield Stream("attention.softmax", nbytes, nbytes)
    if shape.dropout:
        yield _dropout("attention.dropout", nbytes)
    yield context


def forward_rest(config: TransformerConfig, shape: Shape, *, experts: bool) -> Iterator[Operator]:
    """All of a layer but scores, softmax and context."""
    tokens, state = shape.tokens, _state_bytes(config, shape)
    for index in range(config.norms_per_layer):
        yield Stream(f"norm{index}", state, state)
    for name, width in config.qkv:
        yield linear(f"attention.{name}", tokens, config.hidden, width)
    yield from _between(config, shape)
    yield linear("attention.projection", tokens, config.query_width, config.hidden)
    if experts:
        yield from _forward_experts(config, tokens)
    else:
        yield from _forward_ffn(config, "ffn.", tokens, config.intermediate)
    if shape.dropout:
        yield _dropout("attention.residual_dropout", state)
        yield _dropout("ffn.residual_dropout", state)
    if config.parallel:
        yield Stream("residual", 3 * state, state, 3, 1)
    else:
        yield Stream("attention.residual", 2 * state, state, 2, 1)
        yield Stream("ffn.residual", 2 * state, state, 2, 1)


def backward_layer(config: TransformerConfig, shape: Shape, *, experts: bool) -> Iterator[Operator]:
    """Operators of a layer's backward pass: gradients of its activations and of its weights (fp16).

    Args:
        config: architecture.
        shape: tokens.
        experts: whether the layer has experts.
    """
    tokens, state = shape.tokens, _state_bytes(config, shape)
    if shape.dropout:
        yield _dropout_gradient("ffn.residual_dropout", state)
    if experts:
        yield from _backward_experts(config, tokens)
    else:
        yield from _backward_ffn(config, "ffn.", tokens, config.intermediate)
    for index in reversed(range(config.norms_per_layer)):
        yield Stream(f"norm{index}.gradient", 2 * state, state, 2, 1)
    if shape.dropout:
        yield _dropout_gradient("attention.residual_dropout", state)
    yield from linear_gradients("attention.projection", tokens, config.query_width, config.hidden)
    yield from _backward_attention(config, shape)
    yield from _between_gradients(config, shape)
    for name, width in config.qkv:
        yield from linear_gradients(f"attention.{name}", tokens, config.hidden, width)
    # Where a residual forks, the gradients of its two branches are added.
    for name in ("residual",) if config.parallel else ("attention.residual", "ffn.residual"):
        yield Stream(name + ".gradient", 2 * state, state, 2, 1)


def gradient_cast(config: TransformerConfig, *, experts: bool) -> Stream:
    """Conversion of a layer's fp16 gradients to the fp32 that ZeRO-Offload sends."""
    tensors = layer_parameters(config, experts=experts)
    return cast_to_single(sum(tensor.elements for tensor in tensors), len(tensors))


def cast_to_single(elements: int, tensors: int) -> Stream:
    """Conversion of fp16 gradients to fp32."""
    return Stream(GRADIENT_CAST, HALF_BYTES * elements, SINGLE_BYTES * elements, tensors, tensors)


def linear(name: str, tokens: int, inputs: int, outputs: int) -> Gemm:
    """Y = X W with a weight W: tokens x inputs by inputs x outputs."""
    return Gemm(name, tokens, outputs, inputs, weight_operand=True)


def linear_gradients(name: str, tokens: int, inputs: int, outputs: int) -> tuple[Gemm, Gemm]:
    """Gradients dX = dY W^T and dW = X^T dY of Y = X W."""
    return (
        Gemm(name + ".dx", tokens, inputs, outputs, weight_operand=True),
        Gemm(name + ".dw", inputs, outputs, tokens),
    )


def _state_bytes(config: TransformerConfig, shape: Shape) -> int:
    return shape.tokens * config.hidden * HALF_BYTES


def _query_bytes(config: TransformerConfig, shape: Shape) -> int:
    return shape.tokens * config.query_width * HALF_BYTES


def _cache_bytes(config: TransformerConfig, shape: Shape) -> int:
    """Keys and values that the queries attend to."""
    return 2 * shape.batch * shape.keys * config.kv_width * HALF_BYTES


def _score_bytes(config: TransformerConfig, shape: Shape) -> int:
    return shape.tokens * config.heads * shape.keys * HALF_BYTES


def _dropout(name: str, nbytes: int) -> Stream:
    """Dropout of fp16 values; the mask is one byte for each."""
    return Stream(name, nbytes, nbytes + nbytes // HALF_BYTES, 1, 2)


def _dropout_gradient(name: str, nbytes: int) -> Stream:
    return Stream(name + ".gradient", nbytes + nbytes // HALF_BYTES, nbytes, 2, 1)


def _query_key_bytes(config: TransformerConfig, shape: Shape) -> int:
    """Queries and keys of the new tokens."""
    return _query_bytes(config, shape) + shape.tokens * config.kv_width * HALF_BYTES


def _between(config: TransformerConfig, shape: Shape) -> Iterator[Stream]:
    """Kernels on queries and keys between their projections and the scores."""
    nbytes = _query_key_bytes(config, shape)
    if config.head_norm:
        yield Stream("attention.head_norm", nbytes, nbytes, 2, 2)
    if config.position == "rotary":
        yield Stream("attention.rotary", nbytes, nbytes, 2, 2)


def _between_gradients(config: TransformerConfig, shape: Shape) -> Iterator[Stream]:
    """Gradients of these kernels: a norm needs its input, a rotation does not."""
    nbytes = _query_key_bytes(config, shape)
    if config.position == "rotary":
        yield Stream("attention.rotary.gradient", nbytes, nbytes, 2, 2)
    if config.head_norm:
        yield Stream("attention.head_norm.gradient", 2 * nbytes, nbytes, 4, 2)


def _attention_gemms(config: TransformerConfig, shape: Shape) -> tuple[Gemm, Gemm]:
    """Scores and context; the queries that share a head of keys are the rows of one product."""
    products = shape.batch * config.kv_heads
    rows = config.heads // config.kv_heads * shape.queries
    return (
        Gemm("attention.scores", rows, shape.keys, config.head_dim, count=products),
        Gemm("attention.context", rows, config.head_dim, shape.keys, count=products),
    )


def _backward_attention(config: TransformerConfig, shape: Shape) -> Iterator[Operator]:
    scores, context = _attention_gemms(config, shape)
    products, rows, keys, width = scores.count, scores.m, scores.n, scores.k
    if shape.attention == "fused":
        queries, cache = _query_bytes(config, shape), _cache_bytes(config, shape)
        # Reads Q, K, V, context and its gradient; computes the scores again, then four products of their size.
        yield Stream(
            "attention.gradient", 3 * queries + cache, queries + cache, 5, 3, macs=3 * scores.macs + 2 * context.macs
        )
        return
    nbytes = _score_bytes(config, shape)
    yield Gemm("attention.context.dv", keys, width, rows, count=products)
    yield Gemm("attention.context.dp", rows, keys, width, count=products)
    if shape.dropout:
        yield _dropout_gradient("attention.dropout", nbytes)
    yield Stream("attention.softmax.gradient", 2 * nbytes, nbytes, 2, 1)
    yield Gemm("attention.scores.dq", rows, width, keys, count=products)
    yield Gemm("attention.scores.dk", keys, width, rows, count=products)


def _forward_ffn(config: TransformerConfig, prefix: str, tokens: int, width: int) -> Iterator[Operator]:
    nbytes = tokens * width * HALF_BYTES
    inputs = 2 if config.gated else 1
    for name in ("gate", "up") if config.gated else ("up",):
        yield linear(prefix + name, tokens, config.hidden, width)
    yield Stream(prefix + "activation", inputs * nbytes, nbytes, inputs, 1)
    yield linear(prefix + "down", tokens, width, config.hidden)


def _backward_ffn(config: TransformerConfig, prefix: str, tokens: int, width: int) -> Iterator[Operator]:
    nbytes = tokens * width * HALF_BYTES
    inputs = 2 if config.gated else 1
    yield from linear_gradients(prefix + "down", tokens, width, config.hidden)
    yield Stream(prefix + "activation.gradient", (inputs + 1) * nbytes, inputs * nbytes, inputs + 1, inputs)
    for name in ("up", "gate") if config.gated else ("up",):
        yield from linear_gradients(prefix + name, tokens, config.hidden, width)


def active_experts(experts: int, experts_per_token: int, tokens: int) -> int:
    """Experts that get a token if each token picks its own with equal chance: the expected number, rounded up."""
    idle = (1 - experts_per_token / experts) ** tokens
    return max(experts_per_token, math.ceil(experts * (1 - idle) - 1e-9))


def _per_expert(config: TransformerConfig, tokens: int, operators: Iterator[Operator]) -> Iterator[Operator]:
    """The operators of one expert as those of all that are active, each with its own weights."""
    count = active_experts(config.experts, config.experts_per_token, tokens)
    for operator in operators:
        if isinstance(operator, Gemm):
            yield replace(operator, count=count, weight_operand=False)
        elif isinstance(operator, Stream):
            yield Stream(
                operator.name,
                count * operator.read_bytes,
                count * operator.write_bytes,
                operator.read_tensors,
                operator.written_tensors,
            )


def _expert_tokens(config: TransformerConfig, tokens: int) -> int:
    """Tokens of each active expert: sent evenly, rounded up."""
    count = active_experts(config.experts, config.experts_per_token, tokens)
    return math.ceil(tokens * config.experts_per_token / count)


def _routes(config: TransformerConfig, tokens: int) -> tuple[Gather, Gather, int]:
    """Dispatch of tokens to experts, return of their outputs, and bytes of all sent states."""
    row, rows = config.hidden * HALF_BYTES, tokens * config.experts_per_token
    return (
        Gather("experts.dispatch", rows, row, tokens * row),
        Gather("experts.combine", rows, row, rows * row),
        rows * row,
    )


def _forward_experts(config: TransformerConfig, tokens: int) -> Iterator[Operator]:
    state, table = tokens * config.hidden * HALF_BYTES, tokens * config.experts * HALF_BYTES
    dispatch, combine, sent = _routes(config, tokens)
    yield linear("router", tokens, config.hidden, config.experts)
    yield Stream("router.softmax", table, table)
    yield dispatch
    yield Stream("experts.dispatch.write", 0, sent, 0, 1)
    ffn = _forward_ffn(config, "experts.", _expert_tokens(config, tokens), config.expert_intermediate)
    yield from _per_expert(config, tokens, ffn)
    yield combine
    yield Stream("experts.combine.write", 0, state, 0, 1)
    if config.shared_intermediate:
        yield from _forward_ffn(config, "shared.", tokens, config.shared_intermediate)
        yield Stream("shared.add", 2 * state, state, 2, 1)
    if config.shared_gate:
        yield linear("shared_gate", tokens, config.hidden, 1)


def _backward_experts(config: TransformerConfig, tokens: int) -> Iterator[Operator]:
    state, table = tokens * config.hidden * HALF_BYTES, tokens * config.experts * HALF_BYTES
    dispatch, combine, sent = _routes(config, tokens)
    if config.shared_gate:
        yield from linear_gradients("shared_gate", tokens, config.hidden, 1)
    if config.shared_intermediate:
        yield from _backward_ffn(config, "shared.", tokens, config.shared_intermediate)
        yield Stream("shared.add.gradient", 2 * state, state, 2, 1)
    # The gradient goes the way of the tokens backwards: rows of the output's gradient to the experts, sums back.
    yield replace(dispatch, name="experts.combine.gradient")
    yield Stream("experts.combine.gradient.write", 0, sent, 0, 1)
    ffn = _backward_ffn(config, "experts.", _expert_tokens(config, tokens), config.expert_intermediate)
    yield from _per_expert(config, tokens, ffn)
    yield replace(combine, name="experts.dispatch.gradient")
    yield Stream("experts.dispatch.gradient.write", 0, state, 0, 1)
    yield Stream("router.softmax.gradient", 2 * table, table, 2, 1)
    yield from linear_gradients("router", tokens, config.hidden, config.experts)
