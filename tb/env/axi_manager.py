# SPDX-License-Identifier: Apache-2.0
"""AXI4 manager that can issue every burst the protocol can encode, legal or not, with any timing."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass
from random import Random
from typing import Any, Literal

from tb.env.bursts import Burst, attributes
from tb.signals import Signals
from tb.ticker import Ticker


@dataclass
class ManagerTiming:
    """When the manager is busy; probabilities per cycle, 0 .. 1 excluded. May be changed while the simulation runs."""

    ar_idle: float = 0.0
    aw_idle: float = 0.0
    w_idle: float = 0.0
    r_stall: float = 0.0
    b_stall: float = 0.0
    write_order: Literal["together", "data_first", "address_first"] = "together"
    """``data_first``: AWVALID rises some cycles after the first WVALID of the burst, whether or not the data is taken
    (a manager must not wait for WREADY). ``address_first``: WVALID rises when the address was taken."""
    data_lead: int = 24
    """``data_first``: the longest time in cycles by which data comes before its address."""


class AxiManager:
    """Drives ``<prefix>_*`` of ``dut``; data of a burst goes out in the order of ``issue``, as AXI4 demands.

    Args:
        dut: cocotb handle.
        prefix: start of the signal names.
        seed: of the random timing.
        timing: see ``ManagerTiming``.
    """

    def __init__(self, dut: Any, prefix: str = "s_axi", *, seed: int = 0, timing: ManagerTiming | None = None) -> None:
        self.timing = timing if timing is not None else ManagerTiming()
        self._bus = Signals(dut, prefix)
        self.bus_bytes = self._bus.width("rdata") // 8
        self.id_count = 1 << self._bus.width("arid")
        self._rng = Random(seed)
        self._requests: dict[str, deque[Burst]] = {"ar": deque(), "aw": deque()}
        self._data: deque[tuple[Burst, int]] = deque()
        self._shown: dict[str, Burst | None] = {"ar": None, "aw": None}
        self._shown_data: tuple[Burst, int] | None = None
        self._reads: defaultdict[int, deque[Burst]] = defaultdict(deque)
        self._writes: defaultdict[int, deque[Burst]] = defaultdict(deque)
        self._open: set[Burst] = set()
        self._finished: list[Burst] = []

    def start(self, ticker: Ticker) -> None:
        """Begin to drive the bus, all channels idle at first."""
        bus = self._bus
        for channel in ("ar", "aw"):
            self._show_address(channel, None)
        for name in ("wvalid", "wdata", "wstrb", "wlast", "rready", "bready"):
            bus.put(name, 0)
        ticker.add(self)

    @property
    def outstanding(self) -> int:
        """Number of bursts that were issued and are not finished."""
        return len(self._open)

    def issue(self, burst: Burst) -> None:
        """Queue a burst; ``burst.done`` is set when its last response has come."""
        if burst.write and not len(burst.data) == len(burst.strobes) == burst.beats:
            raise ValueError(f"a write of {burst.beats} beats needs as many data words and strobes")
        self._open.add(burst)
        self._requests["aw" if burst.write else "ar"].append(burst)
        if burst.write:
            self._data.extend((burst, number) for number in range(burst.beats))

    def abandon(self) -> None:
        """Forget every burst (the engine is in reset); who waits for one is woken and sees incomplete responses."""
        for queue in self._requests.values():
            queue.clear()
        self._data.clear()
        self._reads.clear()
        self._writes.clear()
        self._shown = {"ar": None, "aw": None}
        self._shown_data = None
        for burst in self._open:
            burst.done.set()
        self._open.clear()

    def after_edge(self) -> None:
        """Drive the outputs of this cycle."""
        # Who waits for a burst is woken here, where signals may be driven, not after ReadOnly.
        for burst in self._finished:
            burst.done.set()
        self._finished.clear()
        self._drive()

    def settled(self, in_reset: bool) -> None:
        """Sample the bus: see what was taken, take responses."""
        if in_reset:
            return
        bus = self._bus
        for channel in ("ar", "aw"):
            shown = self._shown[channel]
            if shown is not None and bus.get(f"{channel}ready"):
                shown.note["address_taken"] = True
                self._requests[channel].popleft()
                (self._writes if shown.write else self._reads)[shown.ident].append(shown)
                self._shown[channel] = None
        if self._shown_data is not None and bus.get("wready"):
            burst, number = self._data.popleft()
            if number == burst.beats - 1:
                burst.note["data_taken"] = True
            self._shown_data = None
        if bus.get("rready") and bus.get("rvalid"):
            self._read_beat()
        if bus.get("bready") and bus.get("bvalid"):
            self._write_response()

    def _drive(self) -> None:
        bus, timing, random = self._bus, self.timing, self._rng.random
        for channel, idle in (("ar", timing.ar_idle), ("aw", timing.aw_idle)):
            if self._shown[channel] is None:
                queue = self._requests[channel]
                burst = queue[0] if queue and not (idle and random() < idle) else None
                if burst is not None and burst.write and timing.write_order == "data_first":
                    burst = burst if self._data_leads(burst) else None
                self._show_address(channel, burst)
                self._shown[channel] = burst
        if self._shown_data is None:
            item = self._data[0] if self._data and not (timing.w_idle and random() < timing.w_idle) else None
            if item is not None and timing.write_order == "address_first" and not item[0].note.get("address_taken"):
                item = None
            self._shown_data = item
            if item is not None:
                item[0].note["data_shown"] = True
            bus.put("wvalid", int(item is not None))
            bus.put("wdata", item[0].data[item[1]] if item is not None else 0)
            bus.put("wstrb", item[0].strobes[item[1]] if item is not None else 0)
            bus.put("wlast", int(item is not None and item[1] == item[0].beats - 1))
        bus.put("rready", int(not (timing.r_stall and random() < timing.r_stall)))
        bus.put("bready", int(not (timing.b_stall and random() < timing.b_stall)))

    def _data_leads(self, burst: Burst) -> bool:
        """Count down the lead of the data of a burst; says whether its address may come."""
        if not burst.note.get("data_shown"):
            return False
        lead = burst.note.setdefault("lead", self._rng.randint(1, self.timing.data_lead))
        burst.note["lead"] = lead - 1
        return bool(lead <= 0)

    def _show_address(self, channel: str, burst: Burst | None) -> None:
        bus = self._bus
        bus.put(f"{channel}valid", int(burst is not None))
        bus.put(f"{channel}id", burst.ident if burst is not None else 0)
        bus.put(f"{channel}addr", burst.addr if burst is not None else 0)
        bus.put(f"{channel}len", burst.beats - 1 if burst is not None else 0)
        bus.put(f"{channel}size", burst.size if burst is not None else 0)
        bus.put(f"{channel}burst", burst.kind if burst is not None else 0)
        values = attributes(burst.ident) if burst is not None else (0, 0, 0, 0)
        for name, value in zip(("lock", "cache", "prot", "qos"), values, strict=True):
            bus.put(channel + name, value)

    def _read_beat(self) -> None:
        bus = self._bus
        ident = bus.get("rid")
        if not self._reads[ident]:
            raise AssertionError(f"a read beat with ID {ident}, which has no read under way")
        burst = self._reads[ident][0]
        burst.data.append(bus.get("rdata"))
        burst.responses.append(bus.get("rresp"))
        last = len(burst.data) == burst.beats
        if bus.get("rlast") != last:
            raise AssertionError(f"RLAST is {int(not last)} on beat {len(burst.data) - 1} of {burst.beats}")
        if last:
            self._finish(self._reads[ident].popleft())

    def _write_response(self) -> None:
        bus = self._bus
        ident = bus.get("bid")
        if not self._writes[ident]:
            raise AssertionError(f"a write response with ID {ident}, which has no write under way")
        burst = self._writes[ident].popleft()
        if not burst.note.get("data_taken"):
            raise AssertionError(f"the write at {burst.addr:#x} was answered before its last data beat")
        burst.responses.append(bus.get("bresp"))
        self._finish(burst)

    def _finish(self, burst: Burst) -> None:
        self._open.discard(burst)
        self._finished.append(burst)
