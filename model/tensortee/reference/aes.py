# SPDX-License-Identifier: Apache-2.0
"""AES encryption step by step (FIPS 197)."""

from __future__ import annotations

from tensortee.format import BLOCK_BYTES, IV_BYTES, check_key

_WORD_BYTES = 4


def _xtime(value: int) -> int:
    """Product with x in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1 (FIPS 197, section 4.3)."""
    return value << 1 ^ (0x11B if value & 0x80 else 0)


def _byte_product(a: int, b: int) -> int:
    product = 0
    while b:
        if b & 1:
            product ^= a
        a = _xtime(a)
        b >>= 1
    return product


def _substitute(value: int) -> int:
    """SubBytes of one byte: inverse in GF(2^8), then the affine transform (FIPS 197, section 5.1.1)."""
    inverse, square = 1, value
    for _ in range(7):  # value^254 = value^(2 + 4 + ... + 128)
        square = _byte_product(square, square)
        inverse = _byte_product(inverse, square)
    result = 0x63
    for turn in range(5):
        result ^= (inverse << turn | inverse >> 8 - turn) & 0xFF
    return result


S_BOX = bytes(_substitute(value) for value in range(256))
"""SubBytes of every byte value."""


def rounds(key: bytes) -> int:
    """Number of rounds: 10 for 16-byte keys, 14 for 32-byte keys."""
    return len(check_key(key)) // _WORD_BYTES + 6


def expand_key(key: bytes) -> list[int]:
    """Round keys 0 .. 10 or 0 .. 14 as blocks in NIST order (FIPS 197, section 5.2).

    Raises:
        ValueError: the key has neither 16 nor 32 bytes.
    """
    key_words = len(check_key(key)) // _WORD_BYTES
    words = [key[at : at + _WORD_BYTES] for at in range(0, len(key), _WORD_BYTES)]
    constant = 1
    for number in range(key_words, 4 * (rounds(key) + 1)):
        word = words[-1]
        if number % key_words == 0:
            word = bytes(S_BOX[byte] for byte in word[1:] + word[:1])
            word = bytes([word[0] ^ constant]) + word[1:]
            constant = _xtime(constant)
        elif key_words > 6 and number % key_words == 4:
            word = bytes(S_BOX[byte] for byte in word)
        words.append(bytes(a ^ b for a, b in zip(words[-key_words], word, strict=True)))
    return [int.from_bytes(b"".join(words[at : at + 4]), "big") for at in range(0, len(words), 4)]


def _shift_rows(state: bytes) -> bytes:
    """Row r (byte index mod 4) turned left by r columns (FIPS 197, section 5.1.2)."""
    return bytes(state[(at + 4 * (at % 4)) % BLOCK_BYTES] for at in range(BLOCK_BYTES))


def _mix_columns(state: bytes) -> bytes:
    """Each column times the matrix of FIPS 197, section 5.1.3."""
    out = bytearray()
    for at in range(0, BLOCK_BYTES, 4):
        column = state[at : at + 4]
        for row in range(4):
            a, b, c, d = (column[(row + step) % 4] for step in range(4))
            out.append(_xtime(a) ^ _xtime(b) ^ b ^ c ^ d)
    return bytes(out)


def cipher_states(key: bytes, block: int) -> list[int]:
    """The state after AddRoundKey of rounds 0, 1, ... (FIPS 197, section 5.1); the last one is the ciphertext."""
    keys = expand_key(key)
    states = [block ^ keys[0]]
    for number, round_key in enumerate(keys[1:], start=1):
        state = bytes(S_BOX[byte] for byte in states[-1].to_bytes(BLOCK_BYTES, "big"))
        state = _shift_rows(state)
        if number < len(keys) - 1:
            state = _mix_columns(state)
        states.append(int.from_bytes(state, "big") ^ round_key)
    return states


def encrypt_block(key: bytes, block: int) -> int:
    """AES of one block."""
    return cipher_states(key, block)[-1]


def keystream_block(key: bytes, iv: bytes, block: int) -> int:
    """What block `block` (0, 1, ...) of the plaintext is XORed with: `AES_K(IV || BE32(block + 2))`.

    Raises:
        ValueError: the key or the IV has a wrong length.
    """
    if len(iv) != IV_BYTES:
        raise ValueError(f"an IV has {IV_BYTES} bytes, not {len(iv)}")
    return encrypt_block(key, int.from_bytes(iv, "big") << 32 | block + 2)
