#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Generates everything that is derived from the register map, rtl/tensortee.rdl.

| output | for |
|---|---|
| rtl/include/tensortee_regs.vh | addresses and enumerations as Verilog macros |
| model/tensortee/engine/registers.py | the map for the model and the bench, without a SystemRDL compiler at run time |
| sw/tensortee.h | C header (PeakRDL-cheader) |
| docs/registers.md | the reference |

`--check` writes nothing and fails, showing the difference, if a file is not what the map gives.
"""

from __future__ import annotations

import argparse
import difflib
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from peakrdl_cheader.exporter import CHeaderExporter
from systemrdl import RDLCompileError, RDLCompiler
from systemrdl.node import AddrmapNode, FieldNode, RegNode
from systemrdl.rdltypes import OnWriteType, UserEnum

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "rtl" / "tensortee.rdl"
NOTICE = "Generated from rtl/tensortee.rdl by scripts/gen_regs.py. Do not edit."

ENUMS: dict[str, tuple[str, str, str]] = {
    # SystemRDL name: (Verilog macro prefix, Python class, heading)
    "engine_state_e": ("STATE", "EngineState", "State of the engine"),
    "opcode_e": ("OP", "Opcode", "Commands"),
    "result_e": ("RESULT", "Result", "Results of commands, windows and epochs"),
    "slot_state_e": ("SLOT", "SlotState", "State of a tensor slot"),
    "fault_cause_e": ("CAUSE", "FaultCause", "Causes of refused or failed accesses"),
}


class MapError(Exception):
    """The register map compiles but holds something that the generators cannot express."""


def compile_map(source: Path = SOURCE) -> AddrmapNode:
    """Compiles and elaborates the register map; the compiler prints its own messages and raises `RDLCompileError`."""
    compiler = RDLCompiler()
    compiler.compile_file(str(source))
    return compiler.elaborate().top


def registers_of(top: AddrmapNode) -> list[RegNode]:
    """The registers in address order."""
    return sorted(top.registers(), key=lambda reg: reg.absolute_address)


def encoding_of(field: FieldNode) -> type[UserEnum] | None:
    """The enumeration of a field's values, if it has one."""
    encoding: type[UserEnum] | None = field.get_property("encode")
    if encoding is not None and encoding.type_name not in ENUMS:
        raise MapError(f"{field.get_path()}: add the enumeration {encoding.type_name} to ENUMS in scripts/gen_regs.py")
    return encoding


def enums_of(top: AddrmapNode) -> Iterator[tuple[type[UserEnum], int, list[str]]]:
    """Each enumeration with its width in bits and the fields that use it, in the order of `ENUMS`."""
    found: dict[str, tuple[type[UserEnum], int, list[str]]] = {}
    for reg in registers_of(top):
        for field in reg.fields():
            encoding = encoding_of(field)
            if encoding is None:
                continue
            _, width, users = found.setdefault(encoding.type_name, (encoding, field.width, []))
            if width != field.width:
                raise MapError(f"{field.get_path()}: {encoding.type_name} is {width} bits wide in {users[0]}")
            users.append(f"{reg.inst_name}.{field.inst_name}")
    missing = ENUMS.keys() - found.keys()
    if missing:
        raise MapError(f"no field uses {', '.join(sorted(missing))}")
    yield from (found[name] for name in ENUMS)


def one_line(text: str | None) -> str:
    """A description without line breaks."""
    return " ".join((text or "").split())


def verilog(top: AddrmapNode) -> str:
    """The Verilog header."""
    lines = [
        "// SPDX-License-Identifier: Apache-2.0",
        f"// {NOTICE}",
        "// Register addresses, constant registers and enumerations. Macros, so that a module takes only what it uses.",
        "`ifndef TENSORTEE_REGS_VH",
        "`define TENSORTEE_REGS_VH",
        "",
        "// Byte addresses on the AXI4-Lite port",
    ]
    registers = registers_of(top)
    lines += [f"`define TTEE_REG_{reg.inst_name} 12'h{reg.absolute_address:03X}" for reg in registers]
    lines += ["", "// Contents of the registers that never change"]
    for reg in registers:
        if all(not field.is_hw_writable and not field.is_sw_writable for field in reg.fields()):
            word = sum(field.get_property("reset") << field.lsb for field in reg.fields())
            lines.append(f"`define TTEE_CONST_{reg.inst_name} 32'h{word:08X}")
    for encoding, width, users in enums_of(top):
        prefix, _, heading = ENUMS[encoding.type_name]
        lines += ["", f"// {heading} ({', '.join(users)})"]
        lines += [f"`define TTEE_{prefix}_{member.name} {width}'d{member.value}" for member in encoding]
    lines += ["", "`endif", ""]
    return "\n".join(lines)


def python_field(field: FieldNode) -> str:
    """The constructor call of one field."""
    onwrite = field.get_property("onwrite")
    if onwrite not in (None, OnWriteType.woclr):
        raise MapError(f"{field.get_path()}: onwrite = {onwrite.name} is not supported")
    parts = [
        f'"{field.inst_name}"',
        f"lsb={field.lsb}",
        f"width={field.width}",
        f"readable={field.is_sw_readable}",
        f"writable={field.is_sw_writable}",
    ]
    if onwrite is OnWriteType.woclr:
        parts.append("write_one_to_clear=True")
    reset = field.get_property("reset")
    if reset is not None:
        parts.append(f"reset=0x{reset:X}" if reset > 9 else f"reset={reset}")
    encoding = encoding_of(field)
    if encoding is not None:
        parts.append(f"encoding={ENUMS[encoding.type_name][1]}")
    return f"Field({', '.join(parts)})"


def python(top: AddrmapNode) -> str:
    """The Python module."""
    lines = [
        "# SPDX-License-Identifier: Apache-2.0",
        f"# {NOTICE}",
        '"""Register map of the engine: enumerations, and every register with its fields."""',
        "",
        "from __future__ import annotations",
        "",
        "from enum import IntEnum",
        "from types import MappingProxyType",
        "from typing import Final",
        "",
        "from tensortee.engine._register import Field, Register",
        "",
    ]
    names = sorted([*(names[1] for names in ENUMS.values()), "Field", "Register"])
    lines += ["__all__ = [", '    "REGISTERS",', *(f'    "{name}",' for name in names), "]", ""]
    for encoding, _, _ in enums_of(top):
        _, class_name, heading = ENUMS[encoding.type_name]
        lines += ["", f"class {class_name}(IntEnum):", f'    """{heading}."""', ""]
        for member in encoding:
            lines += [f"    {member.name} = {member.value}", f'    """{one_line(member.rdl_desc)}"""']
        lines.append("")
    lines += [
        "",
        "REGISTERS: Final = MappingProxyType(",
        "    {",
    ]
    for reg in registers_of(top):
        fields = [python_field(field) + "," for field in reg.fields()]
        if len(fields) == 1:
            body = [f"            ({fields[0]}),"]
        else:
            body = ["            (", *(f"                {field}" for field in fields), "            ),"]
        lines += [
            f'        "{reg.inst_name}": Register(',
            f'            "{reg.inst_name}",',
            f"            0x{reg.absolute_address:03X},",
            *body,
            "        ),",
        ]
    lines += ["    }", ")", '"""Every register by name, in address order."""', ""]
    return "\n".join(lines)


def c_header(top: AddrmapNode) -> str:
    """The C header: PeakRDL's, with the enumerations, which PeakRDL leaves out, added inside its include guard."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tensortee.h"
        CHeaderExporter().export(top, path=str(path))
        body = path.read_text(encoding="utf-8")
    enums = []
    for encoding, _, users in enums_of(top):
        prefix, _, heading = ENUMS[encoding.type_name]
        enums += [f"// {heading} ({', '.join(users)})", "enum {"]
        enums += [f"    TENSORTEE_{prefix}_{member.name} = {member.value}," for member in encoding]
        enums += ["};", ""]
    guard_end = "#ifdef __cplusplus\n}\n#endif\n"
    if body.count(guard_end) != 1:
        raise MapError("PeakRDL-cheader no longer closes its header as scripts/gen_regs.py expects; see c_header()")
    body = body.replace(guard_end, "\n".join(enums) + "\n" + guard_end)
    return f"// SPDX-License-Identifier: Apache-2.0\n// {NOTICE}\n{body.rstrip()}\n"


def access(field: FieldNode) -> str:
    """How software may access a field, in the abbreviations of the reference."""
    if field.get_property("onwrite") is OnWriteType.woclr:
        return "rw1c"
    return {(True, True): "rw", (True, False): "ro", (False, True): "wo"}[(field.is_sw_readable, field.is_sw_writable)]


def code_list(text: str) -> str:
    """A description for a Markdown table cell: bars are escaped, identifiers of the map are set as code."""
    return re.sub(r"\b([A-Z]+_[A-Z0-9_]*[A-Z0-9*])", r"`\1`", one_line(text).replace("|", "\\|"))


def markdown(top: AddrmapNode) -> str:
    """The reference."""
    registers = registers_of(top)
    lines = [
        f"<!-- SPDX-License-Identifier: Apache-2.0. {NOTICE} -->",
        "# Registers",
        "",
        code_list(top.get_property("desc")),
        "",
        "Access: `ro` read only; `rw` read and write; `rw1c` read, a written one clears the bit; `wo` write only, "
        "reads as zero. Reset `-`: shows hardware state or a build parameter. Bits that no field names read as zero; "
        "what is written to them is ignored.",
        "",
        "## Summary",
        "",
        "| address | register | access | content |",
        "|---|---|---|---|",
    ]
    for reg in registers:
        kinds = "/".join(dict.fromkeys(access(field) for field in reg.fields()))
        anchor = reg.inst_name.lower()
        name = code_list(reg.get_property("name"))
        lines.append(f"| 0x{reg.absolute_address:03X} | [`{reg.inst_name}`](#{anchor}) | {kinds} | {name} |")
    for reg in registers:
        title = code_list(reg.get_property("name"))
        lines += ["", f"## {reg.inst_name}", "", f"0x{reg.absolute_address:03X}. {title}."]
        if reg.get_property("desc"):
            lines += ["", code_list(reg.get_property("desc"))]
        lines += ["", "| bits | field | access | reset | meaning |", "|---|---|---|---|---|"]
        for field in reversed(list(reg.fields())):
            bits = f"{field.msb}:{field.lsb}" if field.width > 1 else f"{field.lsb}"
            reset = field.get_property("reset")
            shown = "-" if reset is None else (f"0x{reset:X}" if reset > 9 else f"{reset}")
            meaning = code_list(field.get_property("desc")) or title + "."
            encoding = encoding_of(field)
            if encoding is not None:
                heading = ENUMS[encoding.type_name][2]
                meaning += f" Values: [{heading.lower()}](#{heading.lower().replace(',', '').replace(' ', '-')})."
            lines.append(f"| {bits} | `{field.inst_name}` | {access(field)} | {shown} | {meaning} |")
    for encoding, _, users in enums_of(top):
        heading = ENUMS[encoding.type_name][2]
        where = ", ".join(f"`{user}`" for user in users)
        lines += ["", f"## {heading}", "", f"In {where}.", "", "| value | name | meaning |", "|---|---|---|"]
        lines += [f"| {m.value} | `{m.name}` | {code_list(m.rdl_desc)} |" for m in encoding]
    lines.append("")
    return "\n".join(lines)


OUTPUTS: dict[str, Callable[[AddrmapNode], str]] = {
    "rtl/include/tensortee_regs.vh": verilog,
    "model/tensortee/engine/registers.py": python,
    "sw/tensortee.h": c_header,
    "docs/registers.md": markdown,
}


def generate(source: Path = SOURCE) -> dict[str, str]:
    """Every generated file's path, relative to the root of the repository, and its text."""
    top = compile_map(source)
    return {name: emit(top) for name, emit in OUTPUTS.items()}


def stale(texts: dict[str, str], root: Path = ROOT) -> list[str]:
    """One unified diff for every file below `root` that is missing or differs from `texts`."""
    diffs = []
    for name, text in texts.items():
        path = root / name
        present = path.read_text(encoding="utf-8") if path.exists() else ""
        if present != text:
            lines = difflib.unified_diff(
                present.splitlines(), text.splitlines(), f"{name} (present)", f"{name} (from the map)", n=1, lineterm=""
            )
            diffs.append("\n".join(lines))
    return diffs


def main() -> int:
    """Writes the generated files, or checks them."""
    parser = argparse.ArgumentParser(description="Generate the files that follow from rtl/tensortee.rdl.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a generated file is stale")
    arguments = parser.parse_args()
    try:
        texts = generate()
    except RDLCompileError:
        return 1
    except MapError as error:
        print(f"gen_regs: {error}", file=sys.stderr)
        return 1
    if arguments.check:
        diffs = stale(texts)
        for diff in diffs:
            print(diff)
        if diffs:
            print(f"gen_regs: {len(diffs)} generated file(s) are stale. Fix: scripts/gen_regs.py", file=sys.stderr)
        return 1 if diffs else 0
    for name, text in texts.items():
        path = ROOT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
