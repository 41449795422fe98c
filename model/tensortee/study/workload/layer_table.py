# SPDX-License-Identifier: Apache-2.0
"""Workload from a layer table: a CSV file with one operator in each line.

Columns, in any order; a cell that an operator does not need stays empty:

| column | for | meaning |
| --- | --- | --- |
| name | all | name of the operator |
| kind | all | `gemm`, `stream` or `gather` |
| m, n, k | gemm | sizes of the product |
| count | gemm | independent products, default 1 |
| weight | gemm | `yes` if B is a weight (default): it becomes a parameter of k x n elements |
| read_bytes, write_bytes | stream | bytes read and written, default 0 |
| rows, row_bytes, table_bytes | gather | rows that are read, bytes of each, bytes of the table |
| phase | all | `forward` (default), `backward`, `prefill` or `decode` |
| repeat | all | how often the operator is executed, each time with a weight of its own; default 1 |

Lines that start with `#` are comments. Weights of one name are one weight, e.g. in `prefill` and `decode`. Products in
`backward` have no weights of their own.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from pathlib import Path
from typing import get_args

from tensortee.study.workload.errors import WorkloadError
from tensortee.study.workload.layers import HALF_BYTES
from tensortee.study.workload.operators import Gather, Gemm, Operator, Parameter, Pass, Phase, Stream, Workload

COLUMNS = (
    "name",
    "kind",
    "m",
    "n",
    "k",
    "count",
    "weight",
    "read_bytes",
    "write_bytes",
    "rows",
    "row_bytes",
    "table_bytes",
    "phase",
    "repeat",
)


def load_workload(path: str | os.PathLike[str]) -> Workload:
    """Read a layer table.

    Args:
        path: CSV file in UTF-8.

    Raises:
        WorkloadError: a line is wrong; names file, line and column.
        OSError: the file cannot be read.
    """
    file = Path(path)
    passes: list[Pass] = []
    weights: dict[str, Parameter] = {}
    for row in _rows(file):
        part = Pass(row.phase(), (row.operator(),), row.integer("repeat", default=1))
        passes.append(part)
        for weight in _weights(part):
            if weights.setdefault(weight.name, weight) != weight:
                raise row.error("name", f"a weight of this name has the shape {weights[weight.name].shape} above")
    if not passes:
        raise WorkloadError(f"{file}: no operators")
    gemms = [operator for part in passes for operator in part.operators if isinstance(operator, Gemm)]
    tokens = max((gemm.m for gemm in gemms), default=1)
    return Workload(
        name=file.stem,
        passes=tuple(passes),
        parameters=tuple(weights.values()),
        unmodelled=("operators that are not in the layer table",),
        tokens=tokens,
        assumptions=(f"tokens are taken to be the largest m of a GEMM, {tokens}", "tensors are fp16"),
    )


def _weights(part: Pass) -> list[Parameter]:
    """Weights that a pass uses; the backward pass uses those of the forward pass."""
    if part.phase == "backward":
        return []
    return [
        Parameter(f"{operator.name}.{index}", (operator.k, operator.n))
        for operator in part.operators
        if isinstance(operator, Gemm) and operator.weight_operand
        for index in range(part.repeat)
    ]


class _Row:
    """One line of the table, with its place for error texts."""

    def __init__(self, file: Path, line: int, cells: dict[str, str]) -> None:
        self._file, self._line, self._cells = file, line, cells

    def error(self, column: str, reason: str) -> WorkloadError:
        """What is wrong with a cell."""
        return WorkloadError(f"{self._file}: line {self._line}, column {column}: {reason}")

    def text(self, column: str, default: str = "") -> str:
        """Content of a cell without spaces around it."""
        return self._cells.get(column, "").strip() or default

    def integer(self, column: str, *, default: int | None = None, least: int = 1) -> int:
        """Whole number of a cell.

        Raises:
            WorkloadError: the cell is empty and has no default, or is not a number of at least `least`.
        """
        text = self.text(column)
        if not text and default is not None:
            return default
        if not text:
            raise self.error(column, f"a {self.text('kind')} needs a number here")
        try:
            value = int(text)
        except ValueError:
            raise self.error(column, f"must be a whole number, not {text!r}") from None
        if value < least:
            raise self.error(column, f"must be at least {least}, not {value}")
        return value

    def choice(self, column: str, allowed: tuple[str, ...], default: str = "") -> str:
        """Word of a cell.

        Raises:
            WorkloadError: it is not one of `allowed`.
        """
        word = self.text(column, default).lower()
        if word not in allowed:
            raise self.error(column, f"must be {', '.join(allowed[:-1])} or {allowed[-1]}, not {word!r}")
        return word

    def phase(self) -> Phase:
        """Phase of the operator."""
        word = self.choice("phase", get_args(Phase), "forward")
        return next(phase for phase in get_args(Phase) if phase == word)

    def operator(self) -> Operator:
        """Operator of the line."""
        name = self.text("name")
        if not name:
            raise self.error("name", "is empty")
        makers: dict[str, Callable[[str], Operator]] = {
            "gemm": self._gemm,
            "stream": self._stream,
            "gather": self._gather,
        }
        return makers[self.choice("kind", tuple(makers))](name)

    def _gemm(self, name: str) -> Gemm:
        weight = self.choice("weight", ("yes", "no"), "no" if self.phase() == "backward" else "yes") == "yes"
        return Gemm(
            name,
            m=self.integer("m"),
            n=self.integer("n"),
            k=self.integer("k"),
            count=self.integer("count", default=1),
            input_bytes=HALF_BYTES,
            output_bytes=HALF_BYTES,
            weight_operand=weight,
        )

    def _stream(self, name: str) -> Stream:
        read, write = (self.integer(column, default=0, least=0) for column in ("read_bytes", "write_bytes"))
        if not read + write:
            raise self.error("read_bytes", "a stream must read or write something")
        return Stream(name, read, write, int(read > 0), int(write > 0))

    def _gather(self, name: str) -> Gather:
        return Gather(
            name,
            rows=self.integer("rows"),
            row_bytes=self.integer("row_bytes"),
            table_bytes=self.integer("table_bytes"),
        )


def _rows(file: Path) -> list[_Row]:
    """Lines of the table with their numbers in the file."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise WorkloadError(f"{file}: not a text file in UTF-8: {error}") from error
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip() and line[:1] != "#"]
    if not lines:
        raise WorkloadError(f"{file}: is empty; the first line must name the columns: {', '.join(COLUMNS)}")
    table = [(number, next(csv.reader([line]))) for number, line in lines]
    first, names = table[0]
    header = [cell.strip().lower() for cell in names]
    for column in header:
        if column not in COLUMNS:
            raise WorkloadError(f"{file}: line {first}: unknown column {column!r}; there are {', '.join(COLUMNS)}")
    for column in ("name", "kind"):
        if column not in header:
            raise WorkloadError(f"{file}: line {first}: no column {column!r}")
    rows = []
    for number, cells in table[1:]:
        if len(cells) > len(header):
            raise WorkloadError(f"{file}: line {number}: {len(cells)} cells, but {len(header)} columns")
        rows.append(_Row(file, number, dict(zip(header, cells, strict=False))))
    return rows
