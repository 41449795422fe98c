# SPDX-License-Identifier: Apache-2.0
"""What is to be sealed: one `.safetensors` file, or a sharded checkpoint given by its `.safetensors.index.json`.

The `safetensors` package decides whether a file is valid. This module then reads the header's bytes as they are, so
that opening gives back the same file bit for bit, and takes each tensor's place from them.
"""

from __future__ import annotations

import json
import os
import struct
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from safetensors import SafetensorError, safe_open

from tensortee.checkpoint.errors import SourceError
from tensortee.checkpoint.target import describe
from tensortee.checkpoint.text import printable

INDEX_SUFFIX = ".safetensors.index.json"
# The package's own limit for a header; an index lists the same names.
_MAX_HEADER_BYTES = 100_000_000


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """A tensor as a safetensors header describes it.

    Attributes:
        name: as in the header.
        dtype: the format's name of it, for example "F32" or "BF16".
        shape: dimensions; empty for a scalar.
        begin: offset of its first byte from the start of the file's data section.
        nbytes: its length, zero when a dimension is zero.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    nbytes: int


@dataclass(frozen=True)
class Shard:
    """One safetensors file.

    Attributes:
        path: where it lies.
        header: its first bytes as they are: length (8 bytes, little endian), JSON, padding.
        tensors: in the order of their bytes.
        nbytes: length of the file.
        modified_ns: time of its last change, to notice a change during sealing.
    """

    path: Path
    header: bytes
    tensors: tuple[TensorEntry, ...]
    nbytes: int
    modified_ns: int


@dataclass(frozen=True)
class Source:
    """Everything that one sealed checkpoint holds.

    Attributes:
        shards: one or more files with distinct names and distinct tensor names.
        index_name: file name of the index of a sharded checkpoint, else None.
        index: the index's bytes, empty without one.
    """

    shards: tuple[Shard, ...]
    index_name: str | None
    index: bytes


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Object of a JSON text whose keys must differ: of two equal names, readers may pick different ones."""
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a name occurs twice")
    return result


def parse_header(header: bytes) -> tuple[tuple[TensorEntry, ...], dict[str, str]]:
    """Tensors, in the order of their bytes, and `__metadata__` from the header bytes of a safetensors file.

    Args:
        header: length (8 bytes, little endian), JSON text and padding.

    Raises:
        ValueError: not such a header, or the tensors do not lie end to end.
    """
    content = json.loads(header[8:], object_pairs_hook=_unique)
    metadata = content.pop("__metadata__", None) or {}
    entries = []
    for name, item in content.items():
        begin, end = item["data_offsets"]
        entries.append(TensorEntry(name, item["dtype"], tuple(item["shape"]), begin, end - begin))
    entries.sort(key=lambda entry: (entry.begin, entry.nbytes))
    position = 0
    for entry in entries:
        if entry.begin != position or entry.nbytes < 0:
            raise ValueError(f"tensor {printable(entry.name)} does not follow the one before it")
        position += entry.nbytes
    return tuple(entries), metadata


def _require_file(path: Path) -> None:
    """Refuse what cannot be read twice, without opening it: a pipe would wait for its other end."""
    if path.exists() and not path.is_file():
        raise SourceError(f"{path} is {describe(path)}: give a .safetensors file or an index ending in {INDEX_SUFFIX}")


def _read_shard(path: Path) -> Shard:
    _require_file(path)
    try:
        with safe_open(path, framework="np"):
            pass  # the package checks the whole header against the file's length
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            length = file.read(8)
            header = length + file.read(struct.unpack("<Q", length)[0])
        tensors, _ = parse_header(header)
    except FileNotFoundError:
        raise SourceError(f"{path} does not exist") from None
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}") from None
    except (SafetensorError, ValueError, struct.error) as error:
        raise SourceError(f"{path} is not a valid safetensors file: {printable(str(error))}") from None
    if len(header) + sum(entry.nbytes for entry in tensors) != status.st_size:
        raise SourceError(f"{path} is not a valid safetensors file: its length does not match its header")
    return Shard(path, header, tensors, status.st_size, status.st_mtime_ns)


def _read_index(path: Path) -> tuple[bytes, dict[str, str]]:
    _require_file(path)
    try:
        if path.stat().st_size > _MAX_HEADER_BYTES:
            raise SourceError(f"{path} is longer than {_MAX_HEADER_BYTES} bytes, which no index is")
        content = path.read_bytes()
    except FileNotFoundError:
        raise SourceError(f"{path} does not exist") from None
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}") from None
    try:
        weight_map = json.loads(content, object_pairs_hook=_unique)["weight_map"]
        names = {str(tensor): str(file) for tensor, file in weight_map.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SourceError(
            f"{path} is not an index of a sharded checkpoint, a JSON object with a weight_map: {printable(str(error))}"
        ) from None
    for file in names.values():
        if not is_plain_name(file):
            raise SourceError(f"{path} names the shard {printable(file)}: a shard must lie beside its index")
    if not names:
        raise SourceError(f"{path} lists no tensor")
    return content, names


def is_plain_name(name: str) -> bool:
    """True for a file name that cannot lead out of its directory."""
    return bool(name) and name not in (".", "..") and "\0" not in name and PurePosixPath(name).name == name


def read_source(path: str | os.PathLike[str]) -> Source:
    """Read and check the headers of everything that is to be sealed; no tensor data is read.

    Args:
        path: a `.safetensors` file of any name, or an index whose name ends in `.safetensors.index.json`.

    Raises:
        SourceError: a file is missing or invalid, or an index and its shards disagree.
    """
    path = Path(path)
    if not path.name.endswith(INDEX_SUFFIX):
        return Source((_read_shard(path),), None, b"")
    index, weight_map = _read_index(path)
    shards = tuple(_read_shard(path.parent / name) for name in sorted(set(weight_map.values())))
    held: dict[str, str] = {}
    for shard in shards:
        for entry in shard.tensors:
            if entry.name in held:
                raise SourceError(
                    f"tensor {printable(entry.name)} lies in {held[entry.name]} and in {shard.path.name}: "
                    "the shards belong to different checkpoints"
                )
            held[entry.name] = shard.path.name
    for name in weight_map.keys() | held.keys():
        if weight_map.get(name) != held.get(name):
            raise SourceError(
                f"{path} places tensor {printable(name)} in {weight_map.get(name)}, "
                f"but it lies in {held.get(name)}: index and shards do not belong together"
            )
    return Source(shards, path.name, index)
