# SPDX-License-Identifier: Apache-2.0
"""Predictor: the golden model's engine, fed with what the monitors see, says what the RTL must answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyuvm import uvm_component
from tensortee.engine import Engine
from tensortee.engine.registers import FaultCause, Result, SlotState

from tb.dram import Dram
from tb.env.backdoor import SlotView
from tb.env.bursts import OKAY, SLVERR, Burst
from tb.env.control_agent import Command
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
    """Runs the golden model beside the RTL. ``corrupt`` makes it wrong on purpose, for the test that must fail."""

    def __init__(self, name: str, parent: Any, *, dram: Dram, parameters: dict[str, int]) -> None:
        super().__init__(name, parent)
        self.bus_bytes = parameters["DATA_W"] // 8
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

    def read_request(self, burst: Burst) -> None:
        """Predict a read when its address is taken."""
        data, responses, cause = self.engine.read(burst.addr, burst.beats, burst.size, burst.kind)
        if self.corrupt:
            data = [word ^ 1 for word in data]
        burst.note["expected"] = Expected(responses, data, cause, max(responses) == OKAY, 0)

    def write_request(self, burst: Burst) -> None:
        """Decide on a write when its address is taken."""
        burst.note["handle"] = self.engine.request_write(burst.addr, burst.beats, burst.size, burst.kind)

    def write_data(self, burst: Burst) -> None:
        """Predict the response and the memory contents when all data of a write has been taken."""
        handle = burst.note.pop("handle")
        if burst.note.get("interrupted"):
            burst.note["expected"] = Expected([SLVERR], [], handle.cause, handle.cause == FaultCause.NONE, 0)
            return
        response = self.engine.finish_write(handle, burst.data, burst.strobes)
        cause, end = handle.cause, 0
        if handle.cause == FaultCause.NONE:
            slot = self.engine.slots[handle.slot]
            end = slot.base + slot.nbytes
            if response != OKAY:
                failed = self.memory.error(burst.addr, burst.beats << burst.size, True)
                cause = FaultCause.MEM_WRITE if failed else FaultCause.PARTIAL_LINE
        burst.note["expected"] = Expected([response], [], cause, handle.cause == FaultCause.NONE, end)

    def command_done(self, command: Command) -> Result:
        """Execute a command; returns its result."""
        return self.engine.command(command.opcode, command.slot, command.base, command.nbytes)

    def key(self, key: bytes) -> None:
        """Install a key."""
        self.engine.install_key(key)

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
