# SPDX-License-Identifier: Apache-2.0
"""Transaction-level model of the engine: commands and bursts in, responses, data and memory contents out."""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from tensortee.engine.bursts import BurstShape, Response
from tensortee.engine.control import ControlRegisters, Fault, Interrupt
from tensortee.engine.memory import FailingMemory, Memory
from tensortee.engine.registers import REGISTERS, EngineState, FaultCause, Opcode, Result, SlotState
from tensortee.engine.slots import Slot
from tensortee.engine.write_map import WriteMap
from tensortee.format import (
    BLOCKS_PER_LINE,
    LINE_BYTES,
    MAX_ID_COUNTER,
    MAX_OWNER,
    MAX_TENSOR_BYTES,
    TAG_BYTES,
    GhashKey,
    LineSums,
    check_key,
    line_count,
    make_tensor_id,
    tensor_iv,
)

_MAX_COUNT = 0xFFFF_FFFF
_ALLOWED = {
    Opcode.DEFINE: {SlotState.EMPTY},
    Opcode.OPEN_WRITE: {
        SlotState.DEFINED,
        SlotState.WRITING,
        SlotState.SEALED,
        SlotState.VERIFIED,
        SlotState.POISONED,
    },
    Opcode.CLOSE_WRITE: {SlotState.WRITING},
    Opcode.OPEN_READ: {SlotState.SEALED, SlotState.VERIFIED},
    Opcode.CLOSE_READ: {SlotState.READING},
    Opcode.RELEASE: set(SlotState) - {SlotState.EMPTY, SlotState.READING},
}


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """A write whose address was taken and whose data is still to come.

    Attributes:
        shape: where it goes.
        cause: NONE, or why it is refused.
        slot: slot that contains its address; 0 if there is none.
    """

    shape: BurstShape
    cause: FaultCause
    slot: int
    _target: Slot = field(repr=False)
    _session: object = field(repr=False)


class _Session:
    """A key, while it is installed. A new object for each installation."""

    def __init__(self, key: bytes) -> None:
        self._aes = AES(key)
        self.hash_key = GhashKey(key)

    def __repr__(self) -> str:
        return "_Session()"

    def crypt(self, iv: bytes, line: int, data: bytes) -> bytes:
        """Whole lines, from index `line` on, XORed with their keystream."""
        counter = (BLOCKS_PER_LINE * line + 2).to_bytes(4, "big")
        return Cipher(self._aes, CTR(iv + counter)).encryptor().update(data)


class Engine:
    """The engine with a memory behind it, one transaction at a time.

    Commands complete at once, and so do the transient states WIPE and SETUP. What a burst answers is decided when its
    address is taken, as in hardware; a write finishes when its data is there.

    Args:
        memory: the untrusted memory. If it has a method `error(addr, nbytes, write)`, that says which beats fail.
        data_w: AXI data width in bits: 128, 256 or 512.
        key_bits: 128 or 256.
        addr_w: address width in bits, 32 .. 48.
        slots: tensor slots.
        map_words: words of 64 lines in the write map of a slot.
        version_w: bits of the version number in use, 4 .. 64.
        owner: top four bits of every tensor_id.

    Attributes:
        slots: the tensor slots.
        next_id: counter value of the next tensor_id; only `reset` starts it anew.
        state: engine state.
        control: registers.

    Raises:
        ValueError: a parameter is out of range.
    """

    def __init__(
        self,
        memory: Memory,
        *,
        data_w: int = 128,
        key_bits: int = 128,
        addr_w: int = 40,
        slots: int = 16,
        map_words: int = 256,
        version_w: int = 64,
        owner: int = 1,
    ) -> None:
        if data_w not in (128, 256, 512):
            raise ValueError(f"data_w is 128, 256 or 512, not {data_w}")
        if key_bits not in (128, 256):
            raise ValueError(f"key_bits is 128 or 256, not {key_bits}")
        for name, value, low, high in (
            ("addr_w", addr_w, 32, 48),
            ("slots", slots, 2, 64),
            ("map_words", map_words, 4, 1024),
            ("version_w", version_w, 4, 64),
            ("owner", owner, 0, MAX_OWNER),
        ):
            if not low <= value <= high:
                raise ValueError(f"{name} is {low} .. {high}, not {value}")
        self._memory = memory
        self._failing = memory if isinstance(memory, FailingMemory) else None
        self._bus_bytes = data_w // 8
        self._key_bytes = key_bits // 8
        self._addr_limit = 1 << addr_w
        self._map_words = map_words
        self._last_version = (1 << version_w) - 1
        self._owner = owner
        self.slots = [self._empty_slot() for _ in range(slots)]
        self.control = ControlRegisters(self.slots, addr_w=addr_w, key_bits=key_bits, lanes=data_w // 128)
        self.state = EngineState.NO_KEY
        self.next_id = 1
        self._session: _Session | None = None
        self._key_refused = False

    def __repr__(self) -> str:
        return f"Engine({self.state.name}, {sum(slot.state != SlotState.EMPTY for slot in self.slots)} tensors)"

    # Reset, keys, alerts ----------------------------------------------------------------------------------------------

    def reset(self) -> None:
        """What `rst` does: everything but the memory starts anew."""
        self._wipe()
        self.next_id = 1
        self._key_refused = False
        self.control.reset()

    def zeroize(self) -> None:
        """What the pin `zeroize` does: wipes the key, all that is derived from it, and all slots."""
        self._wipe()

    def install_key(self, key: bytes) -> bool:
        """Offer a key on the side-load port. It must not be one that was installed before.

        Args:
            key: 16 or 32 bytes, as the engine was built.

        Returns:
            True if the engine is READY now; False if the key was refused (H = 0 or H^4 = 1).

        Raises:
            ValueError: the key has a wrong length, or the engine is not in state NO_KEY.
        """
        if self.state != EngineState.NO_KEY:
            raise ValueError(f"the engine takes a key in state NO_KEY only; it is in state {self.state.name}")
        if len(key) != self._key_bytes:
            raise ValueError(f"this engine has a key of {self._key_bytes} bytes, not {len(key)}")
        session = _Session(check_key(key))
        self._key_refused = not session.hash_key.usable
        if not self._key_refused:
            self._session = session
            self.state = EngineState.READY
        return not self._key_refused

    @property
    def alert_recov(self) -> int:
        """Pulses of `alert_recov` since the engine was made."""
        return self.control.alert_recov

    @property
    def alert_fatal(self) -> bool:
        """Level of `alert_fatal`."""
        return self.state == EngineState.FATAL

    @property
    def irq(self) -> bool:
        """Level of `irq`."""
        return self.control.irq

    def _empty_slot(self) -> Slot:
        return Slot(written=WriteMap(self._map_words))

    def _wipe(self) -> None:
        self.state = EngineState.NO_KEY
        self._session = None
        for number in range(len(self.slots)):
            self.slots[number] = self._empty_slot()

    def _fatal(self) -> None:
        """A tag did not match: the slots stay readable, the key and what is derived from it goes."""
        self.state = EngineState.FATAL
        self._session = None
        for slot in self.slots:
            slot.tag = bytes(TAG_BYTES)
            slot.sums = None
        self.control.interrupts |= Interrupt.FATAL

    # Registers --------------------------------------------------------------------------------------------------------

    def register(self, name: str) -> int:
        """The 32-bit word that a register shows; raises `KeyError` if there is none of that name."""
        return self.control.read(name, self.state, self._key_refused)

    def write_register(self, name: str, word: int) -> None:
        """Write a register; CMD executes its command.

        Raises:
            KeyError: there is no such register.
            ValueError: software cannot write it.
        """
        if name == "CMD":
            fields = REGISTERS["CMD"].unpack(word)
            self._execute(int(fields["OPCODE"]), int(fields["SLOT"]))
        else:
            self.control.write(name, word)

    # Commands ---------------------------------------------------------------------------------------------------------

    def command(self, opcode: int, slot: int = 0, base: int = 0, nbytes: int = 0) -> Result:
        """Execute a command.

        Args:
            opcode: 4 bits, also values that are not defined.
            slot: 8 bits, also slots that do not exist.
            base: byte address; DEFINE only.
            nbytes: length in bytes; DEFINE only.
        """
        if opcode == Opcode.DEFINE:
            self.control.set_argument("BASE", base)
            self.control.set_argument("NBYTES", nbytes)
        return self._execute(opcode, slot)

    def _execute(self, opcode: int, number: int) -> Result:
        if opcode == Opcode.ZEROIZE:
            self._wipe()
            result = Result.OK
        else:
            result = self._refusal(opcode, number)
            if result == Result.OK:
                result = self._perform(Opcode(opcode), number)
        self.control.command_result = REGISTERS["CMD_RESULT"].pack(SLOT=number, OPCODE=opcode, RESULT=result)
        self.control.interrupts |= Interrupt.CMD_DONE
        return result

    def _refusal(self, opcode: int, number: int) -> Result:
        if opcode not in _ALLOWED:
            return Result.BAD_OPCODE
        if number >= len(self.slots):
            return Result.BAD_SLOT
        if self.state != EngineState.READY:
            return Result.NOT_READY
        slot = self.slots[number]
        if slot.state not in _ALLOWED[Opcode(opcode)]:
            return Result.BAD_STATE
        if opcode == Opcode.DEFINE:
            return self._define_refusal(self.control.argument("BASE"), self.control.argument("NBYTES"))
        if opcode == Opcode.OPEN_WRITE and slot.version & self._last_version == self._last_version:
            return Result.VERSION_EXHAUSTED
        return Result.OK

    def _define_refusal(self, base: int, nbytes: int) -> Result:
        if base % LINE_BYTES or base >= self._addr_limit:
            return Result.BAD_BASE
        end = base + line_count(nbytes) * LINE_BYTES
        if not 1 <= nbytes <= MAX_TENSOR_BYTES or end > self._addr_limit:
            return Result.BAD_LENGTH
        if any(slot.base < end and base < slot.end for slot in self.slots if slot.state != SlotState.EMPTY):
            return Result.OVERLAP
        if self.next_id > MAX_ID_COUNTER:
            return Result.IDS_EXHAUSTED
        return Result.OK

    def _perform(self, opcode: Opcode, number: int) -> Result:
        slot = self.slots[number]
        match opcode:
            case Opcode.DEFINE:
                slot.base, slot.nbytes = self.control.argument("BASE"), self.control.argument("NBYTES")
                slot.iv = tensor_iv(make_tensor_id(self._owner, self.next_id), 0)
                slot.state = SlotState.DEFINED
                self.next_id += 1
            case Opcode.OPEN_WRITE:
                slot.iv = slot.iv[:4] + (slot.version + 1).to_bytes(8, "big")
                slot.tag = bytes(TAG_BYTES)
                slot.written.clear()
                self._open(slot, SlotState.WRITING)
            case Opcode.OPEN_READ:
                self._open(slot, SlotState.READING)
            case Opcode.CLOSE_WRITE | Opcode.CLOSE_READ:
                return self._close(slot)
            case Opcode.RELEASE:
                self.slots[number] = self._empty_slot()
        return Result.OK

    def _open(self, slot: Slot, state: SlotState) -> None:
        slot.state = state
        slot.sums = LineSums(self._installed.hash_key, slot.nbytes)
        slot.count = 0
        slot.bus_error = False

    def _close(self, slot: Slot) -> Result:
        sums = slot.sums
        assert sums is not None, "an open window has sums"
        writing = slot.state == SlotState.WRITING
        tag = sums.tag(slot.iv)
        if slot.bus_error:
            slot.result = Result.BUS_ERROR
        elif not sums.covered:
            slot.result = Result.COVERAGE_ERROR
        elif not writing and tag != slot.tag:
            slot.result = Result.TAG_ERROR
        else:
            slot.result = Result.OK
        slot.sums = None
        if slot.result == Result.OK:
            slot.tag = tag
            slot.state = SlotState.SEALED if writing else SlotState.VERIFIED
            return slot.result
        slot.state = SlotState.DEFINED if writing else SlotState.POISONED
        self.control.interrupts |= Interrupt.WINDOW_FAIL
        if slot.result == Result.TAG_ERROR:
            self._fatal()
        else:
            self.control.alert_recov += 1
        return slot.result

    @property
    def _installed(self) -> _Session:
        assert self._session is not None, "the engine is READY"
        return self._session

    # Accesses ---------------------------------------------------------------------------------------------------------

    def _find(self, addr: int) -> int | None:
        """Number of the slot whose lines contain a byte address."""
        for number, slot in enumerate(self.slots):
            if slot.state != SlotState.EMPTY and slot.base <= addr < slot.end:
                return number
        return None

    def _refuse(self, legal: bool, found: int | None, open_state: SlotState) -> FaultCause:
        """The checks that reads and writes share, up to the state of the slot."""
        if self.state != EngineState.READY:
            return FaultCause.NOT_READY
        if not legal:
            return FaultCause.BURST
        if found is None:
            return FaultCause.NO_TENSOR
        return FaultCause.NONE if self.slots[found].state == open_state else FaultCause.STATE

    def _memory_error(self, addr: int, write: bool) -> int:
        if self._failing is None:
            return Response.OKAY
        response = self._failing.error(addr, self._bus_bytes, write)
        return Response.OKAY if response == Response.EXOKAY else response

    @staticmethod
    def _refused(cause: FaultCause) -> Response:
        return Response.DECERR if cause == FaultCause.NO_TENSOR else Response.SLVERR

    def read(self, addr: int, beats: int, size: int, burst: int) -> tuple[list[int], list[int], FaultCause]:
        """A read burst.

        Args:
            addr: ARADDR.
            beats: ARLEN + 1.
            size: ARSIZE.
            burst: ARBURST.

        Returns:
            One word for each beat as on the data bus (byte at the lowest address in bits [7:0]; lanes outside a narrow
            transfer carry the neighbouring bytes), RRESP of each beat, and the cause if it was refused or failed.
        """
        shape = BurstShape(addr, beats, size, burst)
        found = self._find(addr)
        cause = self._refuse(shape.readable(self._bus_bytes), found, SlotState.READING)
        first_line, end_line = shape.start & -LINE_BYTES, -(-shape.end // LINE_BYTES) * LINE_BYTES
        if cause == FaultCause.NONE and found is not None:
            slot = self.slots[found]
            if first_line < slot.base or end_line > slot.end:
                cause = FaultCause.BOUNDS
            else:
                words, responses = self._fetch(slot, first_line, end_line)
                if any(responses.values()):
                    cause = FaultCause.MEM_READ
                    self.control.report(Fault(cause, addr, False, found))
                used = [shape.beat_address(number) & -self._bus_bytes for number in range(beats)]
                return [words[at] for at in used], [responses[at] for at in used], cause
        self.control.report(Fault(cause, addr, False, found))
        return [0] * beats, [self._refused(cause)] * beats, cause

    def _fetch(self, slot: Slot, start: int, end: int) -> tuple[dict[int, int], dict[int, int]]:
        """Words and responses of whole lines, by the address of the bus-wide beat."""
        line = (start - slot.base) // LINE_BYTES
        ciphertext = b"".join(self._memory.read(at, LINE_BYTES) for at in range(start, end, LINE_BYTES))
        plaintext = self._installed.crypt(slot.iv, line, ciphertext)
        inside = max(0, slot.base + slot.nbytes - start)
        plaintext = plaintext[:inside].ljust(len(plaintext), b"\0")
        words, responses = {}, {}
        for offset in range(0, end - start, self._bus_bytes):
            at = start + offset
            responses[at] = self._memory_error(at, False)
            word = int.from_bytes(plaintext[offset : offset + self._bus_bytes], "little")
            words[at] = word if responses[at] == Response.OKAY else 0
            # A line counts when its last beat is there.
            if responses[at] == Response.OKAY and (at + self._bus_bytes) % LINE_BYTES == 0:
                slot.count = min(slot.count + 1, _MAX_COUNT)
        if any(responses.values()):
            slot.bus_error = True
        elif slot.sums is not None:
            slot.sums.add(line, ciphertext)
        return words, responses

    def request_write(self, addr: int, beats: int, size: int, burst: int) -> WriteRequest:
        """The address of a write burst: decides whether it is served and marks its lines as used.

        Args:
            addr: AWADDR.
            beats: AWLEN + 1.
            size: AWSIZE.
            burst: AWBURST.
        """
        shape = BurstShape(addr, beats, size, burst)
        found = self._find(addr)
        cause = self._refuse(shape.writable(self._bus_bytes), found, SlotState.WRITING)
        if cause == FaultCause.NONE and found is not None:
            slot = self.slots[found]
            if not shape.whole_lines(self._bus_bytes):
                cause = FaultCause.PARTIAL_LINE
            elif shape.end > slot.end:
                cause = FaultCause.BOUNDS
            else:
                cause = slot.written.request((addr - slot.base) // LINE_BYTES, shape.extent // LINE_BYTES)
        if cause != FaultCause.NONE:
            self.control.report(Fault(cause, addr, True, found))
        number = found or 0
        return WriteRequest(shape, cause, number, self.slots[number], self._session)

    def finish_write(self, request: WriteRequest, data: list[int], strobes: list[int]) -> int:
        """The data of a write burst.

        Args:
            request: what `request_write` returned.
            data: one word for each beat, byte at the lowest address in bits [7:0].
            strobes: WSTRB of each beat.

        Returns:
            BRESP.

        Raises:
            ValueError: the number of beats is not that of the address.
        """
        shape = request.shape
        if len(data) != shape.beats or len(strobes) != shape.beats:
            raise ValueError(f"{len(data)} beats and {len(strobes)} strobes for a burst of {shape.beats} beats")
        if request.cause != FaultCause.NONE:
            return self._refused(request.cause)
        slot = request._target
        plaintext = b"".join(word.to_bytes(self._bus_bytes, "little") for word in data)
        strobed = sum(strobe << number * self._bus_bytes for number, strobe in enumerate(strobes))
        inside = min(shape.extent, slot.base + slot.nbytes - shape.addr)
        plaintext = plaintext[:inside].ljust(shape.extent, b"\0")
        complete = [self._line_complete(request, strobed, inside, at) for at in range(0, shape.extent, LINE_BYTES)]
        response = Response.OKAY if all(complete) else Response.SLVERR
        if self._session is None or self._session is not request._session:
            # The key went meanwhile: nothing is written.
            complete, response = [False] * len(complete), Response.SLVERR
        self._store(slot, shape.addr, plaintext, inside, complete)
        return self._write_response(request, response)

    def _line_complete(self, request: WriteRequest, strobed: int, inside: int, offset: int) -> bool:
        """Whether the strobes of a line's bytes in the tensor are all set; reports the line if not."""
        needed = (1 << min(LINE_BYTES, inside - offset)) - 1
        if strobed >> offset & needed == needed:
            return True
        self.control.report(Fault(FaultCause.PARTIAL_LINE, request.shape.addr + offset, True, request.slot))
        return False

    def _store(self, slot: Slot, addr: int, plaintext: bytes, inside: int, complete: list[bool]) -> None:
        """Encrypt the complete lines of a burst, write them, and add them to the sums of the epoch."""
        if not any(complete):
            return
        first = (addr - slot.base) // LINE_BYTES
        ciphertext = self._installed.crypt(slot.iv, first, plaintext)[:inside].ljust(len(plaintext), b"\0")
        for number, whole in enumerate(complete):
            if not whole:
                continue
            offset = number * LINE_BYTES
            for at in range(offset, offset + LINE_BYTES, self._bus_bytes):
                if not self._memory_error(addr + at, True):
                    self._memory.write(addr + at, ciphertext[at : at + self._bus_bytes])
        for start, stop in _runs(complete):
            if slot.sums is not None:
                slot.sums.add(first + start, ciphertext[start * LINE_BYTES : stop * LINE_BYTES])
            slot.count = min(slot.count + stop - start, _MAX_COUNT)

    def _write_response(self, request: WriteRequest, response: int) -> int:
        """BRESP: that of the memory goes before that of the engine."""
        shape = request.shape
        errors = [self._memory_error(at, True) for at in range(shape.addr, shape.end, self._bus_bytes)]
        failed = [error for error in errors if error]
        if not failed:
            return response
        request._target.bus_error = True
        self.control.report(Fault(FaultCause.MEM_WRITE, shape.addr, True, request.slot))
        return failed[-1]


def _runs(flags: list[bool]) -> list[tuple[int, int]]:
    """(start, stop) of each run of true flags."""
    edges = [at for at in range(len(flags) + 1) if (at > 0 and flags[at - 1]) != (at < len(flags) and flags[at])]
    return list(zip(edges[::2], edges[1::2], strict=True))
