# SPDX-License-Identifier: Apache-2.0
"""Configurations: what is wrong is named with file, line, column and what is allowed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError
from tensortee.study.npu import protection
from tensortee.study.sweep.config import SCHEMES, Config, load_config
from tensortee.study.sweep.located_yaml import ConfigError
from tensortee.study.system import inference, step

WORKLOAD = "workload: {model: GPT2-M}\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "question.yaml"
    path.write_text(text)
    return path


def problems(folder: Path, text: str) -> list[tuple[int, int, str]]:
    path = write(folder, text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert all(problem.file == str(path) for problem in caught.value.problems)
    return [(problem.line, problem.column, problem.message) for problem in caught.value.problems]


def test_defaults_and_nested_overrides(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, WORKLOAD + "system:\n  npus: 2\n  cpu: {dram: {channels: 4}}\n"))
    assert config.mode == "training"
    assert config.system.cpu.dram.channels == 4
    assert config.system.cpu.dram.banks == 16
    assert config.system.npus == 2
    assert config.schemes_to_run == ("non-secure", "sgx+mgx", "tensortee")


def test_plain_scheme_is_always_run_and_first(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, WORKLOAD + "mode: inference\nschemes: [mgx, bounce, mgx]\n"))
    assert config.schemes_to_run == ("non-secure", "mgx", "bounce")


def test_model_names_ignore_case(tmp_path: Path) -> None:
    assert load_config(write(tmp_path, "workload: {model: gpt2-m}\n")).workload.model == "GPT2-M"


def test_paths_are_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "config.json").write_text("{}")
    path = write(tmp_path, "workload: {huggingface: inner/config.json}\n")
    monkeypatch.chdir("/")
    assert load_config(path).workload.huggingface == (tmp_path / "inner" / "config.json").resolve()
    relative = Path(os.path.relpath(path, "/"))
    assert load_config(relative).workload.huggingface == (tmp_path / "inner" / "config.json").resolve()


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("workload: {model: GPT2-N}\n", 1, 12, ["workload.model", "'GPT2-N'", "did you mean 'GPT2-", "OPT-1.3B"]),
        (WORKLOAD + "mode: trainin\n", 2, 1, ["'trainin'", "'training'", "'inference'"]),
        (WORKLOAD + "\n\nbatch: 0\n", 4, 1, ["batch: 0", "greater than or equal to 1"]),
        (WORKLOAD + "batchs: 3\n", 2, 1, ["batchs: unknown key", "did you mean 'batch'?"]),
        (WORKLOAD + "system:\n  cpu:\n    dram: {chanels: 4}\n", 4, 12, ["unknown key", "did you mean 'channels'?"]),
        (WORKLOAD + "system:\n  cpu:\n    llc_bytes: 9 MB\n", 4, 5, ["'9 MB'", "integer", "(unit: bytes)"]),
        (WORKLOAD + "system:\n  link: {lanes: 64}\n", 3, 10, ["system.link.lanes: 64", "less than or equal to 32"]),
        (WORKLOAD + "system:\n  npu: 7\n", 3, 3, ["system.npu: must hold keys and values, not 7"]),
        (WORKLOAD + "schemes:\n  - mgx\n", 3, 5, ["schemes[0]", "'mgx'", "sgx+mgx", "tensortee"]),
        (WORKLOAD + "schemes: mgx\n", 2, 1, ["schemes: 'mgx' should be a valid list"]),
        ("workload: GPT\n", 1, 1, ["workload: must hold keys and values, not 'GPT'"]),
        ("a: \0", 1, 1, ["not YAML", "unacceptable character"]),
        ("[" * 5000, 1, 1, ["not YAML"]),
        (WORKLOAD + "schemes: []\n", 2, 1, ["schemes", "at least 1"]),
        (WORKLOAD + "prompt_length: 5\n", 2, 1, ["prompt_length: has no meaning in mode training"]),
        (WORKLOAD + "mode: inference\nsequence_length: 5\n", 3, 1, ["no meaning in mode inference"]),
        ("workload: {onnx: nowhere.onnx}\n", 1, 12, ["there is no file", "nowhere.onnx"]),
        ("workload:\n  dimensions: {n: 1}\n", 1, 1, ["exactly one of", "none"]),
        ("workload:\n  model: GPT\n  dimensions: {n: 1}\n", 1, 1, ["dimensions belong to an ONNX file"]),
        ("batch: 3\n", 1, 1, ["workload: is missing"]),
        ("batch: 3\nbatch: 4\n", 2, 1, ["batch: key given twice"]),
        ("a: 1\nb: [1, 2\nc: 3", 3, 2, ["not YAML"]),
        ("- 1\n- 2\n", 1, 1, ["must hold keys and values"]),
        ("", 1, 1, ["workload: is missing"]),
    ],
)
def test_errors_name_line_column_and_what_is_allowed(
    tmp_path: Path, text: str, line: int, column: int, words: list[str]
) -> None:
    [(found_line, found_column, message)] = problems(tmp_path, text)
    assert (found_line, found_column) == (line, column), message
    for word in words:
        assert word in message


def test_all_problems_are_reported_in_the_order_of_the_file(tmp_path: Path) -> None:
    found = problems(tmp_path, "batch: -1\nworkload: {model: x}\nthreads: many\ncolour: red\n")
    assert [line for line, _, _ in found] == [1, 2, 3, 4]


def test_merged_keys_are_no_repetition(tmp_path: Path) -> None:
    text = WORKLOAD + "system:\n  cpu: &a {cores: 4}\n  npu: {<<: {array_rows: 128}, array_rows: 64}\n"
    assert load_config(write(tmp_path, text)).system.npu.array_rows == 64


def test_aliases_of_aliases_do_not_take_forever(tmp_path: Path) -> None:
    lines = ["a0: &a0 [1, 2, 3]", *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 20))]
    found = problems(tmp_path, "\n".join([WORKLOAD.strip(), *lines]))
    assert [line for line, _, _ in found] == list(range(2, 22))


def test_sizes_that_an_onnx_file_fixes(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"")
    [(line, column, message)] = problems(tmp_path, "batch: 2\nworkload: {onnx: net.onnx}\n")
    assert (line, column) == (1, 1)
    assert "fixed by the ONNX file" in message


def test_a_configuration_cannot_be_changed() -> None:
    config = Config.model_validate({"workload": {"model": "GPT"}})
    with pytest.raises(ValidationError):
        config.batch = 3


def test_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_config(tmp_path / "nothing.yaml")


def test_schemes_are_those_of_the_simulators() -> None:
    assert set(SCHEMES["training"]) == set(step.SCHEMES)
    assert set(SCHEMES["inference"]) == set(inference.SCHEMES)
    assert set(SCHEMES["npu-training"]) == set(protection.schemes())
