# SPDX-License-Identifier: Apache-2.0
"""Command line of the package: `tensortee keygen`, `seal`, `unseal`, `verify`, `info`; or `python -m tensortee`.

The system study, `tensortee study`, has its commands in `tensortee.cli.study`.

Exit status: 0 done; 1 the sealed checkpoint is damaged, incomplete, altered or of another key; 2 the command cannot be
carried out as given (arguments, key, source, target, disk); 130 interrupted.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table

from tensortee.checkpoint import (
    CheckpointError,
    CheckpointInfo,
    CheckpointIntegrityError,
    OutputError,
    read_info,
    seal_checkpoint,
    unseal_checkpoint,
    verify_checkpoint,
)
from tensortee.checkpoint.keys import (
    KEY_ENVIRONMENT_VARIABLE,
    KeyFormatError,
    read_key_environment,
    read_key_file,
    write_key_file,
)
from tensortee.checkpoint.text import printable

EXIT_INTEGRITY = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich help shows a flag as if it took a value
    help="Seal safetensors checkpoints with AES-GCM, tensor by tensor; open and verify them. Model protected systems.",
    epilog=f"The key comes from --key-file or from the environment variable {KEY_ENVIRONMENT_VARIABLE}.",
)

KeyFile = Annotated[
    Path | None,
    typer.Option(
        help=f"Key: 32 or 64 hexadecimal digits, or 16 or 32 raw bytes. Default: variable {KEY_ENVIRONMENT_VARIABLE}."
    ),
]
Threads = Annotated[
    int | None, typer.Option(min=1, max=256, help="Worker threads. Default: one for each core, at most 8.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
Force = Annotated[
    bool, typer.Option("--force", help="Replace the output if it is a regular file or a sealed checkpoint.")
]
NoSync = Annotated[
    bool,
    typer.Option("--no-sync", help="Do not wait for the disk: safe when the program dies, not when the machine does."),
]
ExpectId = Annotated[
    str | None, typer.Option(help="Refuse any other checkpoint than the one with this id (printed by seal).")
]
Sealed = Annotated[Path, typer.Argument(help="Directory of the sealed checkpoint.")]

Result = TypeVar("Result")


def fail(message: str, kind: str, status: int, as_json: bool) -> NoReturn:
    """Report an error as one line, or as one JSON object, and exit with the status."""
    if as_json:
        print(json.dumps({"ok": False, "error": {"kind": kind, "message": message}}))
    else:
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"[bold red]error:[/] {escape(message)}")
    raise typer.Exit(status)


def _terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    """SIGTERM ends a command as Ctrl-C does: workers stop, nothing stays behind."""
    raise KeyboardInterrupt


@contextmanager
def reporting(
    as_json: bool,
    usage_errors: tuple[type[Exception], ...] = (CheckpointError, KeyFormatError),
    interrupted: str = "interrupted; no partial output is left",
) -> Iterator[None]:
    """Turn every foreseeable error into one line, or one JSON object, and an exit status."""
    previous = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    except CheckpointIntegrityError as error:
        fail(str(error), type(error).__name__, EXIT_INTEGRITY, as_json)
    except usage_errors as error:
        fail(str(error), type(error).__name__, EXIT_USAGE, as_json)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(EXIT_USAGE) from None
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        fail(f"{where}{error.strerror or error}", type(error).__name__, EXIT_USAGE, as_json)
    except KeyboardInterrupt:
        fail(interrupted, "Interrupted", EXIT_INTERRUPTED, as_json)
    finally:
        signal.signal(signal.SIGTERM, previous)


def _check_output(path: Path, key_file: Path | None = None) -> None:
    if str(path) == "-" or _is_standard_output(path):
        raise OutputError("standard output cannot be used: give the name of what to make")
    if key_file is not None and path.exists() and key_file.exists() and path.samefile(key_file):
        raise OutputError(f"{path} is the key file: choose another name")


def _is_standard_output(path: Path) -> bool:
    """True for the file that standard output goes to, by whatever name."""
    with suppress(OSError):
        return os.path.samestat(path.stat(), os.fstat(1))
    return False


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _read_key(key_file: Path | None) -> bytes:
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


def _with_progress(title: str, as_json: bool, action: Callable[[Callable[[int, int], None] | None], Result]) -> Result:
    """Run the action under a progress bar when standard error is a terminal."""
    console = Console(stderr=True)
    if as_json or not console.is_terminal:
        return action(None)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(title, total=None)
        return action(lambda done, total: bar.update(task, completed=done, total=total))


def _print_json(content: dict[str, Any]) -> None:
    print(json.dumps(content, default=_encode))


def _encode(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"no JSON form for {type(value).__name__}")


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"tensortee {version('tensortee')}")
        raise typer.Exit


@app.callback()
def main(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Options that stand before a command."""


@app.command()
def keygen(
    file: Annotated[Path, typer.Argument(help="File to make; it must not exist.")],
    bits: Annotated[int, typer.Option(help="128 or 256.")] = 256,
) -> None:
    """Write a fresh random key to a new file. Only you can read it."""
    with reporting(as_json=False):
        if bits not in (128, 256):
            raise KeyFormatError(f"a key has 128 or 256 bits, not {bits}")
        _check_output(file)
        write_key_file(file, bits // 8)
        print(f"{file}: new AES-{bits} key; without it, what you seal is lost")


@app.command()
def seal(
    source: Annotated[
        Path, typer.Argument(help="A .safetensors file, or the .safetensors.index.json of a sharded checkpoint.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Directory to make.")],
    key_file: KeyFile = None,
    threads: Threads = None,
    force: Force = False,
    no_sync: NoSync = False,
    as_json: Json = False,
) -> None:
    """Seal a checkpoint. The output appears complete or not at all."""
    with reporting(as_json):
        _check_output(output)
        key = _read_key(key_file)
        report = _with_progress(
            "sealing",
            as_json,
            lambda progress: seal_checkpoint(
                source,
                output,
                key,
                threads=threads,
                replace_existing=force,
                durable=not no_sync,
                progress=progress,
            ),
        )
        if as_json:
            _print_json({"ok": True, **dataclasses.asdict(report)})
        else:
            size = f"{_count(report.tensors, 'tensor')}, {_count(report.nbytes, 'byte')}"
            print(f"{report.path}: sealed {size}, from {_count(report.files, 'file')}")
            print(f"checkpoint id {report.checkpoint_id}")


@app.command()
def unseal(
    sealed: Sealed,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to make; a directory for a sharded checkpoint.")],
    key_file: KeyFile = None,
    expect_id: ExpectId = None,
    threads: Threads = None,
    force: Force = False,
    no_sync: NoSync = False,
    as_json: Json = False,
) -> None:
    """Open a sealed checkpoint, bit for bit, for your eyes only. Nothing comes out unless all of it is authentic."""
    with reporting(as_json):
        _check_output(output, key_file)
        key = _read_key(key_file)
        report = _with_progress(
            "opening",
            as_json,
            lambda progress: unseal_checkpoint(
                sealed,
                output,
                key,
                expected_id=expect_id,
                threads=threads,
                replace_existing=force,
                durable=not no_sync,
                progress=progress,
            ),
        )
        if as_json:
            _print_json({"ok": True, **dataclasses.asdict(report)})
        else:
            size = f"{_count(report.tensors, 'tensor')}, {_count(report.nbytes, 'byte')}"
            print(f"{report.path}: opened {size}, all authentic")


@app.command()
def verify(
    sealed: Sealed,
    key_file: KeyFile = None,
    expect_id: ExpectId = None,
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Check every byte of a sealed checkpoint. Everything that is wrong is named."""
    with reporting(as_json):
        key = _read_key(key_file)
        report = _with_progress(
            "verifying",
            as_json,
            lambda progress: verify_checkpoint(sealed, key, expected_id=expect_id, threads=threads, progress=progress),
        )
        if as_json:
            _print_json({"ok": report.ok, **dataclasses.asdict(report)})
        elif report.ok:
            print(f"{report.path}: authentic: {_count(report.tensors, 'tensor')}, {_count(report.nbytes, 'byte')}")
        else:
            for problem in report.problems:
                print(f"bad: {problem}")
            named = {problem.tensor for problem in report.problems}
            for name in report.bad_tensors:
                if name not in named:
                    print(f"bad: tensor {printable(name)}: its file cannot be used")
            extent = f"{len(report.bad_tensors)} of {_count(report.tensors, 'tensor')} bad"
            print(f"{report.path}: NOT authentic: {_count(len(report.problems), 'problem')}, {extent}")
        if not report.ok:
            raise typer.Exit(EXIT_INTEGRITY)


@app.command()
def info(
    sealed: Sealed,
    key_file: KeyFile = None,
    as_json: Json = False,
) -> None:
    """Show what a sealed checkpoint holds. Without a key: its public header; with it: every tensor."""
    with reporting(as_json):
        with_key = key_file is not None or KEY_ENVIRONMENT_VARIABLE in os.environ
        content = read_info(sealed, _read_key(key_file) if with_key else None)
        if as_json:
            _print_json({"ok": True, **dataclasses.asdict(content)})
        else:
            _show_info(content)


@app.command(add_help_option=False, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def study(context: typer.Context) -> None:
    """Model protected training and inference. See `tensortee study --help`."""
    from tensortee.cli.study import app as study_app  # only here: the other commands start without it

    study_app(context.args, prog_name=context.command_path)


def _show_info(content: CheckpointInfo) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=1000)  # a program that reads this must not see folded lines
    console.print(f"checkpoint     {escape(str(content.path))}")
    console.print(f"id             {content.checkpoint_id}")
    console.print(f"cipher         {content.cipher}, key by HKDF-SHA256 with a salt of its own")
    console.print(f"data files     {content.data_files}, {content.data_bytes} bytes")
    if content.tensors is None:
        console.print("tensors        hidden; give the key to see them. Nothing above is authenticated without it")
        return
    console.print("tensor table   authentic (tensor data is not read here; `tensortee verify` does)")
    for name in (*(content.sources or ()), *((content.index,) if content.index else ())):
        console.print(f"holds          {escape(printable(name))}")
    for source, metadata in (content.metadata or {}).items():
        for key, value in metadata.items():
            console.print(
                f"metadata       {escape(printable(source))}: {escape(printable(key))} = {escape(printable(value))}"
            )
    table = Table("tensor", "dtype", "shape", "bytes", "file", "offset", box=None)
    table.columns[0].overflow = "fold"
    for tensor in content.tensors:
        table.add_row(
            escape(printable(tensor.name)),
            tensor.dtype,
            "x".join(map(str, tensor.shape)) or "scalar",
            str(tensor.nbytes),
            tensor.file,
            str(tensor.offset),
        )
    console.print(table)
