# SPDX-License-Identifier: Apache-2.0
"""Every command in every state of the slot and of the engine, and every result that a command can have."""

from __future__ import annotations

import pyuvm
from cocotb.triggers import ClockCycles
from tensortee.engine.registers import EngineState, Opcode, Result, SlotState

from tb.axil import OKAY, SLVERR
from tb.dram import DramTiming
from tb.env.base_test import EngineTest
from tb.memory import LINE_BYTES

SLOT = 0
BASE = 0x9000
NBYTES = 100
UNDEFINED_OPCODES = (0, 8, 9, 15)


class CommandTest(EngineTest):
    """Commands on one slot."""

    async def bring_to(self, state: SlotState) -> None:
        """Bring SLOT from EMPTY to a state."""
        seq = self.seq
        if state == SlotState.EMPTY:
            return
        await seq.define(SLOT, BASE, NBYTES)
        if state == SlotState.DEFINED:
            return
        await seq.expect(Result.OK, Opcode.OPEN_WRITE, SLOT)
        if state == SlotState.WRITING:
            return
        await seq.write_lines(BASE, self.rng.randbytes(NBYTES))
        await seq.expect(Result.OK, Opcode.CLOSE_WRITE, SLOT)
        if state == SlotState.SEALED:
            return
        await seq.expect(Result.OK, Opcode.OPEN_READ, SLOT)
        if state == SlotState.READING:
            return
        if state == SlotState.VERIFIED:
            await seq.read_lines(BASE, NBYTES)
            await seq.expect(Result.OK, Opcode.CLOSE_READ, SLOT)
        else:
            await seq.expect(Result.COVERAGE_ERROR, Opcode.CLOSE_READ, SLOT)

    async def bring_back(self) -> None:
        """Bring SLOT back to EMPTY from any state."""
        state = self.env.backdoor.slot(SLOT).state
        if state == SlotState.READING:
            await self.seq.command(Opcode.CLOSE_READ, SLOT)
        if state != SlotState.EMPTY:
            await self.seq.expect(Result.OK, Opcode.RELEASE, SLOT)


@pyuvm.test(timeout_time=5, timeout_unit="ms")
class CommandsInSlotStates(CommandTest):
    """All commands but ZEROIZE, and opcodes that are not defined, in all seven slot states, against the model."""

    async def body(self) -> None:
        """Cross states and commands."""
        for state in SlotState:
            for opcode in (*(op for op in Opcode if op != Opcode.ZEROIZE), self.rng.choice(UNDEFINED_OPCODES)):
                await self.bring_to(state)
                assert self.env.backdoor.slot(SLOT).state == state
                await self.seq.command(opcode, SLOT, BASE, NBYTES)
                await self.bring_back()
        for opcode in UNDEFINED_OPCODES:
            await self.seq.command(opcode, SLOT)


@pyuvm.test(timeout_time=5, timeout_unit="ms")
class ZeroizeInSlotStates(CommandTest):
    """ZEROIZE empties the slots whatever their state; the new key starts clean."""

    async def body(self) -> None:
        """Cross."""
        for state in self.thin(SlotState, 2):
            await self.bring_to(state)
            await self.rekey(SLOT)
            for slot in range(self.env.backdoor.slots):
                view = self.env.backdoor.slot(slot)
                assert (view.state, view.tag, view.iv) == (SlotState.EMPTY, bytes(16), bytes(12)), (
                    f"slot {slot}: {view}"
                )


@pyuvm.test(timeout_time=5, timeout_unit="ms")
class SlotNumbers(CommandTest):
    """The highest slot works; slots that do not exist are refused by every command but ZEROIZE, which ignores them."""

    async def body(self) -> None:
        """Try the numbers around the edge."""
        slots = self.env.backdoor.slots
        for opcode in (*(op for op in Opcode if op != Opcode.ZEROIZE), 0):
            for slot in (slots, slots + 1, 255):
                await self.seq.command(opcode, slot, BASE, NBYTES)
        data = self.rng.randbytes(NBYTES)
        await self.seq.define(slots - 1, BASE, NBYTES)
        await self.seq.store(slots - 1, BASE, data)
        assert await self.seq.load(slots - 1, BASE, NBYTES) == data
        await self.seq.expect(Result.OK, Opcode.ZEROIZE, 255)
        await self.new_key()


@pyuvm.test(timeout_time=5, timeout_unit="ms")
class DefineArguments(CommandTest):
    """Base, length and overlap of DEFINE, at and over every limit."""

    async def body(self) -> None:
        """Try each against the model and against the result that the documentation gives."""
        top = 1 << self.env.parameters["ADDR_W"]
        longest = (1 << 36) - 32
        expect, seq = self.seq.expect, self.seq
        for base in (1, 63, 0x9020, top, top + 64, 1 << 63):
            await expect(Result.BAD_BASE, Opcode.DEFINE, SLOT, base, NBYTES)
        for base, nbytes in ((BASE, 0), (BASE, longest + 1), (BASE, 1 << 63), (top - 64, 65), (top - 128, 129)):
            await expect(Result.BAD_LENGTH, Opcode.DEFINE, SLOT, base, nbytes)
        for base, nbytes in ((top - 64, 64), (top - 64, 1), (0, 1), (0, min(longest, top // 2))):
            await expect(Result.OK, Opcode.DEFINE, SLOT, base, nbytes)
            await expect(Result.OK, Opcode.RELEASE, SLOT)
        await seq.define(SLOT, BASE, 3 * LINE_BYTES - 1)
        other = SLOT + 1
        end = BASE + 3 * LINE_BYTES
        for base, nbytes in (
            (BASE, 1),
            (BASE - 64, 65),
            (end - 64, 1),
            (BASE + 64, 64),
            (BASE - 64, 1024),
            (0, 1 << 30),
        ):
            await expect(Result.OVERLAP, Opcode.DEFINE, other, base, nbytes)
        for base, nbytes in ((BASE - 64, 64), (end, 1)):
            await expect(Result.OK, Opcode.DEFINE, other, base, nbytes)
            await expect(Result.OK, Opcode.RELEASE, other)


@pyuvm.test(timeout_time=5, timeout_unit="ms")
class LongestTensor(CommandTest):
    """A tensor of 2^36 - 32 bytes, or of half the address space: DEFINE and the closed forms take its length."""

    async def body(self) -> None:
        """Write the first lines; the epoch is not complete, which takes the closed form of the coverage hash."""
        top = 1 << self.env.parameters["ADDR_W"]
        nbytes = min((1 << 36) - 32, top // 2)
        await self.seq.define(SLOT, top // 2, nbytes)
        await self.seq.expect(Result.OK, Opcode.OPEN_WRITE, SLOT)
        await self.seq.write_lines(top // 2, self.rng.randbytes(3 * LINE_BYTES))
        await self.seq.expect(Result.COVERAGE_ERROR, Opcode.CLOSE_WRITE, SLOT)


@pyuvm.test(timeout_time=5, timeout_unit="ms")
class IdentitiesExhausted(CommandTest):
    """With no tensor_id left DEFINE is refused, and ZEROIZE alone does not bring one back."""

    async def body(self) -> None:
        """Preset the counters near their end."""
        last = (1 << 24) - 1
        self.dut.u_commands.next_id.value = last
        self.env.predictor.engine.next_id = last
        await self.seq.idle(1)
        await self.seq.define(SLOT, BASE, NBYTES)
        assert self.env.backdoor.slot(SLOT).tensor_id & last == last
        await self.seq.expect(Result.IDS_EXHAUSTED, Opcode.DEFINE, SLOT + 1, BASE + 0x1000, NBYTES)
        await self.seq.expect(Result.OK, Opcode.RELEASE, SLOT)
        await self.seq.expect(Result.IDS_EXHAUSTED, Opcode.DEFINE, SLOT, BASE, NBYTES)
        await self.seq.compare_registers()
        await self.reset()
        await self.new_key()


@pyuvm.test(timeout_time=5, timeout_unit="ms")
class VersionExhausted(CommandTest):
    """N2: the version number stops at its end; the slot refuses new epochs and still reads."""

    async def body(self) -> None:
        """Preset the version near its end and open epochs until it is refused."""
        last = (1 << self.env.parameters["VERSION_W"]) - 1
        data = self.rng.randbytes(NBYTES)
        await self.seq.define(SLOT, BASE, NBYTES)
        self.env.backdoor.deposit_version(SLOT, last - 2)
        slot = self.env.predictor.engine.slots[SLOT]
        slot.iv = slot.iv[:4] + (last - 2).to_bytes(8, "big")
        await self.seq.idle(1)
        for _ in range(2):
            await self.seq.store(SLOT, BASE, data)
        assert self.env.backdoor.slot(SLOT).version == last
        for _ in range(2):
            await self.seq.expect(Result.VERSION_EXHAUSTED, Opcode.OPEN_WRITE, SLOT)
        assert await self.seq.load(SLOT, BASE, NBYTES) == data
        await self.seq.expect(Result.VERSION_EXHAUSTED, Opcode.OPEN_WRITE, SLOT)
        # A fresh identity starts a fresh count.
        await self.seq.expect(Result.OK, Opcode.RELEASE, SLOT)
        await self.seq.define(SLOT, BASE, NBYTES)
        await self.seq.store(SLOT, BASE, data)


@pyuvm.test(timeout_time=5, timeout_unit="ms")
class AbandonedEpoch(CommandTest):
    """N3: a half-written tensor is opened again: the version moves on and no keystream block is used twice."""

    async def body(self) -> None:
        """Abandon at random points; the scoreboard watches the keystream of every block on the memory bus."""
        nbytes = 10 * LINE_BYTES
        await self.seq.define(SLOT, BASE, nbytes)
        version = 0
        for count in (0, 1, 5, 9, 10):
            await self.seq.expect(Result.OK, Opcode.OPEN_WRITE, SLOT)
            assert self.env.backdoor.slot(SLOT).version > version, "the version number did not move on"
            version = self.env.backdoor.slot(SLOT).version
            lines = self.rng.sample(range(10), count)
            # The same plaintext each time: the same keystream would give the same ciphertext.
            await self.seq.write_lines(BASE, bytes(nbytes), [(line, 1) for line in lines])
        await self.seq.expect(Result.OK, Opcode.CLOSE_WRITE, SLOT)
        await self.seq.expect(Result.OK, Opcode.OPEN_WRITE, SLOT)
        await self.seq.write_lines(BASE, bytes(nbytes), [(0, 4)])
        await self.seq.expect(Result.COVERAGE_ERROR, Opcode.CLOSE_WRITE, SLOT)
        await self.seq.store(SLOT, BASE, bytes(nbytes))


@pyuvm.test(timeout_time=5, timeout_unit="ms")
class CommandsInEngineStates(CommandTest):
    """Every command in NO_KEY and FATAL against the model; in WIPE and SETUP, which pass, against the documentation."""

    async def bring_up(self) -> None:
        """No key yet."""

    async def body(self) -> None:
        """Walk through the engine states."""
        await self.seq.until(EngineState.NO_KEY)
        await self._all(EngineState.NO_KEY)
        for opcode in self.thin(Opcode, 2):
            await self._offer_key()
            await self._passing(EngineState.SETUP, opcode)
            self.dut.zeroize.value = 1
            await ClockCycles(self.dut.clk, 1)
            self.dut.zeroize.value = 0
            await self._passing(EngineState.WIPE, opcode)
        await self.seq.until(EngineState.NO_KEY)
        await self.new_key()
        await self.bring_to(SlotState.SEALED)
        for memory in self.env.tampered(SLOT):
            memory.flip(BASE)
        await self.seq.expect(Result.OK, Opcode.OPEN_READ, SLOT)
        await self.seq.read_lines(BASE, NBYTES)
        await self.seq.expect(Result.TAG_ERROR, Opcode.CLOSE_READ, SLOT)
        await self._all(EngineState.FATAL)
        await self.rekey()

    async def _all(self, state: EngineState) -> None:
        await self.seq.until(state)
        for opcode in (*(op for op in Opcode if op != Opcode.ZEROIZE), 0):
            wanted = Result.NOT_READY if opcode else Result.BAD_OPCODE
            await self.seq.expect(wanted, opcode, SLOT, BASE, NBYTES) if opcode else await self.seq.command(0)
            await self.seq.expect(Result.BAD_SLOT, Opcode.DEFINE, 255, BASE, NBYTES)

    async def _offer_key(self) -> None:
        """Hand a key over and return at once: the engine is in SETUP."""
        await self.seq.until(EngineState.NO_KEY)
        self.dut.key_data.value = int.from_bytes(bytes(range(self.env.key_bytes)), "little")
        self.dut.key_valid.value = 1
        await ClockCycles(self.dut.clk, 2)
        self.dut.key_valid.value = 0
        self.dut.key_data.value = 0

    async def _passing(self, state: EngineState, opcode: Opcode) -> None:
        """One command in a state that passes: the model has no such state, so the result is checked here."""
        registers = self.env.control.registers
        assert await registers.get("STATUS.STATE") == state
        assert await registers.try_write("CMD", SLOT=SLOT, OPCODE=opcode) == OKAY
        while await registers.get("STATUS.CMD_BUSY"):
            pass
        result = await registers.get("CMD_RESULT.RESULT")
        wanted = Result.OK if opcode == Opcode.ZEROIZE else Result.NOT_READY
        assert result == wanted, f"{opcode.name} in {state.name} gave {result!r}"
        self.env.coverage.command(opcode, None, state, wanted)
        # The model did not see this command.
        self.env.predictor.engine.command(opcode, SLOT)


@pyuvm.test(timeout_time=5, timeout_unit="ms")
class BusyAndAborted(CommandTest):
    """While a command runs, CMD takes only ZEROIZE, which ends the command with ABORTED."""

    async def body(self) -> None:
        """Hold a CLOSE_WRITE up by a slow memory; end it once by the pin, once by the command."""
        registers, env = self.env.control.registers, self.env
        for by_pin in (True, False):
            env.dram.timing = DramTiming(write_latency=800)
            await self.bring_to(SlotState.WRITING)
            bursts = [await self.seq.write(BASE, self.rng.randbytes(2 * LINE_BYTES))]
            await self.seq.idle(20)
            assert await registers.try_write("CMD", SLOT=SLOT, OPCODE=Opcode.CLOSE_WRITE) == OKAY
            assert await registers.get("STATUS.CMD_BUSY") == 1
            for opcode in (op for op in Opcode if op != Opcode.ZEROIZE):
                assert await registers.try_write("CMD", SLOT=SLOT, OPCODE=opcode) == SLVERR
            # The slot is locked: new accesses are refused although its state still is WRITING.
            assert env.backdoor.slot(SLOT).state == SlotState.WRITING
            env.interrupted()
            if by_pin:
                self.dut.zeroize.value = 1
                await self.seq.idle(1)
                self.dut.zeroize.value = 0
                await self.seq.idle(4)
                result = await registers.read("CMD_RESULT")
                assert result["RESULT"] == Result.ABORTED, f"the interrupted command reports {result['RESULT']!r}"
                assert result["OPCODE"] == Opcode.CLOSE_WRITE
                env.coverage.command(Opcode.CLOSE_WRITE, SlotState.WRITING, EngineState.READY, Result.ABORTED)
                env.predictor.engine.command(Opcode.CLOSE_WRITE, SLOT)
            else:
                await self.seq.expect(Result.OK, Opcode.ZEROIZE, SLOT)
            await self.seq.finish(bursts)
            env.dram.timing = DramTiming()
            await self.new_key()
            await self.seq.clear_faults()
            env.adopt_faults()
            await self.seq.command(0)


@pyuvm.test(timeout_time=5, timeout_unit="ms")
class LockedSlot(CommandTest):
    """From the start of a CLOSE on, accesses to the slot are refused with STATE; those under way are finished first."""

    async def body(self) -> None:
        """Hold a CLOSE_READ up by a slow memory and access the slot meanwhile."""
        env, registers = self.env, self.env.control.registers
        await self.bring_to(SlotState.SEALED)
        await self.seq.expect(Result.OK, Opcode.OPEN_READ, SLOT)
        env.dram.timing = DramTiming(read_latency=600)
        beats = LINE_BYTES // env.bus_bytes
        first = [await self.seq.read(BASE, beats), await self.seq.read(BASE + LINE_BYTES, beats)]
        await self.seq.idle(20)
        assert await registers.try_write("CMD", SLOT=SLOT, OPCODE=Opcode.CLOSE_READ) == OKAY
        late = await self.seq.read(BASE, beats)
        self.env.predictor.engine.lock(SLOT)
        await self.seq.finish([*first, late])
        self.env.predictor.engine.command(Opcode.CLOSE_READ, SLOT)
        assert all(set(burst.responses) == {0} for burst in first)
        assert set(late.responses) == {SLVERR}, "a read was served while the window was being closed"
        assert not any(late.data), "a refused read returned data"
        while await registers.get("STATUS.CMD_BUSY"):
            pass
        assert await registers.get("CMD_RESULT.RESULT") == Result.OK
        env.dram.timing = DramTiming()
