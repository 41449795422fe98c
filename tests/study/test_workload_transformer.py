# SPDX-License-Identifier: Apache-2.0
"""Transformers as operators: sizes, operations and bytes against closed forms."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import ValidationError
from tensortee.study.hardware import Npu
from tensortee.study.workload import catalog
from tensortee.study.workload.architecture import TransformerConfig, parameters
from tensortee.study.workload.footprint import inference_footprint, training_footprint
from tensortee.study.workload.layers import active_experts
from tensortee.study.workload.operators import Gather, Gemm, Operator, Parameter, Pass, Phase, Stream, Workload
from tensortee.study.workload.transformer import decode_keys, inference_workload, training_workload

ALL = [*catalog.MODELS.values(), *catalog.BEYOND.values()]
PAPER = list(catalog.MODELS.values())

PUBLISHED = {
    "GPT": 116_534_784,
    "GPT2-M": 354_823_168,
    "Roberta-L": 355_412_057,
    "BLOOM": 559_214_592,
    "GPT2-L": 774_030_080,
    "OPT-1.3B": 1_315_758_080,
    "GPT2-XL": 1_557_611_200,
    "OPT-2.7B": 2_651_596_800,
    "XGLM-4.5B": 4_552_511_488,
    "LLAMA2-7B": 6_738_415_616,
    "OPT-6.7B": 6_658_473_984,
    "Mistral-7B": 7_241_732_096,
    "Llama-3-8B": 8_030_261_248,
    "Mixtral-8x7B": 46_702_792_704,
}

SMALL = {
    "name": "small",
    "layers": 3,
    "hidden": 64,
    "heads": 4,
    "intermediate": 160,
    "vocabulary": 1000,
    "max_positions": 128,
}


def small(**changes: Any) -> TransformerConfig:
    return TransformerConfig(**{**SMALL, **changes})


def label(entry: catalog.CatalogEntry) -> str:
    return entry.config.name


def elements(config: TransformerConfig) -> int:
    return sum(tensor.elements for tensor in parameters(config))


def operators(workload: Workload, *phases: Phase) -> Iterator[tuple[Operator, int]]:
    for part in workload.passes:
        if not phases or part.phase in phases:
            for operator in part.operators:
                yield operator, part.repeat


def total(workload: Workload, size: Callable[[Gemm], int], *phases: Phase, ending: str = "") -> int:
    return sum(
        repeat * size(operator)
        for operator, repeat in operators(workload, *phases)
        if isinstance(operator, Gemm) and operator.name.endswith(ending)
    )


def weight_elements(gemm: Gemm) -> int:
    if gemm.weight_operand:
        return gemm.k * gemm.n
    return gemm.count * gemm.k * gemm.n if gemm.name.startswith("experts.") else 0


def matrices(config: TransformerConfig) -> int:
    """Elements of all weights that are operands of products; a tied head uses the table of the embedding."""
    found = sum(
        tensor.elements
        for tensor in parameters(config)
        if len(tensor.shape) == 2 and not tensor.name.startswith("embedding.")
    )
    return found + (config.vocabulary * config.hidden if config.tied else 0)


@pytest.mark.parametrize(("name", "count"), PUBLISHED.items())
def test_parameters_are_the_published_ones(name: str, count: int) -> None:
    assert elements(catalog.entry(name).config) == count


@pytest.mark.parametrize("entry", ALL, ids=label)
def test_parameters_are_near_the_printed_ones(entry: catalog.CatalogEntry) -> None:
    assert elements(entry.config) == pytest.approx(entry.printed_parameters, rel=0.06)


@pytest.mark.parametrize("entry", ALL, ids=label)
def test_names_of_parameters_are_unique(entry: catalog.CatalogEntry) -> None:
    names = [tensor.name for tensor in parameters(entry.config)]
    assert len(names) == len(set(names))


def test_catalog_is_the_table_of_the_paper() -> None:
    assert [entry.batch for entry in PAPER] == [60, 22, 22, 21, 11, 17, 10, 6, 6, 3, 2, 2]
    printed = {label(entry): entry.printed_speedup for entry in PAPER if entry.printed_speedup}
    assert printed == {
        "GPT": 2.1,
        "GPT2-M": 3.0,
        "Roberta-L": 3.0,
        "OPT-1.3B": 4.3,
        "GPT2-XL": 4.5,
        "LLAMA2-7B": 5.5,
    }
    assert {entry.sequence_length for entry in PAPER} == {512}


def test_catalog_finds_names_in_any_case_and_lists_them() -> None:
    assert catalog.entry("gpt2-m") is catalog.MODELS["GPT2-M"]
    with pytest.raises(KeyError, match=r"GPT-5.*GPT2-M.*Mixtral"):
        catalog.entry("GPT-5")


@pytest.mark.parametrize("entry", PAPER, ids=label)
@pytest.mark.parametrize("dropout", [False, True])
def test_models_of_the_paper_fit_in_the_npu(entry: catalog.CatalogEntry, dropout: bool) -> None:
    footprint = training_footprint(entry.config, entry.batch, entry.sequence_length, dropout=dropout)
    assert footprint.total < Npu().dram_capacity_bytes


def test_twice_the_sequence_would_not_fit() -> None:
    too_large = [
        label(entry)
        for entry in PAPER
        if training_footprint(entry.config, entry.batch, 1024).total > Npu().dram_capacity_bytes
    ]
    assert {"GPT2-M", "BLOOM", "GPT2-L", "BLOOM-800M"} <= set(too_large)


def test_footprint_of_a_plain_transformer() -> None:
    config, batch, length = small(), 2, 32
    footprint = training_footprint(config, batch, length, bucket_elements=1000)
    tokens = batch * length
    layer = tokens * (4 * 64 + 4 * 64 + 4 * length + 2 * 160) * 2
    assert footprint.activations == 3 * layer + 3 * tokens * 1000 * 2
    assert footprint.weights == 2 * elements(config)
    assert (footprint.gradients, footprint.optimizer) == (6000, 0)
    on_npu = training_footprint(config, batch, length, attention="fused", offload=False)
    assert on_npu.optimizer == 12 * elements(config)
    assert footprint.activations - on_npu.activations == 3 * tokens * 4 * length * 2


def test_footprint_of_experts_and_of_the_cache() -> None:
    experts = training_footprint(small(experts=4, experts_per_token=2, gated=True), 1, 8)
    dense = training_footprint(small(gated=True), 1, 8)
    assert experts.activations - dense.activations == 3 * 8 * (2 * (2 * 64 + 3 * 160) + 4 - 3 * 160) * 2
    assert inference_footprint(small(kv_heads=2), 5, 100).activations == 3 * 5 * 100 * 2 * 32 * 2
    assert inference_footprint(small(window=10), 1, 100).activations == 3 * 10 * 2 * 64 * 2


@pytest.mark.parametrize("entry", [entry for entry in ALL if not entry.config.experts], ids=label)
def test_operations_of_a_training_step(entry: catalog.CatalogEntry) -> None:
    """Each weight takes 6 operations a token; scores and context take 12 for each pair of positions and width."""
    config = entry.config
    workload = training_workload(config, entry.batch, entry.sequence_length)
    pairs = entry.batch * entry.sequence_length**2
    attention = 12 * config.layers * pairs * config.query_width
    assert workload.flops == 6 * matrices(config) * workload.tokens + attention


@pytest.mark.parametrize("entry", ALL, ids=label)
def test_each_weight_is_used_once_in_each_direction(entry: catalog.CatalogEntry) -> None:
    config = entry.config
    workload = training_workload(config, entry.batch, entry.sequence_length)
    assert total(workload, weight_elements, "forward") == matrices(config)
    assert total(workload, weight_elements, "backward", ending=".dx") == matrices(config)
    gradients = total(workload, lambda gemm: gemm.count * gemm.m * gemm.n, "backward", ending=".dw")
    assert gradients == matrices(config)


@pytest.mark.parametrize("entry", ALL, ids=label)
def test_all_gradients_are_converted(entry: catalog.CatalogEntry) -> None:
    workload = training_workload(entry.config, 1, 8)
    casts = [
        (operator, repeat)
        for operator, repeat in operators(workload)
        if isinstance(operator, Stream) and operator.name == "gradient.cast"
    ]
    assert sum(repeat * operator.read_bytes for operator, repeat in casts) == 2 * workload.parameter_elements
    assert sum(repeat * operator.write_bytes for operator, repeat in casts) == 4 * workload.parameter_elements
    assert sum(repeat * operator.read_tensors for operator, repeat in casts) == len(workload.parameters)
    plain = training_workload(entry.config, 1, 8, offload=False)
    assert not [operator for operator, _ in operators(plain) if operator.name == "gradient.cast"]


def test_experts_take_the_share_of_active_ones() -> None:
    config = catalog.entry("Mixtral-8x7B").config
    workload = training_workload(config, 1, 512)
    experts = sum(tensor.elements for tensor in parameters(config) if ".experts." in tensor.name)
    rest = matrices(config) - experts
    attention = 12 * config.layers * 512**2 * config.query_width
    assert workload.flops == 6 * 512 * (rest + experts * 2 // 8) + attention


def test_shared_experts_and_dense_layers() -> None:
    config = small(gated=True, experts=4, experts_per_token=1, shared_intermediate=32, shared_gate=True, dense_layers=1)
    workload = training_workload(config, 4, 16)
    assert total(workload, weight_elements, "forward") == matrices(config)
    assert config.layer_groups == ((1, False), (2, True))
    names = [operator.name for operator, _ in operators(workload)]
    assert {"shared.up", "shared_gate", "ffn.up", "experts.up", "router"} <= set(names)


@pytest.mark.parametrize(("tokens", "active"), [(1, 2), (2, 4), (3, 5), (1000, 8)])
def test_active_experts_grow_with_the_tokens(tokens: int, active: int) -> None:
    assert active_experts(8, 2, tokens) == active


def test_grouped_queries_read_keys_once() -> None:
    workload = training_workload(small(kv_heads=2), 3, 16)
    scores = next(o for o, _ in operators(workload) if o.name == "attention.scores")
    assert scores == Gemm("attention.scores", 2 * 16, 16, 16, count=6)


def test_fused_attention_keeps_scores_on_the_chip() -> None:
    plain, fused = (training_workload(small(), 2, 64, attention=kind) for kind in ("unfused", "fused"))
    assert not [operator for operator, _ in operators(fused) if operator.name.startswith("attention.softmax")]
    states = 2 * 64 * 64 * 2
    kernels = {o.name: o for o, _ in operators(fused) if isinstance(o, Stream) and o.macs}
    assert (kernels["attention"].read_bytes, kernels["attention"].write_bytes) == (3 * states, states)
    gradient = kernels["attention.gradient"]
    assert (gradient.read_bytes, gradient.write_bytes) == (5 * states, 3 * states)
    # Computing the scores again is one product of seven instead of six.
    products = 3 * 2 * 2 * 64 * 64 * 64
    assert fused.flops - plain.flops == products


def test_dropout_adds_masks() -> None:
    plain, dropped = (training_workload(small(), 2, 64, dropout=chosen) for chosen in (False, True))
    extra = {o.name for o, _ in operators(dropped)} - {o.name for o, _ in operators(plain)}
    forward = {"attention.dropout", "attention.residual_dropout", "ffn.residual_dropout"}
    assert extra == forward | {name + ".gradient" for name in forward}
    mask = next(o for o, _ in operators(dropped) if o.name == "ffn.residual_dropout")
    assert isinstance(mask, Stream)
    assert mask.write_bytes - mask.read_bytes == 2 * 64 * 64


def test_variants_have_their_kernels() -> None:
    rotary = training_workload(small(position="rotary", head_norm=True), 1, 8)
    names = {operator.name for operator, _ in operators(rotary)}
    assert {"attention.rotary", "attention.rotary.gradient", "attention.head_norm.gradient"} <= names
    parallel = training_workload(small(parallel=True, norms_per_layer=1), 1, 8)
    names = {operator.name for operator, _ in operators(parallel)}
    assert "residual" in names
    assert not {"norm1", "attention.residual"} & names
    encoder = catalog.entry("Roberta-L").config
    names = {operator.name for operator, _ in operators(training_workload(encoder, 1, 8))}
    assert {"head.transform.dw", "head.norm.gradient", "embedding.types", "embedding.norm"} <= names


@pytest.mark.parametrize("window", [None, 7, 24])
@pytest.mark.parametrize(("prompt", "generated"), [(1, 1), (5, 2), (20, 9), (33, 40)])
def test_decoding_reads_exactly_the_cache(window: int | None, prompt: int, generated: int) -> None:
    config = small(window=window, position="rotary")
    workload = inference_workload(config, 3, prompt, generated)
    keys = sum(min(window or 10**9, prompt + step) for step in range(1, generated))
    assert decode_keys(config, prompt, generated - 1) == keys
    scores = total(workload, lambda gemm: gemm.count * gemm.n, "decode", ending="attention.scores")
    assert scores == 3 * config.layers * config.kv_heads * keys
    assert total(workload, weight_elements, "decode") == (generated - 1) * matrices(config)
    assert total(workload, weight_elements, "prefill") == matrices(config)
    assert workload.tokens == 3 * (prompt + generated)


def test_prefill_predicts_one_token_of_each_prompt() -> None:
    workload = inference_workload(small(), 3, 20, 1)
    head = next(o for o, _ in operators(workload, "prefill") if o.name == "head")
    assert isinstance(head, Gemm)
    assert head.m == 3
    assert {part.phase for part in workload.passes} == {"prefill"}


def test_an_encoder_only_reads() -> None:
    config = catalog.entry("Roberta-L").config
    workload = inference_workload(config, 2, 100, 0)
    head = next(o for o, _ in operators(workload) if o.name == "head")
    assert isinstance(head, Gemm)
    assert head.m == 200
    with pytest.raises(ValueError, match=r"encoder.*must be 0"):
        inference_workload(config, 2, 100, 1)


@pytest.mark.parametrize(
    ("sizes", "text"),
    [
        ((0, 8), "batch must be at least 1"),
        ((1, 0), "sequence_length must be at least 1"),
        ((1, 129), "sequence_length = 129, but small has positions for 128"),
    ],
)
def test_training_refuses_sizes(sizes: tuple[int, int], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        training_workload(small(), *sizes)


@pytest.mark.parametrize(
    ("sizes", "text"),
    [
        ((0, 8, 1), "batch must be at least 1"),
        ((1, 0, 1), "prompt_length must be at least 1"),
        ((1, 8, 0), "generated_tokens must be at least 1"),
        ((1, 100, 30), "length_with_answer = 129"),
    ],
)
def test_inference_refuses_sizes(sizes: tuple[int, int, int], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        inference_workload(small(), *sizes)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"heads": 5}, "hidden = 64 is not a multiple of heads = 5"),
        ({"kv_heads": 3}, "heads = 4 is not a multiple of kv_heads = 3"),
        ({"experts": 2, "experts_per_token": 3}, "sent to 3 of 2 experts"),
        ({"experts": 2}, "sent to 0 of 2 experts"),
        ({"dense_layers": 4}, "dense_layers = 4 exceeds layers = 3"),
        ({"decoder": False, "window": 8}, "for decoders only"),
        ({"layers": 0}, "greater than or equal to 1"),
        ({"depth": 3}, "Extra inputs"),
    ],
)
def test_architectures_that_do_not_fit(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        small(**changes)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Gemm("g", 0, 1, 1), "g: sizes of a GEMM"),
        (lambda: Stream("s", -1, 0), "s: sizes of a stream"),
        (lambda: Gather("t", 1, 0, 1), "t: sizes of a gather"),
        (lambda: Pass("forward", (), 0), "at least once"),
    ],
)
def test_operators_refuse_sizes(make: Callable[[], object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make()


def test_sizes_of_operators() -> None:
    gemm = Gemm("g", 2, 3, 5, count=7)
    assert (gemm.macs, gemm.flops) == (210, 420)
    assert Parameter("scalar", ()).elements == 1
    part = Pass("forward", (gemm, Stream("s", 1, 1, macs=10), Gather("t", 1, 1, 1)), 4)
    workload = Workload("w", (part,), (Parameter("a", (2, 3)), Parameter("b", (4,))), (), 1, ())
    assert (workload.flops, workload.parameter_elements) == (4 * 440, 10)


@pytest.mark.parametrize("entry", ALL, ids=label)
def test_what_is_left_open_is_said(entry: catalog.CatalogEntry) -> None:
    workload = training_workload(entry.config, entry.batch, entry.sequence_length)
    assert any("512 tokens" in text for text in workload.assumptions)
    assert any("fp16" in text for text in workload.assumptions)
    assert any("check for overflow" in text for text in workload.unmodelled)
    assert ("uneven load of experts" in workload.unmodelled) == bool(entry.config.experts)
