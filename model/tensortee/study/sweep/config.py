# SPDX-License-Identifier: Apache-2.0
"""Configuration of a run: workload, mode, schemes and system, from a YAML file.

The schema is `Config`; whatever it refuses is reported with file, line and column. Numbers of the hardware have their
defaults, limits, units and sources in `tensortee.study.hardware`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError

from tensortee.study.hardware import System
from tensortee.study.report.results import InferenceScheme, NpuScheme, SystemScheme
from tensortee.study.sweep.located_yaml import ConfigError, Document, Location, Problem, dotted, load
from tensortee.study.workload import catalog
from tensortee.study.workload.layers import Attention

Mode = Literal["training", "npu-training", "inference"]
SCHEMES: dict[str, tuple[str, ...]] = {
    "training": get_args(SystemScheme),
    "npu-training": get_args(NpuScheme),
    "inference": get_args(InferenceScheme),
}
"""Schemes of each mode; the first is the plain one."""


def nearest(name: str, allowed: Iterable[str]) -> str:
    """Suggestion for a misspelt name, "" if nothing is near."""
    folded = {candidate.lower(): candidate for candidate in allowed}
    found = difflib.get_close_matches(name.lower(), folded, n=1)
    return f"did you mean {folded[found[0]]!r}? " if found else ""


def _in_folder(path: Path, info: ValidationInfo) -> Path:
    """Paths in a file are relative to the file's folder."""
    folder = Path((info.context or {}).get("folder", "."))
    return (folder / path).resolve()


def _is_file(path: Path) -> Path:
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    return path


InputFile = Annotated[Path, AfterValidator(_in_folder), AfterValidator(_is_file)]


def _error_at(location: Location, message: str) -> PydanticCustomError:
    """Error of a model's validator that belongs to one of its fields."""
    return PydanticCustomError("at", "{message}", {"location": location, "message": message})


class Section(BaseModel):
    """Base of the parts of a configuration: immutable, and strict about names."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(Section):
    """Where the workload comes from: exactly one of the four."""

    model: str | None = Field(None, description="Model of the catalogue; `tensortee study models` lists them.")
    huggingface: InputFile | None = Field(None, description="A Hugging Face config.json.")
    onnx: InputFile | None = Field(None, description="An ONNX file.")
    layers: InputFile | None = Field(None, description="A layer table, CSV.")
    dimensions: dict[str, Annotated[int, Field(ge=1)]] = Field(
        {}, description="Sizes of the free dimensions of the ONNX file."
    )

    @field_validator("model")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        if name is None:
            return None
        known = [*catalog.MODELS, *catalog.BEYOND]
        try:
            return catalog.entry(name).config.name
        except KeyError as error:
            raise ValueError(f"unknown model {name!r}; {nearest(name, known)}known: {', '.join(known)}") from error

    @model_validator(mode="after")
    def _one(self) -> Self:
        kinds = ("model", "huggingface", "onnx", "layers")
        given = [kind for kind in kinds if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of {', '.join(kinds)}, not {' and '.join(given) or 'none'}")
        if self.dimensions and self.onnx is None:
            raise ValueError("dimensions belong to an ONNX file")
        return self

    @property
    def is_transformer(self) -> bool:
        """Whether batch and lengths are chosen here; an ONNX file or a layer table fixes them."""
        return self.model is not None or self.huggingface is not None


class Config(Section):
    """One question: a workload on a system under some schemes."""

    workload: Source = Field(description="Where the workload comes from.")
    mode: Mode = Field(
        "training",
        description="training: Adam on the CPU (ZeRO-Offload); npu-training: everything on the NPU; inference.",
    )
    batch: int | None = Field(None, ge=1, description="Sequences. Default: that of the catalogue, else 1.")
    sequence_length: int | None = Field(
        None, ge=1, description="Tokens of a training sequence. Default: that of the catalogue, else 512."
    )
    prompt_length: int | None = Field(None, ge=1, description="Tokens of a prompt (inference). Default: at most 512.")
    generated_tokens: int | None = Field(
        None, ge=0, description="Tokens that a prompt is answered with (inference). Default: 128, encoders 0."
    )
    attention: Attention = Field("unfused", description="unfused: scores of attention go to DRAM; fused: they do not.")
    dropout: bool = Field(False, description="Whether training drops activations, with masks in DRAM.")
    schemes: tuple[str, ...] | None = Field(
        None, min_length=1, description="Schemes to compare. Default: all of the mode; the plain one is always run."
    )
    offloaded_share: float | None = Field(
        None, ge=0, le=1, description="Share of the weights that stays in the CPU's memory (inference). Default: 0."
    )
    threads: int | None = Field(None, ge=1, le=64, description="Threads of the CPU. Default: one for each core.")
    system: System = Field(System(), description="Hardware; what is not given has its default.")

    @model_validator(mode="after")
    def _fits_the_mode(self) -> Self:
        allowed = SCHEMES[self.mode]
        for index, scheme in enumerate(self.schemes or ()):
            if scheme not in allowed:
                raise _error_at(
                    ("schemes", index),
                    f"{scheme!r} is not a scheme of mode {self.mode}; {nearest(scheme, allowed)}"
                    f"allowed: {', '.join(allowed)}",
                )
        lengths = ("prompt_length", "generated_tokens")
        for name in ("sequence_length",) if self.mode == "inference" else (*lengths, "offloaded_share"):
            if getattr(self, name) is not None:
                raise _error_at((name,), f"has no meaning in mode {self.mode}")
        if not self.workload.is_transformer:
            for name in ("batch", "sequence_length", *lengths, "attention", "dropout"):
                if getattr(self, name) != type(self).model_fields[name].default:
                    raise _error_at((name,), "is fixed by the ONNX file or layer table")
        return self

    @property
    def schemes_to_run(self) -> tuple[str, ...]:
        """Schemes with the plain one first, each once."""
        allowed = SCHEMES[self.mode]
        return tuple(dict.fromkeys((allowed[0], *(self.schemes or allowed))))


def load_config(path: Path) -> Config:
    """Read a configuration.

    Args:
        path: YAML file; the paths in it are relative to its folder.

    Raises:
        ConfigError: it is wrong; names file, line and column of every problem.
        OSError: it cannot be read.
    """
    document = load(path)
    try:
        return validated(document.content, path.parent)
    except ValidationError as error:
        raise ConfigError(problems_of(error, document)) from error


def validated(content: dict[str, Any], folder: Path) -> Config:
    """Configuration from keys and values.

    Raises:
        pydantic.ValidationError: it is wrong.
    """
    return Config.model_validate(content, context={"folder": folder})


def problems_of(error: ValidationError, document: Document) -> list[Problem]:
    """What pydantic refused, with the places in the file."""
    found = []
    for details in error.errors():
        location = details["loc"] + tuple(details.get("ctx", {}).get("location", ()))
        found.append(document.problem(location, explain(details, location)))
    return found


def explain(details: ErrorDetails, location: Location) -> str:
    """What is wrong with a key, with the value and what is allowed."""
    name = dotted(location) or "the file"
    match details["type"]:
        case "extra_forbidden":
            allowed = _fields_at(location[:-1])
            return f"{name}: unknown key; {nearest(str(location[-1]), allowed)}allowed: {', '.join(allowed)}"
        case "missing":
            return f"{name}: is missing"
        case "model_type":
            return f"{name}: must hold keys and values, not {details['input']!r}"
        case "at" | "value_error":
            return f"{name}: {details['msg'].removeprefix('Value error, ')}"
        case _:
            message = details["msg"].removeprefix("Input ").replace("tuple", "list")
            return f"{name}: {details['input']!r} {message[0].lower() + message[1:]}{_unit_at(location)}"


def _fields_at(location: Location) -> dict[str, FieldInfo]:
    """Keys that are allowed inside a section; none inside a plain value."""
    section: Any = Config
    for part in location:
        field = getattr(section, "model_fields", {}).get(part)
        section = field.annotation if field else None
    fields: dict[str, FieldInfo] = getattr(section, "model_fields", {})
    return fields


def _unit_at(location: Location) -> str:
    field = _fields_at(location[:-1]).get(str(location[-1])) if location else None
    extra = field.json_schema_extra if field else None
    return f" (unit: {extra['unit']})" if isinstance(extra, dict) and extra["unit"] != "1" else ""
