# SPDX-License-Identifier: Apache-2.0
"""The tensor table: what a sealed checkpoint knows about its tensors, encrypted and authenticated as one message.

Its plaintext is JSON: `{"shards": [{"name", "header", "tensors": [...]}], "index": {"name", "content"} | null}`, where
`header` and `content` are the original bytes in base64 and each tensor is `{"name", "tensor_id", "version", "offset",
"nbytes", "tag"}`, the tag in hexadecimal. Types and shapes stand in `header`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tensortee.checkpoint.errors import CheckpointIntegrityError
from tensortee.checkpoint.layout import (
    DATA_HEADER_BYTES,
    MANIFEST_HEADER_BYTES,
    MAX_TABLE_BYTES,
    TABLE_IV,
    ManifestHeader,
    align,
)
from tensortee.checkpoint.source import TensorEntry, is_plain_name, parse_header
from tensortee.format import TAG_BYTES, make_tensor_id

# Each sealed checkpoint has its own key, so every tensor in it is sealed once, as the first version, by one owner.
CHECKPOINT_VERSION = 1
_OWNER = 0


@dataclass(frozen=True, slots=True)
class TensorRecord:
    """A sealed tensor.

    Attributes:
        entry: name, type, shape and place in the plaintext file.
        tensor_id: 28-bit number in the IV, different for every tensor of the checkpoint.
        version: version number in the IV.
        offset: of the first ciphertext byte in the data file, a multiple of 64.
        tag: 16 bytes; empty for a tensor without elements, which is no message.
    """

    entry: TensorEntry
    tensor_id: int
    version: int
    offset: int
    tag: bytes

    def with_tag(self, tag: bytes) -> TensorRecord:
        """The same tensor, sealed."""
        return TensorRecord(self.entry, self.tensor_id, self.version, self.offset, tag)

    @property
    def end(self) -> int:
        """Offset after the last ciphertext byte."""
        return self.offset + self.entry.nbytes


@dataclass(frozen=True)
class ShardTable:
    """A sealed safetensors file: its name, its header's bytes, its tensors in the order of their bytes."""

    name: str
    header: bytes
    records: tuple[TensorRecord, ...]

    @property
    def plain_bytes(self) -> int:
        """Length of the safetensors file."""
        return len(self.header) + sum(record.entry.nbytes for record in self.records)

    @property
    def data_bytes(self) -> int:
        """Length of the data file."""
        return align(self.records[-1].end) if self.records else DATA_HEADER_BYTES


@dataclass(frozen=True)
class Table:
    """All shards, and the index's name and bytes for a sharded checkpoint."""

    shards: tuple[ShardTable, ...]
    index_name: str | None
    index: bytes


def place(name: str, header: bytes, entries: Sequence[TensorEntry], first_counter: int) -> ShardTable:
    """Give each tensor its id and the next free multiple of 64 in the data file; the tags are still empty."""
    records = []
    offset = DATA_HEADER_BYTES
    for counter, entry in enumerate(entries, first_counter):
        tensor_id = make_tensor_id(_OWNER, counter)
        records.append(TensorRecord(entry, tensor_id, CHECKPOINT_VERSION, offset, b""))
        offset = align(offset + entry.nbytes)
    return ShardTable(name, header, tuple(records))


def encode_table(table: Table) -> bytes:
    """Plaintext of the table."""
    shards = [
        {
            "name": shard.name,
            "header": base64.b64encode(shard.header).decode("ascii"),
            "tensors": [
                {
                    "name": record.entry.name,
                    "tensor_id": record.tensor_id,
                    "version": record.version,
                    "offset": record.offset,
                    "nbytes": record.entry.nbytes,
                    "tag": record.tag.hex(),
                }
                for record in shard.records
            ],
        }
        for shard in table.shards
    ]
    index = None
    if table.index_name is not None:
        index = {"name": table.index_name, "content": base64.b64encode(table.index).decode("ascii")}
    return json.dumps({"shards": shards, "index": index}, separators=(",", ":")).encode("ascii")


def _decode_shard(content: dict[str, Any], first_counter: int) -> ShardTable:
    header = base64.b64decode(content["header"], validate=True)
    entries, _ = parse_header(header)
    placed = place(content["name"], header, entries, first_counter)
    if len(content["tensors"]) != len(entries):
        raise ValueError("a tensor is missing")
    records = []
    for expected, found in zip(placed.records, content["tensors"], strict=True):
        record = expected.with_tag(bytes.fromhex(found["tag"]))
        entry = record.entry
        if (found["name"], found["tensor_id"], found["version"], found["offset"], found["nbytes"]) != (
            entry.name,
            record.tensor_id,
            record.version,
            record.offset,
            entry.nbytes,
        ):
            raise ValueError("a tensor is out of place")
        if len(record.tag) != (TAG_BYTES if entry.nbytes else 0):
            raise ValueError("a tag has the wrong length")
        records.append(record)
    return replace(placed, records=tuple(records))


def decode_table(plaintext: bytes) -> Table:
    """The table from its plaintext.

    Raises:
        ValueError: not a table of this format. Whoever holds the key wrote it so; it is not a sign of tampering.
    """
    try:
        content = json.loads(plaintext)
        shards: list[ShardTable] = []
        counter = 1
        for item in content["shards"]:
            shards.append(_decode_shard(item, counter))
            counter += len(shards[-1].records)
        index = content["index"]
        names = [shard.name for shard in shards] + ([index["name"]] if index else [])
        if len(set(names)) != len(names) or not all(is_plain_name(name) for name in names) or not shards:
            raise ValueError("file names are not distinct plain names")
        if len({record.entry.name for shard in shards for record in shard.records}) != counter - 1:
            raise ValueError("a tensor name occurs twice")
        return Table(
            tuple(shards),
            index["name"] if index else None,
            base64.b64decode(index["content"], validate=True) if index else b"",
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{type(error).__name__} in the table") from None


def seal_table(plaintext: bytes, header: ManifestHeader, key: bytes) -> bytes:
    """The whole manifest: header, encrypted table, tag.

    Raises:
        ValueError: the table is longer than the format allows.
    """
    if len(plaintext) > MAX_TABLE_BYTES:
        raise ValueError(f"the tensor table has {len(plaintext)} bytes, more than {MAX_TABLE_BYTES}")
    packed = header.pack()
    return packed + AESGCM(key).encrypt(TABLE_IV, plaintext, packed)


def open_table(manifest: bytes, key: bytes, name: str) -> bytes:
    """Plaintext of the table of a manifest whose key check has passed.

    Raises:
        CheckpointIntegrityError: header, table or tag was changed.
    """
    packed = manifest[:MANIFEST_HEADER_BYTES]
    try:
        return AESGCM(key).decrypt(TABLE_IV, manifest[MANIFEST_HEADER_BYTES:], packed)
    except InvalidTag:
        raise CheckpointIntegrityError(f"{name} is not authentic: the tensor table or its header was changed") from None
