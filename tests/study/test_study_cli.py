# SPDX-License-Identifier: Apache-2.0
"""The commands of `tensortee study`: the examples of the documents run, and errors are one line or one object."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TypeVar

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tensortee.cli import app as main_app
from tensortee.cli.study import app
from tensortee.study.hardware.conservation import at_most
from tensortee.study.report.results import RunResults, SweepResults
from tensortee.study.sweep import run as run_module
from tensortee.study.sweep.config import load_config
from tensortee.study.sweep.studies import paper
from tensortee.study.sweep.sweep import load_sweep
from typer.testing import CliRunner, Result

from tests.study import sample_results

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "docs" / "study" / "examples"
QUICK = "workload: {model: GPT}\nmode: npu-training\nbatch: 1\n"
Parsed = TypeVar("Parsed", RunResults, SweepResults)


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def write(folder: Path, text: str) -> Path:
    path = folder / "question.yaml"
    path.write_text(text)
    return path


def parsed(result: Result, kind: type[Parsed]) -> Parsed:
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    assert content.pop("ok") is True
    content.pop("units")
    return kind.model_validate(content)


@pytest.mark.parametrize("example", ["npu-training", "inference", "layers"])
def test_examples_run(example: str, tmp_path: Path) -> None:
    results = parsed(call("run", EXAMPLES / f"{example}.yaml", "--json", "-o", tmp_path / "out"), RunResults)
    assert results.rows[0].overhead == 0
    assert all(row.seconds >= results.rows[0].seconds for row in results.rows)
    assert (tmp_path / "out" / "report.html").exists()
    assert json.loads((tmp_path / "out" / "results.json").read_text())["workload"] == results.workload


def test_a_model_of_ones_own(tmp_path: Path) -> None:
    html = tmp_path / "answer.html"
    result = call("run", EXAMPLES / "my-model.yaml", "--html", html)
    assert result.exit_code == 0, result.output
    assert "sgx+mgx" in result.stdout
    assert "npu (s)" in result.stdout
    text = html.read_text()
    assert "Changed by the user" in text
    assert "link.pcie_generation" in text


def test_an_onnx_file(tmp_path: Path) -> None:
    weights = numpy_helper.from_array(np.zeros((64, 32), np.float32), "weights")
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 64])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 32])]
    node = helper.make_node("MatMul", ["x", "weights"], ["y"])
    graph = helper.make_graph([node], "net", inputs, outputs, [weights])
    onnx.save(helper.make_model(graph), tmp_path / "net.onnx")
    text = "workload: {onnx: net.onnx, dimensions: {n: 128}}\nmode: %s\nschemes: [mgx]\n"
    answers = {
        mode: parsed(call("run", write(tmp_path, text % mode), "--json"), RunResults)
        for mode in ("inference", "npu-training")
    }
    assert set(answers["inference"].rows[0].parts) == {"prefill", "decode"}
    assert set(answers["npu-training"].rows[0].parts) == {"forward", "backward"}
    assert answers["inference"].parameters == 64 * 32


def test_a_workload_that_does_not_fit_is_noted(tmp_path: Path) -> None:
    path = write(tmp_path, QUICK + "schemes: [mgx]\nsystem: {npu: {dram_capacity_bytes: 1e9}}\n")
    assert "not modelled: swapping: the data takes at least" in call("run", path).stdout
    assert "swapping" not in call("run", write(tmp_path, QUICK + "schemes: [mgx]\n")).stdout


def test_a_sweep_is_stored_and_reported(tmp_path: Path) -> None:
    path = write(tmp_path, QUICK + "schemes: [mgx]\nsweep: {system.npu.array_rows: [64, 128]}\n")
    command = ("sweep", path, "--jobs", "1", "--cache", tmp_path / "cache", "--json")
    first = call(*command, "--html", tmp_path / "sweep.html")
    results = parsed(first, SweepResults)
    assert [point.parameters["system.npu.array_rows"] for point in results.points] == [64, 128]
    assert len(list((tmp_path / "cache").iterdir())) == 2
    assert "2 of 2 points" in (tmp_path / "sweep.html").read_text()
    assert call(*command).stdout == first.stdout


def test_a_point_that_fails_sets_the_exit_status(tmp_path: Path) -> None:
    text = "workload: {model: GPT}\nmode: inference\nschemes: [mgx]\nprompt_length: 8\ngenerated_tokens: 2\n"
    path = write(tmp_path, text + "sweep: {system.npu.dram_capacity_bytes: [1e6, 40e9]}\n")
    result = call("sweep", path, "--jobs", "1", "--cache", tmp_path / "cache")
    assert result.exit_code == 1
    assert "system.npu.dram_capacity_bytes = 1" in result.stderr
    assert "CapacityError" in result.stderr
    assert "40" in result.stdout


def test_the_papers_evaluation_is_printed_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few: dict[str, list[object]] = {
        name: [] for name in ("models", "speedups", "adam", "npu_mac", "inference", "moe", "pcie", "npus", "energy")
    }
    results = sample_results.paper().model_copy(update={**few, "tensors_limit": [], "tornado": []})
    monkeypatch.setattr(paper, "paper", lambda progress: (progress(1, 1), results)[1])
    shown = call("paper", "-o", tmp_path)
    assert shown.exit_code == 0, shown.output
    assert re.search(r"mean speed-up over SGX\+MGX +× +4 +3\.877 +-3\.1% +prediction", shown.stdout)
    assert f"report: {tmp_path / 'report.html'}" in shown.stdout
    assert "Predictions" in (tmp_path / "report.html").read_text()
    content = json.loads(call("paper", "-o", tmp_path, "--json").stdout)
    assert content["ok"] is True
    assert {**content, "ok": True} == {"ok": True, **json.loads((tmp_path / "results.json").read_text())}


def test_errors_are_one_object_for_programs(tmp_path: Path) -> None:
    result = call("run", write(tmp_path, "workload: {model: GPTT}\n"), "--json")
    assert result.exit_code == 2
    content = json.loads(result.stdout)
    assert content["ok"] is False
    assert content["error"]["kind"] == "ConfigError"
    assert "question.yaml:1:12: workload.model" in content["error"]["message"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "nothing.yaml"], "nothing.yaml: No such file"),
        (["sweep", "{q}", "--jobs", "2", "--scheduler", "tcp://x:1"], "--jobs or --scheduler"),
        (["sweep", "{q}"], "sweep: must hold a list"),
        (["inputs", "nothing.yaml"], "nothing.yaml: No such file"),
    ],
)
def test_wrong_arguments_are_one_line(tmp_path: Path, arguments: list[str], words: str) -> None:
    path = write(tmp_path, QUICK)
    result = call(*(argument.format(q=path) for argument in arguments))
    assert result.exit_code == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_a_broken_conservation_law_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        at_most("bytes out", 2, 1)

    monkeypatch.setattr(run_module, "run", broken)
    result = call("run", write(tmp_path, QUICK))
    assert result.exit_code == 2
    assert "bug of the study, please report it: bytes out: 2 exceeds 1" in result.stderr


def test_a_cluster_that_does_not_answer(tmp_path: Path) -> None:
    path = write(tmp_path, QUICK + "sweep: {threads: [1]}\n")
    result = call("sweep", path, "--scheduler", "nonsense://x", "--cache", tmp_path / "cache")
    assert result.exit_code == 2
    assert "no Dask scheduler answers at nonsense://x" in result.stderr


def test_lists_of_models_and_inputs_and_the_schema(tmp_path: Path) -> None:
    models = json.loads(call("models", "--json").stdout)["models"]
    assert sum(model["in_paper"] for model in models) == 12
    assert "GPT2-M" in call("models").stdout
    changed = write(tmp_path, QUICK + "system: {npus: 3}\n")
    rows = {row["name"]: row for row in json.loads(call("inputs", changed, "--json").stdout)["inputs"]}
    assert rows["npus"]["value"] == 3
    assert rows["npus"]["changed"] is True
    assert all(row["unit"] and row["origin"] and row["source"] for row in rows.values())
    assert "cpu.dram.channels" in call("inputs").stdout
    assert set(json.loads(call("schema").stdout)["properties"]) >= {"workload", "mode", "system", "schemes"}


def test_the_main_command_passes_everything_on(tmp_path: Path) -> None:
    assert "sweep" in CliRunner().invoke(main_app, ["study", "--help"]).stdout
    result = CliRunner().invoke(main_app, ["study", "run", str(tmp_path / "no.yaml"), "--json"])
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"]["kind"] == "FileNotFoundError"


def test_other_commands_load_nothing_of_the_study() -> None:
    script = "import sys, tensortee.cli; print([name for name in sys.modules if 'study' in name or 'numba' in name])"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "model")}
    result = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_a_missing_extra_is_one_line(tmp_path: Path) -> None:
    script = "import sys; sys.modules['yaml'] = None\nfrom tensortee.cli import app\napp()"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "model")}
    command = [sys.executable, "-c", script, "study", "run", str(write(tmp_path, QUICK))]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert result.returncode == 2
    advice = "pip install '.[study,cluster]' in the project's folder"
    assert result.stderr.strip() == f"error: yaml is not installed: {advice}"


def test_yaml_of_the_document_and_all_examples_are_valid(tmp_path: Path) -> None:
    text = (EXAMPLES.parent / "README.md").read_text()
    blocks = re.findall(r"^```yaml\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    (tmp_path / "config.json").write_text("{}")
    paths = sorted(EXAMPLES.glob("*.yaml"))
    assert len(paths) == 6
    for number, block in enumerate(blocks):
        paths.append(tmp_path / f"{number}.yaml")
        paths[-1].write_text(block)
    for path in paths:
        load = load_sweep if "\nsweep:" in path.read_text() else load_config
        assert load(path)
