# SPDX-License-Identifier: Apache-2.0
"""Tensor Filter of TenAnalyzer: finds the start of a tensor among the lines that miss the Meta Table.

A filter entry collects lines of one VN at a constant stride. When it is full (four in the paper), the lines become an
entry of the Meta Table. Source: TensorTEE (ASPLOS 2024), TenAnalyzer.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tensortee.study.cpu.compiled import compiled
from tensortee.study.cpu.meta_table import (
    ADDRESSES,
    CLOCK,
    FIRST_LINE,
    MERGE_ON_CONTACT,
    NONE,
    PATIENCE,
    TenAnalyzer,
    allocate,
    merge_neighbours,
    merge_recent,
)

# Rows of `filter`: a column is an entry.
COUNT, FIRST, LAST, STRIDE, FILTER_VN, AGE, BORN = range(7)
FILTER_ROWS = 7

EMPTY = -1
"""Value of `AGE` in an entry that is not in use; the least of all."""

MAX_STRIDE = 15
"""Lines: the paper's stride of 10 bits, counted in bytes, reaches 1023 bytes."""


@compiled
def clear_entry(table: NDArray[np.int64], entry: int) -> None:
    """Make an entry of the filter free."""
    table[COUNT, entry] = 0
    table[AGE, entry] = EMPTY


@compiled
def matching_entry(table: NDArray[np.int64], line: int, vn: int) -> int:
    """Entry that a line continues: at its stride, or as its second line; the nearest one. NONE if there is none."""
    best, nearest = NONE, MAX_STRIDE + 1
    for entry in range(table.shape[1]):
        if table[COUNT, entry] == 0 or table[FILTER_VN, entry] != vn:
            continue
        distance = line - table[LAST, entry]
        if table[COUNT, entry] > 1 and distance != table[STRIDE, entry]:
            continue
        if 0 < distance < nearest:
            best, nearest = entry, distance
    return best


@compiled
def holds(table: NDArray[np.int64], entry: int, line: int) -> bool:
    """Whether an entry of the filter has collected a line."""
    if table[COUNT, entry] == 0 or line < table[FIRST, entry] or line > table[LAST, entry]:
        return False
    return line == table[FIRST, entry] or (line - table[FIRST, entry]) % table[STRIDE, entry] == 0


@compiled
def forget(state: TenAnalyzer, line: int) -> None:
    """Drop what was collected with a line whose VN has changed."""
    for entry in range(state.filter.shape[1]):
        if holds(state.filter, entry, line):
            clear_entry(state.filter, entry)


@compiled
def collect(state: TenAnalyzer, line: int, vn: int) -> None:
    """Take in a line that missed; a full entry moves to the Meta Table.

    A line that continues nothing takes the oldest entry, but only if that one has made no progress for a while (its
    patience). Plain LRU would find nothing as soon as more streams are read side by side than the filter has entries.
    """
    table = state.filter
    for entry in range(table.shape[1]):
        if holds(table, entry, line):
            return
    now, addresses = state.registers[CLOCK], state.registers[ADDRESSES]
    entry = matching_entry(table, line, vn)
    if entry == NONE:
        entry = int(np.argmin(table[AGE]))
        if table[AGE, entry] != EMPTY and now - table[AGE, entry] <= state.registers[PATIENCE]:
            return
        table[COUNT, entry] = 1
        table[FIRST, entry] = line
        table[STRIDE, entry] = 1
        table[FILTER_VN, entry] = vn
        table[BORN, entry] = now
    else:
        table[COUNT, entry] += 1
        table[STRIDE, entry] = line - table[LAST, entry]
    table[LAST, entry] = line
    table[AGE, entry] = now
    if table[COUNT, entry] == addresses:
        clear_entry(table, entry)
        promote(state, table[FIRST, entry], addresses, table[STRIDE, entry], vn, table[BORN, entry])


@compiled
def promote(state: TenAnalyzer, start: int, lines: int, stride: int, vn: int, born: int) -> None:
    """Make a Meta Table entry of collected lines, unless another entry took one of them in the meantime."""
    for k in range(lines):
        if state.owner[start + k * stride - state.registers[FIRST_LINE]] != NONE:
            return
    entry = allocate(state, start, lines, stride, vn, born)
    if state.registers[MERGE_ON_CONTACT]:
        merge_neighbours(state, entry)
    merge_recent(state)
