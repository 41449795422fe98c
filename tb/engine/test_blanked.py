# SPDX-License-Identifier: Apache-2.0
"""Write data that came before its address, and was erased with the keys, is not taken for what the NPU wrote."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.triggers import ClockCycles
from tensortee.engine.registers import Opcode, Result

from tb.engine.player import BASE, Player
from tb.env.base_test import numbered_key
from tb.env.bursts import OKAY, SLVERR, Burst
from tb.env.plan import words
from tb.memory import LINE_BYTES

NOT_YET = 1 << 30
"""A lead of the data over its address that no test is long enough for."""


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def data_before_erasure(dut: Any) -> None:
    """A beat waits for its address while the engine is erased; the address comes when the next key is there.

    The beat is gone. Its line must be refused: an epoch with zeros in its place must not be sealed.
    """
    player = Player(dut)
    await player.start()
    await player.install(numbered_key(len(dut.key_data) // 8, 0))
    manager = player.manager
    manager.timing.write_order = "data_first"
    data = bytes(range(1, LINE_BYTES + 1)) * 2
    beats = words(data, manager.bus_bytes)
    every = (1 << manager.bus_bytes) - 1
    size = manager.bus_bytes.bit_length() - 1
    burst = Burst(True, 0, BASE, len(beats), size, 1, beats, [every] * len(beats))
    burst.note["lead"] = NOT_YET
    manager.issue(burst)
    await ClockCycles(dut.clk, 8)
    await player.install(numbered_key(len(dut.key_data) // 8, 1))
    assert await player.command(Opcode.DEFINE, len(data)) == Result.OK
    assert await player.command(Opcode.OPEN_WRITE) == Result.OK
    burst.note["lead"] = 0
    await burst.done.wait()
    closed = await player.command(Opcode.CLOSE_WRITE)
    if burst.responses == [OKAY]:
        assert closed == Result.OK
        assert await player.command(Opcode.OPEN_READ) == Result.OK
        read = await player.read(len(data))
        verdict = await player.command(Opcode.CLOSE_READ)
        assert read == data, f"written {data[:20].hex()}, answered OKAY, read {read[:20].hex()}: {verdict!r}"
    assert burst.responses == [SLVERR]
    assert closed == Result.COVERAGE_ERROR
