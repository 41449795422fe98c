# SPDX-License-Identifier: Apache-2.0
"""Byte layout of a sealed checkpoint, version 1 (docs/checkpoints.md). All integers are big endian.

A sealed checkpoint is a directory with one manifest and one data file for each safetensors file:

* `checkpoint.ttee`: a public header of 128 bytes, then the tensor table as one AES-GCM message under the table key
  (IV zero, because that key makes one message only; AAD = the 128 header bytes), then its tag of 16 bytes.
* `data-00000.ttee`, ...: a public header of 4096 bytes, then the ciphertext of each tensor at the next multiple of 64
  bytes, with zeros between. Loaded into DRAM as it is, every tensor is line aligned.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from tensortee.checkpoint.errors import CheckpointIntegrityError, FormatError
from tensortee.format import KEY_LENGTHS, LINE_BYTES

MANIFEST_NAME = "checkpoint.ttee"
FORMAT_VERSION = 1
SALT_BYTES = 32
TABLE_IV = bytes(12)
MANIFEST_HEADER_BYTES = 128
DATA_HEADER_BYTES = 4096
# A table is read into memory as a whole; a thousand times the largest published checkpoint fits.
MAX_TABLE_BYTES = 1 << 30

# Bytes that a transfer in text mode or a 7-bit channel would change, as in PNG (ISO/IEC 15948).
_MANIFEST_MAGIC = b"\x89TTEE\r\n\x1a"
_DATA_MAGIC = b"\x89TTED\r\n\x1a"
_MANIFEST = struct.Struct(">8sHHIQQ32s32s32x")  # magic, format, key bytes, files, table bytes, data bytes, salt, check
_DATA = struct.Struct(">8sHHI32s")  # magic, format, zero, index of the file, salt


def data_file_name(index: int) -> str:
    """Name of the data file of shard `index`."""
    return f"data-{index:05d}.ttee"


def align(offset: int) -> int:
    """The next line border at or after `offset`."""
    return -(-offset // LINE_BYTES) * LINE_BYTES


@dataclass(frozen=True)
class ManifestHeader:
    """The public part of the manifest.

    Attributes:
        key_bytes: length of the user's key and of the tensor key, 16 or 32.
        files: number of data files.
        table_bytes: length of the encrypted table without its tag.
        data_bytes: length of all data files together.
        salt: 32 random bytes, different for every sealed checkpoint.
        key_check: 32 bytes that commit to the user's key.
    """

    key_bytes: int
    files: int
    table_bytes: int
    data_bytes: int
    salt: bytes
    key_check: bytes

    def pack(self) -> bytes:
        """The 128 header bytes."""
        return _MANIFEST.pack(
            _MANIFEST_MAGIC,
            FORMAT_VERSION,
            self.key_bytes,
            self.files,
            self.table_bytes,
            self.data_bytes,
            self.salt,
            self.key_check,
        )

    @classmethod
    def unpack(cls, content: bytes, name: str) -> ManifestHeader:
        """Header from the first 128 bytes of a manifest.

        Raises:
            FormatError: of another format version.
            CheckpointIntegrityError: not a manifest, or one that is cut short or has impossible values.
        """
        if content[:8] != _MANIFEST_MAGIC:
            raise CheckpointIntegrityError(
                f"{name} is damaged: it is not the manifest of a sealed checkpoint (it begins with other bytes)"
            )
        if len(content) < MANIFEST_HEADER_BYTES:
            raise CheckpointIntegrityError(f"{name} is truncated: {len(content)} bytes, not even a header")
        _, version, key_bytes, files, table_bytes, data_bytes, salt, check = _MANIFEST.unpack_from(content)
        if version != FORMAT_VERSION:
            raise FormatError(
                f"{name} has format version {version}, this program knows version {FORMAT_VERSION}: "
                "use the program that sealed it, or the file is damaged"
            )
        header = cls(key_bytes, files, table_bytes, data_bytes, salt, check)
        if header.pack() != content[:MANIFEST_HEADER_BYTES] or key_bytes not in KEY_LENGTHS:
            raise CheckpointIntegrityError(f"{name} is damaged: its header has impossible values")
        if table_bytes > MAX_TABLE_BYTES:
            raise CheckpointIntegrityError(f"{name} is damaged: it declares a table of {table_bytes} bytes")
        return header


def pack_data_header(salt: bytes, index: int) -> bytes:
    """The 4096 bytes at the start of data file `index`."""
    return _DATA.pack(_DATA_MAGIC, FORMAT_VERSION, 0, index, salt).ljust(DATA_HEADER_BYTES, b"\0")


def explain_data_header(content: bytes, salt: bytes, index: int) -> str | None:
    """What is wrong with the header of data file `index`, or None when it is as it must be.

    Args:
        content: the first 4096 bytes of the file, fewer if the file is shorter.
        salt: the salt of the checkpoint.
        index: the index that the file must carry.
    """
    if content == pack_data_header(salt, index):
        return None
    if len(content) < DATA_HEADER_BYTES:
        return f"truncated: {len(content)} bytes, not even a header"
    magic, version, _, found, found_salt = _DATA.unpack_from(content)
    if magic != _DATA_MAGIC:
        return "foreign: not a data file of a sealed checkpoint, or its first bytes are damaged"
    if content == pack_data_header(found_salt, found) and version == FORMAT_VERSION:
        if found_salt != salt:
            return "foreign: it belongs to another sealed checkpoint, or its header is damaged"
        return f"swapped: it is {data_file_name(found)} of this checkpoint under another name"
    return "damaged: its header was changed"
