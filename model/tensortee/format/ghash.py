# SPDX-License-Identifier: Apache-2.0
"""GHASH of contiguous runs of blocks, and the few powers of H that put them in their place.

A field element is an int in NIST order (SP 800-38D, section 6.3): the first byte of the block is bits [127:120], bit
127 is the coefficient of x^0. GHASH of a run is one GMAC call of the library; only single products are computed here.
"""

from __future__ import annotations

import functools
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from tensortee.format.version1 import BLOCK_BYTES, BLOCKS_PER_LINE, IV_BYTES, check_key

ONE: Final = 1 << 127
"""The field element one."""

# An IV of domain 15, which nothing else uses; what is computed with it never leaves this module.
_GMAC_IV = b"\xf0" + bytes(IV_BYTES - 1)
# The library takes at most 2^31 - 1 bytes in one call.
_GMAC_CHUNK_BYTES = 1 << 30
_BYTE_ONES = int.from_bytes(b"\x01" * 256, "big")
_ASCII_DIGITS = b"01" + bytes(254)
_DIGIT_BITS = 6


def _spread(value: int) -> int:
    """Each of 128 bits in a byte of its own."""
    return int.from_bytes(f"{value:0128b}".encode("ascii"), "big") & _BYTE_ONES


def multiply(a: int, b: int) -> int:
    """Product of two field elements.

    With each bit in a byte of its own an integer product is a carry-less one: at most 128 ones meet in a byte, and
    its lowest bit is their sum in GF(2).
    """
    wide = (_spread(a) * _spread(b) & _BYTE_ONES).to_bytes(255, "big")
    product = int(wide.translate(_ASCII_DIGITS), 2) << 1
    low, high = product >> 128, product & (1 << 128) - 1
    # x^128 = 1 + x + x^2 + x^7; multiplying by x is a shift to the right.
    high <<= 7
    high ^= high >> 1 ^ high >> 2 ^ high >> 7
    rest = (high & 0x7F) << 121
    return low ^ high >> 7 ^ rest ^ rest >> 1 ^ rest >> 2 ^ rest >> 7


class GhashKey:
    """The hash key H = AES_K(0) of an AES-GCM key and what follows from it.

    Args:
        key: 16 or 32 bytes.

    Raises:
        ValueError: the key has a wrong length.
    """

    def __init__(self, key: bytes) -> None:
        raw = check_key(key)
        self._ecb = Cipher(AES(raw), ECB()).encryptor()  # noqa: S305 - single blocks: AES itself
        self._gmac = AESGCM(raw)
        self._gmac_pad = int.from_bytes(self._gmac.encrypt(_GMAC_IV, b"", None), "big")
        self.h = int.from_bytes(self.block(bytes(BLOCK_BYTES)), "big")
        self._table: dict[tuple[int, int], int] = {}

    def __repr__(self) -> str:
        return "GhashKey()"

    def block(self, block: bytes) -> bytes:
        """AES of one block of 16 bytes."""
        return self._ecb.update(block)

    @property
    def usable(self) -> bool:
        """Whether lines can be told from each other: H is not 0 and H^4 is not 1."""
        return self.h != 0 and self.power(BLOCKS_PER_LINE) != ONE

    def power(self, exponent: int) -> int:
        """H to a power >= 0: one product for each digit of the exponent in base 64 that is not zero.

        Raises:
            ValueError: the exponent is negative.
        """
        if exponent < 0:
            raise ValueError(f"the exponent {exponent} is negative")
        result = ONE
        position = 0
        while exponent:
            digit = exponent & (1 << _DIGIT_BITS) - 1
            if digit:
                factor = self._digit_power(position, digit)
                result = factor if result == ONE else multiply(result, factor)
            exponent >>= _DIGIT_BITS
            position += 1
        return result

    def _digit_power(self, position: int, digit: int) -> int:
        """H^(digit * 64^position)."""
        value = self._table.get((position, digit))
        if value is None:
            if digit > 1:
                value = multiply(self._digit_power(position, digit - 1), self._digit_power(position, 1))
            elif position == 0:
                value = self.h
            else:
                below = self._digit_power(position - 1, (1 << _DIGIT_BITS) - 1)
                value = multiply(below, self._digit_power(position - 1, 1))
            self._table[position, digit] = value
        return value

    @functools.cached_property
    def _line_series(self) -> int:
        """1 / (1 + H^4)."""
        base, result = ONE ^ self.power(BLOCKS_PER_LINE), ONE
        for _ in range(127):  # 2^128 - 2 = 2 + 4 + ... + 2^127
            base = multiply(base, base)
            result = multiply(result, base)
        return result

    def run(self, data: bytes | memoryview) -> int:
        """GHASH without its length block: sum_j B_j * H^(m + 1 - j) over the m blocks B of a run, j = 0 .. m - 1.

        The last block may be shorter; it counts as padded with zeros.
        """
        total = 0
        for start in range(0, len(data), _GMAC_CHUNK_BYTES):
            chunk = data[start : start + _GMAC_CHUNK_BYTES]
            tag = int.from_bytes(self._gmac.encrypt(_GMAC_IV, b"", chunk), "big")
            if total:
                total = multiply(total, self.power(-(-len(chunk) // BLOCK_BYTES)))
            total ^= tag ^ self._gmac_pad ^ multiply(len(chunk) * 8 << 64, self.h)
        return total

    def coverage(self, first_exponent: int, lines: int) -> int:
        """sum_j H^(first_exponent - 4 j) over `lines` lines; the last exponent must not be negative."""
        last = first_exponent - BLOCKS_PER_LINE * (lines - 1)
        series = multiply(ONE ^ self.power(BLOCKS_PER_LINE * lines), self._line_series)
        return multiply(self.power(last), series)
