# SPDX-License-Identifier: Apache-2.0
"""Tags from lines in any order and grouping agree with the one-shot libraries; coverage tells what was missed."""

from __future__ import annotations

import random

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st
from tensortee import CoverageError, IntegrityError, LineAccumulator, reference, seal
from tensortee.format import LINE_BYTES, GhashKey, LineSums, ghash, line_count, tensor_iv

TEST_KEY = bytes(range(16))
IV = tensor_iv(7, 1)


def sealed_bytes(nbytes: int, key: bytes = TEST_KEY) -> tuple[bytes, bytes]:
    """Ciphertext and tag of some message of that length, from the library."""
    message = AESGCM(key).encrypt(IV, random.Random(nbytes).randbytes(nbytes), b"")
    return message[:nbytes], message[nbytes:]


def random_runs(lines: int, rng: random.Random) -> list[tuple[int, int]]:
    """The lines cut into runs (first, number), in random order."""
    runs, at = [], 0
    while at < lines:
        number = min(rng.choice((1, 1, 2, 3, 16, 64)), lines - at)
        runs.append((at, number))
        at += number
    rng.shuffle(runs)
    return runs


@pytest.mark.parametrize("key", [TEST_KEY, bytes(range(32))], ids=["128", "256"])
def test_every_length_agrees_with_the_library(key: bytes) -> None:
    rng = random.Random(1)
    hash_key = GhashKey(key)
    for nbytes in range(1, 4097):
        ciphertext, tag = sealed_bytes(nbytes, key)
        sums = LineSums(hash_key, nbytes)
        for first, number in random_runs(line_count(nbytes), rng):
            sums.add(first, ciphertext[first * LINE_BYTES : (first + number) * LINE_BYTES])
        assert sums.covered, nbytes
        assert sums.tag(IV) == tag, nbytes


@given(st.integers(1, 200_000), st.randoms(use_true_random=False))
def test_any_order_and_grouping(nbytes: int, rng: random.Random) -> None:
    ciphertext, tag = sealed_bytes(nbytes)
    lines = LineAccumulator(TEST_KEY, IV, nbytes)
    for first, number in random_runs(lines.lines, rng):
        lines.add(first, memoryview(ciphertext)[first * LINE_BYTES : (first + number) * LINE_BYTES])
    assert lines.count == lines.lines
    assert lines.tag() == tag
    lines.check(tag)


def test_chunks_of_a_long_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ghash, "_GMAC_CHUNK_BYTES", 4096)
    for nbytes in (4096, 4097, 20_000, 65_536):
        ciphertext, tag = sealed_bytes(nbytes)
        lines = LineAccumulator(TEST_KEY, IV, nbytes)
        lines.add(0, ciphertext)
        assert lines.tag() == tag


def test_bytes_behind_the_end_do_not_count() -> None:
    ciphertext, tag = sealed_bytes(100)
    for last in (ciphertext[64:], ciphertext[64:].ljust(64, b"\0"), ciphertext[64:].ljust(64, b"\xff")):
        lines = LineAccumulator(TEST_KEY, IV, 100)
        lines.add(1, last)
        lines.add(0, ciphertext[:64])
        assert lines.tag() == tag


def test_sums_are_those_of_the_reference() -> None:
    """Contribution and P(i) of each line, and the closed form of the coverage."""
    for nbytes in (1, 64, 100, 500, 1024):
        ciphertext, _ = sealed_bytes(nbytes)
        hash_key = GhashKey(TEST_KEY)
        assert hash_key.h == reference.hash_key(TEST_KEY)
        sums = LineSums(hash_key, nbytes)
        expected = coverage = 0
        order = list(range(sums.lines))
        random.Random(nbytes).shuffle(order)
        for line in order:
            text = ciphertext[line * LINE_BYTES : (line + 1) * LINE_BYTES]
            sums.add(line, text)
            expected ^= reference.line_contribution(hash_key.h, line, text, nbytes)
            coverage ^= reference.line_power(hash_key.h, line, nbytes)
            assert (sums.ghash, sums.coverage) == (expected, coverage)
        closed = reference.full_coverage(hash_key.h, nbytes)
        factor = reference.ONE ^ reference.power(hash_key.h, -4)
        assert reference.multiply(sums.coverage, factor) == closed


def test_product_and_powers_agree_with_the_reference() -> None:
    rng = random.Random(2)
    edges = [0, 1, reference.ONE, (1 << 128) - 1, 0xE1 << 120]
    values = edges + [rng.getrandbits(128) for _ in range(40)]
    for a in values:
        for b in values:
            assert ghash.multiply(a, b) == reference.multiply(a, b)
    hash_key = GhashKey(TEST_KEY)
    for exponent in (0, 1, 63, 64, 65, 4095, 4096, 2**32 + 1, 2**33 - 2):
        assert hash_key.power(exponent) == reference.power(hash_key.h, exponent)
    with pytest.raises(ValueError, match="negative"):
        hash_key.power(-1)


def accumulator(lines: list[int], nbytes: int = 10 * LINE_BYTES) -> LineAccumulator:
    ciphertext, _ = sealed_bytes(nbytes)
    out = LineAccumulator(TEST_KEY, IV, nbytes)
    for line in lines:
        out.add(line, ciphertext[line * LINE_BYTES : (line + 1) * LINE_BYTES])
    return out


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "lines are missing"),
        ([*range(9)], "lines are missing"),
        ([*range(10), 3], "lines are repeated"),
        ([*range(9), 0], "some lines are missing and others repeated"),
        ([*range(10), 3, 3], "lines are repeated"),
        ([0] * 10, "some lines are missing and others repeated"),
        ([0, 0, *range(2, 10)], "some lines are missing and others repeated"),
    ],
)
def test_wrong_coverage(lines: list[int], message: str) -> None:
    """A8: skipped, duplicated and extra lines; nothing read; the coverage is checked before the tag."""
    _, tag = sealed_bytes(10 * LINE_BYTES)
    out = accumulator(lines)
    with pytest.raises(CoverageError, match=message):
        out.check(tag)
    with pytest.raises(CoverageError, match=message):
        out.tag()


def test_wrong_tag() -> None:
    _, tag = sealed_bytes(10 * LINE_BYTES)
    out = accumulator([*range(10)])
    for wrong in (bytes(16), tag[:12], tag + b"\0", b"", bytes([tag[0] ^ 1]) + tag[1:]):
        with pytest.raises(IntegrityError, match="tag does not match"):
            out.check(wrong)
    out.check(tag)


@pytest.mark.parametrize(
    ("line", "nbytes"), [(-1, 64), (4, 64), (3, 128), (0, 0), (0, 63), (1, 65), (2, 99), (3, 35), (3, 65)]
)
def test_runs_that_are_not_lines_of_the_tensor(line: int, nbytes: int) -> None:
    out = LineAccumulator(TEST_KEY, IV, 3 * LINE_BYTES + 36)
    with pytest.raises(ValueError, match=r"not in a tensor|a run ends"):
        out.add(line, bytes(nbytes))
    assert out.count == 0
    assert not any(out.coverage)


def test_arguments() -> None:
    for key, iv, nbytes in ((bytes(15), IV, 1), (TEST_KEY, IV[:-1], 1), (TEST_KEY, IV, 0)):
        with pytest.raises(ValueError, match="bytes"):
            LineAccumulator(key, iv, nbytes)


def test_degenerate_hash_key_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in (0, ghash.ONE):
        monkeypatch.setattr(GhashKey, "block", lambda *_, value=value: value.to_bytes(16, "big"))
        with pytest.raises(ValueError, match="degenerate"):
            LineAccumulator(TEST_KEY, IV, 1)


def test_no_secret_is_shown() -> None:
    text = f"{accumulator([1])!r} {GhashKey(TEST_KEY)!r}"
    assert TEST_KEY.hex() not in text
    assert f"{GhashKey(TEST_KEY).h:x}" not in text


def test_what_seal_made_is_checked_line_by_line() -> None:
    sealed = seal(bytes(1000), TEST_KEY, 7, 1)
    lines = LineAccumulator(TEST_KEY, sealed.iv, sealed.nbytes)
    lines.add(8, sealed.ciphertext[512:])
    lines.add(0, sealed.ciphertext[:512])
    lines.check(sealed.tag)
