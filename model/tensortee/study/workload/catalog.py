# SPDX-License-Identifier: Apache-2.0
"""Models of the study: the twelve of the TensorTEE paper, and a few that the paper does not have.

The paper prints name, size, batch and six speed-ups (ASPLOS 2024, evaluation). The dimensions are those that the
models' authors published. Nothing here is fitted: a speed-up that the paper prints is only ever compared with.
"""

from __future__ import annotations

from dataclasses import dataclass

from tensortee.study.workload.architecture import TransformerConfig

SEQUENCE_LENGTH = 512
"""Tokens of a sequence. The paper does not print it: GPT and RoBERTa allow no more, so all models use it."""


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """A model as it is trained.

    Attributes:
        config: architecture.
        printed_parameters: size that the paper or the authors print.
        batch: sequences of a training step.
        sequence_length: tokens of a sequence.
        printed_speedup: speed-up of TensorTEE over SGX+MGX that the paper prints, if it does.
        note: choices that were made for this entry.
    """

    config: TransformerConfig
    printed_parameters: float
    batch: int
    sequence_length: int = SEQUENCE_LENGTH
    printed_speedup: float | None = None
    note: str = ""


def _gpt2(name: str, layers: int, hidden: int, heads: int) -> TransformerConfig:
    return TransformerConfig(
        name=name,
        layers=layers,
        hidden=hidden,
        heads=heads,
        intermediate=4 * hidden,
        vocabulary=50257,
        max_positions=1024,
        fused_qkv=True,
    )


def _bloom(name: str, layers: int, hidden: int, heads: int) -> TransformerConfig:
    return TransformerConfig(
        name=name,
        layers=layers,
        hidden=hidden,
        heads=heads,
        intermediate=4 * hidden,
        vocabulary=250880,
        max_positions=2048,
        position="alibi",
        embedding_norm=True,
        fused_qkv=True,
    )


def _opt(name: str, layers: int, hidden: int, heads: int = 32) -> TransformerConfig:
    return TransformerConfig(
        name=name,
        layers=layers,
        hidden=hidden,
        heads=heads,
        intermediate=4 * hidden,
        vocabulary=50272,
        max_positions=2048,
        reserved_positions=2,
    )


def _llama(
    name: str,
    *,
    layers: int,
    hidden: int,
    heads: int,
    intermediate: int,
    vocabulary: int,
    max_positions: int,
    kv_heads: int | None = None,
    experts: int = 0,
    experts_per_token: int = 0,
) -> TransformerConfig:
    return TransformerConfig(
        name=name,
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=kv_heads or heads,
        intermediate=intermediate,
        vocabulary=vocabulary,
        max_positions=max_positions,
        position="rotary",
        gated=True,
        norm="rmsnorm",
        qkv_bias=False,
        projection_bias=False,
        ffn_bias=False,
        tied=False,
        experts=experts,
        experts_per_token=experts_per_token,
    )


_GPT = TransformerConfig(
    name="GPT",
    layers=12,
    hidden=768,
    heads=12,
    intermediate=3072,
    vocabulary=40478,
    max_positions=512,
    fused_qkv=True,
    final_norm=False,
)
_ROBERTA_L = TransformerConfig(
    name="Roberta-L",
    layers=24,
    hidden=1024,
    heads=16,
    intermediate=4096,
    vocabulary=50265,
    max_positions=512,
    reserved_positions=2,
    decoder=False,
    token_types=1,
    embedding_norm=True,
    final_norm=False,
    head_transform=True,
    head_bias=True,
)
_XGLM = TransformerConfig(
    name="XGLM-4.5B",
    layers=48,
    hidden=2048,
    heads=16,
    intermediate=16384,
    vocabulary=256008,
    max_positions=2048,
    position="sinusoidal",
)
_LLAMA2_7B = _llama(
    "LLAMA2-7B", layers=32, hidden=4096, heads=32, intermediate=11008, vocabulary=32000, max_positions=4096
)

MODELS: dict[str, CatalogEntry] = {
    entry.config.name: entry
    for entry in (
        CatalogEntry(_GPT, 117e6, 60, printed_speedup=2.1),
        CatalogEntry(_gpt2("GPT2-M", 24, 1024, 16), 345e6, 22, printed_speedup=3.0),
        CatalogEntry(_ROBERTA_L, 355e6, 22, printed_speedup=3.0, note="trained as a masked language model"),
        CatalogEntry(_bloom("BLOOM", 24, 1024, 16), 560e6, 21, note="published as BLOOM-560M"),
        CatalogEntry(_gpt2("GPT2-L", 36, 1280, 20), 774e6, 11),
        CatalogEntry(
            _bloom("BLOOM-800M", 24, 1280, 20),
            800e6,
            17,
            note="no published dimensions: 24 layers of 1280 with heads of 64 give 794M",
        ),
        CatalogEntry(_opt("OPT-1.3B", 24, 2048), 1.3e9, 10, printed_speedup=4.3),
        CatalogEntry(_gpt2("GPT2-XL", 48, 1600, 25), 1.6e9, 6, printed_speedup=4.5),
        CatalogEntry(_opt("OPT-2.7B", 32, 2560), 2.8e9, 6, note="2.65B as published; the paper prints 2.8B"),
        CatalogEntry(_XGLM, 4.5e9, 3),
        CatalogEntry(_LLAMA2_7B, 6.7e9, 2, printed_speedup=5.5),
        CatalogEntry(_opt("OPT-6.7B", 32, 4096), 6.7e9, 2),
    )
}
"""The twelve models of the paper, in its order (by size)."""

BEYOND: dict[str, CatalogEntry] = {
    entry.config.name: entry
    for entry in (
        CatalogEntry(
            _llama(
                "Mistral-7B",
                layers=32,
                hidden=4096,
                heads=32,
                kv_heads=8,
                intermediate=14336,
                vocabulary=32000,
                max_positions=32768,
            ),
            7.24e9,
            2,
        ),
        CatalogEntry(
            _llama(
                "Llama-3-8B",
                layers=32,
                hidden=4096,
                heads=32,
                kv_heads=8,
                intermediate=14336,
                vocabulary=128256,
                max_positions=8192,
            ),
            8.03e9,
            2,
        ),
        CatalogEntry(
            _llama(
                "OLMoE-1B-7B",
                layers=16,
                hidden=2048,
                heads=16,
                intermediate=1024,
                vocabulary=50304,
                max_positions=4096,
                experts=64,
                experts_per_token=8,
            ),
            6.92e9,
            4,
            note="1.3B of 6.9B parameters work on a token",
        ),
        CatalogEntry(
            _llama(
                "Mixtral-8x7B",
                layers=32,
                hidden=4096,
                heads=32,
                kv_heads=8,
                intermediate=14336,
                vocabulary=32000,
                max_positions=32768,
                experts=8,
                experts_per_token=2,
            ),
            46.7e9,
            1,
            note="weights of 93 GB exceed the NPU's memory: several NPUs or weights streamed from the host",
        ),
    )
}
"""Models beyond the paper: grouped queries and experts."""


def entry(name: str) -> CatalogEntry:
    """Model by its name, whatever the case of its letters.

    Raises:
        KeyError: there is no such model; the text lists all names.
    """
    known = {key.lower(): value for key, value in {**MODELS, **BEYOND}.items()}
    if name.lower() not in known:
        raise KeyError(f"no model {name!r}; there are {', '.join([*MODELS, *BEYOND])}")
    return known[name.lower()]
