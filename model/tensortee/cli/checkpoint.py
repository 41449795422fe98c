# SPDX-License-Identifier: Apache-2.0
"""Sealed checkpoints: `tensortee seal`, `unseal`, `verify` and `info`."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table

from tensortee.checkpoint import CheckpointInfo, read_info, seal_checkpoint, unseal_checkpoint, verify_checkpoint
from tensortee.checkpoint.keys import KEY_ENVIRONMENT_VARIABLE
from tensortee.checkpoint.text import printable
from tensortee.cli.errors import EXIT_INTEGRITY, reporting
from tensortee.cli.keys import KeyFile, read_key
from tensortee.cli.output import Json, count, print_json, table_console
from tensortee.cli.target import check_target, output_path

Threads = Annotated[
    int | None, typer.Option(min=1, max=256, help="Worker threads. Default: one for each core, at most 8.")
]
Force = Annotated[
    bool, typer.Option("--force", help="Replace the output: seal a sealed checkpoint, unseal a regular file.")
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


def seal(
    source: Annotated[
        Path, typer.Argument(help="A .safetensors file, or the .safetensors.index.json of a sharded checkpoint.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", parser=output_path, metavar="PATH", help="Directory to make.")
    ],
    key_file: KeyFile = None,
    threads: Threads = None,
    force: Force = False,
    no_sync: NoSync = False,
    as_json: Json = False,
) -> None:
    """Seal a checkpoint. The output appears complete or not at all."""
    with reporting(as_json):
        check_target(output)
        key = read_key(key_file)
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
            print_json({"ok": True, **dataclasses.asdict(report)})
        else:
            size = f"{count(report.tensors, 'tensor')}, {count(report.nbytes, 'byte')}"
            print(f"{report.path}: sealed {size}, from {count(report.files, 'file')}")
            print(f"checkpoint id {report.checkpoint_id}")


def unseal(
    sealed: Sealed,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            parser=output_path,
            metavar="PATH",
            help="File to make, or the directory that it comes into; a directory to make for a sharded checkpoint.",
        ),
    ],
    key_file: KeyFile = None,
    expect_id: ExpectId = None,
    threads: Threads = None,
    force: Force = False,
    no_sync: NoSync = False,
    as_json: Json = False,
) -> None:
    """Open a sealed checkpoint, bit for bit, for your eyes only. Nothing comes out unless all of it is authentic."""
    with reporting(as_json):
        check_target(output, key_file)
        key = read_key(key_file)
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
            print_json({"ok": True, **dataclasses.asdict(report)})
        else:
            size = f"{count(report.tensors, 'tensor')}, {count(report.nbytes, 'byte')}"
            print(f"{report.path}: opened {size}, all authentic")


def verify(
    sealed: Sealed,
    key_file: KeyFile = None,
    expect_id: ExpectId = None,
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Check every byte of a sealed checkpoint. Everything that is wrong is named."""
    with reporting(as_json):
        key = read_key(key_file)
        report = _with_progress(
            "verifying",
            as_json,
            lambda progress: verify_checkpoint(sealed, key, expected_id=expect_id, threads=threads, progress=progress),
        )
        if as_json:
            print_json({"ok": report.ok, **dataclasses.asdict(report)})
        elif report.ok:
            print(f"{report.path}: authentic: {count(report.tensors, 'tensor')}, {count(report.nbytes, 'byte')}")
        else:
            for problem in report.problems:
                print(f"bad: {problem}")
            named = {problem.tensor for problem in report.problems}
            for name in report.bad_tensors:
                if name not in named:
                    print(f"bad: tensor {printable(name)}: its file cannot be used")
            extent = f"{len(report.bad_tensors)} of {count(report.tensors, 'tensor')} bad"
            print(f"{report.path}: NOT authentic: {count(len(report.problems), 'problem')}, {extent}")
        if not report.ok:
            raise typer.Exit(EXIT_INTEGRITY)


def info(
    sealed: Sealed,
    key_file: KeyFile = None,
    as_json: Json = False,
) -> None:
    """Show what a sealed checkpoint holds. Without a key: its public header; with it: every tensor."""
    with reporting(as_json):
        with_key = key_file is not None or KEY_ENVIRONMENT_VARIABLE in os.environ
        content = read_info(sealed, read_key(key_file) if with_key else None)
        if as_json:
            print_json({"ok": True, **dataclasses.asdict(content)})
        else:
            _show_info(content)


def _show_info(content: CheckpointInfo) -> None:
    console = table_console()
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
