# SPDX-License-Identifier: Apache-2.0
"""GHASH of a tensor line by line, as the engine's verifier computes it.

With H the hash key and n = ceil(nbytes / 16): line i contributes `(sum_k C[4i+k] H^-k) * P(i)`, `P(i) = H^(n+1-4i)`,
and the coverage hash is `sum_i P(i)`. The RTL keeps both divided by `H^(n+1)`, that is with `Q(i) = H^(-4i)` in place
of `P(i)`.
"""

from __future__ import annotations

from collections.abc import Iterable

from tensortee.format import BLOCK_BYTES, BLOCKS_PER_LINE, LINE_BYTES, block_count, line_count
from tensortee.reference.aes import encrypt_block
from tensortee.reference.gf128 import ONE, multiply, power


def hash_key(key: bytes) -> int:
    """H = AES_K(0)."""
    return encrypt_block(key, 0)


def line_power(h: int, line: int, nbytes: int | None = None) -> int:
    """`P(line)` in a tensor of `nbytes` bytes; without `nbytes`, `Q(line) = H^(-4 line)`."""
    top = 0 if nbytes is None else block_count(nbytes) + 1
    return power(h, top - BLOCKS_PER_LINE * line)


def digit_power(h: int, position: int, digit: int) -> int:
    """Entry of the table of powers: `H^(-4 * digit * 64^position)`."""
    return power(h, -BLOCKS_PER_LINE * digit * 64**position)


def beat_step(h: int, lanes: int, beat: int) -> int:
    """What Q of a burst's start is multiplied with for beat `beat`: `H^(-lanes * beat)`."""
    return power(h, -lanes * beat)


def line_contribution(h: int, line: int, ciphertext: bytes, nbytes: int | None = None) -> int:
    """What a line adds to GHASH.

    Args:
        h: hash key.
        line: index of the line.
        ciphertext: up to 64 bytes; what is missing counts as zero.
        nbytes: length of the tensor in bytes; without it the result is divided by `H^(n+1)`, as in the RTL.

    Raises:
        ValueError: more than 64 bytes.
    """
    if len(ciphertext) > LINE_BYTES:
        raise ValueError(f"a line has {LINE_BYTES} bytes, not {len(ciphertext)}")
    padded = ciphertext.ljust(LINE_BYTES, b"\0")
    total = 0
    for k in range(BLOCKS_PER_LINE):
        block = int.from_bytes(padded[BLOCK_BYTES * k : BLOCK_BYTES * (k + 1)], "big")
        total ^= multiply(block, power(h, -k))
    return multiply(total, line_power(h, line, nbytes))


def ghash(h: int, ciphertext: bytes) -> int:
    """GHASH of a message without additional data, block after block (SP 800-38D, algorithm 2)."""
    total = 0
    for at in range(0, len(ciphertext), BLOCK_BYTES):
        block = int.from_bytes(ciphertext[at : at + BLOCK_BYTES].ljust(BLOCK_BYTES, b"\0"), "big")
        total = multiply(total ^ block, h)
    return multiply(total ^ len(ciphertext) * 8, h)


def tag(key: bytes, iv: bytes, ciphertext: bytes) -> int:
    """The AES-GCM tag of a ciphertext."""
    return ghash(hash_key(key), ciphertext) ^ encrypt_block(key, int.from_bytes(iv, "big") << 32 | 1)


def coverage(h: int, lines: Iterable[int], nbytes: int | None = None) -> int:
    """Coverage hash of the lines touched, each as often as it is named; without `nbytes` divided by `H^(n+1)`."""
    total = 0
    for line in lines:
        total ^= line_power(h, line, nbytes)
    return total


def full_coverage(h: int, nbytes: int) -> int:
    """What `coverage * (1 + H^-4)` is if every line was touched once: `H^(n+1) * (1 + H^(-4 lines))`."""
    top = power(h, block_count(nbytes) + 1)
    return multiply(top, ONE ^ power(h, -BLOCKS_PER_LINE * line_count(nbytes)))
