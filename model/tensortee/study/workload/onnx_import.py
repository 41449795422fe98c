# SPDX-License-Identifier: Apache-2.0
"""Workload from an ONNX file: one forward pass of any network.

Products of matrices, convolutions and attention become GEMMs, look-ups become gathers, and what moves whole tensors
becomes a stream. Views cost nothing. Everything else, and every operator whose shapes cannot be inferred, is named in
`unmodelled` with its count. Weights are read as shapes only, so a file with external data needs just its graph.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import onnx.inliner
import onnx.shape_inference

from tensortee.study.workload.errors import WorkloadError
from tensortee.study.workload.layers import HALF_BYTES
from tensortee.study.workload.operators import Gather, Gemm, Operator, Parameter, Pass, Stream, Workload


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


VIEWS = _names("Constant Dropout Flatten Identity Reshape Shape Size Squeeze Unsqueeze")
"""Operators that move no data: a new shape of the same tensor, a constant, dropout in inference."""

STREAMS = _names(
    # element-wise
    "Abs Add And BitShift Cast CastLike Ceil Celu Clip Cos CumSum DequantizeLinear Div Elu Equal Erf Exp Floor "
    "Gelu Greater GreaterOrEqual HardSigmoid HardSwish IsInf IsNaN LeakyRelu Less LessOrEqual Log Max Mean Min "
    "Mish Mod Mul Neg Not Or PRelu Pow QuantizeLinear Reciprocal Relu Round Selu Sigmoid Sign Sin Softplus "
    "Softsign Sqrt Sub Sum Swish Tan Tanh ThresholdedRelu Trilu Where Xor RotaryEmbedding "
    # norms, softmax, reductions, pools
    "BatchNormalization GroupNormalization Hardmax InstanceNormalization LRN LayerNormalization LogSoftmax "
    "LpNormalization MeanVarianceNormalization RMSNormalization SimplifiedLayerNormalization Softmax "
    "ArgMax ArgMin AveragePool GlobalAveragePool GlobalMaxPool LpPool MaxPool ReduceL1 ReduceL2 ReduceLogSum "
    "ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare TopK "
    # copies
    "Concat ConstantOfShape DepthToSpace Expand Pad Resize Slice SpaceToDepth Split Tile Transpose Upsample"
)
"""Operators that read their inputs and write their outputs once."""


@dataclass(frozen=True, slots=True)
class _Tensor:
    """Shape and kind of a value.

    Attributes:
        shape: dimensions, all known.
        element_bytes: bytes of an element on the NPU: floating-point numbers are fp16 there.
        index: whether the elements are truth values, or integers of more than 8 bits: masks and indices.
    """

    shape: tuple[int, ...]
    element_bytes: int
    index: bool

    @property
    def nbytes(self) -> int:
        """Bytes of the tensor."""
        return math.prod(self.shape) * self.element_bytes


def load_workload(path: str | os.PathLike[str], dimensions: Mapping[str, int] | None = None) -> Workload:
    """Read an ONNX file as one forward pass.

    Args:
        path: ONNX file.
        dimensions: sizes of the free dimensions by name, e.g. {"batch": 1}; a dimension without a name is called by
            its input and axis, e.g. "pixels.0".

    Raises:
        WorkloadError: the file is not ONNX, a free dimension has no size, a given one is not in the file, or no
            operator can be modelled.
        OSError: the file cannot be read.
    """
    file = Path(path)
    model = _load(file)
    _fix_dimensions(file, model, dict(dimensions or {}))
    graph = _Graph(file, model)
    operators = tuple(graph.operators())
    if not operators:
        raise WorkloadError(f"{file}: no operator can be modelled; found {', '.join(graph.unmodelled()) or 'none'}")
    return Workload(
        name=file.stem,
        passes=(Pass("forward", operators),),
        parameters=graph.parameters(),
        unmodelled=graph.unmodelled(),
        tokens=graph.tokens(),
        assumptions=(
            *(f"{name} = {size}" for name, size in (dimensions or {}).items()),
            "floating-point tensors are fp16 on the NPU, whatever the file says; 8-bit integers stay",
            "each operator of the file is one kernel; views cost nothing, transposes are copies",
            "convolutions are products over unfolded inputs (im2col), whose bytes count as read",
        ),
    )


def _load(file: Path) -> Any:
    try:
        model = onnx.load(os.fspath(file), load_external_data=False)
    except OSError:
        raise
    except Exception as error:  # protobuf's and ONNX's own errors have no common base
        raise WorkloadError(f"{file}: not an ONNX file: {error}") from error
    if not model.graph.node:
        raise WorkloadError(f"{file}: not an ONNX file, or a graph without operators")
    return onnx.inliner.inline_local_functions(model) if model.functions else model


def _fix_dimensions(file: Path, model: Any, dimensions: dict[str, int]) -> None:
    """Give the free dimensions of the inputs their sizes, and forget shapes that depend on them."""
    weights = {tensor.name for tensor in model.graph.initializer}
    free: dict[str, list[Any]] = {}
    for value in model.graph.input:
        if value.name in weights or not value.type.HasField("tensor_type"):
            continue
        for axis, dimension in enumerate(value.type.tensor_type.shape.dim):
            if not dimension.HasField("dim_value"):
                free.setdefault(dimension.dim_param or f"{value.name}.{axis}", []).append(dimension)
    if missing := sorted(set(free) - set(dimensions)):
        raise WorkloadError(f"{file}: free dimensions without a size: {', '.join(missing)}")
    if unknown := sorted(set(dimensions) - set(free)):
        known = ", ".join(sorted(free)) or "none"
        raise WorkloadError(f"{file}: no free dimension {', '.join(unknown)}; there are: {known}")
    for name, places in free.items():
        if dimensions[name] < 1:
            raise WorkloadError(f"{file}: dimension {name} must be at least 1, not {dimensions[name]}")
        for place in places:
            place.dim_value = dimensions[name]
    del model.graph.value_info[:]
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")


class _Graph:
    """A graph with all shapes that can be inferred."""

    def __init__(self, file: Path, model: Any) -> None:
        try:
            inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
        except Exception as error:  # ONNX's own errors have no common base
            raise WorkloadError(f"{file}: shapes cannot be inferred: {error}") from error
        self._graph = inferred.graph
        self._weights = {tensor.name: tensor for tensor in self._graph.initializer}
        self._tensors = {name: _tensor(tuple(tensor.dims), tensor.data_type) for name, tensor in self._weights.items()}
        for value in (*self._graph.input, *self._graph.value_info, *self._graph.output):
            if (known := _known(value)) is not None:
                self._tensors.setdefault(value.name, known)
        for node in self._graph.node:
            if node.op_type == "Constant":
                for attribute in node.attribute:
                    if attribute.name == "value":
                        self._tensors[node.output[0]] = _tensor(tuple(attribute.t.dims), attribute.t.data_type)
        self._unmodelled: Counter[str] = Counter()

    def operators(self) -> Iterator[Operator]:
        """Operators in the order of the file; counts those that are not modelled."""
        makers: dict[str, Callable[[str, Any], Iterator[Operator]]] = {
            "MatMul": self._matmul,
            "Gemm": self._gemm,
            "Conv": self._conv,
            "ConvTranspose": self._conv_transpose,
            "Attention": self._attention,
            "Gather": self._gather,
        }
        for index, node in enumerate(self._graph.node):
            kind = node.op_type
            standard = node.domain in ("", "ai.onnx")
            if standard and kind in VIEWS:
                continue
            if not standard or not (kind in makers or kind in STREAMS):
                self._unmodelled[f"{node.domain}.{kind}" if node.domain else kind] += 1
            elif not self._is_known(node):
                self._unmodelled[f"{kind} of unknown shape"] += 1
            elif all(self._tensors[name].index for name in node.output if name):
                self._unmodelled[f"{kind} of indices or masks"] += 1
            elif not all(self._tensors[name].nbytes for name in (*node.input[:2], *node.output) if name):
                self._unmodelled[f"{kind} of empty tensors"] += 1
            else:
                yield from makers.get(kind, self._stream)(node.name or f"{kind}.{index}", node)

    def unmodelled(self) -> tuple[str, ...]:
        """Kinds of operators that are not modelled, with their counts."""
        return tuple(f"{kind} ({count} ×)" for kind, count in sorted(self._unmodelled.items()))

    def parameters(self) -> tuple[Parameter, ...]:
        """Initializers that are not indices or single constants."""
        return tuple(
            Parameter(name, self._tensors[name].shape)
            for name in self._weights
            if self._tensors[name].shape and not self._tensors[name].index
        )

    def tokens(self) -> int:
        """Elements of the first input of indices (token numbers), otherwise the first dimension of the first input."""
        inputs = [
            self._tensors[v.name] for v in self._graph.input if v.name in self._tensors and v.name not in self._weights
        ]
        for tensor in inputs:
            if tensor.index:
                return max(1, math.prod(tensor.shape))
        return max(1, inputs[0].shape[0]) if inputs and inputs[0].shape else 1

    def _is_known(self, node: Any) -> bool:
        return all(name in self._tensors for name in (*node.input, *node.output) if name)

    def _inputs(self, node: Any) -> list[_Tensor]:
        return [self._tensors[name] for name in node.input if name]

    def _shape(self, name: str) -> tuple[int, ...]:
        return self._tensors[name].shape

    def _product(self, name: str, node: Any, m: int, n: int, k: int, count: int = 1, *, weight: bool) -> Gemm:
        first, output = self._tensors[node.input[0]], self._tensors[node.output[0]]
        return Gemm(name, m, n, k, count, first.element_bytes, output.element_bytes, weight)

    def _matmul(self, name: str, node: Any) -> Iterator[Operator]:
        left, right = self._shape(node.input[0]), self._shape(node.input[1])
        left = left if len(left) > 1 else (1, *left)
        right = right if len(right) > 1 else (*right, 1)
        weight = node.input[1] in self._weights and len(right) == 2
        rows = math.prod(left[:-1])
        if len(right) == 2:
            yield self._product(name, node, rows, right[1], left[-1], weight=weight)
            return
        count = math.prod(self._shape(node.output[0])) // (left[-2] * right[-1])
        yield self._product(name, node, left[-2], right[-1], left[-1], count, weight=False)

    def _gemm(self, name: str, node: Any) -> Iterator[Operator]:
        left = self._shape(node.input[0])
        m, n = self._shape(node.output[0])
        k = left[0] if _integer(node, "transA", 0) else left[1]
        yield self._product(name, node, m, n, k, weight=node.input[1] in self._weights)

    def _conv(self, name: str, node: Any) -> Iterator[Operator]:
        kernel, output = self._shape(node.input[1]), self._shape(node.output[0])
        groups = _integer(node, "group", 1)
        pixels = output[0] * math.prod(output[2:])
        weight = groups == 1 and node.input[1] in self._weights
        yield self._product(name, node, pixels, kernel[0] // groups, math.prod(kernel[1:]), groups, weight=weight)

    def _conv_transpose(self, name: str, node: Any) -> Iterator[Operator]:
        inputs, kernel = self._shape(node.input[0]), self._shape(node.input[1])
        groups = _integer(node, "group", 1)
        pixels = inputs[0] * math.prod(inputs[2:])
        weight = groups == 1 and node.input[1] in self._weights
        yield self._product(name, node, pixels, math.prod(kernel[1:]), kernel[0] // groups, groups, weight=weight)

    def _attention(self, name: str, node: Any) -> Iterator[Operator]:
        """Attention of opset 23: heads are a dimension of their own, or merged with the width."""
        query, key, value = (self._shape(operand) for operand in node.input[:3])
        if len(query) == 4:
            batch, heads, queries, width = query
            kv_heads, keys, value_width = key[1], key[2], value[3]
        else:
            heads, kv_heads = _integer(node, "q_num_heads", 1), _integer(node, "kv_num_heads", 1)
            batch, queries, width = query[0], query[1], query[2] // heads
            keys, value_width = key[1], value[2] // kv_heads
        if len(node.input) > 4 and node.input[4]:
            keys += self._shape(node.input[4])[2]
        rows, products = heads // kv_heads * queries, batch * kv_heads
        nbytes = products * rows * keys * HALF_BYTES
        yield Gemm(name + ".scores", rows, keys, width, products)
        yield Stream(name + ".softmax", nbytes, nbytes)
        yield Gemm(name + ".context", rows, value_width, keys, products)

    def _gather(self, name: str, node: Any) -> Iterator[Operator]:
        table, output = self._tensors[node.input[0]], self._tensors[node.output[0]]
        axis = _integer(node, "axis", 0) % len(table.shape)
        row = math.prod(table.shape[axis + 1 :]) * table.element_bytes
        yield Gather(name, output.nbytes // row, row, table.nbytes)
        yield Stream(name + ".write", 0, output.nbytes, 0, 1)

    def _stream(self, name: str, node: Any) -> Iterator[Operator]:
        read, written = self._inputs(node), [self._tensors[output] for output in node.output if output]
        yield Stream(
            name,
            sum(tensor.nbytes for tensor in read),
            sum(tensor.nbytes for tensor in written),
            len(read),
            len(written),
        )


def _known(value: Any) -> _Tensor | None:
    """Shape of a value if all its dimensions are known."""
    tensor = value.type.tensor_type
    if not value.type.HasField("tensor_type") or not tensor.HasField("shape"):
        return None
    if not all(dimension.HasField("dim_value") for dimension in tensor.shape.dim):
        return None
    return _tensor(tuple(dimension.dim_value for dimension in tensor.shape.dim), tensor.elem_type)


def _tensor(shape: tuple[int, ...], data_type: int) -> _Tensor:
    kinds = onnx.TensorProto
    if data_type in (kinds.INT8, kinds.UINT8):
        return _Tensor(shape, 1, index=False)
    floating = (kinds.FLOAT, kinds.FLOAT16, kinds.BFLOAT16, kinds.DOUBLE)
    if data_type in floating:
        return _Tensor(shape, HALF_BYTES, index=False)
    return _Tensor(shape, 1 if data_type == kinds.BOOL else 8, index=True)


def _integer(node: Any, name: str, default: int) -> int:
    """Integer attribute of an operator."""
    return next((int(attribute.i) for attribute in node.attribute if attribute.name == name), default)
