# SPDX-License-Identifier: Apache-2.0
"""Erasure: every secret is gone from every register and memory within the stated bound, whatever goes on meanwhile."""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import cocotb
import pyuvm
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge
from tensortee.engine.registers import EngineState, Opcode, Result

from tb.dram import DramTiming
from tb.env.base_test import EngineTest
from tb.env.bursts import OKAY, WRAP, Burst
from tb.env.environment import EngineEnv
from tb.env.plan import runs
from tb.env.quiet_test import QuietTest
from tb.env.secrets import WINDOW, Secrets
from tb.env.state_walker import StateWalker
from tb.memory import LINE_BYTES

READ, WRITE, WRONG = 2, 3, 5
BASES = {READ: 0x1_0000, WRITE: 0x2_0000, WRONG: 0x3_0000}
LINES = 40
NBYTES = LINES * LINE_BYTES - 5
IDENTS = 4
WRAP_LINES = 4
STRIDE_VARIABLE = "SETUP_STRIDE"
SETTLE_CYCLES = 4
"""From a cause to the first cycle of erasure, and from the last one to what can be seen."""
LATER_CYCLES = 60
"""Time for all that can move to fill what it can."""
NEVER = 1.0
"""A probability of idling or stalling that stops a channel."""
MASK = (1 << WINDOW) - 1


def erasure_cycles(env: EngineEnv) -> int:
    """The bound of docs/programmers-guide.md: tables and keystream buffers are swept side by side."""
    parameters = {"RD_TXNS": 8, "WR_TXNS": 4, "KS_DEPTH": 32, **env.parameters}
    tables = 322 + 256 // (env.bus_bytes // 16)
    return max(tables, 32 + parameters["KS_DEPTH"] * max(parameters["RD_TXNS"], parameters["WR_TXNS"]))


def swept(dut: Any) -> dict[str, Any]:
    """Memories that are erased word by word."""
    return {
        "digit table": dut.u_powers.u_digits.mem,
        "beat table of reads": dut.u_rd_hash.u_steps.mem,
        "beat table of writes": dut.u_wr_hash.u_steps.mem,
        "keystream of reads": dut.u_rd_keystream.u_buffer.mem,
        "keystream of writes": dut.u_wr_keystream.u_buffer.mem,
    }


@pyuvm.test(timeout_time=20, timeout_unit="ms")
class SecretsErased(EngineTest):
    """F2, M4: each cause of erasure, with traffic flowing, a memory that answers nothing, an NPU that stalls, and both.

    The walker must find secrets of every kind before, and none when the bound is over, nor when all is quiet again.
    """

    kinds = frozenset(
        {
            "round key",
            "hash key",
            "digit table",
            "beat table",
            "closed form",
            "keystream",
            "plaintext",
            "register",
        }
    )

    holders = frozenset(
        {
            "u_keys.u_expand.schedule",
            "u_powers.u_digits.mem[]",
            "u_powers.u_digits.rdata",
            "u_rd_hash.u_add.p",
            "u_rd_hash.u_steps.mem[]",
            "u_rd_keystream.u_buffer.mem[]",
            "u_rd_keystream.u_buffer.rdata",
            "u_read.line_data[]",
            "u_read.q[]",
            "u_read.u_s_r.out_data",
            "u_table.g_end[]",
            "u_table.h_top[]",
            "u_table.tag[]",
            "u_verifier.cov[]",
            "u_verifier.hash[]",
            "u_wr_hash.u_q.p",
            "u_wr_keystream.u_buffer.mem[]",
            "u_write.q[]",
            "u_write.u_s_w.store",
        }
    )

    async def new_key(self) -> None:
        """Nothing moves on the buses: the bench rests meanwhile."""
        await self.env.drain()
        self.env.ticker.stop()
        await super().new_key()
        self.env.ticker.start()

    async def body(self) -> None:
        """Walk through causes and conditions."""
        self.walker = StateWalker(self.dut)
        self.places: set[str] = set()
        causes = (self.by_command, self.by_pin, self.by_wrong_tag, self.by_key_unit, self.by_reset)
        conditions = (self.flowing, self.silent_memory, self.stalled_npu, self.both)
        seen: set[str] = set()
        cases = [(cause, condition) for cause in causes for condition in conditions]
        for number, (cause, condition) in enumerate(cases):
            # On Icarus each cause once, and each condition.
            if self.slow and number % len(conditions) != number // len(conditions) % len(conditions):
                continue
            seen |= await self.erase(cause, condition)
        assert seen >= self.kinds, f"before the erasure the walker did not find {sorted(self.kinds - seen)}"
        hidden = set() if self.slow else self.holders - self.places
        assert not hidden, f"before the erasure the walker never found anything in {sorted(hidden)}"

    async def erase(self, cause: Callable[[], Awaitable[None]], condition: Callable[[], Awaitable[None]]) -> set[str]:
        """One cause under one condition; returns the kinds of secrets that were there before."""
        what = f"{cause.__name__}, {condition.__name__}"
        env, clk = self.env, self.dut.clk
        bursts = await self.traffic()
        await condition()
        await FallingEdge(clk)
        self.learn()
        before = self.walker.find(self.secrets)
        names = sorted({re.sub(r"\[\d+\]$", "[]", path) for path in before})
        self.logger.info(f"{what}: secrets in {len(before)} words: {', '.join(names)}")
        self.places.update(names)
        assert before, f"{what}: the walker found nothing before the erasure"
        await RisingEdge(clk)
        env.zeroize_follows()
        await cause()
        await ClockCycles(clk, erasure_cycles(env) + SETTLE_CYCLES)
        await self.none_left(f"{what}, after the bound")
        timing = env.axi.driver.manager.timing
        timing.r_stall = timing.b_stall = timing.w_idle = 0.0
        await self.seq.idle(LATER_CYCLES)
        await self.none_left(f"{what}, when the NPU goes on")
        env.dram.timing = DramTiming()
        await self.seq.finish(bursts)
        await env.drain()
        await self.none_left(f"{what}, after the last burst")
        if cause != self.by_reset:
            await self.seq.expect(Result.OK, Opcode.ZEROIZE)
        env.scoreboard.tampered.clear()
        await self.seq.until(EngineState.NO_KEY)
        env.all_settled()
        await self.seq.clear_faults()
        env.adopt_faults()
        await self.new_key()
        return {kind for kinds in before.values() for kind in kinds}

    async def none_left(self, when: str) -> None:
        """No secret stands anywhere."""
        await FallingEdge(self.dut.clk)
        # AXI forbids to change what was offered; what the NPU and the memory drive is theirs.
        dut = self.dut
        pins = [int(pin.value) for pin in (dut.s_axi_rdata, dut.s_axi_wdata, dut.m_axi_wdata, dut.m_axi_rdata)]
        self.secrets.publish(blocks(pins, 8 * self.env.bus_bytes))
        left = self.walker.find(self.secrets)
        await RisingEdge(dut.clk)
        for path, kinds in sorted(left.items()):
            self.env.scoreboard.error(f"{when}: {path} still holds: {', '.join(sorted(kinds))}")

    # What is secret ---------------------------------------------------------------------------------------------------

    def learn(self) -> None:
        """Whatever the engine holds in 128 bits just now is a secret, unless it is ciphertext.

        The registers of the channels are left out: beside their data, which is known, they hold IDs and flags.
        """
        for path, value in self.walker.held().items():
            if re.search(r"\bu_[sm]_", path):
                continue
            while value:
                self.secrets.add("register", value & MASK)
                value >>= WINDOW
        image = self.env.dram.memory
        for base in BASES.values():
            self.public += image.peek(base, LINES * LINE_BYTES)
        self.secrets.publish(blocks([int.from_bytes(self.public, "big")], 8 * len(self.public)))

    # Traffic ----------------------------------------------------------------------------------------------------------

    async def traffic(self) -> list[Burst]:
        """Three tensors of which one is read with a wrong bit and two are under way."""
        seq, env = self.seq, self.env
        env.dram.timing = DramTiming(read_latency=(3, 60), write_latency=(1, 40), w_stall=0.3, r_idle=0.2, reorder=True)
        self.secrets = Secrets(self.key, env.bus_bytes // 16)
        self.public = b""
        for slot, base in BASES.items():
            await seq.define(slot, base, NBYTES)
        data = {slot: self.rng.randbytes(LINES * LINE_BYTES) for slot in BASES}
        await seq.store(READ, BASES[READ], data[READ][:NBYTES])
        await seq.store(WRONG, BASES[WRONG], data[WRONG][:NBYTES])
        await seq.expect(Result.OK, Opcode.OPEN_READ, WRONG)
        wrong = BASES[WRONG] + self.rng.randrange(NBYTES)
        for memory in env.tampered(WRONG):
            memory.flip(wrong)
        await seq.read_lines(BASES[WRONG], NBYTES)
        await seq.expect(Result.OK, Opcode.OPEN_READ, READ)
        await seq.expect(Result.OK, Opcode.OPEN_WRITE, WRITE)
        for slot, plaintext in data.items():
            view = env.backdoor.slot(slot)
            self.public += self.secrets.tensor(view.iv, plaintext[:NBYTES])
        bursts = []
        for line, count in runs(0, LINES, env.bus_bytes, self.rng, longest=8):
            at, ident = line * LINE_BYTES, self.rng.randrange(IDENTS)
            part = data[WRITE][at : at + count * LINE_BYTES]
            bursts.append(await seq.read(BASES[READ] + at, len(part) // env.bus_bytes, ident=ident))
            # A WRAP that starts in the middle of its container fills the line buffer.
            middle = BASES[READ] + (line & -WRAP_LINES) * LINE_BYTES + LINE_BYTES + env.bus_bytes
            wrap_beats = WRAP_LINES * LINE_BYTES // env.bus_bytes
            bursts.append(await seq.read(middle, wrap_beats, kind=WRAP, ident=ident))
            bursts.append(await seq.write(BASES[WRITE] + at, part, ident=ident))
        return bursts

    async def flowing(self) -> None:
        """Some time later, with everything moving."""
        await self.seq.idle(self.rng.randrange(30, 90))

    async def silent_memory(self) -> None:
        """The memory takes nothing and answers nothing any more."""
        await self.seq.idle(self.rng.randrange(20, 60))
        self.env.dram.timing = DramTiming(ar_stall=NEVER, aw_stall=NEVER, w_stall=NEVER, r_idle=NEVER, b_idle=NEVER)
        await self.seq.idle(LATER_CYCLES)

    async def stalled_npu(self) -> None:
        """The NPU takes no beat and no response and sends no data."""
        await self.seq.idle(self.rng.randrange(20, 60))
        timing = self.env.axi.driver.manager.timing
        timing.r_stall = timing.b_stall = timing.w_idle = NEVER
        await self.seq.idle(LATER_CYCLES)

    async def both(self) -> None:
        """The NPU stalls, then the memory falls silent; the NPU goes on first."""
        await self.stalled_npu()
        await self.silent_memory()

    # Causes -----------------------------------------------------------------------------------------------------------

    async def by_command(self) -> None:
        """ZEROIZE by software."""
        write = cocotb.start_soon(self.env.control.registers.try_write("CMD", OPCODE=Opcode.ZEROIZE))
        await RisingEdge(self.dut.u_commands.zeroize)
        self.env.predictor.engine.command(Opcode.ZEROIZE)
        cocotb.start_soon(is_okay(write))

    async def by_pin(self) -> None:
        """One cycle of the pin."""
        self.dut.zeroize.value = 1
        await ClockCycles(self.dut.clk, 1)
        self.dut.zeroize.value = 0
        self.env.predictor.engine.zeroize()

    async def by_wrong_tag(self) -> None:
        """The window that was read with a wrong bit is closed."""
        fatal = RisingEdge(self.dut.alert_fatal)
        close = cocotb.start_soon(self.seq.expect(Result.TAG_ERROR, Opcode.CLOSE_READ, WRONG))
        await fatal
        cocotb.start_soon(is_done(close))

    async def by_key_unit(self) -> None:
        """The state of the key unit is flipped to one that does not exist."""
        fatal = RisingEdge(self.dut.alert_fatal)
        await FallingEdge(self.dut.clk)
        state = self.dut.u_keys.state
        state.value = int(state.value) ^ 1
        await fatal

    async def by_reset(self) -> None:
        """Reset of the engine."""
        await self.reset(cycles=1)


async def is_okay(write: Any) -> None:
    """A register write that must be accepted."""
    assert await write == OKAY


async def is_done(task: Any) -> None:
    """A task that must not fail."""
    await task


def blocks(values: list[int], width: int) -> Iterator[int]:
    """The 128-bit parts of words of ``width`` bits."""
    for value in values:
        for at in range(0, width, WINDOW):
            yield value >> at & MASK


class SweepTest(QuietTest):
    """What the sweeps of tables and keystream buffers leave."""

    def fill(self) -> None:
        """Give every word of the keystream buffers a value, so that no word is zero by chance."""
        for name, memory in swept(self.dut).items():
            if name.startswith("keystream"):
                for word in memory:
                    word.value = 1

    def left(self) -> dict[str, int]:
        """Words that are not zero, counted by memory."""
        return {
            name: count
            for name, memory in swept(self.dut).items()
            if (count := sum(not value.is_resolvable or int(value) != 0 for value in memory.value))
        }


@pyuvm.test(timeout_time=20, timeout_unit="ms")
class SweepGoesOn(SweepTest):
    """M4: ZEROIZE by command and by pin again and again, or the pin held, does not hold the sweeps up."""

    async def quiet_body(self) -> None:
        """Every pattern, each on a fresh key."""
        bound = erasure_cycles(self.env)
        patterns = [("commands", self.commands(400))]
        patterns += [(f"pin every {n}", self.pulses(n, 3 * bound)) for n in self.thin((2, 3, 7, 31, 331), 2)]
        patterns += [("pin held", self.pulse_zeroize(3 * bound))]
        patterns += [("pin held with commands", self.held_with_commands(2 * bound))]
        for what, pattern in patterns:
            if what != "commands":
                await self.install()
            self.fill()
            await FallingEdge(self.dut.clk)
            full = self.left()
            assert full.keys() == swept(self.dut).keys(), f"only {sorted(full)} held something before"
            await RisingEdge(self.dut.clk)
            attack = cocotb.start_soon(pattern)
            await RisingEdge(self.dut.u_ctrl.zeroize)
            await ClockCycles(self.dut.clk, bound + SETTLE_CYCLES)
            await FallingEdge(self.dut.clk)
            left = self.left()
            assert not left, f"{what}: {bound} cycles after the first ZEROIZE words are left in {left}"
            assert not attack.done(), f"{what}: the attack was over before the sweep"
            await attack
            await self.until_key_ready()

    async def commands(self, count: int) -> None:
        """ZEROIZE commands in a row; each is accepted."""
        for _ in range(count):
            assert await self.env.control.registers.try_write("CMD", OPCODE=Opcode.ZEROIZE) == OKAY

    async def pulses(self, period: int, cycles: int) -> None:
        """One cycle of the pin in every ``period``."""
        for _ in range(cycles // period):
            await self.pulse_zeroize()
            await ClockCycles(self.dut.clk, period - 1)

    async def held_with_commands(self, cycles: int) -> None:
        """The pin is held and every command is given meanwhile; all are answered, none but ZEROIZE with OK."""
        registers = self.env.control.registers
        self.dut.zeroize.value = 1
        await ClockCycles(self.dut.clk, 2)
        for opcode in (op for op in Opcode if op != Opcode.ZEROIZE):
            assert await registers.try_write("CMD", OPCODE=opcode, SLOT=READ) == OKAY
            await ClockCycles(self.dut.clk, 8)
            result = await registers.read("CMD_RESULT")
            assert (result["OPCODE"], result["SLOT"], result["RESULT"]) == (opcode, READ, Result.ABORTED), result
        assert await registers.try_write("CMD", OPCODE=Opcode.ZEROIZE, SLOT=READ) == OKAY
        await ClockCycles(self.dut.clk, cycles)
        self.dut.zeroize.value = 0
        while await registers.get("STATUS.CMD_BUSY"):
            pass
        result = await registers.read("CMD_RESULT")
        assert (result["OPCODE"], result["RESULT"]) == (Opcode.ZEROIZE, Result.OK), result


@pyuvm.test(timeout_time=200, timeout_unit="ms")
class ZeroizeDuringSetup(SweepTest):
    """F2: ZEROIZE while a key is installed, at cycles of every phase: nothing of the half-made key survives."""

    stride = int(os.environ.get(STRIDE_VARIABLE, "149"))
    """Cycles between two cuts in the long phases, where the same step repeats; 1 at night: every cycle."""

    async def quiet_body(self) -> None:
        """Find the phases with a whole installation, then cut others."""
        walker = StateWalker(self.dut)
        await self.pulse_zeroize()
        cuts = await self.cuts()
        for cut in self.thin(cuts, 8):
            await self.until_key_ready()
            await self.offer_key()
            secrets = Secrets(self.key, self.env.bus_bytes // 16)
            await ClockCycles(self.dut.clk, cut)
            if cut == cuts[-1]:
                await FallingEdge(self.dut.clk)
                assert walker.find(secrets), "the walker found nothing before the erasure"
                await RisingEdge(self.dut.clk)
            await self.pulse_zeroize()
            await ClockCycles(self.dut.clk, erasure_cycles(self.env) + SETTLE_CYCLES)
            await FallingEdge(self.dut.clk)
            found, held = walker.find(secrets), walker.held()
            assert not found, f"{cut} cycles after the key was taken ZEROIZE left {found}"
            assert not held, f"{cut} cycles after the key was taken ZEROIZE left something in {sorted(held)}"
            assert self.dut.key_ready.value == 1, "the engine takes no key after the bound"
            await RisingEdge(self.dut.clk)

    async def cuts(self) -> list[int]:
        """Cycles around each change of the key unit's state, and some between; all of the first ones."""
        await self.until_key_ready()
        await self.offer_key()
        state, changes, cycle, before = self.dut.u_keys.state, [], 0, -1
        while self.dut.u_keys.ready.value != 1:
            await FallingEdge(self.dut.clk)
            now = int(state.value)
            if now != before:
                changes.append(cycle)
            before, cycle = now, cycle + 1
        await RisingEdge(self.dut.clk)
        await self.pulse_zeroize()
        near = {change + offset for change in changes for offset in (-1, 0, 1, 2) if change + offset >= 0}
        return sorted(near | set(range(0, cycle + 2, self.stride)) | set(range(6)))


@pyuvm.test(timeout_time=20, timeout_unit="ms")
class EpochCutAtEveryLine(EngineTest):
    """N3: an epoch is given up after every number of lines, by OPEN_WRITE and by ZEROIZE; no keystream comes twice."""

    async def body(self) -> None:
        """The scoreboard watches the keystream of every block on the memory bus; the plaintext is always the same."""
        lines = 3 if self.slow else 9
        nbytes = lines * LINE_BYTES
        identities = set()
        for zeroize in (False, True):
            await self.seq.define(WRITE, BASES[WRITE], nbytes)
            for count in range(lines + 1):
                await self.seq.expect(Result.OK, Opcode.OPEN_WRITE, WRITE)
                view = self.env.backdoor.slot(WRITE)
                assert view.iv not in identities, f"IV {view.iv.hex()} came twice"
                identities.add(view.iv)
                await self.seq.write_lines(BASES[WRITE], bytes(nbytes), [(line, 1) for line in range(count)])
                if zeroize:
                    await self.rekey()
                    await self.seq.define(WRITE, BASES[WRITE], nbytes)
            await self.seq.store(WRITE, BASES[WRITE], bytes(nbytes))
            assert await self.seq.load(WRITE, BASES[WRITE], nbytes) == bytes(nbytes)
            await self.seq.expect(Result.OK, Opcode.RELEASE, WRITE)
