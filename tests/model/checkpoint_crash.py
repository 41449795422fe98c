# SPDX-License-Identifier: Apache-2.0
"""Child processes of the crash tests; a module of its own, so that starting one needs no test framework."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from tensortee.checkpoint import seal_checkpoint, unseal_checkpoint
from tensortee.checkpoint.atomic import NewFile

from tests.model.checkpoint_files import TEST_KEY_128

# Whatever changes the file system, as the os module and pathlib offer it.
SYSTEM_CALLS = ("open", "pwrite", "fsync", "fdatasync", "link", "mkdir", "rename", "replace", "unlink", "rmdir")


def _run(action: str, directory: Path, named: bool, kill_at: int) -> None:
    """Seal or open, and die by SIGKILL before system call number `kill_at`."""
    if named:
        setattr(NewFile, "_open_unnamed", staticmethod(lambda *_arguments: -1))  # noqa: B010 - a patch, not a method
    count = 0
    guard = threading.Lock()

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            with guard:
                count += 1
                if count == kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return call

    # The page cache outlives a killed process: flushing would only take time here.
    for name in SYSTEM_CALLS:
        setattr(os, name, counted((lambda _descriptor: None) if "sync" in name else getattr(os, name)))
    if action == "seal":
        seal_checkpoint(directory / "m.safetensors", directory / "out", TEST_KEY_128, replace_existing=True, threads=2)
    else:
        unseal_checkpoint(directory / "sealed", directory / "out", TEST_KEY_128, replace_existing=True, threads=2)


def spawn(action: str, directory: Path, named: bool, kill_at: int) -> ForkServerProcess:
    """A process that seals or opens in `directory`, with or without named temporaries; it never dies for 0."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "numpy"])
    process = context.Process(target=_run, args=(action, directory, named, kill_at))
    process.start()
    return process
