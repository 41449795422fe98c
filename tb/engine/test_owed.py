# SPDX-License-Identifier: Apache-2.0
"""What the memory owes, and what nobody asked it for: no command ends before, and no window counts it, wrongly."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import cocotb
import pyuvm
from tensortee.engine.registers import EngineState, Opcode, Result, SlotState

from tb.env.base_test import EngineTest
from tb.env.bursts import OKAY, SLVERR, Burst
from tb.hostile import Freedom, HostileDram
from tb.memory import LINE_BYTES

SLOT = 0
BASE = 0x1_0000
NBYTES = 2 * LINE_BYTES
WAIT_CYCLES = 400
"""Longer than any command takes whose slot has no burst under way."""
STALLED = 0.999


class OwedTest(EngineTest):
    """One tensor of two lines behind a hostile memory."""

    dram_class = HostileDram

    def build_phase(self) -> None:
        """Know the memory by its type."""
        super().build_phase()
        self.line_beats = LINE_BYTES // self.env.bus_bytes

    @property
    def dram(self) -> HostileDram:
        """The memory."""
        assert isinstance(self.env.dram, HostileDram)
        return self.env.dram

    async def store(self) -> bytes:
        """Define the tensor and store it."""
        data = self.rng.randbytes(NBYTES)
        await self.seq.define(SLOT, BASE, NBYTES)
        await self.seq.store(SLOT, BASE, data)
        return data

    async def close(self, wanted: Result = Result.OK) -> None:
        """Close the window."""
        await self.seq.expect(wanted, Opcode.CLOSE_READ, SLOT)

    async def waits_for_memory(self, action: Coroutine[Any, Any, Any]) -> Any:
        """Do something that must not end before the memory is released; release it."""
        task = cocotb.start_soon(action)
        await self.seq.idle(WAIT_CYCLES)
        assert not task.done(), "the engine went on while the memory owed it something"
        self.dram.release()
        return await task

    async def release_slot(self) -> None:
        """RELEASE the tensor."""
        await self.seq.expect(Result.OK, Opcode.RELEASE, SLOT)


@pyuvm.test(timeout_time=5, timeout_unit="ms")
class BeatsHeld(OwedTest):
    """M1: a read of a part of a line has everything, the memory keeps the rest of the line."""

    async def hold_rest(self, kept: int) -> None:
        """Read one line whole, and of the other one what comes before the last ``kept`` beats."""
        seq = self.seq
        await self.store()
        await seq.expect(Result.OK, Opcode.OPEN_READ, SLOT)
        await seq.read_lines(BASE, NBYTES, [(1, 1)])
        self.dram.hold(kept)
        burst = await seq.read(BASE, max(1, self.line_beats - kept))
        if kept < self.line_beats:
            await burst.done.wait()
        else:
            await seq.idle(WAIT_CYCLES)
        assert self.dram.owes == kept

    async def body(self) -> None:
        """Close the window, zeroize by command and by pin; the rest comes then, with right and with wrong data."""
        for kept in self.thin(range(1, max(2, self.line_beats)), 1):
            await self.hold_rest(kept)
            await self.waits_for_memory(self.close())
            await self.release_slot()
            await self.hold_rest(kept)
            self.dram.forge = lambda _, word: word ^ 1 << 77
            await self.waits_for_memory(self.close(Result.TAG_ERROR))
            self.dram.forge = None
            await self.rekey()
        await self.hold_rest(1)
        self.dram.forge = lambda _, word: word ^ 1 << 77
        await self.waits_for_memory(self.rekey())
        await self.hold_rest(1)
        self.env.interrupted()
        self.dut.zeroize.value = 1
        await self.seq.idle(1)
        self.dut.zeroize.value = 0
        await self.waits_for_memory(self.new_key())
        self.dram.forge = None
        await self.seq.clear_faults()
        self.env.adopt_faults()


@pyuvm.test(timeout_time=5, timeout_unit="ms")
class ResponsesHeld(OwedTest):
    """M1: the memory keeps the response to a write across the commands that would end or restart its epoch."""

    async def hold_response(self) -> list[Burst]:
        """Write one line; the other one's response is kept."""
        seq = self.seq
        await seq.define(SLOT, BASE, NBYTES)
        await seq.expect(Result.OK, Opcode.OPEN_WRITE, SLOT)
        await seq.write_lines(BASE, self.rng.randbytes(NBYTES), [(1, 1)])
        self.dram.hold(responses=True)
        burst = await seq.write(BASE, self.rng.randbytes(LINE_BYTES))
        await seq.idle(60)
        return [burst]

    async def body(self) -> None:
        """Every command that a slot in WRITING takes, and ZEROIZE."""
        for opcode in (Opcode.CLOSE_WRITE, Opcode.OPEN_WRITE, Opcode.RELEASE):
            bursts = await self.hold_response()
            await self.waits_for_memory(self.seq.expect(Result.OK, opcode, SLOT))
            await self.seq.finish(bursts)
            if opcode != Opcode.RELEASE:
                await self.release_slot()
        bursts = await self.hold_response()
        await self.waits_for_memory(self.rekey())
        await self.seq.finish(bursts)


@pyuvm.test(timeout_time=10, timeout_unit="ms")
class ExactBytes(OwedTest):
    """A slow and honest memory: a window in which the NPU reads exactly the bytes of its tensor closes OK."""

    async def body(self) -> None:
        """Tensors of 1 .. 130 bytes, beats of every size; the rest of the last line comes late."""
        seq = self.seq
        corners = [1, 16, 17, 63, 64, 65, 127, 128, 129, 130]
        lengths = sorted({*corners, *self.rng.sample(range(1, 131), 10)})
        self.dram.freedom = Freedom(hold=0.4, hold_cycles=250)
        for number, nbytes in enumerate(self.thin(lengths, 4)):
            data = self.rng.randbytes(nbytes)
            await seq.define(SLOT, BASE, nbytes)
            await seq.store(SLOT, BASE, data)
            await seq.expect(Result.OK, Opcode.OPEN_READ, SLOT)
            size = number % (seq.full + 1)
            burst = await seq.read(BASE, -(-nbytes >> size), size=size)
            await burst.done.wait()
            await self.close()
            got = b"".join(part for _, part in burst.payload(self.env.bus_bytes))
            assert got[:nbytes] == data
            assert not any(got[nbytes:])
            await self.release_slot()
        self.dram.freedom = Freedom()


@pyuvm.test(timeout_time=10, timeout_unit="ms")
class NobodyAsked(OwedTest):
    """M2: beats and responses with every ID while nothing is under way, in every state of a slot and of the engine."""

    async def strays(self) -> None:
        """Send a beat and a response, good and failed, with every ID; nothing may change."""
        idents = self.env.axi.driver.manager.id_count
        for ident in self.rng.sample(range(idents), min(idents, 3 if self.slow else 16)):
            for response in (OKAY, SLVERR):
                self.dram.send_beat(ident, self.rng.getrandbits(8 * self.env.bus_bytes), response)
                self.dram.send_response(ident, response)
        await self.env.drain()
        await self.seq.compare_registers()

    async def body(self) -> None:
        """Take the slot through its states."""
        seq = self.seq
        data = self.rng.randbytes(NBYTES)
        await self.strays()
        await seq.define(SLOT, BASE, NBYTES)
        await self.strays()
        await seq.expect(Result.OK, Opcode.OPEN_WRITE, SLOT)
        await self.strays()
        await seq.write_lines(BASE, data, [(0, 1)])
        await self.strays()
        await seq.write_lines(BASE, data, [(1, 1)])
        await seq.expect(Result.OK, Opcode.CLOSE_WRITE, SLOT)
        await self.strays()
        await seq.expect(Result.OK, Opcode.OPEN_READ, SLOT)
        await self.strays()
        first = await seq.read_lines(BASE, NBYTES, [(0, 1)])
        await self.strays()
        second = await seq.read_lines(BASE, NBYTES, [(1, 1)])
        assert first[:LINE_BYTES] + second[LINE_BYTES:] == data
        await self.close()
        assert self.env.backdoor.slot(SLOT).state == SlotState.VERIFIED
        await self.strays()
        await seq.expect(Result.OK, Opcode.OPEN_READ, SLOT)
        await self.close(Result.COVERAGE_ERROR)
        await self.strays()
        await seq.store(SLOT, BASE, data)
        self.dram.forge = lambda _, word: word ^ 1
        await seq.expect(Result.OK, Opcode.OPEN_READ, SLOT)
        await seq.read_lines(BASE, NBYTES)
        await self.close(Result.TAG_ERROR)
        self.dram.forge = None
        await self.strays()
        await seq.expect(Result.OK, Opcode.ZEROIZE)
        await seq.until(EngineState.NO_KEY)
        await self.strays()
        await self.new_key()
        await seq.clear_faults()


@pyuvm.test(timeout_time=10, timeout_unit="ms")
class TooManyTooEarly(OwedTest):
    """M2: surplus, early and wrong-ID beats; responses before data and address, surplus and wrong ones."""

    async def body(self) -> None:
        """Beats that disturb nothing, beats that spoil the window, responses."""
        seq, dram = self.seq, self.dram
        data = await self.store()
        stored = [dram.read(BASE + at, self.env.bus_bytes) for at in range(0, LINE_BYTES, self.env.bus_bytes)]
        # With another ID while a read is held, and after the last beat of its own.
        await seq.expect(Result.OK, Opcode.OPEN_READ, SLOT)
        dram.hold(1)
        burst = await seq.read(BASE, self.line_beats, ident=1)
        await seq.idle(60)
        for ident in self.others():
            dram.send_beat(ident, 1 << 99)
        await seq.idle(60)
        dram.release()
        await burst.done.wait()
        await self.env.drain()
        dram.send_beat(1, 1 << 99)
        dram.send_beat(1, 1 << 98, SLVERR)
        await self.env.drain()
        await seq.read_lines(BASE, NBYTES, [(1, 1)])
        await self.close()
        # Before the memory has accepted the address: the right data, which may count or not, and then all of it.
        await seq.expect(Result.OK, Opcode.OPEN_READ, SLOT)
        await self.early([int.from_bytes(word, "little") for word in stored])
        assert (await seq.read_lines(BASE, NBYTES, [(1, 1)]))[LINE_BYTES:] == data[LINE_BYTES:]
        await self.close()
        # The same with other data.
        await seq.expect(Result.OK, Opcode.OPEN_READ, SLOT)
        await self.early([self.rng.getrandbits(8 * self.env.bus_bytes) for _ in stored])
        await seq.read_lines(BASE, NBYTES, [(1, 1)])
        result = await seq.command(Opcode.CLOSE_READ, SLOT)
        assert result == Result.TAG_ERROR, "early beats with other data were not taken: the test showed nothing"
        await self.rekey()
        await self.responses()

    def others(self) -> list[int]:
        """IDs other than 1, which the bursts here have."""
        return [ident for ident in (0, 2) if ident < self.env.axi.driver.manager.id_count]

    async def early(self, words: list[int]) -> None:
        """Send beats for a read whose address the memory does not accept yet."""
        self.dram.timing.ar_stall = STALLED
        burst = await self.seq.read(BASE, self.line_beats, ident=1)
        await self.seq.idle(20)
        for word in words:
            self.dram.send_beat(1, word)
        await self.seq.idle(20)
        self.dram.timing.ar_stall = 0.0
        await burst.done.wait()
        await self.env.drain()

    async def responses(self) -> None:
        """Writes that are answered before the memory has their data or address, twice, and with wrong IDs."""
        seq, dram = self.seq, self.dram
        data = self.rng.randbytes(NBYTES)
        await seq.define(SLOT, BASE, NBYTES)
        for channel in ("w_stall", "aw_stall"):
            await seq.expect(Result.OK, Opcode.OPEN_WRITE, SLOT)
            setattr(dram.timing, channel, STALLED)
            burst = await seq.write(BASE, data[:LINE_BYTES], ident=1)
            await seq.idle(60)
            for ident in self.others():
                dram.send_response(ident, SLVERR)
            dram.send_response(1)
            await seq.idle(60)
            setattr(dram.timing, channel, 0.0)
            await burst.done.wait()
            await self.env.drain()
            dram.send_response(1, SLVERR)
            await seq.write_lines(BASE, data, [(1, 1)])
            await seq.expect(Result.OK, Opcode.CLOSE_WRITE, SLOT)
            assert await seq.load(SLOT, BASE, NBYTES) == data
