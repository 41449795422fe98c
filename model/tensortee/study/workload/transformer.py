# SPDX-License-Identifier: Apache-2.0
"""Transformers as operators: a step of training, or the answer to a batch of prompts.

Training is one forward and one backward pass over a batch; inference is one prefill of the prompts and one decode step
for each further token, with a cache of keys and values.
"""

from __future__ import annotations

from collections.abc import Iterator

from tensortee.study.workload.architecture import TransformerConfig, parameters
from tensortee.study.workload.layers import (
    HALF_BYTES,
    Attention,
    Shape,
    backward_layer,
    cast_to_single,
    forward_attention,
    forward_layer,
    forward_rest,
    gradient_cast,
    linear,
    linear_gradients,
)
from tensortee.study.workload.operators import Gather, Operator, Pass, Phase, Stream, Workload

__all__ = ["TransformerConfig", "inference_workload", "parameters", "training_workload"]

KERNELS = (
    "weights, activations and gradients are fp16; sums in the array are fp32",
    "each kernel reads and writes DRAM; a chain of element-wise operators on one tensor is one kernel "
    "(scale, mask and softmax; gate and activation; a bias with the GEMM before it)",
    "heads are split and merged by the strides of the DMA, without a copy",
)


def training_workload(
    config: TransformerConfig,
    batch: int,
    sequence_length: int,
    *,
    attention: Attention = "unfused",
    dropout: bool = False,
    offload: bool = True,
) -> Workload:
    """One step of training, without the optimizer.

    Args:
        config: architecture.
        batch: sequences.
        sequence_length: tokens of each.
        attention: whether scores are written to DRAM.
        dropout: whether attention and the two branches of a layer drop activations, with masks in DRAM.
        offload: convert gradients to fp32, as ZeRO-Offload sends them to the CPU.

    Raises:
        ValueError: a size is below 1, or the sequence is longer than the model's table of positions.
    """
    _check_sizes(config, batch=batch, sequence_length=sequence_length)
    shape = Shape(batch, sequence_length, _attended(config, sequence_length), attention, dropout)
    passes = [Pass("forward", tuple(_embedding(config, shape)))]
    passes += _layers(config, shape, "forward")
    passes.append(Pass("forward", (*_head(config, shape.tokens), *_loss(config, shape.tokens))))
    passes.append(Pass("backward", tuple(_head_gradients(config, shape.tokens))))
    for count, experts in reversed(config.layer_groups):
        operators = tuple(backward_layer(config, shape, experts=experts))
        cast = (gradient_cast(config, experts=experts),) if offload else ()
        passes.append(Pass("backward", operators + cast, count))
    passes.append(Pass("backward", tuple(_embedding_gradients(config, shape, offload=offload))))
    return Workload(
        name=config.name,
        passes=tuple(passes),
        parameters=parameters(config),
        unmodelled=(
            *_unmodelled(config),
            "scalar loss and its scaling",
            "norm of the gradients, clipping, check for overflow",
            "launch of kernels",
            "loading of data",
        ),
        tokens=shape.tokens,
        assumptions=(
            f"sequences of {sequence_length} tokens, batch of {batch}",
            *KERNELS,
            _attention_text(attention),
            "activations are kept for the backward pass, none are computed twice"
            if attention == "unfused"
            else "activations are kept for the backward pass; only the scores are computed twice",
            "dropout with masks of one byte per value" if dropout else "no dropout",
            *_expert_text(config),
        ),
    )


def inference_workload(
    config: TransformerConfig,
    batch: int,
    prompt_length: int,
    generated_tokens: int,
    *,
    attention: Attention = "unfused",
) -> Workload:
    """Answer to a batch of prompts.

    The prefill of the prompts gives the first token; each further token is one decode step, which reads all weights and
    the keys and values of all positions before it. Steps whose number of keys differs are merged into steps of two
    neighbouring sizes with the same sum: bytes and operations of attention are linear in the number of keys, so their
    totals are exact.

    Args:
        config: architecture.
        batch: prompts.
        prompt_length: tokens of each.
        generated_tokens: tokens that each prompt is answered with; 0 for an encoder.
        attention: whether scores are written to DRAM.

    Raises:
        ValueError: a size is out of range, or the answer ends behind the model's table of positions.
    """
    _check_sizes(config, batch=batch, prompt_length=prompt_length)
    if config.decoder and generated_tokens < 1:
        raise ValueError(f"generated_tokens must be at least 1, not {generated_tokens}")
    if not config.decoder and generated_tokens:
        raise ValueError(f"{config.name} is an encoder: generated_tokens must be 0, not {generated_tokens}")
    steps = max(0, generated_tokens - 1)
    _check_sizes(config, length_with_answer=prompt_length + steps)
    prompt = Shape(batch, prompt_length, _attended(config, prompt_length), attention)
    predicted = batch if config.decoder else prompt.tokens
    passes = [Pass("prefill", tuple(_embedding(config, prompt)))]
    passes += _layers(config, prompt, "prefill")
    passes.append(Pass("prefill", tuple(_head(config, predicted))))
    passes += _decode(config, batch, prompt_length, steps, attention)
    return Workload(
        name=config.name,
        passes=tuple(passes),
        parameters=parameters(config),
        unmodelled=(*_unmodelled(config), "choice of the next token", "launch of kernels"),
        tokens=batch * (prompt_length + generated_tokens),
        assumptions=(
            f"{batch} prompts of {prompt_length} tokens, {generated_tokens} tokens generated for each",
            *KERNELS,
            _attention_text(attention),
            "the cache of keys and values is in the NPU's memory, and a step appends to it in place",
            "the head is applied to the last position only" if config.decoder else "the head is applied to all tokens",
            *_expert_text(config),
        ),
    )


def decode_keys(config: TransformerConfig, prompt_length: int, steps: int) -> int:
    """Keys that one sequence attends to, summed over all decode steps."""
    window = config.window or prompt_length + steps
    return sum(min(window, prompt_length + step) for step in range(1, steps + 1))


def _decode(
    config: TransformerConfig, batch: int, prompt_length: int, steps: int, attention: Attention
) -> Iterator[Pass]:
    if not steps:
        return
    keys, longer = divmod(decode_keys(config, prompt_length, steps), steps)
    yield Pass("decode", tuple(_embedding(config, Shape(batch, 1, 1))), steps)
    for count, experts in config.layer_groups:
        yield Pass("decode", tuple(forward_rest(config, Shape(batch, 1, keys), experts=experts)), count * steps)
    for size, repeat in ((keys, steps - longer), (keys + 1, longer)):
        if repeat:
            shape = Shape(batch, 1, size, attention)
            yield Pass("decode", tuple(forward_attention(config, shape)), repeat * config.layers)
    yield Pass("decode", tuple(_head(config, batch)), steps)


def _layers(config: TransformerConfig, shape: Shape, phase: Phase) -> Iterator[Pass]:
    for count, experts in config.layer_groups:
        yield Pass(phase, tuple(forward_layer(config, shape, experts=experts)), count)


def _attended(config: TransformerConfig, length: int) -> int:
    """Keys of each query in a kernel that computes the whole rectangle: masked scores are computed, too."""
    return min(length, config.window or length)


def _embedding(config: TransformerConfig, shape: Shape) -> Iterator[Operator]:
    row = config.hidden * HALF_BYTES
    state = shape.tokens * row
    yield Gather("embedding.tokens", shape.tokens, row, config.vocabulary * row)
    yield Stream("embedding.tokens.write", 0, state, 0, 1)
    if config.position in ("learned", "sinusoidal"):
        yield Stream("embedding.positions", state + shape.queries * row, state, 2, 1)
    if config.token_types:
        yield Stream("embedding.types", state, state)
    if config.embedding_norm:
        yield Stream("embedding.norm", state, state)


def _embedding_gradients(config: TransformerConfig, shape: Shape, *, offload: bool) -> Iterator[Operator]:
    row = config.hidden * HALF_BYTES
    state, table = shape.tokens * row, config.vocabulary * row
    if config.embedding_norm:
        yield Stream("embedding.norm.gradient", 2 * state, state, 2, 1)
    if config.position == "learned":
        yield Stream("embedding.positions.gradient", state, shape.queries * row)
    # The table's gradient is cleared unless the head has written it already; each token adds its row to one of it.
    if not config.tied:
        yield Stream("embedding.clear", 0, table, 0, 1)
    yield Stream("embedding.rows.gradient", state, 0, 1, 0)
    yield Gather("embedding.tokens.gradient", shape.tokens, row, table)
    yield Stream("embedding.tokens.gradient.write", 0, state, 0, 1)
    if offload:
        others = [tensor for tensor in parameters(config) if not tensor.name.startswith("layers.")]
        yield cast_to_single(sum(tensor.elements for tensor in others), len(others))


def _head(config: TransformerConfig, tokens: int) -> Iterator[Operator]:
    state = tokens * config.hidden * HALF_BYTES
    if config.final_norm:
        yield Stream("final_norm", state, state)
    if config.head_transform:
        yield linear("head.transform", tokens, config.hidden, config.hidden)
        yield Stream("head.activation", state, state)
        yield Stream("head.norm", state, state)
    yield linear("head", tokens, config.hidden, config.vocabulary)


def _loss(config: TransformerConfig, tokens: int) -> Iterator[Operator]:
    logits = tokens * config.vocabulary * HALF_BYTES
    yield Stream("loss.log_softmax", logits, logits)


def _head_gradients(config: TransformerConfig, tokens: int) -> Iterator[Operator]:
    state, logits = tokens * config.hidden * HALF_BYTES, tokens * config.vocabulary * HALF_BYTES
    yield Stream("loss.gradient", logits, logits)
    yield from linear_gradients("head", tokens, config.hidden, config.vocabulary)
    if config.head_transform:
        yield Stream("head.norm.gradient", 2 * state, state, 2, 1)
        yield Stream("head.activation.gradient", 2 * state, state, 2, 1)
        yield from linear_gradients("head.transform", tokens, config.hidden, config.hidden)
    if config.final_norm:
        yield Stream("final_norm.gradient", 2 * state, state, 2, 1)


def _check_sizes(config: TransformerConfig, **sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} must be at least 1, not {size}")
        if "length" in name and config.position == "learned" and size > config.max_positions:
            raise ValueError(f"{name} = {size}, but {config.name} has positions for {config.max_positions} tokens")


def _unmodelled(config: TransformerConfig) -> tuple[str, ...]:
    found = ["masks and index tensors"]
    if config.position == "rotary":
        found.append("tables of sines and cosines")
    if config.experts:
        found += ["choice of the best experts from the router's scores", "uneven load of experts"]
    return tuple(found)


def _attention_text(attention: Attention) -> str:
    if attention == "fused":
        return "fused attention: scores stay on the chip; the array is taken to be fully used by it"
    return "unfused attention: all scores, masked ones as well, are written to DRAM in fp16"


def _expert_text(config: TransformerConfig) -> tuple[str, ...]:
    return ("tokens pick experts with equal chance, and active experts get equal shares",) if config.experts else ()
