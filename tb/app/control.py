# SPDX-License-Identifier: Apache-2.0
"""The host's side of the engine: commands, states and the key side-load port."""

from __future__ import annotations

from typing import Any

from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge, SimTimeoutError, with_timeout
from cocotb.utils import get_sim_time
from tensortee.engine.registers import EngineState, Opcode, Result

from tb.app.port import CLOCK_PERIOD_NS
from tb.axil import AxiLiteManager
from tb.regmodel import RegisterModel
from tb.signals import Signals

WAIT_CYCLES = 100_000
RESET_CYCLES = 4


class ControlError(Exception):
    """The engine refused a key, or did not get to a state or complete a command in time."""


def cycle_now() -> int:
    """Return the number of clock cycles since the simulation started."""
    return round(get_sim_time("ns")) // CLOCK_PERIOD_NS


class EngineControl:
    """Drives clock, reset, ``s_axil_*``, ``key_*`` and ``zeroize`` of ``tensortee_engine``.

    The completion of a command is awaited by its interrupt, as firmware does; no other interrupt is enabled.

    Args:
        dut: cocotb handle of the engine.
    """

    def __init__(self, dut: Any) -> None:
        self._dut = dut
        self._side = Signals(dut, "")
        self.registers = RegisterModel(AxiLiteManager(dut, "s_axil", dut.clk))
        self.key_bytes = self._side.width("key_data") // 8
        for name in ("key_valid", "key_data", "zeroize"):
            self._side.put(name, 0)
        self._side.put("rst", 1)

    async def start(self) -> None:
        """Start the clock, reset the engine, and wait until it takes a key."""
        Clock(self._dut.clk, CLOCK_PERIOD_NS, unit="ns").start()
        for _ in range(RESET_CYCLES):
            await RisingEdge(self._dut.clk)
        self._side.put("rst", 0)
        await RisingEdge(self._dut.clk)
        await self.wait_state(EngineState.NO_KEY)
        await self.registers.write("INTR_ENABLE", CMD_DONE=1)

    def pin(self, name: str) -> int:
        """Return the level of a pin, for instance ``alert_fatal``."""
        return self._side.get(name)

    async def state(self) -> EngineState:
        """Return the engine's state."""
        return EngineState(await self.registers.get("STATUS.STATE"))

    async def wait_state(self, wanted: EngineState) -> None:
        """Poll STATUS until the engine is in a state; raises ``ControlError`` if it does not get there."""
        start = cycle_now()
        while (state := await self.state()) != wanted:
            if cycle_now() - start > WAIT_CYCLES:
                raise ControlError(f"the engine stays in state {state.name} instead of {wanted.name}")

    async def command(self, opcode: Opcode, slot: int = 0) -> Result:
        """Start a command, wait for its interrupt, and return its result."""
        await self.registers.write("CMD", OPCODE=opcode, SLOT=slot)
        if not self.pin("irq"):
            try:
                await with_timeout(RisingEdge(self._dut.irq), WAIT_CYCLES * CLOCK_PERIOD_NS, "ns")
            except SimTimeoutError:
                raise ControlError(f"{opcode.name} of slot {slot} does not complete") from None
            await RisingEdge(self._dut.clk)
        await self.registers.write("INTR_STATE", CMD_DONE=1)
        return Result(await self.registers.get("CMD_RESULT.RESULT"))

    async def define(self, slot: int, base: int, nbytes: int) -> Result:
        """Bind a slot to ``nbytes`` from ``base`` on."""
        await self.registers.write64("CMD_BASE", base)
        await self.registers.write64("CMD_NBYTES", nbytes)
        return await self.command(Opcode.DEFINE, slot)

    async def zeroize(self) -> None:
        """Erase keys and slots; returns when the engine waits for a key."""
        await self.command(Opcode.ZEROIZE)
        await self.wait_state(EngineState.NO_KEY)

    async def offer_key(self, key: bytes) -> None:
        """Hand a key over the side-load port; returns after the handshake.

        Raises:
            ValueError: the key is not as long as the engine's.
            ControlError: the engine does not take it.
        """
        if len(key) != self.key_bytes:
            raise ValueError(f"a key of {len(key)} bytes does not fit an engine with keys of {self.key_bytes} bytes")
        side = self._side
        side.put("key_data", int.from_bytes(key, "little"))
        side.put("key_valid", 1)
        taken = 0
        for _ in range(WAIT_CYCLES):
            await ReadOnly()
            taken = side.get("key_ready")
            await RisingEdge(self._dut.clk)
            if taken:
                break
        side.put("key_valid", 0)
        side.put("key_data", 0)
        if not taken:
            raise ControlError(f"the engine takes no key in state {(await self.state()).name}")

    async def install_key(self, key: bytes) -> None:
        """Hand over a key and wait until the engine is ready; raises ``ControlError`` if it refuses the key."""
        await self.offer_key(key)
        start = cycle_now()
        while (status := await self.registers.read("STATUS"))["STATE"] != EngineState.READY:
            if status["KEY_REFUSED"]:
                raise ControlError("the engine refused the key (H = 0 or H^4 = 1)")
            if cycle_now() - start > WAIT_CYCLES:
                raise ControlError("the engine does not become ready after a key")
