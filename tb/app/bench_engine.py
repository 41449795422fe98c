# SPDX-License-Identifier: Apache-2.0
"""Measures the engine in clock cycles: throughput, added latency, scattered reads, cost of commands.

Every figure comes from a session in which all data verified, so that it is the speed of correct work. The DRAM model
answers a read 40 cycles after its address was taken and then delivers a beat in every cycle.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import cocotb
from cocotb.triggers import ClockCycles, ReadOnly, RisingEdge, ValueChange
from Crypto.Cipher import AES
from tensortee.engine.registers import EngineState, Opcode, Result

from tb.app.control import EngineControl, cycle_now
from tb.app.job import test_key
from tb.app.memory import ProtectedMemory, Tensor, assemble, span_burst
from tb.app.port import LINE_BYTES, PAGE_BYTES, Burst, NpuPort, Traffic, write_burst
from tb.app.tiles import cut
from tb.dram import Dram, DramTiming
from tb.signals import Signals

OUTPUT_VARIABLE = "TENSORTEE_BENCH_OUTPUT"
DRAM_LATENCY = 40
IDS = 4
STREAM_BYTES = 32 * PAGE_BYTES
SCATTERED_LINES = 256
ISOLATED_READS = 8
REST_CYCLES = 200
SEED = 1


class CommandClock:
    """Measures commands from the cycle in which the write of CMD is offered to the cycle in which irq rises.

    The longest time of each command counts.
    """

    def __init__(self, dut: Any, control: EngineControl) -> None:
        self._dut = dut
        self._control = control
        self.cycles: dict[str, int] = {}

    async def command(self, opcode: Opcode, slot: int) -> None:
        """Carry out a command and note what it took; raises ``AssertionError`` unless its result is OK."""
        watcher = cocotb.start_soon(self._watch(opcode.name.lower()))
        result = await self._control.command(opcode, slot)
        await watcher
        assert result == Result.OK, f"{opcode.name}: {result.name}"

    async def define(self, tensor: Tensor) -> None:
        """Define a tensor and note what that took."""
        await self._control.registers.write64("CMD_BASE", tensor.base)
        await self._control.registers.write64("CMD_NBYTES", tensor.nbytes)
        await self.command(Opcode.DEFINE, tensor.slot)

    async def _watch(self, name: str) -> None:
        await RisingEdge(self._dut.s_axil_awvalid)
        start = cycle_now()
        await RisingEdge(self._dut.irq)
        self.cycles[name] = max(self.cycles.get(name, 0), cycle_now() - start)


class MemoryLatency:
    """Watches ``m_axi``: cycles from each read address to when its first beat is offered, one burst at a time."""

    def __init__(self, dut: Any) -> None:
        self._clock = dut.clk
        self._bus = Signals(dut, "m_axi")
        self.measured: list[int] = []

    async def run(self) -> None:
        """Watch for ever; start it with ``cocotb.start_soon``."""
        get = self._bus.get
        start = None
        while True:
            await RisingEdge(self._clock)
            await ReadOnly()
            if start is not None and get("rvalid"):
                self.measured.append(cycle_now() - start)
                start = None
            if get("arvalid") and get("arready"):
                start = cycle_now()


class LineReads(NamedTuple):
    """How fast single lines are read.

    Attributes:
        added_latency: cycles from the address of an isolated read to its first beat, less those of the memory alone.
        latency_floor: all of these cycles with a memory that answers in one cycle: what the keystream takes.
        per_cycle: lines per cycle of reads without a pause, from the first to the last line that arrives.
    """

    added_latency: int
    latency_floor: int
    per_cycle: float


class EngineBench:
    """One engine, measured.

    Args:
        dut: cocotb handle of ``tensortee_engine``.
    """

    def __init__(self, dut: Any) -> None:
        self._dut = dut
        self._rng = Random(SEED)
        self.control = EngineControl(dut)
        self.port = NpuPort(dut, IDS)
        self.dram = Dram(dut, timing=DramTiming(read_latency=DRAM_LATENCY), lines_only=True)
        self.memory = ProtectedMemory(dut, self.control, self.port, self._rng)
        self.commands = CommandClock(dut, self.control)
        self._key = test_key(SEED, 0, self.control.key_bytes)
        self.source = Tensor("source", 0, 0, STREAM_BYTES)
        self.sink = Tensor("sink", 1, STREAM_BYTES, STREAM_BYTES)
        self.table = Tensor("table", 2, 2 * STREAM_BYTES, (SCATTERED_LINES + 2 * ISOLATED_READS) * LINE_BYTES)
        self.contents = {tensor: self._rng.randbytes(tensor.nbytes) for tensor in (self.source, self.sink, self.table)}

    async def set_up(self) -> int:
        """Reset, install the key, define and fill the tensors that are read; returns the cycles of the key set-up."""
        self.dram.start()
        await self.control.start()
        watcher = cocotb.start_soon(self._key_setup())
        await self.control.install_key(self._key)
        cycles = await watcher
        for tensor in (self.source, self.sink, self.table):
            await self.commands.define(tensor)
        await self.memory.step([], {tensor: self.contents[tensor] for tensor in (self.source, self.table)})
        return cycles

    async def _key_setup(self) -> int:
        """Cycles from the key's handshake to state READY."""
        await RisingEdge(self._dut.key_valid)
        start = cycle_now()
        assert int(self._dut.key_ready.value) == 1, "the key is not taken at once"
        while int(self._dut.engine_state.value) != EngineState.READY:
            await ValueChange(self._dut.engine_state)
        return cycle_now() - start

    async def stream(self) -> tuple[float, float]:
        """Read one tensor and write another at the same time in bursts of 4 KiB; returns beats per cycle of both.

        Counted from the first to the last beat of the direction, with as many bursts outstanding as the engine takes.
        """
        data = self.contents[self.sink]
        reads = [span_burst(self.source, span) for span in cut(self.source.base, STREAM_BYTES, PAGE_BYTES)]
        writes = [
            write_burst(self.sink.base + offset, data[offset : offset + length])
            for offset, length in cut(self.sink.base, STREAM_BYTES, PAGE_BYTES)
        ]
        await self.commands.command(Opcode.OPEN_READ, self.source.slot)
        await self.commands.command(Opcode.OPEN_WRITE, self.sink.slot)
        self.port.reads, self.port.writes = Traffic(), Traffic()
        await self.port.transfer(reads + writes)
        rates = self.port.reads.beats_per_cycle, self.port.writes.beats_per_cycle
        await self.commands.command(Opcode.CLOSE_READ, self.source.slot)
        await self.commands.command(Opcode.CLOSE_WRITE, self.sink.slot)
        assert assemble(self.source, reads) == self.contents[self.source], "the stream was read wrong"
        await self._open_sink(data)
        read_rate, write_rate = rates
        assert read_rate is not None, "the stream was too short to measure reads"
        assert write_rate is not None, "the stream was too short to measure writes"
        return read_rate, write_rate

    async def _open_sink(self, expected: bytes) -> None:
        """Check what the stream left in DRAM with a third-party AES-GCM, which is quicker than reading it back."""
        sealed = await self.memory.sealed_state(self.sink)
        cipher = AES.new(self._key, AES.MODE_GCM, nonce=bytes.fromhex(sealed.iv))
        stored = self.dram.read(self.sink.base, self.sink.nbytes)
        assert cipher.decrypt_and_verify(stored, bytes.fromhex(sealed.tag)) == expected, "the stream was written wrong"

    async def line_reads(self) -> LineReads:
        """Read single lines of a tensor in random order: some alone, the others without a pause."""
        spans = cut(self.table.base, self.table.nbytes, LINE_BYTES)
        self._rng.shuffle(spans)
        bursts = [span_burst(self.table, span) for span in spans]
        await self.commands.command(Opcode.OPEN_READ, self.table.slot)
        usual = await self._isolated(bursts[:ISOLATED_READS], DRAM_LATENCY)
        floor = await self._isolated(bursts[ISOLATED_READS : 2 * ISOLATED_READS], dram_latency=1)
        self.dram.timing.read_latency = DRAM_LATENCY
        scattered = bursts[2 * ISOLATED_READS :]
        await self.port.transfer(scattered)
        await self.commands.command(Opcode.CLOSE_READ, self.table.slot)
        assert assemble(self.table, bursts) == self.contents[self.table], "the lines were read wrong"
        done = sorted(burst.done_cycle for burst in scattered)
        return LineReads(usual - DRAM_LATENCY, floor, (len(done) - 1) / (done[-1] - done[0]))

    async def _isolated(self, bursts: Sequence[Burst], dram_latency: int) -> int:
        """Read bursts one at a time; returns the most cycles from the address to the first beat, as the NPU sees them.

        The memory's share is watched on its own side of the engine, and has to be ``dram_latency``.
        """
        self.dram.timing.read_latency = dram_latency
        watcher = MemoryLatency(self._dut)
        task = cocotb.start_soon(watcher.run())
        for burst in bursts:
            await self.port.transfer([burst])
            await ClockCycles(self._dut.clk, REST_CYCLES)
        task.cancel()
        assert watcher.measured == [dram_latency] * len(bursts), f"latency of the memory: {watcher.measured}"
        return max(burst.first_beat_cycle - burst.address_cycle for burst in bursts)


@cocotb.test()
async def measure(dut: Any) -> None:
    """Measure and write the figures to the file that the environment names."""
    bench = EngineBench(dut)
    key_cycles = await bench.set_up()
    read_rate, write_rate = await bench.stream()
    lines = await bench.line_reads()
    figures = {
        "read_beats_per_cycle": read_rate,
        "write_beats_per_cycle": write_rate,
        "added_read_latency_cycles": lines.added_latency,
        "read_latency_floor_cycles": lines.latency_floor,
        "scattered_lines_per_cycle": round(lines.per_cycle, 4),
        "command_cycles": {"key": key_cycles, **bench.commands.cycles},
    }
    Path(os.environ[OUTPUT_VARIABLE]).write_text(json.dumps(figures, indent=1) + "\n")
