# SPDX-License-Identifier: Apache-2.0
"""TenAnalyzer: version numbers (VNs) of whole tensors on chip, found in the stream of line accesses.

`read` sees the requests of the cores before the caches, by virtual address, `write` the write-backs behind the last
level cache. Both run inside a compiled simulator; `analyze` runs the unit alone on a trace. Line numbers are virtual
addresses divided by 64.

The unit promises: the VN that a hit is served with is the VN of the line off chip, and a line is written with a new VN
every time. `Counters.violations` counts what would break it and stays zero.

Source: TensorTEE (ASPLOS 2024), TenAnalyzer. docs/study/tenanalyzer.md says where the paper leaves a choice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tensortee.study.cpu.compiled import compiled, inlined
from tensortee.study.cpu.meta_table import (
    ADDRESSES,
    CLOCK,
    COUNTERS,
    ENABLED,
    FIRST_LINE,
    FLIPPED,
    FREE,
    INVALIDATIONS,
    LINES,
    MERGE_ON_CONTACT,
    MISPREDICTIONS,
    NONE,
    PATIENCE,
    PITCH,
    REGISTERS,
    ROWS,
    SIZE,
    START,
    STRICT_EDGES,
    TOUCHED,
    TRACED_LINES,
    UPDATES,
    UPDATING,
    USED,
    VIOLATIONS,
    VN,
    TenAnalyzer,
    allocate,
    drop,
    entry_at,
    grow,
    merge_neighbours,
    merge_recent,
    tick,
)
from tensortee.study.cpu.tensor_filter import AGE, EMPTY, FILTER_ROWS, collect, forget
from tensortee.study.hardware.conservation import ConservationError

MISS, HIT_BOUNDARY, HIT_IN = 0, 1, 2


def create(
    entries: int,
    filter_entries: int,
    filter_addresses: int,
    merge_candidates: int,
    first_line: int,
    last_line: int,
    *,
    filter_patience: int = 64,
    strict_edges: bool = False,
    merge_on_contact: bool = True,
) -> TenAnalyzer:
    """An empty unit.

    Args:
        entries: entries of the Meta Table.
        filter_entries: entries of the Tensor Filter.
        filter_addresses: lines that an entry of the filter collects, two or more.
        merge_candidates: entries touched last that a new entry is tried against.
        first_line: first line of the traced addresses; others always miss.
        last_line: last line of the traced addresses.
        filter_patience: look-ups that an entry of the filter is kept without progress; at least the number of streams
            that are read side by side.
        strict_edges: an update begins with the first and ends with the last line by address. Otherwise it begins with
            the first line that is written and ends when all are.
        merge_on_contact: also try a merge when an entry grows up to another one, when one is allocated beside another
            and when an update ends; otherwise only the `merge_candidates` are tried.

    Raises:
        ValueError: a size is out of range.
    """
    if entries < 1 or filter_entries < 1 or filter_addresses < 2 or merge_candidates < 0:
        raise ValueError("TenAnalyzer needs an entry, a filter entry, two filter addresses and no fewer than 0 merges")
    lines = last_line - first_line + 1
    if first_line < 0 or lines < 1:
        raise ValueError(f"lines {first_line} to {last_line} are no range of lines")
    state = TenAnalyzer(
        table=np.zeros((ROWS, entries), np.int64),
        filter=np.zeros((FILTER_ROWS, filter_entries), np.int64),
        bitmap=np.zeros(lines, np.uint8),
        owner=np.zeros(lines, np.int32),
        boundary=np.zeros(lines, np.int32),
        recent=np.zeros(merge_candidates + 1, np.int64),
        registers=np.zeros(REGISTERS, np.int64),
        counters=np.zeros(COUNTERS, np.int64),
    )
    state.registers[FIRST_LINE] = first_line
    state.registers[TRACED_LINES] = lines
    state.registers[STRICT_EDGES] = strict_edges
    state.registers[MERGE_ON_CONTACT] = merge_on_contact
    state.registers[ADDRESSES] = filter_addresses
    state.registers[PATIENCE] = filter_patience
    clear(state)
    enable(state, True)
    return state


@inlined
def read(state: TenAnalyzer, line: int, offchip_vn: int) -> tuple[int, int]:
    """Look up a read of a core.

    Args:
        state: the unit.
        line: line number.
        offchip_vn: VN of the line off chip; the unit uses it only where the hardware would have fetched it.

    Returns:
        MISS, HIT_BOUNDARY or HIT_IN, and the VN from the table (0 after a MISS).
    """
    registers = state.registers
    at = line - registers[FIRST_LINE]
    if at < 0 or at >= registers[TRACED_LINES] or not registers[ENABLED]:
        return MISS, 0
    registers[CLOCK] += 1
    now = registers[CLOCK]
    table = state.table
    entry = entry_at(state.owner, at)
    if entry != NONE:
        vn = table[VN, entry]
        vn += (vn ^ state.bitmap[at]) & 1
        table[USED, entry] = now
        if vn != offchip_vn:
            state.counters[VIOLATIONS] += 1
        return HIT_IN, vn
    entry = entry_at(state.boundary, at)
    if entry != NONE:
        if table[VN, entry] == offchip_vn:
            grow(state, entry)
            return HIT_BOUNDARY, offchip_vn
        state.counters[MISPREDICTIONS] += 1
    collect(state, line, offchip_vn)
    return MISS, 0


@inlined
def write(state: TenAnalyzer, line: int, new_vn: int) -> bool:
    """Follow a write-back.

    Args:
        state: the unit.
        line: line number.
        new_vn: VN of the line off chip after the write, already incremented.

    Returns:
        Whether an entry covers the line and stays valid.
    """
    registers = state.registers
    at = line - registers[FIRST_LINE]
    if at < 0 or at >= registers[TRACED_LINES] or not registers[ENABLED]:
        return False
    forget(state, line)
    entry = entry_at(state.owner, at)
    if entry == NONE:
        return False
    table = state.table
    vn = table[VN, entry]
    if not write_allowed(state, entry, line, at):
        drop(state, entry)
        state.counters[INVALIDATIONS] += 1
        return False
    if new_vn != vn + 1:
        state.counters[VIOLATIONS] += 1
    table[UPDATING, entry] = 1
    table[FLIPPED, entry] += 1
    state.bitmap[at] ^= 1
    complete = table[FLIPPED, entry] == table[LINES, entry]
    if registers[STRICT_EDGES]:
        if line != last_line(table, entry):
            return True
        if not complete:
            drop(state, entry)
            state.counters[INVALIDATIONS] += 1
            return False
    if complete:
        end_update(state, entry)
    return True


@compiled
def write_allowed(state: TenAnalyzer, entry: int, line: int, at: int) -> bool:
    """The assertions of a first and of a further write: the line was not written in this update, UF is as it must."""
    table = state.table
    if state.bitmap[at] != table[VN, entry] & 1:
        return False
    return not state.registers[STRICT_EDGES] or table[UPDATING, entry] == (line != table[START, entry])


@compiled
def last_line(table: NDArray[np.int64], entry: int) -> int:
    """Last line of an entry by address."""
    line = table[START, entry]
    for k in range(3):
        line += (table[SIZE + k, entry] - 1) * table[PITCH + k, entry]
    return line


@compiled
def end_update(state: TenAnalyzer, entry: int) -> None:
    """All lines are written: the next VN is that of the entry."""
    table = state.table
    table[VN, entry] += 1
    table[UPDATING, entry] = 0
    table[FLIPPED, entry] = 0
    table[TOUCHED, entry] = tick(state)
    state.counters[UPDATES] += 1
    if state.registers[MERGE_ON_CONTACT]:
        merge_neighbours(state, entry)


@compiled
def hint(state: TenAnalyzer, start: int, lines: int, stride: int, vn: int) -> None:
    """Fix an entry up with what a transfer command of the NPU says: these lines have this VN off chip now.

    Entries that share a line with the transfer are replaced.

    Args:
        state: the unit.
        start: first line, number.
        lines: lines of the transfer.
        stride: distance of two lines, lines.
        vn: VN of all lines off chip.

    Raises:
        ValueError: the transfer leaves the traced addresses.
    """
    registers = state.registers
    at = start - registers[FIRST_LINE]
    if lines < 1 or stride < 1 or at < 0 or at + (lines - 1) * stride >= registers[TRACED_LINES]:
        raise ValueError("a transfer hint leaves the traced addresses")
    if not registers[ENABLED]:
        return
    for k in range(lines):
        forget(state, start + k * stride)
        if state.owner[at + k * stride] != NONE:
            drop(state, entry_at(state.owner, at + k * stride))
    entry = allocate(state, start, lines, stride, vn, tick(state))
    if registers[MERGE_ON_CONTACT]:
        merge_neighbours(state, entry)
    merge_recent(state)


def clear(state: TenAnalyzer) -> None:
    """Forget everything but the counters: what a new enclave starts with."""
    state.table[USED] = FREE
    state.filter[:] = 0
    state.filter[AGE] = EMPTY
    state.owner[:] = NONE
    state.boundary[:] = NONE


def enable(state: TenAnalyzer, on: bool) -> None:
    """Set flag EnTMF. While it is off everything misses; writes are not followed, so the entries are forgotten."""
    if not on:
        clear(state)
    state.registers[ENABLED] = on


def save(state: TenAnalyzer) -> TenAnalyzer:
    """Copy of the state of an enclave that leaves the core."""
    return state._replace(**{name: array.copy() for name, array in state._asdict().items()})


def restore(state: TenAnalyzer, saved: TenAnalyzer, written: NDArray[np.int64] | None = None) -> None:
    """Bring an enclave back.

    Args:
        state: the unit.
        saved: what `save` returned.
        written: lines of the enclave that were written back while it was away, int64 [lines]. The unit did not see
            these writes, so the entries that cover them are invalidated.
    """
    for name, array in state._asdict().items():
        np.copyto(array, getattr(saved, name))
    if written is not None:
        for line in written:
            invalidate(state, line)


@compiled
def invalidate(state: TenAnalyzer, line: int) -> None:
    """Forget what is known about a line that changed unseen."""
    at = line - state.registers[FIRST_LINE]
    if at < 0 or at >= state.registers[TRACED_LINES]:
        return
    forget(state, line)
    if state.owner[at] != NONE:
        drop(state, entry_at(state.owner, at))
        state.counters[INVALIDATIONS] += 1


@dataclass(frozen=True, slots=True)
class Counters:
    """Events of a unit since it was made.

    Attributes:
        allocations: entries made, by the filter or by a transfer hint.
        merges: pairs of entries joined.
        invalidations: entries dropped because a check failed.
        evictions: entries dropped for lack of room.
        mispredictions: reads at a boundary whose VN off chip was another one.
        updates: entries whose VN went up.
        violations: VNs served or expected that were wrong; zero unless the unit is broken.
    """

    allocations: int
    merges: int
    invalidations: int
    evictions: int
    mispredictions: int
    updates: int
    violations: int


def counters(state: TenAnalyzer) -> Counters:
    """Events so far."""
    return Counters(*(int(count) for count in state.counters))


@dataclass(frozen=True, slots=True)
class Analysis:
    """What a unit did on a trace.

    Attributes:
        reads: read look-ups.
        hits_in: of these, served from the table.
        hits_boundary: of these, served speculatively at the end of an entry.
        writes: write-backs.
        covered_writes: of these, to a line of an entry that stayed valid.
    """

    reads: int
    hits_in: int
    hits_boundary: int
    writes: int
    covered_writes: int

    @property
    def hit_in(self) -> float:
        """Share of the reads that hit inside an entry."""
        return self.hits_in / max(1, self.reads)

    @property
    def hit_all(self) -> float:
        """Share of the reads that hit."""
        return (self.hits_in + self.hits_boundary) / max(1, self.reads)


def analyze(
    state: TenAnalyzer, lines: NDArray[np.int64], writes: NDArray[np.bool_], versions: NDArray[np.int64]
) -> Analysis:
    """Run a unit alone on a trace.

    Args:
        state: the unit.
        lines: line numbers in the order of their accesses, int64 [n]; those of one unit start at its `first_line`.
        writes: whether the access is a write-back rather than a read, bool [n].
        versions: VN off chip of each traced line, int64 [traced lines]; write-backs increment it.

    Raises:
        ConservationError: a VN that was served or expected is not the VN off chip.
        ValueError: the arrays do not fit, or a line is not traced.
    """
    first, traced = int(state.registers[FIRST_LINE]), int(state.registers[TRACED_LINES])
    if len(lines) != len(writes) or len(versions) != traced:
        raise ValueError(f"{len(lines)} lines, {len(writes)} writes and {len(versions)} VNs for {traced} traced lines")
    if len(lines) and not (first <= lines.min() and lines.max() < first + traced):
        raise ValueError(f"the trace leaves lines {first} to {first + traced - 1}")
    counts = np.zeros(4, np.int64)
    run(state, lines, writes, versions, counts)
    violations = counters(state).violations
    if violations:
        raise ConservationError(f"TenAnalyzer: {violations} version numbers are not those off chip")
    misses, boundary, inside, covered = (int(count) for count in counts)
    reads = misses + boundary + inside
    return Analysis(reads, inside, boundary, len(lines) - reads, covered)


@compiled
def run(
    state: TenAnalyzer,
    lines: NDArray[np.int64],
    writes: NDArray[np.bool_],
    versions: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> None:
    """The loop of `analyze`: `counts` are misses, boundary hits, hits inside and covered writes."""
    first = state.registers[FIRST_LINE]
    for i in range(len(lines)):
        line = lines[i]
        if writes[i]:
            versions[line - first] += 1
            counts[3] += write(state, line, versions[line - first])
        else:
            code, _ = read(state, line, versions[line - first])
            counts[code] += 1


def live_entries(state: TenAnalyzer) -> int:
    """Entries of the Meta Table in use."""
    return int(np.count_nonzero(state.table[USED] != FREE))
