# SPDX-License-Identifier: Apache-2.0
"""Base of every test of the engine: clock, reset, key, one tensor at least, and the final checks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from random import Random
from typing import Any, TypeVar

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles
from pyuvm import uvm_test
from tensortee.engine.registers import Opcode, Result

from tb.dram import Dram
from tb.env.environment import EngineEnv
from tb.env.sequences import EngineSequence

T = TypeVar("T")

CLOCK_NS = 10
TEST_KEY_TEXT = b"TensorTEE test key"
"""The keys of the tests are hashes of this text and a number: no secret."""


def numbered_key(nbytes: int, number: int) -> bytes:
    """Return the ``number``-th test key of 16 or 32 bytes."""
    return hashlib.sha256(TEST_KEY_TEXT + number.to_bytes(2, "big")).digest()[:nbytes]


class EngineTest(uvm_test):
    """A test of the engine; derived classes write ``body``.

    ``self.seq`` is a sequence to call commands and bursts on. Every test ends with a small tensor that is written and
    read (``canary``), so that each DRAM image holds something to open, and with all registers compared.
    """

    dram_class = Dram
    """The memory behind the engine."""
    canary_slot = 1
    canary_base = 0x7F_0000
    canary_bytes = 150

    def build_phase(self) -> None:
        """Make the environment."""
        self.dut: Any = cocotb.top
        seed = int(cocotb.RANDOM_SEED) ^ int.from_bytes(
            hashlib.sha256(type(self).__name__.encode()).digest()[:4], "big"
        )
        self.rng = Random(seed)
        self.env = EngineEnv("env", self, self.dut, seed & 0x7FFFFFFF, self.dram_class)
        self.seq = EngineSequence(self.env, self.rng)
        self.keys_used = 0

    async def reset(self, cycles: int = 3) -> None:
        """Reset the engine, and every part of the bench that follows it."""
        self.dut.rst.value = 1
        await ClockCycles(self.dut.clk, cycles)
        self.env.was_reset()
        self.dut.rst.value = 0
        await ClockCycles(self.dut.clk, 1)

    async def run_phase(self) -> None:
        """Bring the engine up, run the body, then the canary and the final checks."""
        self.raise_objection()
        self.dut.zeroize.value = 0
        self.dut.rst.value = 1
        Clock(self.dut.clk, CLOCK_NS, "ns").start()
        await ClockCycles(self.dut.clk, 1)
        self.env.start()
        await self.reset()
        await self.bring_up()
        await self.body()
        await self.wind_up()
        self.drop_objection()

    async def bring_up(self) -> None:
        """Install the first key."""
        await self.new_key()

    async def new_key(self) -> None:
        """Install the next test key; the engine must be in NO_KEY or on its way to it."""
        self.key = numbered_key(self.env.key_bytes, self.keys_used)
        self.keys_used += 1
        await self.seq.install_key(self.key)

    async def rekey(self, slot: int = 0) -> None:
        """ZEROIZE, with any slot number, and install the next test key."""
        await self.seq.expect(Result.OK, Opcode.ZEROIZE, slot)
        self.env.scoreboard.tampered.clear()
        await self.new_key()

    async def body(self) -> None:
        """The test itself."""
        raise NotImplementedError

    async def wind_up(self) -> None:
        """Write and read the canary, compare everything that can be compared."""
        await self.canary()
        await self.final_checks()

    async def canary(self) -> None:
        """Write and read one tensor that stays sealed."""
        data = self.rng.randbytes(self.canary_bytes)
        await self.seq.define(self.canary_slot, self.canary_base, len(data))
        await self.seq.store(self.canary_slot, self.canary_base, data)
        read = await self.seq.load(self.canary_slot, self.canary_base, len(data))
        assert read == data, "the canary tensor reads back as other data"

    async def final_checks(self) -> None:
        """Compare registers, slots and the DRAM image."""
        await self.env.drain()
        await self.seq.compare_registers()
        await self.seq.compare_slots()
        self.env.scoreboard.check_image()

    @property
    def slow(self) -> bool:
        """The simulator is Icarus: about a tenth of the stimulus has to do."""
        return "icarus" in cocotb.SIM_NAME.lower()

    def thin(self, items: Iterable[T], keep: int) -> list[T]:
        """Return all items, or on Icarus ``keep`` of them at random, of two or more always the first and the last."""
        every = list(items)
        if not self.slow or len(every) <= keep:
            return every
        if keep == 1:
            return [self.rng.choice(every)]
        inner = sorted(self.rng.sample(range(1, len(every) - 1), keep - 2))
        return [every[0], *(every[index] for index in inner), every[-1]]

    def report_phase(self) -> None:
        """Leave the functional coverage of this run."""
        self.env.sample_stalls()
        simulator = cocotb.SIM_NAME.split()[0].lower()
        build = "-".join(f"{name}={value}" for name, value in sorted(self.env.parameters.items()))
        self.env.coverage.save(f"{simulator}-{build}-{type(self).__name__}-{cocotb.RANDOM_SEED}")
