# SPDX-License-Identifier: Apache-2.0
"""User keys: where they come from and what is derived from them.

A user key has 16 or 32 bytes. It comes from a file or from an environment variable, never from a command line, where
every user of the machine could read it. No function here puts key material into an error message.
"""

from __future__ import annotations

import os
import secrets
import string
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tensortee.format import KEY_LENGTHS

KEY_ENVIRONMENT_VARIABLE = "TENSORTEE_KEY"
_MAX_KEY_FILE_BYTES = 128
_HEX_DIGITS = frozenset(string.hexdigits.encode("ascii"))
_EXPECTED_IN_FILE = "expected 32 or 64 hexadecimal digits, or exactly 16 or 32 raw bytes"
_EXPECTED_IN_VARIABLE = "expected 32 or 64 hexadecimal digits (use --key-file for a key file)"


class KeyFormatError(ValueError):
    """A key file or variable is missing or does not hold a key of 16 or 32 bytes."""


def _parse_hexadecimal(content: bytes, source: str, expected: str) -> bytes | None:
    """Key bytes from hexadecimal digits with optional white space around them; None for anything else.

    Raises:
        KeyFormatError: only hexadecimal digits, but not as many as a key has.
    """
    text = content.strip()
    if not text or any(byte not in _HEX_DIGITS for byte in text):
        return None
    if len(text) // 2 in KEY_LENGTHS and len(text) % 2 == 0:
        return bytes.fromhex(text.decode("ascii"))
    raise KeyFormatError(f"{source} holds {len(text)} hexadecimal digits; {expected}")


def read_key_file(path: str | os.PathLike[str]) -> bytes:
    """Key from a file: 32 or 64 hexadecimal digits with optional white space around them, or 16 or 32 raw bytes.

    A file of hexadecimal digits only is always read as hexadecimal. No error message shows what the file holds.

    Raises:
        KeyFormatError: the file cannot be read or does not hold a key.
    """
    name = f"key file {os.fspath(path)}"
    try:
        with Path(path).open("rb") as file:
            content = file.read(_MAX_KEY_FILE_BYTES + 1)
    except OSError as error:
        raise KeyFormatError(f"{name} cannot be read: {error.strerror}") from None
    if len(content) > _MAX_KEY_FILE_BYTES:
        raise KeyFormatError(f"{name} holds more than {_MAX_KEY_FILE_BYTES} bytes; {_EXPECTED_IN_FILE}")
    key = _parse_hexadecimal(content, name, _EXPECTED_IN_FILE)
    if key is not None:
        return key
    if len(content) not in KEY_LENGTHS:
        raise KeyFormatError(f"{name} holds {len(content)} bytes that are not a key; {_EXPECTED_IN_FILE}")
    return content


def read_key_environment(name: str = KEY_ENVIRONMENT_VARIABLE) -> bytes:
    """Key from an environment variable, as hexadecimal digits only: a path of 16 or 32 characters is not a key.

    Raises:
        KeyFormatError: the variable is not set or does not hold a key.
    """
    value = os.environb.get(os.fsencode(name))
    if value is None:
        raise KeyFormatError(f"environment variable {name} is not set")
    source = f"environment variable {name}"
    key = _parse_hexadecimal(value, source, _EXPECTED_IN_VARIABLE)
    if key is None:
        raise KeyFormatError(f"{source} holds {len(value)} bytes that are not a key; {_EXPECTED_IN_VARIABLE}")
    return key


def write_key_file(path: str | os.PathLike[str], nbytes: int = 32) -> None:
    """Write a fresh random key, as hexadecimal digits, to a new file that only its owner may read.

    Raises:
        ValueError: `nbytes` is not 16 or 32.
        FileExistsError: the file exists; a key is never overwritten.
    """
    if nbytes not in KEY_LENGTHS:
        raise ValueError(f"a key has 16 or 32 bytes, not {nbytes}")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_hex(nbytes) + "\n")
        file.flush()
        os.fsync(file.fileno())


@dataclass(frozen=True)
class CheckpointKeys:
    """What one sealed checkpoint derives from the user's key and its own salt.

    Attributes:
        tensors: AES-GCM key of every tensor, as long as the user's key.
        table: AES-GCM key of the tensor table, as long as the user's key; used for one message only.
        check: 32 bytes that commit to the user's key; public.
    """

    tensors: bytes = field(repr=False)
    table: bytes = field(repr=False)
    check: bytes = field(repr=False)


def derive_checkpoint_keys(user_key: bytes, salt: bytes) -> CheckpointKeys:
    """Keys of one sealed checkpoint: HKDF-SHA256 (RFC 5869), one `info` string per purpose.

    Args:
        user_key: 16 or 32 bytes.
        salt: 32 random bytes, drawn anew for every sealed checkpoint.

    Raises:
        ValueError: a length is wrong.
    """
    if len(user_key) not in KEY_LENGTHS:
        raise ValueError(f"a key has 16 or 32 bytes, not {len(user_key)}")
    if len(salt) != 32:
        raise ValueError(f"a salt has 32 bytes, not {len(salt)}")

    def derive(purpose: str, length: int) -> bytes:
        info = b"tensortee checkpoint v1 " + purpose.encode("ascii")
        return HKDF(algorithm=SHA256(), length=length, salt=salt, info=info).derive(user_key)

    return CheckpointKeys(
        tensors=derive("tensors", len(user_key)), table=derive("table", len(user_key)), check=derive("check", 32)
    )
