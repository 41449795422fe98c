# SPDX-License-Identifier: Apache-2.0
"""What scripts/gen_regs.py derives from the register map is fresh, complete and usable."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from enum import IntEnum
from pathlib import Path

import pytest
from systemrdl.rdltypes import OnWriteType
from tensortee.engine import registers

from scripts.gen_regs import ENUMS, ROOT, SOURCE, MapError, generate, stale
from tb.unit.csr.walk import reference

C_TYPES = {"STATE": "EngineState", "OP": "Opcode", "RESULT": "Result", "SLOT": "SlotState", "CAUSE": "FaultCause"}


def _enumeration(class_name: str) -> type[IntEnum]:
    enumeration: type[IntEnum] = getattr(registers, class_name)
    return enumeration


def test_generated_files_are_fresh() -> None:
    assert stale(generate()) == []


def test_check_names_every_stale_file(tmp_path: Path) -> None:
    texts = generate()
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert stale(texts, tmp_path) == []
    changed, missing = list(texts)[:2]
    (tmp_path / changed).write_text(texts[changed].replace("12'h084", "12'h088"), encoding="utf-8")
    (tmp_path / missing).unlink()
    diffs = stale(texts, tmp_path)
    assert len(diffs) == 2
    assert changed in diffs[0]
    assert "+`define TTEE_REG_SLOT_COUNT 12'h084" in diffs[0]
    assert missing in diffs[1]


def test_check_command(tmp_path: Path) -> None:
    for folder in ("scripts", "rtl", "model", "sw", "docs"):
        (tmp_path / folder).mkdir()
    shutil.copy(ROOT / "scripts" / "gen_regs.py", tmp_path / "scripts")
    shutil.copy(SOURCE, tmp_path / "rtl")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(tmp_path / "scripts" / "gen_regs.py"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    before = run("--check")
    assert before.returncode == 1
    assert "4 generated file(s) are stale. Fix: scripts/gen_regs.py" in before.stderr
    assert run().returncode == 0
    assert run("--check").returncode == 0
    (tmp_path / "rtl" / "tensortee.rdl").write_text("addrmap tensortee {", encoding="utf-8")
    assert run("--check").returncode == 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("encode = slot_state_e;", "encode = other_e;", "add the enumeration other_e"),
        (
            "SLOT_HIT[29:29] = 0",
            "SLOT_HIT[29:29] = 0; field { encode = engine_state_e; } X[24:20] = 0",
            "is 3 bits wide",
        ),
        ("default onwrite = woclr", "default onwrite = wclr", "onwrite = wclr is not supported"),
    ],
)
def test_map_that_cannot_be_expressed_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = SOURCE.read_text(encoding="utf-8")
    assert old in text
    source = tmp_path / "changed.rdl"
    source.write_text("enum other_e { A = 0; };\n" + text.replace(old, new), encoding="utf-8")
    with pytest.raises(MapError, match=message):
        generate(source)


def test_python_map_equals_the_compiled_map() -> None:
    assert list(registers.REGISTERS) == [reg.inst_name for reg in reference()]
    for reg in reference():
        register = registers.REGISTERS[reg.inst_name]
        assert (register.name, register.address) == (reg.inst_name, reg.absolute_address)
        assert [field.name for field in register.fields] == [field.inst_name for field in reg.fields()]
        for node in reg.fields():
            field = register.field(node.inst_name)
            assert (field.lsb, field.width) == (node.lsb, node.width)
            assert (field.readable, field.writable) == (node.is_sw_readable, node.is_sw_writable)
            assert field.write_one_to_clear == (node.get_property("onwrite") is OnWriteType.woclr)
            assert field.reset == node.get_property("reset")
            encoding = node.get_property("encode")
            assert (encoding is None) == (field.encoding is None)
            if encoding is not None and field.encoding is not None:
                assert {m.name: m.value for m in encoding} == {m.name: m.value for m in field.encoding}


def test_pack_and_unpack_are_inverse() -> None:
    for register in registers.REGISTERS.values():
        values = {
            field.name: (0x5A5A5A5A >> index) & (field.mask >> field.lsb) for index, field in enumerate(register.fields)
        }
        assert register.unpack(register.pack(**values)) == values
        assert register.pack(**register.unpack(0xFFFFFFFF)) == sum(field.mask for field in register.fields)


def test_unpack_gives_members_and_keeps_unknown_values() -> None:
    result = registers.REGISTERS["CMD_RESULT"]
    assert result.unpack(0x000307)["RESULT"] is registers.Result.OVERLAP
    assert result.unpack(0x0000FF)["RESULT"] == 0xFF


def test_verilog_macros() -> None:
    text = (ROOT / "rtl/include/tensortee_regs.vh").read_text(encoding="utf-8")
    macros = dict(re.findall(r"^`define (TTEE_\w+) (\d+'[hd][0-9A-F]+)$", text, flags=re.MULTILINE))
    expected = {f"TTEE_REG_{reg.inst_name}": f"12'h{reg.absolute_address:03X}" for reg in reference()}
    expected |= {"TTEE_CONST_ID": "32'h54544545", "TTEE_CONST_VERSION": "32'h00010001"}
    widths = {"STATE": 3, "OP": 4, "RESULT": 8, "SLOT": 4, "CAUSE": 4}
    for prefix, class_name in C_TYPES.items():
        for member in _enumeration(class_name):
            expected[f"TTEE_{prefix}_{member.name}"] = f"{widths[prefix]}'d{member.value}"
    assert macros == expected


def test_c_header_compiles_with_the_right_values(tmp_path: Path) -> None:
    checks = ['#include "tensortee.h"', "#include <cstddef>"]
    for reg in reference():
        checks.append(f"static_assert(offsetof(tensortee_t, {reg.inst_name}) == {reg.absolute_address});")
        for field in reg.fields():
            mask = ((1 << field.width) - 1) << field.lsb
            checks.append(f"static_assert(TENSORTEE__{reg.inst_name}__{field.inst_name}_bm == 0x{mask:X}u);")
    for prefix, class_name in C_TYPES.items():
        checks += [f"static_assert(TENSORTEE_{prefix}_{m.name} == {m.value});" for m in _enumeration(class_name)]
    source = tmp_path / "check.cpp"
    source.write_text("\n".join(checks) + "\n", encoding="utf-8")
    options = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", f"-I{ROOT / 'sw'}"]
    result = subprocess.run(["g++", *options, str(source)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_every_enumeration_is_generated() -> None:
    assert {names[:2] for names in ENUMS.values()} == set(C_TYPES.items())


def test_links_of_the_reference_resolve() -> None:
    text = (ROOT / "docs/registers.md").read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    links = set(re.findall(r"\]\(#([^)]+)\)", text))
    assert links
    assert links <= anchors
