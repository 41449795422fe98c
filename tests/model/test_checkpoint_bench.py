# SPDX-License-Identifier: Apache-2.0
"""The benchmark measures what it says; the speeds themselves are for an idle machine, `make bench`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors import safe_open
from tensortee.checkpoint import bench


def test_ratio_is_the_median_of_alternating_rounds() -> None:
    calls: list[str] = []
    package = iter([9.0, 2.0, 1.0, 4.0])
    raw = iter([9.0, 1.0, 1.0, 1.0])

    def side(name: str, seconds: Iterator[float]) -> float:
        calls.append(name)
        return next(seconds)

    ratio = bench.compare(
        "x", lambda: side("p", package), lambda: side("r", raw), required=0.5, rounds=3, nbytes=4_000_000_000
    )
    assert calls == ["p", "r", "p", "r", "r", "p", "p", "r"]
    assert (ratio.ratio, ratio.smallest, ratio.largest) == (0.5, 0.25, 1.0)
    assert (ratio.package_gb_per_s, ratio.raw_gb_per_s) == (2.0, 4.0)


def test_checkpoint_of_the_benchmark_is_valid(tmp_path: Path) -> None:
    bench.write_checkpoint(tmp_path / "m.safetensors", layers=2)
    with safe_open(tmp_path / "m.safetensors", framework="np") as opened:
        assert len(opened.keys()) == 2 * len(bench.LAYER_BYTES)


def test_both_sides_do_the_work(tmp_path: Path) -> None:
    bench.write_checkpoint(tmp_path / "m.safetensors", layers=1)
    bench.read_encrypt_write(tmp_path / "m.safetensors", tmp_path / "out", bytes(16), 2, durable=True)
    assert (tmp_path / "out").stat().st_size == (tmp_path / "m.safetensors").stat().st_size
    for ratio in (
        bench.long_tensor(bench.MIB, rounds=3),
        bench.short_tensors(20, 4096, rounds=3),
        bench.checkpoint(tmp_path, durable=False, layers=1, rounds=2),
        bench.checkpoint(tmp_path, durable=True, layers=1, rounds=2),
    ):
        assert 0 < ratio.smallest <= ratio.ratio <= ratio.largest
        assert ratio.package_gb_per_s > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.safetensors", "out"]


@pytest.mark.parametrize(("ratio", "status"), [(0.8, 0), (0.6, 1)])
def test_report_and_exit_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ratio: float, status: int
) -> None:
    row = bench.Ratio("thing", ratio, 0.1, 1.2, 0.7, 3, 2, 1000, 1.0, 1.5)
    monkeypatch.setattr(bench, "measure", lambda _directory: [row])
    assert bench.main(["-o", str(tmp_path / "bench" / "model.json")]) == status
    captured = capsys.readouterr()
    assert f"{ratio:.2f}" in captured.out
    assert ("below what is required: thing" in captured.err) == bool(status)
    assert json.loads((tmp_path / "bench" / "model.json").read_text())[0]["ratio"] == ratio
