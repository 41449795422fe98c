# SPDX-License-Identifier: Apache-2.0
"""Meta Table of TenAnalyzer: regions of lines that share one version number (VN).

An entry covers a box of lines: a start and up to three dimensions, each with a size and a pitch, innermost (smallest
pitch) first. A run of lines is a box of one dimension, a tile of a matrix one of two; the pitches of the outer
dimensions are the dimensions of the tensor that the tile is a part of. A dimension that continues the one inside it
is folded into it, so that a set of lines has one description. No line is in two entries.

While an entry is written (flag UF of the paper), its lines have its VN or the next one. A bit for each line tells them
apart: here it is the low bit of the line's VN, so the paper's polarity flag BS is the low bit of the entry's VN. Both
turn with every update, and entries of one VN can be joined without touching their bits.

The hardware compares an address with all entries at once. Here `owner` and `boundary` give the same answer from an
index by line. Source: TensorTEE (ASPLOS 2024), TenAnalyzer; docs/study/tenanalyzer.md lists what the paper leaves open.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tensortee.study.cpu.compiled import compiled, inlined

# Rows of `table`: a column is an entry.
START, VN, LINES, FLIPPED, UPDATING, USED, TOUCHED, FIRST_READ, LAST_READ, NEXT, LINK = range(11)
SIZE, PITCH = 11, 14
ROWS = 17
DIMENSIONS = 3

# Elements of `registers`.
FIRST_LINE, TRACED_LINES, ENABLED, STRICT_EDGES, MERGE_ON_CONTACT, ADDRESSES, PATIENCE, CLOCK = range(8)
REGISTERS = 8

# Elements of `counters`.
ALLOCATIONS, MERGES, INVALIDATIONS, EVICTIONS, MISPREDICTIONS, UPDATES, VIOLATIONS = range(7)
COUNTERS = 7

NONE = -1
FREE = -1
"""Value of `USED` in an entry that is not in use."""


class TenAnalyzer(NamedTuple):
    """State of the unit for one enclave; Numba functions change it in place.

    Attributes:
        table: Meta Table, int64 [ROWS, entries].
        filter: Tensor Filter, int64 [rows, filter entries], see `tensor_filter`.
        bitmap: low bit of the VN of each covered line, uint8 [traced lines].
        owner: entry that covers a line or NONE, int32 [traced lines].
        boundary: newest entry that grows by a line if it is read, or NONE, int32 [traced lines]; older ones follow
            by row LINK of the table.
        recent: scratch for the entries tried in a merge, int64 [candidates + 1].
        registers: range, modes and clock, int64, see the constants.
        counters: events so far, int64, see the constants.
    """

    table: NDArray[np.int64]
    filter: NDArray[np.int64]
    bitmap: NDArray[np.uint8]
    owner: NDArray[np.int32]
    boundary: NDArray[np.int32]
    recent: NDArray[np.int64]
    registers: NDArray[np.int64]
    counters: NDArray[np.int64]


@inlined
def entry_at(index: NDArray[np.int32], at: int) -> np.int64:
    """Entry in `owner` or `boundary`, as the integer type that the table is indexed with."""
    return np.int64(index[at])


@inlined
def tick(state: TenAnalyzer) -> int:
    """Advance the clock, which orders events, and return it."""
    state.registers[CLOCK] += 1
    return state.registers[CLOCK]


@compiled
def rank(table: NDArray[np.int64], entry: int) -> int:
    """Dimensions in use: 0 for a single line."""
    used = 0
    while used < DIMENSIONS and table[SIZE + used, entry] > 1:
        used += 1
    return used


@compiled
def set_owner(state: TenAnalyzer, entry: int, owner: int) -> None:
    """Name the owner of all lines of an entry."""
    table = state.table
    base = table[START, entry] - state.registers[FIRST_LINE]
    for i in range(table[SIZE + 2, entry]):
        for j in range(table[SIZE + 1, entry]):
            line = base + i * table[PITCH + 2, entry] + j * table[PITCH + 1, entry]
            for _ in range(table[SIZE, entry]):
                state.owner[line] = owner
                line += table[PITCH, entry]


@compiled
def watch_boundary(state: TenAnalyzer, entry: int) -> None:
    """Let an entry of one dimension grow by the line behind its last one."""
    table = state.table
    table[NEXT, entry] = NONE
    if rank(table, entry) != 1:
        return
    line = table[START, entry] + table[SIZE, entry] * table[PITCH, entry] - state.registers[FIRST_LINE]
    if line < state.registers[TRACED_LINES]:
        table[NEXT, entry] = line
        table[LINK, entry] = state.boundary[line]
        state.boundary[line] = entry


@compiled
def leave_boundary(state: TenAnalyzer, entry: int) -> None:
    """Undo `watch_boundary`."""
    table = state.table
    line = table[NEXT, entry]
    if line == NONE:
        return
    if state.boundary[line] == entry:
        state.boundary[line] = table[LINK, entry]
        return
    other = entry_at(state.boundary, line)
    while table[LINK, other] != entry:
        other = table[LINK, other]
    table[LINK, other] = table[LINK, entry]


@compiled
def drop(state: TenAnalyzer, entry: int) -> None:
    """Forget an entry: its lines fall back to their own VNs off chip."""
    leave_boundary(state, entry)
    set_owner(state, entry, NONE)
    state.table[USED, entry] = FREE


@compiled
def replaceable(table: NDArray[np.int64]) -> int:
    """A free entry or else the least recently used one, where a line counts as much as `entries` look-ups.

    An iteration over more tensors than the table holds would leave a plain LRU table without any hit: each entry goes
    just before it is needed. With the weight, an entry of more lines than its fair share survives the iteration.
    """
    entries = table.shape[1]
    best, least = 0, np.iinfo(np.int64).max
    for entry in range(entries):
        if table[USED, entry] == FREE:
            return entry
        worth = table[USED, entry] + entries * table[LINES, entry]
        if worth < least:
            best, least = entry, worth
    return best


@compiled
def allocate(state: TenAnalyzer, start: int, lines: int, stride: int, vn: int, first_read: int) -> int:
    """Make an entry of lines that no entry covers; another one makes room if the table is full."""
    table = state.table
    entry = replaceable(table)
    if table[USED, entry] != FREE:
        state.counters[EVICTIONS] += 1
        drop(state, entry)
    now = tick(state)
    table[START, entry] = start
    table[VN, entry] = vn
    table[LINES, entry] = lines
    table[FLIPPED, entry] = 0
    table[UPDATING, entry] = 0
    table[USED, entry] = now
    table[TOUCHED, entry] = now
    table[FIRST_READ, entry] = first_read
    table[LAST_READ, entry] = now
    for k in range(DIMENSIONS):
        table[SIZE + k, entry] = 1
        table[PITCH + k, entry] = 0
    table[SIZE, entry] = lines
    table[PITCH, entry] = stride
    set_owner(state, entry, entry)
    line = start - state.registers[FIRST_LINE]
    for _ in range(lines):
        state.bitmap[line] = vn & 1
        line += stride
    watch_boundary(state, entry)
    state.counters[ALLOCATIONS] += 1
    return entry


@compiled
def grow(state: TenAnalyzer, entry: int) -> None:
    """Take the line behind the last one into an entry of one dimension; the line has the entry's VN."""
    table = state.table
    line = table[NEXT, entry]
    leave_boundary(state, entry)
    state.owner[line] = entry
    state.bitmap[line] = table[VN, entry] & 1
    table[SIZE, entry] += 1
    table[LINES, entry] += 1
    now = tick(state)
    table[USED, entry] = now
    table[TOUCHED, entry] = now
    table[LAST_READ, entry] = now
    watch_boundary(state, entry)
    if state.registers[MERGE_ON_CONTACT] and table[NEXT, entry] != NONE:
        other = entry_at(state.owner, table[NEXT, entry])
        if other != NONE:
            try_merge(state, entry, other)


@compiled
def fold(table: NDArray[np.int64], entry: int) -> None:
    """Bring the dimensions into their one form: ascending pitch, a continued dimension folded into the inner one."""
    for last in range(DIMENSIONS - 1, 0, -1):
        for k in range(last):
            inner, outer = table[PITCH + k, entry], table[PITCH + k + 1, entry]
            if table[SIZE + k + 1, entry] > 1 and inner > outer:
                table[PITCH + k, entry], table[PITCH + k + 1, entry] = outer, inner
                size = table[SIZE + k, entry]
                table[SIZE + k, entry] = table[SIZE + k + 1, entry]
                table[SIZE + k + 1, entry] = size
    k = 0
    while k + 1 < DIMENSIONS and table[SIZE + k + 1, entry] > 1:
        if table[PITCH + k + 1, entry] == table[PITCH + k, entry] * table[SIZE + k, entry]:
            table[SIZE + k, entry] *= table[SIZE + k + 1, entry]
            for m in range(k + 1, DIMENSIONS - 1):
                table[SIZE + m, entry] = table[SIZE + m + 1, entry]
                table[PITCH + m, entry] = table[PITCH + m + 1, entry]
            table[SIZE + DIMENSIONS - 1, entry] = 1
            table[PITCH + DIMENSIONS - 1, entry] = 0
        else:
            k += 1


@compiled
def shared_dimension(table: NDArray[np.int64], low: int, high: int) -> int:
    """Dimension along which `high` continues `low` without a gap, both of one rank; NONE if there is none."""
    used = rank(table, low)
    unequal, at = 0, NONE
    for k in range(used):
        if table[PITCH + k, low] != table[PITCH + k, high]:
            return NONE
        if table[SIZE + k, low] != table[SIZE + k, high]:
            unequal += 1
            at = k
    distance = table[START, high] - table[START, low]
    for k in range(used):
        if (unequal == 0 or (unequal == 1 and at == k)) and distance == table[SIZE + k, low] * table[PITCH + k, low]:
            return k
    return NONE


@compiled
def missing_dimension(table: NDArray[np.int64], small: int, large: int) -> int:
    """Dimension of `large` along which `small`, of one rank less, is one more step; NONE if there is none."""
    used = rank(table, large)
    distance = table[START, small] - table[START, large]
    for k in range(used):
        same = True
        for m in range(used - 1):
            n = m if m < k else m + 1
            if table[SIZE + m, small] != table[SIZE + n, large] or table[PITCH + m, small] != table[PITCH + n, large]:
                same = False
        step = table[PITCH + k, large]
        if same and (distance == -step or distance == step * table[SIZE + k, large]):
            return k
    return NONE


@compiled
def same_tile(table: NDArray[np.int64], low: int, high: int) -> bool:
    """Whether two entries are tiles of one tensor: equal in all dimensions, at a distance that a tensor can have.

    The pitches of a tensor are multiples of those inside it: this is how an inferred dimension binds later merges.

    The tiles must have been read one after the other, as the rows of a tile are. The streams of several threads that
    advance side by side also have equal dimensions at times, but they go on growing: joined, they no longer could.
    """
    used = rank(table, low)
    if used == DIMENSIONS or rank(table, high) != used:
        return False
    distance = table[START, high] - table[START, low]
    for k in range(used):
        pitch = table[PITCH + k, low]
        if table[SIZE + k, low] != table[SIZE + k, high] or pitch != table[PITCH + k, high]:
            return False
        if distance % pitch and pitch % distance:
            return False
    return table[LAST_READ, low] < table[FIRST_READ, high] or table[LAST_READ, high] < table[FIRST_READ, low]


@compiled
def try_merge(state: TenAnalyzer, first: int, second: int) -> bool:
    """Join two entries of one VN if their lines form a box; the larger one stays.

    Three forms: a gapless continuation in one dimension, one more step in a dimension that only one of them has, or
    two equal tiles at any distance, which becomes the pitch of a new dimension and binds later merges.
    """
    table = state.table
    if table[VN, first] != table[VN, second]:
        return False
    if state.registers[STRICT_EDGES] and (table[UPDATING, first] or table[UPDATING, second]):
        return False
    low, high = (first, second) if table[START, first] < table[START, second] else (second, first)
    shape = low
    sizes = rank(table, low), rank(table, high)
    along, size, pitch = NONE, 0, 0
    if sizes[0] == sizes[1]:
        along = shared_dimension(table, low, high)
        if along != NONE:
            size = table[SIZE + along, low] + table[SIZE + along, high]
        elif same_tile(table, low, high):
            along, size, pitch = sizes[0], 2, table[START, high] - table[START, low]
    elif abs(sizes[0] - sizes[1]) == 1:
        shape, small = (low, high) if sizes[0] > sizes[1] else (high, low)
        along = missing_dimension(table, small, shape)
        if along != NONE:
            size = table[SIZE + along, shape] + 1
    if along == NONE:
        return False
    if pitch == 0:
        pitch = table[PITCH + along, shape]
    absorb(state, first, second, shape, along, size, pitch)
    return True


@compiled
def absorb(state: TenAnalyzer, first: int, second: int, shape: int, along: int, size: int, pitch: int) -> None:
    """Give the larger of two entries the lines of both: the dimensions of `shape`, one of them changed."""
    table = state.table
    keep, gone = (first, second) if table[LINES, first] >= table[LINES, second] else (second, first)
    leave_boundary(state, keep)
    leave_boundary(state, gone)
    set_owner(state, gone, keep)
    for k in range(DIMENSIONS):
        table[SIZE + k, keep] = table[SIZE + k, shape]
        table[PITCH + k, keep] = table[PITCH + k, shape]
    table[SIZE + along, keep] = size
    table[PITCH + along, keep] = pitch
    fold(table, keep)
    table[START, keep] = min(table[START, keep], table[START, gone])
    table[LINES, keep] += table[LINES, gone]
    table[FLIPPED, keep] += table[FLIPPED, gone]
    table[UPDATING, keep] |= table[UPDATING, gone]
    table[USED, keep] = max(table[USED, keep], table[USED, gone])
    table[FIRST_READ, keep] = min(table[FIRST_READ, keep], table[FIRST_READ, gone])
    table[LAST_READ, keep] = max(table[LAST_READ, keep], table[LAST_READ, gone])
    table[TOUCHED, keep] = tick(state)
    table[USED, gone] = FREE
    watch_boundary(state, keep)
    state.counters[MERGES] += 1


@compiled
def merge_recent(state: TenAnalyzer) -> None:
    """Try to merge the entries touched last, the newest among them, with each other."""
    table, recent = state.table, state.recent
    count = 0
    for entry in range(table.shape[1]):
        if table[USED, entry] == FREE:
            continue
        touched = table[TOUCHED, entry]
        if count == recent.size and touched < table[TOUCHED, recent[count - 1]]:
            continue
        if count < recent.size:
            count += 1
        place = count - 1
        while place > 0 and table[TOUCHED, recent[place - 1]] < touched:
            recent[place] = recent[place - 1]
            place -= 1
        recent[place] = entry
    merged = True
    while merged:
        merged = False
        for i in range(count):
            for j in range(i + 1, count):
                if table[USED, recent[i]] != FREE and table[USED, recent[j]] != FREE:
                    merged |= try_merge(state, recent[i], recent[j])


@compiled
def merge_neighbours(state: TenAnalyzer, entry: int) -> None:
    """Try to merge an entry with those that touch it: two directions in each dimension."""
    table = state.table
    merged = True
    while merged:
        merged = False
        for k in range(rank(table, entry)):
            pitch = table[PITCH + k, entry]
            for distance in (-pitch, table[SIZE + k, entry] * pitch):
                line = table[START, entry] + distance - state.registers[FIRST_LINE]
                if merged or line < 0 or line >= state.registers[TRACED_LINES]:
                    continue
                other = entry_at(state.owner, line)
                if other != NONE and other != entry and try_merge(state, entry, other):
                    merged = True
                    if table[USED, entry] == FREE:
                        entry = other
