# SPDX-License-Identifier: Apache-2.0
"""Stepwise, bit-exact reference of what each RTL block computes, for debugging and directed tests.

Plain arithmetic from the standards, without libraries and without speed; the rest of the package does not depend on it.
Blocks are ints in NIST order: the first byte of the NIST byte string is bits [127:120].
"""

from tensortee.reference.aes import cipher_states, encrypt_block, expand_key, keystream_block
from tensortee.reference.gf128 import ONE, inverse, multiply, power
from tensortee.reference.lines import (
    beat_step,
    coverage,
    digit_power,
    full_coverage,
    ghash,
    hash_key,
    line_contribution,
    line_power,
    tag,
)

__all__ = [
    "ONE",
    "beat_step",
    "cipher_states",
    "coverage",
    "digit_power",
    "encrypt_block",
    "expand_key",
    "full_coverage",
    "ghash",
    "hash_key",
    "inverse",
    "keystream_block",
    "line_contribution",
    "line_power",
    "multiply",
    "power",
    "tag",
]
