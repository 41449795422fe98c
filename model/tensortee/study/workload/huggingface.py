# SPDX-License-Identifier: Apache-2.0
"""Architecture of a transformer from a Hugging Face `config.json`.

Families name the same size differently, so each size has a list of keys. What a family does and its file does not say
(biases, norms, positions) is in `FAMILIES`. A family that is not there is read with the same keys and the habits of
today's decoders, and a warning says what was assumed.
"""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tensortee.study.workload.architecture import TransformerConfig
from tensortee.study.workload.errors import WorkloadError

KEYS: dict[str, tuple[str, ...]] = {
    "layers": ("num_hidden_layers", "n_layer", "num_layers", "n_layers"),
    "hidden": ("hidden_size", "n_embd", "d_model", "n_embed", "dim"),
    "heads": ("num_attention_heads", "n_head", "attention_heads", "num_heads", "n_heads"),
    "kv_heads": ("num_key_value_heads", "num_kv_heads", "n_head_kv"),
    "head_dim": ("head_dim",),
    "intermediate": ("intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size", "d_ff", "hidden_dim"),
    "vocabulary": ("vocab_size",),
    "max_positions": ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length"),
    "experts": ("num_local_experts", "num_experts", "n_routed_experts"),
    "experts_per_token": ("num_experts_per_tok", "num_experts_per_token", "experts_per_token"),
    "expert_intermediate": ("moe_intermediate_size",),
    "shared_intermediate": ("shared_expert_intermediate_size",),
    "dense_layers": ("first_k_dense_replace",),
}
"""Keys of each size, the most usual one first."""

REQUIRED = ("layers", "hidden", "heads", "vocabulary")

_GPT = {"fused_qkv": True}
_BERT = {
    "decoder": False,
    "embedding_norm": True,
    "final_norm": False,
    "head_transform": True,
    "head_bias": True,
}
_ROBERTA = {**_BERT, "reserved_positions": 2}
_LLAMA = {
    "position": "rotary",
    "gated": True,
    "norm": "rmsnorm",
    "qkv_bias": False,
    "projection_bias": False,
    "ffn_bias": False,
    "tied": False,
}

FAMILIES: dict[str, dict[str, Any]] = {
    "openai-gpt": {**_GPT, "final_norm": False},
    "gpt2": _GPT,
    "gpt_bigcode": _GPT,
    "bert": _BERT,
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "camembert": _ROBERTA,
    "distilbert": _BERT,
    "opt": {"reserved_positions": 2},
    "bloom": {"position": "alibi", "embedding_norm": True, "fused_qkv": True, "max_positions": 2048},
    "xglm": {"position": "sinusoidal"},
    "gpt_neox": {"position": "rotary", "fused_qkv": True, "parallel": True, "tied": False},
    "falcon": {
        "position": "rotary",
        "fused_qkv": True,
        "qkv_bias": False,
        "projection_bias": False,
        "ffn_bias": False,
        "max_positions": 2048,
    },
    "phi": {"position": "rotary", "parallel": True, "norms_per_layer": 1, "tied": False, "head_bias": True},
    "phi3": {**_LLAMA, "fused_qkv": True},
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "mixtral": _LLAMA,
    "qwen2": {**_LLAMA, "qkv_bias": True},
    "qwen2_moe": {**_LLAMA, "qkv_bias": True, "shared_gate": True},
    "qwen3": {**_LLAMA, "head_norm": True},
    "qwen3_moe": {**_LLAMA, "head_norm": True},
    "gemma": {**_LLAMA, "tied": True},
    "gemma2": {**_LLAMA, "tied": True, "norms_per_layer": 4},
    "gemma3_text": {**_LLAMA, "tied": True, "norms_per_layer": 4, "head_norm": True},
}
"""What a family does beyond the sizes in its file; all else is as in `TransformerConfig`."""

ENCODER_DECODERS = ("t5", "mt5", "umt5", "bart", "mbart", "pegasus", "marian", "whisper")
"""Families that are refused even if their file does not say what they are."""

_NOT_MODELLED = {
    "kv_lora_rank": "multi-head latent attention is not modelled",
    "hybrid_override_pattern": "layers without attention are not modelled",
}


def load_config(path: str | os.PathLike[str]) -> TransformerConfig:
    """Read an architecture.

    Args:
        path: a `config.json`, or the folder it is in.

    Raises:
        WorkloadError: the file is not JSON, lacks a size, or describes a model of another kind (encoder-decoder,
            latent attention, embeddings of another width than the layers).
        OSError: it cannot be read.
    """
    file = Path(path)
    if file.is_dir():
        file /= "config.json"
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise WorkloadError(f"{file}: not a JSON file: {error}") from error
    if not isinstance(content, dict):
        raise WorkloadError(f"{file}: must hold a JSON object, not {type(content).__name__}")
    return _Reader(file, content).config()


class _Reader:
    """One file on its way to an architecture."""

    def __init__(self, file: Path, content: dict[str, Any]) -> None:
        self.file = file
        self.name = _model_name(file, content)
        # Models of text and images keep the sizes of the language model in a part of their own.
        text = content.get("text_config")
        self.content = {**content, **text} if isinstance(text, dict) else content
        self.family = str(self.content.get("model_type", ""))

    def config(self) -> TransformerConfig:
        """The architecture.

        Raises:
            WorkloadError: it cannot be modelled.
        """
        self._refuse_other_kinds()
        sizes = {field: value for field in KEYS if (value := self._size(field)) is not None}
        for field in REQUIRED:
            if field not in sizes:
                raise WorkloadError(f"{self.file}: no {field}: none of the keys {', '.join(KEYS[field])} is there")
        sizes.setdefault("intermediate", 4 * sizes["hidden"])
        self._refuse_embedding_width(sizes["hidden"])
        fields: dict[str, Any] = {**self._habits(), **sizes, **self._flags(sizes)}
        if "max_positions" not in fields:
            raise WorkloadError(
                f"{self.file}: no max_positions: none of the keys {', '.join(KEYS['max_positions'])} is there"
            )
        if (
            self.family in FAMILIES
            and FAMILIES[self.family].get("decoder") is False
            and fields.get("reserved_positions")
        ):
            # RoBERTa counts the reserved rows in its number of positions.
            fields["max_positions"] -= fields["reserved_positions"]
        try:
            return TransformerConfig(name=self.name, **fields)
        except ValidationError as error:
            reasons = "; ".join(
                ".".join(map(str, [*details["loc"], details["msg"]])) if details["loc"] else details["msg"]
                for details in error.errors()
            )
            raise WorkloadError(f"{self.file}: {reasons}") from error

    def _refuse_other_kinds(self) -> None:
        if self.content.get("is_encoder_decoder") or self.family in (
            "t5",
            "mt5",
            "bart",
            "mbart",
            "pegasus",
            "whisper",
        ):
            raise WorkloadError(
                f"{self.file}: {self.family or 'the model'} is an encoder-decoder: only decoders and encoders are "
                "modelled; describe it as a layer table"
            )
        for key, reason in _NOT_MODELLED.items():
            if self.content.get(key) is not None:
                raise WorkloadError(f"{self.file}: {key} is set: {reason}; describe the model as a layer table")

    def _refuse_embedding_width(self, hidden: int) -> None:
        for key in ("word_embed_proj_dim", "embedding_size"):
            width = self.content.get(key)
            if width is not None and width != hidden:
                raise WorkloadError(
                    f"{self.file}: {key} = {width}, but the layers have a width of {hidden}: embeddings of another "
                    "width are not modelled; describe the model as a layer table"
                )

    def _size(self, field: str) -> int | None:
        for key in KEYS[field]:
            value = self.content.get(key)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int):
                raise WorkloadError(f"{self.file}: {key} must be an integer, not {value!r}")
            return value
        return None

    def _habits(self) -> dict[str, Any]:
        """What the family does; for an unknown one, the habits of today's models."""
        if self.family in FAMILIES:
            return dict(FAMILIES[self.family])
        encoder = any("MaskedLM" in str(name) for name in self.content.get("architectures") or ())
        guess = _BERT if encoder else _LLAMA
        rms = any(key.startswith("rms_norm") for key in self.content)
        guess = {**guess, "norm": "rmsnorm" if rms else "layernorm"}
        if "rope_theta" in self.content:
            guess["position"] = "rotary"
        assumed = ", ".join(f"{key} = {value}" for key, value in guess.items())
        warnings.warn(
            f"{self.file}: unknown model_type {self.family!r}; assumed: {assumed}. Check the number of parameters.",
            stacklevel=4,
        )
        return guess

    def _flags(self, sizes: dict[str, int]) -> dict[str, Any]:
        """Variants that the file states itself."""
        content, flags = self.content, dict[str, Any]()
        flags.update(self._biases())
        if "tie_word_embeddings" in content:
            flags["tied"] = bool(content["tie_word_embeddings"])
        if isinstance(content.get("type_vocab_size"), int):
            flags["token_types"] = content["type_vocab_size"]
        if content.get("do_layer_norm_before") is False:
            flags["final_norm"] = False
        if self.family in ("mistral", "mixtral", "phi3", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe"):
            flags["window"] = content.get("sliding_window") if content.get("use_sliding_window", True) else None
        if self.family == "gpt_neox":
            flags["parallel"] = bool(content.get("use_parallel_residual", True))
        if self.family == "gpt_bigcode":
            flags["kv_heads"] = 1 if content.get("multi_query", True) else sizes["heads"]
        if self.family == "falcon":
            flags.update(_falcon(content, sizes))
        shared = content.get("n_shared_experts")
        if shared and "expert_intermediate" in sizes:
            flags["shared_intermediate"] = shared * sizes["expert_intermediate"]
        if sizes.get("experts") and content.get("decoder_sparse_step", 1) != 1:
            raise WorkloadError(f"{self.file}: decoder_sparse_step must be 1: experts in some layers are not modelled")
        return flags

    def _biases(self) -> dict[str, bool]:
        content, found = self.content, dict[str, bool]()
        if "attention_bias" in content:
            found.update(qkv_bias=bool(content["attention_bias"]), projection_bias=bool(content["attention_bias"]))
        if "mlp_bias" in content:
            found["ffn_bias"] = bool(content["mlp_bias"])
        if "enable_bias" in content or self.family == "falcon":
            bias = bool(content.get("enable_bias", content.get("bias", False)))
            found.update(qkv_bias=bias, projection_bias=bias, ffn_bias=bias)
        return found


def _falcon(content: dict[str, Any], sizes: dict[str, int]) -> dict[str, Any]:
    """Falcon's generations: 40B has groups of queries and two norms, 7B one head of keys and one norm."""
    new, parallel = bool(content.get("new_decoder_architecture")), bool(content.get("parallel_attn", True))
    if new:
        kv_heads = sizes.get("kv_heads", sizes["heads"])
    else:
        kv_heads = 1 if content.get("multi_query", True) else sizes["heads"]
    return {
        "kv_heads": kv_heads,
        "parallel": new or parallel,
        "norms_per_layer": 2 if new or not parallel else 1,
        "position": "alibi" if content.get("alibi") else "rotary",
    }


def _model_name(file: Path, content: dict[str, Any]) -> str:
    """Name in the file, or of the folder it is in, or of the family."""
    named = str(content.get("_name_or_path") or "").rstrip("/").rsplit("/", 1)[-1]
    return named or file.resolve().parent.name or str(content.get("model_type") or file.stem)
