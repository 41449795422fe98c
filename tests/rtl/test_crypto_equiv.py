# SPDX-License-Identifier: Apache-2.0
"""Formal proof that the simulated form of the cryptographic RTL equals the synthesized one.

`aes_round` and `gf_clmul32` hold two descriptions, one for synthesis and one that simulates faster. Yosys reads both,
pairs their registers and outputs by name, and proves every pair equal for all inputs and all states (SAT, one pair at
a time). The same proof must fail when either description is wrong.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from scripts.yosys import BUILD, YosysError, run_yosys
from tb.runner import rtl_sources

SUCCESS = "Equivalence successfully proven!"
ROUND = ("aes_round", rtl_sources("aes_sbox", "aes_column", "aes_round"))
PRODUCT = ("gf_clmul32", rtl_sources("gf_clmul32"))


@pytest.fixture
def folder(request: pytest.FixtureRequest) -> Path:
    """An empty folder for one proof; not under /tmp, which Yosys' sandbox does not see."""
    path = BUILD.parent / "equiv" / re.sub(r"\W+", "-", request.node.name)
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


def _prove(
    folder: Path,
    module: str,
    synthesized: list[Path],
    simulated: list[Path],
    parameters: dict[str, int] | None = None,
) -> str:
    """Run the proof.

    Args:
        folder: for script and log.
        module: name of the module that is compared.
        synthesized: sources that are read as synthesis reads them.
        simulated: sources that are read as a simulator reads them.
        parameters: parameters of the module.

    Returns:
        The log of the proof, which succeeded.

    Raises:
        YosysError: the proof failed.
    """
    lines = []
    for name, option, sources in (("gold", "", synthesized), ("gate", "-nosynthesis", simulated)):
        lines += [f"read_verilog {option} {' '.join(map(str, sources))}"]
        lines += [f"chparam -set {key} {value} {module}" for key, value in (parameters or {}).items()]
        lines += [f"hierarchy -top {module}", "proc", "flatten", "memory", "opt -full", "async2sync", "dffunmap"]
        lines += ["techmap", "opt_clean", f"rename {module} {name}", f"design -stash {name}"]
    lines += [f"design -copy-from {name} -as {name} {name}" for name in ("gold", "gate")]
    lines += ["equiv_make gold gate equiv", "hierarchy -top equiv", "opt_clean", "equiv_simple -short"]
    lines += ["equiv_status -assert"]
    return run_yosys("\n".join(lines) + "\n", folder / "prove.log")


def _mutant(folder: Path, sources: list[Path], name: str, original: str, changed: str) -> list[Path]:
    """Copies of the sources with one place of one file changed."""
    path = next(source for source in sources if source.stem == name)
    text = path.read_text()
    assert text.count(original) == 1, f"{original!r} is not in {path.name} exactly once: choose another place to change"
    copy = folder / path.name
    copy.write_text(text.replace(original, changed))
    return [copy if source == path else source for source in sources]


@pytest.mark.parametrize("last", [0, 1])
def test_aes_round_forms_are_equal(folder: Path, last: int) -> None:
    module, sources = ROUND
    assert SUCCESS in _prove(folder, module, sources, sources, {"LAST": last})


def test_gf_product_forms_are_equal(folder: Path) -> None:
    module, sources = PRODUCT
    assert SUCCESS in _prove(folder, module, sources, sources)


@pytest.mark.parametrize(
    ("side", "name", "original", "changed"),
    [
        ("synthesized", "aes_sbox", "8'h53: y = 8'hed", "8'h53: y = 8'hec"),
        ("simulated", "aes_round", "row2[in_block[47:40]]", "row2[in_block[39:32]]"),
    ],
)
def test_wrong_aes_round_is_not_proven(folder: Path, side: str, name: str, original: str, changed: str) -> None:
    module, sources = ROUND
    mutant = _mutant(folder, sources, name, original, changed)
    synthesized, simulated = (mutant, sources) if side == "synthesized" else (sources, mutant)
    with pytest.raises(YosysError, match=r"Found \d+ unproven \$equiv cells"):
        _prove(folder, module, synthesized, simulated, {"LAST": 1})


def test_wrong_gf_product_is_not_proven(folder: Path) -> None:
    module, sources = PRODUCT
    original, changed = "`GF_SPREAD_PRODUCT(u1, v2)", "`GF_SPREAD_PRODUCT(u1, v3)"
    mutant = _mutant(folder, sources, "gf_clmul32", original, changed)
    with pytest.raises(YosysError, match=r"Found \d+ unproven \$equiv cells"):
        _prove(folder, module, sources, mutant)
