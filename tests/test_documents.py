# SPDX-License-Identifier: Apache-2.0
"""The documents: their Python runs as printed, and their links lead somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])


def blocks(document: Path) -> list[str]:
    """Python code blocks of a document."""
    return re.findall(r"^```python\n(.*?)^```", document.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(document: Path) -> set[str]:
    """Anchors of a document's headings, as code hosts make them."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "model")}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )


def test_golden_model_document_runs_as_printed(tmp_path: Path) -> None:
    found = blocks(ROOT / "docs" / "golden-model.md")
    assert len(found) >= 5
    result = run("\n".join(found), tmp_path)
    assert result.returncode == 0, result.stderr
    assert "newest" in result.stdout


def test_vault_of_the_readme_runs_as_printed(tmp_path: Path) -> None:
    found = [block for block in blocks(ROOT / "README.md") if "TensorVault" in block]
    assert len(found) == 1
    result = run(found[0] + "\nprint(array.sum())", tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "66.0"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    text = re.sub(r"```.*?```", "", document.read_text(), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path) if path else document
        assert target.exists(), f"{document.name}: {link} leads nowhere"
        if anchor:
            assert anchor in anchors(target), f"{document.name}: {target.name} has no heading {anchor}"
