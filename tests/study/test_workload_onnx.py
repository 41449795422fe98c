# SPDX-License-Identifier: Apache-2.0
"""ONNX files: each kind of operator against its closed form, and nothing dropped without a word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper
from tensortee.study.workload.errors import WorkloadError
from tensortee.study.workload.onnx_import import load_workload
from tensortee.study.workload.operators import Gather, Gemm, Parameter, Stream, Workload

Shape = Sequence[int | str | None]


def save(
    folder: Path,
    nodes: list[Any],
    inputs: dict[str, Shape],
    outputs: list[str],
    weights: Mapping[str, Sequence[int]] | None = None,
    *,
    kinds: dict[str, int] | None = None,
    **options: Any,
) -> Path:
    """Write a model; `kinds` are the types of inputs and weights that are not fp32."""
    kinds = kinds or {}
    tensors = []
    for name, shape in (weights or {}).items():
        tensor = TensorProto(name=name, data_type=kinds.get(name, TensorProto.FLOAT), dims=shape)
        # As in a file with external data: the shape is there, the values are elsewhere.
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="weights.bin")
        tensors.append(tensor)
    graph = helper.make_graph(
        nodes,
        "net",
        [
            helper.make_tensor_value_info(name, kinds.get(name, TensorProto.FLOAT), shape)
            for name, shape in inputs.items()
        ],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        tensors,
    )
    options.setdefault("opset_imports", [helper.make_opsetid("", 23)])
    file = folder / "net.onnx"
    onnx.save(helper.make_model(graph, **options), file)
    return file


def one(
    folder: Path, node: Any, inputs: dict[str, Shape], weights: Mapping[str, Sequence[int]], **options: Any
) -> Workload:
    return load_workload(save(folder, [node], inputs, list(node.output), weights, **options))


@pytest.mark.parametrize(
    ("node", "inputs", "weights", "expected"),
    [
        pytest.param(
            helper.make_node("MatMul", ["x", "w"], ["y"], "fc"),
            {"x": [2, 3, 8]},
            {"w": [8, 5]},
            Gemm("fc", 6, 5, 8, weight_operand=True),
            id="weight",
        ),
        pytest.param(
            helper.make_node("MatMul", ["x", "w"], ["y"], "mm"),
            {"x": [2, 4, 3, 8], "w": [4, 8, 5]},
            {},
            Gemm("mm", 3, 5, 8, count=8),
            id="batched",
        ),
        pytest.param(
            helper.make_node("MatMul", ["x", "w"], ["y"], "mm"),
            {"x": [8], "w": [8]},
            {},
            Gemm("mm", 1, 1, 8),
            id="vectors",
        ),
        pytest.param(
            helper.make_node("Gemm", ["x", "w", "b"], ["y"], "fc", transA=1, transB=1),
            {"x": [8, 6]},
            {"w": [5, 8], "b": [5]},
            Gemm("fc", 6, 5, 8, weight_operand=True),
            id="gemm",
        ),
        pytest.param(
            helper.make_node("Conv", ["x", "w"], ["y"], "conv", pads=[1, 1, 1, 1], strides=[2, 2]),
            {"x": [2, 3, 8, 8]},
            {"w": [16, 3, 3, 3]},
            Gemm("conv", 2 * 4 * 4, 16, 27, weight_operand=True),
            id="conv",
        ),
        pytest.param(
            helper.make_node("Conv", ["x", "w"], ["y"], "conv", group=4),
            {"x": [1, 4, 6, 6]},
            {"w": [8, 1, 3, 3]},
            Gemm("conv", 16, 2, 9, count=4),
            id="groups",
        ),
        pytest.param(
            helper.make_node("ConvTranspose", ["x", "w"], ["y"], "up", strides=[2, 2]),
            {"x": [1, 4, 6, 6]},
            {"w": [4, 8, 2, 2]},
            Gemm("up", 36, 32, 4, weight_operand=True),
            id="transposed",
        ),
    ],
)
def test_products(
    tmp_path: Path, node: Any, inputs: dict[str, Shape], weights: dict[str, Sequence[int]], expected: Gemm
) -> None:
    workload = one(tmp_path, node, inputs, weights)
    assert workload.passes[0].operators == (expected,)
    assert workload.parameters == tuple(Parameter(name, tuple(shape)) for name, shape in weights.items())
    assert workload.unmodelled == ()


@pytest.mark.parametrize(
    ("inputs", "attributes"),
    [
        ({"q": [2, 8, 5, 16], "k": [2, 4, 7, 16], "v": [2, 4, 7, 24]}, {}),
        ({"q": [2, 5, 128], "k": [2, 7, 64], "v": [2, 7, 96]}, {"q_num_heads": 8, "kv_num_heads": 4}),
    ],
    ids=["heads apart", "heads merged"],
)
def test_attention(tmp_path: Path, inputs: dict[str, Shape], attributes: dict[str, int]) -> None:
    node = helper.make_node("Attention", ["q", "k", "v"], ["y"], "a", **attributes)
    nbytes = 2 * 8 * 5 * 7 * 2
    assert one(tmp_path, node, inputs, {}).passes[0].operators == (
        Gemm("a.scores", 10, 7, 16, count=8),
        Stream("a.softmax", nbytes, nbytes),
        Gemm("a.context", 10, 24, 7, count=8),
    )


def test_attention_with_a_cache(tmp_path: Path) -> None:
    node = helper.make_node("Attention", ["q", "k", "v", "", "pk", "pv"], ["y", "nk", "nv"], "a")
    shapes: dict[str, Shape] = {name: [1, 2, 1, 16] for name in "qkv"}
    workload = one(tmp_path, node, {**shapes, "pk": [1, 2, 9, 16], "pv": [1, 2, 9, 16]}, {})
    assert workload.passes[0].operators[0] == Gemm("a.scores", 1, 10, 16, count=2)


def test_a_look_up_reads_rows_and_writes_them(tmp_path: Path) -> None:
    node = helper.make_node("Gather", ["table", "ids"], ["y"], "look")
    workload = one(tmp_path, node, {"ids": [2, 6]}, {"table": [100, 32]}, kinds={"ids": TensorProto.INT64})
    assert workload.passes[0].operators == (Gather("look", 12, 64, 6400), Stream("look.write", 0, 768, 0, 1))
    assert workload.tokens == 12


@pytest.mark.parametrize(
    ("kind", "names", "read", "write"),
    [
        ("Relu", ["x"], 240, 240),
        ("Add", ["x", "b"], 250, 240),
        ("Softmax", ["x"], 240, 240),
        ("LayerNormalization", ["x", "b"], 250, 240),
        ("Transpose", ["x"], 240, 240),
        ("ReduceSum", ["x"], 240, 2),
        ("GlobalAveragePool", ["x"], 240, 48),
    ],
)
def test_streams_read_inputs_and_write_outputs(
    tmp_path: Path, kind: str, names: list[str], read: int, write: int
) -> None:
    options = {"keepdims": 0} if kind == "ReduceSum" else {}
    node = helper.make_node(kind, names, ["y"], "s", **options)
    weights = {"b": [5]} if "b" in names else {}
    (stream,) = one(tmp_path, node, {"x": [4, 6, 5]}, weights).passes[0].operators
    assert stream == Stream("s", read, write, len(names), 1)


def test_types_decide_bytes(tmp_path: Path) -> None:
    node = helper.make_node("DequantizeLinear", ["x", "scale"], ["y"], "s")
    kinds = {"x": TensorProto.INT8}
    (stream,) = one(tmp_path, node, {"x": [64]}, {"scale": []}, kinds=kinds).passes[0].operators
    assert stream == Stream("s", 64 + 2, 128, 2, 1)


def test_nothing_is_dropped_without_a_word(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("Reshape", ["a", "shape"], ["view"]),
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Add", ["s", "s"], ["s2"]),
        helper.make_node("Inverse", ["x"], ["b"], domain="com.microsoft"),
        helper.make_node("Sigmoid", ["b"], ["c"]),
        helper.make_node("Tanh", ["c"], ["d"]),
        helper.make_node("Einsum", ["x", "x"], ["e"], equation="ij,kj->ik"),
        helper.make_node("Det", ["x"], ["f"]),
        helper.make_node("Det", ["x"], ["g"]),
    ]
    domains = [helper.make_opsetid("", 23), helper.make_opsetid("com.microsoft", 1)]
    file = save(
        tmp_path,
        nodes,
        {"x": [4, 4]},
        ["d", "e"],
        {"shape": [1], "scalar": []},
        kinds={"shape": TensorProto.INT64},
        opset_imports=domains,
    )
    workload = load_workload(file)
    assert [operator.name for operator in workload.passes[0].operators] == ["Relu.0"]
    assert workload.parameters == ()
    assert workload.unmodelled == (
        "Add of indices or masks (1 ×)",
        "Det (2 ×)",
        "Einsum (1 ×)",
        "Sigmoid of unknown shape (1 ×)",
        "Tanh of unknown shape (1 ×)",
        "com.microsoft.Inverse (1 ×)",
    )


def test_an_empty_tensor_is_named(tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Relu", ["none"], ["b"])]
    workload = load_workload(save(tmp_path, nodes, {"x": [4], "none": [0, 4]}, ["a", "b"]))
    assert workload.unmodelled == ("Relu of empty tensors (1 ×)",)


def test_functions_of_the_file_are_opened(tmp_path: Path) -> None:
    body = [helper.make_node("MatMul", ["p", "q"], ["r"])]
    opsets = [helper.make_opsetid("", 23), helper.make_opsetid("own", 1)]
    function = helper.make_function("own", "Block", ["p", "q"], ["r"], body, opsets[:1])
    node = helper.make_node("Block", ["x", "w"], ["y"], domain="own")
    file = save(tmp_path, [node], {"x": [4, 8]}, ["y"], {"w": [8, 2]}, functions=[function], opset_imports=opsets)
    (gemm,) = load_workload(file).passes[0].operators
    assert isinstance(gemm, Gemm)
    assert (gemm.m, gemm.n, gemm.k, gemm.weight_operand) == (4, 2, 8, True)


def test_free_dimensions_get_their_sizes(tmp_path: Path) -> None:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"], "fc")]
    file = save(tmp_path, nodes, {"x": ["batch", None, 8]}, ["y"], {"w": [8, 5]})
    workload = load_workload(file, dimensions={"batch": 3, "x.1": 7})
    assert workload.passes[0].operators == (Gemm("fc", 21, 5, 8, weight_operand=True),)
    assert workload.tokens == 3
    assert {"batch = 3", "x.1 = 7"} <= set(workload.assumptions)
    for dimensions, text in (
        ({"batch": 3}, r"net\.onnx: free dimensions without a size: x\.1"),
        ({"batch": 3, "x.1": 7, "length": 1}, r"no free dimension length; there are: batch, x\.1"),
        ({"batch": 0, "x.1": 7}, "dimension batch must be at least 1, not 0"),
    ):
        with pytest.raises(WorkloadError, match=text):
            load_workload(file, dimensions=dimensions)


def test_graphs_without_shapes(tmp_path: Path) -> None:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    with pytest.raises(WorkloadError, match=r"no operator can be modelled; found MatMul of unknown shape \(1 ×\)"):
        load_workload(save(tmp_path, nodes, {"x": [4, 7]}, ["y"], {"w": [8, 5]}))
    other = [helper.make_opsetid("other", 1)]
    with pytest.raises(WorkloadError, match=r"net\.onnx: shapes cannot be inferred: .*No opset import"):
        load_workload(save(tmp_path, nodes, {"x": [4, 8]}, ["y"], {"w": [8, 5]}, opset_imports=other))


def test_files_that_are_not_models(tmp_path: Path) -> None:
    file = tmp_path / "net.onnx"
    for content in (b"no model", b""):
        file.write_bytes(content)
        with pytest.raises(WorkloadError, match="not an ONNX file"):
            load_workload(file)
    with pytest.raises(WorkloadError, match=r"no operator can be modelled; found Det \(1 ×\)"):
        load_workload(save(tmp_path, [helper.make_node("Det", ["x"], ["y"])], {"x": [4, 4]}, ["y"]))
    with pytest.raises(FileNotFoundError):
        load_workload(tmp_path / "missing.onnx")
