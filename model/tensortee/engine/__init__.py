# SPDX-License-Identifier: Apache-2.0
"""Transaction-level model of the engine, with its commands, states, results and faults.

It does the real cryptography, so it predicts every bit: responses, read data, memory contents, tags, fault log,
interrupts. The testbench compares the RTL with it.
"""

from tensortee.engine.bursts import BurstType, Response
from tensortee.engine.control import Fault, Interrupt
from tensortee.engine.core import BurstUnderWayError, Engine, ReadRequest, WriteRequest
from tensortee.engine.memory import Dram, FailingMemory, Memory
from tensortee.engine.slots import Slot

__all__ = [
    "BurstType",
    "BurstUnderWayError",
    "Dram",
    "Engine",
    "FailingMemory",
    "Fault",
    "Interrupt",
    "Memory",
    "ReadRequest",
    "Response",
    "Slot",
    "WriteRequest",
]
