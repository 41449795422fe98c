# SPDX-License-Identifier: Apache-2.0
"""Every cause of a refused access: response, fault log, interrupt, alert, and nothing changed."""

from __future__ import annotations

from collections.abc import Awaitable

import pyuvm
from tensortee.engine.registers import EngineState, FaultCause, Opcode, Result

from tb.env.base_test import EngineTest
from tb.env.bursts import BOUNDARY, DECERR, FIXED, OKAY, RESERVED, SLVERR, WRAP, Burst
from tb.memory import LINE_BYTES

READING, WRITING, SEALED = 2, 3, 4
BASES = {READING: 0x1_0000, WRITING: 0x2_0000, SEALED: 0x3_0000}
LINES = 16
NBYTES = LINES * LINE_BYTES - 20
NOWHERE = 0x8_0000


class RefusalTest(EngineTest):
    """Three tensors: one open for reading, one for writing, one sealed."""

    async def prepare(self) -> None:
        """Bring the tensors into their states."""
        for slot, base in BASES.items():
            await self.seq.define(slot, base, NBYTES)
            await self.seq.store(slot, base, self.rng.randbytes(NBYTES))
        await self.seq.expect(Result.OK, Opcode.OPEN_READ, READING)
        await self.seq.expect(Result.OK, Opcode.OPEN_WRITE, WRITING)
        await self.seq.set_word("INTR_ENABLE", 0b0010)
        await self.seq.clear_faults()

    async def refused(self, access: Awaitable[Burst], cause: FaultCause, response: int = SLVERR) -> None:
        """Finish one access and check every trace that it leaves, then clear the log."""
        env = self.env
        alerts = env.sideband.recoverable
        statistics = env.dram.statistics
        before = (statistics.read_bursts, statistics.write_bursts)
        burst = await access
        await burst.done.wait()
        what = f"{'write' if burst.write else 'read'} at {burst.addr:#x}"
        wanted = [response] if burst.write else [response] * burst.beats
        assert burst.responses == wanted, f"{what} was answered {burst.responses}, expected {wanted}"
        if not burst.write:
            assert not any(burst.data), f"the refused {what} returned data"
        # Through the register model, so that the log is seen as software sees it.
        await self.seq.compare_registers()
        fault = await env.control.registers.read("FAULT_STATUS")
        address = await env.control.registers.read64("FAULT_ADDR")
        assert (fault["VALID"], fault["IS_WRITE"]) == (1, int(burst.write)), f"{what}: fault log {fault}"
        assert fault["CAUSE"] == cause, f"{what} was refused for {fault['CAUSE']!r}, expected {cause!r}"
        assert address == burst.addr, f"{what}: the fault log says {address:#x}"
        assert env.sideband.irq, f"{what} raised no interrupt"
        assert env.sideband.recoverable == alerts + 1, f"{what} raised {env.sideband.recoverable - alerts} alerts"
        assert (statistics.read_bursts, statistics.write_bursts) == before, f"the refused {what} reached the memory"
        await self.seq.clear_faults()
        await self.seq.idle(3)
        assert not env.sideband.irq, "the interrupt does not fall when it is cleared"

    def lines(self, count: int) -> bytes:
        """Random data of whole lines."""
        return self.rng.randbytes(count * LINE_BYTES)


@pyuvm.test(timeout_time=5, timeout_unit="ms")
class RefusedBursts(RefusalTest):
    """Types, sizes and lengths that are illegal or not supported."""

    async def body(self) -> None:
        """Try each, on tensors that are open."""
        await self.prepare()
        seq, cause = self.seq, FaultCause.BURST
        read, write = BASES[READING], BASES[WRITING]
        wide = seq.full + 1
        for kind in (FIXED, RESERVED):
            await self.refused(seq.read(read, 4, kind=kind), cause)
            await self.refused(seq.write(write, self.lines(1), kind=kind), cause)
        await self.refused(seq.write(write, self.lines(2), kind=WRAP), cause)
        await self.refused(seq.read(read, 1, size=wide), cause)
        await self.refused(seq.write(write, self.lines(1), size=wide), cause)
        for beats in (1, 3, 5, 17):
            await self.refused(seq.read(read, beats, kind=WRAP), cause)
        for size in range(1, seq.full + 1):
            await self.refused(seq.read(read + 1, 4, size=size, kind=WRAP), cause)
        await self.refused(seq.read(read + BOUNDARY - LINE_BYTES, 2 * LINE_BYTES // self.env.bus_bytes), cause)
        await self.refused(seq.write(write + BOUNDARY - LINE_BYTES, self.lines(2)), cause)
        await self.refused(seq.read(NOWHERE, 2, kind=FIXED), cause)


@pyuvm.test(timeout_time=5, timeout_unit="ms")
class RefusedPlaces(RefusalTest):
    """Addresses outside tensors, over their end, and tensors that are not open for the direction."""

    async def body(self) -> None:
        """Try each; the accesses next to them are served."""
        await self.prepare()
        seq = self.seq
        read, write, sealed = BASES[READING], BASES[WRITING], BASES[SEALED]
        end = LINES * LINE_BYTES
        cause = FaultCause.NO_TENSOR
        top = (1 << self.env.parameters["ADDR_W"]) - LINE_BYTES
        for addr in (NOWHERE, read - LINE_BYTES, read + end, read - 1, top, 0):
            await self.refused(seq.read(addr, 1), cause, DECERR)
            await self.refused(seq.write(addr & -LINE_BYTES, self.lines(1)), cause, DECERR)
        # A burst that begins before a tensor and runs into it.
        await self.refused(seq.read(read - self.env.bus_bytes, 2, size=0), cause, DECERR)
        cause = FaultCause.STATE
        for addr in (sealed, write):
            await self.refused(seq.read(addr, 1), cause)
        for addr in (sealed, read):
            await self.refused(seq.write(addr, self.lines(1)), cause)
        cause = FaultCause.BOUNDS
        beats = LINE_BYTES // self.env.bus_bytes
        await self.refused(seq.read(read + end - LINE_BYTES, 2 * beats), cause)
        await self.refused(seq.read(read + end - 1, 2, size=0), cause)
        await self.refused(seq.write(write + end - LINE_BYTES, self.lines(2)), cause)
        served = [await seq.read(read + end - LINE_BYTES, beats), await seq.read(read + end - 1, 1, size=0)]
        await seq.finish(served)
        assert all(set(burst.responses) == {OKAY} for burst in served)


@pyuvm.test(timeout_time=5, timeout_unit="ms")
class RefusedWrites(RefusalTest):
    """Partial lines, lines that were written before, lines too far ahead."""

    async def body(self) -> None:
        """Try each; the epoch then still seals, because a refused write changes nothing."""
        await self.prepare()
        seq = self.seq
        base = BASES[WRITING]
        half = self.env.bus_bytes
        cause = FaultCause.PARTIAL_LINE
        if half < LINE_BYTES:
            await self.refused(seq.write(base, self.lines(1)[:half]), cause)
            await self.refused(seq.write(base + half, self.lines(1)), cause)
        await self.refused(seq.write(base + 8, self.lines(1)), cause)
        for size in range(seq.full):
            await self.refused(seq.write(base, self.lines(1), size=size), cause)
        data = self.rng.randbytes(NBYTES)
        order = list(range(LINES))
        self.rng.shuffle(order)
        written: list[int] = []
        for line in order:
            await seq.write_lines(base, data.ljust(LINES * LINE_BYTES, b"\xa5"), [(line, 1)])
            written.append(line)
            if len(written) % 4 == 0:
                again = self.rng.choice(written)
                await self.refused(seq.write(base + again * LINE_BYTES, self.lines(1)), FaultCause.REWRITE)
        await self.refused(seq.write(base, self.lines(4)), FaultCause.REWRITE)
        await seq.expect(Result.OK, Opcode.CLOSE_WRITE, WRITING)
        assert await seq.load(WRITING, base, NBYTES) == data


@pyuvm.test(timeout_time=5, timeout_unit="ms")
class WriteMapWindow(RefusalTest):
    """Lines ahead of the write map are refused with ORDER until the oldest group of 64 lines is complete."""

    async def body(self) -> None:
        """Use a tensor that is larger than the map."""
        reach = self.env.parameters["MAP_WORDS"] * 64
        base = 0x10_0000
        await self.prepare()
        seq = self.seq
        lines = reach + 128
        await seq.define(5, base, lines * LINE_BYTES)
        await seq.expect(Result.OK, Opcode.OPEN_WRITE, 5)
        last = base + (reach - 1) * LINE_BYTES
        group = self.lines(64)
        await self.refused(seq.write(last + LINE_BYTES, self.lines(1)), FaultCause.ORDER)
        await seq.finish([await seq.write(last, self.lines(1))])
        await seq.write_lines(base, group, [(0, 32), (33, 31)])
        await self.refused(seq.write(last + LINE_BYTES, self.lines(1)), FaultCause.ORDER)
        await seq.write_lines(base, group, [(32, 1)])
        await seq.finish([await seq.write(last + LINE_BYTES, self.lines(1))])
        await self.refused(seq.write(last + LINE_BYTES, self.lines(1)), FaultCause.REWRITE)
        # A line behind the map was written before, by what the map says.
        await self.refused(seq.write(base + 7 * LINE_BYTES, self.lines(1)), FaultCause.REWRITE)
        await self.refused(seq.write(last + 65 * LINE_BYTES, self.lines(1)), FaultCause.ORDER)
        await seq.expect(Result.COVERAGE_ERROR, Opcode.CLOSE_WRITE, 5)


@pyuvm.test(timeout_time=5, timeout_unit="ms")
class WriteMapGroups(RefusalTest):
    """A burst over two groups of 64 lines is marked in both or in none, and refused for either."""

    async def body(self) -> None:
        """Use a base 16 lines behind 4 KiB, so that one burst may hold the lines 48 .. 111."""
        reach = self.env.parameters["MAP_WORDS"] * 64
        base = 0x10_0000 + 16 * LINE_BYTES
        await self.prepare()
        seq = self.seq
        await seq.define(5, base, (reach + 128) * LINE_BYTES)
        await seq.expect(Result.OK, Opcode.OPEN_WRITE, 5)

        def at(line: int) -> int:
            return base + line * LINE_BYTES

        await seq.finish([await seq.write(at(70), self.lines(1))])
        await self.refused(seq.write(at(60), self.lines(11)), FaultCause.REWRITE)
        await seq.finish([await seq.write(at(60), self.lines(10))])  # nothing of the refused burst was marked
        await self.refused(seq.write(at(50), self.lines(20)), FaultCause.REWRITE)
        for line in (60, 63, 64, 69):
            await self.refused(seq.write(at(line), self.lines(1)), FaultCause.REWRITE)
        await self.refused(seq.write(at(reach - 4), self.lines(8)), FaultCause.ORDER)
        group = self.lines(64)
        await seq.write_lines(base, group, [(0, 32), (32, 16), (48, 12)])
        await seq.finish([await seq.write(at(reach - 4), self.lines(8))])  # lines 0 .. 63 are complete, the map moves
        await self.refused(seq.write(at(reach + 3), self.lines(1)), FaultCause.REWRITE)
        await self.refused(seq.write(at(61), self.lines(4)), FaultCause.REWRITE)
        await seq.expect(Result.COVERAGE_ERROR, Opcode.CLOSE_WRITE, 5)


@pyuvm.test(timeout_time=5, timeout_unit="ms")
class PartialStrobes(RefusalTest):
    """A line with a strobe missing is dropped, the others of the burst are written, the epoch reports it."""

    async def body(self) -> None:
        """Clear one strobe of the second line of three, then one behind the end of the tensor."""
        await self.prepare()
        seq, env = self.seq, self.env
        base = BASES[WRITING]
        per_line = LINE_BYTES // env.bus_bytes
        every = (1 << env.bus_bytes) - 1
        old = env.dram.read(base, LINES * LINE_BYTES)
        strobes = [every] * (3 * per_line)
        strobes[per_line + self.rng.randrange(per_line)] ^= 1 << self.rng.randrange(env.bus_bytes)
        burst = await seq.write(base, self.lines(3), strobes=strobes)
        await burst.done.wait()
        assert burst.responses == [SLVERR]
        fault = await env.control.registers.read("FAULT_STATUS")
        address = await env.control.registers.read64("FAULT_ADDR")
        assert (fault["CAUSE"], address) == (FaultCause.PARTIAL_LINE, base + LINE_BYTES)
        new = env.dram.read(base, LINES * LINE_BYTES)
        assert new[LINE_BYTES : 2 * LINE_BYTES] == old[LINE_BYTES : 2 * LINE_BYTES], "the dropped line was stored"
        assert new[:LINE_BYTES] != old[:LINE_BYTES], "the line before it was not stored"
        await seq.clear_faults()
        await self.refused(seq.write(base + LINE_BYTES, self.lines(1)), FaultCause.REWRITE)
        await seq.write_lines(base, self.lines(LINES), [(line, 1) for line in range(3, LINES)])
        await seq.expect(Result.COVERAGE_ERROR, Opcode.CLOSE_WRITE, WRITING)
        # Strobes behind the end of the tensor do not matter.
        await seq.expect(Result.OK, Opcode.OPEN_WRITE, WRITING)
        await seq.write_lines(base, self.lines(LINES), [(line, 1) for line in range(LINES - 1)])
        inside = NBYTES - (LINES - 1) * LINE_BYTES
        bits = f"{(1 << inside) - 1:0{LINE_BYTES}b}"
        tail = [
            int(bits[LINE_BYTES - (beat + 1) * env.bus_bytes : LINE_BYTES - beat * env.bus_bytes], 2)
            for beat in range(per_line)
        ]
        burst = await seq.write(base + (LINES - 1) * LINE_BYTES, self.lines(1), strobes=tail)
        await burst.done.wait()
        assert burst.responses == [OKAY]
        await seq.expect(Result.OK, Opcode.CLOSE_WRITE, WRITING)


@pyuvm.test(timeout_time=5, timeout_unit="ms")
class NotReady(RefusalTest):
    """Without a key every access is refused."""

    async def bring_up(self) -> None:
        """No key yet."""

    async def body(self) -> None:
        """Access before the key, then again after ZEROIZE."""
        await self.seq.until(EngineState.NO_KEY)
        await self.seq.set_word("INTR_ENABLE", 0b0010)
        await self.refused(self.seq.read(BASES[READING], 3), FaultCause.NOT_READY)
        await self.refused(self.seq.write(BASES[WRITING], self.lines(1)), FaultCause.NOT_READY)
        await self.refused(self.seq.read(BASES[READING], 2, kind=FIXED), FaultCause.NOT_READY)
        await self.new_key()
        await self.prepare()
        await self.seq.expect(Result.OK, Opcode.ZEROIZE)
        await self.seq.until(EngineState.NO_KEY)
        await self.seq.clear_faults()
        await self.refused(self.seq.read(BASES[READING], 1), FaultCause.NOT_READY)
        await self.refused(self.seq.write(BASES[WRITING], self.lines(1)), FaultCause.NOT_READY)
        await self.new_key()


@pyuvm.test(timeout_time=5, timeout_unit="ms")
class MemoryErrors(RefusalTest):
    """SLVERR and DECERR of the memory are passed on, with zero data; window and epoch close with BUS_ERROR."""

    async def body(self) -> None:
        """Let one line fail, for reads and for writes, with both codes."""
        seq, env = self.seq, self.env
        base = BASES[READING]
        data = self.rng.randbytes(NBYTES)
        await seq.define(READING, base, NBYTES)
        for code in (SLVERR, DECERR):
            await seq.store(READING, base, data)
            env.dram.fail(base + 5 * LINE_BYTES, LINE_BYTES, code, "read")
            await seq.expect(Result.OK, Opcode.OPEN_READ, READING)
            got = await seq.read_lines(base, NBYTES, [(0, 4), (4, 3), (7, LINES - 7)])
            assert got[: 5 * LINE_BYTES] == data[: 5 * LINE_BYTES]
            assert got[5 * LINE_BYTES : 6 * LINE_BYTES] == bytes(LINE_BYTES), "a failed line returned data"
            assert got[6 * LINE_BYTES :] == data[6 * LINE_BYTES :]
            wrapped = await seq.read(base + 6 * LINE_BYTES, 4, size=2, kind=WRAP)
            await wrapped.done.wait()
            await seq.compare_registers()
            await seq.expect(Result.BUS_ERROR, Opcode.CLOSE_READ, READING)
            env.dram.fail_nothing()
            await seq.clear_faults()
            env.dram.fail(base + 2 * LINE_BYTES, LINE_BYTES, code, "write")
            await seq.expect(Result.OK, Opcode.OPEN_WRITE, READING)
            bursts = await seq.write_lines(base, data, [(0, 2), (2, 1), (3, LINES - 3)])
            assert [burst.responses for burst in bursts] == [[OKAY], [code], [OKAY]]
            await seq.compare_registers()
            await seq.expect(Result.BUS_ERROR, Opcode.CLOSE_WRITE, READING)
            env.dram.fail_nothing()
            await seq.clear_faults()
        await seq.store(READING, base, data)
        assert await seq.load(READING, base, NBYTES) == data


@pyuvm.test(timeout_time=5, timeout_unit="ms")
class LyingLast(EngineTest):
    """A memory that inverts RLAST changes nothing: beats are counted."""

    async def body(self) -> None:
        """Read with RLAST inverted."""
        data = self.rng.randbytes(20 * LINE_BYTES)
        await self.seq.define(0, 0x2000, len(data))
        await self.seq.store(0, 0x2000, data)
        self.env.memory_port.responder_lies = True
        self.env.dram.timing.wrong_last = True
        assert await self.seq.load(0, 0x2000, len(data), plan=[(0, 1), (1, 7), (8, 12)]) == data
        await self.seq.expect(Result.OK, Opcode.OPEN_READ, 0)
        await self.seq.finish([await self.seq.read(0x2003, 5, size=0)])
        await self.seq.expect(Result.COVERAGE_ERROR, Opcode.CLOSE_READ, 0)
