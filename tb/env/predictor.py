# SPDX-License-Identifier: Apache-2.0
"""Predictor: the golden model's engine, fed with what the monitors see, says what the RTL must answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pyuvm import uvm_component
from tensortee.engine import BurstUnderWayError, Engine, ReadRequest, WriteRequest
from tensortee.engine.registers import FaultCause, Result, SlotState

from tb.dram import Dram
from tb.env.backdoor import SlotView
from tb.env.bench_error import BenchError
from tb.env.bursts import EXOKAY, OKAY, SLVERR, Burst
from tb.env.control_agent import Command
from tb.env.ledger import Entry, Ledger
from tb.memory import SparseMemory


@dataclass(frozen=True)
class Expected:
    """What a burst must give.

    Attributes:
        responses: RRESP of each beat, or the one BRESP.
        data: read data of each beat on the lanes of the bus; empty for writes.
        cause: why it is refused or failed.
        forwarded: it reaches the memory.
        end: address behind the last byte of the tensor; writes store zero from there on.
    """

    responses: list[int]
    data: list[int]
    cause: FaultCause
    forwarded: bool
    end: int


class MirroredMemory(SparseMemory):
    """The model's own memory, with the error areas of the simulated one."""

    def __init__(self, dram: Dram) -> None:
        super().__init__()
        self._dram = dram

    def error(self, addr: int, nbytes: int, write: bool) -> int:
        """Return the response to an access, OKAY (0) or an error."""
        return self._dram.error_response(addr, nbytes, "write" if write else "read")


class Predictor(uvm_component):
    """Runs the golden model beside the RTL.

    What a read returns follows from the beats that the memory delivers, whatever they are, and what a write answers
    from its response: both are attributed by the rule of AXI4 (in order of request for each ID), in the cycle in which
    the engine takes them. A beat that is taken must be owed to a read, a beat that is dropped must not be owed to a
    read that the memory has accepted; in between, either is right. From an honest memory the beats must be those of
    its image.

    Attributes:
        corrupt: invert a bit of every read beat, for a test that must fail.
        told: what the memory delivered is followed; if not, its image without errors, for a test that must fail.
        on_known: called with each burst whose outcome is known from now on.
    """

    def __init__(self, name: str, parent: Any, *, dram: Dram, parameters: dict[str, int]) -> None:
        super().__init__(name, parent)
        self.bus_bytes = parameters["DATA_W"] // 8
        self._dram = dram
        self.memory = MirroredMemory(dram)
        self.engine = Engine(
            self.memory,
            data_w=parameters["DATA_W"],
            key_bits=parameters["KEY_W"],
            addr_w=parameters["ADDR_W"],
            slots=parameters["SLOTS"],
            map_words=parameters["MAP_WORDS"],
            version_w=parameters["VERSION_W"],
            owner=parameters["OWNER"],
        )
        self.corrupt = False
        self.told = True
        self.on_known: list[Callable[[Burst], None]] = []
        self.reads: Ledger[ReadRequest] = Ledger(self._read_refused)
        self.writes: Ledger[WriteRequest] = Ledger(self._write_refused)

    # Reads ------------------------------------------------------------------------------------------------------------

    def read_request(self, burst: Burst) -> None:
        """Decide on a read when its address is taken."""
        request = self.engine.request_read(burst.addr, burst.beats, burst.size, burst.kind)
        if request.forwarded:
            parts = [(start, (end - start) // self.bus_bytes) for start, end in request.parts]
            self.reads.add(burst, request, parts)
        else:
            self._read_known(burst, request)

    def read_beat(self, ident: int, word: int, response: int, taken: bool) -> None:
        """The engine takes a beat of the memory, or drops it."""
        entry = self.reads.next(ident)
        if not taken:
            if entry is not None and entry.request.owed > entry.unseen:
                raise BenchError(f"a beat with ID {ident} was dropped that is owed to {entry.burst}")
            return
        if entry is None:
            raise BenchError(f"a beat with ID {ident} was taken that is owed to no read")
        request = entry.request
        if self._dram.honest or not self.told:
            at = request.addresses[-request.owed]
            stored = int.from_bytes(self.memory.read(at, self.bus_bytes), "little")
            error = self.memory.error(at, self.bus_bytes, False) if self.told else OKAY
            if self.told and (word, response) != (stored, error):
                raise BenchError(f"the honest memory sent {word:#x} from {at:#x}, its image is {stored:#x} ({error})")
            word, response = stored, error
        self.engine.deliver(request, word, response)
        if not request.owed:
            self.reads.done(entry)
            self._read_known(entry.burst, request)

    def _read_known(self, burst: Burst, request: ReadRequest) -> None:
        data, responses = self.engine.finish_read(request)
        if self.corrupt:
            data = [word ^ 1 for word in data]
        cause = FaultCause.MEM_READ if request.forwarded and any(responses) else request.cause
        self._known(burst, Expected(responses, data, cause, request.forwarded, 0))

    def _read_refused(self, entry: Entry[ReadRequest]) -> None:
        beats = entry.burst.beats
        self.engine.withdraw(entry.request)
        self._known(entry.burst, Expected([SLVERR] * beats, [0] * beats, FaultCause.NOT_READY, False, 0))

    # Writes -----------------------------------------------------------------------------------------------------------

    def write_request(self, burst: Burst) -> None:
        """Decide on a write when its address is taken."""
        request = self.engine.request_write(burst.addr, burst.beats, burst.size, burst.kind)
        burst.note["request"] = request
        if request.forwarded:
            self.writes.add(burst, request, [(burst.addr, burst.beats)])

    def write_data(self, burst: Burst) -> None:
        """All data of a write has been taken."""
        request = burst.note["request"]
        if burst.note.get("interrupted") and request.forwarded:
            return
        self.engine.send_write(request, burst.data, burst.strobes)
        if not request.forwarded:
            response = self.engine.respond_write(request, OKAY)
            self._known(burst, Expected([response], [], request.cause, False, 0))

    def write_response(self, ident: int, response: int, taken: bool) -> None:
        """The engine takes a response of the memory, or drops it."""
        entry = self.writes.next(ident)
        if not taken:
            if entry is not None and not entry.unseen:
                raise BenchError(f"a response with ID {ident} was dropped that is owed to {entry.burst}")
            return
        if entry is None:
            raise BenchError(f"a response with ID {ident} was taken that is owed to no write")
        burst, request = entry.burst, entry.request
        failed = response not in (OKAY, EXOKAY)
        self.writes.done(entry)
        if not request.sent:
            if not burst.note.get("interrupted"):
                raise BenchError(f"a response was taken for {burst} before its data was sent")
            self.engine.withdraw(request)
            answer = response if failed else SLVERR
        else:
            answer = self.engine.respond_write(request, response)
        slot = self.engine.slots[request.slot]
        cause = FaultCause.MEM_WRITE if failed else FaultCause.PARTIAL_LINE if answer else FaultCause.NONE
        self._known(burst, Expected([answer], [], cause, True, slot.base + slot.nbytes))

    def _write_refused(self, entry: Entry[WriteRequest]) -> None:
        self.engine.withdraw(entry.request)
        self._known(entry.burst, Expected([SLVERR], [], FaultCause.NOT_READY, False, 0))

    # The rest ---------------------------------------------------------------------------------------------------------

    def _known(self, burst: Burst, expected: Expected) -> None:
        burst.note["expected"] = expected
        for listener in self.on_known:
            listener(burst)

    def memory_request(self, burst: Burst) -> None:
        """The memory takes the address of a burst."""
        if burst.write:
            self.writes.asked(burst)
        else:
            self.reads.asked(burst)

    def settle(self) -> None:
        """Nothing is under way in the engine: what did not reach the memory never will."""
        self.reads.settle()
        self.writes.settle()

    def reset(self) -> None:
        """The engine was reset."""
        self.reads.clear()
        self.writes.clear()
        self.engine.reset()

    def command_done(self, command: Command) -> Result:
        """Execute a command; returns its result."""
        try:
            return self.engine.command(command.opcode, command.slot, command.base, command.nbytes)
        except BurstUnderWayError as error:
            raise BenchError(f"a window was closed while the memory owes beats: {error}") from error

    def key(self, key: bytes) -> None:
        """Install a key."""
        self.settle()
        try:
            self.engine.install_key(key)
        except BurstUnderWayError as error:
            raise BenchError(f"the engine was zeroized while the memory owes beats: {error}") from error

    def alerts(self) -> tuple[int, bool, bool]:
        """Return the number of alert_recov pulses so far and the levels of alert_fatal and irq."""
        return self.engine.alert_recov, self.engine.alert_fatal, self.engine.irq

    def register(self, name: str) -> int:
        """Return the word that a register shows."""
        return self.engine.register(name)

    def compare_slot(self, number: int, view: SlotView) -> list[str]:
        """Return the differences between a slot of the model and of the RTL."""
        slot = self.engine.slots[number]
        pairs: dict[str, tuple[object, object]] = {
            "state": (view.state, slot.state),
            "result": (view.result, slot.result),
            "base": (view.base, slot.base),
            "nbytes": (view.nbytes, slot.nbytes),
            "tensor_id": (view.tensor_id, slot.tensor_id),
            "version": (view.version, slot.version),
        }
        if slot.state != SlotState.EMPTY:
            pairs["tag"] = (view.tag, slot.tag)
        return [f"{name} is {rtl!r}, expected {model!r}" for name, (rtl, model) in pairs.items() if rtl != model]
