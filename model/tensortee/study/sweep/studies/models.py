# SPDX-License-Identifier: Apache-2.0
"""Training steps of one model: three schemes, then other links, several NPUs, and energy."""

from __future__ import annotations

from dataclasses import dataclass, field

from tensortee.study.hardware import System
from tensortee.study.report.results import Breakdown, EnergyRow, ModelRow, NpusRow, PcieRow, SpeedupRow
from tensortee.study.system.energy import step_energy
from tensortee.study.system.step import SCHEMES, Step, StepScheme, training_step
from tensortee.study.workload.catalog import CatalogEntry
from tensortee.study.workload.operators import Workload
from tensortee.study.workload.transformer import training_workload

PCIE_GENERATIONS = (3, 4, 5, 6)
NPUS = (1, 2, 4, 8)


@dataclass
class ModelStudy:
    """Rows of one model."""

    models: list[ModelRow]
    speedup: SpeedupRow
    not_modelled: tuple[str, ...]
    assumptions: tuple[str, ...]
    pcie: list[PcieRow] = field(default_factory=list)
    npus: list[NpusRow] = field(default_factory=list)
    energy: list[EnergyRow] = field(default_factory=list)


def workload_of(entry: CatalogEntry) -> Workload:
    """Training step of a model of the catalog, with its batch and sequence length."""
    return training_workload(entry.config, entry.batch, entry.sequence_length)


def study_model(name: str, entry: CatalogEntry, system: System, beyond: bool) -> ModelStudy:
    """Training steps of one model under all schemes.

    Args:
        name: name in the catalog.
        entry: model.
        system: hardware.
        beyond: also other generations of the link, several NPUs, and energy.
    """
    workload = workload_of(entry)
    steps = {scheme: training_step(workload, system, scheme) for scheme in SCHEMES}
    study = ModelStudy(
        models=[model_row(name, step) for step in steps.values()],
        speedup=SpeedupRow(
            model=name,
            parameters=workload.parameter_elements,
            batch=entry.batch,
            sequence_length=entry.sequence_length,
            speedup=steps["sgx+mgx"].seconds / steps["tensortee"].seconds,
            overhead=steps["tensortee"].seconds / steps["non-secure"].seconds - 1,
            printed_speedup=entry.printed_speedup,
        ),
        not_modelled=workload.unmodelled,
        assumptions=workload.assumptions,
    )
    if beyond:
        _beyond(study, name, workload, system, steps)
    return study


def model_row(name: str, step: Step) -> ModelRow:
    """A step as a row of results."""
    return ModelRow(
        model=name, scheme=step.scheme, seconds_per_step=step.seconds, breakdown=Breakdown(**step.breakdown)
    )


def _beyond(study: ModelStudy, name: str, workload: Workload, system: System, steps: dict[StepScheme, Step]) -> None:
    for generation in PCIE_GENERATIONS:
        link = system.link.model_copy(update={"pcie_generation": generation})
        other = system.model_copy(update={"link": link})
        for scheme in SCHEMES:
            seconds = training_step(workload, other, scheme).seconds
            study.pcie.append(PcieRow(model=name, generation=generation, scheme=scheme, seconds_per_step=seconds))
    for npus in NPUS:
        other = system.model_copy(update={"npus": npus})
        for scheme in SCHEMES:
            seconds = training_step(workload, other, scheme).seconds
            study.npus.append(NpusRow(model=name, npus=npus, scheme=scheme, seconds_per_step=seconds))
    for scheme, step in steps.items():
        energy = step_energy(step, workload, system)
        study.energy += [
            EnergyRow(
                model=name,
                scheme=scheme,
                event=event,
                joules=joules,
                joules_low=energy.joules_low[event],
                joules_high=energy.joules_high[event],
            )
            for event, joules in energy.joules.items()
        ]
