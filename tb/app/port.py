# SPDX-License-Identifier: Apache-2.0
"""The NPU's side of the AXI4 bus: bulk transfers at full rate, with the cycle of every handshake."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from cocotb.triggers import ReadOnly, RisingEdge
from cocotb.utils import get_sim_time

from tb.signals import Signals

LINE_BYTES = 64
PAGE_BYTES = 4096
OKAY, SLVERR, DECERR = 0, 2, 3
INCR = 1
CLOCK_PERIOD_NS = 10
STUCK_CYCLES = 20_000
STREAM_BEATS = 64
"""A transfer of fewer beats in a direction says nothing about the rate of that direction."""


class BusStuckError(Exception):
    """Nothing moved on the bus for ``STUCK_CYCLES`` cycles although bursts were outstanding."""


@dataclass(slots=True, eq=False)
class Burst:
    """One full-width INCR burst of whole 64-byte lines.

    Attributes:
        addr: byte address, line aligned.
        nbytes: length, a multiple of 64; the burst must not cross 4 KiB.
        data: what a write writes; for a read, what came back, in address order.
        is_write: direction.
        response: highest response code of its beats (read) or its response (write).
        address_cycle: cycle in which its address was taken.
        first_beat_cycle: cycle in which its first data beat was taken.
        done_cycle: cycle in which its last data beat (read) or its response (write) was taken.
    """

    addr: int
    nbytes: int
    data: bytearray = field(default_factory=bytearray)
    is_write: bool = False
    response: int = OKAY
    address_cycle: int = -1
    first_beat_cycle: int = -1
    done_cycle: int = -1


def read_burst(addr: int, nbytes: int) -> Burst:
    """Return a read of ``nbytes`` from ``addr`` on."""
    return Burst(addr, nbytes)


def write_burst(addr: int, data: bytes) -> Burst:
    """Return a write of ``data`` to ``addr``."""
    return Burst(addr, len(data), bytearray(data), is_write=True)


@dataclass
class Traffic:
    """What went over the data channel of one direction.

    Attributes:
        beats: data beats.
        streamed_beats: data beats of transfers of at least ``STREAM_BEATS`` beats.
        cycles: cycles from the first to the last beat, both included, summed over those transfers.
    """

    beats: int = 0
    streamed_beats: int = 0
    cycles: int = 0

    def add(self, beats: int, cycles: int) -> None:
        """Count the beats of one transfer, and the cycles from its first to its last beat."""
        self.beats += beats
        if beats >= STREAM_BEATS:
            self.streamed_beats += beats
            self.cycles += cycles

    @property
    def beats_per_cycle(self) -> float | None:
        """Share of those cycles in which a beat moved, to four decimals; None if no transfer was long enough."""
        return round(self.streamed_beats / self.cycles, 4) if self.cycles else None


class _BeatClock:
    """First and last beat of one direction in one transfer."""

    def __init__(self) -> None:
        self.beats = 0
        self.first = -1
        self.last = -1

    def tick(self, cycle: int) -> None:
        if not self.beats:
            self.first = cycle
        self.last = cycle
        self.beats += 1

    def add_to(self, traffic: Traffic) -> None:
        if self.beats:
            traffic.add(self.beats, self.last - self.first + 1)


class NpuPort:
    """AXI4 manager on ``s_axi_*`` of ``dut`` that is always ready and never idle while it has something to send.

    Signals are driven after the rising edge and sampled in ``ReadOnly``, so that what is sampled is what the next
    rising edge sees, on every simulator. Bursts of one direction are issued in the order given, with IDs in rotation;
    several are outstanding at a time, as many as the design takes. Write data is offered independently of the write
    address.

    Args:
        dut: cocotb handle of a design with ``clk`` and ``s_axi_*``.
        ids: number of IDs to rotate through.
    """

    def __init__(self, dut: Any, ids: int = 1) -> None:
        self._clock = dut.clk
        self._bus = Signals(dut, "s_axi")
        self.bus_bytes = self._bus.width("rdata") // 8
        self._size = self.bus_bytes.bit_length() - 1
        self._ids = min(ids, 1 << self._bus.width("arid"))
        self.reads = Traffic()
        self.writes = Traffic()
        for channel in ("ar", "aw"):
            for name in ("id", "addr", "len", "lock", "cache", "prot", "qos", "valid"):
                self._bus.put(channel + name, 0)
            self._bus.put(f"{channel}size", self._size)
            self._bus.put(f"{channel}burst", INCR)
        for name in ("wdata", "wstrb", "wlast", "wvalid", "rready", "bready"):
            self._bus.put(name, 0)

    async def transfer(self, bursts: Iterable[Burst]) -> None:
        """Carry out reads and writes concurrently; returns after the last response was taken.

        Results are in the bursts. Error responses are results too, not exceptions.

        Raises:
            BusStuckError: the design stopped answering.
            ValueError: a burst is not made of whole lines or crosses 4 KiB.
        """
        todo = list(bursts)
        for burst in todo:
            _check(burst)
        await _Transfer(self._bus, self._clock, self.bus_bytes, self._ids, todo, self.reads, self.writes).run()


def _check(burst: Burst) -> None:
    if burst.addr % LINE_BYTES or burst.nbytes % LINE_BYTES or burst.nbytes == 0:
        raise ValueError(f"burst of {burst.nbytes} bytes at {burst.addr:#x} is not made of whole lines")
    if burst.addr // PAGE_BYTES != (burst.addr + burst.nbytes - 1) // PAGE_BYTES:
        raise ValueError(f"burst of {burst.nbytes} bytes at {burst.addr:#x} crosses 4 KiB")


class _Transfer:
    """One call of ``NpuPort.transfer``."""

    def __init__(
        self,
        bus: Signals,
        clock: Any,
        bus_bytes: int,
        ids: int,
        bursts: Sequence[Burst],
        reads: Traffic,
        writes: Traffic,
    ) -> None:
        self._bus, self._clock, self._bytes, self._ids = bus, clock, bus_bytes, ids
        self._addresses = {
            "ar": deque(burst for burst in bursts if not burst.is_write),
            "aw": deque(burst for burst in bursts if burst.is_write),
        }
        self._beats = self._write_beats([burst for burst in bursts if burst.is_write])
        self._open: dict[str, list[deque[Burst]]] = {
            "ar": [deque() for _ in range(ids)],
            "aw": [deque() for _ in range(ids)],
        }
        self._next_id = {"ar": 0, "aw": 0}
        self._left = len(bursts)
        self._traffic = reads, writes
        self._clocks = _BeatClock(), _BeatClock()

    def _write_beats(self, bursts: Sequence[Burst]) -> deque[tuple[int, Burst, bool]]:
        beats: deque[tuple[int, Burst, bool]] = deque()
        for burst in bursts:
            for start in range(0, burst.nbytes, self._bytes):
                value = int.from_bytes(burst.data[start : start + self._bytes], "little")
                beats.append((value, burst, start + self._bytes == burst.nbytes))
        return beats

    def _show_address(self, channel: str) -> None:
        queue, put = self._addresses[channel], self._bus.put
        put(f"{channel}valid", int(bool(queue)))
        if queue:
            burst = queue[0]
            put(f"{channel}id", self._next_id[channel])
            put(f"{channel}addr", burst.addr)
            put(f"{channel}len", burst.nbytes // self._bytes - 1)

    def _show_data(self) -> None:
        put = self._bus.put
        if self._beats:
            value, _, last = self._beats[0]
            put("wdata", value)
            put("wstrb", (1 << self._bytes) - 1)
            put("wlast", int(last))
            put("wvalid", 1)
        else:
            for name in ("wvalid", "wdata", "wstrb", "wlast"):
                put(name, 0)

    def _take_address(self, channel: str, cycle: int) -> None:
        burst = self._addresses[channel].popleft()
        burst.address_cycle = cycle
        self._open[channel][self._next_id[channel]].append(burst)
        self._next_id[channel] = (self._next_id[channel] + 1) % self._ids

    def _take_read_beat(self, cycle: int) -> None:
        get = self._bus.get
        queue = self._open["ar"][get("rid") % self._ids]
        burst = queue[0]
        if not burst.data:
            burst.first_beat_cycle = cycle
        burst.data += get("rdata").to_bytes(self._bytes, "little")
        burst.response = max(burst.response, get("rresp"))
        self._clocks[0].tick(cycle)
        if len(burst.data) == burst.nbytes:
            burst.done_cycle = cycle
            queue.popleft()
            self._left -= 1

    def _take_response(self, cycle: int) -> None:
        burst = self._open["aw"][self._bus.get("bid") % self._ids].popleft()
        burst.response = self._bus.get("bresp")
        burst.done_cycle = cycle
        self._left -= 1

    def _sample(self, cycle: int) -> bool:
        """Take what moves in this cycle; says whether something moved."""
        get = self._bus.get
        moved = False
        for channel in ("ar", "aw"):
            if self._addresses[channel] and get(f"{channel}ready"):
                self._take_address(channel, cycle)
                moved = True
        if self._beats and get("wready"):
            _, burst, _ = self._beats.popleft()
            if burst.first_beat_cycle < 0:
                burst.first_beat_cycle = cycle
            self._clocks[1].tick(cycle)
            moved = True
        if get("rvalid"):
            self._take_read_beat(cycle)
            moved = True
        if get("bvalid"):
            self._take_response(cycle)
            moved = True
        return moved

    async def run(self) -> None:
        edge, settled = RisingEdge(self._clock), ReadOnly()
        await edge
        cycle = round(get_sim_time("ns")) // CLOCK_PERIOD_NS
        moved_at = cycle
        self._bus.put("rready", 1)
        self._bus.put("bready", 1)
        while self._left:
            self._show_address("ar")
            self._show_address("aw")
            self._show_data()
            await settled
            if self._sample(cycle):
                moved_at = cycle
            elif cycle - moved_at > STUCK_CYCLES:
                raise BusStuckError(f"nothing moved for {STUCK_CYCLES} cycles, {self._left} bursts are outstanding")
            await edge
            cycle += 1
        for channel in ("ar", "aw"):
            self._show_address(channel)
        self._show_data()
        self._bus.put("rready", 0)
        self._bus.put("bready", 0)
        for traffic, clock in zip(self._traffic, self._clocks, strict=True):
            clock.add_to(traffic)
