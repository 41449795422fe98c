# SPDX-License-Identifier: Apache-2.0
"""The command line: what a user sees, exit statuses, and that no key is ever shown."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pytest
from tensortee.cli import app
from typer.testing import CliRunner, Result

from tests.model.checkpoint_files import TEST_KEY_128, flip, safetensors_bytes, write_model, write_sharded

KEY_HEX = TEST_KEY_128.hex()
DATA = "data-00000.ttee"
COMMAND = (sys.executable, "-m", "tensortee")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a model, its key in the environment, and the model sealed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TENSORTEE_KEY", KEY_HEX)
    write_model(tmp_path / "m.safetensors", {f"layer.{i}": ("F32", (i, 40)) for i in range(5)}, {"k": "v"})
    assert run("seal", "m.safetensors", "-o", "sealed").exit_code == 0
    return tmp_path


def run(*arguments: str) -> Result:
    """Run a command in this process. An exception that a user would see as a traceback fails the test."""
    result = CliRunner().invoke(app, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    assert KEY_HEX not in result.output
    return result


def error_of(result: Result, status: int) -> str:
    """The one line of error that a failed command prints."""
    assert result.exit_code == status
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: ")
    assert result.stdout == ""
    return lines[0]


def test_round_trip(place: Path) -> None:
    assert run("verify", "sealed").stdout.startswith(f"{Path('sealed')}: authentic: 5 tensors, 1600 bytes")
    assert run("unseal", "sealed", "-o", "back.safetensors").exit_code == 0
    assert (place / "back.safetensors").read_bytes() == (place / "m.safetensors").read_bytes()


def test_installed_command_and_a_new_key(place: Path) -> None:
    """The same as a user types it, in processes of its own, with a key file of `tensortee keygen`."""
    environment = {name: value for name, value in os.environ.items() if name != "TENSORTEE_KEY"}

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *arguments], capture_output=True, text=True, check=False, env=environment, cwd=place
        )

    for arguments in (
        ("keygen", "my.key"),
        ("seal", "m.safetensors", "-o", "mine", "--key-file", "my.key"),
        ("verify", "mine", "--key-file", "my.key"),
        ("unseal", "mine", "-o", "back.safetensors", "--key-file", "my.key"),
    ):
        done = call(*arguments)
        assert (done.returncode, done.stderr) == (0, ""), arguments
    assert (place / "back.safetensors").read_bytes() == (place / "m.safetensors").read_bytes()
    assert (place / "my.key").stat().st_mode & 0o777 == 0o600
    assert "error: no key" in call("verify", "mine").stderr


def test_keygen_never_overwrites(place: Path) -> None:
    (place / "my.key").write_text("precious")
    assert "my.key: a regular file has this name, and a key replaces nothing" in error_of(run("keygen", "my.key"), 2)
    assert (place / "my.key").read_text() == "precious"


@pytest.mark.parametrize(("bits", "digits"), [("128", 32), ("256", 64)])
def test_keygen_bits(place: Path, bits: str, digits: int) -> None:
    assert run("keygen", "a.key", "--bits", bits).exit_code == 0
    assert run("keygen", "b.key", "--bits", bits).exit_code == 0
    keys = {(place / name).read_text().strip() for name in ("a.key", "b.key")}
    assert {len(key) for key in keys} == {digits}
    assert len(keys) == 2
    assert "128 or 256" in error_of(run("keygen", "c.key", "--bits", "192"), 2)


def test_no_option_takes_a_key() -> None:
    """A key on a command line could be read by every user of the machine."""
    for command in ("seal", "unseal", "verify", "info", "keygen"):
        text = run(command, "--help").stdout
        assert "--key " not in text
        assert "--key=" not in text
        assert run(command, "x", "-o", "y", "--key", "00" * 16).exit_code == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds 0 bytes"),
        (b"00" * 15, "holds 30 hexadecimal digits"),
        (b"00" * 15 + b"0", "holds 31 hexadecimal digits"),
        (b"00" * 24, "holds 48 hexadecimal digits"),
        (b"zz" * 16 + b"\n", "holds 33 bytes that are not a key"),
        (b"\x80" * 17, "holds 17 bytes that are not a key"),
        (b"\x80" * 4096, "holds more than 128 bytes"),
    ],
)
def test_key_file_that_holds_no_key(place: Path, content: bytes, message: str) -> None:
    path = place / "bad.key"
    path.write_bytes(content)
    path.chmod(0o600)
    for command in (("seal", "m.safetensors", "-o", "new"), ("verify", "sealed"), ("info", "sealed")):
        line = error_of(run(*command, "--key-file", "bad.key"), 2)
        assert message in line
        assert "bad.key" in line
        assert "zz" not in line
    assert not (place / "new").exists()


def test_key_file_that_is_not_there(place: Path) -> None:
    assert "no.key cannot be read: No such file" in error_of(run("verify", "sealed", "--key-file", "no.key"), 2)
    (place / "directory").mkdir()
    assert "cannot be read: Is a directory" in error_of(run("verify", "sealed", "--key-file", "directory"), 2)


@pytest.mark.parametrize("value", ["", "001122", "secretsecret!", "/home/me/my.key", "secretsecret1234", "s/" * 16])
def test_key_variable_that_holds_no_key(place: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    assert place.is_dir()
    monkeypatch.setenv("TENSORTEE_KEY", value)
    line = error_of(run("verify", "sealed"), 2)
    assert "environment variable TENSORTEE_KEY holds" in line
    assert "expected 32 or 64 hexadecimal digits (use --key-file for a key file)" in line
    assert "raw bytes" not in line
    assert not value or value not in line


@pytest.mark.parametrize("form", ["hex", "hex-newline", "HEX", "raw"])
def test_forms_of_a_key_file(place: Path, form: str) -> None:
    content = {"hex": KEY_HEX, "hex-newline": f" {KEY_HEX}\r\n", "HEX": KEY_HEX.upper()}.get(form, "").encode()
    (place / "k").write_bytes(content or TEST_KEY_128)
    (place / "k").chmod(0o600)
    result = run("verify", "sealed", "--key-file", "k")
    assert (result.exit_code, result.stderr) == (0, "")


def test_warning_for_a_shared_key_file(place: Path) -> None:
    (place / "k").write_text(KEY_HEX)
    (place / "k").chmod(0o644)
    result = run("verify", "sealed", "--key-file", "k")
    assert result.exit_code == 0
    assert "other users can read the key file k" in result.stderr


def test_wrong_key(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENSORTEE_KEY", "11" * 16)
    for command in (("verify", "sealed"), ("unseal", "sealed", "-o", "back"), ("info", "sealed")):
        assert "sealed with another key" in error_of(run(*command), 1)
    assert not (place / "back").exists()


def test_verify_names_every_bad_tensor(place: Path) -> None:
    offsets = {t["name"]: t["offset"] for t in json.loads(run("info", "sealed", "--json").stdout)["tensors"]}
    for name in ("layer.1", "layer.3", "layer.4"):
        flip(place / "sealed" / DATA, offsets[name])
    result = run("verify", "sealed")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        *(f"bad: {DATA}: tensor layer.{i}: not authentic: its bytes were changed" for i in (1, 3, 4)),
        "sealed: NOT authentic: 3 problems, 3 of 5 tensors bad",
    ]
    content = json.loads(run("verify", "sealed", "--json").stdout)
    assert content["ok"] is False
    assert content["bad_tensors"] == ["layer.1", "layer.3", "layer.4"]
    assert f"{DATA}: tensor layer." in error_of(run("unseal", "sealed", "-o", "back"), 1)
    assert not (place / "back").exists()


def test_verify_names_the_tensors_of_a_missing_file(place: Path) -> None:
    (place / "sealed" / DATA).unlink()
    result = run("verify", "sealed")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        f"bad: {DATA}: missing: it was removed or renamed",
        *(f"bad: tensor layer.{i}: its file cannot be used" for i in range(1, 5)),
        "sealed: NOT authentic: 1 problem, 4 of 5 tensors bad",
    ]


def test_a_problem_without_a_bad_tensor_is_counted(place: Path) -> None:
    (place / "sealed" / "notes.txt").write_text("mine")
    result = run("verify", "sealed")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1] == "sealed: NOT authentic: 1 problem, 0 of 5 tensors bad"


@pytest.mark.parametrize(
    ("damage", "message", "status"),
    [
        (lambda path: path.write_bytes(b""), "not the manifest of a sealed checkpoint", 1),
        (lambda path: flip(path, 0), "not the manifest of a sealed checkpoint", 1),
        (lambda path: flip(path, 8), "this program knows version 1", 2),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "is truncated", 1),
        (lambda path: flip(path, 300), "the tensor table or its header was changed", 1),
        (lambda path: path.rename(path.with_name("other.ttee")), "is missing or was renamed", 1),
        (lambda path: path.unlink(), "is missing or was renamed", 1),
    ],
    ids=["emptied", "magic", "version", "truncated", "flipped", "renamed", "removed"],
)
def test_one_error_for_a_damaged_manifest(place: Path, damage: object, message: str, status: int) -> None:
    assert callable(damage)
    damage(place / "sealed" / "checkpoint.ttee")
    for command in (("verify", "sealed"), ("unseal", "sealed", "-o", "back"), ("info", "sealed")):
        assert message in error_of(run(*command), status)
        content = json.loads(run(*command, "--json").stdout)
        assert content["ok"] is False
        assert message in content["error"]["message"]


def test_info_without_and_with_the_key(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = run("info", "sealed").stdout
    assert "AES-128-GCM" in text
    assert all(f"layer.{i}" in text for i in range(5))
    assert "k = v" in text
    content = json.loads(run("info", "sealed", "--json").stdout)
    assert content["authenticated"] is True
    assert [t["tensor_id"] for t in content["tensors"]] == [1, 2, 3, 4, 5]
    assert {len(bytes.fromhex(t["tag"])) for t in content["tensors"]} == {0, 16}
    monkeypatch.delenv("TENSORTEE_KEY")
    text = run("info", "sealed").stdout
    assert "layer" not in text
    assert "Nothing above is authenticated" in text
    assert json.loads(run("info", "sealed", "--json").stdout)["tensors"] is None
    (place / "k").write_text(KEY_HEX)
    assert "layer.3" in run("info", "sealed", "--key-file", "k").stdout


def test_expected_id(place: Path) -> None:
    sealed_id = json.loads(run("info", "sealed", "--json").stdout)["checkpoint_id"]
    assert run("verify", "sealed", "--expect-id", sealed_id).exit_code == 0
    for command in (("verify", "sealed"), ("unseal", "sealed", "-o", "back")):
        assert "not the expected checkpoint" in error_of(run(*command, "--expect-id", "00" * 32), 1)
    assert not (place / "back").exists()


@pytest.mark.parametrize(
    "value",
    ["", "abc", "00" * 31, "00" * 33, "0x" + "00" * 31, "zz" * 32, "é" * 64, "00" * 32 + "\n"],
    ids=["empty", "abc", "short", "long", "prefix", "letters", "umlauts", "newline"],
)
def test_malformed_expected_id_is_not_tampering(place: Path, value: str) -> None:
    """It is said at once, before the checkpoint is looked at."""
    (place / "sealed" / "checkpoint.ttee").unlink()
    for command in (("verify", "sealed"), ("unseal", "sealed", "-o", "back")):
        assert "an id has 64 hexadecimal digits" in error_of(run(*command, "--expect-id", value), 2)
    content = json.loads(run("verify", "sealed", "--expect-id", value, "--json").stdout)
    assert content["error"]["kind"] == "ExpectedIdError"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a valid safetensors file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "not a valid safetensors file"),
        (safetensors_bytes({"a": ("U8", (100,))})[:-1], "not a valid safetensors file"),
        (safetensors_bytes({"a": ("U8", (100,))}) + b"x", "not a valid safetensors file"),
        (None, "does not exist"),
    ],
    ids=["empty", "png", "truncated", "extended", "missing"],
)
def test_source_that_is_no_safetensors_file(place: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (place / "bad").write_bytes(content)
    assert message in error_of(run("seal", "bad", "-o", "new"), 2)
    assert not (place / "new").exists()


def test_directory_as_source(place: Path) -> None:
    assert "give a .safetensors file or an index" in error_of(run("seal", str(place), "-o", "new"), 2)


def test_output_that_exists(place: Path) -> None:
    assert "another name, or replace it with --force" in error_of(run("seal", "m.safetensors", "-o", "sealed"), 2)
    assert "another name, or replace it with --force" in error_of(run("unseal", "sealed", "-o", "m.safetensors"), 2)
    (place / "there" / "m.safetensors").mkdir(parents=True)
    line = error_of(run("unseal", "sealed", "-o", "there", "--force"), 2)
    assert "is a directory, not a regular file: choose another name" in line
    assert "--force" not in line
    (place / "there" / "m.safetensors").rmdir()
    (place / "there").rmdir()
    assert "make it first" in error_of(run("seal", "m.safetensors", "-o", "no/where"), 2)
    assert "make it first" in error_of(run("unseal", "sealed", "-o", "no/where"), 2)
    assert "not a directory" in error_of(run("seal", "m.safetensors", "-o", "m.safetensors", "--force"), 2)
    assert "holds other files" in error_of(run("seal", "m.safetensors", "-o", ".", "--force"), 2)
    assert run("seal", "m.safetensors", "-o", "sealed", "--force", "--no-sync").exit_code == 0
    assert run("unseal", "sealed", "-o", "m.safetensors", "--force", "--no-sync").exit_code == 0
    assert sorted(path.name for path in place.iterdir()) == ["m.safetensors", "sealed"]


@pytest.mark.parametrize("output", ["sealed", "sealed/new", "sealed/checkpoint.ttee", f"sealed/{DATA}", "other"])
@pytest.mark.parametrize("force", [(), ("--force",)], ids=["plain", "force"])
def test_nothing_is_put_into_a_sealed_checkpoint(place: Path, output: str, force: tuple[str, ...]) -> None:
    """Plaintext beside ciphertext might be handed on with it, and the checkpoint would no longer be authentic."""
    (place / "other").mkdir()
    (place / "other" / "checkpoint.ttee").write_bytes(b"of another checkpoint")
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    line = error_of(run("unseal", "sealed", "-o", output, *force), 2)
    assert "holds a sealed checkpoint: choose another directory" in line
    line = error_of(run("seal", "m.safetensors", "-o", "sealed/new", *force), 2)
    assert "holds a sealed checkpoint: choose another directory" in line
    assert {path: path.read_bytes() for path in place.rglob("*") if path.is_file()} == before
    assert run("verify", "sealed").exit_code == 0


def test_standard_output_is_no_output(place: Path) -> None:
    before = sorted(place.iterdir())
    for command in (("seal", "m.safetensors", "-o", "-"), ("unseal", "sealed", "-o", "-"), ("keygen", "-")):
        assert "standard output cannot be used" in error_of(run(*command), 2)
    assert sorted(place.iterdir()) == before


def test_version() -> None:
    assert run("--version").stdout == f"tensortee {version('tensortee')}\n"


def test_help_shows_flags_as_flags() -> None:
    for command, flags in (("seal", ("force", "no-sync", "json")), ("unseal", ("force", "no-sync", "json"))):
        lines = [line.split() for line in run(command, "--help").stdout.splitlines()]
        for flag in flags:
            found = [words for words in lines if words[:1] == [f"--{flag}"]]
            assert len(found) == 1
            assert found[0][1][0].isupper(), found  # the explanation follows, not a value to give


def test_numbers_agree_with_their_nouns(place: Path) -> None:
    write_model(place / "one.safetensors", {"t": ("U8", (1,))})
    assert "sealed 1 tensor, 1 byte, from 1 file\n" in run("seal", "one.safetensors", "-o", "one").stdout
    assert "authentic: 1 tensor, 1 byte\n" in run("verify", "one").stdout
    assert "opened 1 tensor, 1 byte, all authentic\n" in run("unseal", "one", "-o", "back").stdout
    assert "sealed 5 tensors, 1600 bytes, from 1 file\n" in run("seal", "m.safetensors", "-o", "five").stdout


def test_sharded_checkpoint(place: Path) -> None:
    index = write_sharded(place / "model")
    content = json.loads(run("seal", str(index), "-o", "shards", "--json").stdout)
    assert (content["ok"], content["files"], content["tensors"]) == (True, 3, 12)
    assert run("verify", "shards").exit_code == 0
    assert run("unseal", "shards", "-o", "model2").exit_code == 0
    for path in index.parent.iterdir():
        assert (place / "model2" / path.name).read_bytes() == path.read_bytes()


def _drop_tensor(index: dict[str, dict[str, str]]) -> None:
    index["weight_map"].popitem()


def _move_tensor(index: dict[str, dict[str, str]]) -> None:
    index["weight_map"]["layer.0.1"] = "model-00002-of-00003.safetensors"


def _escape(index: dict[str, dict[str, str]]) -> None:
    index["weight_map"]["layer.0.1"] = "../m.safetensors"


def _lose_shard(index: dict[str, dict[str, str]]) -> None:
    index["weight_map"]["x"] = "model-00004-of-00003.safetensors"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_drop_tensor, "do not belong together"),
        (_move_tensor, "do not belong together"),
        (_escape, "must lie beside its index"),
        (_lose_shard, "does not exist"),
        (dict.clear, "not an index"),
    ],
)
def test_index_that_does_not_fit(place: Path, change: object, message: str) -> None:
    index = write_sharded(place / "model")
    content = json.loads(index.read_text())
    assert callable(change)
    change(content)
    index.write_text(json.dumps(content))
    assert message in error_of(run("seal", str(index), "-o", "new"), 2)
    assert not (place / "new").exists()


def test_names_cannot_forge_output(place: Path) -> None:
    """A hostile tensor name neither moves the cursor nor makes up a line."""
    name = "x\x1b[2J\nsealed: authentic: 1 tensors\n[red]y"
    write_model(place / "h.safetensors", {name: ("U8", (64,))})
    assert run("seal", "h.safetensors", "-o", "hostile").exit_code == 0
    text = run("info", "hostile").stdout
    flip(place / "hostile" / DATA, 4096)
    text += run("verify", "hostile").stdout
    assert "\x1b" not in text
    assert r"x\x1b[2J\nsealed: authentic: 1 tensors\n[red]y" in text
    assert not any(line.startswith("sealed: authentic") for line in text.splitlines())


SLOW_DISK = """
import os, time
read = os.preadv
os.preadv = lambda *arguments: (time.sleep(0.1), read(*arguments))[1]
from tensortee.cli import app
app()
"""
"""The command line on a disk so slow that a loaded machine cannot finish before it is interrupted."""


def _big_model(path: Path) -> None:
    """A sparse file of many reads."""
    nbytes = 2 << 30
    header = json.dumps({"t": {"dtype": "U8", "shape": [nbytes], "data_offsets": [0, nbytes]}}).encode()
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + nbytes)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_is_clean(place: Path, number: signal.Signals) -> None:
    _big_model(place / "big.safetensors")
    before = sorted(path.name for path in place.iterdir())
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_DISK, "seal", "big.safetensors", "-o", "new", "--no-sync"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=place,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # a job in the background ignores SIGINT
    )
    descriptors = Path(f"/proc/{process.pid}/fd")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not any(_reads_big(link) for link in descriptors.iterdir()):
        time.sleep(0.005)
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output, errors) == (130, "", "error: interrupted; no partial output is left\n")
    assert sorted(path.name for path in place.iterdir()) == before


def _reads_big(link: Path) -> bool:
    try:
        return link.readlink().name == "big.safetensors"
    except OSError:
        return False


def test_progress_bar_on_a_terminal_only(place: Path) -> None:
    write_model(place / "bar.safetensors", {f"t{i}": ("U8", (1 << 20,)) for i in range(4)})
    master, slave = pty.openpty()
    try:
        done = subprocess.run(
            [*COMMAND, "seal", "bar.safetensors", "-o", "bar"],
            stdout=subprocess.PIPE,
            stderr=slave,
            check=True,
            cwd=place,
            env={**os.environ, "TERM": "xterm"},
        )
        assert b"sealing" in os.read(master, 1 << 16)
    finally:
        os.close(master)
        os.close(slave)
    assert b"sealing" not in done.stdout
    piped = subprocess.run(
        [*COMMAND, "seal", "bar.safetensors", "-o", "bar", "--force"], capture_output=True, check=True, cwd=place
    )
    assert piped.stderr == b""


def test_closed_pipe_is_quiet(place: Path) -> None:
    """`tensortee info sealed | head -0` prints no traceback."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [*COMMAND, "info", "sealed"], stdout=writer, stderr=subprocess.PIPE, check=False, cwd=place
        )
    finally:
        os.close(writer)
    assert b"Traceback" not in done.stderr


def test_unreadable_data_file_is_one_error(place: Path) -> None:
    (place / "sealed" / DATA).unlink()
    (place / "sealed" / DATA).mkdir()
    assert DATA in error_of(run("unseal", "sealed", "-o", "back"), 1)
