# SPDX-License-Identifier: Apache-2.0
"""AXI4-Lite: a manager with every order and delay of the channels, and a checker of the subordinate's side."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge

from tb.signals import Signals

OKAY = 0
SLVERR = 2

DEFAULT_TIMEOUT_CYCLES = 1000


class AxiLiteManager:
    """Drives one AXI4-Lite port with 32-bit data; AW and W of a write are independent.

    A read and a write may be under way at once, but only one of each. Call the methods after a rising edge, not in the
    read-only phase.

    Args:
        dut: cocotb handle that holds the port.
        prefix: common start of the signal names, such as ``s_axil``.
        clock: the clock's handle.
        rng: draws a delay of 0 .. ``max_delay`` cycles for each channel of each access; without it there are none.
        max_delay: the longest delay drawn, in cycles.
        timeout_cycles: cycles after which a handshake that did not happen fails the test.
    """

    def __init__(
        self,
        dut: Any,
        prefix: str,
        clock: Any,
        *,
        rng: Random | None = None,
        max_delay: int = 4,
        timeout_cycles: int = DEFAULT_TIMEOUT_CYCLES,
    ) -> None:
        self._port = Signals(dut, prefix)
        self._prefix = prefix
        self._clock = clock
        self._rng = rng
        self._max_delay = max_delay
        self._timeout = timeout_cycles
        for name in ("awaddr", "awprot", "awvalid", "wdata", "wstrb", "wvalid", "bready", "araddr", "arprot"):
            self._port.put(name, 0)
        for name in ("arvalid", "rready"):
            self._port.put(name, 0)

    def _delay(self, delay: int | None) -> int:
        if delay is not None:
            return delay
        return 0 if self._rng is None else self._rng.randint(0, self._max_delay)

    async def _send(self, channel: str, payload: dict[str, int], delay: int) -> None:
        """Offer a payload after ``delay`` cycles and hold it until it is taken."""
        for _ in range(delay):
            await RisingEdge(self._clock)
        for name, value in payload.items():
            self._port.put(name, value)
        self._port.put(f"{channel}valid", 1)
        for _ in range(self._timeout):
            await ReadOnly()
            taken = self._port.get(f"{channel}ready")
            await RisingEdge(self._clock)
            if taken:
                self._port.put(f"{channel}valid", 0)
                for name in payload:
                    self._port.put(name, 0)
                return
        raise AssertionError(f"{self._prefix}_{channel}ready stayed low for {self._timeout} cycles")

    async def _receive(self, channel: str, names: Sequence[str], delay: int) -> list[int]:
        """Take a response; with a delay, ready rises that many cycles after valid, else it is high beforehand."""
        self._port.put(f"{channel}ready", int(delay == 0))
        for _ in range(self._timeout):
            await ReadOnly()
            valid = self._port.get(f"{channel}valid")
            response = [self._port.get(name) for name in names]
            await RisingEdge(self._clock)
            if valid and delay == 0:
                self._port.put(f"{channel}ready", 0)
                return response
            if valid:
                delay -= 1
                self._port.put(f"{channel}ready", int(delay == 0))
        raise AssertionError(f"{self._prefix}_{channel}valid stayed low for {self._timeout} cycles")

    async def write(
        self,
        addr: int,
        data: int,
        strb: int = 0xF,
        *,
        aw_delay: int | None = None,
        w_delay: int | None = None,
        b_delay: int | None = None,
    ) -> int:
        """Write a word; the delays, in cycles, override the drawn ones. Returns BRESP."""
        address = cocotb.start_soon(self._send("aw", {"awaddr": addr}, self._delay(aw_delay)))
        data_task = cocotb.start_soon(self._send("w", {"wdata": data, "wstrb": strb}, self._delay(w_delay)))
        response = await self._receive("b", ("bresp",), self._delay(b_delay))
        await address
        await data_task
        return response[0]

    async def read(self, addr: int, *, ar_delay: int | None = None, r_delay: int | None = None) -> tuple[int, int]:
        """Read a word; the delays, in cycles, override the drawn ones. Returns RDATA and RRESP."""
        address = cocotb.start_soon(self._send("ar", {"araddr": addr}, self._delay(ar_delay)))
        data, resp = await self._receive("r", ("rdata", "rresp"), self._delay(r_delay))
        await address
        return data, resp


class AxiLiteChecker:
    """Watches B and R: a response holds until it is taken, answers an access, and is zero while it is not valid.

    Start :meth:`run` with ``cocotb.start_soon``; a violation fails the test.

    Args:
        dut: cocotb handle that holds the port.
        prefix: common start of the signal names.
        clock: the clock's handle.
        reset: handle of the synchronous, active-high reset.
    """

    def __init__(self, dut: Any, prefix: str, clock: Any, reset: Any) -> None:
        self._port = Signals(dut, prefix)
        self._prefix = prefix
        self._clock = clock
        self._reset = reset
        self.writes = 0
        """Writes answered."""
        self.reads = 0
        """Reads answered."""

    async def run(self) -> None:
        """Check every cycle, for ever."""
        port = self._port
        held: dict[str, list[int]] = {}
        # Taken and not answered yet.
        addresses = words = requests = 0
        while True:
            await RisingEdge(self._clock)
            await ReadOnly()
            if self._reset.value != 0:
                held.clear()
                addresses = words = requests = 0
                continue
            for channel, names in (("b", ("bresp",)), ("r", ("rdata", "rresp"))):
                valid, ready = port.get(f"{channel}valid"), port.get(f"{channel}ready")
                payload = [port.get(name) for name in names]
                where = f"{self._prefix}_{channel}"
                if channel in held:
                    assert valid, f"{where}valid fell before {channel}ready"
                    assert payload == held[channel], f"{where} changed from {held[channel]} to {payload} while waiting"
                if not valid:
                    assert not any(payload), f"{where} carries {payload} while not valid"
                    continue
                if channel == "b":
                    assert min(addresses, words) > 0, f"{where}valid without a write"
                    addresses, words, self.writes = addresses - ready, words - ready, self.writes + ready
                else:
                    assert requests > 0, f"{where}valid without a read"
                    requests, self.reads = requests - ready, self.reads + ready
                if ready:
                    held.pop(channel, None)
                else:
                    held[channel] = payload
            addresses += port.get("awvalid") & port.get("awready")
            words += port.get("wvalid") & port.get("wready")
            requests += port.get("arvalid") & port.get("arready")
