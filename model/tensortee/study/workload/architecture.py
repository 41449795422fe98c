# SPDX-License-Identifier: Apache-2.0
"""Architecture of a transformer: its dimensions, and the tensors that follow from them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tensortee.study.workload.operators import Parameter


class TransformerConfig(BaseModel):
    """Dimensions and variants of a transformer; tensors are described by their sizes, values do not matter.

    Raises:
        ValueError: sizes do not fit each other, or a name is unknown (pydantic's ValidationError).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="Name of the model.")
    layers: int = Field(ge=1, description="Layers.")
    hidden: int = Field(ge=1, description="Width of a token's state.")
    heads: int = Field(ge=1, description="Heads of queries.")
    kv_heads: int = Field(default=0, ge=1, description="Heads of keys and values; by default as many as `heads`.")
    head_dim: int = Field(default=0, ge=1, description="Width of a head; by default hidden / heads.")
    intermediate: int = Field(ge=1, description="Width between the two projections of the feed-forward network.")
    vocabulary: int = Field(ge=1, description="Tokens that exist.")
    max_positions: int = Field(ge=1, description="Rows of the position table; longest sequence of other encodings.")

    decoder: bool = Field(default=True, description="Causal decoder; otherwise an encoder.")
    position: Literal["learned", "sinusoidal", "rotary", "alibi", "none"] = Field(
        default="learned", description="Encoding of positions; only learned ones are parameters."
    )
    reserved_positions: int = Field(default=0, ge=0, description="Rows of the position table that no token uses.")
    token_types: int = Field(default=0, ge=0, description="Rows of the table of token types.")
    gated: bool = Field(default=False, description="Feed-forward network with a gate (SwiGLU, GeGLU).")
    norm: Literal["layernorm", "rmsnorm"] = Field(default="layernorm", description="Norm; layernorm has a bias.")
    norms_per_layer: int = Field(default=2, ge=1, le=4, description="Norms of the hidden state in a layer.")
    embedding_norm: bool = Field(default=False, description="Norm behind the embedding.")
    final_norm: bool = Field(default=True, description="Norm behind the last layer.")
    head_norm: bool = Field(default=False, description="Norm of each head of queries and keys.")
    parallel: bool = Field(default=False, description="Attention and feed-forward network side by side.")
    fused_qkv: bool = Field(default=False, description="One tensor for the projections of queries, keys and values.")
    qkv_bias: bool = Field(default=True, description="Biases of queries, keys and values.")
    projection_bias: bool = Field(default=True, description="Bias of the projection behind attention.")
    ffn_bias: bool = Field(default=True, description="Biases of the feed-forward network.")
    tied: bool = Field(default=True, description="The head uses the embedding table.")
    head_bias: bool = Field(default=False, description="Bias of the head.")
    head_transform: bool = Field(default=False, description="Dense layer, activation and norm before the head (BERT).")
    window: int | None = Field(default=None, ge=1, description="Positions that a token attends to; None: all.")

    experts: int = Field(default=0, ge=0, description="Experts of a layer; 0: an ordinary feed-forward network.")
    experts_per_token: int = Field(default=0, ge=0, description="Experts that a token is sent to.")
    expert_intermediate: int = Field(default=0, ge=0, description="Width of an expert; by default `intermediate`.")
    shared_intermediate: int = Field(default=0, ge=0, description="Width of all shared experts together.")
    shared_gate: bool = Field(default=False, description="The shared experts' output is gated for each token.")
    dense_layers: int = Field(default=0, ge=0, description="First layers that have no experts.")

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, data: Any) -> Any:
        """Derive sizes that were not given."""
        if not isinstance(data, dict):
            return data
        filled = {name: value for name, value in data.items() if value is not None or name == "window"}
        heads, hidden = filled.get("heads"), filled.get("hidden")
        filled.setdefault("kv_heads", heads)
        if "head_dim" not in filled and isinstance(heads, int) and isinstance(hidden, int) and heads > 0:
            if hidden % heads:
                raise ValueError(f"hidden = {hidden} is not a multiple of heads = {heads}: give head_dim")
            filled["head_dim"] = hidden // heads
        if filled.get("experts"):
            filled.setdefault("expert_intermediate", filled.get("intermediate"))
        return filled

    @model_validator(mode="after")
    def _fit(self) -> TransformerConfig:
        """Check that the sizes fit each other."""
        if self.heads % self.kv_heads:
            raise ValueError(f"heads = {self.heads} is not a multiple of kv_heads = {self.kv_heads}")
        if not (self.experts_per_token <= self.experts and bool(self.experts) == bool(self.experts_per_token)):
            raise ValueError(f"a token cannot be sent to {self.experts_per_token} of {self.experts} experts")
        if self.dense_layers > self.layers:
            raise ValueError(f"dense_layers = {self.dense_layers} exceeds layers = {self.layers}")
        if not self.decoder and self.window is not None:
            raise ValueError("a window is modelled for decoders only")
        return self

    @property
    def query_width(self) -> int:
        """Width of all heads of queries."""
        return self.heads * self.head_dim

    @property
    def kv_width(self) -> int:
        """Width of all heads of keys, or of values."""
        return self.kv_heads * self.head_dim

    @property
    def qkv(self) -> tuple[tuple[str, int], ...]:
        """Projections before attention: name and width of each weight tensor."""
        if self.fused_qkv:
            return (("qkv", self.query_width + 2 * self.kv_width),)
        return (("query", self.query_width), ("key", self.kv_width), ("value", self.kv_width))

    @property
    def layer_groups(self) -> tuple[tuple[int, bool], ...]:
        """Runs of equal layers: their number, and whether they have experts."""
        if not self.experts:
            return ((self.layers, False),)
        groups = ((self.dense_layers, False), (self.layers - self.dense_layers, True))
        return tuple(group for group in groups if group[0])


def parameters(config: TransformerConfig) -> tuple[Parameter, ...]:
    """All trained tensors in the order of the forward pass; a tied head has none of its own."""
    found = list(_embedding(config))
    first = 0
    for count, experts in config.layer_groups:
        for layer in range(first, first + count):
            found += layer_parameters(config, experts=experts, prefix=f"layers.{layer}.")
        first += count
    found += _head(config)
    return tuple(found)


def layer_parameters(config: TransformerConfig, *, experts: bool, prefix: str = "") -> list[Parameter]:
    """Tensors of one layer.

    Args:
        config: architecture.
        experts: whether the layer has experts (if the model has any).
        prefix: start of the names.
    """
    hidden = config.hidden
    attention = prefix + "attention."
    found: list[Parameter] = []
    for index in range(config.norms_per_layer):
        found += _norm(config, f"{prefix}norm{index}", hidden)
    for name, width in config.qkv:
        found += _linear(attention + name, hidden, width, bias=config.qkv_bias)
    if config.head_norm:
        found += [Parameter(f"{attention}{name}_norm.weight", (config.head_dim,)) for name in ("query", "key")]
    found += _linear(attention + "projection", config.query_width, hidden, bias=config.projection_bias)
    if not experts:
        found += _ffn(config, prefix + "ffn.", config.intermediate)
        return found
    found += _linear(prefix + "router", hidden, config.experts, bias=False)
    for expert in range(config.experts):
        found += _ffn(config, f"{prefix}experts.{expert}.", config.expert_intermediate)
    if config.shared_intermediate:
        found += _ffn(config, prefix + "shared.", config.shared_intermediate)
    if config.shared_gate:
        found += _linear(prefix + "shared_gate", hidden, 1, bias=False)
    return found


def _linear(name: str, inputs: int, outputs: int, *, bias: bool) -> list[Parameter]:
    weight = Parameter(name + ".weight", (inputs, outputs))
    return [weight, Parameter(name + ".bias", (outputs,))] if bias else [weight]


def _norm(config: TransformerConfig, name: str, width: int) -> list[Parameter]:
    weight = Parameter(name + ".weight", (width,))
    return [weight, Parameter(name + ".bias", (width,))] if config.norm == "layernorm" else [weight]


def _ffn(config: TransformerConfig, prefix: str, width: int) -> Iterator[Parameter]:
    for name in ("gate", "up") if config.gated else ("up",):
        yield from _linear(prefix + name, config.hidden, width, bias=config.ffn_bias)
    yield from _linear(prefix + "down", width, config.hidden, bias=config.ffn_bias)


def _embedding(config: TransformerConfig) -> Iterator[Parameter]:
    yield Parameter("embedding.tokens", (config.vocabulary, config.hidden))
    if config.position == "learned":
        yield Parameter("embedding.positions", (config.max_positions + config.reserved_positions, config.hidden))
    if config.token_types:
        yield Parameter("embedding.types", (config.token_types, config.hidden))
    if config.embedding_norm:
        yield from _norm(config, "embedding.norm", config.hidden)


def _head(config: TransformerConfig) -> Iterator[Parameter]:
    if config.final_norm:
        yield from _norm(config, "final_norm", config.hidden)
    if config.head_transform:
        yield from _linear("head.transform", config.hidden, config.hidden, bias=True)
        yield from _norm(config, "head.norm", config.hidden)
    if not config.tied:
        yield Parameter("head.weight", (config.hidden, config.vocabulary))
    if config.head_bias:
        yield Parameter("head.bias", (config.vocabulary,))
