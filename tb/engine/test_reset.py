# SPDX-License-Identifier: Apache-2.0
"""Reset, ZEROIZE and key change at random times with traffic under way, then clean use with a new key."""

from __future__ import annotations

import pyuvm
from cocotb.triggers import ClockCycles, ReadOnly, RisingEdge
from tensortee.engine.registers import EngineState, Opcode, Result, SlotState

from tb.dram import DramTiming
from tb.env.base_test import EngineTest
from tb.env.bursts import Burst
from tb.env.plan import runs
from tb.memory import LINE_BYTES

READ, WRITE = 2, 3
BASES = {READ: 0x1_0000, WRITE: 0x2_0000}
LINES = 40
NBYTES = LINES * LINE_BYTES
IDENTS = 4
HELD_CYCLES = 6
HELD_TIMEOUT_CYCLES = 5000


class TrafficTest(EngineTest):
    """Reads and writes on two tensors that are under way when something happens."""

    rounds = 5

    async def traffic(self, *, held: bool) -> list[Burst]:
        """Start reads and writes and return while they are under way, ``held``: with beats waiting on R and on W."""
        seq = self.seq
        stall = 0.9 if held else 0.2
        self.env.dram.timing = DramTiming(
            read_latency=(3, 80), write_latency=(1, 60), w_stall=stall, ar_stall=0.2, reorder=True, interleave=True
        )
        self.env.axi.driver.manager.timing.r_stall = stall
        for slot, base in BASES.items():
            await seq.define(slot, base, NBYTES)
        await seq.store(READ, BASES[READ], self.rng.randbytes(NBYTES))
        await seq.expect(Result.OK, Opcode.OPEN_READ, READ)
        await seq.expect(Result.OK, Opcode.OPEN_WRITE, WRITE)
        bursts = []
        for line, count in runs(0, LINES, self.env.bus_bytes, self.rng, longest=8):
            at, ident = line * LINE_BYTES, self.rng.randrange(IDENTS)
            bursts.append(await seq.read(BASES[READ] + at, count * LINE_BYTES // self.env.bus_bytes, ident=ident))
            bursts.append(await seq.write(BASES[WRITE] + at, self.rng.randbytes(count * LINE_BYTES), ident=ident))
        if held:
            await self.until_held()
        else:
            await seq.idle(self.rng.randrange(1, 160))
        return bursts

    async def until_held(self) -> None:
        """Wait until a read beat to the NPU and a write beat to the memory have both waited for READY for some time."""
        waited = 0
        for _ in range(HELD_TIMEOUT_CYCLES):
            await ReadOnly()
            dut = self.dut
            both = dut.s_axi_rvalid.value == 1 and dut.m_axi_wvalid.value == 1
            waited = waited + 1 if both and dut.s_axi_rready.value == 0 and dut.m_axi_wready.value == 0 else 0
            await RisingEdge(dut.clk)
            if waited >= HELD_CYCLES:
                return
        raise AssertionError("no read and write beat waited at the same time: the test showed nothing")

    def check_wiped(self) -> None:
        """No slot, IV or tag is left in the table, and no key in the key unit."""
        for slot in range(self.env.backdoor.slots):
            view = self.env.backdoor.slot(slot)
            assert (view.state, view.tag, view.iv) == (SlotState.EMPTY, bytes(16), bytes(12)), f"slot {slot}: {view}"
        assert int(self.dut.u_keys.round_keys.value) == 0, "round keys survived"
        for name in ("h", "hinv1", "hinv2", "hinv3", "g"):
            assert int(getattr(self.dut.u_keys, name).value) == 0, f"{name} survived"

    def thinned_rounds(self) -> range:
        """Rounds of this test."""
        return range(2 if self.slow else self.rounds)


@pyuvm.test(timeout_time=10, timeout_unit="ms")
class ResetInTraffic(TrafficTest):
    """Reset at random times; once the memory keeps its reads, so that beats come for which nobody waits."""

    async def body(self) -> None:
        """Reset in traffic, check that nothing is left, use the engine with the next key."""
        self.env.memory_port.responder_lies = True
        for number in self.thinned_rounds():
            await self.traffic(held=number % 2 == 0)
            self.env.dram.keep_reads_in_reset = bool(number % 2)
            await self.reset(cycles=self.rng.randrange(1, 6))
            await self.seq.until(EngineState.NO_KEY)
            self.check_wiped()
            await self.new_key()
            data = self.rng.randbytes(NBYTES)
            await self.seq.define(READ, BASES[READ], NBYTES)
            await self.seq.store(READ, BASES[READ], data)
            assert await self.seq.load(READ, BASES[READ], NBYTES) == data
            await self.seq.expect(Result.OK, Opcode.RELEASE, READ)


@pyuvm.test(timeout_time=10, timeout_unit="ms")
class ZeroizeInTraffic(TrafficTest):
    """ZEROIZE by pin and by command at random times: bursts are finished without data, keys and slots are gone."""

    async def body(self) -> None:
        """Zeroize in traffic, check that nothing is left, use the engine with the next key."""
        for number in self.thinned_rounds():
            bursts = await self.traffic(held=number % 2 == 0)
            if number % 3 == 1:
                registers = self.env.control.registers
                self.env.zeroize_follows()
                assert await registers.try_write("CMD", OPCODE=Opcode.ZEROIZE) == 0
                self.env.predictor.engine.command(Opcode.ZEROIZE)
            else:
                self.env.zeroize_follows()
                self.dut.zeroize.value = 1
                await ClockCycles(self.dut.clk, 1)
                self.dut.zeroize.value = 0
                self.env.predictor.engine.zeroize()
            await self.seq.finish(bursts)
            await self.seq.until(EngineState.NO_KEY)
            self.env.all_settled()
            self.check_wiped()
            self.env.axi.driver.manager.timing.r_stall = 0.0
            await self.seq.clear_faults()
            self.env.adopt_faults()
            await self.new_key()
            data = self.rng.randbytes(NBYTES)
            await self.seq.define(READ, BASES[READ], NBYTES)
            await self.seq.store(READ, BASES[READ], data)
            assert await self.seq.load(READ, BASES[READ], NBYTES) == data
            await self.seq.expect(Result.OK, Opcode.RELEASE, READ)
        blocked = self.env.sideband.blocked_beats
        assert all(blocked.values()), f"ZEROIZE never caught beats of both kinds: {blocked}"


@pyuvm.test(timeout_time=10, timeout_unit="ms")
class ZeroizeInSetup(TrafficTest):
    """ZEROIZE and reset while a key is being installed; the half-made key is gone and the next one works."""

    async def body(self) -> None:
        """Interrupt the set-up at random times."""
        for number in self.thinned_rounds():
            await self.seq.expect(Result.OK, Opcode.ZEROIZE)
            await self.seq.until(EngineState.NO_KEY)
            self.dut.key_data.value = self.rng.getrandbits(8 * self.env.key_bytes)
            self.dut.key_valid.value = 1
            await ClockCycles(self.dut.clk, 2)
            self.dut.key_valid.value = 0
            self.dut.key_data.value = 0
            await ClockCycles(self.dut.clk, self.rng.choice((1, 10, 60, 300, 900, 2000)))
            if number % 2:
                await self.reset()
            else:
                self.dut.zeroize.value = 1
                await ClockCycles(self.dut.clk, 1)
                self.dut.zeroize.value = 0
            await self.seq.until(EngineState.NO_KEY)
            self.check_wiped()
            await self.new_key()


@pyuvm.test(timeout_time=10, timeout_unit="ms")
class RefusedKey(TrafficTest):
    """The key is taken in NO_KEY only, and a second key does not replace the first."""

    async def body(self) -> None:
        """Offer a key while the engine is READY."""
        data = self.rng.randbytes(NBYTES)
        await self.seq.define(READ, BASES[READ], NBYTES)
        await self.seq.store(READ, BASES[READ], data)
        self.dut.key_data.value = self.rng.getrandbits(8 * self.env.key_bytes)
        self.dut.key_valid.value = 1
        for _ in range(50):
            await ClockCycles(self.dut.clk, 1)
            assert self.dut.key_ready.value == 0, "a key is taken while another one is installed"
        self.dut.key_valid.value = 0
        self.dut.key_data.value = 0
        assert await self.seq.load(READ, BASES[READ], NBYTES) == data
