# SPDX-License-Identifier: Apache-2.0
"""Training step of a network of which only the forward pass is known (ONNX file, layer table).

Every product C = A B has the gradients dA = dC B^T and dB = A^T dC. A stream reads its inputs again with the gradient
of its output, and writes the gradients of its inputs. A look-up adds the rows of its gradient to those of the table.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tensortee.study.workload.layers import cast_to_single
from tensortee.study.workload.operators import Gather, Gemm, Operator, Pass, Stream, Workload


def with_backward(workload: Workload, *, offload: bool = True) -> Workload:
    """The workload with a backward pass, if it has none.

    Args:
        workload: one forward pass.
        offload: convert the gradients to fp32, as ZeRO-Offload sends them to the CPU.

    Raises:
        ValueError: the workload generates tokens, so it is not trained.
    """
    phases = {part.phase for part in workload.passes}
    if not phases <= {"forward", "backward"}:
        raise ValueError(f"{workload.name} has passes of {', '.join(sorted(phases))}: only a forward pass is trained")
    if "backward" in phases:
        return workload
    passes = list(workload.passes)
    for part in reversed(workload.passes):
        operators = tuple(gradient for operator in reversed(part.operators) for gradient in _gradients(operator))
        passes.append(Pass("backward", operators, part.repeat))
    if offload and workload.parameters:
        cast = cast_to_single(workload.parameter_elements, len(workload.parameters))
        passes.append(Pass("backward", (cast,)))
    return replace(
        workload,
        passes=tuple(passes),
        unmodelled=(*workload.unmodelled, "loss"),
        assumptions=(
            *workload.assumptions,
            "backward pass derived: two products for each product; a stream reads inputs and output's gradient",
        ),
    )


def _gradients(operator: Operator) -> Iterator[Operator]:
    match operator:
        case Gemm(name=name, m=m, n=n, k=k):
            yield replace(operator, name=name + ".dx", n=k, k=n)
            yield replace(operator, name=name + ".dw", m=k, k=m, n=n, weight_operand=False)
        case Stream(read_bytes=read, write_bytes=write) if read:
            yield Stream(
                operator.name + ".gradient",
                read + write,
                read,
                operator.read_tensors + operator.written_tensors,
                operator.read_tensors,
                macs=2 * operator.macs,
            )
        case Stream():
            # Output of a look-up: its gradient is read.
            yield Stream(operator.name + ".gradient", operator.write_bytes, 0, operator.written_tensors, 0)
        case Gather(rows=rows, row_bytes=row):
            yield replace(operator, name=operator.name + ".gradient")
            yield Stream(operator.name + ".gradient.write", 0, rows * row, 0, 1)
