# SPDX-License-Identifier: Apache-2.0
"""What tests are written in: commands, bursts, whole tensors, in any order and timing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random

from cocotb.triggers import ClockCycles
from pyuvm import uvm_sequence
from tensortee.engine.registers import REGISTERS, EngineState, Opcode, Result

from tb.env.axi_agent import BurstItem
from tb.env.bursts import INCR, Burst
from tb.env.control_agent import Command, CommandItem, RegisterItem
from tb.env.environment import EngineEnv
from tb.env.key_agent import KeyItem
from tb.env.plan import full_runs, words
from tb.memory import LINE_BYTES

SETUP_TIMEOUT_POLLS = 1000
POLL_CYCLES = 24
OBSERVED_REGISTERS = (
    "STATUS",
    "INTR_STATE",
    "INTR_ENABLE",
    "CMD_RESULT",
    "FAULT_STATUS",
    "FAULT_ADDR_LO",
    "FAULT_ADDR_HI",
    "FAULT_COUNT",
)
SLOT_REGISTERS = tuple(name for name in REGISTERS if name.startswith("SLOT_"))


class EngineSequence(uvm_sequence):
    """A virtual sequence over all agents; tests derive from it and write ``body``.

    Args:
        env: the environment.
        rng: generator of all random choices of the sequence.
    """

    def __init__(self, env: EngineEnv, rng: Random) -> None:
        super().__init__(type(self).__name__)
        self.env = env
        self.rng = rng
        self.bus_bytes = env.bus_bytes
        self.full = env.bus_bytes.bit_length() - 1
        """AxSIZE of a beat as wide as the bus."""

    async def run(self) -> None:
        """Run the body."""
        await self.start(None)

    # Key and commands -------------------------------------------------------------------------------------------------

    async def install_key(self, key: bytes) -> None:
        """Install a key and wait until the engine is READY."""
        item = KeyItem(key)
        sequencer = self.env.keys.sequencer
        await sequencer.start_item(item)
        await sequencer.finish_item(item)
        await self.until(EngineState.READY)

    async def until(self, state: EngineState) -> None:
        """Wait for an engine state."""
        for _ in range(SETUP_TIMEOUT_POLLS):
            if await self.env.control.registers.get("STATUS.STATE") == state:
                return
            await self.idle(POLL_CYCLES)
        raise AssertionError(f"the engine does not come to the state {state.name}")

    async def command(self, opcode: int, slot: int = 0, base: int = 0, nbytes: int = 0) -> Result:
        """Execute a command and return its result; the scoreboard checks it."""
        command = Command(opcode, slot, base, nbytes)
        item = CommandItem(command)
        sequencer = self.env.control.sequencer
        await sequencer.start_item(item)
        await sequencer.finish_item(item)
        return Result(command.result)

    async def expect(self, wanted: Result, opcode: int, slot: int = 0, base: int = 0, nbytes: int = 0) -> None:
        """Execute a command whose result the test itself knows."""
        result = await self.command(opcode, slot, base, nbytes)
        assert result == wanted, f"{Opcode(opcode).name} on slot {slot} gave {result!r}, the test expects {wanted!r}"

    async def define(self, slot: int, base: int, nbytes: int) -> None:
        """DEFINE a slot; it must succeed."""
        await self.expect(Result.OK, Opcode.DEFINE, slot, base, nbytes)

    # Registers --------------------------------------------------------------------------------------------------------

    async def word(self, name: str) -> int:
        """Read a register."""
        return (await self._register(RegisterItem(name))).value

    async def set_word(self, name: str, value: int) -> None:
        """Write a register, in the engine and in the model."""
        await self._register(RegisterItem(name, value))
        self.env.predictor.engine.write_register(name, value)

    async def _register(self, item: RegisterItem) -> RegisterItem:
        sequencer = self.env.control.sequencer
        await sequencer.start_item(item)
        await sequencer.finish_item(item)
        return item

    async def compare_registers(self, names: Iterable[str] = OBSERVED_REGISTERS) -> None:
        """Read registers and let the scoreboard compare them with the model, and the alerts too."""
        await self.env.drain()
        self.env.scoreboard.compare_registers({name: await self.word(name) for name in names})
        sideband = self.env.sideband
        self.env.scoreboard.compare_alerts(sideband.recoverable, sideband.fatal, sideband.irq)

    async def compare_slots(self) -> None:
        """Compare the SLOT_* registers of every slot."""
        for slot in range(self.env.backdoor.slots):
            await self.set_word("SLOT_SEL", slot)
            await self.compare_registers(SLOT_REGISTERS)

    async def clear_faults(self) -> None:
        """Clear fault log and interrupts."""
        await self.set_word("FAULT_STATUS", 1 << 31)
        await self.set_word("INTR_STATE", 0xF)

    # Bursts -----------------------------------------------------------------------------------------------------------

    async def issue(self, burst: Burst) -> Burst:
        """Hand a burst to the driver without waiting for its responses."""
        item = BurstItem(burst)
        sequencer = self.env.axi.sequencer
        await sequencer.start_item(item)
        await sequencer.finish_item(item)
        return burst

    async def read(self, addr: int, beats: int, *, size: int | None = None, kind: int = INCR, ident: int = 0) -> Burst:
        """Issue a read; the default size is the bus width."""
        return await self.issue(Burst(False, ident, addr, beats, self.full if size is None else size, kind))

    async def write(
        self,
        addr: int,
        data: bytes | Sequence[int],
        *,
        size: int | None = None,
        kind: int = INCR,
        ident: int = 0,
        strobes: Sequence[int] | None = None,
    ) -> Burst:
        """Issue a write of whole words (bytes, or one number for each beat); all strobes are set unless given."""
        beats = words(data, self.bus_bytes) if isinstance(data, bytes) else list(data)
        every = (1 << self.bus_bytes) - 1
        burst = Burst(True, ident, addr, len(beats), self.full if size is None else size, kind, beats)
        burst.strobes = list(strobes) if strobes is not None else [every] * len(beats)
        return await self.issue(burst)

    @staticmethod
    async def finish(bursts: Iterable[Burst]) -> None:
        """Wait for the last responses of bursts."""
        for burst in bursts:
            await burst.done.wait()

    async def idle(self, cycles: int) -> None:
        """Let time pass."""
        await ClockCycles(self.env.dut.clk, cycles)

    # Tensors ----------------------------------------------------------------------------------------------------------

    async def write_lines(
        self, base: int, data: bytes, plan: Sequence[tuple[int, int]] | None = None, *, idents: int = 1
    ) -> list[Burst]:
        """Write ``data`` to a tensor at ``base`` in the runs of ``plan``; returns when all bursts are finished.

        The last line is filled up with random bytes, which the engine must not store.
        """
        lines = -(-len(data) // LINE_BYTES)
        whole = data + self.rng.randbytes(lines * LINE_BYTES - len(data))
        bursts = []
        for line, count in plan if plan is not None else full_runs(base, lines, self.bus_bytes):
            part = whole[line * LINE_BYTES : (line + count) * LINE_BYTES]
            bursts.append(await self.write(base + line * LINE_BYTES, part, ident=self.rng.randrange(idents)))
        await self.finish(bursts)
        return bursts

    async def read_lines(
        self, base: int, nbytes: int, plan: Sequence[tuple[int, int]] | None = None, *, idents: int = 1
    ) -> bytes:
        """Read a tensor in the runs of ``plan``, each line once unless the plan says otherwise; returns its bytes."""
        lines = -(-nbytes // LINE_BYTES)
        bursts = []
        for line, count in plan if plan is not None else full_runs(base, lines, self.bus_bytes):
            beats = count * LINE_BYTES // self.bus_bytes
            bursts.append(await self.read(base + line * LINE_BYTES, beats, ident=self.rng.randrange(idents)))
        await self.finish(bursts)
        out = bytearray(lines * LINE_BYTES)
        for burst in bursts:
            for addr, part in burst.payload(self.bus_bytes):
                out[addr - base : addr - base + len(part)] = part
        return bytes(out[:nbytes])

    async def store(self, slot: int, base: int, data: bytes, *, plan: Sequence[tuple[int, int]] | None = None) -> None:
        """Write a whole tensor in one epoch: OPEN_WRITE, all lines, CLOSE_WRITE. The slot is defined already."""
        await self.expect(Result.OK, Opcode.OPEN_WRITE, slot)
        await self.write_lines(base, data, plan)
        await self.expect(Result.OK, Opcode.CLOSE_WRITE, slot)

    async def load(self, slot: int, base: int, nbytes: int, *, plan: Sequence[tuple[int, int]] | None = None) -> bytes:
        """Read a whole tensor in one window that verifies."""
        await self.expect(Result.OK, Opcode.OPEN_READ, slot)
        data = await self.read_lines(base, nbytes, plan)
        await self.expect(Result.OK, Opcode.CLOSE_READ, slot)
        return data
