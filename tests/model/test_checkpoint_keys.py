# SPDX-License-Identifier: Apache-2.0
"""Key derivation of sealed checkpoints."""

from __future__ import annotations

import pytest
from Crypto.Hash import SHA256
from Crypto.Protocol.KDF import HKDF
from tensortee.checkpoint.keys import derive_checkpoint_keys

from tests.model.checkpoint_files import TEST_KEY_128, TEST_KEY_256

SALT = bytes(range(32))


@pytest.mark.parametrize("user_key", [TEST_KEY_128, TEST_KEY_256], ids=["aes128", "aes256"])
def test_derivation_against_a_second_library(user_key: bytes) -> None:
    keys = derive_checkpoint_keys(user_key, SALT)
    for purpose, found in (("tensors", keys.tensors), ("table", keys.table), ("check", keys.check)):
        length = 32 if purpose == "check" else len(user_key)
        info = f"tensortee checkpoint v1 {purpose}".encode()
        assert found == HKDF(user_key, length, SALT, SHA256, context=info)


def test_every_input_changes_every_key() -> None:
    seen = set()
    for user_key in (TEST_KEY_128, bytes(16), TEST_KEY_256, TEST_KEY_128 + bytes(16)):
        for salt in (SALT, bytes(32)):
            keys = derive_checkpoint_keys(user_key, salt)
            seen |= {keys.tensors, keys.table, keys.check, user_key}
    assert len(seen) == 4 * 2 * 3 + 4


@pytest.mark.parametrize(("key_bytes", "salt_bytes"), [(0, 32), (15, 32), (24, 32), (33, 32), (16, 31), (16, 0)])
def test_lengths_are_checked(key_bytes: int, salt_bytes: int) -> None:
    with pytest.raises(ValueError, match="bytes, not"):
        derive_checkpoint_keys(bytes(key_bytes), bytes(salt_bytes))


def test_keys_are_not_in_repr() -> None:
    keys = derive_checkpoint_keys(TEST_KEY_256, SALT)
    assert repr(keys) == "CheckpointKeys()"
    assert TEST_KEY_256.hex() not in repr(keys)
