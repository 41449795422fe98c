# SPDX-License-Identifier: Apache-2.0
"""Where a command writes to."""

import os
from contextlib import suppress
from pathlib import Path

import typer

from tensortee.checkpoint import OutputError


def output_path(text: str) -> Path:
    """The output that the command line names. An empty name, of an unset variable, is not the current directory.

    Raises:
        typer.BadParameter: it is empty.
    """
    if not text:
        raise typer.BadParameter("the name is empty (an unset variable?): give the name of what to make")
    return Path(text)


def check_target(path: Path, key_file: Path | None = None) -> None:
    """Refuse standard output, for what these commands make is no stream, and the key file, which would be lost.

    Raises:
        OutputError: it is `-`, the file that standard output goes to, or the key file.
    """
    if str(path) == "-" or _is_standard_output(path):
        raise OutputError("standard output cannot be used: give the name of what to make")
    if key_file is not None and path.exists() and key_file.exists() and path.samefile(key_file):
        raise OutputError(f"{path} is the key file: choose another name")


def _is_standard_output(path: Path) -> bool:
    """True for the file that standard output goes to, by whatever name."""
    with suppress(OSError):
        return os.path.samestat(path.stat(), os.fstat(1))
    return False
