# SPDX-License-Identifier: Apache-2.0
"""What the engine costs an access, a window and a command: the measured figures of the RTL."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

MEASURED_FILE = "engine/performance.json"


@dataclass(frozen=True, slots=True)
class EngineCosts:
    """Measured figures of the engine at one data width.

    Attributes:
        data_bits: width of the data bus, bits.
        read_beats_per_cycle: sustained reads while writing, beats per clock cycle.
        write_beats_per_cycle: sustained writes while reading, beats per clock cycle.
        added_read_latency_cycles: first beat later than without the engine, clock cycles.
        scattered_lines_per_cycle: single-line reads in random order, lines per clock cycle.
        define_cycles: DEFINE of a tensor, clock cycles.
        open_read_cycles: OPEN of a read window, clock cycles.
        open_write_cycles: OPEN of a write epoch, clock cycles.
        close_read_cycles: CLOSE of a read window with the compare, clock cycles.
        close_write_cycles: CLOSE of a write epoch, clock cycles.
    """

    data_bits: int
    read_beats_per_cycle: float
    write_beats_per_cycle: float
    added_read_latency_cycles: int
    scattered_lines_per_cycle: float
    define_cycles: int
    open_read_cycles: int
    open_write_cycles: int
    close_read_cycles: int
    close_write_cycles: int


@cache
def engine_costs(data_bits: int = 512) -> EngineCosts:
    """Figures of the engine as measured on the RTL in both simulators.

    Args:
        data_bits: 128, 256 or 512.

    Raises:
        ValueError: no figures were measured for this width.
    """
    measured: dict[str, Any] = json.loads((files("tensortee") / MEASURED_FILE).read_text())
    for figures in measured["figures"]:
        if figures["data_w"] == data_bits:
            commands = figures["command_cycles"]
            return EngineCosts(
                data_bits=data_bits,
                read_beats_per_cycle=figures["read_beats_per_cycle"],
                write_beats_per_cycle=figures["write_beats_per_cycle"],
                added_read_latency_cycles=figures["added_read_latency_cycles"],
                scattered_lines_per_cycle=figures["scattered_lines_per_cycle"],
                define_cycles=commands["define"],
                open_read_cycles=commands["open_read"],
                open_write_cycles=commands["open_write"],
                close_read_cycles=commands["close_read"],
                close_write_cycles=commands["close_write"],
            )
    widths = [figures["data_w"] for figures in measured["figures"]]
    raise ValueError(f"no measured figures for a data width of {data_bits} bits; measured: {widths}")
