# SPDX-License-Identifier: Apache-2.0
"""The engine does its job once: a tensor goes in, lies encrypted in DRAM, comes out."""

from __future__ import annotations

import pyuvm

from tb.env.base_test import EngineTest


@pyuvm.test(timeout_time=2, timeout_unit="ms")
class Smoke(EngineTest):
    """One tensor of a few lines, and the canary."""

    async def body(self) -> None:
        """Write, read, compare."""
        data = self.rng.randbytes(1000)
        await self.seq.define(0, 0x1000, len(data))
        await self.seq.store(0, 0x1000, data)
        assert self.env.dram.read(0x1000, len(data)) != data, "the DRAM image is not encrypted"
        assert await self.seq.load(0, 0x1000, len(data)) == data
