# SPDX-License-Identifier: Apache-2.0
"""The attacks of the threat model on the RTL: each is detected, and afterwards nothing leaves the engine."""

from __future__ import annotations

import pyuvm
from tensortee.engine.registers import EngineState, FaultCause, Opcode, Result, SlotState

from tb.env.base_test import EngineTest
from tb.env.bursts import SLVERR
from tb.env.plan import full_runs
from tb.memory import LINE_BYTES, SparseMemory

FIRST, SECOND = 3, 4
BASE, OTHER = 0x1_0000, 0x2_0000
LINES = 6
NBYTES = LINES * LINE_BYTES - 9


class AttackTest(EngineTest):
    """Two tensors of the same shape, and an attacker at the memory."""

    async def store_both(self) -> tuple[bytes, bytes]:
        """Define and store both tensors; returns their data."""
        data = self.rng.randbytes(NBYTES), self.rng.randbytes(NBYTES)
        for slot, base, part in ((FIRST, BASE, data[0]), (SECOND, OTHER, data[1])):
            await self.seq.define(slot, base, NBYTES)
            await self.seq.store(slot, base, part)
        return data

    async def detected(self, slot: int = FIRST, base: int = BASE) -> None:
        """Read the tensor: the window must fail, the slot be poisoned, and nothing be readable afterwards."""
        seq, env = self.seq, self.env
        await seq.expect(Result.OK, Opcode.OPEN_READ, slot)
        await seq.read_lines(base, NBYTES)
        assert env.backdoor.slot(slot).state == SlotState.READING, "a slot left READING before its window was closed"
        await self.fails(slot)

    async def fails(self, slot: int = FIRST) -> None:
        """Close the window: it must fail by its tag, with every consequence; then re-key."""
        seq, env = self.seq, self.env
        await seq.expect(Result.TAG_ERROR, Opcode.CLOSE_READ, slot)
        view = env.backdoor.slot(slot)
        assert (view.state, view.result) == (SlotState.POISONED, Result.TAG_ERROR)
        await seq.compare_registers()
        assert env.sideband.fatal, "alert_fatal is low after a wrong tag"
        assert await env.control.registers.get("STATUS.STATE") == EngineState.FATAL
        assert await env.control.registers.get("INTR_STATE.FATAL") == 1
        for number in range(env.backdoor.slots):
            assert env.backdoor.slot(number).tag == bytes(16), "a tag survived FATAL"
        late = [await seq.read(base, 4) for base in (BASE, OTHER)]
        await seq.finish(late)
        # One after the other: a read and a write that are refused in the same cycle share one alert pulse.
        late.append(await seq.write(OTHER, bytes(LINE_BYTES)))
        await seq.finish(late)
        assert all(set(burst.responses) == {SLVERR} for burst in late)
        assert not any(any(burst.data) for burst in late[:2]), "data was released after alert_fatal"
        await seq.expect(Result.NOT_READY, Opcode.OPEN_READ, SECOND)
        await seq.clear_faults()
        await self.rekey()
        env.dram.memory.honest()
        env.predictor.memory.honest()


@pyuvm.test(timeout_time=5, timeout_unit="ms")
class Spoofing(AttackTest):
    """A1: one flipped bit anywhere in the ciphertext."""

    async def body(self) -> None:
        """Flip bits of random lines; the first and the last byte are always among them."""
        places = [0, NBYTES - 1, *(self.rng.randrange(NBYTES) for _ in range(0 if self.slow else 6))]
        for offset in places:
            await self.store_both()
            bit = self.rng.randrange(8)
            for memory in self.env.tampered(FIRST):
                memory.flip(BASE + offset, bit)
            await self.detected()


@pyuvm.test(timeout_time=5, timeout_unit="ms")
class BitPositions(AttackTest):
    """A1: every bit position of a line, one window for each; the tag differs each time."""

    async def body(self) -> None:
        """One tensor of one line: flip a bit, close by the tag, re-key. A sample of the positions on Icarus."""
        positions = self.thin(self.rng.sample(range(8 * LINE_BYTES), 12), 2)
        for position in positions:
            await self.seq.define(FIRST, BASE, LINE_BYTES)
            await self.seq.store(FIRST, BASE, self.rng.randbytes(LINE_BYTES))
            for memory in self.env.tampered(FIRST):
                memory.flip(BASE + position // 8, position % 8)
            await self.seq.expect(Result.OK, Opcode.OPEN_READ, FIRST)
            await self.seq.read_lines(BASE, LINE_BYTES)
            await self.seq.expect(Result.TAG_ERROR, Opcode.CLOSE_READ, FIRST)
            await self.rekey()


@pyuvm.test(timeout_time=5, timeout_unit="ms")
class BehindTheEnd(AttackTest):
    """Bytes behind the end of a tensor are no part of it: changing them changes nothing, and they read as zero."""

    async def body(self) -> None:
        """Change the padding of the last line."""
        data, _ = await self.store_both()
        for memory in self.env.tampered():
            memory.flip(BASE + NBYTES)
        assert await self.seq.load(FIRST, BASE, NBYTES) == data
        await self.seq.expect(Result.OK, Opcode.OPEN_READ, FIRST)
        tail = await self.seq.read(BASE + NBYTES, LINES * LINE_BYTES - NBYTES, size=0)
        await tail.done.wait()
        assert not any(any(part) for _, part in tail.payload(self.env.bus_bytes)), "padding reads as other than zero"
        await self.seq.expect(Result.COVERAGE_ERROR, Opcode.CLOSE_READ, FIRST)
        # Put it back: the back door demands zeros there.
        for memory in self.env.tampered():
            memory.flip(BASE + NBYTES)


@pyuvm.test(timeout_time=5, timeout_unit="ms")
class Splicing(AttackTest):
    """A2: lines swapped in a tensor, rotated, and moved between two tensors of equal shape and version."""

    async def body(self) -> None:
        """Try each."""

        def swap(memory: SparseMemory) -> None:
            memory.swap(BASE, BASE + 3 * LINE_BYTES)

        def rotate(memory: SparseMemory) -> None:
            for line in range(LINES - 2):
                memory.swap(BASE + line * LINE_BYTES, BASE + (line + 1) * LINE_BYTES)

        def exchange_all(memory: SparseMemory) -> None:
            memory.swap(BASE, OTHER, LINES * LINE_BYTES)

        def exchange_one(memory: SparseMemory) -> None:
            memory.swap(BASE + LINE_BYTES, OTHER + LINE_BYTES)

        cases = ((swap, FIRST), (rotate, FIRST), (exchange_all, FIRST), (exchange_one, SECOND))
        for action, slot in self.thin(cases, 2):
            await self.store_both()
            first, second = self.env.backdoor.slot(FIRST), self.env.backdoor.slot(SECOND)
            assert first.version == second.version
            both = action in (exchange_all, exchange_one)
            for memory in self.env.tampered(*((FIRST, SECOND) if both else (FIRST,))):
                action(memory)
            await self.detected(slot, BASE if slot == FIRST else OTHER)


@pyuvm.test(timeout_time=5, timeout_unit="ms")
class Replay(AttackTest):
    """A3 and A4: an old version of one line, of the whole tensor, and of the whole memory is put back."""

    async def body(self) -> None:
        """Store twice; then roll back."""
        size = LINES * LINE_BYTES

        for part in (slice(64, 128), slice(0, size)):
            data, _ = await self.store_both()
            old = self.env.dram.read(BASE, size)
            # The same plaintext again: only the version number tells the two apart.
            await self.seq.store(FIRST, BASE, data)
            assert self.env.dram.read(BASE, size) != old, "the same plaintext was sealed to the same ciphertext"
            for memory in self.env.tampered(FIRST):
                memory.poke(BASE + part.start, old[part])
            await self.detected()
        data, other = await self.store_both()
        image = self.env.dram.memory.snapshot()
        await self.seq.store(FIRST, BASE, data)
        await self.seq.store(SECOND, OTHER, other)
        for memory in self.env.tampered(FIRST, SECOND):
            memory.restore(image)
        await self.detected(SECOND, OTHER)


@pyuvm.test(timeout_time=5, timeout_unit="ms")
class Aliasing(AttackTest):
    """A5: two line addresses share one cell."""

    async def body(self) -> None:
        """Alias before the write (the second line overwrites the first) and before the read."""
        await self.store_both()
        for memory in self.env.tampered(FIRST):
            memory.alias(BASE + 2 * LINE_BYTES, BASE)
        await self.detected()


@pyuvm.test(timeout_time=5, timeout_unit="ms")
class LinearForgeries(AttackTest):
    """A6: equal differences in two lines, duplicated pairs of lines, pairs that cancel over re-reads."""

    async def body(self) -> None:
        """Forgeries that pass any scheme which XORs line MACs or hashes of plain sums."""
        difference = self.rng.randbytes(LINE_BYTES)

        def equal_in_lines(memory: SparseMemory) -> None:
            for line in (1, 3):
                memory.xor(BASE + line * LINE_BYTES, difference)

        def equal_in_blocks(memory: SparseMemory) -> None:
            for offset in (0, 16):
                memory.xor(BASE + offset, difference[:16])

        def duplicated_pair(memory: SparseMemory) -> None:
            # Two lines replaced by two copies of another one: equal MACs cancel in an XOR.
            copy = memory.peek(BASE, LINE_BYTES)
            for line in (2, 4):
                memory.poke(BASE + line * LINE_BYTES, copy)

        for action in self.thin((equal_in_lines, equal_in_blocks, duplicated_pair), 2):
            await self.store_both()
            for memory in self.env.tampered(FIRST):
                action(memory)
            await self.detected()
        # A tampered line read twice: its contributions cancel, so only the coverage shows it. Never VERIFIED.
        await self.store_both()
        for memory in self.env.tampered(FIRST):
            memory.flip(BASE + LINE_BYTES)
        await self.seq.expect(Result.OK, Opcode.OPEN_READ, FIRST)
        await self.seq.read_lines(BASE, NBYTES, [(0, 1), (1, 1), (1, 1), (2, LINES - 2)])
        await self.seq.expect(Result.COVERAGE_ERROR, Opcode.CLOSE_READ, FIRST)
        assert self.env.backdoor.slot(FIRST).state == SlotState.POISONED
        await self.seq.expect(Result.BAD_STATE, Opcode.OPEN_READ, FIRST)
        await self.rekey()


@pyuvm.test(timeout_time=5, timeout_unit="ms")
class SecondRead(AttackTest):
    """A7: a good first window, then other data in the second; and bad data once only, in a line that is read twice."""

    async def body(self) -> None:
        """Substitute on the n-th read of a line."""
        data, _ = await self.store_both()
        assert await self.seq.load(FIRST, BASE, NBYTES) == data
        bad = self.rng.randbytes(LINE_BYTES)
        for memory in self.env.tampered():
            memory.substitute(BASE + 64, 0, bad)
        await self.detected()
        # The cells are good: only what is read the second time is not. The window closes with an error all the same.
        await self.store_both()
        for memory in self.env.tampered():
            memory.substitute(BASE + 64, 1, bad)
        await self.seq.expect(Result.OK, Opcode.OPEN_READ, FIRST)
        await self.seq.read_lines(BASE, NBYTES, [(0, 2), (1, 1), (2, LINES - 2)])
        await self.seq.expect(Result.COVERAGE_ERROR, Opcode.CLOSE_READ, FIRST)
        for memory in self.env.memories():
            memory.honest()


@pyuvm.test(timeout_time=5, timeout_unit="ms")
class CoverageAttacks(AttackTest):
    """A8: a line skipped, read twice, one read in place of another, nothing read; for reads and for writes."""

    async def body(self) -> None:
        """Each closes with COVERAGE_ERROR and needs a new epoch."""
        data, _ = await self.store_both()
        every = [(line, 1) for line in range(LINES)]
        plans = {
            "nothing": [],
            "skipped": every[:-1],
            "skipped in the middle": every[:2] + every[3:],
            "duplicate": [*every, (2, 1)],
            "one for another": [*every[:3], (2, 1), *every[4:]],
            "two for two": [*every[:4], (0, 1), (1, 1)],
            "all twice": every * 2,
        }
        for name, plan in plans.items():
            await self.seq.expect(Result.OK, Opcode.OPEN_READ, FIRST)
            await self.seq.read_lines(BASE, NBYTES, plan)
            result = await self.seq.command(Opcode.CLOSE_READ, FIRST)
            assert result == Result.COVERAGE_ERROR, f"{name}: the window closed with {result!r}"
            assert self.env.backdoor.slot(FIRST).state == SlotState.POISONED
            await self.seq.expect(Result.BAD_STATE, Opcode.OPEN_READ, FIRST)
            await self.seq.store(FIRST, BASE, data)
        for plan in ([], every[:-1], every[1:]):
            await self.seq.expect(Result.OK, Opcode.OPEN_WRITE, FIRST)
            await self.seq.write_lines(BASE, data, plan)
            await self.seq.expect(Result.COVERAGE_ERROR, Opcode.CLOSE_WRITE, FIRST)
            assert self.env.backdoor.slot(FIRST).tag == bytes(16), "an epoch that is not complete left a tag"
            await self.seq.expect(Result.BAD_STATE, Opcode.OPEN_READ, FIRST)
        await self.seq.store(FIRST, BASE, data)
        assert await self.seq.load(FIRST, BASE, NBYTES) == data


@pyuvm.test(timeout_time=5, timeout_unit="ms")
class WrongLength(AttackTest):
    """A10: the ciphertext of a tensor in a slot of another length never opens."""

    async def body(self) -> None:
        """Copy the ciphertext into shorter and longer tensors, which were written once to have a tag of their own."""
        for nbytes in self.thin((NBYTES - 1, NBYTES - LINE_BYTES, NBYTES + 1), 1):
            await self.store_both()
            await self.seq.expect(Result.OK, Opcode.RELEASE, SECOND)
            await self.seq.define(SECOND, OTHER, nbytes)
            await self.seq.store(SECOND, OTHER, self.rng.randbytes(nbytes))
            stored = self.env.dram.read(BASE, nbytes)
            for memory in self.env.tampered(SECOND):
                memory.poke(OTHER, stored)
            await self.seq.expect(Result.OK, Opcode.OPEN_READ, SECOND)
            await self.seq.read_lines(OTHER, nbytes)
            await self.fails(SECOND)


@pyuvm.test(timeout_time=5, timeout_unit="ms")
class RewriteAttack(AttackTest):
    """N1: a line is written once in an epoch; the second attempt is refused before it reaches the memory bus."""

    async def body(self) -> None:
        """Write, write again, also as a part of a longer burst; the keystream check of the scoreboard watches."""
        await self.store_both()
        data = self.rng.randbytes(LINES * LINE_BYTES)
        await self.seq.expect(Result.OK, Opcode.OPEN_WRITE, FIRST)
        await self.seq.write_lines(BASE, data, [(2, 1)])
        before = len(self.env.dram.write_log)
        for line, count in ((2, 1), (0, 3), (2, 4), (1, 2)):
            burst = await self.seq.write(BASE + line * LINE_BYTES, self.rng.randbytes(count * LINE_BYTES))
            await burst.done.wait()
            assert burst.responses == [SLVERR]
            assert burst.note.get("data_taken")
        assert len(self.env.dram.write_log) == before, "a refused write reached the memory bus"
        assert await self.env.control.registers.get("FAULT_STATUS.CAUSE") == FaultCause.REWRITE
        await self.seq.write_lines(BASE, data, [(0, 2), (3, 3)])
        await self.seq.expect(Result.OK, Opcode.CLOSE_WRITE, FIRST)


@pyuvm.test(timeout_time=5, timeout_unit="ms")
class PowerCycle(AttackTest):
    """N4: the same memory image under a new session key does not open."""

    async def body(self) -> None:
        """Store, cut the power, come back with the old image under a new key."""
        await self.store_both()
        old = self.env.dram.memory.snapshot()
        await self.reset()
        await self.new_key()
        # The same slots, ids and version numbers as before: only the key differs.
        await self.store_both()
        for memory in self.env.tampered(FIRST, SECOND):
            memory.restore(old)
        await self.detected()


@pyuvm.test(timeout_time=5, timeout_unit="ms")
class TamperInFlight(AttackTest):
    """A tensor is tampered with while others are read and written; the failure stops all of them."""

    async def body(self) -> None:
        """Keep reads under way on another tensor while the window of the tampered one fails."""
        await self.store_both()
        seq, env = self.seq, self.env
        for memory in self.env.tampered(FIRST):
            memory.flip(BASE + 100)
        await seq.expect(Result.OK, Opcode.OPEN_READ, FIRST)
        await seq.expect(Result.OK, Opcode.OPEN_READ, SECOND)
        await seq.read_lines(BASE, NBYTES)
        env.dram.timing.read_latency = 700
        held = [
            await seq.read(OTHER + line * LINE_BYTES, count * LINE_BYTES // env.bus_bytes)
            for line, count in full_runs(OTHER, LINES, env.bus_bytes)
        ]
        await seq.idle(30)
        await seq.expect(Result.TAG_ERROR, Opcode.CLOSE_READ, FIRST)
        for burst in env.axi.monitor.monitor.open_bursts():
            burst.note["interrupted"] = True
        await seq.finish(held)
        assert all(set(burst.responses) == {SLVERR} for burst in held), "a read under way ended well after alert_fatal"
        assert not any(any(burst.data) for burst in held), "a read under way released data after alert_fatal"
        assert env.sideband.blocked_beats["s_axi_r"] > 0
        env.dram.timing.read_latency = 20
        env.adopt_faults()
        await seq.clear_faults()
        await self.rekey()
