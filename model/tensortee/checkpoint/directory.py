# SPDX-License-Identifier: Apache-2.0
"""What a directory holds, by the names in it."""

from __future__ import annotations

from pathlib import Path
from stat import S_ISREG

from tensortee.checkpoint.errors import OutputError
from tensortee.checkpoint.layout import MANIFEST_NAME, data_file_name


def is_sealed_checkpoint(path: Path) -> bool:
    """True for a directory that holds a manifest and data files, each a file and no link, and nothing else."""
    entries = list(path.iterdir()) if path.is_dir() else []
    expected = {MANIFEST_NAME} | {data_file_name(index) for index in range(len(entries) - 1)}
    return {entry.name for entry in entries} == expected and all(S_ISREG(entry.lstat().st_mode) for entry in entries)


def holds_data_files(directory: Path) -> bool:
    """True for a directory with data files, whether or not their manifest is there."""
    return any(directory.glob("data-*.ttee"))


def refuse_sealed_parent(target: Path) -> None:
    """Keep output out of sealed checkpoints, which would not be authentic any more.

    Raises:
        OutputError: the directory that `target` is to be made in holds a sealed checkpoint.
    """
    if (target.parent / MANIFEST_NAME).exists() or holds_data_files(target.parent):
        raise OutputError(f"{target.parent} holds a sealed checkpoint: choose another directory")
