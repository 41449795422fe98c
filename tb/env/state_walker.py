# SPDX-License-Identifier: Apache-2.0
"""Visits every register, memory word and net of the design that is wide enough to hold a secret of 128 bits."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cocotb.handle import ArrayObject, HierarchyArrayObject, HierarchyObject, LogicArrayObject, PackedObject

from tb.env.secrets import WINDOW, Secrets
from tb.runner import rtl_sources

_MASK = (1 << WINDOW) - 1


@dataclass(frozen=True)
class Word:
    """One vector of the design.

    Attributes:
        path: its place in the hierarchy, below the top.
        handle: cocotb handle.
        register: it is declared ``reg`` (and so may hold a value from one cycle to the next).
    """

    path: str
    handle: Any
    register: bool

    @property
    def value(self) -> int:
        """The bits as a number; unknown ones count as zero."""
        bits = str(self.handle.value)
        try:
            return int(bits, 2)
        except ValueError:
            return int(re.sub("[^1]", "0", bits), 2)


class StateWalker:
    """All words of ``dut`` of 128 bits and more.

    Raises:
        AssertionError: the simulator hides a register that the sources declare.
    """

    def __init__(self, dut: Any) -> None:
        self._declared = {source.stem: declared_registers(source.read_text()) for source in rtl_sources()}
        self._seen: defaultdict[str, set[str]] = defaultdict(set)
        self.words = list(self._walk(dut, dut._name, len(dut._path) + 1))
        for module, names in self._seen.items():
            hidden = self._declared[module] - names
            assert not hidden, f"the simulator does not show the registers {sorted(hidden)} of {module}"

    def _walk(self, scope: Any, module: str, skip: int) -> Iterator[Word]:
        for child in scope:
            if isinstance(child, HierarchyObject | HierarchyArrayObject):
                inner = child._def_name
                yield from self._walk(child, inner if inner in self._declared else module, skip)
                continue
            self._seen[module].add(child._name)
            register = child._name in self._declared[module]
            if isinstance(child, ArrayObject):
                if len(child[child.range[0]]) >= WINDOW:
                    yield from (Word(word._path[skip:], word, register) for word in child)
            elif isinstance(child, PackedObject | LogicArrayObject) and not child.is_const and len(child) >= WINDOW:
                yield Word(child._path[skip:], child, register)

    def find(self, secrets: Secrets) -> dict[str, set[str]]:
        """Kinds of secrets that stand anywhere in the design now, at any bit, by the path of the word."""
        found: defaultdict[str, set[str]] = defaultdict(set)
        for word in self.words:
            value = word.value
            while value:
                kind = secrets.kind(value & _MASK)
                if kind is not None:
                    found[word.path].add(kind)
                value >>= 1
        return dict(found)

    def held(self) -> dict[str, int]:
        """Registers and memory words that are not zero now, by their path."""
        return {word.path: value for word in self.words if word.register and (value := word.value)}


def declared_registers(text: str) -> set[str]:
    """Names that a module declares ``reg``, outside of functions and of what synthesis alone sees."""
    text = re.sub(r"//[^\n]*", "", text)
    text = re.sub(r"`ifdef SYNTHESIS\b.*?`else", "", text, flags=re.DOTALL)
    text = re.sub(r"\bfunction\b.*?\bendfunction\b", "", text, flags=re.DOTALL)
    bits = r"\s*(?:\[[^\]]*\])?\s*"
    names = set(re.findall(rf"\boutput\s+reg{bits}(\w+)", text))
    for declaration in re.findall(r"^\s*reg\b([^;]*);", text, flags=re.MULTILINE):
        names.update(name.strip() for name in re.sub(r"\[[^\]]*\]", "", declaration).split(","))
    return names
