# SPDX-License-Identifier: Apache-2.0
"""What a directory holds, by the names in it."""

from __future__ import annotations

from pathlib import Path

from tensortee.checkpoint.errors import OutputError
from tensortee.checkpoint.layout import MANIFEST_NAME, data_file_name


def is_sealed_checkpoint(path: Path) -> bool:
    """True for a directory that holds a manifest and data files and nothing else."""
    if not (path / MANIFEST_NAME).is_file():
        return False
    names = {entry.name for entry in path.iterdir()} - {MANIFEST_NAME}
    return names == {data_file_name(index) for index in range(len(names))}


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
