# SPDX-License-Identifier: Apache-2.0
"""A manager for the golden model's engine: moves bytes in bursts of whole lines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tensortee.engine import BurstType, Dram, Engine, Response
from tensortee.engine.registers import FaultCause, Opcode, Result
from tensortee.format import LINE_BYTES, line_count

TEST_KEY = bytes(range(16))
OTHER_TEST_KEY = bytes(range(16, 32))


class Bench:
    """An engine with memory and a key, and shorthands for tests.

    Args:
        key: test key, None to leave the engine without one.
        parameters: of the engine.
    """

    def __init__(self, key: bytes | None = TEST_KEY, memory: Dram | None = None, **parameters: int) -> None:
        self.dram = Dram() if memory is None else memory
        self.engine = Engine(self.dram, **parameters)
        self.bus_bytes = parameters.get("data_w", 128) // 8
        self.size = self.bus_bytes.bit_length() - 1
        if key is not None:
            assert self.engine.install_key(key)

    def expect(self, result: Result, opcode: Opcode, slot: int = 0, base: int = 0, nbytes: int = 0) -> None:
        """Execute a command that must give `result`."""
        assert self.engine.command(opcode, slot, base, nbytes) == result

    def define(self, slot: int, base: int, nbytes: int) -> None:
        """Bind a slot."""
        self.expect(Result.OK, Opcode.DEFINE, slot, base, nbytes)

    def write_lines(self, addr: int, data: bytes) -> tuple[FaultCause, int]:
        """One write burst of whole lines; returns its cause and response."""
        words = [int.from_bytes(data[at : at + self.bus_bytes], "little") for at in range(0, len(data), self.bus_bytes)]
        request = self.engine.request_write(addr, len(words), self.size, BurstType.INCR)
        response = self.engine.finish_write(request, words, [(1 << self.bus_bytes) - 1] * len(words))
        return request.cause, response

    def read_lines(self, addr: int, lines: int = 1) -> tuple[bytes, list[int], FaultCause]:
        """One read burst of whole lines."""
        beats = lines * LINE_BYTES // self.bus_bytes
        words, responses, cause = self.engine.read(addr, beats, self.size, BurstType.INCR)
        return b"".join(word.to_bytes(self.bus_bytes, "little") for word in words), responses, cause

    def fill(self, slot: int, data: bytes, order: Iterable[int] | None = None) -> None:
        """Write all lines of a tensor in an order, in an epoch that is open."""
        base, lines = self.engine.slots[slot].base, line_count(len(data))
        padded = data.ljust(lines * LINE_BYTES, b"\xee")
        for line in range(lines) if order is None else order:
            cause, response = self.write_lines(
                base + line * LINE_BYTES, padded[line * LINE_BYTES : (line + 1) * LINE_BYTES]
            )
            assert (cause, response) == (FaultCause.NONE, Response.OKAY)

    def store(self, slot: int, data: bytes, order: Iterable[int] | None = None) -> None:
        """Write a tensor in an epoch of its own."""
        self.expect(Result.OK, Opcode.OPEN_WRITE, slot)
        self.fill(slot, data, order)
        self.expect(Result.OK, Opcode.CLOSE_WRITE, slot)

    def make(self, slot: int, base: int, data: bytes) -> None:
        """Define and write a tensor."""
        self.define(slot, base, len(data))
        self.store(slot, data)

    def load(self, slot: int, order: Sequence[int] | None = None) -> tuple[bytes, Result]:
        """Read lines of a tensor in a window of its own; returns what came, in order of the index, and the verdict."""
        self.expect(Result.OK, Opcode.OPEN_READ, slot)
        tensor = self.engine.slots[slot]
        got: dict[int, bytes] = {}
        for line in range(tensor.lines) if order is None else order:
            data, responses, _ = self.read_lines(tensor.base + line * LINE_BYTES)
            assert not any(responses)
            got[line] = data
        nbytes = tensor.nbytes
        verdict = self.engine.command(Opcode.CLOSE_READ, slot)
        return b"".join(got[line] for line in sorted(got))[:nbytes], verdict
