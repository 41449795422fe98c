# SPDX-License-Identifier: Apache-2.0
"""GF(2^128) of GCM, written independently of the RTL and of the golden model.

An element is held as an ordinary polynomial, bit i = coefficient of x^i, where products and remainders are textbook
arithmetic; GCM's reflected order (NIST SP 800-38D, section 6.3) appears only in the conversion at the border.
"""

from __future__ import annotations

MODULUS = (1 << 128) | 0x87
ONE = 1 << 127
"""The element one in NIST order (bit 127 is the coefficient of x^0)."""


def _reflect(value: int) -> int:
    return int(f"{value:0128b}"[::-1], 2)


def _times(a: int, b: int) -> int:
    """Product of two polynomials modulo the field polynomial, ordinary bit order."""
    product = 0
    while b:
        if b & 1:
            product ^= a
        a <<= 1
        b >>= 1
    for degree in range(product.bit_length() - 1, 127, -1):
        if product >> degree & 1:
            product ^= MODULUS << (degree - 128)
    return product


def multiply(a: int, b: int) -> int:
    """Product of two elements in NIST order."""
    return _reflect(_times(_reflect(a), _reflect(b)))


def power(a: int, exponent: int) -> int:
    """`a` to a power >= 0, NIST order."""
    base, result = _reflect(a), 1
    while exponent:
        if exponent & 1:
            result = _times(result, base)
        base = _times(base, base)
        exponent >>= 1
    return _reflect(result)


def inverse(a: int) -> int:
    """Inverse of a non-zero element by the extended Euclidean algorithm, NIST order.

    Raises:
        ZeroDivisionError: `a` is zero.
    """
    if a == 0:
        raise ZeroDivisionError("zero has no inverse in GF(2^128)")
    r0, r1 = MODULUS, _reflect(a)
    t0, t1 = 0, 1
    while r1 != 1:
        shift = r0.bit_length() - r1.bit_length()
        if shift < 0:
            r0, r1, t0, t1 = r1, r0, t1, t0
            continue
        r0 ^= r1 << shift
        t0 ^= t1 << shift
        if r0.bit_length() < r1.bit_length():
            r0, r1, t0, t1 = r1, r0, t1, t0
    return _reflect(_times(t1, 1))
