# SPDX-License-Identifier: Apache-2.0
"""What tensor granularity costs on the chips, and what it saves in DRAM.

Sizes follow from the fields of each structure: those of TenAnalyzer as the paper lists them, those of the engine as its
RTL declares them (a test compares them with the sources).
"""

from __future__ import annotations

from dataclasses import dataclass

from tensortee.study.hardware import LINE_BYTES, Cpu, Npu, System
from tensortee.study.hardware.units import PAPER, Origin

META_TABLE_BITS = {"address": 64, "dimensions": 92, "stride": 10, "version": 56, "mac": 56, "flags": 2}
"""Fields of an entry of the Meta Table; flags are UF and BS."""

FILTER_ADDRESS_BITS = 64
FILTER_VERSION_BITS = 56
"""A filter entry holds its addresses and the one version that they share."""

BITMAP_CACHE_BYTES = 6 << 10
POISON_BITS = 512
"""Cache of the write bitmap, and one poison bit for each unverified tensor, as printed."""

SRAM_CELL_UM2 = 0.027
SRAM_CELL_SOURCE = "Wu et al., IEDM 2016: high-density SRAM cell of a 7 nm process"
ARRAY_EFFICIENCY = 0.7
"""Share of an SRAM macro's area that is cells: 0.6 to 0.8 is usual for small macros."""

ENGINE_SLOT_BITS = {
    "tensor_table.state": 4,
    "tensor_table.result": 8,
    "tensor_table.base": 34,
    "tensor_table.lines": 31,
    "tensor_table.nbytes": 37,
    "tensor_table.iv_hi": 32,
    "tensor_table.version": 64,
    "tensor_table.tag": 128,
    "tensor_table.h_top": 128,
    "tensor_table.g_end": 128,
    "verifier.hash": 128,
    "verifier.cov": 128,
    "verifier.count": 32,
    "verifier.error": 1,
    "write_map.oldest": 24,
}
"""Registers that the engine keeps for each tensor, addresses of 40 bits."""

WRITE_MAP_WORD_BITS = 64


@dataclass(frozen=True, slots=True)
class OnChipItem:
    """One structure or saving.

    Attributes:
        item: what it is.
        value: size.
        unit: unit of both numbers.
        origin: where our number comes from.
        source: how it is derived.
        printed: what the paper prints, if anything.
    """

    item: str
    value: float
    unit: str
    origin: Origin
    source: str
    printed: float | None = None


def meta_table_bytes(cpu: Cpu) -> float:
    """Bytes of the Meta Table."""
    return cpu.meta_table_entries * sum(META_TABLE_BITS.values()) / 8


def filter_bytes(cpu: Cpu) -> float:
    """Bytes of the Tensor Filter."""
    return cpu.filter_entries * (cpu.filter_addresses * FILTER_ADDRESS_BITS + FILTER_VERSION_BITS) / 8


def tenanalyzer_bytes(cpu: Cpu) -> float:
    """Bytes of TenAnalyzer: table, filter, bitmap cache and poison bits."""
    return meta_table_bytes(cpu) + filter_bytes(cpu) + BITMAP_CACHE_BYTES + POISON_BITS / 8


def sram_mm2(nbytes: float) -> float:
    """Area of SRAM of this size at 7 nm, square millimetres."""
    return nbytes * 8 * SRAM_CELL_UM2 / ARRAY_EFFICIENCY * 1e-6


def engine_bytes(npu: Npu) -> float:
    """Bytes that the engine of one channel keeps for its tensors: registers and write map."""
    slot_bits = sum(ENGINE_SLOT_BITS.values()) + npu.write_map_words * WRITE_MAP_WORD_BITS
    return npu.tensor_table_slots * slot_bits / 8


def on_chip(system: System) -> list[OnChipItem]:
    """On-chip cost of tensor granularity and the DRAM that it saves."""
    cpu, npu = system.cpu, system.npu
    total = tenanalyzer_bytes(cpu)
    fields = PAPER + ": fields of the structure"
    rtl = "declarations of the RTL"
    derived = Origin.MODELLED
    return [
        OnChipItem("Meta Table", meta_table_bytes(cpu), "bytes", derived, fields),
        OnChipItem("Tensor Filter", filter_bytes(cpu), "bytes", derived, fields),
        OnChipItem("Bitmap cache", BITMAP_CACHE_BYTES, "bytes", Origin.QUOTED, PAPER, BITMAP_CACHE_BYTES),
        OnChipItem("Poison bits", POISON_BITS, "bits", Origin.QUOTED, PAPER, POISON_BITS),
        OnChipItem("TenAnalyzer in all", total, "bytes", derived, "sum of the above", 24 << 10),
        OnChipItem(
            "TenAnalyzer in all, area at 7 nm",
            sram_mm2(total),
            "mm2",
            derived,
            f"{SRAM_CELL_SOURCE}; cells 70 %",
            0.0072,
        ),
        OnChipItem("Engine, state of its tensors", engine_bytes(npu), "bytes", Origin.MEASURED, rtl),
        OnChipItem(
            "DRAM saved: MACs of the lines", npu.mac_bytes / LINE_BYTES, "1", derived, "MAC bytes over line bytes"
        ),
    ]
