# SPDX-License-Identifier: Apache-2.0
"""Output appears whole or not at all: a process killed before each system call, at random times, or out of disk."""

from __future__ import annotations

import errno
import itertools
import os
import random
import resource
import shutil
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tensortee.checkpoint import (
    OutputError,
    SourceError,
    seal_checkpoint,
    unseal_checkpoint,
    verify_checkpoint,
)
from tensortee.checkpoint.atomic import NewFile
from tensortee.checkpoint.batches import Batch, run_batches

from tests.model.checkpoint_crash import spawn
from tests.model.checkpoint_files import TEST_KEY_128, safetensors_bytes, write_model, write_sharded

TENSORS = {f"t{i}": ("U8", (3000 * i,)) for i in range(3)}
NEWER_SEED = 7


def _leftovers(directory: Path) -> list[Path]:
    return [path for path in directory.iterdir() if ".tensortee-" in path.name]


def _state(action: str, directory: Path, old: bytes, new: bytes) -> str:
    """Which state the output is in: nothing, old or new; anything else fails the test."""
    out = directory / "out"
    if not out.exists():
        return "nothing"
    if action == "seal":
        report = verify_checkpoint(out, TEST_KEY_128)
        assert report.ok, report.problems
        unseal_checkpoint(out, directory / "check", TEST_KEY_128, durable=False)
        content = (directory / "check").read_bytes()
        (directory / "check").unlink()
    else:
        content = out.read_bytes()
    assert content in (old, new)
    return "new" if content == new else "old"


@pytest.mark.parametrize("named", [False, True], ids=["unnamed", "named"])
@pytest.mark.parametrize("existing", [False, True], ids=["fresh", "replace"])
@pytest.mark.parametrize("action", ["seal", "unseal"])
def test_killed_before_every_system_call(tmp_path: Path, action: str, existing: bool, named: bool) -> None:
    old, new = safetensors_bytes(TENSORS), safetensors_bytes(TENSORS, seed=NEWER_SEED)
    source = tmp_path / "m.safetensors"
    source.write_bytes(old)
    if existing and action == "seal":
        seal_checkpoint(source, tmp_path / "out", TEST_KEY_128)
    elif existing:
        (tmp_path / "out").write_bytes(old)
    source.write_bytes(new)
    seal_checkpoint(source, tmp_path / "sealed", TEST_KEY_128)
    before = "old" if existing else "nothing"
    killed = 0
    for kill_at in range(1, 1000):
        directory = tmp_path / f"run{kill_at}"
        directory.mkdir()
        for path in tmp_path.iterdir():
            if path.is_file():
                shutil.copy(path, directory)
            elif path.name in ("out", "sealed"):
                shutil.copytree(path, directory / path.name)
        process = spawn(action, directory, named, kill_at)
        process.join()
        state = _state(action, directory, old, new)
        if process.exitcode == 0:
            assert state == "new"
            assert not _leftovers(directory)
            break
        assert process.exitcode == -signal.SIGKILL
        killed += 1
        assert state in (before, "new")
        if not named:
            # Without a name, nothing but the moment of publishing can leave anything.
            assert len(_leftovers(directory)) <= 1
        process = spawn(action, directory, named, 0)
        process.join()
        assert process.exitcode == 0
        assert _state(action, directory, old, new) == "new"
        assert not _leftovers(directory)
        shutil.rmtree(directory)
    assert killed >= 5


@pytest.mark.parametrize("named", [False, True], ids=["unnamed", "named"])
def test_killed_at_random_times(tmp_path: Path, named: bool) -> None:
    tensors = {f"t{i}": ("U8", (1 << 22,)) for i in range(8)}
    source = write_model(tmp_path / "m.safetensors", tensors)
    old = source.read_bytes()
    seal_checkpoint(source, tmp_path / "out", TEST_KEY_128)
    new = write_model(source, tensors, seed=NEWER_SEED).read_bytes()
    rng = random.Random(1)
    exits = set()
    for _ in range(12):
        process = spawn("seal", tmp_path, named, 0)
        time.sleep(rng.uniform(0, 0.25))
        process.kill()
        process.join()
        exits.add(process.exitcode)
        assert _state("seal", tmp_path, old, new) in ("old", "new")
    assert -signal.SIGKILL in exits
    seal_checkpoint(source, tmp_path / "out", TEST_KEY_128, replace_existing=True)
    assert _state("seal", tmp_path, old, new) == "new"
    assert not _leftovers(tmp_path)


def test_leftovers_of_a_live_run_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second run for the same output must not pull the file from under the first."""
    monkeypatch.setattr(NewFile, "_open_unnamed", staticmethod(lambda *_arguments: -1))
    source = write_model(tmp_path / "m.safetensors", TENSORS)
    with NewFile(tmp_path / "out") as live:
        assert len(_leftovers(tmp_path)) == 1
        seal_checkpoint(source, tmp_path / "out", TEST_KEY_128)
        assert len(_leftovers(tmp_path)) == 1
        assert live.descriptor >= 0
    assert not _leftovers(tmp_path)


def test_leftovers_of_other_outputs_stay(tmp_path: Path) -> None:
    source = write_model(tmp_path / "m.safetensors", TENSORS)
    other = tmp_path / ".outer.tensortee-0123456789abcdef"
    mine = tmp_path / ".out.tensortee-0123456789abcdef"
    for path in (other, mine):
        path.write_bytes(b"left by a dead run")
    seal_checkpoint(source, tmp_path / "out", TEST_KEY_128)
    assert other.exists()
    assert not mine.exists()


@pytest.mark.parametrize("named", [False, True], ids=["unnamed", "named"])
def test_disk_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: bool) -> None:
    """A write that fails in the middle: the error is passed on, the output does not appear."""
    if named:
        monkeypatch.setattr(NewFile, "_open_unnamed", staticmethod(lambda *_arguments: -1))
    source = write_model(tmp_path / "m.safetensors", {"a": ("U8", (1 << 20,)), "b": ("U8", (1 << 21,))})
    seal_checkpoint(source, tmp_path / "sealed", TEST_KEY_128)
    before = sorted(tmp_path.iterdir())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3 << 20, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            seal_checkpoint(source, tmp_path / "out", TEST_KEY_128)
        with pytest.raises(OSError, match="File too large"):
            unseal_checkpoint(tmp_path / "sealed", tmp_path / "opened", TEST_KEY_128)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert sorted(tmp_path.iterdir()) == before


def test_no_atomic_exchange_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where directories cannot be swapped in one step, the old state stays and the message says what to do."""
    source = write_model(tmp_path / "m.safetensors", TENSORS)
    seal_checkpoint(source, tmp_path / "out", TEST_KEY_128)
    before = (tmp_path / "out" / "checkpoint.ttee").read_bytes()
    monkeypatch.setattr("ctypes.CDLL", lambda *_args, **_kwargs: object())
    with pytest.raises(OutputError, match="remove it first"):
        seal_checkpoint(source, tmp_path / "out", TEST_KEY_128, replace_existing=True)
    assert (tmp_path / "out" / "checkpoint.ttee").read_bytes() == before
    assert not _leftovers(tmp_path)


def test_file_system_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FAT and the like: neither files without a name nor second names."""

    def refuse(*_args: object, **_kwargs: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(NewFile, "_open_unnamed", staticmethod(lambda *_arguments: -1))
    monkeypatch.setattr(os, "link", refuse)
    source = write_model(tmp_path / "m.safetensors", TENSORS)
    seal_checkpoint(source, tmp_path / "out", TEST_KEY_128)
    unseal_checkpoint(tmp_path / "out", tmp_path / "opened", TEST_KEY_128)
    assert (tmp_path / "opened").read_bytes() == source.read_bytes()
    unseal_checkpoint(tmp_path / "out", tmp_path / "opened", TEST_KEY_128, replace_existing=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.safetensors", "opened", "out"]


@pytest.mark.parametrize("durable", [False, True])
def test_output_is_on_the_disk_before_it_appears(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durable: bool
) -> None:
    """Every file that gets its name was flushed before, and the directory after, unless asked not to wait."""
    source = write_model(tmp_path / "m.safetensors", TENSORS)
    events: list[str] = []
    flushed: set[int] = set()
    sync, rename, link = os.fsync, os.rename, os.link

    def record_sync(descriptor: int) -> None:
        flushed.add(os.fstat(descriptor).st_ino)
        events.append("sync")
        sync(descriptor)

    def record_link(*args: Any, **kwargs: Any) -> None:
        events.append("link")
        link(*args, **kwargs)

    def record_rename(*args: Any, **kwargs: Any) -> None:
        events.append("rename")
        rename(*args, **kwargs)

    monkeypatch.setattr(os, "fsync", record_sync)
    monkeypatch.setattr(os, "link", record_link)
    monkeypatch.setattr(os, "rename", record_rename)
    seal_checkpoint(source, tmp_path / "out", TEST_KEY_128, durable=durable)
    assert events.count("link") == 2
    assert events[-2:] == (["rename", "sync"] if durable else ["link", "rename"])
    assert events[0] == ("sync" if durable else "link")
    files = {path.stat().st_ino for path in (tmp_path / "out").iterdir()}
    assert (files <= flushed) == durable


def test_target_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    source = write_model(tmp_path / "m.safetensors", TENSORS)

    def intrude(done: int, total: int) -> None:
        if done == total:
            (tmp_path / "out").mkdir(exist_ok=True)
            (tmp_path / "out" / "file").write_text("mine")

    with pytest.raises(OutputError, match="exists already"):
        seal_checkpoint(source, tmp_path / "out", TEST_KEY_128, progress=intrude)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["file"]
    assert not _leftovers(tmp_path)


@pytest.mark.parametrize("change", ["append", "rewrite", "truncate"])
def test_source_that_changes_meanwhile_is_refused(tmp_path: Path, change: str) -> None:
    source = write_model(tmp_path / "m.safetensors", {f"t{i}": ("U8", (1 << 20,)) for i in range(4)})

    def meddle(done: int, _total: int) -> None:
        if done:
            with source.open("r+b") as file:
                if change == "truncate":
                    file.truncate(1 << 20)
                else:
                    file.seek(0, os.SEEK_END if change == "append" else os.SEEK_SET)
                    file.write(b"x")

    with pytest.raises(SourceError, match="while it was being sealed"):
        seal_checkpoint(source, tmp_path / "out", TEST_KEY_128, progress=meddle, threads=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.safetensors"]


def test_sharded_output_appears_whole(tmp_path: Path) -> None:
    """Shards that are opened into a directory appear together, or, after damage, not at all."""
    seal_checkpoint(write_sharded(tmp_path / "model"), tmp_path / "sealed", TEST_KEY_128)
    data = tmp_path / "sealed" / "data-00002.ttee"
    content = bytearray(data.read_bytes())
    content[4096] ^= 1
    data.write_bytes(content)
    with pytest.raises(Exception, match=r"data-00002.ttee: tensor layer\.2\.1"):
        unseal_checkpoint(tmp_path / "sealed", tmp_path / "opened", TEST_KEY_128)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "sealed"]
    content[4096] ^= 1
    data.write_bytes(content)
    unseal_checkpoint(tmp_path / "sealed", tmp_path / "opened", TEST_KEY_128)
    with pytest.raises(OutputError, match="exists already"):
        unseal_checkpoint(tmp_path / "sealed", tmp_path / "opened", TEST_KEY_128, replace_existing=True)
    assert len(list((tmp_path / "opened").iterdir())) == 4


def test_interrupt_while_threads_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C between the start of one worker and the next stops the one that runs."""
    stopped: list[bool] = []

    def make_worker(stop: threading.Event) -> Callable[[Batch], None]:
        return lambda _batch: stopped.append(stop.wait(30))

    submit = ThreadPoolExecutor.submit
    calls = itertools.count()

    def interrupted(pool: ThreadPoolExecutor, work: Callable[[], None]) -> Future[None]:
        if next(calls):
            raise KeyboardInterrupt
        return submit(pool, work)

    monkeypatch.setattr(ThreadPoolExecutor, "submit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_batches([Batch(0, (), 0)], make_worker, 2)
    assert stopped == [True]


def test_interrupt_that_a_worker_receives() -> None:
    """The system may hand a signal to any thread, and the main thread must notice all the same."""
    stopped: list[bool] = []

    def make_worker(stop: threading.Event) -> Callable[[Batch], None]:
        def work(_batch: Batch) -> None:
            time.sleep(0.05)  # until the main thread waits
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)
            stopped.append(stop.wait(30))

        return work

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores SIGINT
    try:
        with pytest.raises(KeyboardInterrupt):
            run_batches([Batch(0, (), 0)], make_worker, 1)
    finally:
        signal.signal(signal.SIGINT, before)
    assert stopped == [True]
