# SPDX-License-Identifier: Apache-2.0
"""Measures simulation speed on `aes_lanes` or `gf_lanes`; run by :mod:`tb.unit.crypto.speed`."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, Timer

PERIOD_NS = 10
COMPARED_CYCLES = 200


@cocotb.test()
async def speed(dut: Any) -> None:
    """Run a compared stretch, whose digest is kept, then a measured one."""
    dut.clear.value, dut.start.value, dut.run.value = 1, 0, 0
    Clock(dut.clk, PERIOD_NS, unit="ns").start()
    await ClockCycles(dut.clk, 2)
    dut.clear.value, dut.start.value = 0, 1
    await ClockCycles(dut.clk, 1)
    dut.start.value = 0
    await ClockCycles(dut.clk, 20)
    assert dut.ready.value == 1
    dut.run.value = 1
    await ClockCycles(dut.clk, COMPARED_CYCLES)
    digest = int(dut.digest.value)
    assert digest
    cycles = int(os.environ["CYCLES"])
    begun = time.process_time()
    await Timer(cycles * PERIOD_NS, unit="ns")
    seconds = time.process_time() - begun
    result = {"digest": f"{digest:032x}", "cycles_per_second": cycles / seconds}
    Path(os.environ["RESULT"]).write_text(json.dumps(result) + "\n")
