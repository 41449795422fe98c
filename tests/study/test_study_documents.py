# SPDX-License-Identifier: Apache-2.0
"""The documents of the study: their Python runs as printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.test_documents import ROOT, blocks, run

DOCUMENTS = sorted((ROOT / "docs" / "study").glob("*.md"))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_python_runs_as_printed(document: Path, tmp_path: Path) -> None:
    result = run("\n".join(blocks(document)), tmp_path)
    assert result.returncode == 0, result.stderr
