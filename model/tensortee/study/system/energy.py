# SPDX-License-Identifier: Apache-2.0
"""Energy of a training step: events counted by the simulators times quoted energies per event.

The energies come from publications about different technologies (hardware.Energy). They say which cause dominates and
how schemes compare; they are no power budget of a chip. Not counted: the cores' instructions, caches and the
scratchpad, which all schemes use alike, and the CPU's idle power, for which no number fits this set-up.
"""

from __future__ import annotations

from dataclasses import dataclass

from tensortee.study.hardware import Energy, System
from tensortee.study.hardware.conservation import not_negative
from tensortee.study.system.cpu_runs import data_bytes, dram_bytes
from tensortee.study.system.step import Step
from tensortee.study.workload.operators import Workload

LOW = Energy(
    cpu_dram_pj_per_bit=10.0,
    npu_dram_pj_per_bit=5.5,
    link_pj_per_bit=5.0,
    aes_pj_per_bit=0.73,
    hash_pj_per_bit=0.12,
    npu_mac_pj=0.72,
    npu_background_w=90.0,
)
"""Low ends: DDR and link at half; GDDR6 at 350 pJ per 64 bits and arithmetic at 7 nm (Jouppi et al., ISCA 2021: fp16
product 0.34 pJ, fp32 sum 0.38 pJ; AES and hash scale as the product); TPU v4, idle (Jouppi et al., ISCA 2023)."""

HIGH = Energy(
    cpu_dram_pj_per_bit=40.6,
    npu_dram_pj_per_bit=20.3,
    link_pj_per_bit=20.0,
    aes_pj_per_bit=4.72,
    hash_pj_per_bit=0.78,
    npu_mac_pj=4.6,
    npu_background_w=175.0,
)
"""High ends: DRAM and fp32 arithmetic (3.7 pJ and 0.9 pJ) of Horowitz, ISSCC 2014; link, AES and hash at double; lowest
power of a working TPU v3 (Jouppi et al., ISCA 2023)."""


@dataclass(frozen=True, slots=True)
class Events:
    """What happens in a step, all NPUs together.

    Attributes:
        npu_dram_bytes: to and from the NPUs' DRAM, metadata included.
        cpu_dram_bytes: to and from the CPU's DRAM, metadata included.
        link_bytes: over the links.
        aes_bytes: data encrypted or decrypted.
        hash_bytes: data under a MAC that is computed.
        npu_macs: multiply-accumulates.
        npu_seconds: seconds of the step, times NPUs.
    """

    npu_dram_bytes: float
    cpu_dram_bytes: float
    link_bytes: float
    aes_bytes: float
    hash_bytes: float
    npu_macs: float
    npu_seconds: float


def events(step: Step, workload: Workload) -> Events:
    """Count the events of a step.

    Args:
        step: the step.
        workload: the workload it was computed from.
    """
    moved = [*step.gradients, *step.weights]
    npu_bytes = step.npu.read_bytes + step.npu.write_bytes
    protected = 0.0
    if step.scheme != "non-secure":
        cpu_data = data_bytes(step.adam) + step.cast.data_bytes
        npu_data = npu_bytes - step.npu.metadata_bytes
        staged = sum(part.crypto_bytes for part in moved)
        protected = step.npus * (npu_data + staged) + cpu_data
    counted = Events(
        npu_dram_bytes=step.npus * (npu_bytes + sum(part.npu_dram_bytes for part in moved)),
        cpu_dram_bytes=dram_bytes(step.adam)
        + step.cast.dram_bytes
        + step.npus * sum(part.cpu_dram_bytes for part in moved),
        link_bytes=step.npus * sum(part.nbytes for part in moved),
        aes_bytes=protected,
        hash_bytes=protected,
        npu_macs=step.npus * workload.flops / 2,
        npu_seconds=step.npus * step.seconds,
    )
    for name in Events.__dataclass_fields__:
        not_negative(f"energy, {name}", getattr(counted, name))
    return counted


def joules(counted: Events, energy: Energy) -> dict[str, float]:
    """Energy of each kind of event, joule."""
    per_byte = 8e-12
    return {
        "NPU DRAM": per_byte * energy.npu_dram_pj_per_bit * counted.npu_dram_bytes,
        "CPU DRAM": per_byte * energy.cpu_dram_pj_per_bit * counted.cpu_dram_bytes,
        "link": per_byte * energy.link_pj_per_bit * counted.link_bytes,
        "encryption": per_byte * energy.aes_pj_per_bit * counted.aes_bytes,
        "MACs": per_byte * energy.hash_pj_per_bit * counted.hash_bytes,
        "NPU arithmetic": 1e-12 * energy.npu_mac_pj * counted.npu_macs,
        "NPU background": energy.npu_background_w * counted.npu_seconds,
    }


@dataclass(frozen=True, slots=True)
class StepEnergy:
    """Energy of a step by kind of event, joule.

    Attributes:
        joules: with the energies of the system.
        joules_low: with the low ends.
        joules_high: with the high ends.
    """

    joules: dict[str, float]
    joules_low: dict[str, float]
    joules_high: dict[str, float]

    @property
    def total(self) -> float:
        """Sum of all kinds, joule."""
        return sum(self.joules.values())


def step_energy(step: Step, workload: Workload, system: System) -> StepEnergy:
    """Energy of a training step.

    Raises:
        ConservationError: the result breaks a conservation law.
    """
    counted = events(step, workload)
    return StepEnergy(joules(counted, system.energy), joules(counted, LOW), joules(counted, HIGH))
