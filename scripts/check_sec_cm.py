# SPDX-License-Identifier: Apache-2.0
"""Check the countermeasures against each other; part of ``make lint``.

Each has a stable name such as ``LINE.WRITE_ONCE``, and three places have to agree on the set of names: the comment
``SEC_CM: NAME`` at the RTL that does it, the row of ``docs/threat-model.md`` whose first cell is the name, and
``sec_cm: [NAME]`` of the testpoint that proves it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from scripts.testplan import ROOT, TestplanError, load

THREAT_MODEL = ROOT / "docs" / "threat-model.md"
NAME = r"[A-Z][A-Z0-9_]*(?:\.[A-Z][A-Z0-9_]*)+"


def names_in_rtl(folder: Path) -> set[str]:
    """Tags in the comments of the Verilog files; a comment may name several, separated by commas."""
    names: set[str] = set()
    for path in folder.glob("**/*.v"):
        for match in re.findall(rf"SEC_CM:\s*({NAME}(?:\s*,\s*{NAME})*)", path.read_text()):
            names.update(re.split(r"\s*,\s*", match))
    return names


def names_in_table(text: str) -> set[str]:
    """First cells of the table rows in a Markdown text that hold a tag, with or without backquotes."""
    return set(re.findall(rf"^\|\s*`?(?:SEC_CM:\s*)?({NAME})`?\s*\|", text, flags=re.MULTILINE))


def main() -> int:
    """Command line entry."""
    try:
        in_plan = {name for point in load() for name in point.sec_cm}
        in_docs = names_in_table(THREAT_MODEL.read_text())
    except (TestplanError, OSError) as error:
        print(f"sec_cm: {error}", file=sys.stderr)
        return 1
    places = {"rtl/*.v": names_in_rtl(ROOT / "rtl"), "docs/threat-model.md": in_docs, "tests/testplan.d": in_plan}
    every: set[str] = set().union(*places.values())
    problems = [
        f"{name} is missing in {place}"
        for name in sorted(every)
        for place, names in places.items()
        if name not in names
    ]
    for problem in problems:
        print(f"sec_cm: {problem}", file=sys.stderr)
    print(f"sec_cm: {len(every)} countermeasures, {len(problems)} problems")
    return 1 if problems or not every else 0


if __name__ == "__main__":
    sys.exit(main())
