# SPDX-License-Identifier: Apache-2.0
"""Published ways to protect tensors that break, each reduced to the property that breaks it. For comparison in tests.

The attacks on the first two are named in the SeDA paper: the re-permutation attack (RePA) on XOR layer MACs and the
single-element collision attack (SECA) on a one-time pad that several blocks share.
"""

from __future__ import annotations

import hashlib
import hmac

from tensortee import reference
from tensortee.format import BLOCK_BYTES, LINE_BYTES, tensor_iv


def lines_of(data: bytes) -> list[bytes]:
    """The lines of a tensor of whole lines."""
    return [data[at : at + LINE_BYTES] for at in range(0, len(data), LINE_BYTES)]


def xor(a: bytes, b: bytes) -> bytes:
    """Bytewise sum."""
    return bytes(x ^ y for x, y in zip(a, b, strict=True))


def xor_layer_mac(key: bytes, tensor_id: int, version: int, ciphertext: bytes) -> bytes:
    """A strong MAC for each line, bound to tensor and version but not to the position, all XORed together."""
    total = bytes(BLOCK_BYTES)
    for line in lines_of(ciphertext):
        total = xor(total, hmac.digest(key, tensor_iv(tensor_id, version) + line, hashlib.sha256)[:BLOCK_BYTES])
    return total


def linear_line_mac(key: bytes, ciphertext: bytes) -> bytes:
    """A polynomial hash of each line, all XORed together: the sum of lines is hashed, not the lines."""
    h, total = reference.hash_key(key), 0
    for line in lines_of(ciphertext):
        total ^= reference.line_contribution(h, 0, line)
    return total.to_bytes(BLOCK_BYTES, "big")


class CancellingWindow:
    """Sums contributions that are bound to their position, but does not notice that a line comes twice."""

    def __init__(self, key: bytes, nbytes: int) -> None:
        self._h = reference.hash_key(key)
        self._nbytes = nbytes
        self.total = 0

    def add(self, line: int, ciphertext: bytes) -> None:
        """Add a line that was read."""
        self.total ^= reference.line_contribution(self._h, line, ciphertext, self._nbytes)


def shared_pad_encrypt(key: bytes, iv: bytes, data: bytes) -> bytes:
    """One keystream block for all four blocks of a line, to save AES calls."""
    out = b""
    for number, line in enumerate(lines_of(data)):
        pad = reference.keystream_block(key, iv, number).to_bytes(BLOCK_BYTES, "big")
        out += xor(line, pad * (LINE_BYTES // BLOCK_BYTES))
    return out
