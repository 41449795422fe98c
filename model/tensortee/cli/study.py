# SPDX-License-Identifier: Apache-2.0
"""Command line of the system study: `tensortee study paper`, `run`, `sweep`, `models`, `inputs`, `schema`.

Exit status as for the other commands: 0 done; 1 points of a sweep failed; 2 the command cannot be carried out as given;
130 interrupted. What simulates or draws is imported by the command that needs it.
"""

from __future__ import annotations

import json
import stat
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tensortee.checkpoint import OutputError
from tensortee.checkpoint.target import resolve_target
from tensortee.cli.errors import EXIT_USAGE, fail, reporting
from tensortee.cli.output import Json, table_console
from tensortee.study.hardware.conservation import ConservationError

if TYPE_CHECKING:
    from tensortee.study.report.results import PaperResults, Results, RunResults, SweepResults

EXIT_POINTS_FAILED = 1
EXTRAS = "pip install '.[study,cluster]' in the project's folder"
OUTPUT = Path("build/study")

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Model training and inference on CPU and NPU under memory protection.",
)

Question = Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML file; `tensortee study schema` describes it.")]
Html = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a report, one HTML file.")]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FOLDER", help="Write report.html, results.json and figures into a folder."),
]


@contextmanager
def _reporting(as_json: bool, interrupted: str = "interrupted") -> Iterator[None]:
    """Turn every foreseeable error into one line, or one JSON object, and an exit status."""
    warnings.formatwarning = lambda message, *_place, **_line: f"warning: {message}\n"
    with reporting(as_json, usage_errors=(ValueError, OutputError), interrupted=interrupted):
        try:
            yield
        except ConservationError as error:
            text = f"a result breaks a conservation law; this is a bug of the study, please report it: {error}"
            fail(text, type(error).__name__, EXIT_USAGE, as_json)
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("tensortee"):
                raise
            fail(f"{error.name} is not installed: {EXTRAS}", type(error).__name__, EXIT_USAGE, as_json)


@contextmanager
def _progress(title: str) -> Iterator[Callable[[int, int], None]]:
    """Progress bar on standard error, if that is a terminal."""
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@app.command()
def paper(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Folder of report, results and figures.")
    ] = OUTPUT,
    as_json: Json = False,
) -> None:
    """Compute the paper's evaluation and what lies beyond it; print the paper's numbers beside ours."""
    with _reporting(as_json):
        from tensortee.study.report.report import REPORT_FILE, write_all
        from tensortee.study.sweep.studies.paper import paper as compute

        _check_outputs(None, None, output)
        with _progress("computing") as progress:
            results = compute(progress)
        write_all(output, results)
        if as_json:
            _print_json(results)
        else:
            _print_comparisons(results)
            print(f"report: {output / REPORT_FILE}")


@app.command()
def run(
    config: Question,
    html: Html = None,
    output: Output = None,
    as_json: Json = False,
) -> None:
    """Answer one question: a workload on a system under several schemes."""
    with _reporting(as_json):
        from tensortee.study.sweep.config import load_config
        from tensortee.study.sweep.run import run as compute

        _check_outputs(config, html, output)
        with _progress("computing") as progress:
            results = compute(load_config(config), progress)
        _write(results, html, output)
        if as_json:
            _print_json(results)
        else:
            _print_run(results)


@app.command()
def sweep(
    config: Annotated[Path, typer.Argument(metavar="SWEEP", help="Configuration with lists of values under `sweep`.")],
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes on this machine. Default: one for each core.")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Compute on the workers of this Dask scheduler instead.")
    ] = None,
    cache: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Where the results of points are stored and found again.")
    ] = OUTPUT / "cache",
    html: Html = None,
    output: Output = None,
    as_json: Json = False,
) -> None:
    """Answer a question at many points. What is done is stored: a sweep that was stopped goes on where it was."""
    with _reporting(as_json, "interrupted; what is done is stored, and the same command goes on from there"):
        from tensortee.study.sweep.run import run as compute
        from tensortee.study.sweep.sweep import load_sweep, run_sweep

        if jobs is not None and scheduler is not None:
            raise ValueError("give --jobs or --scheduler: on a cluster, its workers are the processes")
        _check_outputs(config, html, output, cache)
        points = load_sweep(config)
        with _progress("sweeping") as progress:
            results = run_sweep(points, cache, compute, jobs=jobs, scheduler=scheduler, progress=progress)
        _write(results, html, output)
        failed = [point for point in results.points if point.error is not None]
        if as_json:
            _print_json(results, ok=not failed)
        else:
            _print_sweep(results)
        for point in failed:
            Console(stderr=True, highlight=False, soft_wrap=True).print(
                f"[bold red]failed:[/] {escape(_values(point.parameters))}: {escape(point.error or '')}"
            )
        if failed:
            raise typer.Exit(EXIT_POINTS_FAILED)


@app.command()
def models(as_json: Json = False) -> None:
    """List the models of the catalogue."""
    with _reporting(as_json):
        from tensortee.study.workload.architecture import parameters
        from tensortee.study.workload.catalog import BEYOND, MODELS

        rows = [
            {
                "model": name,
                "parameters": sum(parameter.elements for parameter in parameters(entry.config)),
                "batch": entry.batch,
                "sequence_length": entry.sequence_length,
                "in_paper": name in MODELS,
                "note": entry.note,
            }
            for name, entry in (MODELS | BEYOND).items()
        ]
        if as_json:
            print(json.dumps({"ok": True, "models": rows}))
        else:
            _print_table(list(rows[0]), [list(row.values()) for row in rows])


@app.command()
def inputs(
    config: Annotated[Path | None, typer.Argument(metavar="CONFIG", help="Show the inputs of this question.")] = None,
    as_json: Json = False,
) -> None:
    """Show every parameter of the hardware with unit, origin and source."""
    with _reporting(as_json):
        from tensortee.study.hardware import System
        from tensortee.study.report.results import input_rows
        from tensortee.study.sweep.config import load_config

        rows = input_rows(load_config(config).system if config else System())
        if as_json:
            print(json.dumps({"ok": True, "inputs": [row.model_dump(mode="json") for row in rows]}))
        else:
            cells = [[row.name, row.value, row.unit, row.origin.value, row.source, row.text] for row in rows]
            _print_table(["input", "value", "unit", "origin", "source", "what it is"], cells)


@app.command()
def schema() -> None:
    """Print the JSON schema of the configuration."""
    with _reporting(as_json=False):
        from tensortee.study.sweep.config import Config

        print(json.dumps(Config.model_json_schema(), indent=2))


def _check_outputs(question: Path | None, html: Path | None, *folders: Path | None) -> None:
    """Refuse what could not be written before anything is computed."""
    from tensortee.study.report.results import require_folder

    if html is not None:
        if question is not None and html.exists() and question.exists() and html.samefile(question):
            raise OutputError(f"{html} is the question: choose another name")
        resolve_target(html, stat.S_IFREG)
    for folder in folders:
        if folder is not None:
            require_folder(folder)


def _write(results: RunResults | SweepResults, html: Path | None, output: Path | None) -> None:
    from tensortee.study.report.report import write_all, write_report

    if html is not None:
        write_report(html, results)
    if output is not None:
        write_all(output, results)


def _print_json(results: Results, *, ok: bool = True) -> None:
    from tensortee.study.report.results import to_json

    print(json.dumps({"ok": ok, **json.loads(to_json(results))}))


def _print_comparisons(results: PaperResults) -> None:
    rows = [
        [row.quantity, row.unit, row.printed, row.ours, "" if row.error is None else f"{row.error:+.1%}", row.kind]
        for row in results.comparisons
    ]
    _print_table(["quantity", "unit", "paper", "ours", "error", "kind"], rows)


def _print_run(results: RunResults) -> None:
    parts = list(dict.fromkeys(part for row in results.rows for part in row.parts))
    rows = [
        [
            row.scheme,
            row.seconds,
            *(row.parts.get(part, "") for part in parts),
            "" if row.overhead is None else f"{row.overhead:+.1%}",
        ]
        for row in results.rows
    ]
    print(f"{results.workload}, {results.mode}: {results.parameters:,} parameters, {results.tokens:,} tokens")
    _print_table(["scheme", "time (s)", *(f"{part} (s)" for part in parts), "overhead"], rows)
    for text in results.not_modelled:
        print(f"not modelled: {text}")


def _print_sweep(results: SweepResults) -> None:
    done = [point.result for point in results.points if point.result is not None]
    schemes = list(dict.fromkeys(row.scheme for result in done for row in result.rows))
    rows = []
    for point in results.points:
        seconds = {row.scheme: row.seconds for row in point.result.rows} if point.result else {}
        rows.append([*point.parameters.values(), *(seconds.get(scheme, "") for scheme in schemes)])
    _print_table([*results.points[0].parameters, *(f"{scheme} (s)" for scheme in schemes)], rows)


def _values(parameters: dict[str, Any]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in parameters.items())


def _print_table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table; numbers to the right and rounded."""
    table = Table(box=None)
    for index, name in enumerate(head):
        numeric = all(isinstance(row[index], int | float) for row in rows)
        table.add_column(escape(name), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(f"{value:.4g}" if isinstance(value, float) else escape(str(value)) for value in row))
    table_console().print(table)
