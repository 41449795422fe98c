# SPDX-License-Identifier: Apache-2.0
"""Record the results of ``make study`` that documents and tests quote: ``tests/study/data/paper_results.json``.

Run after a change of the models, then look at the difference: it is what the change did to the conclusions.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tensortee.study.report.results import PaperResults, read_results

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "build" / "study" / "results.json"
RECORD = ROOT / "tests" / "study" / "data" / "paper_results.json"
DIGITS = 4


def main() -> int:
    """Command line entry."""
    if not SOURCE.exists():
        print(f"study_results: {SOURCE.relative_to(ROOT)} is missing. Fix: run `make study`", file=sys.stderr)
        return 1
    results = read_results(SOURCE, PaperResults)
    record = {
        "kind": "modelled",
        "by": "scripts/study_results.py, from the results of `make study`",
        "comparisons": [row.model_dump() for row in results.comparisons],
        "speedups": [row.model_dump() for row in results.speedups],
        "adam": [row.model_dump() for row in results.adam if row.threads == 4],
        "npu_mac": [row.model_dump() for row in results.npu_mac],
    }
    text = json.dumps(json.loads(json.dumps(record), parse_float=_rounded), indent=1)
    RECORD.parent.mkdir(exist_ok=True)
    RECORD.write_text(text + "\n")
    print(f"study_results: wrote {RECORD.relative_to(ROOT)}; `make docs` refreshes the tables")
    return 0


def _rounded(text: str) -> float:
    return float(f"{float(text):.{DIGITS}g}")


if __name__ == "__main__":
    sys.exit(main())
