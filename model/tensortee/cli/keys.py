# SPDX-License-Identifier: Apache-2.0
"""Keys: `tensortee keygen`, and the option of every command that needs a key."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import Annotated

import typer

from tensortee.checkpoint.keys import (
    KEY_ENVIRONMENT_VARIABLE,
    KeyFormatError,
    read_key_environment,
    read_key_file,
    write_key_file,
)
from tensortee.cli.errors import reporting
from tensortee.cli.target import check_target

KeyFile = Annotated[
    Path | None,
    typer.Option(
        help=f"Key: 32 or 64 hexadecimal digits, or 16 or 32 raw bytes. Default: variable {KEY_ENVIRONMENT_VARIABLE}."
    ),
]


def read_key(key_file: Path | None) -> bytes:
    """The key of the option, else that of the environment variable.

    Raises:
        KeyFormatError: there is none, or it is not a key.
    """
    if key_file is not None:
        _warn_if_shared(key_file)
        return read_key_file(key_file)
    if KEY_ENVIRONMENT_VARIABLE not in os.environ:
        raise KeyFormatError(
            f"no key: give --key-file, or set the environment variable {KEY_ENVIRONMENT_VARIABLE} "
            "(`tensortee keygen FILE` makes a key)"
        )
    return read_key_environment()


def _warn_if_shared(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except OSError:
        return  # reading the file reports it
    if stat.S_ISREG(mode) and mode & (stat.S_IRGRP | stat.S_IROTH):
        print(f"warning: other users can read the key file {path}; chmod 600 it", file=sys.stderr)


def keygen(
    file: Annotated[Path, typer.Argument(help="File to make; it must not exist.")],
    bits: Annotated[int, typer.Option(help="128 or 256.")] = 256,
) -> None:
    """Write a fresh random key to a new file. Only you can read it."""
    with reporting(as_json=False):
        if bits not in (128, 256):
            raise KeyFormatError(f"a key has 128 or 256 bits, not {bits}")
        check_target(file)
        write_key_file(file, bits // 8)
        print(f"{file}: new AES-{bits} key; without it, what you seal is lost")
