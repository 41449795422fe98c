# SPDX-License-Identifier: Apache-2.0
r"""Read the coverage data that Verilator's simulations leave (``SystemC::Coverage-3``).

A line ``C '<key><value>...' <count>`` is one point of one instance; a key starts with ``\x01`` and a value with
``\x02``. Used here: ``f`` file, ``l`` line, ``n`` column, ``t`` type (line, branch, toggle), ``o`` what of it, ``S``
source lines that a line or branch point stands for. Points of the same place in the source are added up over
instances, parameters and runs.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

_HEADER = "# SystemC::Coverage-3"
_POINT = re.compile(r"^C '(.*)' (\d+)$")


class CoverageError(Exception):
    """A coverage file is missing or malformed."""


@dataclass(frozen=True)
class Point:
    """One place in the source that can be covered.

    Attributes:
        file: source file as Verilator was given it.
        line: line number, from 1.
        column: column, from 1.
        kind: ``line``, ``branch`` or ``toggle``.
        what: the arm of a branch, or signal, bit and direction of a toggle.
        lines: source lines that the point stands for, empty for toggles.
    """

    file: str
    line: int
    column: int
    kind: str
    what: str
    lines: tuple[int, ...]


def _numbers(text: str) -> tuple[int, ...]:
    """Line numbers of a list such as ``37-39,41``."""
    numbers: list[int] = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return tuple(numbers)


def read(path: Path, folder: Path) -> Counter[Point]:
    """Counts of the points in one file whose source lies in a folder.

    Raises:
        CoverageError: the file is not coverage data of Verilator.
    """
    counts: Counter[Point] = Counter()
    file_field = f"\x01f\x02{folder}/"
    with path.open() as lines:
        if next(lines, "").rstrip() != _HEADER:
            raise CoverageError(f"{path} is not coverage data of Verilator")
        for line in lines:
            match = _POINT.match(line)
            if match is None or file_field not in match.group(1):
                continue
            fields = dict(item.split("\x02", 1) for item in match.group(1).split("\x01")[1:])
            point = Point(
                file=fields["f"],
                line=int(fields["l"]),
                column=int(fields["n"]),
                kind=fields["t"],
                what=fields.get("o", ""),
                lines=_numbers(fields.get("S", "")),
            )
            counts[point] += int(match.group(2))
    return counts
