# SPDX-License-Identifier: Apache-2.0
"""Every register and field of the whole engine, walked against the compiled SystemRDL."""

from __future__ import annotations

import pyuvm
from tensortee.engine.registers import EngineState

from tb.env.base_test import EngineTest
from tb.unit.csr.walk import RegisterWalk


@pyuvm.test(timeout_time=10, timeout_unit="ms")
class Registers(EngineTest):
    """The walk, on an engine without a key; the canary shows that it is unharmed."""

    async def bring_up(self) -> None:
        """No key yet: the walk wants an idle engine."""
        await self.seq.until(EngineState.NO_KEY)

    async def body(self) -> None:
        """Walk."""
        parameters, bus = self.env.parameters, self.env.control.bus

        async def test_interrupts() -> None:
            await self.env.control.registers.write("INTR_TEST", CMD_DONE=1, ACCESS_FAULT=1, WINDOW_FAIL=1, FATAL=1)

        async def one_fault() -> None:
            await self.seq.finish([await self.seq.read(0, 1)])

        walk = RegisterWalk(
            bus,
            live={
                "PARAMS.SLOTS": parameters["SLOTS"],
                "PARAMS.ADDR_W": parameters["ADDR_W"],
                "PARAMS.KEY_256": int(parameters["KEY_W"] == 256),
                "PARAMS.LANES": parameters["DATA_W"] // 128,
                "STATUS.STATE": EngineState.NO_KEY,
                "STATUS.CMD_BUSY": 0,
                "STATUS.KEY_REFUSED": 0,
            },
            set_bits={"INTR_STATE": test_interrupts, "FAULT_STATUS": one_fault},
            inert_writes={"INTR_TEST": 0, "CMD": 0},
        )
        await walk.run()
        assert walk.checks > 0
        # The walk bypasses the model: begin again with both in reset.
        await self.reset()
        self.env.adopt_faults()
        await self.new_key()
