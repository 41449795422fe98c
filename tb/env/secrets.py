# SPDX-License-Identifier: Apache-2.0
"""All that a key and the tensors under it make secret, as 128-bit values to look for in the state of the engine."""

from __future__ import annotations

from collections.abc import Iterable

from Crypto.Cipher import AES
from tensortee.format import BLOCK_BYTES, BLOCKS_PER_LINE, LINE_BYTES, block_count, line_count
from tensortee.format.ghash import multiply
from tensortee.reference import ONE, expand_key, inverse, power

WINDOW = 8 * BLOCK_BYTES
"""Bits of a value."""
DIGIT_POSITIONS, DIGITS = 5, 64
TRIVIAL = 1 << 64
"""Values below it say nothing: counters, lengths, a few flags beside zeros."""


def _reversed(value: int) -> int:
    return int.from_bytes(value.to_bytes(BLOCK_BYTES, "big"), "little")


def powers(base: int, count: int) -> list[int]:
    """``base`` to the powers 0 .. ``count`` - 1."""
    out = [ONE]
    while len(out) < count:
        out.append(multiply(out[-1], base))
    return out


class Secrets:
    """Secret 128-bit values with their kind, in both byte orders, under one key.

    Args:
        key: 16 or 32 bytes.
        lanes: AES blocks in a beat.
    """

    def __init__(self, key: bytes, lanes: int) -> None:
        self._kinds: dict[int, str] = {}
        self._aes = AES.new(key, AES.MODE_ECB)
        for at in range(0, len(key), BLOCK_BYTES):
            self.add("key", int.from_bytes(key[at : at + BLOCK_BYTES], "big"))
        for round_key in expand_key(key)[len(key) // BLOCK_BYTES :]:
            self.add("round key", round_key)
        self.h = int.from_bytes(self._aes.encrypt(bytes(BLOCK_BYTES)), "big")
        self._back = inverse(self.h)
        self._g = power(self._back, BLOCKS_PER_LINE)
        self.add("hash key", self.h, *powers(self._back, BLOCKS_PER_LINE + 1)[1:])
        base = self._g
        for _ in range(DIGIT_POSITIONS):
            row = powers(base, DIGITS)
            self.add("digit table", *row)
            base = multiply(row[-1], base)
        self.add("beat table", *powers(power(self._back, lanes), 256 // lanes))

    def add(self, kind: str, *values: int) -> None:
        """Add values; those that say nothing are left out, and those that are there keep their kind."""
        for value in values:
            orders = value, _reversed(value)
            if min(orders) >= TRIVIAL and ONE not in orders:
                for order in orders:
                    self._kinds.setdefault(order, kind)

    def kind(self, value: int) -> str | None:
        """What a value is, None if it is no secret."""
        return self._kinds.get(value)

    def publish(self, values: Iterable[int]) -> None:
        """Take values out: they are on a bus, or went over it."""
        for value in values:
            self._kinds.pop(value, None)
            self._kinds.pop(_reversed(value), None)

    def tensor(self, iv: bytes, plaintext: bytes) -> bytes:
        """Add all that one epoch of a tensor makes secret; returns its ciphertext, in whole lines."""
        blocks, lines = block_count(len(plaintext)), line_count(len(plaintext))
        self.add("closed form", power(self.h, blocks + 1), power(self._g, lines))
        self.add("power of a line", *powers(self._g, lines))
        self.add("pad of the tag", self._block(iv, 1))
        padded = plaintext.ljust(lines * LINE_BYTES, b"\0")
        ciphertext = bytearray()
        for number in range(lines * BLOCKS_PER_LINE):
            pad = self._block(iv, number + 2)
            plain = int.from_bytes(padded[number * BLOCK_BYTES :][:BLOCK_BYTES], "big")
            self.add("keystream", pad)
            self.add("plaintext", plain)
            ciphertext += (pad ^ plain).to_bytes(BLOCK_BYTES, "big")
        return bytes(ciphertext)

    def _block(self, iv: bytes, counter: int) -> int:
        return int.from_bytes(self._aes.encrypt(iv + counter.to_bytes(4, "big")), "big")
