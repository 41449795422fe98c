# SPDX-License-Identifier: Apache-2.0
"""What is in the place of an output, and whether it may be replaced.

A file replaces regular files only, a directory only what its caller knows as its own. `resolve_target` sees to that
before the work begins, and what is there is looked at again when the output is finished, for it may have changed. A
directory is swapped for the new one, looked at, and swapped back if it may not go: no moment is left. A file is looked
at and then replaced by rename(2), the next system call. What takes the place between these two would be lost, unless it
is a directory or a mount point, which rename does not replace.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from tensortee.checkpoint.errors import OutputError

_KINDS = {
    stat.S_IFREG: "a regular file",
    stat.S_IFDIR: "a directory",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
}


def kind_of(mode: int) -> str:
    """What a thing with this `st_mode` is, in words."""
    return _KINDS.get(stat.S_IFMT(mode), "a special file")


def describe(path: Path) -> str:
    """What there is at a path, in words; a link together with what it leads to.

    Raises:
        OSError: there is nothing, or it cannot be seen.
    """
    kind = kind_of(path.stat().st_mode)
    return f"{kind_of(path.lstat().st_mode)} to {kind}" if path.is_symlink() else kind


def resolve_target(path: Path, kind: int) -> Path:
    """Where an output of this name belongs: links are followed, as by `cp`.

    Args:
        path: the name that was given.
        kind: what is to be made, `stat.S_IFREG` or `stat.S_IFDIR`. Nothing of another kind is ever replaced.

    Raises:
        OutputError: something else is there, or a link that leads nowhere.
        OSError: it cannot be seen what is there.
    """
    target = Path(os.path.realpath(path))
    if not path.exists():
        if path.is_symlink():
            raise OutputError(f"{path} is a symbolic link that leads nowhere: choose another name, or remove it")
        return target
    if stat.S_IFMT(path.stat().st_mode) != kind:
        raise OutputError(f"{path} is {describe(path)}, not {_KINDS[kind]}: choose another name")
    if not (target.exists() and target.samefile(path)):
        raise OutputError(f"{path} is an open file without a name: choose another name")
    if os.path.ismount(target):
        raise OutputError(f"{path} is a mount point: choose another name")
    return target


def refuse_other_kind(target: Path) -> None:
    """Look once more before a file is replaced, without following links.

    Raises:
        OutputError: something else than a regular file is there by now.
    """
    with suppress(FileNotFoundError):
        mode = target.lstat().st_mode
        if not stat.S_ISREG(mode):
            raise OutputError(f"{target} is {kind_of(mode)} by now: choose another name")
