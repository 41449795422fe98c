# SPDX-License-Identifier: Apache-2.0
"""The house: data flows one way through the folders of the package, and no files import each other in a circle.

An import counts wherever it stands: in a function and under `TYPE_CHECKING` too.
"""

from __future__ import annotations

import ast
import importlib
import re
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
import tensortee
from tensortee._moved import MOVED

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "model" / "tensortee"
OUTSIDE = ("tb", "scripts", "tests")
"""What uses the package, and is unknown to it."""

FLOORS: dict[str, tuple[set[str], ...]] = {
    "tensortee": ({"format"}, {"checkpoint", "engine", "reference", "vault"}, {"study"}, {"cli"}),
    "tensortee.study": ({"hardware", "workload"}, {"cpu", "npu"}, {"system"}, {"report"}, {"sweep"}),
}
"""Folders of a package, the lowest floor first. A folder imports from lower floors only."""

Graph = dict[str, set[str]]
"""Modules, and the modules that each of them imports."""


def modules(package: Path) -> dict[str, Path]:
    """Files of a package by the name of their module."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(name: str, path: Path) -> Iterator[str]:
    """Everything that the imports of a module name, as absolute paths."""
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{source}.{alias.name}" for alias in node.names)


def import_graph(package: Path) -> Graph:
    """The imports between the modules of a package; a name that is no module belongs to the module that has it."""
    files = modules(package)
    graph: Graph = {}
    for name, path in files.items():
        graph[name] = set()
        for target in imported(name, path):
            while target not in files and "." in target:
                target = target.rpartition(".")[0]
            if target in files:
                graph[name].add(target)
    return graph


def circle(graph: Graph) -> list[str]:
    """Modules that import each other in a circle, first and last the same; empty if there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def room(module: str, package: str) -> str | None:
    """Folder of the package in which a module is; None for the package's own files and for what is elsewhere."""
    head, _, rest = module.partition(f"{package}.")
    return None if head else rest.partition(".")[0]


def against_the_flow(graph: Graph, package: str) -> list[str]:
    """Imports between the folders of a package that do not go to a lower floor."""
    floor = {name: level for level, names in enumerate(FLOORS[package]) for name in names}
    wrong = []
    for module, targets in graph.items():
        for target in targets:
            here, there = room(module, package), room(target, package)
            if here in floor and there in floor and here != there and floor[there] >= floor[here]:
                wrong.append(f"{module} -> {target}")
    return wrong


def plant(folder: Path, files: dict[str, str]) -> Path:
    """A package `tensortee` of the given files."""
    package = folder / "tensortee"
    for name, text in files.items():
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        (path.parent / "__init__.py").touch()
    return package


def test_no_files_import_each_other_in_a_circle() -> None:
    assert circle(import_graph(PACKAGE)) == []


@pytest.mark.parametrize(
    "back",
    [
        "import tensortee.study.step",
        "from tensortee.study import step",
        "from tensortee.study.step import x",
        "from .study import step",
        "from tensortee.study.step import *",
        "def f():\n    from tensortee.study.step import x",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from tensortee.study.step import x",
    ],
)
def test_a_planted_circle_is_found(tmp_path: Path, back: str) -> None:
    files = {"study/step.py": "from tensortee.middle import x", "middle.py": "import tensortee.low", "low.py": ""}
    assert circle(import_graph(plant(tmp_path, files))) == []
    found = circle(import_graph(plant(tmp_path, files | {"low.py": back})))
    assert found[0] == found[-1]
    assert set(found) == {"tensortee.study.step", "tensortee.middle", "tensortee.low"}


def test_a_circle_over_a_front_door_is_found(tmp_path: Path) -> None:
    files = {"format/__init__.py": "from tensortee.format.a import x", "format/a.py": "from tensortee.format import x"}
    assert set(circle(import_graph(plant(tmp_path, files)))) == {"tensortee.format", "tensortee.format.a"}


@pytest.mark.parametrize("package", FLOORS)
def test_data_flows_one_way(package: str) -> None:
    folder = PACKAGE.parent.joinpath(*package.split("."))
    rooms = {path.parent.name for path in folder.glob("*/__init__.py")}
    assert rooms == set().union(*FLOORS[package]), "every folder has its floor"
    assert against_the_flow(import_graph(PACKAGE), package) == []


def test_a_planted_flow_in_the_wrong_direction_is_found(tmp_path: Path) -> None:
    files = {
        "format/a.py": "from tensortee.vault.b import x",
        "vault/b.py": "def f():\n    import tensortee.engine.c",
        "engine/c.py": "",
        "study/cpu/d.py": "from tensortee.study.system import e",
        "study/system/e.py": "from tensortee.engine.c import x",
    }
    graph = import_graph(plant(tmp_path, files))
    assert against_the_flow(graph, "tensortee") == [
        "tensortee.format.a -> tensortee.vault.b",
        "tensortee.vault.b -> tensortee.engine.c",
    ]
    assert against_the_flow(graph, "tensortee.study") == ["tensortee.study.cpu.d -> tensortee.study.system.e"]


def test_nothing_imports_the_command_line() -> None:
    users = {
        name: imported(name, path)
        for folder in (PACKAGE, ROOT / "tb", ROOT / "scripts")
        for name, path in modules(folder).items()
        if not name.startswith("tensortee.cli")
    }
    found = {name for name, targets in users.items() if any(room(it, "tensortee") == "cli" for it in targets)}
    assert found == {"tensortee.__main__"}


def test_the_package_does_not_know_what_uses_it() -> None:
    for name, path in modules(PACKAGE).items():
        assert not [target for target in imported(name, path) if target.partition(".")[0] in OUTSIDE], name


def test_files_of_the_package_itself_are_its_front_door() -> None:
    assert {path.name for path in PACKAGE.glob("*.py")} == {"__init__.py", "__main__.py", "_moved.py"}
    assert {path.name for path in (PACKAGE / "study").glob("*.py")} == {"__init__.py"}
    assert all(hasattr(tensortee, name) for name in tensortee.__all__)


@pytest.mark.parametrize("former", MOVED)
def test_former_paths_still_work(former: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, former, raising=False)
    present = importlib.import_module(MOVED[former])
    with pytest.warns(DeprecationWarning, match=re.escape(MOVED[former])):
        assert importlib.import_module(former) is present
    assert present.__spec__ is not None
    assert present.__spec__.name == MOVED[former]


def test_documents_name_modules_that_exist() -> None:
    files = modules(PACKAGE)
    for document in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        text = document.read_text(encoding="utf-8")
        for name in re.findall(
            r"(?<![\w/-])tensortee(?:\.[a-z_]\w*)+", re.sub(r"tensortee\.(?:rdl|core|f|h)\b", "", text)
        ):
            owner = name if name in files else name.rpartition(".")[0]
            assert owner in files, f"{document.name}: {name}"
