# SPDX-License-Identifier: Apache-2.0
"""Control experiments of the main job: without an attack, its judges must not report a detection."""

from __future__ import annotations

from typing import Any

import cocotb
import pytest

from tb.app.attacks import Scene, badly_covered, tampered
from tb.app.job import Job
from tb.app.memory import ProtectedMemory, ProtectionError, Tensor
from tb.app.simulation import MainJob

CONTENTS = {"first": bytes(range(200)), "second": bytes(range(100, 230))}


async def _scene(dut: Any) -> Scene:
    job = Job.load()
    main = MainJob(dut, job)
    await main.start({name: len(data) for name, data in CONTENTS.items()})
    for tensor in main.tensors:
        await main.memory.define(tensor)
    contents = {tensor: CONTENTS[tensor.name] for tensor in main.tensors}
    await main.memory.step([], contents)
    return Scene(main.memory, main.dram.memory, contents, main.tensors[0], main.tensors[1])


@cocotb.test()
async def judges_report_nothing_without_an_attack(dut: Any) -> None:
    """Nothing is tampered with, every line is read once: neither judge says that it detected something."""
    scene = await _scene(dut)
    memory: ProtectedMemory = scene.memory
    detected, observed = await tampered(scene, lambda: None)
    assert not detected
    assert observed.startswith("OK, engine READY, slot VERIFIED"), observed
    detected, observed = await badly_covered(scene, memory.read_bursts(scene.victim))
    assert not detected
    assert observed == "OK, engine READY, slot VERIFIED"


@cocotb.test()
async def work_on_tampered_data_stops(dut: Any) -> None:
    """A flipped bit in a flow that expects none raises an error instead of returning data."""
    scene = await _scene(dut)
    victim: Tensor = scene.victim
    scene.dram.flip(victim.base)
    with pytest.raises(ProtectionError, match="TAG_ERROR"):
        await scene.see_verified(victim)
