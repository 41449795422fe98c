# SPDX-License-Identifier: Apache-2.0
"""UVM agent of the control port: commands and register accesses through the register model."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

from cocotb.triggers import ClockCycles
from pyuvm import uvm_agent, uvm_analysis_port, uvm_driver, uvm_sequence_item, uvm_sequencer
from tensortee.engine.registers import Opcode

from tb.axil import OKAY, AxiLiteManager
from tb.regmodel import RegisterModel

COMMAND_TIMEOUT_POLLS = 5000
POLL_CYCLES = 8


@dataclass(eq=False)
class Command:
    """A command and how it ended.

    Attributes:
        opcode: 4-bit opcode, also ones that are not defined.
        slot: 8-bit slot number, also ones that do not exist.
        base: CMD_BASE for DEFINE.
        nbytes: CMD_NBYTES for DEFINE.
        result: RESULT after it completed; -1 while it is under way or if the engine did not take it.
        response: BRESP of the write to CMD.
    """

    opcode: int
    slot: int = 0
    base: int = 0
    nbytes: int = 0
    result: int = -1
    response: int = -1


class CommandItem(uvm_sequence_item):
    """A command to execute; finished when it has completed."""

    def __init__(self, command: Command) -> None:
        super().__init__("command")
        self.command = command


class RegisterItem(uvm_sequence_item):
    """One access to a register; ``value`` is the word read or to be written."""

    def __init__(self, name: str, value: int | None = None) -> None:
        super().__init__("register")
        self.register = name
        self.write = value is not None
        self.value = value if value is not None else 0
        self.response = OKAY


class ControlDriver(uvm_driver):
    """Executes commands and register accesses one after the other, and publishes each finished command."""

    registers: RegisterModel
    clock: Any

    def build_phase(self) -> None:
        """Make the analysis ports."""
        self.started_port = uvm_analysis_port("started_port", self)
        self.done_port = uvm_analysis_port("done_port", self)

    async def run_phase(self) -> None:
        """Serve the sequencer."""
        while True:
            item = await self.seq_item_port.get_next_item()
            if isinstance(item, CommandItem):
                await self._command(item.command)
            else:
                await self._register(item)
            self.seq_item_port.item_done()

    async def _register(self, item: RegisterItem) -> None:
        address = self.registers.register(item.register).address
        if item.write:
            item.response = await self.registers.bus.write(address, item.value)
        else:
            item.value, item.response = await self.registers.bus.read(address)

    async def _command(self, command: Command) -> None:
        registers = self.registers
        if command.opcode == Opcode.DEFINE:
            await registers.write64("CMD_BASE", command.base)
            await registers.write64("CMD_NBYTES", command.nbytes)
        self.started_port.write(command)
        command.response = await registers.try_write("CMD", SLOT=command.slot, OPCODE=command.opcode)
        if command.response != OKAY:
            return
        for _ in range(COMMAND_TIMEOUT_POLLS):
            if not await registers.get("STATUS.CMD_BUSY"):
                break
            await ClockCycles(self.clock, POLL_CYCLES)
        else:
            raise AssertionError(f"command {command.opcode} on slot {command.slot} does not complete")
        result = await registers.read("CMD_RESULT")
        if (result["OPCODE"], result["SLOT"]) != (command.opcode, command.slot):
            raise AssertionError(f"CMD_RESULT {result} is not that of command {command.opcode} on slot {command.slot}")
        command.result = int(result["RESULT"])
        self.done_port.write(command)


class ControlAgent(uvm_agent):
    """Sequencer and driver of the port ``s_axil``."""

    def __init__(self, name: str, parent: Any, dut: Any, seed: int) -> None:
        super().__init__(name, parent)
        self._dut, self._seed = dut, seed

    def build_phase(self) -> None:
        """Make the parts."""
        self.sequencer = uvm_sequencer("sequencer", self)
        self.driver = ControlDriver("driver", self)
        self.bus = AxiLiteManager(self._dut, "s_axil", self._dut.clk, rng=Random(self._seed), max_delay=1)
        self.registers = RegisterModel(self.bus)
        self.driver.registers = self.registers
        self.driver.clock = self._dut.clk

    def connect_phase(self) -> None:
        """Join driver and sequencer."""
        self.driver.seq_item_port.connect(self.sequencer.seq_item_export)
