# SPDX-License-Identifier: Apache-2.0
"""YAML with positions: where in the file each key and item stands, so that an error can point at it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Location = tuple[str | int, ...]
"""Keys and indices that lead to a value, as pydantic gives them."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a file.

    Attributes:
        file: the file.
        line: line of the offending key or item, from 1.
        column: its column, from 1.
        message: what is wrong and what is allowed.
    """

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class ConfigError(ValueError):
    """A configuration file is wrong; names file, line and column of every problem.

    Attributes:
        problems: all that was found, in the order of the file.
    """

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = sorted(problems, key=lambda problem: (problem.line, problem.column))
        super().__init__("\n".join(map(str, self.problems)))


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML file.

    Attributes:
        path: the file.
        content: its keys and values.
        positions: line and column, from 1, of each key and item.
    """

    path: Path
    content: dict[str, Any]
    positions: dict[Location, tuple[int, int]]

    def problem(self, location: Location, message: str) -> Problem:
        """Problem at a location; what the file does not hold is reported at what surrounds it."""
        known = next(location[:n] for n in range(len(location), -1, -1) if location[:n] in self.positions)
        return Problem(str(self.path), *self.positions[known], message)


def load(path: Path) -> Document:
    """Read a YAML file that holds a mapping.

    Raises:
        ConfigError: it is not YAML, holds something else, or has a key twice.
        OSError: it cannot be read.
    """
    try:
        loader = yaml.SafeLoader(path.read_bytes())
        root = loader.get_single_node()
        marks = list(_positions(root, (), set()))  # before construction, which moves the keys of a merge (<<)
        content = loader.construct_document(root) if root is not None else {}
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        text = f"not YAML: {error.problem or error.context}"
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise ConfigError([Problem(str(path), line, column, text)]) from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ConfigError([Problem(str(path), 1, 1, f"not YAML: {' '.join(str(error).split())}")]) from error
    if not isinstance(content, dict):
        raise ConfigError([Problem(str(path), 1, 1, "the file must hold keys and values")])
    positions: dict[Location, tuple[int, int]] = {(): (1, 1)}
    repeated = []
    for location, mark in marks:
        if location in positions:
            repeated.append(Problem(str(path), mark.line + 1, mark.column + 1, f"{dotted(location)}: key given twice"))
        positions[location] = (mark.line + 1, mark.column + 1)
    if repeated:
        raise ConfigError(repeated)
    return Document(path, content, positions)


def dotted(location: Location) -> str:
    """Location as text, e.g. "system.cpu.cores" or "schemes[1]"."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _positions(node: yaml.Node | None, location: Location, seen: set[int]) -> Iterator[tuple[Location, Any]]:
    """Location and mark of each key and item below a node; of a node with aliases, at its first place only."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield (*location, str(key.value)), key.start_mark
            yield from _positions(value, (*location, str(key.value)), seen)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield (*location, index), item.start_mark
            yield from _positions(item, (*location, index), seen)
