# SPDX-License-Identifier: Apache-2.0
"""Verdict of the bench: front door (bus, commands, interrupts) and back door (DRAM image opened by a third party).

The verdict starts undecided: a test in which a kind of check that it announced never happened fails, and so does one
that ends with bursts under way or write beats that no write explains.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from pyuvm import uvm_scoreboard
from tensortee.engine.registers import Result, SlotState

from tb.dram import Dram
from tb.env.backdoor import Backdoor, SlotView, open_message
from tb.env.bench_error import BenchError
from tb.env.bursts import OKAY, SLVERR, Burst
from tb.env.control_agent import Command
from tb.env.pad_check import PadCheck
from tb.env.predictor import Predictor
from tb.memory import LINE_BYTES, SparseMemory

SHOWN_ERRORS = 12


class Scoreboard(uvm_scoreboard):
    """Compares what the monitors saw with what the predictor says and with the DRAM image."""

    def __init__(self, name: str, parent: Any, *, predictor: Predictor, dram: Dram, backdoor: Backdoor) -> None:
        super().__init__(name, parent)
        self.predictor = predictor
        self.dram = dram
        self.backdoor = backdoor
        self.errors: list[str] = []
        self.checked: Counter[str] = Counter()
        self.required: set[str] = {"command", "read beat", "write burst", "third-party open", "keystream block"}
        """Kinds of checks that must have happened by the end of the test."""
        self.plaintext = SparseMemory()
        """What the NPU wrote, from the bus, independent of the model."""
        self.key: bytes | None = None
        self.tampered: set[int] = set()
        """Slots whose ciphertext in DRAM the test changed."""
        self._bus_bytes = predictor.bus_bytes
        self.on_judged: list[Callable[[Burst], None]] = []
        """Called with each burst that was compared with its prediction."""
        self._pads = PadCheck(self._bus_bytes)
        self._unjudged: list[Burst] = []
        self._unwritten: list[Burst] = []
        self._lost: list[Burst] = []
        self._unopened: list[tuple[int, SlotView]] = []

    def error(self, text: str) -> None:
        """Note a difference; the test fails in the check phase, so that all differences are seen."""
        self.errors.append(text)
        self.logger.error(text)

    # Front door -------------------------------------------------------------------------------------------------------

    def key_installed(self, key: bytes) -> None:
        """Note the key under which the tensors are sealed from now on."""
        self.key = key
        self.settle()
        self._lost.clear()
        self._pads.new_key()

    def forget_traffic(self) -> None:
        """The engine was reset: what was under way will not finish."""
        self._pads.observe(self.dram.write_log)
        self._pads.forget_traffic()
        for bursts in (self._unjudged, self._unwritten, self._lost):
            bursts.clear()

    def burst_done(self, burst: Burst) -> None:
        """The NPU has the last response of a burst."""
        self._unjudged.append(burst)
        self.burst_known(burst)

    def burst_known(self, burst: Burst) -> None:
        """Compare a burst with its prediction, when the NPU has its last response and the outcome is known."""
        if burst not in self._unjudged or "expected" not in burst.note:
            return
        self._unjudged.remove(burst)
        if burst.note.get("interrupted"):
            self._interrupted(burst)
        else:
            self._compare(burst)
        for listener in self.on_judged:
            listener(burst)

    def _compare(self, burst: Burst) -> None:
        expected = burst.note["expected"]
        what = f"{'write' if burst.write else 'read'} of {burst.beats} x {1 << burst.size} bytes at {burst.addr:#x}"
        if burst.write:
            self.checked["write burst"] += 1
            if burst.responses != expected.responses:
                self.error(f"{what}: response {burst.responses}, expected {expected.responses} ({expected.cause!r})")
            if expected.forwarded:
                self._unwritten.append(burst)
                self.settle()
            return
        self.checked["read burst"] += 1
        if burst.responses != expected.responses:
            self.error(f"{what}: responses {burst.responses}, expected {expected.responses} ({expected.cause!r})")
        for number, (data, wanted) in enumerate(zip(burst.data, expected.data, strict=True)):
            self.checked["read beat"] += 1
            mask = self._lanes(burst, number)
            if (data ^ wanted) & mask:
                self.error(f"{what}: beat {number} read data {data & mask:#x}, expected {wanted & mask:#x}")

    def _lanes(self, burst: Burst, number: int) -> int:
        """Mask of the byte lanes of a beat: on the others the engine may drive anything that is not secret."""
        _, lane, count = burst.lanes(number, self._bus_bytes)
        return ((1 << (8 * count)) - 1) << (8 * lane)

    def _interrupted(self, burst: Burst) -> None:
        """A burst that the end of READY caught: as predicted, or an error without data. What was written is lost."""
        self.checked["interrupted burst"] += 1
        expected = burst.note["expected"]
        if burst.write:
            if burst.responses[0] not in (OKAY, SLVERR, *expected.responses):
                self.error(f"the write at {burst.addr:#x} that ZEROIZE caught was answered {burst.responses}")
            if expected.forwarded:
                self._lost.append(burst)
                self.settle()
            return
        for number, answer in enumerate(zip(burst.responses, burst.data, strict=True)):
            mask = self._lanes(burst, number)
            wanted = expected.responses[number], expected.data[number] & mask
            if (answer[0], answer[1] & mask) != wanted and answer != (SLVERR, 0):
                self.error(f"the read at {burst.addr:#x} that ZEROIZE caught returned {answer[1]:#x} with {answer[0]}")

    def settle(self) -> None:
        """Match finished writes with what has reached the memory, and open what was sealed meanwhile.

        An honest memory answers a write when it has its data; another one may do so before.
        """
        if not (self._unwritten or self._lost or self._unopened):
            return
        self._pads.observe(self.dram.write_log)
        waiting: set[int] = set()
        for burst in list(self._unwritten):
            addresses = {burst.beat_address(number) for number in range(burst.beats)}
            if self.dram.honest or (not addresses & waiting and self._pads.holds(addresses)):
                self._unwritten.remove(burst)
                self._write_reached_memory(burst)
            waiting |= addresses
        for burst in list(self._lost):
            addresses = {burst.beat_address(number) for number in range(burst.beats)}
            if self.dram.honest or self._pads.holds(addresses):
                self._lost.remove(burst)
                for addr in addresses:
                    self._pads.drop(addr)
        for slot, view in list(self._unopened):
            if not self._incomplete(view):
                self._unopened.remove((slot, view))
                self._open(slot, view)

    def _incomplete(self, view: SlotView) -> bool:
        """Whether writes to a tensor were answered and have not reached the memory."""
        return any(view.base <= burst.addr < view.base + view.lines * LINE_BYTES for burst in self._unwritten)

    def _write_reached_memory(self, burst: Burst) -> None:
        expected = burst.note["expected"]
        for number in range(burst.beats):
            addr = burst.beat_address(number)
            word = burst.data[number].to_bytes(self._bus_bytes, "little")[: max(0, expected.end - addr)]
            try:
                beat = self._pads.match(addr, word)
            except BenchError as failure:
                self.error(f"write of {burst.beats} beats at {burst.addr:#x}: {failure}")
                return
            if beat.strobe:
                self.plaintext.poke(addr, word)
        self.checked["keystream block"] = self._pads.checked

    def command_done(self, command: Command) -> None:
        """Compare the result of a command, and open what it sealed."""
        wanted = self.predictor.command_done(command)
        self.checked["command"] += 1
        if command.result != wanted:
            self.error(
                f"command {command.opcode} on slot {command.slot}: {Result(command.result)!r}, expected {wanted!r}"
            )
        if wanted == Result.OK and command.slot < self.backdoor.slots:
            view = self.backdoor.slot(command.slot)
            if view.state in (SlotState.SEALED, SlotState.VERIFIED):
                self.open_slot(command.slot)

    def compare_attributes(self, burst: Burst, wanted: tuple[int, ...]) -> None:
        """Compare AxLOCK, AxCACHE, AxPROT and AxQOS of a burst on the memory bus."""
        self.checked["attributes"] += 1
        if burst.note["attributes"] != wanted:
            self.error(
                f"the burst at {burst.addr:#x} on the memory bus has LOCK, CACHE, PROT, QOS "
                f"{burst.note['attributes']}, expected {wanted}"
            )

    def compare_alerts(self, recoverable: int, fatal: bool, irq: bool) -> None:
        """Compare the number of alert_recov pulses and the levels of alert_fatal and irq."""
        wanted = self.predictor.alerts()
        self.checked["alert"] += 1
        if (recoverable, fatal, irq) != wanted:
            self.error(f"alert_recov pulses, alert_fatal, irq are {(recoverable, fatal, irq)}, expected {wanted}")

    def compare_registers(self, words: dict[str, int]) -> None:
        """Compare register words, read from the engine, with those of the model."""
        for name, word in words.items():
            wanted = self.predictor.register(name)
            self.checked["register"] += 1
            if word != wanted:
                self.error(f"register {name} is {word:#010x}, expected {wanted:#010x}")

    # Back door --------------------------------------------------------------------------------------------------------

    def open_slot(self, slot: int) -> None:
        """Open the DRAM image of a sealed tensor with pycryptodome, with the IV and the tag that the RTL holds."""
        if self.key is None:
            self.error(f"slot {slot} is sealed without a key")
            return
        view = self.backdoor.slot(slot)
        if self._incomplete(view):
            self._unopened.append((slot, view))
        else:
            self._open(slot, view)

    def _open(self, slot: int, view: SlotView) -> None:
        assert self.key is not None
        image = self.dram.memory.peek(view.base, view.lines * LINE_BYTES)
        opened = open_message(self.key, view.iv, image[: view.nbytes], view.tag)
        self.checked["third-party open"] += 1
        where = f"slot {slot} ({view.nbytes} bytes at {view.base:#x}, iv {view.iv.hex()})"
        if slot in self.tampered:
            if opened is not None:
                self.error(f"{where}: DRAM was tampered with, yet the third-party library accepts the tag")
            return
        if opened is None:
            self.error(f"{where}: the third-party library refuses the tag {view.tag.hex()} that the RTL holds")
        elif opened != self.plaintext.peek(view.base, view.nbytes):
            self.error(f"{where}: the third-party library opens it to other data than the NPU wrote")
        # Behind the end the image is as the engine wrote it only until somebody else had access to it.
        if view.state == SlotState.SEALED and any(image[view.nbytes :]):
            self.error(f"{where}: bytes behind the end are not zero in DRAM")

    def check_image(self) -> None:
        """Open every sealed tensor and compare slots and DRAM image with the golden model."""
        for slot in range(self.backdoor.slots):
            view = self.backdoor.slot(slot)
            if view.state in (SlotState.SEALED, SlotState.VERIFIED, SlotState.READING) and any(view.tag):
                self.open_slot(slot)
            self.checked["slot"] += 1
            for difference in self.predictor.compare_slot(slot, view):
                self.error(f"slot {slot}: {difference}")
            if view.state != SlotState.EMPTY:
                at = self.dram.memory.difference(self.predictor.memory, view.base, view.lines * LINE_BYTES)
                if at is not None:
                    self.error(f"slot {slot}: the DRAM image differs from that of the golden model at {at:#x}")

    # Verdict ----------------------------------------------------------------------------------------------------------

    def check_phase(self) -> None:
        """Fail on any error, on missing checks and on what is left over."""
        self.predictor.settle()
        self.settle()
        self._pads.observe(self.dram.write_log)
        for what, left in (
            ("is owed something by the memory", [*self.predictor.reads.entries(), *self.predictor.writes.entries()]),
            ("was finished and not predicted", self._unjudged),
            ("was answered and never reached the memory", self._unwritten),
            ("was sealed and never opened", self._unopened),
        ):
            for item in left:
                self.error(f"{item} {what}")
        for addr in self._pads.left_over():
            self.error(f"a write beat to {addr:#x} on the memory bus belongs to no finished write of the NPU")
        for kind in sorted(self.required):
            if not self.checked[kind]:
                self.error(f"nothing was checked: {kind}")
        if self.errors:
            shown = "\n  ".join(self.errors[:SHOWN_ERRORS])
            raise BenchError(f"{len(self.errors)} differences:\n  {shown}")

    def report_phase(self) -> None:
        """Print what was checked."""
        self.logger.info("checked: " + ", ".join(f"{count} x {kind}" for kind, count in sorted(self.checked.items())))
