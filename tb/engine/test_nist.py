# SPDX-License-Identifier: Apache-2.0
"""NIST CAVP vectors through an AES-128 build of the RTL."""

from __future__ import annotations

from typing import Any

import cocotb

from tb.engine.player import Player, choose
from tb.engine.vectors import nist


@cocotb.test(timeout_time=40, timeout_unit="ms")
async def encrypt(dut: Any) -> None:
    """Encryption with external IV."""
    player = Player(dut)
    await player.start()
    for vector in choose(nist("gcmEncryptExtIV128")):
        await player.encrypt(vector)


@cocotb.test(timeout_time=40, timeout_unit="ms")
async def decrypt(dut: Any) -> None:
    """Decryption with right and wrong tags."""
    player = Player(dut)
    await player.start()
    for vector in choose(nist("gcmDecrypt128")):
        await player.decrypt(vector)
