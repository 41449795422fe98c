# SPDX-License-Identifier: Apache-2.0
"""Base of tests in which nothing moves on the AXI4 buses: the parts of the bench rest, so that cycles cost little."""

from __future__ import annotations

from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge

from tb.env.base_test import EngineTest, numbered_key


class QuietTest(EngineTest):
    """A test that derived classes write in ``quiet_body``; the engine is READY when it starts.

    Predictor and scoreboard do not follow it. A reset ends it, and the bench takes over again.
    """

    async def body(self) -> None:
        """Let the bench rest while ``quiet_body`` runs."""
        await self.env.drain()
        self.env.ticker.stop()
        await self.quiet_body()
        self.env.ticker.start()
        await self.reset()
        self.env.adopt_faults()
        await self.new_key()

    async def quiet_body(self) -> None:
        """The test itself."""
        raise NotImplementedError

    async def install(self) -> None:
        """Install the next test key as soon as the engine takes one."""
        dut = self.dut
        self.key = numbered_key(self.env.key_bytes, self.keys_used)
        self.keys_used += 1
        await self.until_key_ready()
        await self.offer_key()
        await RisingEdge(dut.u_keys.ready)
        await ClockCycles(dut.clk, 2)

    async def until_key_ready(self) -> None:
        """Wait until the engine takes a key."""
        if self.dut.key_ready.value != 1:
            await RisingEdge(self.dut.key_ready)

    async def offer_key(self) -> None:
        """Hand ``self.key`` over; ``key_ready`` is high. Returns in the cycle after the handshake."""
        dut = self.dut
        await RisingEdge(dut.clk)
        dut.key_data.value = int.from_bytes(self.key, "little")
        dut.key_valid.value = 1
        await RisingEdge(dut.clk)
        dut.key_valid.value = 0
        dut.key_data.value = 0

    async def pulse_zeroize(self, cycles: int = 1) -> None:
        """Drive the pin for some cycles; returns in the cycle in which it is low again."""
        self.dut.zeroize.value = 1
        await ClockCycles(self.dut.clk, cycles)
        self.dut.zeroize.value = 0

    async def flip(self, handle: object, bit: int) -> int:
        """Flip a bit of a register in the middle of a cycle; returns the value that it had."""
        await FallingEdge(self.dut.clk)
        before = int(handle.value)  # type: ignore[attr-defined]
        handle.value = before ^ 1 << bit  # type: ignore[attr-defined]
        return before
