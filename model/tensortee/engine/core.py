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


class BurstUnderWayError(RuntimeError):
    """A window was closed, or a key taken, while the memory still owes beats or a response."""


@dataclass(slots=True, eq=False)
class _Request:
    """A burst whose address was taken.

    Attributes:
        shape: where it goes.
        cause: NONE, or why it was refused.
        slot: slot that contains its address; 0 if there is none.
        forwarded: it goes to the memory.
    """

    shape: BurstShape
    cause: FaultCause
    slot: int
    forwarded: bool
    _target: Slot = field(repr=False)
    _session: _Session | None = field(repr=False)


@dataclass(slots=True, eq=False)
class WriteRequest(_Request):
    """A write: its data is to come, then the response of the memory.

    Attributes:
        sent: its data went to the memory.
    """

    sent: bool = False
    _response: int = Response.OKAY


@dataclass(slots=True, eq=False)
class ReadRequest(_Request):
    """A read: the beats of the memory are to come.

    Attributes:
        parts: (first byte address, end) of each burst to the memory: whole lines.
        addresses: byte address of each beat of the memory, in the order in which they come.
    """

    parts: list[tuple[int, int]] = field(default_factory=list)
    addresses: list[int] = field(default_factory=list)
    _iv: bytes = field(default=b"", repr=False)
    _sums: LineSums | None = field(default=None, repr=False)
    _words: list[int] = field(default_factory=list, repr=False)
    _responses: list[int] = field(default_factory=list, repr=False)

    @property
    def owed(self) -> int:
        """Beats that the memory has not delivered yet."""
        return len(self.addresses) - len(self._words)


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
    address is taken, as in hardware; a read finishes when the memory has delivered its last beat (`deliver`), a write
    when the memory has answered (`respond_write`). Until then no command on its slot succeeds and no key is taken: the
    hardware waits, so the model raises `BurstUnderWayError`. `read` and `finish_write` let the memory answer at once.

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
        self._under_way: list[_Request] = []
        self._locked: int | None = None

    def __repr__(self) -> str:
        return f"Engine({self.state.name}, {sum(slot.state != SlotState.EMPTY for slot in self.slots)} tensors)"

    # Reset, keys, alerts ----------------------------------------------------------------------------------------------

    def reset(self) -> None:
        """What `rst` does: everything but the memory starts anew."""
        self._wipe()
        self._under_way.clear()
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
            BurstUnderWayError: the memory owes beats or a response from before.
        """
        if self.state != EngineState.NO_KEY:
            raise ValueError(f"the engine takes a key in state NO_KEY only; it is in state {self.state.name}")
        if len(key) != self._key_bytes:
            raise ValueError(f"this engine has a key of {self._key_bytes} bytes, not {len(key)}")
        if self._under_way:
            raise BurstUnderWayError(f"a key was taken while the memory owes {self._under_way[0]}")
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

        Raises:
            BurstUnderWayError: the memory owes beats or a response to the slot.
        """
        if opcode == Opcode.DEFINE:
            self.control.set_argument("BASE", base)
            self.control.set_argument("NBYTES", nbytes)
        return self._execute(opcode, slot)

    def lock(self, number: int) -> None:
        """A command on a slot has begun: until it is executed, accesses to the slot are refused."""
        self._locked = number

    def _execute(self, opcode: int, number: int) -> Result:
        self._locked = None
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
        for request in self._under_way:
            if request._target is slot:
                raise BurstUnderWayError(f"{opcode.name} on slot {number} was executed while the memory owes {request}")
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
        is_open = self.slots[found].state == open_state and found != self._locked
        return FaultCause.NONE if is_open else FaultCause.STATE

    def withdraw(self, request: ReadRequest | WriteRequest) -> None:
        """The engine lost its key before it looked at the address: nothing went to the memory, nothing is owed."""
        self._under_way.remove(request)

    def _memory_error(self, addr: int, write: bool) -> int:
        return self._failing.error(addr, self._bus_bytes, write) if self._failing is not None else Response.OKAY

    @staticmethod
    def _error(response: int) -> int:
        """The error in a response of the memory, OKAY if there is none."""
        return Response.OKAY if response == Response.EXOKAY else response

    def _lives(self, request: _Request) -> bool:
        """Whether the key under which a burst was taken is still installed."""
        return self._session is not None and self._session is request._session

    @staticmethod
    def _refused(cause: FaultCause) -> Response:
        return Response.DECERR if cause == FaultCause.NO_TENSOR else Response.SLVERR

    def request_read(self, addr: int, beats: int, size: int, burst: int) -> ReadRequest:
        """The address of a read burst: decides whether it is served, and what the memory owes then.

        Args:
            addr: ARADDR.
            beats: ARLEN + 1.
            size: ARSIZE.
            burst: ARBURST.
        """
        shape = BurstShape(addr, beats, size, burst)
        found = self._find(addr)
        cause = self._refuse(shape.readable(self._bus_bytes), found, SlotState.READING)
        slot = self.slots[found or 0]
        parts = shape.line_parts() if cause == FaultCause.NONE else []
        if any(start < slot.base or end > slot.end for start, end in parts):
            cause, parts = FaultCause.BOUNDS, []
        if cause != FaultCause.NONE:
            self.control.report(Fault(cause, addr, False, found))
        request = ReadRequest(shape, cause, found or 0, bool(parts), slot, self._session)
        if request.forwarded:
            request.parts = parts
            request.addresses = [at for start, end in parts for at in range(start, end, self._bus_bytes)]
            request._iv, request._sums = slot.iv, slot.sums
            self._under_way.append(request)
        return request

    def deliver(self, request: ReadRequest, word: int, response: int) -> None:
        """The next beat of the memory for a read, whatever it is.

        Args:
            request: what `request_read` returned.
            word: RDATA, byte at the lowest address in bits [7:0].
            response: RRESP.

        Raises:
            ValueError: the read is owed no beat.
        """
        if not request.owed:
            raise ValueError(f"no beat is owed to {request}")
        at, slot = request.addresses[len(request._words)], request._target
        error, lives = self._error(response), self._lives(request)
        if error and not any(request._responses):
            self.control.report(Fault(FaultCause.MEM_READ, request.shape.addr, False, request.slot))
        if error and lives:
            slot.bus_error = True
        # A line counts when its last beat is there.
        if not error and lives and (at + self._bus_bytes) % LINE_BYTES == 0:
            slot.count = min(slot.count + 1, _MAX_COUNT)
        request._words.append(word)
        request._responses.append(error)
        if request.owed:
            return
        self._under_way.remove(request)
        if lives and request._sums is not None and not any(request._responses):
            for line, ciphertext in self._delivered(request):
                request._sums.add(line, ciphertext)

    def _delivered(self, request: ReadRequest) -> list[tuple[int, bytes]]:
        """(index of the first line, ciphertext) of each part of a read."""
        delivered = b"".join(word.to_bytes(self._bus_bytes, "little") for word in request._words)
        out, position = [], 0
        for start, end in request.parts:
            out.append(((start - request._target.base) // LINE_BYTES, delivered[position : position + end - start]))
            position += end - start
        return out

    def finish_read(self, request: ReadRequest) -> tuple[list[int], list[int]]:
        """What a read returns when nothing more is owed to it.

        Args:
            request: what `request_read` returned.

        Returns:
            One word for each beat as on the data bus (byte at the lowest address in bits [7:0]; lanes outside a narrow
            transfer carry the neighbouring bytes), and RRESP of each beat.

        Raises:
            ValueError: the memory still owes beats.
        """
        shape = request.shape
        if request.owed:
            raise ValueError(f"{request.owed} beats are owed to {request}")
        if not request.forwarded:
            return [0] * shape.beats, [self._refused(request.cause)] * shape.beats
        slot, session = request._target, request._session
        assert session is not None, "a burst is forwarded in READY only"
        words: dict[int, int] = {}
        responses = dict(zip(request.addresses, request._responses, strict=True))
        for line, ciphertext in self._delivered(request):
            inside = max(0, slot.nbytes - line * LINE_BYTES)
            plaintext = session.crypt(request._iv, line, ciphertext)[:inside].ljust(len(ciphertext), b"\0")
            for offset in range(0, len(plaintext), self._bus_bytes):
                at = slot.base + line * LINE_BYTES + offset
                word = int.from_bytes(plaintext[offset : offset + self._bus_bytes], "little")
                words[at] = word if responses[at] == Response.OKAY else 0
        used = [shape.beat_address(number) & -self._bus_bytes for number in range(shape.beats)]
        return [words[at] for at in used], [responses[at] for at in used]

    def read(self, addr: int, beats: int, size: int, burst: int) -> tuple[list[int], list[int], FaultCause]:
        """A read burst that the memory answers at once; see `request_read` and `finish_read`.

        Returns:
            Words, responses, and the cause if it was refused or failed.
        """
        request = self.request_read(addr, beats, size, burst)
        line = b""
        for at in request.addresses:
            if at % LINE_BYTES == 0:
                line = self._memory.read(at, LINE_BYTES)
            word = line[at % LINE_BYTES : at % LINE_BYTES + self._bus_bytes]
            self.deliver(request, int.from_bytes(word, "little"), self._memory_error(at, False))
        words, responses = self.finish_read(request)
        failed = request.forwarded and any(request._responses)
        return words, responses, FaultCause.MEM_READ if failed else request.cause

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
        request = WriteRequest(shape, cause, number, cause == FaultCause.NONE, self.slots[number], self._session)
        if request.forwarded:
            self._under_way.append(request)
        return request

    def send_write(self, request: WriteRequest, data: list[int], strobes: list[int]) -> None:
        """The data of a write burst, which goes to the memory.

        Args:
            request: what `request_write` returned.
            data: one word for each beat, byte at the lowest address in bits [7:0].
            strobes: WSTRB of each beat.

        Raises:
            ValueError: the number of beats is not that of the address.
        """
        shape = request.shape
        if len(data) != shape.beats or len(strobes) != shape.beats:
            raise ValueError(f"{len(data)} beats and {len(strobes)} strobes for a burst of {shape.beats} beats")
        request.sent = True
        if not request.forwarded:
            request._response = self._refused(request.cause)
            return
        slot = request._target
        plaintext = b"".join(word.to_bytes(self._bus_bytes, "little") for word in data)
        strobed = sum(strobe << number * self._bus_bytes for number, strobe in enumerate(strobes))
        inside = min(shape.extent, slot.base + slot.nbytes - shape.addr)
        plaintext = plaintext[:inside].ljust(shape.extent, b"\0")
        complete = [self._line_complete(request, strobed, inside, at) for at in range(0, shape.extent, LINE_BYTES)]
        if not all(complete):
            request._response = Response.SLVERR
        # If the key went meanwhile, nothing is written.
        if self._lives(request):
            self._store(slot, shape.addr, plaintext, inside, complete)

    def respond_write(self, request: WriteRequest, response: int) -> int:
        """The response of the memory to a write, whatever it is; for a refused one there is none.

        Args:
            request: what `request_write` returned.
            response: BRESP of the memory.

        Returns:
            BRESP of the engine: an error of the memory goes before one of its own.

        Raises:
            ValueError: its data was not sent yet, or it is owed no response.
        """
        if not request.sent:
            raise ValueError(f"{request} was answered before its data was sent")
        if not request.forwarded:
            return request._response
        if request not in self._under_way:
            raise ValueError(f"no response is owed to {request}")
        self._under_way.remove(request)
        lives, error = self._lives(request), self._error(response)
        if not error:
            return request._response if lives else Response.SLVERR
        if lives:
            request._target.bus_error = True
        self.control.report(Fault(FaultCause.MEM_WRITE, request.shape.addr, True, request.slot))
        return error

    def finish_write(self, request: WriteRequest, data: list[int], strobes: list[int]) -> int:
        """The data of a write burst that the memory answers at once; see `send_write` and `respond_write`."""
        self.send_write(request, data, strobes)
        shape = request.shape
        answers = [self._memory_error(at, True) for at in range(shape.addr, shape.end, self._bus_bytes)]
        errors = [answer for answer in answers if self._error(answer)]
        return self.respond_write(request, errors[-1] if errors else Response.OKAY)

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
                if not self._error(self._memory_error(addr + at, True)):
                    self._memory.write(addr + at, ciphertext[at : at + self._bus_bytes])
        for start, stop in _runs(complete):
            if slot.sums is not None:
                slot.sums.add(first + start, ciphertext[start * LINE_BYTES : stop * LINE_BYTES])
            slot.count = min(slot.count + stop - start, _MAX_COUNT)


def _runs(flags: list[bool]) -> list[tuple[int, int]]:
    """(start, stop) of each run of true flags."""
    edges = [at for at in range(len(flags) + 1) if (at > 0 and flags[at - 1]) != (at < len(flags) and flags[at])]
    return list(zip(edges[::2], edges[1::2], strict=True))
