# SPDX-License-Identifier: Apache-2.0
"""Hugging Face configurations: published models, unknown families, and files that cannot be modelled."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
from tensortee.study.workload import catalog
from tensortee.study.workload.architecture import TransformerConfig, parameters
from tensortee.study.workload.errors import WorkloadError
from tensortee.study.workload.huggingface import load_config
from tensortee.study.workload.transformer import inference_workload, training_workload

from tests.study.huggingface_configs import PUBLISHED


def write(folder: Path, content: dict[str, Any]) -> Path:
    file = folder / "config.json"
    file.write_text(json.dumps(content))
    return file


def published(folder: Path, name: str, **changes: Any) -> Path:
    content = {**PUBLISHED[name][1], **changes}
    return write(folder, {key: value for key, value in content.items() if value != "absent"})


def elements(config: TransformerConfig) -> int:
    return sum(tensor.elements for tensor in parameters(config))


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_the_published_ones(tmp_path: Path, name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        config = load_config(published(tmp_path, name))
    assert elements(config) == PUBLISHED[name][0]
    assert training_workload(config, 1, 32).flops > 0
    assert inference_workload(config, 1, 16, 4 if config.decoder else 0).flops > 0


@pytest.mark.parametrize(("name", "own"), [("Llama-3-8B", "Llama-3-8B"), ("Mixtral-8x7B", "Mixtral-8x7B")])
def test_the_catalog_has_the_same_architecture(tmp_path: Path, name: str, own: str) -> None:
    config = load_config(published(tmp_path, name))
    assert config.model_copy(update={"name": own}) == catalog.entry(own).config


def test_name_is_that_of_the_model_or_of_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "my-model"
    folder.mkdir()
    published(folder, "gpt2")
    assert load_config(folder).name == "my-model"
    assert load_config(str(published(folder, "gpt2", _name_or_path="maker/other"))).name == "other"


def test_positions_of_roberta_and_opt(tmp_path: Path) -> None:
    assert load_config(published(tmp_path, "roberta-base")).max_positions == 512
    assert load_config(published(tmp_path, "opt-125m")).max_positions == 2048


@pytest.mark.parametrize(
    ("changes", "window"),
    [({"sliding_window": 4096}, 4096), ({"sliding_window": None}, None), ({}, None)],
)
def test_window_of_mistral(tmp_path: Path, changes: dict[str, Any], window: int | None) -> None:
    config = load_config(published(tmp_path, "Llama-3-8B", model_type="mistral", **changes))
    assert config.window == window
    assert load_config(published(tmp_path, "Qwen2-7B")).window is None
    assert load_config(published(tmp_path, "Qwen2-7B", use_sliding_window=True)).window == 131072


def test_variants_that_the_file_states(tmp_path: Path) -> None:
    assert load_config(published(tmp_path, "Llama-3-8B", attention_bias=True, mlp_bias=True)).ffn_bias
    assert load_config(published(tmp_path, "Llama-3-8B", tie_word_embeddings=True)).tied
    assert not load_config(published(tmp_path, "pythia-160m", use_parallel_residual=False)).parallel
    assert not load_config(published(tmp_path, "opt-125m", do_layer_norm_before=False)).final_norm
    assert not load_config(published(tmp_path, "opt-125m", enable_bias=False)).qkv_bias
    assert load_config(published(tmp_path, "gpt2", model_type="gpt_bigcode")).kv_heads == 1
    new = load_config(published(tmp_path, "falcon-7b", new_decoder_architecture=True, num_kv_heads=71, alibi=True))
    assert (new.norms_per_layer, new.kv_heads, new.position) == (2, 71, "alibi")
    assert load_config(published(tmp_path, "Qwen3-30B-A3B", n_shared_experts=2)).shared_intermediate == 2 * 768


def test_language_part_of_a_model_of_images(tmp_path: Path) -> None:
    text = PUBLISHED["Llama-3-8B"][1]
    config = load_config(write(tmp_path, {"model_type": "llava", "vision_config": {}, "text_config": text}))
    assert elements(config) == PUBLISHED["Llama-3-8B"][0]


@pytest.mark.parametrize(
    ("changes", "position", "norm", "decoder"),
    [
        ({"rope_theta": 1e4}, "rotary", "rmsnorm", True),
        ({"rms_norm_eps": "absent"}, "rotary", "layernorm", True),
        ({"architectures": ["NewForMaskedLM"], "rms_norm_eps": "absent"}, "learned", "layernorm", False),
    ],
)
def test_an_unknown_family_is_guessed_with_a_warning(
    tmp_path: Path, changes: dict[str, Any], position: str, norm: str, decoder: bool
) -> None:
    file = published(tmp_path, "Llama-3-8B", model_type="brand_new", **changes)
    with pytest.warns(UserWarning, match=r"unknown model_type 'brand_new'; assumed: .*norm = "):
        config = load_config(file)
    assert (config.position, config.norm, config.decoder) == (position, norm, decoder)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("{", "not a JSON file"),
        ("[1]", "must hold a JSON object, not list"),
    ],
)
def test_files_of_another_kind(tmp_path: Path, content: str, text: str) -> None:
    file = tmp_path / "config.json"
    file.write_text(content)
    with pytest.raises(WorkloadError, match=text) as raised:
        load_config(file)
    assert str(file) in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"num_hidden_layers": "absent"}, "no layers: none of the keys num_hidden_layers, n_layer"),
        ({"max_position_embeddings": "absent"}, "no max_positions: none of the keys max_position_embeddings"),
        ({"hidden_size": "4096"}, "hidden_size must be an integer, not '4096'"),
        ({"hidden_size": True}, "hidden_size must be an integer, not True"),
        ({"num_hidden_layers": 0}, "layers.*greater than or equal to 1"),
        ({"num_key_value_heads": 5}, "heads = 32 is not a multiple of kv_heads = 5"),
        ({"is_encoder_decoder": True}, "is an encoder-decoder"),
        ({"model_type": "t5"}, "t5 is an encoder-decoder"),
        ({"kv_lora_rank": 512}, "kv_lora_rank is set: multi-head latent attention is not modelled"),
        ({"word_embed_proj_dim": 512}, "word_embed_proj_dim = 512, but the layers have a width of 4096"),
        ({"num_experts": 4, "num_experts_per_tok": 2, "decoder_sparse_step": 2}, "decoder_sparse_step must be 1"),
    ],
)
def test_models_that_cannot_be_modelled(tmp_path: Path, changes: dict[str, Any], text: str) -> None:
    file = published(tmp_path, "Llama-3-8B", **changes)
    with pytest.raises(WorkloadError, match=text) as raised:
        load_config(file)
    assert str(file) in str(raised.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_config(tmp_path / "config.json")
