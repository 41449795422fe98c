# SPDX-License-Identifier: Apache-2.0
"""GF(2^128) of GCM bit by bit (NIST SP 800-38D, section 6.3); bit 127 of an int is the coefficient of x^0."""

from __future__ import annotations

ONE = 1 << 127
"""The element one."""
_REDUCTION = 0xE1 << 120


def multiply(a: int, b: int) -> int:
    """Product of two elements (SP 800-38D, algorithm 1)."""
    product, multiple = 0, b
    for bit in range(127, -1, -1):
        if a >> bit & 1:
            product ^= multiple
        multiple = multiple >> 1 ^ (_REDUCTION if multiple & 1 else 0)
    return product


def power(base: int, exponent: int) -> int:
    """`base` to an integer power; a negative one inverts.

    Raises:
        ZeroDivisionError: zero to a negative power.
    """
    if exponent < 0:
        return power(inverse(base), -exponent)
    result = ONE
    for bit in bin(exponent)[2:]:
        result = multiply(result, result)
        if bit == "1":
            result = multiply(result, base)
    return result


def inverse(value: int) -> int:
    """`value` to the power -1, which is `value` to the power 2^128 - 2.

    Raises:
        ZeroDivisionError: `value` is zero.
    """
    if value == 0:
        raise ZeroDivisionError("zero has no inverse in GF(2^128)")
    return power(value, (1 << 128) - 2)
