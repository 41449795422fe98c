# SPDX-License-Identifier: Apache-2.0
"""UVM agent of the NPU side: bursts as sequence items, driver on ``AxiManager``, monitor on ``AxiMonitor``."""

from __future__ import annotations

from typing import Any

from pyuvm import uvm_agent, uvm_analysis_port, uvm_driver, uvm_monitor, uvm_sequence_item, uvm_sequencer

from tb.env.axi_manager import AxiManager
from tb.env.axi_monitor import AxiMonitor
from tb.env.bursts import Burst
from tb.ticker import Ticker


class BurstItem(uvm_sequence_item):
    """A burst to issue. The driver does not wait for it: await ``burst.done`` for the responses."""

    def __init__(self, burst: Burst) -> None:
        super().__init__("burst")
        self.burst = burst


class AxiDriver(uvm_driver):
    """Hands bursts to the manager as soon as they come."""

    manager: AxiManager

    async def run_phase(self) -> None:
        """Serve the sequencer."""
        while True:
            item = await self.seq_item_port.get_next_item()
            self.manager.issue(item.burst)
            self.seq_item_port.item_done()


class AxiBusMonitor(uvm_monitor):
    """Publishes what the pins show: read and write requests, complete write data, finished bursts."""

    monitor: AxiMonitor

    def build_phase(self) -> None:
        """Make the analysis ports."""
        self.read_request_port = uvm_analysis_port("read_request_port", self)
        self.write_request_port = uvm_analysis_port("write_request_port", self)
        self.write_data_port = uvm_analysis_port("write_data_port", self)
        self.done_port = uvm_analysis_port("done_port", self)

    def connect_phase(self) -> None:
        """Let the pin monitor call the ports."""
        self.monitor.on_read_request.append(self.read_request_port.write)
        self.monitor.on_write_request.append(self.write_request_port.write)
        self.monitor.on_write_data.append(self.write_data_port.write)
        self.monitor.on_done.append(self.done_port.write)


class AxiAgent(uvm_agent):
    """Sequencer, driver and monitor of the port ``s_axi``; set ``dut`` and ``seed`` before the build phase."""

    def __init__(self, name: str, parent: Any, dut: Any, seed: int) -> None:
        super().__init__(name, parent)
        self._dut, self._seed = dut, seed

    def build_phase(self) -> None:
        """Make the parts."""
        self.sequencer = uvm_sequencer("sequencer", self)
        self.driver = AxiDriver("driver", self)
        self.driver.manager = AxiManager(self._dut, "s_axi", seed=self._seed)
        self.monitor = AxiBusMonitor("monitor", self)
        self.monitor.monitor = AxiMonitor(self._dut, "s_axi", zero_when_idle=("r",))

    def connect_phase(self) -> None:
        """Join driver and sequencer."""
        self.driver.seq_item_port.connect(self.sequencer.seq_item_export)

    def start(self, ticker: Ticker) -> None:
        """Begin to drive and to watch."""
        self.driver.manager.start(ticker)
        ticker.add(self.monitor.monitor)
