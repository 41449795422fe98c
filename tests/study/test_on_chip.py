# SPDX-License-Identifier: Apache-2.0
"""On-chip cost: sizes of TenAnalyzer as printed, sizes of the engine as its RTL declares them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tensortee.study.hardware import Cpu, Npu, System
from tensortee.study.system.on_chip import (
    ENGINE_SLOT_BITS,
    WRITE_MAP_WORD_BITS,
    engine_bytes,
    on_chip,
    sram_mm2,
    tenanalyzer_bytes,
)

RTL = Path(__file__).resolve().parents[2] / "rtl"
LINE_ADDRESS_BITS = 40 - 6


def slot_registers(module: str) -> dict[str, int]:
    """Bits of each array of registers with one element for each slot."""
    found = re.findall(r"reg\s+(?:\[([\w-]+):0\])?\s*(\w+)\s+\[0:SLOTS-1\]", next(RTL.rglob(f"{module}.v")).read_text())
    width = {"": 1, "LW-1": LINE_ADDRESS_BITS}
    return {f"{module}.{name}": width[high] if high in width else int(high) + 1 for high, name in found}


def rtl_parameter(name: str) -> int:
    found = re.search(rf"parameter {name}\s*=\s*(\d+)", (RTL / "tensortee_engine.v").read_text())
    assert found
    return int(found[1])


def test_engine_registers_are_those_of_the_rtl() -> None:
    declared = slot_registers("tensor_table") | slot_registers("verifier") | slot_registers("write_map")
    assert declared == ENGINE_SLOT_BITS


def test_engine_sizes_are_those_of_the_rtl() -> None:
    npu = Npu()
    assert npu.tensor_table_slots == rtl_parameter("SLOTS")
    assert npu.write_map_words == rtl_parameter("MAP_WORDS")
    assert rtl_parameter("ADDR_W") == LINE_ADDRESS_BITS + 6
    assert re.search(rf"\.W\s*\({WRITE_MAP_WORD_BITS}\)", (RTL / "tensor" / "write_map.v").read_text())


def test_engine_grows_with_its_slots() -> None:
    assert engine_bytes(Npu(tensor_table_slots=32)) == 2 * engine_bytes(Npu())


def test_tenanalyzer_has_the_printed_size() -> None:
    assert tenanalyzer_bytes(Cpu()) == 512 * 280 / 8 + 10 * (4 * 64 + 56) / 8 + 6144 + 64
    assert tenanalyzer_bytes(Cpu()) == pytest.approx(24 << 10, rel=0.01)
    assert sram_mm2(tenanalyzer_bytes(Cpu())) == pytest.approx(0.0072, rel=0.1)


def test_printed_numbers_are_beside_ours() -> None:
    items = {(item.item, item.unit): item for item in on_chip(System())}
    assert len(items) == len(on_chip(System()))
    for item in items.values():
        assert item.value > 0
        if item.printed is not None:
            assert item.value == pytest.approx(item.printed, rel=0.1)
    assert items["DRAM saved: MACs of the lines", "1"].value == 7 / 64
    total = items["TenAnalyzer in all", "bytes"].value
    assert total == sum(items[name, "bytes"].value for name in ("Meta Table", "Tensor Filter", "Bitmap cache")) + 64
