# SPDX-License-Identifier: Apache-2.0
"""Operators: the vocabulary in which every workload is described to the NPU and to the schedule.

A workload is a list of passes; a pass is a list of operators in the order of their execution, perhaps repeated. Three
kinds of operators are enough for transformers: products of matrices, streams bound by memory, and look-ups of rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Phase = Literal["forward", "backward", "prefill", "decode"]
"""Part of a step: training has forward and backward, generation has prefill and decode."""


@dataclass(frozen=True, slots=True)
class Gemm:
    """Products C = A B of matrices, m x k by k x n.

    Attributes:
        name: what is computed, e.g. "attention.scores".
        m: rows of A and C.
        n: columns of B and C.
        k: columns of A, rows of B.
        count: independent products of this size, e.g. batch x heads.
        input_bytes: bytes of an element of A and of B.
        output_bytes: bytes of an element of C.
        weight_operand: B is a weight: in DRAM once, the same for all `count` products of a model without experts.
    """

    name: str
    m: int
    n: int
    k: int
    count: int = 1
    input_bytes: int = 2
    output_bytes: int = 2
    weight_operand: bool = False

    def __post_init__(self) -> None:
        """Refuse sizes that no matrix has.

        Raises:
            ValueError: a size is below 1.
        """
        if min(self.m, self.n, self.k, self.count, self.input_bytes, self.output_bytes) < 1:
            raise ValueError(f"{self.name}: sizes of a GEMM must be at least 1: {self}")

    @property
    def macs(self) -> int:
        """Multiply-accumulate operations of all products."""
        return self.count * self.m * self.n * self.k

    @property
    def flops(self) -> int:
        """Floating-point operations: two for each multiply-accumulate."""
        return 2 * self.macs


@dataclass(frozen=True, slots=True)
class Stream:
    """Operator bound by memory: it reads and writes whole tensors once (element-wise, norm, softmax, copy, ...).

    Attributes:
        name: what is computed.
        read_bytes: bytes read from DRAM.
        write_bytes: bytes written to DRAM.
        read_tensors: tensors that are read.
        written_tensors: tensors that are written.
        macs: multiply-accumulate operations of a fused kernel that keeps its products on the chip (attention).
    """

    name: str
    read_bytes: float
    write_bytes: float
    read_tensors: int = 1
    written_tensors: int = 1
    macs: int = 0

    def __post_init__(self) -> None:
        """Refuse negative sizes.

        Raises:
            ValueError: a size is negative.
        """
        if min(self.read_bytes, self.write_bytes, self.read_tensors, self.written_tensors, self.macs) < 0:
            raise ValueError(f"{self.name}: sizes of a stream must not be negative: {self}")


@dataclass(frozen=True, slots=True)
class Gather:
    """Rows of a table whose indices are data: embedding look-up, routing of tokens to experts.

    Attributes:
        name: what is looked up.
        rows: rows that are read.
        row_bytes: bytes of a row.
        table_bytes: bytes of the table.
    """

    name: str
    rows: int
    row_bytes: int
    table_bytes: int

    def __post_init__(self) -> None:
        """Refuse sizes that no table has.

        Raises:
            ValueError: a size is below 1.
        """
        if min(self.rows, self.row_bytes, self.table_bytes) < 1:
            raise ValueError(f"{self.name}: sizes of a gather must be at least 1: {self}")


Operator = Gemm | Stream | Gather


@dataclass(frozen=True, slots=True)
class Pass:
    """Operators in the order of their execution.

    Attributes:
        phase: part of the step.
        operators: the operators.
        repeat: how often the pass is executed, e.g. the number of equal layers.
    """

    phase: Phase
    operators: tuple[Operator, ...]
    repeat: int = 1

    def __post_init__(self) -> None:
        """Refuse an empty repetition.

        Raises:
            ValueError: `repeat` is below 1.
        """
        if self.repeat < 1:
            raise ValueError(f"a pass must be executed at least once, not {self.repeat} times")


@dataclass(frozen=True, slots=True)
class Parameter:
    """A trained tensor.

    Attributes:
        name: name in the model.
        shape: its dimensions; () for a scalar.
    """

    name: str
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Workload:
    """What is executed for one step of training, or to answer one batch of prompts.

    Attributes:
        name: name of the model.
        passes: in the order of execution.
        parameters: trained tensors, in the order of the forward pass.
        unmodelled: operators that cost time in reality and are not in `passes`, by name.
        tokens: tokens that the step processes (for inference: prompt and generated).
        assumptions: choices that the model or the paper leaves open.
    """

    name: str
    passes: tuple[Pass, ...]
    parameters: tuple[Parameter, ...]
    unmodelled: tuple[str, ...]
    tokens: int
    assumptions: tuple[str, ...]

    @property
    def parameter_elements(self) -> int:
        """Elements of all parameters."""
        return sum(parameter.elements for parameter in self.parameters)

    @property
    def flops(self) -> int:
        """Floating-point operations of all products, two for each multiply-accumulate."""
        return sum(
            2 * part.repeat * sum(operator.macs for operator in part.operators if not isinstance(operator, Gather))
            for part in self.passes
        )
