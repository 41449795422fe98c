# SPDX-License-Identifier: Apache-2.0
"""What an integrator takes from here: file list, FuseSoC core, plain-Verilog example, with the documented commands."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from scripts.check_file_lists import core_sources, problems_of
from tb.runner import ROOT, listed_sources

DOCUMENT = ROOT / "docs" / "interfaces.md"
EXAMPLE, *OTHERS = [
    line
    for line in DOCUMENT.read_text().partition("## Files")[2].partition("```sh\n")[2].partition("```")[0].splitlines()
    if not line.startswith("#")
]
NIGHTLY = "sim_verilator"  # a minute of C++
NBYTES = 160


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with only what the commands need."""
    for folder in ("rtl", "tb/example"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    shutil.copy(ROOT / "tensortee.core", tmp_path)
    return tmp_path


def run(command: str, project: Path) -> subprocess.CompletedProcess[str]:
    """Run a documented command, with no network and no settings of the user."""
    nowhere = {f"{name}_proxy": "http://127.0.0.1:9" for name in ("http", "https", "HTTP", "HTTPS")}
    home = {name: str(project / "home") for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME")}
    return subprocess.run(
        ["sh", "-c", command],
        cwd=project,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **nowhere, **home},
    )


def change(path: Path, old: str, new: str) -> None:
    """Plant an error."""
    text = path.read_text()
    assert text.count(old) == 1, f"{old!r} is not in {path.name} exactly once: choose another place to change"
    path.write_text(text.replace(old, new))


def test_example_shows_the_ciphertext_of_any_aes_gcm(project: Path) -> None:
    result = run(EXAMPLE, project)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.splitlines()[-1] == "PASSED"
    printed = bytes.fromhex("".join(re.findall(r"^DRAM \+\d+: ([0-9a-f]{32})$", result.stdout, flags=re.MULTILINE)))
    iv = (0x100_0001).to_bytes(4, "big") + (1).to_bytes(8, "big")
    ciphertext = AESGCM(bytes(range(16))).encrypt(iv, bytes(range(NBYTES)), b"")[:NBYTES]
    assert printed == ciphertext + bytes(-NBYTES % 64)


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("tb/example/axi_memory.v", "<= wdata[8*i +: 8]", "<= ~wdata[8*i +: 8]"),
        ("tb/example/example.v", "= !u_dram.words", "= u_dram.words"),
        ("tb/example/example.v", ".rvalid  (m_axi_rvalid)", ".rvalid  ()"),
        ("rtl/tensortee_engine.v", "parameter OWNER     = 1", "parameter OWNER     = 2"),
    ],
    ids=["memory-changes-data", "no-attack", "memory-hangs", "other-iv"],
)
def test_example_fails_when(project: Path, file: str, old: str, new: str) -> None:
    change(project / file, old, new)
    result = run(EXAMPLE, project)
    assert result.returncode != 0
    assert "\nWRONG " in result.stdout
    assert "\nFAILED\n" in result.stdout


@pytest.mark.parametrize(
    "command", [pytest.param(line, marks=[pytest.mark.nightly] * (NIGHTLY in line), id=line) for line in OTHERS]
)
def test_documented_command(project: Path, command: str) -> None:
    result = run(command, project)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "arning" not in result.stdout + result.stderr
    assert ("PASSED" in result.stdout) == ("target=sim" in command)


def test_fusesoc_reports_a_failing_simulation(project: Path) -> None:
    change(project / "tb/example/example.v", "= !u_dram.words", "= u_dram.words")
    result = run(next(line for line in OTHERS if "target=sim " in line), project)
    assert "FAILED" in result.stdout
    assert result.returncode != 0


def test_file_lists_are_read() -> None:
    assert listed_sources("// a\n+incdir+rtl/include\n\nrtl/a.v // b\n") == [ROOT / "rtl/a.v"]
    text = "filesets:\n  rtl:\n    files:\n      - rtl/a.vh: {is_include_file: true}\n      - rtl/a.v\n"
    assert core_sources(text) == ["rtl/a.v"]


def test_incomplete_file_lists_are_noticed() -> None:
    assert problems_of("x.f", ["rtl/a.v", "rtl/b.v"], {"rtl/a.v", "rtl/b.v"}) == []
    assert problems_of("x.f", ["rtl/a.v", "rtl/c.v", "rtl/a.v"], {"rtl/a.v", "rtl/b.v"}) == [
        "x.f: rtl/a.v is there twice",
        "x.f: rtl/c.v does not exist",
        "x.f: rtl/b.v is missing",
    ]
