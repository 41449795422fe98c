# SPDX-License-Identifier: Apache-2.0
"""Results, figures and report: the same numbers everywhere, and one file that needs nothing else."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from pydantic import ValidationError
from tensortee.study.hardware import System
from tensortee.study.report.figures import charts
from tensortee.study.report.report import html, write_all
from tensortee.study.report.results import (
    Breakdown,
    ComparisonRow,
    ModelRow,
    PaperResults,
    ResultError,
    Results,
    RunResults,
    SchemeRow,
    input_rows,
    read_results,
    to_json,
    units_of,
    write_results,
    write_text,
)

from tests.study import sample_results as sample

SAMPLES: dict[str, Results] = {"paper": sample.paper(), "run": sample.run(), "sweep": sample.sweep()}
VOID = {"meta", "img", "br", "hr", "input", "link"}


@cache
def page(name: str) -> str:
    """Report on a sample; drawing takes a second, so it is made once."""
    return html(SAMPLES[name])


class Page(HTMLParser):
    """Structure of a page: balance of tags, links, sections, numbers, texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.sections: list[str] = []
        self.values: list[str] = []
        self.shown: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """See HTMLParser."""
        given = dict(attrs)
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "action", "data", "srcset")]
        if tag == "section":
            self.sections.append(given["id"] or "")
        if tag == "data":
            self.values.append(given["value"] or "")

    def handle_endtag(self, tag: str) -> None:
        """See HTMLParser."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """See HTMLParser."""
        if self.open and self.open[-1] == "data":
            self.shown.append(data)


def numbers(content: Any) -> Iterator[float]:
    """All numbers in JSON."""
    if isinstance(content, dict):
        for value in content.values():
            yield from numbers(value)
    elif isinstance(content, list):
        for value in content:
            yield from numbers(value)
    elif isinstance(content, int | float) and not isinstance(content, bool):
        yield float(content)


@pytest.mark.parametrize("name", SAMPLES)
def test_report_is_one_file_without_network_and_scripts(name: str) -> None:
    text = page(name)
    parsed = Page(text)
    assert parsed.links
    assert all(link.startswith("data:image/svg+xml;base64,") for link in parsed.links)
    assert not {"script", "link", "iframe", "object"} & set(parsed.tags)
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert parsed.sections == ["conclusion", "figures", "tables", "inputs", "not-modelled"]


@pytest.mark.parametrize("name", SAMPLES)
def test_numbers_of_the_report_are_those_of_the_results(name: str) -> None:
    parsed = Page(page(name))
    known = set(numbers(json.loads(to_json(SAMPLES[name])))) | set(range(1, 4))  # points of a sweep are numbered
    assert len(parsed.values) > 50
    for value, shown in zip(parsed.values, parsed.shown, strict=True):
        assert float(value) in known
        text = shown.replace(",", "").replace("−", "-")
        rounded = float(text.rstrip("%")) / (100 if text.endswith("%") else 1)
        assert math.isclose(rounded, float(value), rel_tol=1e-3, abs_tol=0.0006 if "%" in text else 0.0)


def test_headlines_stand_beside_the_printed_numbers() -> None:
    text = page("paper")
    conclusion = text[text.index('id="conclusion"') : text.index('id="figures"')]
    assert "3.37 times as fast" in conclusion
    for value in ("3.8765", "4.0", "2.3456", "2.1"):
        assert f'<data value="{value}">' in conclusion
    assert "−3.1%" in conclusion


def test_calibrations_are_apart_from_predictions() -> None:
    text = page("paper")
    predictions = text[text.index("<h3>Predictions</h3>") : text.index("<h3>Calibrations</h3>")]
    calibrations = text[text.index("<h3>Calibrations</h3>") : text.index("<h3>Models</h3>")]
    assert "GEMM hit-in" in predictions
    assert "Adam, SGX-like" not in predictions
    assert "Adam, SGX-like" in calibrations
    assert "GEMM" not in calibrations
    inputs = text[text.index("<h3>Calibrated</h3>") : text.index("<h3>Quoted, measured and modelled</h3>")]
    assert "cpu.outstanding_lines" in inputs
    assert "cpu.cores" not in inputs


def test_text_is_escaped() -> None:
    text = page("paper")
    assert "GEMM hit-in &lt;b&gt;" in text
    assert "dropout masks &lt;of the paper&gt;" in text
    assert "<b>" not in text
    assert "mine &amp; yours" in page("run")
    assert "ValueError: too &lt;big&gt;" in page("sweep")


def test_inputs_that_the_user_changed_are_named() -> None:
    system = System.model_validate({"npus": 4})
    results = sample.run().model_copy(update={"inputs": input_rows(system)})
    text = html(results)
    changed = text[text.index("Changed by the user") : text.index("<h3>Calibrated</h3>")]
    assert "npus" in changed
    assert "cpu.cores" not in changed
    assert "Changed by the user" not in page("run")


@pytest.mark.parametrize("results", SAMPLES.values(), ids=SAMPLES)
def test_figures_are_the_same_each_time_and_hold_no_date(results: Results) -> None:
    first = charts(results)
    assert len({chart.name for chart in first}) == len(first) == (14 if isinstance(results, PaperResults) else 1)
    for chart in first[::6]:
        text = chart.svg()
        assert text == chart.svg()
        assert ElementTree.fromstring(text).tag.endswith("svg")  # noqa: S314
        assert "dc:date" not in text
    assert charts(results)[-1].svg() == first[-1].svg()


def test_data_of_figures_is_that_of_the_results() -> None:
    results = sample.paper()
    [chart] = [chart for chart in charts(results) if chart.name == "speedup"]
    rows = list(csv.DictReader(io.StringIO(chart.csv())))
    assert [float(row["speedup"]) for row in rows] == [row.speedup for row in results.speedups]
    assert [row["printed_speedup"] or None for row in rows][1] is None
    [chart] = [chart for chart in charts(results) if chart.name == "breakdown"]
    rows = list(csv.DictReader(io.StringIO(chart.csv())))
    assert {row["model"] for row in rows} == {"GPT2-M"}
    assert float(rows[0]["breakdown.npu"]) == results.models[3].breakdown.npu


def test_figures_need_rows() -> None:
    empty: dict[str, list[Any]] = {
        name: [] for name in ("adam", "npu_mac", "inference", "moe", "pcie", "npus", "tensors_limit", "energy")
    }
    bare = sample.paper().model_copy(update={**empty, "tornado": [], "speedups": [], "models": []})
    assert [chart.name for chart in charts(bare)] == ["transfer"]
    assert "<h3>Models</h3>" not in html(bare)


def test_folder_holds_report_results_and_figures(tmp_path: Path) -> None:
    write_all(tmp_path / "new" / "study", sample.run())
    names = {path.relative_to(tmp_path / "new" / "study").as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert names == {"report.html", "results.json", "figures/run.svg", "figures/run.png", "figures/run.csv"}
    assert read_results(tmp_path / "new" / "study" / "results.json", RunResults) == sample.run()
    assert (tmp_path / "new" / "study" / "figures" / "run.png").read_bytes().startswith(b"\x89PNG")


def test_results_have_the_promised_form() -> None:
    content = json.loads(to_json(sample.paper()))
    assert set(content["models"][0]) == {"model", "scheme", "seconds_per_step", "breakdown"}
    assert set(content["models"][0]["breakdown"]) == {"npu", "cpu", "comm_weights", "comm_gradients"}
    assert {"threads", "iteration", "scheme", "time_over_non_secure", "hit_in", "hit_all"} <= set(content["adam"][0])
    assert {"granularity_bytes", "scheme", "overhead", "storage_overhead"} <= set(content["npu_mac"][0])
    assert "gradient_speedup" in content["transfer"]
    assert "hit_in" in content["gemm"]


def test_every_number_has_a_unit_and_an_origin() -> None:
    content = json.loads(to_json(sample.paper()))
    units = content.pop("units")
    assert units["models.breakdown.npu"]["unit"] == "s"
    assert units["speedups.printed_speedup"]["origin"] == "quoted"

    def paths(value: Any, path: str) -> Iterator[str]:
        if isinstance(value, dict):
            for name, inner in value.items():
                yield from paths(inner, f"{path}.{name}" if path else name)
        elif isinstance(value, list):
            for inner in value:
                yield from paths(inner, path)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield path

    for path in set(paths(content, "")):
        known = any(path == name or path.startswith(name + ".") for name in units)
        assert known or path == "inputs.value", path  # an input has its unit beside it


def test_inputs_hold_the_measured_figures_of_the_engine() -> None:
    rows = {row.name: row for row in input_rows(System())}
    assert rows["engine.close_read_cycles"].origin.value == "measured"
    assert rows["engine.read_beats_per_cycle"].unit == "beats/cycle"
    assert rows["cpu.dram.channels"].value == 2


def test_parts_must_add_up() -> None:
    parts = Breakdown(npu=1, cpu=1, comm_weights=0, comm_gradients=0)
    with pytest.raises(ValidationError, match="are not a step"):
        ModelRow(model="x", scheme="tensortee", seconds_per_step=2.1, breakdown=parts)
    with pytest.raises(ValidationError, match="are not 3"):
        SchemeRow(scheme="x", seconds=3, parts={"npu": 1.0, "cpu": 1.9}, overhead=None)


@pytest.mark.parametrize(
    ("field", "value"), [("hit_in", 1.2), ("time_over_non_secure", math.nan), ("threads", 0), ("colour", 1)]
)
def test_impossible_values_are_refused(field: str, value: float) -> None:
    row = sample.paper().adam[-1].model_dump()
    type(sample.paper().adam[0]).model_validate(row)
    with pytest.raises(ValidationError, match=field):
        type(sample.paper().adam[0]).model_validate({**row, field: value})


def test_errors_are_computed() -> None:
    assert ComparisonRow.of("x", "1", 4.0, 5.0).error == 0.25
    assert ComparisonRow.of("x", "1", 0.0, 5.0).error is None


def test_results_come_back_and_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "results.json"
    write_results(path, sample.paper())
    assert read_results(path, PaperResults) == sample.paper()
    with pytest.raises(ResultError, match="RunResults"):
        read_results(path, RunResults)
    path.write_text(path.read_text()[:-100])
    with pytest.raises(ResultError, match=re.escape(str(path))):
        read_results(path, PaperResults)


def test_what_is_not_validated_is_not_written(tmp_path: Path) -> None:
    broken = sample.run().model_copy(update={"tokens": -1})
    with pytest.raises(ValidationError):
        write_results(tmp_path / "results.json", broken)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "\ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_units_have_dotted_names() -> None:
    assert units_of(RunResults)["rows.seconds"] == {
        "unit": "s",
        "origin": "modelled",
        "text": "Time of the step, pass or request.",
    }
