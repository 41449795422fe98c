# SPDX-License-Identifier: Apache-2.0
"""The checks themselves: each must notice what it is there for."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from scripts.check_benches import benched
from scripts.check_benches import problems_of as bench_problems
from scripts.check_headers import problems_of_verilog
from scripts.check_sec_cm import names_in_rtl, names_in_table
from scripts.check_testplan import Results, problems_of, read_results, without_parameters
from scripts.cov import merge_code, merge_functional
from scripts.cov import problems_of as coverage_problems
from scripts.synth import plain_name, sizes
from scripts.testplan import ROOT, TestplanError, Testpoint, load
from scripts.verilator_coverage import CoverageError, read

POINT = "- {id: A-B-001, title: t, tests: [%s]}\n"


def point_of(*tests: str, nightly: tuple[str, ...] = ()) -> Testpoint:
    return Testpoint(
        id="A-B-001", title="t", tests=tests + nightly, nightly=nightly, security=(), sec_cm=(), file="a.yaml"
    )


def results_of(**outcomes: str) -> Results:
    results = Results()
    for name, outcome in outcomes.items():
        results.add(f"tests/test_a.py::{name}", outcome)
    return results


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (POINT % '"tests/test_a.py::test_b"' * 2, "id A-B-001 repeats"),
        ("- {id: a, title: t, tests: [x]}\n", "id is not of the form"),
        ("- {id: A-B-001, title: t, tests: []}\n", "names no test"),
        (POINT % "test_b", "is neither"),
        ("- {id: A-B-001, title: t, tests: ['cocotb:a.b'], securty: [A1]}\n", "unknown keys"),
        ("- {id: A-B-001, title: t, tests: ['cocotb:a.b'], security: [a1]}\n", "malformed entries"),
        ("- {id: A-B-001, tests: ['cocotb:a.b']}\n", "title is missing"),
        ("a: 1\n", "not a list"),
        ("", "not a list"),
    ],
)
def test_malformed_testplan_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(TestplanError, match=message):
        load(tmp_path)


def test_empty_testplan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TestplanError, match="no testpoint"):
        load(tmp_path)


def test_testplan_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "- {id: A-B-001, title: t, security: [A1], sec_cm: [LINE.WRITE_ONCE], tests: ['cocotb:a.b']}\n"
        "- {id: A-B-002, title: t, nightly: ['cocotb:a.c']}\n"
    )
    first, second = load(tmp_path)
    assert (first.security, first.sec_cm, first.tests) == (("A1",), ("LINE.WRITE_ONCE",), ("cocotb:a.b",))
    assert (second.tests, second.nightly) == (("cocotb:a.c",), ("cocotb:a.c",))


def test_plan_and_results_that_agree_have_no_problem() -> None:
    results = results_of(**{"test_b[1]": "passed", "test_b[2]": "passed", "test_c[x]": "passed"})
    results.add("cocotb:tb.m.f/x=1", "passed", "icarus")
    plan = [point_of("tests/test_a.py::test_b", "tests/test_a.py::test_c[x]", "cocotb:tb.m.f")]
    assert problems_of(plan, results) == []


def test_named_test_that_did_not_run_is_a_problem() -> None:
    results = results_of(test_b="passed", test_c="skipped")
    plan = [point_of("tests/test_a.py::test_b", "tests/test_a.py::test_c", "cocotb:tb.m.f")]
    assert [re.sub(r".*: ", "", problem) for problem in problems_of(plan, results)] == [
        "tests/test_a.py::test_c did not run",
        "cocotb:tb.m.f did not run",
    ]


def test_nightly_test_has_to_run_in_its_tier_only() -> None:
    plan = [point_of("tests/test_a.py::test_b", nightly=("tests/test_a.py::test_c",))]
    results = results_of(test_b="passed")
    assert problems_of(plan, results) == []
    results.nightly = True
    (problem,) = problems_of(plan, results)
    assert problem.endswith("tests/test_a.py::test_c did not run")
    results.add("tests/test_a.py::test_c", "passed")
    assert problems_of(plan, results) == []


def test_failed_test_is_a_problem() -> None:
    assert "failed" in problems_of([point_of("tests/test_a.py::test_b")], results_of(test_b="failed"))[0]


def test_unmapped_test_is_a_problem() -> None:
    results = results_of(test_b="passed", test_c="passed")
    results.add("cocotb:tb.m.f", "passed", "icarus")
    assert problems_of([point_of("tests/test_a.py::test_b")], results) == [
        "cocotb:tb.m.f ran, but is in no testpoint of tests/testplan.d",
        "tests/test_a.py::test_c ran, but is in no testpoint of tests/testplan.d",
    ]


def test_missing_record_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TestplanError, match="make test"):
        read_results(tmp_path)


def test_records_are_read(tmp_path: Path) -> None:
    record = {"nightly": True, "seconds": 1, "tests": {"tests/test_a.py::test_b[1]": "passed"}}
    (tmp_path / "pytest.json").write_text(json.dumps(record))
    (tmp_path / "cocotb").mkdir()
    run = {"simulator": "icarus", "tests": [{"name": "m.f", "status": "failed"}, {"name": "m.g", "status": "skipped"}]}
    (tmp_path / "cocotb" / "a.json").write_text(json.dumps(run))
    results = read_results(tmp_path)
    assert set(results.outcomes) == {"tests/test_a.py::test_b[1]", "tests/test_a.py::test_b", "cocotb:m.f"}
    assert results.simulators["cocotb:m.f"] == {"icarus"}
    assert results.nightly


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("tests/a.py::test_b[x::y-1]", "tests/a.py::test_b"),
        ("tests/a.py::TestC::test_b", "tests/a.py::TestC::test_b"),
        ("cocotb:tb.m.f/a=1/b=2", "cocotb:tb.m.f"),
        ("cocotb:tb.m.f", "cocotb:tb.m.f"),
    ],
)
def test_parameters_are_taken_off(name: str, plain: str) -> None:
    assert without_parameters(name) == plain


def test_countermeasure_tags_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.v").write_text("// SEC_CM: KEY.WIPE - why\n  // SEC_CM: A.B, C.D_E\n")
    assert names_in_rtl(tmp_path) == {"KEY.WIPE", "A.B", "C.D_E"}
    text = "| name | where |\n|---|---|\n| `KEY.WIPE` | x |\n| SEC_CM: A.B | y |\n| C.D_E. | z |\n| A1 | no |\n"
    assert names_in_table(text) == {"KEY.WIPE", "A.B"}


def test_modules_without_a_bench_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.py").touch()
    tops = benched(['run(\n    toplevel="top",\n)', "toplevel=name"])
    assert tops == {"top"}
    assert bench_problems({"top", "part"}, tops, {"part": "in the bench of top: a.py"}, tmp_path) == []
    assert bench_problems({"top", "part"}, tops, {}, tmp_path) == ["part has neither a bench nor a reason"]
    reasons = {"top": "a.py", "gone": "b.py", "part": "because"}
    assert bench_problems({"top", "part"}, tops, reasons, tmp_path) == [
        "top has a bench, its reason is out of date",
        "gone has a reason, but is no module",
        "gone: its reason names b.py, which does not exist",
        "part: its reason names no test",
    ]


GOOD = "`resetall\n`default_nettype none\nmodule a (input wire x);\nendmodule\n`resetall\n"


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        (GOOD, 0),
        (GOOD.replace("module a", "module b"), 1),
        (GOOD.replace("`default_nettype none\n", ""), 1),
        (GOOD.removesuffix("`resetall\n"), 1),
        (GOOD.removesuffix("`resetall\n") + "`default_nettype wire\n", 0),
        (GOOD + "module c;\nendmodule\n", 1),
        ("// `default_nettype none\nmodule a (input wire x);\nendmodule\n// `resetall\n", 2),
    ],
)
def test_form_of_verilog_is_checked(text: str, problems: int) -> None:
    assert len(problems_of_verilog(Path("a.v"), text)) == problems


def coverage_line(count: int, **fields: str) -> str:
    return "C '" + "".join(f"\x01{key}\x02{value}" for key, value in fields.items()) + f"' {count}\n"


def test_verilator_coverage_is_merged(tmp_path: Path) -> None:
    name = str(ROOT / "rtl" / "cells" / "skid_buffer.v")
    line = {"f": name, "n": "5", "t": "line", "o": "if", "h": "top.a"}
    first = coverage_line(0, l="36", S="36-37", **line) + coverage_line(0, l="40", S="40", **line)
    first += coverage_line(2, f=name, l="16", n="9", t="toggle", o="clk:0->1", h="top.a")
    first += coverage_line(9, f="/elsewhere/x.v", l="1", n="1", t="line", o="if", S="1", h="top")
    (tmp_path / "1.dat").write_text("# SystemC::Coverage-3\n" + first)
    (tmp_path / "2.dat").write_text("# SystemC::Coverage-3\n" + coverage_line(3, l="36", S="36-37", **line))
    (covered,) = merge_code(tmp_path)
    assert covered.name == "skid_buffer.v"
    assert (covered.hit["line"], covered.total["line"]) == (1, 2)
    assert (covered.hit["toggle"], covered.total["toggle"]) == (1, 1)
    assert covered.line_counts == {36: 3, 37: 3, 40: 0}
    assert coverage_problems([covered], [], floor=60.0) == [
        "skid_buffer.v: 50.0% of lines and branches, below 60.0%",
        "no functional coverage was measured",
    ]


def test_foreign_coverage_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "1.dat").write_text("something else\n")
    with pytest.raises(CoverageError, match="not coverage data"):
        read(tmp_path / "1.dat", ROOT / "rtl")


def test_missing_coverage_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CoverageError, match="make cov"):
        merge_code(tmp_path)


def functional(bins: dict[str, int], waived: dict[str, str]) -> str:
    return json.dumps({"groups": [{"name": "g", "bins": bins, "waived": waived}]})


def test_functional_hole_is_a_problem_unless_waived(tmp_path: Path) -> None:
    (tmp_path / "1.json").write_text(functional({"a": 0, "b": 0, "c": 0}, {"c": "unreachable: why"}))
    (tmp_path / "2.json").write_text(functional({"a": 2, "b": 0, "c": 0}, {}))
    (group,) = merge_functional(tmp_path)
    assert group.hit == 1
    assert coverage_problems([], [group], floor=0) == ["g: bin b was never hit"]


def test_waiver_of_a_reached_bin_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "1.json").write_text(functional({"a": 1}, {"a": "unreachable: why"}))
    (problem,) = coverage_problems([], merge_functional(tmp_path), floor=0)
    assert "delete the waiver" in problem


@pytest.mark.parametrize("text", [functional({"a": 0}, {"a": "no category"}), "{}", '{"groups": [{"bins": {}}]}', "["])
def test_malformed_functional_coverage_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "1.json").write_text(text)
    with pytest.raises(CoverageError):
        merge_functional(tmp_path)


def test_sizes_count_instances_through_the_hierarchy() -> None:
    top, lane, ram = "\\top", "$paramod$0123abcd\\lane", "\\ram_1r1w"
    before = {
        "modules": {
            top: {"num_cells_by_type": {lane: 2}, "num_memory_bits": 0},
            lane: {"num_cells_by_type": {"ram_1r1w": 3, "$add": 1}, "num_memory_bits": 0},
            ram: {"num_cells_by_type": {"$memrd": 1}, "num_memory_bits": 64},
        }
    }
    after = {"modules": {top: {}, lane: {"num_cells_by_type": {"$_AND_": 5, "$_SDFF_PP0_": 4, ram: 3}}}}
    found = {
        size.name: (size.instances, size.gates, size.flip_flops, size.memory_bits) for size in sizes(after, before, top)
    }
    assert found == {"top": (1, 0, 0, 0), "lane": (2, 5, 4, 0), "ram_1r1w": (6, 0, 0, 64)}
    assert plain_name("$paramod\\lane\\W=s32'00") == "lane"


def test_lock_pins_plain_versions_of_every_dependency() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert lines
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line)] == []

    def normal(name: str) -> str:
        return re.sub(r"[-_.]+", "-", name).lower()

    pinned = {normal(line.split("==")[0]) for line in lines}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(item for extra in project["optional-dependencies"].values() for item in extra),
    ]
    names = {normal(match.group()) for item in wanted if (match := re.match(r"[A-Za-z0-9._-]+", item))}
    assert names <= pinned


def test_every_make_target_is_in_the_help() -> None:
    text = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^\.PHONY: (.*)$", makefile, flags=re.MULTILINE)[0].split()
    assert set(targets) >= {
        "setup",
        "sim",
        "test",
        "regress",
        "lint",
        "format",
        "cov",
        "bench",
        "synth",
        "docs",
        "clean",
    }
    for target in targets:
        assert re.search(rf"^  {target} +\S", text, flags=re.MULTILINE), f"make help does not list {target}"
