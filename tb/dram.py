# SPDX-License-Identifier: Apache-2.0
"""AXI4 subordinate that behaves like an untrusted DRAM: latency, stalls, reordering, errors, tampering."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal, NamedTuple

from tb.memory import LINE_BYTES, SparseMemory
from tb.signals import Signals
from tb.ticker import Ticker

OKAY, EXOKAY, SLVERR, DECERR = 0, 1, 2, 3
FIXED, INCR, WRAP = 0, 1, 2

Latency = int | tuple[int, int] | Callable[[Random], int]
Access = Literal["read", "write", "both"]


@dataclass
class DramTiming:
    """How the memory answers; every field may be changed while the simulation runs.

    A latency is in cycles from the address handshake (reads) or the last data handshake (writes) to the first cycle in
    which the response can be taken, at least 1: a number, an inclusive range, or a function of a random generator.
    Stalls and idles are probabilities per cycle, 0 .. 1 excluded.
    """

    read_latency: Latency = 20
    write_latency: Latency = 4
    ar_stall: float = 0.0
    aw_stall: float = 0.0
    w_stall: float = 0.0
    r_idle: float = 0.0
    b_idle: float = 0.0
    reorder: bool = False
    """Bursts of different IDs may overtake each other."""
    interleave: bool = False
    """Read beats of bursts of different IDs may be mixed."""
    write_order: Literal["any", "aw_first", "w_first"] = "any"
    """Whether the memory takes data before addresses, only after, or addresses only when it sees data."""
    wrong_last: bool = False
    """RLAST is inverted: a memory that lies about the end of a burst."""


class WriteBeat(NamedTuple):
    """One data beat of a write as it went over the bus."""

    cycle: int
    addr: int
    data: int
    strobe: int
    burst: int


@dataclass
class DramStatistics:
    """Counts since the start of the simulation."""

    read_bursts: int = 0
    read_beats: int = 0
    write_bursts: int = 0
    write_beats: int = 0
    overtaken: int = 0
    interleaved: int = 0


class _ErrorRange(NamedTuple):
    first: int
    last: int
    response: int
    access: Access


@dataclass(slots=True, eq=False)
class MemoryBurst:
    """A burst that the memory has accepted."""

    ident: int
    addr: int
    beats: int
    size: int
    kind: int
    serial: int
    due: int = 0
    done: int = 0
    response: int = OKAY

    def beat_address(self, number: int) -> int:
        """Byte address of a beat, AXI4 section A3.4.1; not aligned for the first beat of an unaligned burst."""
        nbytes = 1 << self.size
        if self.kind == FIXED or number == 0:
            return self.addr
        addr = (self.addr & -nbytes) + number * nbytes
        if self.kind == WRAP:
            total = nbytes * self.beats
            lower = self.addr & -total
            return lower + (addr - lower) % total
        return addr


@dataclass(slots=True)
class _Queues:
    reads: list[MemoryBurst] = field(default_factory=list)
    writes: deque[MemoryBurst] = field(default_factory=deque)
    data: deque[tuple[int, int, bool]] = field(default_factory=deque)
    responses: list[MemoryBurst] = field(default_factory=list)


class Dram:
    """AXI4 subordinate memory on the signals ``<prefix>_aw*`` .. ``<prefix>_r*`` of ``dut``.

    Besides serving the bus it checks it: VALID and payload stay until READY, no burst crosses 4 KiB, WLAST is where
    AWLEN says, no X or Z where a value is valid and, with ``lines_only``, only full-width INCR bursts of whole 64-byte
    lines. A violation raises ``AssertionError`` and fails the test. A high ``rst`` empties the write queues, and the
    read queues too unless ``keep_reads_in_reset`` (a memory that is not reset together with the engine).

    Args:
        dut: cocotb handle.
        prefix: start of the signal names, ``m_axi``.
        clock: handle of the clock.
        reset: handle of the synchronous active-high reset.
        memory: image to serve; a fresh one without this argument.
        timing: see ``DramTiming``.
        seed: of every random choice of this memory.
        lines_only: check that the manager keeps to whole lines, as the engine promises.
        log_writes: keep every write beat in ``write_log``.
        depth: bursts of each direction, and data beats of writes, that are accepted before the memory stalls.
    """

    honest = True
    """It answers what was asked, from its cells."""

    def __init__(
        self,
        dut: Any,
        prefix: str = "m_axi",
        *,
        clock: Any = None,
        reset: Any = None,
        memory: SparseMemory | None = None,
        timing: DramTiming | None = None,
        seed: int = 0,
        lines_only: bool = False,
        log_writes: bool = False,
        depth: int = 64,
    ) -> None:
        self.memory = memory if memory is not None else SparseMemory()
        self.timing = timing if timing is not None else DramTiming()
        self.statistics = DramStatistics()
        self.write_log: list[WriteBeat] = []
        self.on_written: list[Callable[[], None]] = []
        """Called when the last beat of a write is stored."""
        self.log_writes = log_writes
        self.keep_reads_in_reset = False
        self.cycle = 0
        self._clock = clock if clock is not None else dut.clk
        self._reset = reset if reset is not None else dut.rst
        self._bus = Signals(dut, prefix)
        self._bytes = self._bus.width("rdata") // 8
        self._size = self._bytes.bit_length() - 1
        self._all_strobes = (1 << self._bytes) - 1
        self._rng = Random(seed)
        self._lines_only = lines_only
        self._depth = depth
        self._errors: list[_ErrorRange] = []
        self._queues = _Queues()
        self._serial = 0
        self._current: MemoryBurst | None = None
        self._response: MemoryBurst | None = None
        self._pending: dict[str, tuple[int, ...]] = {}
        self._ready = {"aw": 0, "w": 0, "ar": 0}
        self._ticker: Ticker | None = None

    # What a test does with it -----------------------------------------------------------------------------------------

    def start(self, ticker: Ticker | None = None) -> None:
        """Begin to serve the bus, called by ``ticker``, or by an own loop over the clock without one."""
        for name in ("awready", "wready", "arready", "bvalid", "bid", "bresp"):
            self._bus.put(name, 0)
        for name in ("rvalid", "rid", "rdata", "rresp", "rlast"):
            self._bus.put(name, 0)
        if ticker is None:
            ticker = self._ticker = Ticker(self._clock, self._reset)
            ticker.start()
        ticker.add(self)

    def stop(self) -> None:
        """Stop serving the bus; for a memory that was started without a ticker."""
        if self._ticker is not None:
            self._ticker.stop()
            self._ticker = None

    @property
    def idle(self) -> bool:
        """No burst is under way in the memory."""
        queues = self._queues
        return not (queues.reads or queues.writes or queues.data or queues.responses)

    def read(self, addr: int, nbytes: int) -> bytes:
        """Return the cells from ``addr`` on."""
        return self.memory.peek(addr, nbytes)

    def write(self, addr: int, data: bytes) -> None:
        """Set the cells from ``addr`` on."""
        self.memory.poke(addr, data)

    def fail(self, addr: int, nbytes: int, response: int = SLVERR, access: Access = "both") -> None:
        """Answer accesses to an area with an error from now on; writes to it change nothing."""
        if response not in (SLVERR, DECERR):
            raise ValueError(f"{response} is not an error response, use SLVERR (2) or DECERR (3)")
        self._errors.append(_ErrorRange(addr, addr + nbytes - 1, response, access))

    def fail_nothing(self) -> None:
        """End all error areas."""
        self._errors.clear()

    def error_response(self, addr: int, nbytes: int, access: Access) -> int:
        """Return the response to an access: OKAY, or that of the first error area it touches."""
        for area in self._errors:
            if area.first < addr + nbytes and addr <= area.last and area.access in (access, "both"):
                return area.response
        return OKAY

    # Serving ----------------------------------------------------------------------------------------------------------

    def after_edge(self) -> None:
        """Drive the outputs of this cycle."""
        self.cycle += 1
        self._drive(self._ready)

    def settled(self, in_reset: bool) -> None:
        """Sample the bus: take addresses and data, and see what the manager has taken."""
        bus, ready = self._bus, self._ready
        if in_reset:
            self._in_reset()
            return
        if bus.get("arvalid"):
            self._address("ar", ready["ar"])
        elif "ar" in self._pending:
            raise AssertionError("ARVALID fell before ARREADY")
        if bus.get("awvalid"):
            self._address("aw", ready["aw"])
        elif "aw" in self._pending:
            raise AssertionError("AWVALID fell before AWREADY")
        if bus.get("wvalid"):
            self._data(ready["w"])
        elif "w" in self._pending:
            raise AssertionError("WVALID fell before WREADY")
        self._take_write_data()
        current = self._current
        if current is not None and bus.get("rready"):
            self._current = None
            self._beat_taken(current)
        response = self._response
        if response is not None and bus.get("bready"):
            self._response = None
            self._response_taken(response)

    def _beat_taken(self, burst: MemoryBurst) -> None:
        burst.done += 1
        self.statistics.read_beats += 1
        if burst.done == burst.beats:
            self._queues.reads.remove(burst)

    def _response_taken(self, burst: MemoryBurst) -> None:
        self._queues.responses.remove(burst)

    def _in_reset(self) -> None:
        self._queues.writes.clear()
        self._queues.data.clear()
        self._queues.responses.clear()
        self._pending.clear()
        if not self.keep_reads_in_reset:
            self._queues.reads.clear()
        self._current = self._response = None

    def _drive(self, ready: dict[str, int]) -> None:
        bus, timing, queues, random = self._bus, self.timing, self._queues, self._rng.random
        sees_data = "w" in self._pending or bool(queues.data)
        ready["ar"] = int(len(queues.reads) < self._depth and not (timing.ar_stall and random() < timing.ar_stall))
        ready["aw"] = int(
            len(queues.writes) + len(queues.responses) < self._depth
            and not (timing.aw_stall and random() < timing.aw_stall)
            and (timing.write_order != "w_first" or sees_data)
        )
        ready["w"] = int(
            len(queues.data) < self._depth
            and not (timing.w_stall and random() < timing.w_stall)
            and (timing.write_order != "aw_first" or self._expects_data())
        )
        bus.put("arready", ready["ar"])
        bus.put("awready", ready["aw"])
        bus.put("wready", ready["w"])
        if self._current is None:
            self._next_read_beat()
        if self._response is None:
            self._next_response()

    def _expects_data(self) -> bool:
        return bool(self._queues.writes)

    def _eligible(self, bursts: list[MemoryBurst]) -> list[MemoryBurst]:
        """The oldest burst of each ID, if its time has come."""
        seen: set[int] = set()
        eligible = []
        for burst in bursts:
            if burst.ident in seen:
                continue
            seen.add(burst.ident)
            if burst.due <= self.cycle:
                eligible.append(burst)
        return eligible

    def _choose(self, bursts: list[MemoryBurst]) -> MemoryBurst | None:
        if not self.timing.reorder:
            return bursts[0] if bursts and bursts[0].due <= self.cycle else None
        eligible = self._eligible(bursts)
        if not eligible:
            return None
        chosen = self._rng.choice(eligible)
        self.statistics.overtaken += chosen is not bursts[0]
        return chosen

    def _next_read_beat(self) -> None:
        bus, timing = self._bus, self.timing
        burst = None
        if not (timing.r_idle and self._rng.random() < timing.r_idle):
            burst = self._choose_read()
        self._current = burst
        if burst is None:
            for name in ("rvalid", "rid", "rdata", "rresp", "rlast"):
                bus.put(name, 0)
            return
        data, response, last = self._beat(burst)
        bus.put("rvalid", 1)
        bus.put("rid", burst.ident)
        bus.put("rdata", data)
        bus.put("rresp", response)
        bus.put("rlast", int(last))

    def _choose_read(self) -> MemoryBurst | None:
        reads = self._queues.reads
        started = next((item for item in reads if item.done), None)
        if not self.timing.interleave:
            return started if started is not None else self._choose(reads)
        eligible = self._eligible(reads)
        burst = self._rng.choice(eligible) if eligible else None
        self.statistics.interleaved += burst is not None and started is not None and burst is not started
        return burst

    def _beat(self, burst: MemoryBurst) -> tuple[int, int, bool]:
        """RDATA, RRESP and RLAST of the next beat of a burst."""
        addr = burst.beat_address(burst.done) & -self._bytes
        response = self.error_response(addr, self._bytes, "read")
        data = int.from_bytes(self.memory.read(addr, self._bytes), "little")
        return data, response, (burst.done == burst.beats - 1) != self.timing.wrong_last

    def _choose_response(self) -> MemoryBurst | None:
        return self._choose(self._queues.responses)

    def _next_response(self) -> None:
        bus, timing = self._bus, self.timing
        burst = None
        if not (timing.b_idle and self._rng.random() < timing.b_idle):
            burst = self._choose_response()
        bus.put("bvalid", int(burst is not None))
        bus.put("bid", burst.ident if burst is not None else 0)
        bus.put("bresp", self._response_code(burst) if burst is not None else OKAY)
        self._response = burst

    def _response_code(self, burst: MemoryBurst) -> int:
        """BRESP of a write."""
        return burst.response

    # Accepting --------------------------------------------------------------------------------------------------------

    def _stable(self, channel: str, payload: tuple[int, ...], ready: int) -> None:
        before = self._pending.get(channel)
        if before is not None and before != payload:
            shown = ", ".join(f"{value:#x}" for value in before), ", ".join(f"{value:#x}" for value in payload)
            raise AssertionError(f"{channel} payload changed before {channel}ready: ({shown[0]}) became ({shown[1]})")
        if ready:
            self._pending.pop(channel, None)
        else:
            self._pending[channel] = payload

    def _address(self, channel: str, ready: int) -> None:
        bus = self._bus
        ident, addr, length = bus.get(f"{channel}id"), bus.get(f"{channel}addr"), bus.get(f"{channel}len")
        size, kind = bus.get(f"{channel}size"), bus.get(f"{channel}burst")
        self._stable(channel, (ident, addr, length, size, kind), ready)
        if not ready:
            return
        burst = MemoryBurst(ident, addr, length + 1, size, kind, self._serial)
        self._serial += 1
        self._check_burst(channel, burst)
        if channel == "ar":
            burst.due = self.cycle + self._latency(self.timing.read_latency)
            self._queues.reads.append(burst)
            self.statistics.read_bursts += 1
        else:
            self._queues.writes.append(burst)
            self.statistics.write_bursts += 1

    def _check_burst(self, channel: str, burst: MemoryBurst) -> None:
        where = f"{channel} burst at {burst.addr:#x} of {burst.beats} beats of {1 << burst.size} bytes"
        if burst.size > self._size:
            raise AssertionError(f"{where} is wider than the bus")
        if burst.kind not in (FIXED, INCR, WRAP):
            raise AssertionError(f"{where} has the reserved burst type 3")
        last = burst.beat_address(burst.beats - 1) | ((1 << burst.size) - 1)
        if burst.kind == INCR and burst.addr // 4096 != last // 4096:
            raise AssertionError(f"{where} crosses a 4 KiB boundary")
        if self._lines_only:
            if burst.kind != INCR or burst.size != self._size:
                raise AssertionError(f"{where} is not a full-width INCR burst")
            if burst.addr % LINE_BYTES or (burst.beats * self._bytes) % LINE_BYTES:
                raise AssertionError(f"{where} does not consist of whole lines")

    def _data(self, ready: int) -> None:
        bus = self._bus
        payload = (bus.get("wdata"), bus.get("wstrb"), bus.get("wlast"))
        self._stable("w", payload, ready)
        if ready:
            self._queues.data.append((payload[0], payload[1], bool(payload[2])))

    def _take_write_data(self) -> None:
        queues = self._queues
        while queues.writes and queues.data:
            burst = queues.writes[0]
            data, strobe, last = queues.data.popleft()
            expected = burst.done == burst.beats - 1
            if last != expected:
                raise AssertionError(f"WLAST is {int(last)} on beat {burst.done} of {burst.beats} at {burst.addr:#x}")
            addr = burst.beat_address(burst.done) & -self._bytes
            response = self.error_response(addr, self._bytes, "write")
            if response == OKAY:
                self._store(addr, data, strobe)
            else:
                burst.response = response
            self.statistics.write_beats += 1
            if self.log_writes:
                self.write_log.append(WriteBeat(self.cycle, addr, data, strobe, burst.serial))
            burst.done += 1
            if expected:
                queues.writes.popleft()
                self._stored(burst)
                for listener in self.on_written:
                    listener()

    def _stored(self, burst: MemoryBurst) -> None:
        """All data of a write is there."""
        burst.due = self.cycle + self._latency(self.timing.write_latency)
        self._queues.responses.append(burst)

    def _store(self, addr: int, data: int, strobe: int) -> None:
        raw = data.to_bytes(self._bytes, "little")
        if strobe == self._all_strobes:
            self.memory.write(addr, raw)
            return
        for index in range(self._bytes):
            if strobe >> index & 1:
                self.memory.write(addr + index, raw[index : index + 1])

    def _latency(self, latency: Latency) -> int:
        if isinstance(latency, tuple):
            return self._rng.randint(*latency)
        cycles = latency(self._rng) if callable(latency) else latency
        if cycles < 1:
            raise ValueError(f"a latency of {cycles} cycles is below 1")
        return cycles
