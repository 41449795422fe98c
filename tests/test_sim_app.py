# SPDX-License-Identifier: Apache-2.0
"""The main job: `make sim`, with the network and with tensors of one's own, and its judges."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from random import Random
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from filelock import FileLock
from rich.console import Console
from safetensors.numpy import load_file

from tb.app import train
from tb.app.attacks import ATTACKS
from tb.app.engine import run_on_engine
from tb.app.image import check_image
from tb.app.job import JOB_VARIABLE, Job
from tb.app.main import DATA_W, conclude, main, parse
from tb.app.network import WEIGHTS_FILE
from tb.app.port import STREAM_BEATS, Traffic
from tb.app.report import SHOWN_CHARACTERS, print_report, verdict
from tb.app.simulation import attacked_contents
from tb.app.tiles import REGION_BYTES, cut, stored_bytes, tiled
from tb.app.user_tensors import TensorFileError, load_user_tensors
from tb.memory import SparseMemory
from tb.runner import simulators

SUMMARY_KEYS = {"simulator", "seed", "key", "cycles", "accuracy", "tensors", "attacks"}
TENSOR_KEYS = {"name", "base", "nbytes", "tensor_id", "version", "iv", "tag", "sha256"}
DTYPES = {"BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "I16": 2, "F16": 2, "BF16": 2, "F32": 4, "I64": 8}


def opened(folder: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Open a run's image with pyca/cryptography; returns summary and plaintexts by name."""
    summary = json.loads((folder / "summary.json").read_text())
    image = (folder / "dram.bin").read_bytes()
    gcm = AESGCM(bytes.fromhex(summary["key"]))
    plain = {}
    for tensor in summary["tensors"]:
        assert set(tensor) >= TENSOR_KEYS
        stored = image[tensor["base"] : tensor["base"] + tensor["nbytes"]]
        data = gcm.decrypt(bytes.fromhex(tensor["iv"]), stored + bytes.fromhex(tensor["tag"]), b"")
        assert hashlib.sha256(data).hexdigest() == tensor["sha256"]
        identity = tensor["tensor_id"] << 64 | tensor["version"]
        assert tensor["iv"] == identity.to_bytes(12, "big").hex()
        plain[tensor["name"]] = data
    assert set(summary) >= SUMMARY_KEYS
    return summary, plain


def write_safetensors(path: Path, tensors: dict[str, tuple[str, list[int], bytes]]) -> None:
    """Write a safetensors file by hand: name to dtype, shape, data."""
    header, body = {}, b""
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def job_for(sim: str, folder: Path) -> Job:
    return Job(sim, seed=1, data_w=DATA_W[sim], slots=16, images=60, tensors="", output=str(folder))


# The whole job --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sim", simulators())
def test_network(sim: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = {"verilator": "360", "icarus": "60"}[sim]
    assert main(["--sim", sim, "--images", images, "--output", str(tmp_path)]) == 0
    summary, plain = opened(tmp_path)
    assert summary["simulator"] == sim
    assert summary["accuracy"]["protected"] == summary["accuracy"]["unprotected"] > 0.95
    assert [attack["name"] for attack in summary["attacks"]] == list(ATTACKS)
    assert all(attack["detected"] for attack in summary["attacks"])
    weights = load_file(WEIGHTS_FILE)
    assert len(plain) == len(weights) + 4
    for name, array in weights.items():
        assert plain[name] == array.tobytes()
    versions = {tensor["name"]: tensor["version"] for tensor in summary["tensors"]}
    assert versions["fc.weight"] == 1
    assert versions["logits"] == int(images) // 60
    assert "PASSED" in capsys.readouterr().out


@pytest.mark.parametrize("sim", simulators())
def test_own_tensors(sim: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every dtype, odd lengths, a tensor without elements, more tensors than slots."""
    rng = Random(7)
    tensors: dict[str, tuple[str, list[int], bytes]] = {"nothing": ("F32", [0, 3], b"")}
    for index, count in enumerate((1, 2, 3, 5, 15, 16, 17, 31, 63, 64, 65, 127, 128, 129, 333, 700, 1021, 4097, 5000)):
        dtype, size = list(DTYPES.items())[index % len(DTYPES)]
        tensors[f"layer.{index}"] = (dtype, [count], rng.randbytes(count * size))
    tensors["scalar"] = ("F32", [], rng.randbytes(4))
    path = tmp_path / "own.safetensors"
    write_safetensors(path, tensors)
    assert main(["--sim", sim, "--tensors", str(path), "--output", str(tmp_path)]) == 0
    summary, plain = opened(tmp_path)
    assert plain == {name: data for name, (_, _, data) in tensors.items() if data}
    assert summary["accuracy"] is None
    assert len({tensor["tensor_id"] for tensor in summary["tensors"]}) == len(plain) > 16
    assert len(summary["attacks"]) == len(ATTACKS)
    assert "nothing: has no elements" in capsys.readouterr().out


@pytest.mark.parametrize("sim", simulators())
def test_judges(sim: str, tmp_path: Path) -> None:
    job = job_for(sim, tmp_path)
    job.save(tmp_path / "job.json")
    run_on_engine("tb.app.selfcheck", sim, job.data_w, extra_env={JOB_VARIABLE: str(tmp_path / "job.json")})


def test_attacked_tensors_have_two_lines_and_are_bounded() -> None:
    one, two, large = bytes(64), bytes(65), bytes(1 << 17)
    assert attacked_contents({"one": one}) == {}
    assert attacked_contents({"one": one, "two": two}) == {"two": two, "copy of two": two}
    chosen = attacked_contents({"large": large, "two": two, "larger": large + two})
    assert {name: len(data) for name, data in chosen.items()} == {"two": 65, "large": 1 << 16}


# Errors of the user ---------------------------------------------------------------------------------------------------


def test_unusable_files_are_named(tmp_path: Path) -> None:
    good, truncated, foreign, empty = (tmp_path / name for name in ("good", "truncated", "foreign", "empty"))
    write_safetensors(good, {"a": ("U8", [100], bytes(100))})
    truncated.write_bytes(good.read_bytes()[:-1])
    foreign.write_bytes(b"not a checkpoint at all")
    write_safetensors(empty, {"a": ("U8", [0], b"")})
    assert load_user_tensors(good).contents == {"a": bytes(100)}
    cases = {
        tmp_path / "missing": "does not exist",
        tmp_path: "is a folder",
        truncated: "damaged",
        foreign: "not a safetensors file",
        empty: "no tensor with data",
    }
    for path, message in cases.items():
        with pytest.raises(TensorFileError, match=message) as caught:
            load_user_tensors(path)
        assert str(path) in str(caught.value)


def test_second_run_in_one_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with FileLock(tmp_path / "run.lock"):
        assert main(["--output", str(tmp_path)]) == 2
    assert "another run uses" in capsys.readouterr().err


def test_random_fill_covers_every_byte() -> None:
    memory = SparseMemory()
    nbytes = (1 << 20) + 100
    memory.randomise(3, nbytes, Random(1))
    filled = memory.peek(0, nbytes + 6)
    assert filled[:3] == filled[-3:] == bytes(3)
    assert filled[-35:-3].count(0) < 8
    assert len(set(filled[3 : 1 << 20 : 4096])) > 64


def test_missing_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--tensors", str(tmp_path / "missing"), "--output", str(tmp_path)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(("variable", "value"), [("SIM", "vcs"), ("DATA_W", "100"), ("DATA_W", "wide"), ("SEED", "x")])
def test_bad_variable_is_one_line(
    variable: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(variable, value)
    assert main(["--output", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"sim: {variable}={value} is not")


def test_bus_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """The option wins over the environment, which wins over the simulator's usual width."""
    monkeypatch.delenv("DATA_W", raising=False)
    assert {sim: parse(["--sim", sim]).data_w for sim in DATA_W} == DATA_W
    monkeypatch.setenv("DATA_W", "256")
    assert parse(["--sim", "icarus"]).data_w == 256
    assert parse(["--sim", "icarus", "--data-w", "512"]).data_w == 512


@pytest.mark.parametrize(
    "options",
    [["--images", "61"], ["--images", "0"], ["--images", "420"], ["--sim", "vcs"], ["--data-w", "100"]],
)
def test_bad_options_are_refused(options: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(options)
    assert caught.value.code == 2


# Verdict --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def finished(tmp_path: Path) -> Job:
    """A run's output, made with a library instead of the engine."""
    key, iv, data = bytes(range(16)), bytes(11) + b"\x01", b"plaintext of a tensor" * 5
    sealed = AESGCM(key).encrypt(iv, data, b"")
    job = job_for("icarus", tmp_path)
    job.image_file.write_bytes(bytes(64) + sealed[:-16])
    tensor = {"name": "t", "base": 64, "nbytes": len(data), "tensor_id": 0, "version": 1}
    tensor |= {"iv": iv.hex(), "tag": sealed[-16:].hex(), "sha256": hashlib.sha256(data).hexdigest()}
    summary = {"simulator": "icarus", "seed": 1, "data_w": 128, "key": key.hex(), "cycles": 1}
    summary |= {"lines_read": 1, "lines_written": 1, "read_beats_per_cycle": 1.0, "write_beats_per_cycle": 1.0}
    summary |= {"accuracy": {"protected": 0.9, "unprotected": 0.9}, "tensors": [tensor]}
    summary["attacked"] = ["t"]
    summary["attacks"] = [{"name": "bit_flip", "detected": True, "observed": ""}]
    job.summary_file.write_text(json.dumps(summary))
    return job


def edit(job: Job, change: dict[str, Any]) -> None:
    job.summary_file.write_text(json.dumps(json.loads(job.summary_file.read_text()) | change))


def test_good_run_passes(finished: Job) -> None:
    assert conclude(Console(), finished) == 0


def test_undetected_attack_fails_the_run(finished: Job, capsys: pytest.CaptureFixture[str]) -> None:
    edit(finished, {"attacks": [{"name": "rollback", "detected": False, "observed": "OK"}]})
    assert conclude(Console(), finished) == 1
    assert "attack not detected: rollback" in capsys.readouterr().out


def test_changed_accuracy_fails_the_run(finished: Job) -> None:
    edit(finished, {"accuracy": {"protected": 0.9, "unprotected": 0.91}})
    assert conclude(Console(), finished) == 1


def test_flipped_bit_in_the_image_fails_the_run(finished: Job) -> None:
    image = bytearray(finished.image_file.read_bytes())
    image[100] ^= 0x10
    finished.image_file.write_bytes(image)
    assert conclude(Console(), finished) == 1
    (problem,) = check_image(bytes(image), finished.summary_file)
    assert problem.startswith("t: ")


def test_wrong_plaintext_is_found(finished: Job) -> None:
    tensors = json.loads(finished.summary_file.read_text())["tensors"]
    edit(finished, {"tensors": [tensors[0] | {"sha256": "00" * 32}]})
    (problem,) = check_image(finished.image_file.read_bytes(), finished.summary_file)
    assert "not to what was written" in problem


def test_run_without_tensors_and_blind_check_fail() -> None:
    reasons = verdict({"tensors": [], "attacks": [], "accuracy": None}, [], forgery_found=False)
    assert len(reasons) == 2


# Report ---------------------------------------------------------------------------------------------------------------


def printed(job: Job, width: int) -> str:
    console = Console(width=width)
    with console.capture() as captured:
        print_report(console, json.loads(job.summary_file.read_text()))
    return captured.get()


def test_long_names_are_shortened(finished: Job) -> None:
    name = "first[/bold]" + "x" * 200 + "last"
    tensors = json.loads(finished.summary_file.read_text())["tensors"]
    edit(finished, {"tensors": [tensors[0] | {"name": name}], "attacked": [name, f"copy of {name}"]})
    text = printed(finished, 200)
    assert text.count("first[/bold") == text.count("xxxlast") == 3
    assert "x" * SHOWN_CHARACTERS not in text


def test_usual_names_do_not_wrap_in_80_columns(finished: Job) -> None:
    tensors = json.loads(finished.summary_file.read_text())["tensors"]
    edit(finished, {"tensors": [tensors[0] | {"name": "layer.10.weight", "base": 1 << 20, "nbytes": 1 << 20}]})
    text = printed(finished, 80)
    for cell in ("layer.10.weight", "0x100000", "1048576", "tensor_id", f"{tensors[0]['tag'][:12]}.."):
        assert cell in text


def test_rates_of_long_transfers_only(finished: Job) -> None:
    traffic = Traffic()
    traffic.add(STREAM_BEATS - 1, STREAM_BEATS - 1)
    assert (traffic.beats, traffic.beats_per_cycle) == (STREAM_BEATS - 1, None)
    traffic.add(STREAM_BEATS, 2 * STREAM_BEATS)
    assert (traffic.beats, traffic.beats_per_cycle) == (2 * STREAM_BEATS - 1, 0.5)
    edit(finished, {"read_beats_per_cycle": None, "write_beats_per_cycle": 0.9876})
    rates = [line for line in printed(finished, 80).splitlines() if "beats per cycle, " in line]
    assert [line.strip("│ ").split()[-1] for line in rates] == ["-", "0.988"]


# Parts ----------------------------------------------------------------------------------------------------------------


def test_training_reproduces_the_weights_file() -> None:
    assert train.main(["--check"]) == 0


def test_changed_weights_are_found() -> None:
    stored = load_file(WEIGHTS_FILE)
    changed = {name: array.copy() for name, array in stored.items()}
    changed["fc.weight"][0, 0] ^= 0x40
    with pytest.raises(ValueError, match=r"fc\.weight"):
        train.differences(changed, stored)
    del changed["fc.weight"]
    with pytest.raises(ValueError, match="other tensors"):
        train.differences(changed, stored)


@pytest.mark.parametrize("nbytes", [1, 64, 65, 1024, 5000, 3 * REGION_BYTES + 77])
@pytest.mark.parametrize("base", [0x1000, 0x1FC0, 0x12340])
def test_tiles_cover_every_line_once(base: int, nbytes: int) -> None:
    spans = tiled(base, nbytes, Random(3))
    assert sorted(spans) == cut(base, nbytes)
    lines = [offset // 64 + k for offset, length in spans for k in range(length // 64)]
    assert sorted(lines) == list(range(stored_bytes(nbytes) // 64))
    assert all((base + offset) // 4096 == (base + offset + length - 1) // 4096 for offset, length in spans)
    if nbytes > REGION_BYTES:
        assert spans != sorted(spans)
        oldest = 0
        written: set[int] = set()
        for offset, length in spans:
            written.add(offset)
            while oldest in written:
                oldest += next(size for start, size in spans if start == oldest)
            assert offset + length - oldest <= 2 * REGION_BYTES, "further ahead than the write map reaches"
