# SPDX-License-Identifier: Apache-2.0
"""Results of the study: what `results.json` holds, checked when it is made, written and read.

Every number is a field made by `number` or `share`, with its unit and what it is; `units_of` turns them into the table
that goes into the file beside the values. A number without another origin is *modelled*; what another publication
prints is in fields whose name begins with `printed`, and *quoted*.

Lengths of time are in seconds, sizes in bytes, energies in joule. `overhead` is time over that of the plain run, minus
one; `speedup` is the time of the compared scheme over that of TensorTEE.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
import typing
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tensortee.study.hardware import System
from tensortee.study.hardware.engine_costs import MEASURED_FILE, EngineCosts, engine_costs
from tensortee.study.hardware.units import Origin, parameter_rows

SystemScheme = Literal["non-secure", "sgx+mgx", "tensortee"]
CpuScheme = Literal["none", "sgx", "softvn", "tenanalyzer"]
NpuScheme = Literal["none", "mac", "mgx", "tnpu", "seda", "tensor-stall", "tensor-delayed"]
InferenceScheme = Literal["non-secure", "mgx", "tensor-delayed", "bounce"]
TransferScheme = Literal["plain", "staging", "direct", "bounce"]

SUM_TOLERANCE = 1e-6
"""Relative difference between a total and the sum of its parts that is still rounding."""


class ResultError(ValueError):
    """A file of results cannot be read, or does not have the form of results."""


def number(unit: str, text: str, *, default: Any = ..., origin: Origin = Origin.MODELLED, **limits: Any) -> Any:
    """Field of a result: a number with its unit.

    Args:
        unit: e.g. "s", "bytes", "1" for a pure number.
        text: what it is.
        default: value unless one is given; without it the field is required.
        origin: where the number comes from.
        **limits: limits that pydantic checks (`ge`, `le`, ...).
    """
    return Field(default, description=text, json_schema_extra={"unit": unit, "origin": origin.value}, **limits)


def share(text: str, *, default: Any = ...) -> Any:
    """Field of a result: a share between 0 and 1."""
    return number("1", text, default=default, ge=0, le=1)


def printed(unit: str, text: str) -> Any:
    """Field of a result: what a publication prints, None where it prints nothing."""
    return number(unit, text, default=None, origin=Origin.QUOTED)


class Result(BaseModel):
    """Base of all results: immutable, strict about names, no infinities and no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Breakdown(Result):
    """Exposed time of the parts of a training step; they add up to the step."""

    npu: float = number("s", "Forward and backward pass.", ge=0)
    cpu: float = number("s", "Adam on the CPU.", ge=0)
    comm_weights: float = number("s", "Conversion and transfer of the weights, exposed.", ge=0)
    comm_gradients: float = number("s", "Transfer of the gradients, exposed.", ge=0)

    @property
    def seconds(self) -> float:
        """Sum of the parts, seconds."""
        return self.npu + self.cpu + self.comm_weights + self.comm_gradients


class ModelRow(Result):
    """Training step of one model under one scheme."""

    model: str
    scheme: SystemScheme
    seconds_per_step: float = number("s", "Time of a training step.", gt=0)
    breakdown: Breakdown

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if not math.isclose(self.seconds_per_step, self.breakdown.seconds, rel_tol=SUM_TOLERANCE):
            raise ValueError(
                f"{self.model}, {self.scheme}: parts of {self.breakdown.seconds!r} s are not a step of "
                f"{self.seconds_per_step!r} s"
            )
        return self


class PrintedBreakdownRow(Result):
    """Shares of a training step that the paper prints; rounded, so they may add up to 0.99 or 1.01."""

    model: str
    scheme: SystemScheme
    npu: float = number("1", "Share of the NPU.", origin=Origin.QUOTED, ge=0, le=1)
    cpu: float = number("1", "Share of the CPU.", origin=Origin.QUOTED, ge=0, le=1)
    comm_weights: float = number("1", "Share of the weights' transfer.", origin=Origin.QUOTED, ge=0, le=1)
    comm_gradients: float = number("1", "Share of the gradients' transfer.", origin=Origin.QUOTED, ge=0, le=1)


class SpeedupRow(Result):
    """What the rows of one model say: TensorTEE against the other two schemes."""

    model: str
    parameters: int = number("1", "Parameters of the model.", ge=1)
    batch: int = number("1", "Sequences in a step.", ge=1)
    sequence_length: int = number("tokens", "Length of a sequence.", ge=1)
    speedup: float = number("1", "Time of SGX+MGX over time of TensorTEE.", gt=0)
    overhead: float = number("1", "Time of TensorTEE over the non-secure time, minus 1.")
    printed_speedup: float | None = printed("1", "Speed-up that the paper prints.")


class AdamRow(Result):
    """One iteration of Adam on the CPU under one scheme."""

    threads: int = number("1", "Threads.", ge=1)
    iteration: int = number("1", "Iteration, from 1.", ge=1)
    scheme: CpuScheme
    time_over_non_secure: float = number("1", "Time over the non-secure time.", gt=0)
    hit_in: float | None = share("Share of read look-ups inside an entry of the Meta Table.", default=None)
    hit_all: float | None = share("Share of read look-ups inside or at the end of an entry.", default=None)
    printed_time_over_non_secure: float | None = printed("1", "Time over non-secure that the paper prints.")


class NpuMacRow(Result):
    """Cost of the NPU's integrity at one granularity of MACs; no granularity is a MAC for each tensor."""

    granularity_bytes: int | None = number("bytes", "Data under one MAC; None: a tensor.", ge=1)
    scheme: NpuScheme
    overhead: float = number("1", "Time over no protection, minus 1.", ge=0)
    storage_overhead: float = number("1", "MACs in DRAM over data.", ge=0)
    printed_overhead: float | None = printed("1", "Overhead that the paper prints.")
    printed_storage_overhead: float | None = printed("1", "Storage that the paper prints.")


class TransferRow(Result):
    """Gradients of one step from the NPU to the CPU."""

    scheme: TransferScheme
    nbytes: int = number("bytes", "Gradients.", ge=0)
    seconds: float = number("s", "Time from first to last byte.", ge=0)
    exposed_seconds: float = number("s", "Part of it that the backward pass does not hide.", ge=0)
    stages: dict[str, float] = number("s", "Time of each stage.", default={})


class TransferResults(Result):
    """Transfer of the gradients: staging with re-encryption against the direct transfer."""

    gradient_speedup: float = number("1", "Time of staging over time of the direct transfer.", gt=0)
    exposed_gradient_speedup: float | None = number(
        "1", "The same of the exposed times; None if nothing is exposed.", default=None, gt=0
    )
    model: str = ""
    rows: list[TransferRow] = []


class GemmResults(Result):
    """Tiled matrix product on the CPU under TenAnalyzer."""

    hit_in: float = share("Share of read look-ups inside an entry, in the product after the first.")
    first_hit_in: float | None = share("The same in the first product.", default=None)
    n: int = number("1", "Rows and columns of the matrices.", default=256, ge=1)
    tile: int = number("1", "Rows and columns of a tile.", default=64, ge=1)
    printed_hit_in: float | None = printed("1", "Hit rate that the paper prints.")


class ComparisonRow(Result):
    """A printed number and ours. A calibration met it by choice of an input, a prediction did not see it."""

    quantity: str
    unit: str
    printed: float = number("as unit says", "Number that the paper prints.", origin=Origin.QUOTED)
    ours: float = number("as unit says", "Our number.")
    error: float | None = number("1", "Ours over printed, minus 1; None if the printed number is 0.")
    kind: Literal["prediction", "calibration"]
    note: str = ""
    headline: bool = False

    @classmethod
    def of(
        cls,
        quantity: str,
        unit: str,
        printed: float,
        ours: float,
        kind: Literal["prediction", "calibration"] = "prediction",
        note: str = "",
        *,
        headline: bool = False,
    ) -> Self:
        """Row with its error computed."""
        error = ours / printed - 1 if printed else None
        return cls(
            quantity=quantity,
            unit=unit,
            printed=printed,
            ours=ours,
            error=error,
            kind=kind,
            note=note,
            headline=headline,
        )


class InferenceRow(Result):
    """Prefill of a prompt, or decoding of one token for each sequence of the batch."""

    model: str
    phase: Literal["prefill", "decode"]
    batch: int = number("1", "Sequences.", ge=1)
    prompt_length: int = number("tokens", "Length of a prompt.", ge=1)
    placement: Literal["resident", "offloaded"] = "resident"
    scheme: InferenceScheme
    seconds: float = number("s", "Time of the prefill, or of one token for all sequences.", gt=0)
    overhead: float = number("1", "Time over the non-secure time, minus 1.")


class PcieRow(Result):
    """Training step against the generation of the link."""

    model: str
    generation: int = number("1", "PCIe generation.", ge=3)
    scheme: SystemScheme
    seconds_per_step: float = number("s", "Time of a training step.", gt=0)


class NpusRow(Result):
    """Training step against the number of NPUs."""

    model: str
    npus: int = number("1", "NPUs, data parallel.", ge=1)
    scheme: SystemScheme
    seconds_per_step: float = number("s", "Time of a training step.", gt=0)


class TensorsLimitRow(Result):
    """Adam against the number of live tensors, around the capacity of the Meta Table."""

    tensors: int = number("1", "Live tensors.", ge=1)
    time_over_non_secure: float = number("1", "Time of TenAnalyzer over the non-secure time.", gt=0)
    hit_in: float = share("Share of read look-ups inside an entry.")


class EnergyRow(Result):
    """Energy of one kind of event in a training step."""

    model: str
    scheme: SystemScheme
    event: str
    joules: float = number("J", "Energy of a step.", ge=0)
    joules_low: float = number("J", "The same with the lowest quoted energies per event.", ge=0)
    joules_high: float = number("J", "The same with the highest quoted energies per event.", ge=0)


class OnChipRow(Result):
    """Size of one on-chip structure."""

    item: str
    value: float = number("as unit says", "Size.")
    unit: str
    origin: Origin
    source: str = ""
    printed: float | None = printed("as unit says", "Size that the paper prints.")


class TornadoRow(Result):
    """What a conclusion becomes when one input goes to the ends of its range."""

    conclusion: str
    unit: str = "1"
    parameter: str
    low: float = number("as the input", "Low end of the input.")
    base: float = number("as the input", "Input in use.")
    high: float = number("as the input", "High end of the input.")
    result_low: float = number("as unit says", "Conclusion at the low end.")
    result_base: float = number("as unit says", "Conclusion with the input in use.")
    result_high: float = number("as unit says", "Conclusion at the high end.")


class InputRow(Result):
    """One input of the study."""

    name: str
    value: int | float | str
    unit: str
    origin: Origin
    source: str
    text: str
    changed: bool = False


class Quantity(Result):
    """A number that belongs to one run only, with its unit and origin."""

    value: float
    unit: str
    origin: Origin = Origin.MODELLED
    text: str = ""


class SchemeRow(Result):
    """A workload under one scheme: its time, the parts that add up to it, and whatever else is known."""

    scheme: str
    seconds: float = number("s", "Time of the step, pass or request.", gt=0)
    parts: dict[str, float] = number("s", "Exposed time of the parts; they add up.")
    overhead: float | None = number("1", "Time over that of the first scheme without protection, minus 1.")
    details: dict[str, Quantity] = {}

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if not math.isclose(self.seconds, sum(self.parts.values()), rel_tol=SUM_TOLERANCE):
            raise ValueError(f"{self.scheme}: parts {self.parts!r} are not {self.seconds!r} s")
        return self


class RunResults(Result):
    """Answer to a user's own question: one workload on one system."""

    kind: Literal["run"] = "run"
    workload: str
    mode: Literal["training", "npu-training", "inference"]
    tokens: int = number("tokens", "Tokens of the step or request.", ge=0)
    parameters: int = number("1", "Parameters of the workload.", ge=0)
    rows: list[SchemeRow]
    not_modelled: list[str] = []
    assumptions: list[str] = []
    inputs: list[InputRow] = []


class SweepPoint(Result):
    """One point of a sweep: what was varied, and the answer or the reason why there is none."""

    parameters: dict[str, Any]
    key: str
    result: RunResults | None = None
    error: str | None = None


class SweepResults(Result):
    """All points of a sweep, in the order of the sweep's file."""

    kind: Literal["sweep"] = "sweep"
    points: list[SweepPoint]


class PaperResults(Result):
    """The paper's evaluation and what lies beyond it: `build/study/results.json`."""

    kind: Literal["paper"] = "paper"
    models: list[ModelRow]
    speedups: list[SpeedupRow]
    adam: list[AdamRow]
    npu_mac: list[NpuMacRow]
    transfer: TransferResults
    gemm: GemmResults
    comparisons: list[ComparisonRow]
    printed_breakdown: list[PrintedBreakdownRow] = []
    inference: list[InferenceRow] = []
    moe: list[ModelRow] = []
    pcie: list[PcieRow] = []
    npus: list[NpusRow] = []
    tensors_limit: list[TensorsLimitRow] = []
    energy: list[EnergyRow] = []
    on_chip: list[OnChipRow] = []
    tornado: list[TornadoRow] = []
    not_modelled: list[str]
    inputs: list[InputRow]


Results = PaperResults | RunResults | SweepResults
AnyResults = TypeVar("AnyResults", PaperResults, RunResults, SweepResults)

_ENGINE_UNITS = {"bits": "bits", "beats_per_cycle": "beats/cycle", "lines_per_cycle": "lines/cycle", "cycles": "cycles"}


def input_rows(system: System) -> list[InputRow]:
    """All inputs of a system: its parameters, and the measured figures of the engine that it uses."""
    rows = [
        InputRow(
            name=row.name,
            value=row.value,
            unit=row.unit,
            origin=row.origin,
            source=row.source,
            text=row.text,
            changed=row.changed,
        )
        for row in parameter_rows(system)
    ]
    costs = engine_costs(system.npu.engine_data_bits)
    for field in fields(EngineCosts):
        unit = next(unit for ending, unit in _ENGINE_UNITS.items() if field.name.endswith(ending))
        rows.append(
            InputRow(
                name=f"engine.{field.name}",
                value=getattr(costs, field.name),
                unit=unit,
                origin=Origin.MEASURED,
                source=f"RTL, {MEASURED_FILE}",
                text=f"Engine: {field.name.replace('_', ' ')}.",
            )
        )
    return rows


def _models_in(annotation: Any) -> Iterator[type[Result]]:
    """Result classes that an annotation mentions."""
    if isinstance(annotation, type) and issubclass(annotation, Result):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _models_in(argument)


def units_of(model: type[Result], prefix: str = "") -> dict[str, dict[str, str]]:
    """Unit, origin and meaning of each number of a result: dotted path without indices -> the three."""
    table: dict[str, dict[str, str]] = {}
    for name, field in model.model_fields.items():
        extra = field.json_schema_extra
        if isinstance(extra, dict):
            table[prefix + name] = {
                "unit": str(extra["unit"]),
                "origin": str(extra["origin"]),
                "text": field.description or "",
            }
        for inner in _models_in(field.annotation):
            table |= units_of(inner, f"{prefix}{name}.")
    return table


def to_json(results: Results) -> str:
    """Text of `results.json`: the results, and the units of their numbers under "units"."""
    content = type(results).model_validate(results.model_dump()).model_dump(mode="json")
    return json.dumps({**content, "units": units_of(type(results))}, indent=2, ensure_ascii=False) + "\n"


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all; its folder is made if it is missing.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_results(path: Path, results: Results) -> None:
    """Check results and write them as JSON, whole or not at all.

    Raises:
        pydantic.ValidationError: they do not have the form of results.
        OSError: the file cannot be written.
    """
    write_text(path, to_json(results))


def read_results(path: Path, kind: type[AnyResults]) -> AnyResults:
    """Read what `write_results` wrote.

    Raises:
        ResultError: the file is not JSON, or not of this kind.
        OSError: the file cannot be read.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict):
            content.pop("units", None)
        return kind.model_validate(content)
    except (UnicodeDecodeError, json.JSONDecodeError, ValidationError) as error:
        raise ResultError(f"{path}: not a file of {kind.__name__}: {error}") from error
