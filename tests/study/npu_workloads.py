# SPDX-License-Identifier: Apache-2.0
"""A layer of a transformer as operators, random operators and a made-up scheme, for the tests of the NPU."""

from __future__ import annotations

from hypothesis import strategies as st
from tensortee.study.hardware import Npu
from tensortee.study.npu.accesses import Access
from tensortee.study.npu.protection import Cost, Protection
from tensortee.study.workload.operators import Gather, Gemm, Operator, Pass, Stream

HIDDEN, HEADS, SEQUENCE, BATCH = 1024, 16, 512, 22


def layer() -> list[Operator]:
    """Forward pass of one layer of GPT2-M with unfused attention: bound by memory on the NPU of the paper."""
    tokens = BATCH * SEQUENCE
    scores = BATCH * HEADS * SEQUENCE * SEQUENCE * 2
    products = BATCH * HEADS
    return [
        Gather("embedding", rows=tokens, row_bytes=2 * HIDDEN, table_bytes=50257 * 2 * HIDDEN),
        Gemm("qkv", tokens, 3 * HIDDEN, HIDDEN, weight_operand=True),
        Gemm("scores", SEQUENCE, SEQUENCE, HIDDEN // HEADS, count=products),
        Stream("softmax", 2 * scores, 2 * scores, 2, 2),
        Gemm("context", SEQUENCE, HIDDEN // HEADS, SEQUENCE, count=products),
        Gemm("projection", tokens, HIDDEN, HIDDEN, weight_operand=True),
        Gemm("up", tokens, 4 * HIDDEN, HIDDEN, weight_operand=True),
        Stream("activation", tokens * 8 * HIDDEN, tokens * 8 * HIDDEN),
        Gemm("down", tokens, HIDDEN, 4 * HIDDEN, weight_operand=True),
        Stream("residual", tokens * 4 * HIDDEN, tokens * 2 * HIDDEN, 2, 1),
    ]


def step() -> list[Pass]:
    """A pass with every operator of the layer, repeated, forward and backward."""
    return [Pass("forward", tuple(layer()), 3), Pass("backward", tuple(layer() + layer()), 3)]


SIZES = st.integers(1, 3000)
GEMMS = st.builds(
    Gemm,
    name=st.just("gemm"),
    m=SIZES,
    n=SIZES,
    k=SIZES,
    count=st.integers(1, 3),
    weight_operand=st.booleans(),
)
STREAMS = st.builds(
    Stream,
    name=st.just("stream"),
    read_bytes=st.integers(0, 1 << 26),
    write_bytes=st.integers(0, 1 << 26),
    read_tensors=st.integers(1, 3),
    written_tensors=st.integers(1, 3),
)
GATHERS = st.builds(
    Gather,
    name=st.just("gather"),
    rows=st.integers(1, 5000),
    row_bytes=st.integers(1, 5000),
    table_bytes=st.just(1 << 24),
)
OPERATORS = st.lists(GEMMS | STREAMS | GATHERS, min_size=1, max_size=4)


class ConstantCost(Protection):
    """A user's scheme, in which every access costs the same."""

    def __init__(self, cost: Cost) -> None:
        self._cost = cost

    def cost(self, access: Access, npu: Npu, tensors: int) -> Cost:  # noqa: ARG002
        """The cost that was given."""
        return self._cost

    def storage_share(self, npu: Npu) -> float:  # noqa: ARG002
        """A half."""
        return 0.5
