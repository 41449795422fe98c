# SPDX-License-Identifier: Apache-2.0
"""Synthesize the engine to generic gates with Yosys, module by module, and print its size; ``make synth``.

The hierarchy is kept, because flattening several AES lanes takes minutes and hides where the area is. Memories
(``ram_1r1w``) are counted in bits, small arrays elsewhere become flip-flops. Figures are *modelled*: generic gates
after ABC, no wires, no timing.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from scripts.yosys import BUILD, YosysError, read_commands, run_yosys
from tb.runner import RTL, rtl_sources

TOP = "tensortee_engine"
MEMORY = "ram_1r1w"


@dataclass(frozen=True)
class ModuleSize:
    """Size of one instance of a module without the modules in it.

    Attributes:
        name: module name; parametrised variants are numbered.
        instances: how often it occurs in the engine.
        gates: combinational cells.
        flip_flops: register bits.
        memory_bits: bits of RAM, if the module is a memory.
    """

    name: str
    instances: int
    gates: int
    flip_flops: int
    memory_bits: int


def plain_name(name: str) -> str:
    r"""Source name of a module: Yosys writes ``$paramod\name\W=...`` or ``$paramod$hash\name``."""
    text = name.removeprefix("\\")
    match = re.match(r"\$paramod(?:\$[0-9a-f]+)?\\(\w+)", text)
    return match.group(1) if match else text


def instance_counts(modules: dict[str, Any], top: str) -> Counter[str]:
    """How often every module occurs below the top, the top included."""
    counts: Counter[str] = Counter()

    def visit(name: str, times: int) -> None:
        counts[name] += times
        for cell, number in modules[name].get("num_cells_by_type", {}).items():
            child = cell if cell in modules else f"\\{cell}"
            if child in modules:
                visit(child, times * int(number))

    visit(top, 1)
    return counts


def sizes(logic: dict[str, Any], memories: dict[str, Any], top: str) -> list[ModuleSize]:
    """Sizes of all modules, from the statistics after and before the memories were taken out."""
    modules = logic["modules"]
    result = []
    for name, count in instance_counts(memories["modules"], top).items():
        cells = modules.get(name, {}).get("num_cells_by_type", {})
        gates = {cell: int(number) for cell, number in cells.items() if cell.startswith("$_")}
        is_memory = plain_name(name) == MEMORY
        flip_flops = sum(number for cell, number in gates.items() if re.search(r"DFF|DLATCH", cell))
        result.append(
            ModuleSize(
                name=plain_name(name),
                instances=count,
                gates=sum(gates.values()) - flip_flops,
                flip_flops=flip_flops,
                memory_bits=int(memories["modules"][name].get("num_memory_bits", 0)) if is_memory else 0,
            )
        )
    return result


def synthesize(parameters: dict[str, int]) -> list[ModuleSize]:
    """Synthesize one configuration of the engine.

    Raises:
        YosysError: Yosys failed.
    """
    label = "_".join(f"{name}{value}" for name, value in sorted(parameters.items()))
    folder = BUILD / label
    folder.mkdir(parents=True, exist_ok=True)
    logic, memories = folder / "logic.json", folder / "memories.json"
    settings = " ".join(f"-chparam {name} {value}" for name, value in parameters.items())
    script = read_commands(rtl_sources(), RTL / "include")
    script += f"""hierarchy -check -top {TOP} {settings}
proc
opt_clean
tee -q -o {memories} stat -json
blackbox *{MEMORY}*
synth
check -assert
tee -q -o {logic} stat -json
write_verilog -noattr {folder / "netlist.v"}
"""
    run_yosys(script, folder / "synth.log")
    statistics = json.loads(memories.read_text())
    top = next(name for name in statistics["modules"] if plain_name(name) == TOP)
    return sizes(json.loads(logic.read_text()), statistics, top)


def main() -> int:
    """Command line entry."""
    parser = argparse.ArgumentParser(description="Synthesize the engine and print its size.")
    parser.add_argument(
        "--data-w", type=int, default=128, choices=(128, 256, 512), help="width of the data bus in bits"
    )
    parser.add_argument("--key-w", type=int, default=128, choices=(128, 256), help="width of the key in bits")
    arguments = parser.parse_args()
    try:
        modules = synthesize({"DATA_W": arguments.data_w, "KEY_W": arguments.key_w})
    except YosysError as error:
        print(f"synth: {error}", file=sys.stderr)
        return 1
    title = f"{TOP} DATA_W={arguments.data_w} KEY_W={arguments.key_w}: generic gates (modelled, Yosys)"
    table = Table("module", title=title)
    for heading in ("instances", "gates each", "flip-flops each", "memory bits each", "gates", "share"):
        table.add_column(heading, justify="right")
    total = sum(module.instances * module.gates for module in modules)
    for module in sorted(modules, key=lambda module: -module.instances * module.gates):
        gates = module.instances * module.gates
        cells = (module.instances, module.gates, module.flip_flops, module.memory_bits, gates)
        table.add_row(module.name, *(f"{cell:,}" for cell in cells), f"{gates / total:.1%}")
    table.add_section()
    flip_flops, bits = (
        sum(module.instances * getattr(module, field) for module in modules) for field in ("flip_flops", "memory_bits")
    )
    table.add_row("total", "", "", f"{flip_flops:,}", f"{bits:,}", f"{total:,}", "")
    Console(width=120).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
