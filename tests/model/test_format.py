# SPDX-License-Identifier: Apache-2.0
"""The protection format: initialisation vectors, limits, counts."""

from __future__ import annotations

import numpy as np
import pytest
from tensortee.format import (
    MAX_ID_COUNTER,
    MAX_TENSOR_BYTES,
    MAX_TENSOR_ID,
    MAX_VERSION,
    Domain,
    block_count,
    check_key,
    check_length,
    line_count,
    make_iv,
    make_tensor_id,
    split_iv,
    tensor_iv,
)


def test_iv_layout() -> None:
    assert tensor_iv(0x1234567, 0x89ABCDEF01234567).hex() == "0123456789abcdef01234567"
    assert tensor_iv(MAX_TENSOR_ID, MAX_VERSION).hex() == "0fffffff" + "f" * 16
    assert make_iv(Domain.BLOCK_TAG, 5, 6).hex() == "20000005" + "0" * 15 + "6"
    assert split_iv(make_iv(Domain.BLOCK_DATA, 0xABCDEF1, 77)) == (Domain.BLOCK_DATA, 0xABCDEF1, 77)
    assert tensor_iv(np.int64(3), np.uint64(MAX_VERSION)) == tensor_iv(3, MAX_VERSION)


def test_domains_and_owners_never_share_an_iv() -> None:
    """A9, N5: the same number under another domain or owner is another IV."""
    ivs = {make_iv(domain, make_tensor_id(owner, 7), 9) for domain in Domain for owner in range(16)}
    assert len(ivs) == len(Domain) * 16


@pytest.mark.parametrize(("tensor_id", "version"), [(-1, 0), (MAX_TENSOR_ID + 1, 0), (0, -1), (0, MAX_VERSION + 1)])
def test_numbers_out_of_range(tensor_id: int, version: int) -> None:
    with pytest.raises(ValueError, match=r"out of range: it has (28|64) bits"):
        tensor_iv(tensor_id, version)


@pytest.mark.parametrize("bad", [1.0, "1", None])
def test_numbers_of_a_wrong_type(bad: object) -> None:
    with pytest.raises(TypeError):
        tensor_iv(bad, 1)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        tensor_iv(1, bad)  # type: ignore[arg-type]


def test_other_ranges() -> None:
    with pytest.raises(ValueError, match="domain"):
        make_iv(16, 0, 0)
    with pytest.raises(ValueError, match="12 bytes"):
        split_iv(bytes(11))
    for owner, counter in ((-1, 1), (16, 1), (0, 0), (0, MAX_ID_COUNTER + 1)):
        with pytest.raises(ValueError, match="out of range"):
            make_tensor_id(owner, counter)
    assert make_tensor_id(15, MAX_ID_COUNTER) == MAX_TENSOR_ID


@pytest.mark.parametrize(("nbytes", "lines", "blocks"), [(1, 1, 1), (16, 1, 1), (17, 1, 2), (64, 1, 4), (65, 2, 5)])
def test_counts(nbytes: int, lines: int, blocks: int) -> None:
    assert (line_count(nbytes), block_count(nbytes)) == (lines, blocks)


def test_lengths() -> None:
    for nbytes in (1, MAX_TENSOR_BYTES):
        check_length(nbytes)
    for nbytes in (0, -1, MAX_TENSOR_BYTES + 1):
        with pytest.raises(ValueError, match="a tensor has"):
            check_length(nbytes)


def test_keys() -> None:
    for length in (16, 32):
        assert check_key(bytearray(range(length))) == bytes(range(length))
    for length in (0, 15, 17, 24, 33):
        with pytest.raises(ValueError, match=f"16 or 32 bytes, not {length}"):
            check_key(bytes(length))
    with pytest.raises(TypeError, match="not str"):
        check_key("0" * 16)  # type: ignore[arg-type]
