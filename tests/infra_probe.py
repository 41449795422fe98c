# SPDX-License-Identifier: Apache-2.0
"""Cocotb tests on ``skid_buffer`` that pass, fail, hang or crash on purpose, to test the runner itself."""

from __future__ import annotations

import os
import random
import time
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge


async def _reset(dut: Any) -> None:
    dut.rst.value = 1
    dut.in_valid.value = 0
    dut.out_ready.value = 0
    Clock(dut.clk, 10, "ns").start()
    for _ in range(2):
        await RisingEdge(dut.clk)
    dut.rst.value = 0
    await RisingEdge(dut.clk)


@cocotb.test()
async def probe_pass(dut: Any) -> None:
    """Passes: an empty buffer shows no word; the log names the first random number."""
    await _reset(dut)
    assert int(dut.out_valid.value) == 0
    dut._log.info("first random number: %d", random.randrange(2**32))


@cocotb.test()
async def probe_fail(dut: Any) -> None:
    """Fails: an empty buffer shows no word."""
    await _reset(dut)
    assert int(dut.out_valid.value) == 1, "probe of a failing test"


@cocotb.test()
async def probe_hang(dut: Any) -> None:
    """Hangs."""
    await _reset(dut)
    time.sleep(60)


@cocotb.test()
async def probe_crash(dut: Any) -> None:
    """Ends the simulator in the middle of a test."""
    await _reset(dut)
    os._exit(3)
