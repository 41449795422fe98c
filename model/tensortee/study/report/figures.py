# SPDX-License-Identifier: Apache-2.0
"""Figures of the study: each from rows of results, as SVG, PNG and CSV.

Nothing is simulated here. Colours are those of Okabe and Ito, which colour-blind readers can tell apart; what a
publication prints is a black diamond. The same rows give the same SVG, byte for byte.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from tensortee.study.report.results import (
    AdamRow,
    EnergyRow,
    InferenceRow,
    ModelRow,
    NpuMacRow,
    NpusRow,
    PaperResults,
    PcieRow,
    PrintedBreakdownRow,
    Result,
    RunResults,
    SchemeRow,
    SpeedupRow,
    SweepPoint,
    SweepResults,
    TensorsLimitRow,
    TornadoRow,
    TransferResults,
    write_text,
)

BLUE, ORANGE, GREEN, RED, PURPLE, SKY, YELLOW = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#CC79A7",
    "#56B4E9",
    "#F0E442",
)
PALETTE = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, YELLOW)
GREY = "#767676"
COLOURS = {
    "non-secure": GREY,
    "none": GREY,
    "sgx+mgx": RED,
    "sgx": RED,
    "softvn": ORANGE,
    "tensortee": BLUE,
    "tenanalyzer": BLUE,
    "tensor-delayed": BLUE,
    "tensor-stall": SKY,
    "mac": RED,
    "mgx": ORANGE,
    "tnpu": PURPLE,
    "seda": GREEN,
    "bounce": PURPLE,
    "plain": GREY,
    "staging": RED,
    "direct": BLUE,
}
PLAIN = ("non-secure", "none", "plain")
PARTS = ("npu", "cpu", "comm_weights", "comm_gradients")
PART_NAMES = {"npu": "NPU", "cpu": "CPU (Adam)", "comm_weights": "weights", "comm_gradients": "gradients"}
STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "svg.hashsalt": "tensortee",
    "svg.fonttype": "path",
}
PRINTED: dict[str, Any] = {
    "marker": "D",
    "color": "black",
    "linestyle": "none",
    "markersize": 6,
    "zorder": 5,
    "label": "paper",
}


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure with what belongs to it.

    Attributes:
        name: stem of its files.
        title: what it shows.
        sentence: what it says, with the numbers.
        figure: the drawing.
        rows: the data that is drawn.
    """

    name: str
    title: str
    sentence: str
    figure: Figure
    rows: Sequence[Result]

    def svg(self) -> str:
        """Drawing as SVG text; the same for the same rows."""
        stream = io.StringIO()
        with matplotlib.rc_context(STYLE):
            self.figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
        return stream.getvalue()

    def png(self) -> bytes:
        """Drawing as PNG."""
        stream = io.BytesIO()
        with matplotlib.rc_context(STYLE):
            self.figure.savefig(stream, format="png", dpi=150, metadata={"Software": None})
        return stream.getvalue()

    def csv(self) -> str:
        """Data as CSV with a line of names; nested values have dotted names."""
        records = [flat(row.model_dump(mode="json")) for row in self.rows]
        names = list(dict.fromkeys(name for record in records for name in record))
        stream = io.StringIO()
        writer = csv.DictWriter(stream, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)
        return stream.getvalue()

    def save(self, folder: Path) -> None:
        """Write NAME.svg, NAME.png and NAME.csv.

        Raises:
            OSError: a file cannot be written.
        """
        write_text(folder / f"{self.name}.svg", self.svg())
        write_text(folder / f"{self.name}.csv", self.csv())
        (folder / f"{self.name}.png").write_bytes(self.png())


def flat(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys as dotted names; lists as JSON text."""
    record: dict[str, Any] = {}
    for name, value in content.items():
        if isinstance(value, dict):
            record |= flat(value, f"{prefix}{name}.")
        else:
            record[prefix + name] = json.dumps(value) if isinstance(value, list) else value
    return record


def charts(results: PaperResults | RunResults | SweepResults) -> list[Chart]:
    """All figures for which there are rows."""
    drawn: Iterable[Chart | None]
    match results:
        case PaperResults():
            drawn = _paper_charts(results)
        case RunResults():
            drawn = [run_chart(results)]
        case SweepResults():
            drawn = [sweep_chart(results.points)]
    return [chart for chart in drawn if chart is not None]


def _paper_charts(results: PaperResults) -> Iterable[Chart | None]:
    yield breakdown_chart(results.models, results.printed_breakdown)
    yield _if_any(speedup_chart, results.speedups)
    yield _if_any(overhead_chart, results.speedups)
    yield _if_any(adam_threads_chart, results.adam)
    yield _if_any(adam_iterations_chart, results.adam)
    yield _if_any(npu_mac_chart, results.npu_mac)
    yield transfer_chart(results.transfer) if results.transfer.rows else None
    yield _if_any(inference_chart, results.inference)
    yield moe_chart(results.moe) if results.moe else None
    yield _if_any(pcie_chart, results.pcie)
    yield _if_any(npus_chart, results.npus)
    yield _if_any(tensors_chart, results.tensors_limit)
    yield _if_any(energy_chart, results.energy)
    yield _if_any(tornado_chart, results.tornado)


def _if_any(draw: Callable[[Any], Chart], rows: Sequence[Result]) -> Chart | None:
    return draw(rows) if rows else None


def _axes(panels: int = 1, width: float = 8.0, height: float = 4.2) -> tuple[Figure, list[Axes]]:
    """Figure with axes, two in a row, each row of this height; drawn without a display and without global state."""
    columns = min(2, panels)
    rows = -(-panels // columns)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height * rows), layout="constrained")
        FigureCanvasAgg(figure)
        axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for spare in axes[panels:]:
        spare.remove()
    return figure, axes[:panels]


def _schemes(rows: Sequence[Any]) -> list[str]:
    """Schemes in the order of the rows."""
    return list(dict.fromkeys(row.scheme for row in rows))


def _colour(scheme: str) -> str:
    return COLOURS.get(scheme, GREEN)


def _line(axes: Axes, points: Iterable[tuple[float, float]], scheme: str, *, joined: bool = True) -> None:
    """Line of a scheme; the plain ones are dashed, so that a line beneath can be seen."""
    style = ("--" if scheme in PLAIN else "-") if joined else "none"
    axes.plot(*zip(*points, strict=True), linestyle=style, marker="o", color=_colour(scheme), label=scheme)


def _stack(axes: Axes, labels: Sequence[str], parts: Mapping[str, Sequence[float]]) -> None:
    """Stacked horizontal bars, first label on top."""
    places = range(len(labels))
    left = [0.0] * len(labels)
    for index, (name, values) in enumerate(parts.items()):
        axes.barh(places, values, left=left, color=PALETTE[index % len(PALETTE)], label=name, edgecolor="white")
        left = [start + value for start, value in zip(left, values, strict=True)]
    axes.set_yticks(places, labels)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)


def _legend_below(figure: Figure, axes: Axes, columns: int = 4) -> None:
    handles, labels = axes.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    figure.legend(unique.values(), unique.keys(), loc="outside lower center", ncols=columns, frameon=False)


def breakdown_chart(rows: Sequence[ModelRow], printed: Sequence[PrintedBreakdownRow]) -> Chart | None:
    """Shares of a training step, ours above the printed ones; models for which shares are printed."""
    models = {row.model for row in printed} or {"GPT2-M"}
    rows = [row for row in rows if row.model in models]
    if not rows:
        return None
    labels, shares = [], []
    for row in rows:
        labels.append(f"{row.model}, {row.scheme}")
        shares.append([getattr(row.breakdown, part) / row.seconds_per_step for part in PARTS])
        for quoted in printed:
            if (quoted.model, quoted.scheme) == (row.model, row.scheme):
                labels.append("paper")
                shares.append([getattr(quoted, part) for part in PARTS])
    figure, [axes] = _axes(height=1.6 + 0.45 * len(labels))
    _stack(axes, labels, {PART_NAMES[part]: [share[i] for share in shares] for i, part in enumerate(PARTS)})
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xlabel("share of the training step (%)")
    _legend_below(figure, axes)
    times = "; ".join(f"{row.scheme} {row.seconds_per_step:.3g} s" for row in rows)
    return Chart("breakdown", "Where a training step spends its time", f"Time of a step: {times}.", figure, rows)


def speedup_chart(rows: Sequence[SpeedupRow]) -> Chart:
    """Speed-up of each model over SGX+MGX, with the printed ones."""
    figure, [axes] = _axes(height=4.6)
    places = range(len(rows))
    axes.bar(places, [row.speedup for row in rows], color=BLUE, label="this study")
    _printed_points(axes, [(place, row.printed_speedup) for place, row in enumerate(rows)])
    _model_axis(axes, rows)
    axes.set_ylabel("speed-up over SGX+MGX (×)")
    axes.legend(loc="upper left", frameon=False)
    mean = sum(row.speedup for row in rows) / len(rows)
    best = max(rows, key=lambda row: row.speedup)
    sentence = f"TensorTEE is {mean:.2f} × faster on average, at most {best.speedup:.2f} × ({best.model})."
    return Chart("speedup", "Speed-up of training over SGX+MGX", sentence, figure, rows)


def overhead_chart(rows: Sequence[SpeedupRow]) -> Chart:
    """Overhead of TensorTEE over the non-secure system for each model."""
    figure, [axes] = _axes(height=4.6)
    axes.bar(range(len(rows)), [100 * row.overhead for row in rows], color=BLUE)
    _model_axis(axes, rows)
    axes.set_ylabel("time over non-secure, minus 1 (%)")
    mean = sum(row.overhead for row in rows) / len(rows)
    worst = max(rows, key=lambda row: row.overhead)
    sentence = f"On average {mean:.1%}, at most {worst.overhead:.1%} ({worst.model})."
    return Chart("overhead", "Overhead of TensorTEE over no protection", sentence, figure, rows)


def _model_axis(axes: Axes, rows: Sequence[SpeedupRow]) -> None:
    axes.set_xticks(range(len(rows)), [row.model for row in rows], rotation=40, ha="right")
    axes.grid(axis="x", visible=False)


def adam_threads_chart(rows: Sequence[AdamRow]) -> Chart:
    """Adam's slow-down against threads, in the last iteration of each scheme."""
    rows = _last_iterations(rows)
    figure, [axes] = _axes()
    for scheme in _schemes(rows):
        own = sorted((row for row in rows if row.scheme == scheme), key=lambda row: row.threads)
        _line(axes, [(row.threads, row.time_over_non_secure) for row in own], scheme)
    _printed_points(axes, [(row.threads, row.printed_time_over_non_secure) for row in rows])
    axes.set_xticks(sorted({row.threads for row in rows}))
    axes.set_xlabel("threads")
    axes.set_ylabel("time over non-secure (×)")
    axes.legend(frameon=False)
    most = max(rows, key=lambda row: row.time_over_non_secure)
    sentence = (
        f"Adam is slowed down most by {most.scheme}: {most.time_over_non_secure:.2f} × at {most.threads} threads."
    )
    return Chart("adam_threads", "Adam on the CPU against threads", sentence, figure, rows)


def _last_iterations(rows: Sequence[AdamRow]) -> list[AdamRow]:
    last: dict[tuple[str, int], AdamRow] = {}
    for row in rows:
        if row.iteration >= last.get((row.scheme, row.threads), row).iteration:
            last[row.scheme, row.threads] = row
    return list(last.values())


def adam_iterations_chart(rows: Sequence[AdamRow]) -> Chart:
    """Adam's time and TenAnalyzer's hit rates against the iteration, at the threads with the most iterations."""
    learning = [row for row in rows if row.scheme == "tenanalyzer"] or list(rows)
    counts = {row.threads: sum(other.threads == row.threads for other in learning) for row in learning}
    threads = max(counts, key=lambda number: (counts[number], number))
    rows = [row for row in rows if row.threads == threads]
    figure, [times, hits] = _axes(2, width=10)
    for scheme in _schemes(rows):
        own = sorted((row for row in rows if row.scheme == scheme), key=lambda row: row.iteration)
        if len(own) == 1:
            times.axhline(own[0].time_over_non_secure, linestyle="--", color=_colour(scheme), label=scheme)
        else:
            _line(times, [(row.iteration, row.time_over_non_secure) for row in own], scheme)
    _printed_points(times, [(row.iteration, row.printed_time_over_non_secure) for row in rows if row in learning])
    times.set_ylabel("time over non-secure (×)")
    times.legend(frameon=False)
    own = sorted((row for row in learning if row.threads == threads), key=lambda row: row.iteration)
    for name, colour, label in (("hit_all", GREEN, "hit-in or hit-boundary"), ("hit_in", BLUE, "hit-in")):
        known = [(row.iteration, getattr(row, name)) for row in own if getattr(row, name) is not None]
        if known:
            hits.plot(*zip(*known, strict=True), marker="o", color=colour, label=label)
    hits.set_ylabel("share of read look-ups")
    hits.yaxis.set_major_formatter(PercentFormatter(1.0))
    hits.legend(loc="lower right", frameon=False)
    for axes in (times, hits):
        axes.set_xlabel("iteration")
    sentence = (
        f"At {threads} threads TenAnalyzer takes {own[0].time_over_non_secure:.2f} × in iteration {own[0].iteration} "
        f"and {own[-1].time_over_non_secure:.2f} × in iteration {own[-1].iteration}."
    )
    return Chart("adam_iterations", "Adam on the CPU against the iteration", sentence, figure, rows)


def _printed_points(axes: Axes, points: Iterable[tuple[float, float | None]]) -> None:
    known = [(x, y) for x, y in points if y is not None]
    if known:
        axes.plot(*zip(*known, strict=True), **PRINTED)


def npu_mac_chart(rows: Sequence[NpuMacRow]) -> Chart:
    """Time and storage of the NPU's integrity against the granularity of MACs."""
    sizes = sorted({row.granularity_bytes for row in rows if row.granularity_bytes is not None})
    labels = [_size(size) for size in sizes] + ["tensor"]
    figure, panels = _axes(2, width=10, height=4.4)
    for axes, name, text in zip(
        panels,
        ("overhead", "storage_overhead"),
        ("time over no protection, minus 1 (%)", "MACs over data (%)"),
        strict=True,
    ):
        for scheme in _schemes(rows):
            own = [row for row in rows if row.scheme == scheme]
            points = sorted((_place(row, sizes), 100 * getattr(row, name)) for row in own)
            _line(axes, points, scheme, joined=len(own) > 1)
        quoted = [(_place(row, sizes), getattr(row, f"printed_{name}")) for row in rows]
        _printed_points(axes, [(place, 100 * value) for place, value in quoted if value is not None])
        axes.set_xticks(range(len(labels)), labels, rotation=40, ha="right")
        axes.set_xlabel("data under one MAC")
        axes.set_ylabel(text)
    _legend_below(figure, panels[0], 5)
    blocks = [row for row in rows if row.granularity_bytes is not None] or list(rows)
    best, worst = (choose(blocks, key=lambda row: row.overhead) for choose in (min, max))
    sentence = (
        f"MACs of blocks cost least time at {_size(best.granularity_bytes)} ({best.overhead:.1%}), most at "
        f"{_size(worst.granularity_bytes)} ({worst.overhead:.1%})."
    )
    return Chart("npu_mac", "Integrity on the NPU against the granularity of MACs", sentence, figure, rows)


def _place(row: NpuMacRow, sizes: Sequence[int]) -> int:
    return len(sizes) if row.granularity_bytes is None else sizes.index(row.granularity_bytes)


def _size(nbytes: int | None) -> str:
    if nbytes is None:
        return "tensor"
    return f"{nbytes} B" if nbytes < 1024 else f"{nbytes / 1024:g} KiB"


def transfer_chart(results: TransferResults) -> Chart:
    """Stages of the gradients' transfer for each scheme, and what of it is exposed."""
    rows = results.rows
    figure, [axes] = _axes(height=1.8 + 0.5 * len(rows))
    stages = list(dict.fromkeys(stage for row in rows for stage in row.stages)) or ["transfer"]
    values = {stage: [row.stages.get(stage, 0.0) for row in rows] for stage in stages}
    _stack(axes, [row.scheme for row in rows], values)
    axes.plot(
        [row.seconds for row in rows], range(len(rows)), "|", color="black", markersize=18, label="whole transfer"
    )
    exposed = [row.exposed_seconds for row in rows]
    axes.plot(exposed, range(len(rows)), "o", color="black", markerfacecolor="white", label="not hidden by backward")
    axes.set_xlabel("time (s)")
    _legend_below(figure, axes, 3)
    sentence = f"The direct transfer of the gradients is {results.gradient_speedup:.1f} × faster than staging."
    return Chart("transfer", "Transfer of the gradients", sentence, figure, rows)


def inference_chart(rows: Sequence[InferenceRow]) -> Chart:
    """Overhead of prefill and decoding against the batch."""
    groups = [(key, list(own)) for key, own in groupby(sorted(rows, key=_inference_panel), key=_inference_panel)]
    figure, panels = _axes(len(groups), width=10, height=3.6)
    for axes, ((model, placement, phase), own) in zip(panels, groups, strict=True):
        for scheme in _schemes(own):
            points = sorted((row.batch, 100 * row.overhead) for row in own if row.scheme == scheme)
            _line(axes, points, scheme)
        axes.set_title(f"{model}\n{phase}, weights {placement}", fontsize=11)
        axes.set_xscale("log", base=2)
        batches = sorted({row.batch for row in own})
        axes.set_xticks(batches, [str(batch) for batch in batches])
        axes.set_xlabel("batch")
        axes.set_ylabel("time over non-secure, minus 1 (%)")
    _legend_below(figure, panels[0])
    worst = max(rows, key=lambda row: row.overhead)
    sentence = f"The largest overhead is {worst.overhead:.1%}: {worst.scheme}, {worst.phase} of {worst.model}."
    return Chart("inference", "Inference: overhead of prefill and decoding", sentence, figure, rows)


def _inference_panel(row: InferenceRow) -> tuple[str, str, str]:
    return row.model, row.placement, row.phase


def moe_chart(rows: Sequence[ModelRow]) -> Chart:
    """Training steps of models with experts."""
    labels = [f"{row.model}, {row.scheme}" for row in rows]
    figure, [axes] = _axes(height=1.6 + 0.45 * len(rows))
    _stack(axes, labels, {PART_NAMES[part]: [getattr(row.breakdown, part) for row in rows] for part in PARTS})
    axes.set_xlabel("time of a training step (s)")
    _legend_below(figure, axes)
    times = "; ".join(f"{row.model}, {row.scheme} {row.seconds_per_step:.3g} s" for row in rows)
    return Chart("moe", "Training models with experts", f"Time of a step: {times}.", figure, rows)


def _step_lines(
    rows: Sequence[Any], count: Callable[[Any], int], name: str, title: str, label: str, sentence: str
) -> Chart:
    """Time of a step against a count, one panel for each model."""
    models = list(dict.fromkeys(row.model for row in rows))
    figure, panels = _axes(len(models), width=8 if len(models) == 1 else 10)
    for axes, model in zip(panels, models, strict=True):
        own = [row for row in rows if row.model == model]
        for scheme in _schemes(own):
            points = sorted((count(row), row.seconds_per_step) for row in own if row.scheme == scheme)
            _line(axes, points, scheme)
        axes.set_title(model, fontsize=11)
        axes.set_xticks(sorted({count(row) for row in own}))
        axes.set_ylim(bottom=0)
        axes.set_xlabel(label)
        axes.set_ylabel("time of a training step (s)")
    _legend_below(figure, panels[0])
    return Chart(name, title, sentence, figure, rows)


def pcie_chart(rows: Sequence[PcieRow]) -> Chart:
    """Training step against the generation of the link."""
    newest = max(row.generation for row in rows)
    sentence = f"At PCIe {newest} {_ratio([row for row in rows if row.generation == newest])}."
    return _step_lines(
        rows, lambda row: int(row.generation), "pcie", "Faster links", "PCIe generation (16 lanes)", sentence
    )


def npus_chart(rows: Sequence[NpusRow]) -> Chart:
    """Training step against the number of NPUs."""
    most = max(row.npus for row in rows)
    sentence = f"With {most} NPUs {_ratio([row for row in rows if row.npus == most])}."
    return _step_lines(rows, lambda row: int(row.npus), "npus", "Several NPUs, data parallel", "NPUs", sentence)


def _ratio(rows: Sequence[Any]) -> str:
    """What SGX+MGX takes over TensorTEE, as words."""
    seconds = {(row.model, row.scheme): row.seconds_per_step for row in rows}
    ratios = [
        f"{seconds[model, 'sgx+mgx'] / time:.2f} × for {model}"
        for (model, scheme), time in seconds.items()
        if scheme == "tensortee" and (model, "sgx+mgx") in seconds
    ]
    return "the speed-up of TensorTEE over SGX+MGX is " + (", ".join(ratios) or "not known")


def tensors_chart(rows: Sequence[TensorsLimitRow]) -> Chart:
    """Adam under TenAnalyzer against the number of live tensors."""
    rows = sorted(rows, key=lambda row: row.tensors)
    figure, [times, hits] = _axes(2, width=10)
    numbers = [row.tensors for row in rows]
    times.plot(numbers, [row.time_over_non_secure for row in rows], marker="o", color=BLUE)
    times.set_ylabel("time over non-secure (×)")
    hits.plot(numbers, [row.hit_in for row in rows], marker="o", color=BLUE)
    hits.set_ylabel("hit-in, share of read look-ups")
    hits.yaxis.set_major_formatter(PercentFormatter(1.0))
    for axes in (times, hits):
        axes.set_xscale("log", base=2)
        axes.set_xticks(numbers, [str(number) for number in numbers])
        axes.set_xlabel("live tensors")
    sentence = (
        f"With {rows[0].tensors} tensors Adam takes {rows[0].time_over_non_secure:.2f} × the non-secure time, with "
        f"{rows[-1].tensors} tensors {rows[-1].time_over_non_secure:.2f} ×."
    )
    return Chart("tensors_limit", "More tensors than the Meta Table holds", sentence, figure, rows)


def energy_chart(rows: Sequence[EnergyRow]) -> Chart:
    """Energy of a training step by kind of event, with the range that the quoted energies leave."""
    keys = list(dict.fromkeys((row.model, row.scheme) for row in rows))
    events = list(dict.fromkeys(row.event for row in rows))
    figure, [axes] = _axes(width=9, height=2.0 + 0.45 * len(keys))

    def total(key: tuple[str, str], name: str) -> float:
        return float(sum(getattr(row, name) for row in rows if (row.model, row.scheme) == key))

    joules = {(row.model, row.scheme, row.event): row.joules for row in rows}
    values = {event: [joules.get((*key, event), 0.0) for key in keys] for event in events}
    _stack(axes, [f"{model}, {scheme}" for model, scheme in keys], values)
    middle = [total(key, "joules") for key in keys]
    spread = [
        [value - total(key, "joules_low") for key, value in zip(keys, middle, strict=True)],
        [total(key, "joules_high") - value for key, value in zip(keys, middle, strict=True)],
    ]
    axes.errorbar(
        middle, range(len(keys)), xerr=spread, fmt="none", ecolor="black", capsize=4, label="range of sources"
    )
    axes.set_xlabel("energy of a training step (J)")
    _legend_below(figure, axes, 4)
    sums = "; ".join(f"{model}, {scheme} {total((model, scheme), 'joules'):.3g} J" for model, scheme in keys)
    return Chart("energy", "Energy of a training step", f"Modelled energy: {sums}.", figure, rows)


def tornado_chart(rows: Sequence[TornadoRow], most: int = 10) -> Chart:
    """What each conclusion becomes at the ends of each input's range; the inputs that matter most."""
    conclusions = list(dict.fromkeys(row.conclusion for row in rows))
    figure, panels = _axes(len(conclusions), width=11, height=4.6)
    for axes, conclusion in zip(panels, conclusions, strict=True):
        own = sorted((row for row in rows if row.conclusion == conclusion), key=_swing, reverse=True)[:most]
        for place, row in enumerate(own):
            for value, colour, label in ((row.result_low, ORANGE, "input low"), (row.result_high, BLUE, "input high")):
                axes.barh(place, value - row.result_base, left=row.result_base, color=colour, alpha=0.85, label=label)
        axes.axvline(own[0].result_base, color="black", linewidth=1)
        names = [f"{row.parameter}\n{row.low:.4g} .. {row.high:.4g}" for row in own]
        axes.set_yticks(range(len(own)), names, fontsize=8)
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.set_title(conclusion, fontsize=11)
        axes.set_xlabel(f"conclusion ({own[0].unit})" if own[0].unit != "1" else "conclusion")
    _legend_below(figure, panels[0])
    widest = max(rows, key=lambda row: _swing(row) / abs(row.result_base or 1))
    sentence = (
        f"Most sensitive: {widest.conclusion} goes from {widest.result_low:.3g} to {widest.result_high:.3g} as "
        f"{widest.parameter} goes from {widest.low:.4g} to {widest.high:.4g}."
    )
    return Chart("tornado", "Sensitivity of the conclusions to the inputs", sentence, figure, rows)


def _swing(row: TornadoRow) -> float:
    return max(row.result_low, row.result_high, row.result_base) - min(row.result_low, row.result_high, row.result_base)


def run_chart(results: RunResults) -> Chart:
    """Parts of a step, pass or request for each scheme."""
    rows: Sequence[SchemeRow] = results.rows
    figure, [axes] = _axes(height=1.8 + 0.5 * len(rows))
    parts = list(dict.fromkeys(part for row in rows for part in row.parts))
    _stack(
        axes,
        [row.scheme for row in rows],
        {PART_NAMES.get(part, part): [row.parts.get(part, 0.0) for row in rows] for part in parts},
    )
    axes.set_xlabel("time (s)")
    _legend_below(figure, axes)
    first = rows[0]
    others = "; ".join(f"{row.scheme} {row.seconds / first.seconds:.3g} ×" for row in rows[1:])
    sentence = f"{first.scheme} takes {first.seconds:.3g} s" + (f"; {others} as long." if others else ".")
    return Chart("run", f"{results.workload}: {results.mode}", sentence, figure, rows)


def sweep_chart(points: Sequence[SweepPoint]) -> Chart | None:
    """Time of each scheme at each point of a sweep."""
    done = [(number, point.result) for number, point in enumerate(points, start=1) if point.result is not None]
    if not done:
        return None
    figure, [axes] = _axes(width=9)
    for scheme in dict.fromkeys(row.scheme for _, result in done for row in result.rows):
        seconds = [(number, row.seconds) for number, result in done for row in result.rows if row.scheme == scheme]
        _line(axes, seconds, scheme)
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("point of the sweep, see the table")
    axes.set_ylabel("time (s)")
    _legend_below(figure, axes)
    sentence = f"{len(done)} of {len(points)} points were computed."
    return Chart("sweep", "Time at each point of the sweep", sentence, figure, list(points))
