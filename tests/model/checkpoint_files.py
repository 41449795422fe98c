# SPDX-License-Identifier: Apache-2.0
"""Files for the checkpoint tests: safetensors files written from the format's description, and ways to damage them."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path

TEST_KEY_128 = bytes(range(16))
TEST_KEY_256 = bytes(range(100, 132))

# Bits of one element, from the safetensors format description.
DTYPE_BITS = {
    "BOOL": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "U8": 8,
    "I8": 8,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "F8_E8M0": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "C64": 64,
    "F64": 64,
    "I64": 64,
    "U64": 64,
}

Tensors = Mapping[str, tuple[str, Sequence[int]]]


def safetensors_bytes(tensors: Tensors, metadata: Mapping[str, str] | None = None, seed: int = 0) -> bytes:
    """A safetensors file with random contents; tensors are given as name to (dtype, shape)."""
    header: dict[str, object] = {} if metadata is None else {"__metadata__": metadata}
    data = b""
    for name, (dtype, shape) in tensors.items():
        content = random.Random(f"{seed} {name}").randbytes(prod(shape) * DTYPE_BITS[dtype] // 8)
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data


def write_model(path: Path, tensors: Tensors, metadata: Mapping[str, str] | None = None, seed: int = 0) -> Path:
    """Write such a file."""
    path.write_bytes(safetensors_bytes(tensors, metadata, seed))
    return path


def write_sharded(directory: Path, seed: int = 0) -> Path:
    """Write a checkpoint of three shards; returns its index."""
    directory.mkdir()
    shards = {
        f"model-{i + 1:05d}-of-00003.safetensors": {f"layer.{i}.{n}": ("F32", (i + 2, 8 * n)) for n in range(1, 5)}
        for i in range(3)
    }
    for name, tensors in shards.items():
        write_model(directory / name, tensors, {"format": "pt"}, seed)
    index = directory / "model.safetensors.index.json"
    weight_map = {tensor: name for name, tensors in shards.items() for tensor in tensors}
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map}, indent=2))
    return index


def flip(path: Path, offset: int, bit: int = 0) -> None:
    """Flip one bit of a file."""
    with path.open("r+b") as file:
        file.seek(offset)
        value = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([value ^ (1 << bit)]))


def copy(source: Path, target: Path) -> Path:
    """A copy of a sealed checkpoint, to be damaged."""
    shutil.copytree(source, target)
    return target
