# SPDX-License-Identifier: Apache-2.0
"""Wycheproof vectors through the RTL, for the key size of the build."""

from __future__ import annotations

from typing import Any

import cocotb

from tb.engine.player import Player, choose
from tb.engine.vectors import wycheproof


@cocotb.test(timeout_time=40, timeout_unit="ms")
async def both_ways(dut: Any) -> None:
    """Valid vectors are encrypted and opened, invalid ones refused."""
    player = Player(dut)
    await player.start()
    for vector in choose(wycheproof(len(dut.key_data))):
        if vector.plaintext is not None:
            await player.encrypt(vector)
        await player.decrypt(vector)
