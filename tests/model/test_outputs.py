# SPDX-License-Identifier: Apache-2.0
"""What an output may replace, and who may read it: every command that writes, over everything that can be in its place.

Devices are made in the test's own folder; where that is not permitted, a pseudo-terminal stands for them, in a folder
in which nothing can be made or replaced. No test names a device that the machine needs.
"""

from __future__ import annotations

import errno
import os
import pty
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tensortee import FileCounter
from tensortee.checkpoint import OutputError, bench, seal_checkpoint, unseal_checkpoint
from tensortee.checkpoint.atomic import NewFile, write_file
from tensortee.checkpoint.keys import write_key_file
from tensortee.checkpoint.target import kind_of
from tensortee.cli import app
from tensortee.study.report.results import ResultError, RunResults, read_results, write_files
from typer.testing import CliRunner, Result

from tests.model.checkpoint_files import TEST_KEY_128, write_model, write_sharded

QUESTION = "workload: {model: GPT}\nmode: npu-training\nbatch: 1\nschemes: [mgx]\n"
DATA = "data-00000.ttee"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a model and a sharded one, both sealed, and questions for the study; the key is set."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TENSORTEE_KEY", TEST_KEY_128.hex())
    write_model(tmp_path / "m.safetensors", {f"layer.{i}": ("F32", (i, 40)) for i in range(5)})
    seal_checkpoint(tmp_path / "m.safetensors", tmp_path / "sealed", TEST_KEY_128, durable=False)
    seal_checkpoint(write_sharded(tmp_path / "model"), tmp_path / "shards", TEST_KEY_128, durable=False)
    (tmp_path / "q.yaml").write_text(QUESTION)
    (tmp_path / "sweep.yaml").write_text(QUESTION + "sweep: {system.npu.array_rows: [64]}\n")
    (tmp_path / "into").mkdir()
    return tmp_path


@contextmanager
def umask(mask: int) -> Iterator[None]:
    """The process's umask for a while."""
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def run(*arguments: str | Path) -> Result:
    """Run a command in this process. An exception that a user would see as a traceback fails the test."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def refusal(result: Result) -> str:
    """The one line of error that a command which cannot be carried out prints."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    return line


def tree(folder: Path) -> dict[str, tuple[object, ...]]:
    """Everything below a folder as it is now, without following links; of directories not the time of change."""
    found: dict[str, tuple[object, ...]] = {}
    for parent, directories, files in os.walk(folder):
        for name in (*directories, *files):
            path = os.path.join(parent, name)  # noqa: PTH118 - a name, whatever it leads to
            status = os.lstat(path)
            changed = 0 if stat.S_ISDIR(status.st_mode) else status.st_mtime_ns
            link = str(Path(path).readlink()) if stat.S_ISLNK(status.st_mode) else ""
            found[path] = (status.st_mode, status.st_ino, status.st_size, changed, link)
    return found


# What can be in the place of an output, each with what the error calls it.

OPEN: list[int] = []
"""Descriptors and sockets that keep what a maker made alive until the test ends."""


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    yield
    while OPEN:
        os.close(OPEN.pop())


def make_pipe(path: Path) -> str:
    os.mkfifo(path)
    return "a pipe"


def make_socket(path: Path) -> str:
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(path.parent)  # a path of a socket is short
        server.bind(path.name)
        os.chdir(here)
    return "a socket"


def make_device(path: Path) -> str:
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))
    except PermissionError:
        return make_terminal(path)
    return "a character device"


def make_terminal(path: Path) -> str:
    OPEN.extend(pty.openpty())
    path.symlink_to(os.ttyname(OPEN[-1]))
    return "a symbolic link to a character device"


def make_descriptor(path: Path) -> str:
    """As `/dev/stdout` is when the output goes through a pipe."""
    OPEN.extend(os.pipe())
    path.symlink_to(f"/dev/fd/{OPEN[-1]}")
    return "a symbolic link to a pipe"


def make_nameless(path: Path) -> str:
    """As `/dev/stdout` is when the output goes to a file that was removed."""
    lost = path.with_name("lost")
    OPEN.append(os.open(lost, os.O_RDWR | os.O_CREAT))
    lost.unlink()
    path.symlink_to(f"/dev/fd/{OPEN[-1]}")
    return "an open file without a name"


def make_link_to_pipe(path: Path) -> str:
    make_pipe(path.with_name("pipe"))
    path.symlink_to("pipe")
    return "a symbolic link to a pipe"


def make_link_of_links(path: Path) -> str:
    make_device(path.with_name("device"))
    path.with_name("middle").symlink_to("device")
    path.symlink_to("middle")
    return "a symbolic link to a character device"


def make_dangling(path: Path) -> str:
    path.symlink_to("nothing")
    return "a symbolic link that leads nowhere"


def make_loop(path: Path) -> str:
    path.symlink_to(path.name)
    return "a symbolic link that leads nowhere"


def make_file(path: Path) -> str:
    path.write_text("mine")
    return "a regular file"


def make_link_to_file(path: Path) -> str:
    make_file(path.with_name("mine"))
    path.symlink_to("mine")
    return "a symbolic link to a regular file"


def make_directory(path: Path) -> str:
    path.mkdir()
    return "a directory"


def make_home(path: Path) -> str:
    path.mkdir()
    (path / "thesis.tex").write_text("years of work")
    return "other files"


def make_link_to_home(path: Path) -> str:
    make_home(path.with_name("home"))
    path.symlink_to("home")
    return "other files"


def make_almost_sealed(path: Path) -> str:
    """The names of a sealed checkpoint, but one of them is a directory."""
    (path / DATA).mkdir(parents=True)
    (path / "checkpoint.ttee").write_bytes(b"")
    (path / DATA / "thesis.tex").write_text("years of work")
    return "other files"


SPECIAL = [
    make_pipe,
    make_socket,
    make_device,
    make_terminal,
    make_descriptor,
    make_link_to_pipe,
    make_link_of_links,
    make_dangling,
    make_loop,
]
NEW_DIRECTORY = [
    ("seal", "m.safetensors", "-o", "OUT"),
    ("seal", "m.safetensors", "-o", "OUT", "--force"),
    ("unseal", "shards", "-o", "OUT"),
    ("unseal", "shards", "-o", "OUT", "--force"),
]
NEW_FILE = [
    ("unseal", "sealed", "-o", "OUT"),
    ("unseal", "sealed", "-o", "OUT", "--force"),
    ("unseal", "sealed", "-o", "OUT", "--force", "--no-sync"),
    ("study", "run", "q.yaml", "--html", "OUT"),
    ("study", "sweep", "sweep.yaml", "--jobs", "1", "--html", "OUT"),
]
FOLDER = [
    ("study", "paper", "-o", "OUT"),
    ("study", "run", "q.yaml", "-o", "OUT"),
    ("study", "sweep", "sweep.yaml", "--jobs", "1", "-o", "OUT"),
    ("study", "sweep", "sweep.yaml", "--jobs", "1", "--cache", "OUT"),
]
CASES = [
    *((command, make) for command in (*NEW_FILE, *NEW_DIRECTORY, *FOLDER) for make in SPECIAL),
    *((command, make_nameless) for command in NEW_FILE),
    *((command, make_directory) for command in NEW_FILE if command[0] == "study"),
    *((command, make) for command in (*NEW_DIRECTORY, *FOLDER) for make in (make_file, make_link_to_file)),
    *((command, make) for command in NEW_DIRECTORY[:2] for make in (make_home, make_link_to_home, make_almost_sealed)),
]


def case_name(value: object) -> str:
    """Name of a parameter of these tests."""
    return "-".join(value) if isinstance(value, tuple) else getattr(value, "__name__", str(value))


@pytest.mark.parametrize(("command", "make"), CASES, ids=case_name)
def test_only_what_is_ours_is_replaced(place: Path, command: tuple[str, ...], make: Callable[[Path], str]) -> None:
    """The error names the path and its kind and says what to do, and nothing has changed."""
    kind = make(place / "out")
    before = tree(place)
    line = refusal(run(*(word.replace("OUT", "out") for word in command)))
    assert "out " in line
    assert kind in line
    assert "choose another" in line
    assert tree(place) == before


@pytest.mark.parametrize("make", [*SPECIAL, make_nameless, make_directory], ids=case_name)
def test_a_directory_as_output_is_looked_into(place: Path, make: Callable[[Path], str]) -> None:
    """Opened into a directory, a checkpoint has its old name, and something may be there."""
    kind = make(place / "into" / "m.safetensors")
    before = tree(place)
    line = refusal(run("unseal", "sealed", "-o", "into", "--force"))
    assert "m.safetensors " in line
    assert kind in line
    assert tree(place) == before


@pytest.mark.parametrize("make", [*SPECIAL, make_nameless, make_file, make_directory], ids=case_name)
def test_a_key_replaces_nothing(place: Path, make: Callable[[Path], str]) -> None:
    make(place / "out")
    before = tree(place)
    line = refusal(run("keygen", "out"))
    assert "out: " in line
    assert kind_of((place / "out").lstat().st_mode) in line
    assert "choose another name" in line
    assert tree(place) == before


@pytest.mark.parametrize("command", [NEW_DIRECTORY[1], NEW_DIRECTORY[3]], ids=case_name)
def test_mount_points_are_named(place: Path, command: tuple[str, ...]) -> None:
    assert place.is_dir()
    assert "/proc is a mount point: choose another name" in refusal(
        run(*(word.replace("OUT", "/proc") for word in command))
    )


@pytest.mark.parametrize("command", [NEW_FILE[1], NEW_DIRECTORY[1], NEW_DIRECTORY[3]], ids=case_name)
def test_mount_points_that_only_the_system_knows(
    place: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    """One that is bound from the same file system looks like any other file or directory until it is renamed."""

    def busy(*_arguments: object) -> None:
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    before = tree(place)
    monkeypatch.setattr(os, "rename", busy)
    monkeypatch.setattr(os, "replace", busy)
    assert "out is a mount point: choose another name" in refusal(
        run(*(word.replace("OUT", "out") for word in command))
    )
    assert tree(place) == before


@pytest.mark.parametrize("name", ["/dev/stdout", "out"])
def test_the_file_that_standard_output_goes_to(place: Path, name: str) -> None:
    """As in `tensortee unseal sealed -o out --force > out`."""
    with (place / "out").open("w") as file:
        before = tree(place)
        command = [sys.executable, "-m", "tensortee", "unseal", "sealed", "-o", name, "--force"]
        done = subprocess.run(command, check=False, stdout=file, stderr=subprocess.PIPE, text=True, cwd=place)
    assert done.stderr == "error: standard output cannot be used: give the name of what to make\n"
    assert done.returncode == 2
    assert tree(place) == before


@pytest.mark.parametrize("command", [NEW_FILE[1], NEW_DIRECTORY[1], NEW_DIRECTORY[3]], ids=case_name)
@pytest.mark.parametrize(
    ("make", "message"),
    [(make_pipe, "make it first"), (make_loop, "make it first"), (None, "no file can be made there")],
    ids=["pipe", "loop", "unwritable"],
)
def test_where_nothing_can_be_made(
    place: Path, command: tuple[str, ...], make: Callable[[Path], str] | None, message: str
) -> None:
    folder = "/proc/self"
    if make is not None:
        make(place / "folder")
        folder = "folder"
    before = tree(place)
    assert message in refusal(run(*(word.replace("OUT", f"{folder}/out") for word in command)))
    assert tree(place) == before


@pytest.mark.parametrize("command", [("seal", "m.safetensors"), ("unseal", "sealed")])
def test_an_empty_name_is_not_the_current_directory(place: Path, command: tuple[str, ...]) -> None:
    before = tree(place)
    result = run(*command, "-o", "", "--force")
    assert result.exit_code == 2
    assert "the name is empty" in result.stderr
    assert tree(place) == before


def test_bench_refuses_before_it_measures(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_pipe(place / "out")
    before = tree(place)
    with pytest.raises(SystemExit):
        bench.main(["-o", "out"])
    assert "out is a pipe" in capsys.readouterr().err
    assert tree(place) == before


@pytest.mark.parametrize(
    ("format_bits", "name"),
    [
        (stat.S_IFREG, "a regular file"),
        (stat.S_IFDIR, "a directory"),
        (stat.S_IFLNK, "a symbolic link"),
        (stat.S_IFIFO, "a pipe"),
        (stat.S_IFSOCK, "a socket"),
        (stat.S_IFCHR, "a character device"),
        (stat.S_IFBLK, "a block device"),
    ],
)
def test_kinds_have_names(format_bits: int, name: str) -> None:
    assert kind_of(format_bits | 0o640) == name


# Links are followed, as cp follows them.


def test_what_a_link_leads_to_is_replaced_and_the_link_stays(place: Path) -> None:
    (place / "elsewhere").mkdir()
    (place / "elsewhere" / "old").write_text("old")
    (place / "file").symlink_to("elsewhere/old")
    seal_checkpoint(place / "m.safetensors", place / "elsewhere" / "sealed", TEST_KEY_128, durable=False)
    manifest = (place / "elsewhere" / "sealed" / "checkpoint.ttee").read_bytes()
    (place / "directory").symlink_to("elsewhere/sealed")
    assert run("unseal", "sealed", "-o", "file", "--force").exit_code == 0
    assert run("seal", "m.safetensors", "-o", "directory", "--force").exit_code == 0
    assert (place / "file").readlink() == Path("elsewhere/old")
    assert (place / "elsewhere" / "old").read_bytes() == (place / "m.safetensors").read_bytes()
    assert (place / "directory").readlink() == Path("elsewhere/sealed")
    assert (place / "elsewhere" / "sealed" / "checkpoint.ttee").read_bytes() != manifest


# What appears while a command is at work.


@pytest.mark.parametrize("make", [*SPECIAL, make_link_to_file, make_directory], ids=case_name)
def test_a_file_that_becomes_something_else_meanwhile_stays(place: Path, make: Callable[[Path], str]) -> None:
    (place / "out").write_text("old")
    before: dict[str, tuple[object, ...]] = {}

    def exchange(done: int, total: int) -> None:
        if done == total and not before:
            (place / "out").unlink()
            make(place / "out")
            before.update(tree(place))

    with pytest.raises(OutputError, match=r"out is .*: choose another name"):
        unseal_checkpoint("sealed", "out", TEST_KEY_128, replace_existing=True, progress=exchange)
    assert tree(place) == before


@pytest.mark.parametrize("named", [False, True], ids=["unnamed", "named"])
def test_a_sealed_checkpoint_that_gets_other_files_meanwhile_stays(
    place: Path, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    if named:
        monkeypatch.setattr(NewFile, "_open_unnamed", staticmethod(lambda *_arguments: -1))
    before: dict[str, tuple[object, ...]] = {}

    def add(done: int, total: int) -> None:
        if done == total and not before:
            (place / "sealed" / "thesis.tex").write_text("years of work")
            before.update(tree(place / "sealed"))

    with pytest.raises(OutputError, match="sealed holds other files by now"):
        seal_checkpoint("m.safetensors", "sealed", TEST_KEY_128, replace_existing=True, progress=add)
    assert tree(place / "sealed") == before
    assert not [path for path in place.iterdir() if path.name.startswith(".")]


@pytest.mark.timeout(60, method="thread")  # a system call that waits for ever can only be ended with its process
@pytest.mark.parametrize("make", [make_pipe, make_socket, make_device, make_link_to_file], ids=case_name)
def test_something_named_as_a_leftover_stays(place: Path, make: Callable[[Path], str]) -> None:
    """Looking for what a dead run left neither waits at a pipe nor touches a device."""
    make(place / ".out.tensortee-0123456789abcdef")
    before = tree(place)
    assert run("unseal", "sealed", "-o", "out", "--no-sync").exit_code == 0
    (place / "out").unlink()
    assert tree(place) == before


# Inputs that are not files.


@pytest.mark.timeout(60, method="thread")  # a system call that waits for ever can only be ended with its process
@pytest.mark.parametrize(
    "name", ["x.safetensors", "x.safetensors.index.json", "model/model-00002-of-00003.safetensors"]
)
@pytest.mark.parametrize("make", [make_pipe, make_socket, make_device, make_descriptor], ids=case_name)
def test_a_source_is_a_file(place: Path, name: str, make: Callable[[Path], str]) -> None:
    """It is read more than once and its length is needed: a pipe is refused, and never waited for."""
    (place / name).unlink(missing_ok=True)
    kind = make(place / name)
    source = "model/model.safetensors.index.json" if name.startswith("model/") else name
    assert f"{name} is {kind}: give a .safetensors file" in refusal(run("seal", source, "-o", "new"))
    assert not (place / "new").exists()


@pytest.mark.parametrize("make", [make_pipe, make_socket, make_device, make_directory], ids=case_name)
def test_a_data_file_is_a_file(place: Path, make: Callable[[Path], str]) -> None:
    (place / "sealed" / DATA).unlink()
    kind = make(place / "sealed" / DATA)
    result = run("verify", "sealed")
    assert result.exit_code == 1
    assert f"bad: {DATA}: foreign: {kind}, not a file" in result.stdout
    assert run("unseal", "sealed", "-o", "back").exit_code == 1
    assert not (place / "back").exists()


def test_a_key_may_come_through_a_pipe(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the shell's `--key-file <(command)` gives it."""
    assert place.is_dir()
    monkeypatch.delenv("TENSORTEE_KEY")
    reader, writer = os.pipe()
    OPEN.append(reader)
    os.write(writer, TEST_KEY_128.hex().encode() + b"\n")
    os.close(writer)
    assert run("verify", "sealed", "--key-file", f"/dev/fd/{reader}").exit_code == 0


@pytest.mark.parametrize(("device", "message"), [("/dev/null", "holds 0 bytes"), ("/dev/zero", "more than 128 bytes")])
def test_a_device_is_no_key(place: Path, device: str, message: str) -> None:
    assert place.is_dir()
    assert message in refusal(run("verify", "sealed", "--key-file", device))


# Output that is input.


@pytest.mark.parametrize("name", ["k", "link"])
def test_the_key_file_is_no_output(place: Path, name: str) -> None:
    """Replaced by what it opens, it would be lost, and with it all that it sealed."""
    write_key_file(place / "k", 16)
    (place / "link").symlink_to("k")
    seal_checkpoint(
        place / "m.safetensors", place / "mine", bytes.fromhex((place / "k").read_text().strip()), durable=False
    )
    before = tree(place)
    line = refusal(run("unseal", "mine", "-o", name, "--key-file", "k", "--force"))
    assert f"{name} is the key file: choose another name" in line
    assert tree(place) == before


def test_the_question_is_no_output(place: Path) -> None:
    before = tree(place)
    for command, question in (("run", "q.yaml"), ("sweep", "sweep.yaml")):
        line = refusal(run("study", command, question, "--html", place / question))
        assert f"{question} is the question: choose another name" in line
    assert tree(place) == before


# Who may read what is written.


@pytest.fixture
def created(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Permissions of each file at the moment at which it was made."""
    modes: list[int] = []
    plain = os.open

    def record(path: Any, flags: int, *arguments: Any, **keywords: Any) -> int:
        descriptor = plain(path, flags, *arguments, **keywords)
        if flags & os.O_CREAT or flags & os.O_TMPFILE == os.O_TMPFILE:
            modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        return descriptor

    monkeypatch.setattr(os, "open", record)
    return modes


def mode_of(path: Path) -> int:
    """Permissions of a file or directory."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
@pytest.mark.parametrize(
    ("sealed_mode", "expected"),
    [(0o644, 0o600), (0o666, 0o600), (0o777, 0o600), (0o600, 0o600), (0o640, 0o600), (0o444, 0o400), (0o400, 0o400)],
)
@pytest.mark.parametrize("named", [False, True], ids=["unnamed", "named"])
@pytest.mark.parametrize("existing", [False, True], ids=["fresh", "replace"])
def test_plaintext_is_as_narrow_as_what_it_comes_from(
    place: Path,
    created: list[int],
    monkeypatch: pytest.MonkeyPatch,
    mask: int,
    sealed_mode: int,
    expected: int,
    named: bool,
    existing: bool,
) -> None:
    """From the first moment on: there is none at which anyone else could open the file."""
    if named:
        monkeypatch.setattr(NewFile, "_open_unnamed", staticmethod(lambda *_arguments: -1))
    (place / "sealed" / DATA).chmod(sealed_mode)
    if existing:
        (place / "out").write_text("old")
        (place / "out").chmod(0o666)
    with umask(mask):
        unseal_checkpoint("sealed", "out", TEST_KEY_128, replace_existing=True, durable=False)
    assert mode_of(place / "out") == expected
    assert set(created) == {expected}


@pytest.mark.parametrize("narrow", ["checkpoint.ttee", DATA, "data-00002.ttee"])
def test_opened_shards_are_as_narrow_as_the_narrowest(place: Path, created: list[int], narrow: str) -> None:
    folders: list[int] = []
    make = os.mkdir

    def record(path: Any, mode: int = 0o777) -> None:
        make(path, mode)
        folders.append(mode_of(Path(path)))

    (place / "shards" / narrow).chmod(0o444)
    with umask(0), pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "mkdir", record)
        unseal_checkpoint("shards", "out", TEST_KEY_128, durable=False)
    assert [mode_of(path) for path in (place / "out").iterdir()] == [0o400] * 4
    assert (set(created), folders, mode_of(place / "out")) == ({0o400}, [0o700], 0o700)


def test_sealed_output_follows_the_umask(place: Path) -> None:
    for mask, directory, file in ((0o022, 0o755, 0o644), (0o077, 0o700, 0o600)):
        with umask(mask):
            seal_checkpoint("m.safetensors", f"new{mask}", TEST_KEY_128, durable=False)
        assert mode_of(place / f"new{mask}") == directory
        assert {mode_of(path) for path in (place / f"new{mask}").iterdir()} == {file}


def test_a_key_is_never_readable_by_others(place: Path, created: list[int]) -> None:
    with umask(0):
        assert run("keygen", "k").exit_code == 0
    assert (created, mode_of(place / "k")) == ([0o600], 0o600)


@pytest.mark.parametrize(("mask", "expected"), [(0o022, 0o644), (0o077, 0o600)])
def test_a_report_follows_the_umask(place: Path, mask: int, expected: int) -> None:
    with umask(mask):
        write_files({place / "study" / "report.html": b"<html>"})
    assert mode_of(place / "study" / "report.html") == expected


# Files of the study, and any small file that is written whole.


@pytest.mark.parametrize("make", [*SPECIAL, make_nameless, make_directory], ids=case_name)
def test_nothing_is_written_if_one_of_several_files_cannot_be(place: Path, make: Callable[[Path], str]) -> None:
    (place / "study" / "figures").mkdir(parents=True)
    kind = make(place / "study" / "figures" / "b.png")
    before = tree(place)
    with pytest.raises(OutputError, match=f"b.png is {kind}"):
        write_files({place / "study" / "a.json": b"a", place / "study" / "figures" / "b.png": b"b"})
    assert tree(place) == before


@pytest.mark.timeout(60)
def test_a_stored_result_is_a_file(place: Path) -> None:
    make_pipe(place / "point.json")
    with pytest.raises(ResultError, match=r"point\.json: a pipe"):
        read_results(place / "point.json", RunResults)


@pytest.mark.parametrize("make", [*SPECIAL, make_nameless, make_directory], ids=case_name)
def test_a_small_file_replaces_only_a_file(place: Path, make: Callable[[Path], str]) -> None:
    kind = make(place / "out")
    before = tree(place)
    with pytest.raises(OutputError, match=f"out is {kind}"):
        write_file(place / "out", b"new")
    assert tree(place) == before


# The counter of a vault.


@pytest.mark.timeout(60)
@pytest.mark.parametrize("make", [make_pipe, make_device, make_descriptor, make_directory], ids=case_name)
def test_a_counter_is_a_file(place: Path, make: Callable[[Path], str]) -> None:
    """Also one that became something else after it was made."""
    counter = FileCounter.create(place / "counter")
    (place / "counter").unlink()
    make(place / "counter")
    before = tree(place)
    for action in (counter.value, counter.advance, FileCounter(place / "counter").value):
        with pytest.raises(ValueError, match="counter does not hold a counter"):
            action()
    with pytest.raises(FileExistsError):
        FileCounter.create(place / "counter")
    assert tree(place) == before


@pytest.mark.timeout(60)
@pytest.mark.parametrize("make", [make_pipe, make_device, make_link_to_file, make_dangling], ids=case_name)
def test_counting_on_touches_nothing_beside_the_counter(place: Path, make: Callable[[Path], str]) -> None:
    counter = FileCounter.create(place / "counter")
    make(place / "counter.new")
    before = tree(place)
    assert counter.advance() == 1
    after = tree(place)
    assert after.pop(str(place / "counter")) != before.pop(str(place / "counter"))
    assert after == before


def test_a_counter_behind_a_link_counts_where_it_is(place: Path) -> None:
    FileCounter.create(place / "into" / "counter")
    (place / "counter").symlink_to("into/counter")
    assert FileCounter("counter").advance() == 1
    assert FileCounter(place / "into" / "counter").value() == 1
    assert (place / "counter").is_symlink()
