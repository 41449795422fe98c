# SPDX-License-Identifier: Apache-2.0
"""The runner of cocotb tests: a regression must not be able to pass by accident."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tb.runner import (
    CocotbRun,
    SimulationError,
    lint_verilog,
    require_tools,
    rtl_sources,
    run_cocotb,
    seed_from_environment,
    simulators,
)

DUT = "skid_buffer"


def run_probe(probe: str, sim: str, **options: object) -> list[CocotbRun]:
    arguments = {"toplevel": DUT, "sources": rtl_sources(DUT), "module": "tests.infra_probe", "sim": sim}
    return run_cocotb(**arguments, test_filter=rf"\.{probe}$", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("sim", simulators())
def test_passing_test_passes(sim: str) -> None:
    (run,) = run_probe("probe_pass", sim)
    assert [(test.name, test.status) for test in run.tests if test.status != "skipped"] == [
        ("tests.infra_probe.probe_pass", "passed")
    ]


@pytest.mark.parametrize("sim", simulators())
def test_failing_test_raises(sim: str) -> None:
    with pytest.raises(SimulationError, match=r"1 of 1 tests failed\n.*probe of a failing test"):
        run_probe("probe_fail", sim)


@pytest.mark.parametrize("sim", simulators())
def test_no_executed_test_raises(sim: str) -> None:
    with pytest.raises(SimulationError, match="no test ran"):
        run_probe("probe_that_is_not_there", sim)


@pytest.mark.parametrize("sim", simulators())
def test_hang_raises(sim: str) -> None:
    with pytest.raises(SimulationError, match="stopped after 5 s"):
        run_probe("probe_hang", sim, timeout_s=5)


@pytest.mark.parametrize("sim", simulators())
def test_crash_raises(sim: str) -> None:
    with pytest.raises(SimulationError, match="ended abnormally"):
        run_probe("probe_crash", sim)


def test_unknown_module_raises() -> None:
    with pytest.raises(SimulationError, match="No module named"):
        run_cocotb(toplevel=DUT, sources=rtl_sources(DUT), module="tests.no_such_module", sim="icarus")


@pytest.mark.parametrize("sim", simulators())
def test_broken_source_raises(sim: str, tmp_path: Path) -> None:
    source = tmp_path / "broken.v"
    source.write_text("module broken (input wire clk);\n  assign nothing = ;\nendmodule\n")
    with pytest.raises(SimulationError, match="cannot build broken"):
        run_cocotb(toplevel="broken", sources=[source], module="tests.infra_probe", sim=sim)


def test_build_is_reused_until_a_source_changes(tmp_path: Path) -> None:
    source = tmp_path / f"{DUT}.v"
    source.write_text(rtl_sources(DUT)[0].read_text())

    def run() -> int:
        (run,) = run_cocotb(
            toplevel=DUT, sources=[source], module="tests.infra_probe", sim="icarus", test_filter="probe_pass"
        )
        return (run.build_dir / "build.stamp").stat().st_mtime_ns

    first = run()
    assert run() == first
    source.write_text(source.read_text() + "// changed\n")
    assert run() > first


@pytest.mark.parametrize("sim", simulators())
def test_seed_reproduces(sim: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEED", raising=False)

    def number(seed: int) -> str:
        (run,) = run_probe("probe_pass", sim, seed=seed)
        assert run.seed == seed
        match = re.search(r"first random number: (\d+)", run.log.read_text())
        assert match
        return match.group(1)

    assert number(5) == number(5)
    assert number(5) != number(6)


@pytest.mark.parametrize("sim", simulators())
def test_waves_leave_an_fst_trace(sim: str) -> None:
    (run,) = run_probe("probe_pass", sim, waves=True)
    assert (run.run_dir / "dump.fst").stat().st_size > 0


def test_fast_build_shows_ports_and_named_signals() -> None:
    (run,) = run_probe("probe_pass", "verilator", fast=True, public={DUT: ["store"]})
    lines = (run.build_dir / "public.vlt").read_text().splitlines()
    assert 'public_flat_rw -module "skid_buffer" -var "store"' in lines
    assert 'public_flat_rw -module "skid_buffer" -var "in_valid"' in lines
    assert not [line for line in lines if '"full"' in line]


def test_seed_of_the_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEED", "77")
    assert seed_from_environment(5) == 77
    monkeypatch.setenv("SEED", "random")
    assert len({seed_from_environment(5) for _ in range(3)}) > 1
    monkeypatch.setenv("SEED", "-1")
    with pytest.raises(SimulationError, match="SEED=-1"):
        seed_from_environment()


def test_simulator_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIM", raising=False)
    assert simulators() == ("verilator", "icarus")
    monkeypatch.setenv("SIM", "icarus")
    assert simulators() == ("icarus",)
    monkeypatch.setenv("SIM", "other")
    with pytest.raises(SimulationError, match="SIM=other"):
        simulators()


def test_missing_tool_names_the_fix() -> None:
    with pytest.raises(SimulationError, match=r"no-such-simulator.*scripts/setup"):
        require_tools("no-such-simulator")


def test_lint_reports_and_is_silent(tmp_path: Path) -> None:
    assert lint_verilog(DUT, rtl_sources(DUT)) == ""
    source = tmp_path / "sloppy.v"
    source.write_text("module sloppy (input wire [3:0] a, output wire [2:0] b);\n  assign b = a;\nendmodule\n")
    assert "WIDTH" in lint_verilog("sloppy", [source])
