# SPDX-License-Identifier: Apache-2.0
"""Output that appears as a whole or not at all, and replaces only what it may (`target`).

Files are written without a name (`O_TMPFILE`) where the file system can do that: a process that dies, even by
`kill -9`, leaves nothing behind, neither gigabytes of ciphertext nor plaintext whose tag was not yet checked. Elsewhere
they carry a hidden temporary name beside the target, and the next run with the same target removes what a dead run
left. Unless told otherwise, everything is on the disk before it gets its name, so that a power failure is no different.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import secrets
import shutil
import stat
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from tensortee.checkpoint.errors import OutputError
from tensortee.checkpoint.target import refuse_other_kind, resolve_target
from tensortee.checkpoint.transfer import write_at

_MARK = ".tensortee-"
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
# Writing back begins while the rest is still being made, in pieces of this many bytes.
_FLUSH_BYTES = 128 << 20


def _temporary(target: Path) -> Path:
    return target.parent / f".{target.name}{_MARK}{secrets.token_hex(8)}"


def _lock(descriptor: int) -> bool:
    """Mark a temporary as owned by this process; the mark goes when the process does. False if another one owns it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def remove_leftovers(target: Path) -> None:
    """Remove the temporaries that a dead run for the same target left; those of a live run stay."""
    for path in target.parent.glob(f".{_glob_escape(target.name)}{_MARK}*"):
        with suppress(OSError):
            kind = stat.S_IFMT(path.lstat().st_mode)
            if kind not in (stat.S_IFREG, stat.S_IFDIR):
                continue
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                if not _lock(descriptor):
                    continue
                if kind == stat.S_IFDIR:
                    shutil.rmtree(path)
                else:
                    path.unlink()
            finally:
                os.close(descriptor)


def _glob_escape(name: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


class NewFile:
    """A file under construction. It has no name of its own until it is published, and vanishes if it never is.

    Args:
        target: the path, or the directory to be, that it is made for; the file is made on the same file system.
        durable: have it on the disk before it is published. Without, a crash of the program is still harmless, but
            after a power failure the published file may be incomplete.
        mode: its permissions from the first moment on, less those that the umask takes.

    Raises:
        OutputError: the directory of the target does not exist or cannot be written.
    """

    def __init__(self, target: Path, *, durable: bool = True, mode: int = 0o666) -> None:
        self.durable = durable
        self._path: Path | None = None
        self._flusher: threading.Thread | None = None
        self._unflushed = 0
        self._guard = threading.Lock()
        directory = target.parent
        try:
            self.descriptor = self._open_unnamed(directory, mode)
            if self.descriptor < 0:
                self._path = _temporary(target)
                self.descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
                _lock(self.descriptor)
        except OSError as error:
            raise OutputError(f"{directory}: no file can be made there: {error.strerror}") from None

    @staticmethod
    def _open_unnamed(directory: Path, mode: int) -> int:
        """Descriptor of a file without a name, or -1 where that does not exist."""
        flag = getattr(os, "O_TMPFILE", None)
        if flag is None or not Path("/proc/self/fd").is_dir():
            return -1
        try:
            return os.open(directory, flag | os.O_RDWR, mode)
        except OSError as error:
            if error.errno in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT) and directory.is_dir():
                return -1
            raise

    def written(self, nbytes: int) -> None:
        """Note that `nbytes` more were written; every now and then this starts writing them back in the background."""
        if not self.durable:
            return
        with self._guard:
            self._unflushed += nbytes
            if self._unflushed >= _FLUSH_BYTES and (self._flusher is None or not self._flusher.is_alive()):
                self._unflushed = 0
                self._flusher = threading.Thread(target=self._flush_quietly, name="write-back")
                self._flusher.start()

    def _flush_quietly(self) -> None:
        with suppress(OSError):  # the flush before publishing meets the same error and reports it
            os.fdatasync(self.descriptor)

    def flush(self) -> None:
        """Wait until the content is on the disk, if it is to be durable."""
        if self._flusher is not None:
            self._flusher.join()
        if self.durable:
            os.fsync(self.descriptor)

    def link(self, path: Path) -> None:
        """Give the file a name that does not exist yet.

        Raises:
            FileExistsError: it exists.
        """
        if self._path is not None:
            self._link_named(self._path, path)
            return
        # Only linkat(2) follows the link in /proc, and Python calls it only if a directory descriptor is given.
        here = os.open(".", os.O_RDONLY)
        try:
            os.link(f"/proc/self/fd/{self.descriptor}", path.absolute(), src_dir_fd=here, follow_symlinks=True)
        finally:
            os.close(here)

    @staticmethod
    def _link_named(source: Path, path: Path) -> None:
        try:
            os.link(source, path)
        except OSError as error:
            # FAT and some network file systems have no second names: the file gets its only one then.
            if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS):
                raise
            if path.exists():
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
            source.rename(path)

    def close(self) -> None:
        """Drop the file; only names it was published under stay."""
        if self.descriptor < 0:
            return
        if self._flusher is not None:
            self._flusher.join()
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        os.close(self.descriptor)
        self.descriptor = -1

    def __enter__(self) -> NewFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _not_placed(target: Path, error: OSError) -> OutputError:
    if error.errno == errno.EBUSY:  # one that only the system knows, such as a directory bound to another one beside it
        return OutputError(f"{target} is a mount point: choose another name")
    return OutputError(f"{target} cannot be put into place: {error.strerror}")


def publish_file(file: NewFile, target: Path, *, replace: bool) -> None:
    """Give a finished file its name.

    Raises:
        OutputError: the target exists and `replace` is false, or it is no regular file.
    """
    file.flush()
    try:
        if replace:
            temporary = _temporary(target)
            file.link(temporary)
            try:
                refuse_other_kind(target)
                temporary.replace(target)
            except BaseException:
                temporary.unlink()
                raise
        else:
            file.link(target)
        if file.durable:
            _sync_directory(target.parent)
    except FileExistsError:
        raise OutputError(f"{target} exists already: choose another name") from None
    except OSError as error:
        raise _not_placed(target, error) from None


def write_file(path: Path, content: bytes, *, durable: bool = False) -> None:
    """Write a small file, whole or not at all, in place of what has its name.

    Raises:
        OutputError: it cannot be made, or something else than a regular file has its name.
        OSError: writing fails.
    """
    target = resolve_target(path, stat.S_IFREG)
    with NewFile(target, durable=durable) as file:
        write_at(file.descriptor, content, 0)
        publish_file(file, target, replace=True)


def publish_directory(
    files: Mapping[str, NewFile], target: Path, *, ours: Callable[[Path], bool] | None = None, mode: int = 0o777
) -> None:
    """Make a directory of finished files appear at once.

    Args:
        files: each file by its name in the directory.
        target: the directory; it must not exist, or be empty, or be replaced.
        ours: true for a directory that may be replaced: it is swapped for the new one and removed. Default: none may.
        mode: permissions of the directory, less those that the umask takes.

    Raises:
        OutputError: the target exists and may not be replaced, or the file system cannot swap directories.
    """
    durable = any(file.durable for file in files.values())
    for file in files.values():
        file.flush()
    staging = _temporary(target)
    descriptor = -1
    removable = True
    try:
        staging.mkdir(mode)
        descriptor = os.open(staging, os.O_RDONLY)
        _lock(descriptor)
        for name, file in files.items():
            file.link(staging / name)
        if durable:
            os.fsync(descriptor)
        try:
            staging.rename(target)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
            if ours is None or error.errno == errno.ENOTDIR:
                raise OutputError(f"{target} exists already: choose another name") from None
            _exchange(staging, target)
            removable = ours(staging)
            if not removable:
                _exchange(staging, target)
                removable = True
                raise OutputError(f"{target} holds other files by now: choose another directory") from None
        if durable:
            _sync_directory(target.parent)
    except OSError as error:
        raise _not_placed(target, error) from None
    finally:
        if removable:
            shutil.rmtree(staging, ignore_errors=True)
        if descriptor >= 0:
            os.close(descriptor)


def _exchange(first: Path, second: Path) -> None:
    """Swap two directories in one step, renameat2(2).

    Raises:
        OutputError: the system or the file system has no such step.
    """
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    code = errno.ENOSYS
    if function is not None:
        if function(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE) == 0:
            return
        code = ctypes.get_errno()
    raise OutputError(
        f"{second} cannot be replaced in one step here ({os.strerror(code)}): remove it first, or choose another name"
    )
