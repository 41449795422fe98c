# SPDX-License-Identifier: Apache-2.0
"""The machine-readable testplan: ``tests/testplan.d/*.yaml``, one file per area.

Each file is a list of testpoints::

    - id: MODEL-SEAL-001          # unique
      title: "what is shown"
      security: [A1, N1]          # optional: rows of the attack suite in docs/threat-model.md
      sec_cm: [LINE.WRITE_ONCE]   # optional: countermeasures that the tests prove
      tests:                      # at least one, here or below
        - tests/model/test_seal.py::test_roundtrip             # pytest, with or without the parameters
        - cocotb:tb.unit.crypto.test_aes.test_known_answers    # cocotb
      nightly:                    # optional: further tests, which only ``make regress`` runs
        - tests/rtl/test_engine.py::test_long_random
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "tests" / "testplan.d"
COCOTB = "cocotb:"

_ID = re.compile(r"[A-Z][A-Z0-9]*(-[A-Z0-9]+)*-\d{3}")
_SECURITY = re.compile(r"[A-Z]\d{1,2}")
_SEC_CM = re.compile(r"[A-Z][A-Z0-9_]*(\.[A-Z][A-Z0-9_]*)+")
_KEYS = {"id", "title", "security", "sec_cm", "tests", "nightly"}


class TestplanError(Exception):
    """The testplan is malformed; one line per problem."""

    __test__ = False


@dataclass(frozen=True)
class Testpoint:
    """One thing that has to be shown, and the tests that show it; ``nightly``: those of the nightly tier among them."""

    __test__ = False

    id: str
    title: str
    tests: tuple[str, ...]
    nightly: tuple[str, ...]
    security: tuple[str, ...]
    sec_cm: tuple[str, ...]
    file: str


def _strings(entry: dict[str, Any], key: str) -> tuple[str, ...]:
    value = entry.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise ValueError(f"{key} is not a list of strings")
    if len(set(value)) != len(value):
        raise ValueError(f"{key} has repeated entries")
    return tuple(value)


def _testpoint(entry: object, file: str) -> Testpoint:
    if not isinstance(entry, dict):
        raise ValueError("the entry is not a mapping")
    if unknown := set(entry) - _KEYS:
        raise ValueError(f"unknown keys {sorted(unknown)}")
    identifier, title = entry.get("id"), entry.get("title")
    if not isinstance(identifier, str) or not _ID.fullmatch(identifier):
        raise ValueError("id is not of the form AREA-TOPIC-001")
    if not isinstance(title, str) or not title:
        raise ValueError("title is missing")
    nightly = _strings(entry, "nightly")
    point = Testpoint(
        id=identifier,
        title=title,
        tests=_strings(entry, "tests") + nightly,
        nightly=nightly,
        security=_strings(entry, "security"),
        sec_cm=_strings(entry, "sec_cm"),
        file=file,
    )
    if not point.tests:
        raise ValueError("names no test")
    for test in point.tests:
        if not test.startswith(COCOTB) and not re.fullmatch(r"tests/\S+\.py::.+", test):
            raise ValueError(f"{test} is neither tests/<file>.py::<test> nor {COCOTB}<module>.<test>")
    for name, pattern, values in (("security", _SECURITY, point.security), ("sec_cm", _SEC_CM, point.sec_cm)):
        if bad := [value for value in values if not pattern.fullmatch(value)]:
            raise ValueError(f"{name} has malformed entries {bad}")
    return point


def load(folder: Path = FOLDER) -> list[Testpoint]:
    """Read and merge all files.

    Raises:
        TestplanError: a file is malformed, an id repeats, or there is no testpoint.
    """
    points: list[Testpoint] = []
    problems: list[str] = []
    for path in sorted(folder.glob("*.yaml")):
        try:
            entries = yaml.safe_load(path.read_text())
        except yaml.YAMLError as error:
            problems.append(f"{path.name}: {error}")
            continue
        if not isinstance(entries, list):
            problems.append(f"{path.name}: is not a list of testpoints")
            continue
        for number, entry in enumerate(entries, 1):
            try:
                points.append(_testpoint(entry, path.name))
            except ValueError as error:
                label = entry.get("id", number) if isinstance(entry, dict) else number
                problems.append(f"{path.name}: testpoint {label}: {error}")
    seen: dict[str, str] = {}
    for point in points:
        if point.id in seen:
            problems.append(f"{point.file}: id {point.id} repeats, first in {seen[point.id]}")
        seen.setdefault(point.id, point.file)
    if not points and not problems:
        problems.append(f"{folder} has no testpoint")
    if problems:
        raise TestplanError("\n".join(problems))
    return points
