# SPDX-License-Identifier: Apache-2.0
"""Energy: events are those that the simulators counted, joules are their products, ranges enclose."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tensortee.study.hardware import Energy, System
from tensortee.study.system.energy import HIGH, LOW, events, joules, step_energy
from tensortee.study.system.step import SCHEMES, StepScheme, training_step
from tensortee.study.workload.architecture import TransformerConfig
from tensortee.study.workload.transformer import training_workload

CONFIG = TransformerConfig(
    name="small", layers=2, hidden=512, heads=8, intermediate=2048, vocabulary=8192, max_positions=512
)
WORKLOAD = training_workload(CONFIG, batch=4, sequence_length=256)
STEPS = {scheme: training_step(WORKLOAD, System(), scheme, adam_iteration=1) for scheme in SCHEMES}


def test_events_of_a_plain_step() -> None:
    step = STEPS["non-secure"]
    counted = events(step, WORKLOAD)
    elements = WORKLOAD.parameter_elements
    assert counted.link_bytes == 6 * elements
    assert counted.npu_macs == WORKLOAD.flops / 2
    assert counted.npu_dram_bytes == step.npu.read_bytes + step.npu.write_bytes + 6 * elements
    assert counted.cpu_dram_bytes > 28 * elements
    assert counted.aes_bytes == counted.hash_bytes == 0
    assert counted.npu_seconds == step.seconds


def test_only_staging_encrypts_for_the_way() -> None:
    elements = WORKLOAD.parameter_elements
    staged, direct = (events(STEPS[scheme], WORKLOAD).aes_bytes for scheme in ("sgx+mgx", "tensortee"))
    assert staged - direct == pytest.approx(4 * 6 * elements, rel=0.15)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_joules_are_events_times_their_energy(scheme: StepScheme) -> None:
    counted = events(STEPS[scheme], WORKLOAD)
    energy = step_energy(STEPS[scheme], WORKLOAD, System())
    assert energy.joules["link"] == pytest.approx(counted.link_bytes * 8 * 10e-12)
    assert energy.joules["NPU background"] == pytest.approx(123 * STEPS[scheme].seconds)
    assert energy.total == sum(energy.joules.values())
    doubled = joules(counted, Energy(aes_pj_per_bit=2 * 2.36))
    assert doubled["encryption"] == pytest.approx(2 * energy.joules["encryption"])
    for kind, value in energy.joules.items():
        assert energy.joules_low[kind] <= value <= energy.joules_high[kind]


def test_ranges_enclose_the_defaults() -> None:
    for name in Energy.model_fields:
        assert getattr(LOW, name) < getattr(Energy(), name) < getattr(HIGH, name)


def test_protection_costs_energy() -> None:
    totals = {scheme: step_energy(step, WORKLOAD, System()).total for scheme, step in STEPS.items()}
    assert totals["non-secure"] < totals["tensortee"] < totals["sgx+mgx"]


def test_npus_count_each() -> None:
    step = STEPS["tensortee"]
    one, two = events(step, WORKLOAD), events(replace(step, npus=2), WORKLOAD)
    assert two.npu_macs == 2 * one.npu_macs
    assert two.npu_dram_bytes == 2 * one.npu_dram_bytes
    assert two.link_bytes == 2 * one.link_bytes
