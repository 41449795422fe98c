# SPDX-License-Identifier: Apache-2.0
"""The engine's speed in cycles: targets, and the measured file against the RTL."""

from __future__ import annotations

import json

import pytest

from tb.app.benchmark import disagreements, outdated
from tb.app.engine import DATA_WIDTHS
from tb.app.performance import MEASURED_FILE, TARGETS, load_measured, measure, missed
from tb.runner import simulators


@pytest.mark.parametrize("data_w", DATA_WIDTHS)
@pytest.mark.parametrize("sim", simulators())
def test_engine_meets_targets_and_measured_file(sim: str, data_w: int) -> None:
    figures = measure(sim, data_w)
    assert missed(figures) == []
    assert figures == load_measured()[data_w]


def test_measured_file_states_the_targets() -> None:
    document = json.loads(MEASURED_FILE.read_text())
    assert document["targets"] == {name: f"{relation.value} {bound:g}" for name, (relation, bound) in TARGETS.items()}
    assert sorted(load_measured()) == sorted(DATA_WIDTHS)


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("read_beats_per_cycle", 0.9899),
        ("write_beats_per_cycle", 0.9899),
        ("added_read_latency_cycles", 7),
        ("scattered_lines_per_cycle", 0.1249),
    ],
)
def test_missed_target_is_named(name: str, bad: float) -> None:
    figures = dict(load_measured()[128])
    assert missed(figures) == []
    figures[name] = bad
    (line,) = missed(figures)
    assert name in line
    assert "128" in line


def test_changed_or_simulator_dependent_figure_is_found() -> None:
    figures = load_measured()[256]
    slower = {**figures, "command_cycles": {**figures["command_cycles"], "define": 1}}
    assert outdated([("icarus", figures)]) == []
    assert len(outdated([("icarus", slower)])) == 1
    assert disagreements([("icarus", figures), ("verilator", figures)]) == []
    assert len(disagreements([("icarus", figures), ("verilator", slower)])) == 1
