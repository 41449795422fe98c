# SPDX-License-Identifier: Apache-2.0
"""Sweeps: every point once, killed sweeps go on, and the way of computation does not show."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from tensortee.study.report.results import to_json
from tensortee.study.sweep import sweep as sweep_module
from tensortee.study.sweep.config import Config
from tensortee.study.sweep.located_yaml import ConfigError
from tensortee.study.sweep.sweep import SweepError, load_sweep, point_key, run_sweep

from tests.study import sweep_evaluations as evaluations

ROOT = Path(__file__).resolve().parents[2]
BASE = "workload: {model: GPT}\n"
SWEEP = BASE + "sweep:\n  system.link.pcie_generation: [4, 5, 6]\n  batch: [1, 2]\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "sweep.yaml"
    path.write_text(text)
    return path


def test_points_are_all_combinations_in_order(tmp_path: Path) -> None:
    points = load_sweep(write(tmp_path, SWEEP))
    values = [(point.config.system.link.pcie_generation, point.config.batch) for point in points]
    assert values == [(4, 1), (4, 2), (5, 1), (5, 2), (6, 1), (6, 2)]
    assert points[2].parameters == {"system.link.pcie_generation": 5, "batch": 1}
    assert len({point.key for point in points}) == 6


def test_a_swept_value_replaces_that_of_the_file(tmp_path: Path) -> None:
    points = load_sweep(write(tmp_path, BASE + "batch: 9\nsweep: {workload.model: [GPT2-M], batch: [1]}\n"))
    assert [(point.config.workload.model, point.config.batch) for point in points] == [("GPT2-M", 1)]


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        (BASE + "sweep:\n  batch: [1, 0]\n", 3, 14, ["batch: 0", "greater than or equal to 1"]),
        (BASE + "sweep:\n  batchs: [1]\n", 3, 12, ["batchs: unknown key", "did you mean 'batch'"]),
        (BASE + "sweep:\n  system.cpu.core: [1]\n", 3, 21, ["system.cpu.core", "did you mean 'cores'"]),
        (BASE + "sweep:\n  batch: 3\n", 3, 3, ["sweep.batch: must be a list"]),
        (BASE + "sweep:\n  batch: []\n", 3, 3, ["the list is empty"]),
        (BASE + "sweeps: {batch: [1]}\n", 1, 1, ["did you mean 'sweeps'"]),
        (BASE + "system: 7\nsweep: {system.npus: [1]}\n", 2, 1, ["system: must hold keys and values, not 7"]),
        (BASE + "mode: x\nsweep: {batch: [1, 2]}\n", 2, 1, ["mode: 'x'"]),
        (BASE + f"sweep: {{batch: {[1] * 1000}, threads: {[1] * 1000}}}\n", 2, 1, ["1000000 points"]),
    ],
)
def test_errors_name_the_place_in_the_sweep(
    tmp_path: Path, text: str, line: int, column: int, words: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_sweep(write(tmp_path, text))
    [problem] = caught.value.problems
    assert (problem.line, problem.column) == (line, column), problem
    for word in words:
        assert word in problem.message


def test_an_empty_section_is_filled(tmp_path: Path) -> None:
    [point] = load_sweep(write(tmp_path, BASE + "system:\nsweep: {system.cpu.cores: [4]}\n"))
    assert point.config.system.cpu.cores == 4


def test_keys_follow_everything_that_matters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "config.json"
    config.write_text("{}")
    question = Config.model_validate({"workload": {"huggingface": config}})
    key = point_key(question)
    assert point_key(Config.model_validate({"workload": {"huggingface": config}})) == key
    assert point_key(question.model_copy(update={"batch": 3})) != key
    config.write_text("{ }")
    assert point_key(question) != key
    config.write_text("{}")
    assert point_key(question) == key
    monkeypatch.setattr(sweep_module, "package_fingerprint", lambda: "another version")
    assert point_key(question) != key


def test_a_second_run_computes_nothing(tmp_path: Path) -> None:
    points = load_sweep(write(tmp_path, SWEEP))
    calls: list[tuple[int, int]] = []
    first = run_sweep(points, tmp_path / "cache", evaluations.answer, jobs=1)
    second = run_sweep(points, tmp_path / "cache", evaluations.never, jobs=1, progress=lambda *n: calls.append(n))
    assert to_json(second) == to_json(first)
    assert calls == [(6, 6)]
    assert all(point.result is not None for point in second.points)


def test_a_damaged_file_of_the_cache_is_computed_again(tmp_path: Path) -> None:
    points = load_sweep(write(tmp_path, SWEEP))
    first = run_sweep(points, tmp_path / "cache", evaluations.answer, jobs=1)
    stored = tmp_path / "cache" / f"{points[0].key}.json"
    stored.write_text(stored.read_text()[:50])
    again = run_sweep(points, tmp_path / "cache", evaluations.answer, jobs=1)
    assert to_json(again) == to_json(first)


def test_a_failing_point_is_named_and_does_not_stop_the_others(tmp_path: Path) -> None:
    points = load_sweep(write(tmp_path, SWEEP))
    results = run_sweep(points, tmp_path / "cache", evaluations.failing, jobs=1)
    for point in results.points:
        if point.parameters["batch"] == 2:
            assert point.error == "ValueError: batch of two"
            assert point.result is None
        else:
            assert point.error is None
            assert point.result is not None
    assert len(list((tmp_path / "cache").iterdir())) == 3
    assert run_sweep(points, tmp_path / "cache", evaluations.answer, jobs=1).points[1].error is None


def test_a_killed_sweep_goes_on_without_loss(tmp_path: Path) -> None:
    batches = list(range(1, 13))
    path = write(tmp_path, BASE + f"sweep: {{batch: {batches}}}\n")
    cache, log = tmp_path / "cache", tmp_path / "log"
    environment = {**os.environ, evaluations.LOG: str(log), "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'model'}"}
    command = [sys.executable, "-m", "tests.study.sweep_evaluations", str(path), str(cache)]
    with subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True) as process:
        deadline = time.monotonic() + 60
        while len(list(cache.glob("*.json"))) < 4 and time.monotonic() < deadline:
            assert process.poll() is None, "the sweep ended before it could be killed"
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
    stored = {point.config.batch for point in load_sweep(path) if (cache / f"{point.key}.json").exists()}
    assert 4 <= len(stored) < len(batches)

    subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=60)
    computed = Counter(int(line) for line in log.read_text().split())
    assert set(computed) == set(batches)
    assert all(computed[batch or 0] == 1 for batch in stored)
    assert max(computed.values()) <= 2  # a point that was under way when the sweep was killed
    whole = run_sweep(load_sweep(path), cache, evaluations.never, jobs=1)
    assert to_json(whole) == to_json(run_sweep(load_sweep(path), tmp_path / "other", evaluations.answer, jobs=1))


def test_processes_and_a_cluster_give_the_same(tmp_path: Path) -> None:
    from distributed import LocalCluster

    points = load_sweep(write(tmp_path, SWEEP))
    here = run_sweep(points, tmp_path / "here", evaluations.failing, jobs=2)
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        there = run_sweep(points, tmp_path / "there", evaluations.failing, scheduler=cluster.scheduler_address)
    assert to_json(there) == to_json(here)
    assert [point.error is None for point in here.points] == [True, False] * 3
    files = [sorted(path.name for path in (tmp_path / name).iterdir()) for name in ("here", "there")]
    assert files[0] == files[1]
    for name in files[0]:
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes()


def test_a_process_that_dies_is_an_error_and_what_is_done_remains(tmp_path: Path) -> None:
    points = load_sweep(write(tmp_path, BASE + "sweep: {batch: [1, 2]}\n"))
    run_sweep(points[:1], tmp_path / "cache", evaluations.answer, jobs=1)
    with pytest.raises(SweepError, match="a process died"):
        run_sweep(points, tmp_path / "cache", evaluations.dying, jobs=2)
    assert len(list((tmp_path / "cache").glob("*.json"))) == 1


def test_a_cluster_without_workers_or_with_another_version_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distributed import LocalCluster

    points = load_sweep(write(tmp_path, SWEEP))
    with LocalCluster(n_workers=0, processes=True, dashboard_address=None) as cluster:
        with pytest.raises(SweepError, match="no workers"):
            run_sweep(points, tmp_path, evaluations.answer, scheduler=cluster.scheduler_address)
        cluster.scale(1)
        cluster.wait_for_workers(1)
        monkeypatch.setattr(sweep_module, "package_fingerprint", lambda: f"of process {os.getpid()}")
        with pytest.raises(SweepError, match="another version"):
            run_sweep(points, tmp_path, evaluations.answer, scheduler=cluster.scheduler_address)


def test_an_address_where_nothing_answers(tmp_path: Path) -> None:
    points = load_sweep(write(tmp_path, SWEEP))
    with pytest.raises(SweepError, match="no Dask scheduler answers"):
        run_sweep(points, tmp_path, evaluations.answer, scheduler="nonsense://x")
