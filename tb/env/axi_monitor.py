# SPDX-License-Identifier: Apache-2.0
"""Passive AXI4 monitor: checks the protocol on every cycle and rebuilds the bursts from the pins alone."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any

from tb.env.bursts import Burst
from tb.signals import Signals

Listener = Callable[[Burst], None]

_PAYLOAD = {
    "ar": ("arid", "araddr", "arlen", "arsize", "arburst", "arlock", "arcache", "arprot", "arqos"),
    "aw": ("awid", "awaddr", "awlen", "awsize", "awburst", "awlock", "awcache", "awprot", "awqos"),
    "w": ("wdata", "wstrb", "wlast"),
    "r": ("rid", "rdata", "rresp", "rlast"),
    "b": ("bid", "bresp"),
}
_HANDSHAKES = tuple((channel, f"{channel}valid", f"{channel}ready") for channel in _PAYLOAD)


class AxiMonitor:
    """Watches ``<prefix>_*`` of ``dut``.

    Rules on every channel: no X on VALID, nor on READY and payload when VALID; VALID and payload stay until READY. On
    the channels of ``zero_when_idle`` the data is zero when VALID is low. RLAST, B after the last data beat, order and
    IDs of responses are checked; WLAST is the manager's and checked in the memory model on the other side.

    Events, in the order of the bus: ``on_read_request`` with the address handshake of a read, ``on_write_request`` with
    that of a write, ``on_write_data`` when address and all data of a write have been taken, ``on_done`` with the last
    response. The same ``Burst`` object goes through all of them; ``note`` holds the cycles.
    """

    def __init__(self, dut: Any, prefix: str, *, zero_when_idle: tuple[str, ...] = ()) -> None:
        self._bus = Signals(dut, prefix)
        self._prefix = prefix
        self.bus_bytes = self._bus.width("rdata") // 8
        self._zero_when_idle = zero_when_idle
        self.on_read_request: list[Listener] = []
        self.on_write_request: list[Listener] = []
        self.on_write_data: list[Listener] = []
        self.on_done: list[Listener] = []
        self.on_response: list[Callable[[str, tuple[int, ...]], None]] = []
        """Called with channel (``r`` or ``b``) and payload of every beat and response that is handed over."""
        self.responder_lies = False
        """Set for a memory that sends a wrong RLAST, or beats and responses nobody waits for: those are no errors."""
        self.cycle = 0
        self.stalls: defaultdict[str, int] = defaultdict(int)
        self._waiting: dict[str, tuple[int, ...]] = {}
        self._reads: defaultdict[int, deque[Burst]] = defaultdict(deque)
        self._writes: defaultdict[int, deque[Burst]] = defaultdict(deque)
        self._addressed: deque[Burst] = deque()
        self._data: deque[tuple[int, int]] = deque()
        self._under_way = {"read": 0, "write": 0}

    def under_way(self, direction: str) -> int:
        """Bursts of ``read`` or ``write`` whose address was taken and that are not finished."""
        return self._under_way[direction]

    def under_way_with(self, burst: Burst) -> int:
        """Bursts under way in the direction and with the ID of ``burst``."""
        return len((self._writes if burst.write else self._reads)[burst.ident])

    def open_bursts(self) -> list[Burst]:
        """All bursts under way."""
        return [burst for table in (self._reads, self._writes) for queue in table.values() for burst in queue]

    @property
    def drained(self) -> bool:
        """No burst, and no data without an address, is under way."""
        return not (self._under_way["read"] or self._under_way["write"] or self._data)

    def after_edge(self) -> None:
        """A monitor drives nothing."""

    def settled(self, in_reset: bool) -> None:
        """Check this cycle and take what is handed over in it."""
        self.cycle += 1
        bus = self._bus
        if in_reset:
            self._forget()
            return
        for channel, valid, ready in _HANDSHAKES:
            if bus.get(valid):
                self._valid(channel, bus.get(ready))
            else:
                if channel in self._waiting:
                    raise AssertionError(f"{self._prefix}_{channel}valid fell before {channel}ready")
                if channel in self._zero_when_idle and bus.get(f"{channel}data"):
                    raise AssertionError(f"{self._prefix}_{channel}data is not zero while it is not valid")

    def _forget(self) -> None:
        self._waiting.clear()
        self._reads.clear()
        self._writes.clear()
        self._addressed.clear()
        self._data.clear()
        self._under_way = {"read": 0, "write": 0}

    def _valid(self, channel: str, ready: int) -> None:
        bus = self._bus
        payload = tuple(bus.get(name) for name in _PAYLOAD[channel])
        before = self._waiting.get(channel)
        if before is not None and before != payload:
            raise AssertionError(f"the payload of {self._prefix}_{channel} changed before {channel}ready")
        if not ready:
            self._waiting[channel] = payload
            self.stalls[channel] += 1
            return
        self._waiting.pop(channel, None)
        if channel in ("ar", "aw"):
            self._address(channel, payload)
        elif channel == "w":
            self._data.append((payload[0], payload[1]))
            self._match_data()
        else:
            for on_response in self.on_response:
                on_response(channel, payload)
            if channel == "r":
                self._read_beat(*payload)
            else:
                self._write_response(*payload)

    def _address(self, channel: str, payload: tuple[int, ...]) -> None:
        ident, addr, length, size, kind = payload[:5]
        burst = Burst(channel == "aw", ident, addr, length + 1, size, kind)
        burst.note["attributes"] = payload[5:]
        burst.note["requested"] = self.cycle
        if burst.write:
            self._under_way["write"] += 1
            self._writes[ident].append(burst)
            self._addressed.append(burst)
            for listener in self.on_write_request:
                listener(burst)
            self._match_data()
        else:
            self._under_way["read"] += 1
            self._reads[ident].append(burst)
            for listener in self.on_read_request:
                listener(burst)

    def _match_data(self) -> None:
        while self._addressed and self._data:
            burst = self._addressed[0]
            data, strobe = self._data.popleft()
            burst.data.append(data)
            burst.strobes.append(strobe)
            if len(burst.data) == burst.beats:
                self._addressed.popleft()
                burst.note["data_complete"] = True
                for listener in self.on_write_data:
                    listener(burst)

    def _read_beat(self, ident: int, data: int, response: int, last: int) -> None:
        if not self._reads[ident]:
            if self.responder_lies:
                return
            raise AssertionError(f"{self._prefix}: a read beat with ID {ident}, which has no read under way")
        burst = self._reads[ident][0]
        burst.note.setdefault("first", self.cycle)
        burst.data.append(data)
        burst.responses.append(response)
        complete = len(burst.data) == burst.beats
        if bool(last) != complete and not self.responder_lies:
            raise AssertionError(
                f"{self._prefix}: RLAST is {last} on beat {len(burst.data) - 1} of {burst.beats} at {burst.addr:#x}"
            )
        if complete:
            self._reads[ident].popleft()
            self._finish(burst)

    def _write_response(self, ident: int, response: int) -> None:
        if not self._writes[ident]:
            if self.responder_lies:
                return
            raise AssertionError(f"{self._prefix}: a write response with ID {ident}, which has no write under way")
        burst = self._writes[ident].popleft()
        if not burst.note.get("data_complete") and not self.responder_lies:
            raise AssertionError(f"{self._prefix}: the write at {burst.addr:#x} was answered before its last data beat")
        burst.responses.append(response)
        self._finish(burst)

    def _finish(self, burst: Burst) -> None:
        self._under_way["write" if burst.write else "read"] -= 1
        burst.note["finished"] = self.cycle
        for listener in self.on_done:
            listener(burst)
