# SPDX-License-Identifier: Apache-2.0
"""The stepwise reference against the standards' examples and two libraries."""

from __future__ import annotations

import random

import pytest
from Crypto.Cipher import AES
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from tensortee import reference
from tensortee.reference.aes import S_BOX

# FIPS 197, appendix B: the state at the start of each round is the one after AddRoundKey of the round before.
APPENDIX_B = [
    "193de3bea0f4e22b9ac68d2ae9f84808",
    "a49c7ff2689f352b6b5bea43026a5049",
    "aa8f5f0361dde3ef82d24ad26832469a",
    "486c4eee671d9d0d4de3b138d65f58e7",
    "e0927fe8c86363c0d9b1355085b8be01",
    "f1006f55c1924cef7cc88b325db5d50c",
    "260e2e173d41b77de86472a9fdd28b25",
    "5a4142b11949dc1fa3e019657a8c040c",
    "ea835cf00445332d655d98ad8596b0c5",
    "eb40f21e592e38848ba113e71bc342d2",
    "3925841d02dc09fbdc118597196a0b32",
]


def test_rounds_of_fips_197_appendix_b() -> None:
    key = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
    states = reference.cipher_states(key, 0x3243F6A8885A308D313198A2E0370734)
    assert [f"{state:032x}" for state in states] == APPENDIX_B


@pytest.mark.parametrize(
    ("key", "last"),
    [
        ("2b7e151628aed2a6abf7158809cf4f3c", "d014f9a8c9ee2589e13f0cc8b6630ca6"),
        ("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4", "fe4890d1e6188d0b046df344706c631e"),
    ],
    ids=["A.1", "A.3"],
)
def test_key_expansion_of_fips_197_appendix_a(key: str, last: str) -> None:
    keys = reference.expand_key(bytes.fromhex(key))
    assert len(keys) == len(key) // 8 + 7
    assert f"{keys[0]:032x}" == key[:32]
    assert f"{keys[-1]:032x}" == last


def test_s_box_is_a_permutation_with_known_ends() -> None:
    assert sorted(S_BOX) == list(range(256))
    assert (S_BOX[0x00], S_BOX[0x53], S_BOX[0xFF]) == (0x63, 0xED, 0x16)


@pytest.mark.parametrize("key_bytes", [16, 32])
def test_blocks_agree_with_a_library(key_bytes: int) -> None:
    rng = random.Random(3)
    for _ in range(20):
        key, block, iv = rng.randbytes(key_bytes), rng.getrandbits(128), rng.randbytes(12)
        cipher = AES.new(key, AES.MODE_ECB)
        assert reference.encrypt_block(key, block).to_bytes(16, "big") == cipher.encrypt(block.to_bytes(16, "big"))
        pad = b"".join(reference.keystream_block(key, iv, at).to_bytes(16, "big") for at in range(4))
        assert pad == AES.new(key, AES.MODE_GCM, nonce=iv).encrypt(bytes(64))


def test_field_laws() -> None:
    rng = random.Random(4)
    multiply = reference.multiply
    for _ in range(50):
        a, b, c = (rng.getrandbits(128) | 1 for _ in range(3))
        assert multiply(a, b) == multiply(b, a)
        assert multiply(a, b ^ c) == multiply(a, b) ^ multiply(a, c)
        assert multiply(a, multiply(b, c)) == multiply(multiply(a, b), c)
        assert multiply(a, reference.ONE) == a
        assert multiply(a, reference.inverse(a)) == reference.ONE
        assert reference.power(a, -3) == reference.inverse(multiply(a, multiply(a, a)))
    # x^127 * x = x^128 = 1 + x + x^2 + x^7
    assert multiply(1, 1 << 126) == 0xE1 << 120
    with pytest.raises(ZeroDivisionError):
        reference.inverse(0)


def test_tables_of_powers() -> None:
    """The RTL's tables put together give Q of any line, and the steps of a burst those of its beats."""
    h = reference.hash_key(bytes(16))
    for line in (0, 1, 63, 64, 4095, 123_456_789, 2**30 - 1):
        product = reference.ONE
        for position in range(5):
            product = reference.multiply(product, reference.digit_power(h, position, line >> 6 * position & 63))
        assert product == reference.line_power(h, line)
    for lanes in (1, 2, 4):
        beats = 4 // lanes
        for line in (1, 5):
            assert reference.beat_step(h, lanes, beats * line) == reference.line_power(h, line)


def test_line_sums_give_the_tag() -> None:
    key, iv = bytes(range(32)), bytes(range(12))
    for nbytes in (1, 16, 63, 64, 65, 200, 256):
        message = AESGCM(key).encrypt(iv, bytes(nbytes), None)
        ciphertext, tag = message[:nbytes], message[nbytes:]
        h = reference.hash_key(key)
        lines = [ciphertext[at : at + 64] for at in range(0, nbytes, 64)]
        total = divided = 0
        for number, line in enumerate(lines):
            total ^= reference.line_contribution(h, number, line, nbytes)
            divided ^= reference.line_contribution(h, number, line)
        top = reference.power(h, -(-nbytes // 16) + 1)
        assert reference.multiply(divided, top) == total
        assert total ^ reference.multiply(nbytes * 8, h) == reference.ghash(h, ciphertext)
        assert reference.tag(key, iv, ciphertext).to_bytes(16, "big") == tag
        touched = reference.coverage(h, range(len(lines)), nbytes)
        factor = reference.ONE ^ reference.power(h, -4)
        assert reference.multiply(touched, factor) == reference.full_coverage(h, nbytes)


def test_arguments() -> None:
    with pytest.raises(ValueError, match="16 or 32"):
        reference.expand_key(bytes(24))
    with pytest.raises(ValueError, match="12 bytes"):
        reference.keystream_block(bytes(16), bytes(11), 0)
    with pytest.raises(ValueError, match="64 bytes"):
        reference.line_contribution(1, 0, bytes(65))
