# SPDX-License-Identifier: Apache-2.0
"""The report: one HTML file with everything in it, that opens without network and needs no scripts.

Conclusion first, then the figures with a sentence each, then tables, inputs, and what is not modelled. Each number of a
result is in a `data` element whose value is that of `results.json`, not rounded.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from tensortee.study.hardware.units import Origin
from tensortee.study.report.figures import Chart, charts
from tensortee.study.report.results import (
    ComparisonRow,
    InputRow,
    PaperResults,
    Results,
    RunResults,
    SweepResults,
    write_results,
    write_text,
)

REPORT_FILE = "report.html"
RESULTS_FILE = "results.json"
CHARTS_FOLDER = "figures"


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the report.

    Attributes:
        title: what it holds.
        head: names of the columns, with units.
        rows: cells; numbers are shown rounded.
        note: what must be known to read it.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[Any]]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """A headline: one number, and what the paper prints."""

    text: str
    ours: float
    unit: str
    printed: float | None = None
    error: float | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """Everything in a report, in its order."""

    title: str
    conclusion: str
    cards: Sequence[Card]
    charts: Sequence[Chart]
    tables: Sequence[Table]
    inputs: Sequence[InputRow]
    not_modelled: Sequence[str]
    assumptions: Sequence[str] = ()


def content_of(results: Results) -> Content:
    """What a report on these results says."""
    match results:
        case PaperResults():
            return _paper(results)
        case RunResults():
            return _run(results)
        case SweepResults():
            return _sweep(results)


def html(results: Results) -> str:
    """The report as text of one HTML file."""
    return _html(content_of(results))


def write_report(path: Path, results: Results) -> None:
    """Write the report, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    write_text(path, html(results))


def write_all(folder: Path, results: Results) -> None:
    """Write report, results and figures with their data into a folder.

    Raises:
        OSError: a file cannot be written.
    """
    content = content_of(results)
    write_results(folder / RESULTS_FILE, results)
    for chart in content.charts:
        chart.save(folder / CHARTS_FOLDER)
    write_text(folder / REPORT_FILE, _html(content))


def _html(content: Content) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tensortee.study.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"cell": _cell, "image": _image, "percent": _percent}
    return environment.get_template(REPORT_FILE).render(
        content=content,
        calibrated=[row for row in content.inputs if row.origin is Origin.CALIBRATED],
        other=[row for row in content.inputs if row.origin is not Origin.CALIBRATED],
        changed=[row for row in content.inputs if row.changed],
        version=version("tensortee"),
    )


def _cell(value: Any) -> Markup:
    """A cell: numbers rounded to be read, with the whole value beside for programs."""
    if value is None:
        return Markup("–")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return Markup.escape(str(value))
    return _number(value, f"{value:,}" if isinstance(value, int) else f"{value:.4g}")


def _percent(value: float | None, sign: str = "") -> Markup:
    return Markup("–") if value is None else _number(value, f"{value:{sign}.1%}")


def _number(value: float, text: str) -> Markup:
    return Markup('<data value="{}">{}</data>').format(repr(value), text.replace("-", "−"))


def _image(chart: Chart) -> str:
    """Figure as a URI that holds it."""
    return "data:image/svg+xml;base64," + base64.b64encode(chart.svg().encode()).decode()


def _paper(results: PaperResults) -> Content:
    rows = results.comparisons
    cards = [Card(row.quantity, row.ours, row.unit, row.printed, row.error) for row in rows if row.headline]
    predictions = [row for row in rows if row.kind == "prediction"]
    known = [row.error for row in predictions if row.error is not None]
    near = sum(abs(error) <= 0.3 for error in known)
    far = [row for row in predictions if row.error is not None and abs(row.error) > 0.3]
    conclusion = f"{near} of {len(known)} predictions lie within 30 % of the printed numbers"
    conclusion += f"; not: {', '.join(f'{row.quantity} ({row.error:+.0%})' for row in far)}." if far else "."
    if models := results.speedups:
        speedup = sum(row.speedup for row in models) / len(models)
        overhead = sum(row.overhead for row in models) / len(models)
        conclusion = (
            f"Over {len(models)} models, TensorTEE trains {speedup:.2f} times as fast as SGX+MGX on average, "
            f"{overhead:.1%} slower than without protection. {conclusion}"
        )
    return Content(
        title="TensorTEE: the system study",
        conclusion=conclusion,
        cards=cards,
        charts=charts(results),
        tables=[
            _comparisons("Predictions", predictions, "No input was chosen to meet these numbers."),
            _comparisons(
                "Calibrations",
                [row for row in rows if row.kind == "calibration"],
                "Inputs were chosen, once for all models, so that these numbers are met: they are no predictions.",
            ),
            Table(
                "Models",
                ("model", "parameters", "batch", "sequence (tokens)", "speed-up (×)", "paper (×)", "overhead (1)"),
                [
                    (
                        row.model,
                        row.parameters,
                        row.batch,
                        row.sequence_length,
                        row.speedup,
                        row.printed_speedup,
                        row.overhead,
                    )
                    for row in results.speedups
                ],
                "Modelled. Speed-up over SGX+MGX; overhead over the non-secure system, as a share.",
            ),
            Table(
                "Training steps",
                ("model", "scheme", "step (s)", "NPU (s)", "CPU (s)", "weights (s)", "gradients (s)"),
                [
                    (row.model, row.scheme, row.seconds_per_step, *row.breakdown.model_dump().values())
                    for row in (*results.models, *results.moe)
                ],
                "Modelled; parts are exposed times.",
            ),
            Table(
                "On the chip",
                ("structure", "size", "unit", "paper", "origin", "source"),
                [(row.item, row.value, row.unit, row.printed, row.origin.value, row.source) for row in results.on_chip],
            ),
        ],
        inputs=results.inputs,
        not_modelled=results.not_modelled,
    )


def _comparisons(title: str, rows: Sequence[ComparisonRow], note: str) -> Table:
    return Table(
        title,
        ("quantity", "unit", "paper", "ours (modelled)", "error (1)", "remark"),
        [(row.quantity, row.unit, row.printed, row.ours, row.error, row.note) for row in rows],
        note + " The error is ours over the paper's, minus 1.",
    )


def _run(results: RunResults) -> Content:
    first, last = results.rows[0], results.rows[-1]
    parts = list(dict.fromkeys(part for row in results.rows for part in row.parts))
    details = [
        (row.scheme, name, quantity.value, quantity.unit, quantity.origin.value, quantity.text)
        for row in results.rows
        for name, quantity in row.details.items()
    ]
    ratio = f", {last.seconds / first.seconds:.3g} times that of {first.scheme}" if last is not first else ""
    return Content(
        title=f"{results.workload}: {results.mode}",
        conclusion=f"Under {last.scheme}, {results.tokens:,} tokens take {last.seconds:.4g} s{ratio}.",
        cards=[Card(row.scheme, row.seconds, "s") for row in results.rows],
        charts=charts(results),
        tables=[
            Table(
                "Times",
                ("scheme", "time (s)", *(f"{part} (s)" for part in parts), "overhead (1)"),
                [
                    (row.scheme, row.seconds, *(row.parts.get(part) for part in parts), row.overhead)
                    for row in results.rows
                ],
                f"Modelled. {results.parameters:,} parameters. The overhead is over {first.scheme}, as a share.",
            ),
            Table("Details", ("scheme", "quantity", "value", "unit", "origin", "meaning"), details),
        ],
        inputs=results.inputs,
        not_modelled=results.not_modelled,
        assumptions=results.assumptions,
    )


def _sweep(results: SweepResults) -> Content:
    done = [point.result for point in results.points if point.result is not None]
    schemes = list(dict.fromkeys(row.scheme for result in done for row in result.rows))
    names = list(dict.fromkeys(name for point in results.points for name in point.parameters))
    rows = []
    for number, point in enumerate(results.points, start=1):
        seconds = {row.scheme: row.seconds for row in point.result.rows} if point.result else {}
        values = [point.parameters.get(name) for name in names]
        rows.append((number, *values, *(seconds.get(scheme) for scheme in schemes), point.error or ""))
    return Content(
        title="Sweep",
        conclusion=f"{len(done)} of {len(results.points)} points were computed.",
        cards=[],
        charts=charts(results),
        tables=[
            Table("Points", ("point", *names, *(f"{scheme} (s)" for scheme in schemes), "error"), rows, "Modelled.")
        ],
        inputs=_common_inputs(done),
        not_modelled=list(dict.fromkeys(text for result in done for text in result.not_modelled)),
        assumptions=list(dict.fromkeys(text for result in done for text in result.assumptions)),
    )


def _common_inputs(results: Sequence[RunResults]) -> list[InputRow]:
    """Inputs that all points share; what differs is in the table of points."""
    if not results:
        return []
    shared = {row.name: row for row in results[0].inputs}
    for result in results[1:]:
        values = {row.name: row.value for row in result.inputs}
        shared = {name: row for name, row in shared.items() if values.get(name) == row.value}
    return list(shared.values())
