# SPDX-License-Identifier: Apache-2.0
"""The environment: agents, memory, predictor, scoreboard and coverage around one ``tensortee_engine``."""

from __future__ import annotations

import json
import os
from typing import Any

from cocotb.triggers import ClockCycles, RisingEdge
from pyuvm import uvm_env, uvm_subscriber
from tensortee.engine.registers import EngineState, Result, SlotState

from tb.dram import Dram
from tb.env.axi_agent import AxiAgent
from tb.env.axi_monitor import AxiMonitor
from tb.env.backdoor import Backdoor
from tb.env.bursts import Burst, attributes
from tb.env.control_agent import Command, ControlAgent
from tb.env.coverage import Coverage
from tb.env.key_agent import KeyAgent
from tb.env.memory_probe import MemoryProbe
from tb.env.predictor import Predictor
from tb.env.scoreboard import Scoreboard
from tb.env.sideband_monitor import SidebandMonitor
from tb.memory import SparseMemory
from tb.ticker import Ticker

DEFAULT_PARAMETERS = {"MAP_WORDS": 256, "VERSION_W": 64, "OWNER": 1}
PARAMETERS_VARIABLE = "ENGINE_PARAMETERS"
MODIFIABLE = 0b0010


def build_parameters(dut: Any) -> dict[str, int]:
    """Parameters of the build: widths from the ports, the others from the environment variable of the runner."""
    given = json.loads(os.environ.get(PARAMETERS_VARIABLE, "{}"))
    ports = {
        "DATA_W": len(dut.s_axi_rdata),
        "KEY_W": len(dut.key_data),
        "ADDR_W": len(dut.s_axi_araddr),
        "ID_W": len(dut.s_axi_arid),
        "SLOTS": len(dut.u_table.state),
    }
    return {**DEFAULT_PARAMETERS, **given, **ports}


class Listener(uvm_subscriber):
    """Passes what an analysis port publishes to a function."""

    def __init__(self, name: str, parent: Any, function: Any) -> None:
        super().__init__(name, parent)
        self._function = function

    def write(self, item: Any) -> None:
        """Take an item."""
        self._function(item)


class EngineEnv(uvm_env):
    """Everything around the design under test."""

    def __init__(self, name: str, parent: Any, dut: Any, seed: int, dram_class: type[Dram] = Dram) -> None:
        super().__init__(name, parent)
        self.dut = dut
        self.seed = seed
        self._dram_class = dram_class
        self._unsettled = False
        self.parameters = build_parameters(dut)
        self.bus_bytes = self.parameters["DATA_W"] // 8
        self.key_bytes = self.parameters["KEY_W"] // 8

    def build_phase(self) -> None:
        """Make the parts."""
        self.dram = self._dram_class(self.dut, "m_axi", seed=self.seed + 1, lines_only=True, log_writes=True)
        self.backdoor = Backdoor(self.dut)
        self.axi = AxiAgent("axi", self, self.dut, self.seed + 2)
        self.control = ControlAgent("control", self, self.dut, self.seed + 3)
        self.keys = KeyAgent("keys", self, self.dut)
        self.predictor = Predictor("predictor", self, dram=self.dram, parameters=self.parameters)
        self.scoreboard = Scoreboard(
            "scoreboard", self, predictor=self.predictor, dram=self.dram, backdoor=self.backdoor
        )
        self.sideband = SidebandMonitor(self.dut)
        self.memory_port = AxiMonitor(self.dut, "m_axi", zero_when_idle=("w",))
        self.memory_port.responder_lies = not self.dram.honest
        self.probe = MemoryProbe(self.dut)
        self.coverage = Coverage()

    def connect_phase(self) -> None:
        """Connect monitors with predictor, scoreboard and coverage."""
        monitor = self.axi.monitor
        listeners = (
            ("read_request", monitor.read_request_port, self._requested),
            ("write_request", monitor.write_request_port, self._requested),
            ("write_data", monitor.write_data_port, self.predictor.write_data),
            ("done", monitor.done_port, self.scoreboard.burst_done),
            ("command_started", self.control.driver.started_port, self._command_started),
            ("command_done", self.control.driver.done_port, self._command_done),
            ("key", self.keys.driver.port, self._key),
        )
        for name, port, function in listeners:
            listener = Listener(f"on_{name}", self, function)
            port.connect(listener.analysis_export)

        self.memory_port.on_read_request.append(self._memory_request)
        self.memory_port.on_write_request.append(self._memory_request)
        self.memory_port.on_response.append(self.probe.entered)
        self.probe.on_read_beat.append(self.predictor.read_beat)
        self.probe.on_response.append(self.predictor.write_response)
        self.predictor.on_known.append(self.scoreboard.burst_known)
        self.scoreboard.on_judged.append(self._judged)
        self.sideband.on_blocked.append(self._blocked)
        self.dram.on_written.append(self.scoreboard.settle)

    # Events -----------------------------------------------------------------------------------------------------------

    def _requested(self, burst: Burst) -> None:
        # The engine may have left READY for a reason that the model sees with the end of the command.
        if self._unsettled or (not self.sideband.ready and self.predictor.engine.state == EngineState.READY):
            burst.note["interrupted"] = True
        way = "write" if burst.write else "read"
        total = self.axi.monitor.monitor.under_way(way) - 1
        same = self.axi.monitor.monitor.under_way_with(burst) - 1
        self.coverage.burst(burst, bus_bytes=self.bus_bytes, same=same, different=total - same)
        if burst.write:
            self.predictor.write_request(burst)
        else:
            self.predictor.read_request(burst)

    def _memory_request(self, burst: Burst) -> None:
        _, cache, *passed_on = attributes(burst.ident)
        # Reads fetch whole lines, so they go on as modifiable: AxCACHE[1].
        self.scoreboard.compare_attributes(burst, (0, cache if burst.write else cache | MODIFIABLE, *passed_on))
        self.predictor.memory_request(burst)

    def _judged(self, burst: Burst) -> None:
        self.coverage.outcome(burst, burst.note["expected"].cause)

    def _blocked(self) -> None:
        for burst in self.axi.monitor.monitor.open_bursts():
            burst.note["interrupted"] = True

    def _command_started(self, command: Command) -> None:
        model = self.predictor.engine
        slot = model.slots[command.slot].state if command.slot < len(model.slots) else None
        self._before = (SlotState(slot) if slot is not None else None, EngineState(model.state))

    def _command_done(self, command: Command) -> None:
        self.scoreboard.command_done(command)
        slot, engine = self._before
        self.coverage.command(command.opcode, slot, engine, Result(command.result))
        if command.result == Result.OK and command.slot < self.backdoor.slots:
            view = self.backdoor.slot(command.slot)
            if view.state == SlotState.SEALED:
                self.coverage.tensor(view.base, view.nbytes)

    def _key(self, key: bytes) -> None:
        self.predictor.key(key)
        self.scoreboard.key_installed(key)

    # What tests do with the environment -------------------------------------------------------------------------------

    def memories(self) -> tuple[SparseMemory, SparseMemory]:
        """The DRAM image of the simulation and that of the model: tamper with both alike."""
        return self.dram.memory, self.predictor.memory

    def tampered(self, *slots: int) -> tuple[SparseMemory, SparseMemory]:
        """The same two images, to be tampered with alike: after that ``slots`` must no longer open."""
        self.scoreboard.tampered.update(slots)
        return self.memories()

    def was_reset(self) -> None:
        """Bring every part that follows the engine's state back to the state after reset."""
        self.axi.driver.manager.abandon()
        self.predictor.reset()
        self.scoreboard.forget_traffic()

    def interrupted(self) -> None:
        """The engine was zeroized without a command: bursts under way may end with SLVERR, the model follows."""
        for burst in self.axi.monitor.monitor.open_bursts():
            burst.note["interrupted"] = True
        self.predictor.engine.zeroize()

    def zeroize_follows(self) -> None:
        """From here on the engine may be zeroized in any cycle: what is or comes under way may end either way."""
        for burst in self.axi.monitor.monitor.open_bursts():
            burst.note["interrupted"] = True
        self._unsettled = True

    def all_settled(self) -> None:
        """The zeroization and all bursts around it are over."""
        self._unsettled = False

    def adopt_faults(self) -> None:
        """Take over the count of alerts from the engine: how many bursts an interruption hit is a matter of timing."""
        self.predictor.engine.control.alert_recov = self.sideband.recoverable

    def start(self) -> None:
        """Start every agent and monitor."""
        self.ticker = ticker = Ticker(self.dut.clk, self.dut.rst)
        self.dram.start(ticker)
        self.axi.start(ticker)
        ticker.add(self.sideband)
        ticker.add(self.memory_port)
        ticker.add(self.probe)
        ticker.start()

    async def drain(self, cycles: int = 20_000) -> None:
        """Wait until no burst is under way on either side."""
        manager, monitor = self.axi.driver.manager, self.axi.monitor.monitor
        for _ in range(cycles):
            if not manager.outstanding and monitor.drained and self.dram.idle:
                await ClockCycles(self.dut.clk, 2)
                return
            await RisingEdge(self.dut.clk)
        raise AssertionError(
            f"after {cycles} cycles {manager.outstanding} bursts of the NPU are not finished "
            f"(memory {'idle' if self.dram.idle else 'busy'})"
        )

    def sample_stalls(self) -> None:
        """Hand the stalls that the monitors saw to the coverage."""
        for port, monitor in (("npu", self.axi.monitor.monitor), ("memory", self.memory_port)):
            for channel, count in monitor.stalls.items():
                if count:
                    self.coverage.stall(port, channel)
