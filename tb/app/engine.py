# SPDX-License-Identifier: Apache-2.0
"""The build of the engine that the main job and the benchmark share."""

from __future__ import annotations

from collections.abc import Mapping

from tb.runner import CocotbRun, rtl_sources, run_cocotb

SLOTS = 16
DATA_WIDTHS = (128, 256, 512)
VISIBLE = {"tensortee_engine": ("engine_state",), "tensor_table": ("iv_hi", "version", "tag")}
"""Signals inside the engine that the simulation may look at, besides the ports of its top."""


def run_on_engine(
    module: str,
    simulator: str,
    data_w: int,
    *,
    seed: int | None = None,
    extra_env: Mapping[str, str] | None = None,
    timeout_s: int = 900,
) -> CocotbRun:
    """Run the cocotb tests of a module on ``tensortee_engine`` in its default configuration but for the bus width.

    Raises:
        SimulationError: see ``tb.runner.run_cocotb``.
    """
    (run,) = run_cocotb(
        toplevel="tensortee_engine",
        sources=rtl_sources(),
        module=module,
        parameters={"DATA_W": data_w, "SLOTS": SLOTS},
        sim=simulator,
        seed=seed,
        fast=True,
        public=VISIBLE,
        coverage=False,
        extra_env=extra_env,
        timeout_s=timeout_s,
    )
    return run
