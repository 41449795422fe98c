# SPDX-License-Identifier: Apache-2.0
"""Layer tables: what the columns mean, and errors that name file, line and column."""

from __future__ import annotations

from pathlib import Path

import pytest
from tensortee.study.workload.errors import WorkloadError
from tensortee.study.workload.layer_table import load_workload
from tensortee.study.workload.operators import Gather, Gemm, Parameter, Pass, Stream

TABLE = """\
# a comment
name, kind, m, n, k, count, weight, read_bytes, write_bytes, rows, row_bytes, table_bytes, phase, repeat
look, gather, , , , , , , , 8, 64, 6400

"fc, wide", GEMM, 8, 16, 32, , , , , , , , , 3
scores, gemm, 8, 8, 4, 6, no
act, stream, , , , , , 100, 50
clear, stream, , , , , , , 50
fc.dw, gemm, 32, 16, 8, , , , , , , , backward, 3
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "net.csv"
    file.write_text(text)
    return file


def test_a_table_becomes_a_workload(tmp_path: Path) -> None:
    workload = load_workload(write(tmp_path, TABLE))
    assert workload.name == "net"
    assert workload.passes == (
        Pass("forward", (Gather("look", 8, 64, 6400),)),
        Pass("forward", (Gemm("fc, wide", 8, 16, 32, weight_operand=True),), 3),
        Pass("forward", (Gemm("scores", 8, 8, 4, count=6),)),
        Pass("forward", (Stream("act", 100, 50),)),
        Pass("forward", (Stream("clear", 0, 50, 0, 1),)),
        Pass("backward", (Gemm("fc.dw", 32, 16, 8),), 3),
    )
    assert workload.parameters == tuple(Parameter(f"fc, wide.{index}", (32, 16)) for index in range(3))
    assert workload.tokens == 32


def test_weights_of_one_name_are_one_weight(tmp_path: Path) -> None:
    head = "name,kind,m,n,k,phase\n"
    workload = load_workload(write(tmp_path, head + "fc,gemm,8,4,2,prefill\nfc,gemm,1,4,2,decode\n"))
    assert workload.parameters == (Parameter("fc.0", (2, 4)),)
    with pytest.raises(WorkloadError, match=r"net\.csv: line 3, column name: .* has the shape \(2, 4\) above"):
        load_workload(write(tmp_path, head + "fc,gemm,8,4,2,prefill\nfc,gemm,1,5,2,decode\n"))


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("fc,gemm,8,x,2", r"line 3, column n: must be a whole number, not 'x'"),
        ("fc,gemm,8,1.5,2", r"line 3, column n: must be a whole number, not '1.5'"),
        ("fc,gemm,0,4,2", r"line 3, column m: must be at least 1, not 0"),
        ("fc,gemm,8,4,", r"line 3, column k: a gemm needs a number here"),
        ("fc,gemm,8,4,2,-1", r"line 3, column count: must be at least 1, not -1"),
        ("fc,gemm,8,4,2,1,maybe", r"line 3, column weight: must be yes or no, not 'maybe'"),
        ("fc,conv,8,4,2", r"line 3, column kind: must be gemm, stream or gather, not 'conv'"),
        (",gemm,8,4,2", r"line 3, column name: is empty"),
        ("s,stream", r"line 3, column read_bytes: a stream must read or write something"),
        ("s,stream,,,,,,1,-1", r"line 3, column write_bytes: must be at least 0, not -1"),
        ("t,gather,,,,,,,,1,2", r"line 3, column table_bytes: a gather needs a number here"),
        ("fc,gemm,8,4,2,,,,,,,,train", r"line 3, column phase: must be forward, backward, prefill or decode"),
        ("fc,gemm,8,4,2,,,,,,,,,0", r"line 3, column repeat: must be at least 1, not 0"),
        ("fc,gemm,8,4,2,,,,,,,,,1,2", r"line 3: 15 cells, but 14 columns"),
    ],
)
def test_errors_name_line_and_column(tmp_path: Path, line: str, text: str) -> None:
    head = "\n".join(TABLE.splitlines()[:2])
    with pytest.raises(WorkloadError, match=r"net\.csv: " + text):
        load_workload(write(tmp_path, f"{head}\n{line}\n"))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("", "is empty; the first line must name the columns: name, kind"),
        ("name,kind,size\n", "line 1: unknown column 'size'; there are name, kind"),
        ("name,m\n", "line 1: no column 'kind'"),
        ("name,kind\n", "no operators"),
    ],
)
def test_tables_without_content(tmp_path: Path, content: str, text: str) -> None:
    with pytest.raises(WorkloadError, match=text):
        load_workload(write(tmp_path, content))


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    file = tmp_path / "net.csv"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(WorkloadError, match="not a text file in UTF-8"):
        load_workload(file)
