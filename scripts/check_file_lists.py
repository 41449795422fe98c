# SPDX-License-Identifier: Apache-2.0
"""Check that the file lists for other tools name exactly the Verilog files below ``rtl/``; part of ``make lint``.

``rtl/tensortee.f`` is the list that everything here reads too (``tb/runner.py``); ``tensortee.core`` repeats it for
FuseSoC, which can read no list.
"""

from __future__ import annotations

import sys
from collections import Counter

import yaml

from tb.runner import FILE_LIST, ROOT, listed_sources

CORE = ROOT / "tensortee.core"
FILESET = "rtl"


def core_sources(text: str) -> list[str]:
    """Verilog files, without include files, of the fileset ``rtl`` of a FuseSoC core."""
    files = yaml.safe_load(text)["filesets"][FILESET]["files"]
    return [file for file in files if isinstance(file, str)]


def problems_of(place: str, named: list[str], present: set[str]) -> list[str]:
    """What is wrong with one list."""
    problems = [f"{place}: {name} is there twice" for name, count in Counter(named).items() if count > 1]
    problems += [f"{place}: {name} does not exist" for name in sorted(set(named) - present)]
    return problems + [f"{place}: {name} is missing" for name in sorted(present - set(named))]


def main() -> int:
    """Command line entry."""
    present = {path.relative_to(ROOT).as_posix() for path in (ROOT / "rtl").rglob("*.v")}
    try:
        lists = {
            FILE_LIST.relative_to(ROOT).as_posix(): [
                path.relative_to(ROOT).as_posix() for path in listed_sources(FILE_LIST.read_text())
            ],
            CORE.name: core_sources(CORE.read_text()),
        }
    except (OSError, KeyError, yaml.YAMLError) as error:
        print(f"file lists: {error}", file=sys.stderr)
        return 1
    problems = [problem for place, named in lists.items() for problem in problems_of(place, named, present)]
    for problem in problems:
        print(f"file lists: {problem}", file=sys.stderr)
    print(f"file lists: {len(present)} files in {len(lists)} lists, {len(problems)} problems")
    return 1 if problems or not present else 0


if __name__ == "__main__":
    sys.exit(main())
