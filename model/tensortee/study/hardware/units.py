# SPDX-License-Identifier: Apache-2.0
"""Numbers with a unit and an origin: how the study says of each input where it comes from.

Every hardware parameter is a pydantic field made by `parameter`, so the schema of a configuration file, its checks and
the table of inputs in the report have one source.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Origin(StrEnum):
    """Where a number comes from.

    A *quoted* number is printed in the source that is named. A *measured* one was measured by this project, on the RTL.
    A *modelled* one is an assumption or a derivation of this project. A *calibrated* one was chosen once, for all
    models together, so that a printed figure is met: it is an input, and that figure is not a prediction.
    """

    QUOTED = "quoted"
    MEASURED = "measured"
    MODELLED = "modelled"
    CALIBRATED = "calibrated"


PAPER = "TensorTEE (ASPLOS 2024), evaluation set-up"


def parameter(default: Any, unit: str, origin: Origin, source: str, text: str, **constraints: Any) -> Any:
    """Field of a hardware model.

    Args:
        default: value unless the user gives one.
        unit: unit, e.g. "bytes/s"; "1" for a pure number.
        origin: where the default comes from.
        source: publication, standard, file of this project, or the reason for an assumption.
        text: what the parameter is, one sentence.
        **constraints: limits that pydantic checks (`gt`, `ge`, `le`, ...).
    """
    return Field(
        default,
        description=text,
        json_schema_extra={"unit": unit, "origin": origin.value, "source": source},
        **constraints,
    )


class Parameters(BaseModel):
    """Base of all hardware models: immutable, and strict about names."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class ParameterRow:
    """One line of the table of inputs.

    Attributes:
        name: dotted path, e.g. "cpu.dram.channels".
        value: value in use.
        unit: its unit.
        origin: where the default comes from.
        source: source of the default.
        text: what it is.
        changed: whether the value in use differs from the default.
    """

    name: str
    value: Any
    unit: str
    origin: Origin
    source: str
    text: str
    changed: bool


def parameter_rows(parameters: Parameters, prefix: str = "") -> Iterator[ParameterRow]:
    """All parameters of a model and of the models inside it, in the order of their definition.

    Raises:
        TypeError: a field was not made by `parameter`.
    """
    for name, field in type(parameters).model_fields.items():
        value = getattr(parameters, name)
        if isinstance(value, Parameters):
            yield from parameter_rows(value, f"{prefix}{name}.")
            continue
        extra = field.json_schema_extra
        if not isinstance(extra, dict):
            raise TypeError(f"field {prefix}{name} has no unit and no origin: make it with parameter()")
        yield ParameterRow(
            name=prefix + name,
            value=value,
            unit=str(extra["unit"]),
            origin=Origin(str(extra["origin"])),
            source=str(extra["source"]),
            text=field.description or "",
            changed=value != field.default,
        )
