# SPDX-License-Identifier: Apache-2.0
"""UVM agent of the key side-load port."""

from __future__ import annotations

from typing import Any

from cocotb.triggers import ReadOnly, RisingEdge
from pyuvm import uvm_agent, uvm_analysis_port, uvm_driver, uvm_sequence_item, uvm_sequencer


class KeyItem(uvm_sequence_item):
    """A key to install; finished when the engine has taken it."""

    def __init__(self, key: bytes) -> None:
        super().__init__("key")
        self.key = key


class KeyDriver(uvm_driver):
    """Offers keys on the side-load port and holds each until it is taken."""

    dut: Any

    def build_phase(self) -> None:
        """Make the analysis port."""
        self.port = uvm_analysis_port("port", self)

    async def run_phase(self) -> None:
        """Serve the sequencer."""
        dut = self.dut
        dut.key_valid.value = 0
        dut.key_data.value = 0
        while True:
            item = await self.seq_item_port.get_next_item()
            dut.key_data.value = int.from_bytes(item.key, "little")
            dut.key_valid.value = 1
            taken = False
            while not taken:
                await ReadOnly()
                taken = dut.key_ready.value == 1
                await RisingEdge(dut.clk)
            dut.key_valid.value = 0
            dut.key_data.value = 0
            self.port.write(item.key)
            self.seq_item_port.item_done()


class KeyAgent(uvm_agent):
    """Sequencer and driver of the key side-load port."""

    def __init__(self, name: str, parent: Any, dut: Any) -> None:
        super().__init__(name, parent)
        self._dut = dut

    def build_phase(self) -> None:
        """Make the parts."""
        self.sequencer = uvm_sequencer("sequencer", self)
        self.driver = KeyDriver("driver", self)
        self.driver.dut = self._dut

    def connect_phase(self) -> None:
        """Join driver and sequencer."""
        self.driver.seq_item_port.connect(self.sequencer.seq_item_export)
