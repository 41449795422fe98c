# SPDX-License-Identifier: Apache-2.0
"""Protection format, version 1: sizes, limits and initialisation vectors.

A tensor version is one AES-GCM message (NIST SP 800-38D) with a key of 16 or 32 bytes, empty additional authenticated
data, a 96-bit IV and a 128-bit tag. The IV is `domain[3:0] || tensor_id[27:0] || version[63:0]`, big endian. Block b of
the plaintext (b = 0, 1, ...) is XORed with `AES_K(IV || BE32(b + 2))`, and the tag is masked with
`AES_K(IV || BE32(1))`.
"""

from __future__ import annotations

from enum import IntEnum
from operator import index
from typing import Final, SupportsIndex

LINE_BYTES: Final = 64
"""Bytes of a line, the unit of access: four AES blocks."""
BLOCK_BYTES: Final = 16
"""Bytes of an AES block."""
BLOCKS_PER_LINE: Final = LINE_BYTES // BLOCK_BYTES
TAG_BYTES: Final = 16
IV_BYTES: Final = 12
KEY_LENGTHS: Final = (16, 32)
"""Bytes of a key: AES-128 or AES-256."""

MAX_TENSOR_BYTES: Final = 2**36 - 32
"""Longest AES-GCM message (SP 800-38D, section 5.2.1.1)."""
MAX_TENSOR_ID: Final = 2**28 - 1
MAX_VERSION: Final = 2**64 - 1
OWNER_SHIFT: Final = 24
"""A tensor_id is `owner << 24 | counter`."""
MAX_OWNER: Final = 15
MAX_ID_COUNTER: Final = 2**OWNER_SHIFT - 1


class Domain(IntEnum):
    """Top four bits of an IV: what its keystream is for."""

    TENSOR = 0
    BLOCK_DATA = 1
    BLOCK_TAG = 2


def make_iv(domain: int, tensor_id: SupportsIndex, version: SupportsIndex) -> bytes:
    """The 12-byte IV of a domain, a tensor_id and a version number.

    Raises:
        ValueError: a number is out of range.
        TypeError: a number is not an integer.
    """
    domain, tensor_id, version = index(domain), index(tensor_id), index(version)
    if not 0 <= domain <= 15:
        raise ValueError(f"domain {domain} is out of range: it has 4 bits")
    if not 0 <= tensor_id <= MAX_TENSOR_ID:
        raise ValueError(f"tensor_id {tensor_id} is out of range: it has 28 bits, 0 .. {MAX_TENSOR_ID}")
    if not 0 <= version <= MAX_VERSION:
        raise ValueError(f"version {version} is out of range: it has 64 bits, 0 .. {MAX_VERSION}")
    return (domain << 92 | tensor_id << 64 | version).to_bytes(IV_BYTES, "big")


def tensor_iv(tensor_id: SupportsIndex, version: SupportsIndex) -> bytes:
    """The 12-byte IV of a tensor version.

    Args:
        tensor_id: 28-bit number; its top four bits name the owner device.
        version: 64-bit version number.

    Raises:
        ValueError: a number is out of range.
        TypeError: a number is not an integer.
    """
    # The usual case in few operations: sealing many small tensors spends a good part of its time here.
    if type(tensor_id) is int and type(version) is int and not (tensor_id >> 28 or version >> 64):
        return (tensor_id << 64 | version).to_bytes(IV_BYTES, "big")  # Domain.TENSOR is zero
    return make_iv(Domain.TENSOR, tensor_id, version)


def split_iv(iv: bytes) -> tuple[int, int, int]:
    """(domain, tensor_id, version) of a 12-byte IV.

    Raises:
        ValueError: the IV does not have 12 bytes.
    """
    if len(iv) != IV_BYTES:
        raise ValueError(f"an IV has {IV_BYTES} bytes, not {len(iv)}")
    number = int.from_bytes(iv, "big")
    return number >> 92, number >> 64 & MAX_TENSOR_ID, number & MAX_VERSION


def make_tensor_id(owner: int, counter: int) -> int:
    """The tensor_id of a device's counter value.

    Args:
        owner: 0 .. 15, the device; two devices that share a key need different numbers.
        counter: 1 .. 2^24 - 1.

    Raises:
        ValueError: a number is out of range.
    """
    if not 0 <= owner <= MAX_OWNER:
        raise ValueError(f"owner {owner} is out of range: it has 4 bits, 0 .. {MAX_OWNER}")
    if not 1 <= counter <= MAX_ID_COUNTER:
        raise ValueError(f"tensor counter {counter} is out of range: 1 .. {MAX_ID_COUNTER}")
    return owner << OWNER_SHIFT | counter


def line_count(nbytes: int) -> int:
    """Lines that a tensor of `nbytes` bytes covers, the last one perhaps in part."""
    return -(-nbytes // LINE_BYTES)


def block_count(nbytes: int) -> int:
    """AES blocks that a tensor of `nbytes` bytes covers, the last one perhaps in part."""
    return -(-nbytes // BLOCK_BYTES)


def check_length(nbytes: int) -> None:
    """Refuse a length that no message can have.

    Raises:
        ValueError: `nbytes` is not 1 .. 2^36 - 32.
    """
    if not 1 <= nbytes <= MAX_TENSOR_BYTES:
        raise ValueError(f"a tensor has 1 .. {MAX_TENSOR_BYTES} bytes, not {nbytes}")


def check_key(key: bytes | bytearray | memoryview) -> bytes:
    """The key as bytes.

    Raises:
        ValueError: it has neither 16 nor 32 bytes.
        TypeError: it is not bytes-like.
    """
    if not isinstance(key, (bytes, bytearray, memoryview)):
        raise TypeError(f"a key is bytes-like, not {type(key).__name__}")
    raw = bytes(key)
    if len(raw) not in KEY_LENGTHS:
        raise ValueError(f"a key has 16 or 32 bytes, not {len(raw)}")
    return raw
