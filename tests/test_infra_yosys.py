# SPDX-License-Identifier: Apache-2.0
"""Running Yosys: a program that dies is named with its end, and the wheel's compiled form is written once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scripts import yosys
from scripts.yosys import YosysError, run_yosys

COMPILE = """
if [ ! -e "$YOWASP_CACHE_DIR/compiled" ]; then
    sleep 0.3
    mkdir -p "$YOWASP_CACHE_DIR"
    echo compiled >> "$YOWASP_CACHE_DIR/compiled"
fi
[ "$1" = -V ] && exit 0
"""


def program(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """Let a shell script stand for the wheel's program; its log is the argument after -l."""
    path = folder / "yosys"
    path.write_text(f"#!/bin/sh\n{body}")
    path.chmod(0o755)
    monkeypatch.setattr(yosys, "PROGRAM", path)
    monkeypatch.setattr(yosys, "CACHE", folder / "cache")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("kill -BUS $$", r"Yosys failed \(signal SIGBUS\), log .*run\.log:\nno message"),
        ("exit 3", r"\(exit status 3\), log .*:\nno message"),
        ("echo lost >&2; exit 1", r"\(exit status 1\), log .*:\nlost"),
        ("echo 'ERROR: syntax' > $3; echo noise >&2; exit 1", r"\(exit status 1\), log .*:\nERROR: syntax$"),
    ],
)
def test_end_of_the_program_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, message: str) -> None:
    program(tmp_path, monkeypatch, COMPILE + body)
    with pytest.raises(YosysError, match=message):
        run_yosys("", tmp_path / "run.log")


def test_program_that_does_not_start_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, monkeypatch, "kill -SEGV $$")
    with pytest.raises(YosysError, match=r"does not start \(signal SIGSEGV\)"):
        run_yosys("", tmp_path / "run.log")
    monkeypatch.setattr(yosys, "PROGRAM", tmp_path / "nothing")
    with pytest.raises(YosysError, match="scripts/setup"):
        run_yosys("", tmp_path / "run.log")


def test_program_that_hangs_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, monkeypatch, COMPILE + "exec sleep 60")
    with pytest.raises(YosysError, match="longer than 1 s"):
        run_yosys("", tmp_path / "run.log", timeout_s=1)


def test_runs_at_once_compile_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, monkeypatch, COMPILE + "echo done > $3")

    def run(number: int) -> str:
        return run_yosys("", tmp_path / f"{number}.log")

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(run, range(8))) == ["done\n"] * 8
    (compiled,) = (tmp_path / "cache").glob("*/compiled")
    assert compiled.read_text() == "compiled\n"


def test_interrupted_compilation_is_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(
        tmp_path, monkeypatch, 'mkdir -p "$YOWASP_CACHE_DIR"; echo half > "$YOWASP_CACHE_DIR/compiled"; kill -KILL $$'
    )
    with pytest.raises(YosysError, match="SIGKILL"):
        run_yosys("", tmp_path / "run.log")
    program(tmp_path, monkeypatch, COMPILE + "echo done > $3")
    assert run_yosys("", tmp_path / "run.log") == "done\n"
    (compiled,) = (tmp_path / "cache").glob("*/compiled")
    assert compiled.read_text() == "compiled\n"
