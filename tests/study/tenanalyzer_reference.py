# SPDX-License-Identifier: Apache-2.0
"""TenAnalyzer in plain Python: sets of lines and full scans instead of indices, one rule per method.

It defines what the compiled unit must answer, access by access. A test breaks single rules of it by overriding a
method, to show that the checks see a wrong version number (VN).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

MISS, HIT_BOUNDARY, HIT_IN = 0, 1, 2
MAX_STRIDE = 15

Dimensions = tuple[tuple[int, int], ...]
"""Pitch and size of each dimension, ascending pitch."""


def box(start: int, dimensions: Dimensions) -> frozenset[int]:
    """Lines of a box."""
    steps = [[pitch * i for i in range(size)] for pitch, size in dimensions]
    return frozenset(start + sum(offsets) for offsets in itertools.product(*steps))


def folded(dimensions: Dimensions) -> Dimensions:
    """The one description of a box: ascending pitch, a dimension that continues the inner one joined with it."""
    result: list[tuple[int, int]] = []
    for pitch, size in sorted(d for d in dimensions if d[1] > 1):
        if result and pitch == result[-1][0] * result[-1][1]:
            result[-1] = (result[-1][0], result[-1][1] * size)
        else:
            result.append((pitch, size))
    return tuple(result)


@dataclass
class Entry:
    """Entry of the Meta Table; `bits` has one bit for each line, `bs` is the polarity flag."""

    dimensions: Dimensions
    vn: int
    bits: dict[int, int]
    bs: int
    used: int
    touched: int
    first_read: int
    last_read: int
    registered: int
    updating: bool = False

    @property
    def start(self) -> int:
        """First line."""
        return min(self.bits)

    @property
    def boundary(self) -> int | None:
        """Line that the entry grows by if it is read."""
        if len(self.dimensions) != 1:
            return None
        ((pitch, size),) = self.dimensions
        return self.start + pitch * size


@dataclass
class Collected:
    """Entry of the Tensor Filter."""

    vn: int
    born: int
    age: int
    lines: list[int] = field(default_factory=list)


class Reference:
    """The unit; arguments are those of `tenanalyzer.create`."""

    def __init__(
        self,
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
    ) -> None:
        self.slots: list[Entry | None] = [None] * entries
        self.filter: list[Collected | None] = [None] * filter_entries
        self.addresses = filter_addresses
        self.candidates = merge_candidates
        self.traced = range(first_line, last_line + 1)
        self.patience = filter_patience
        self.strict = strict_edges
        self.contact = merge_on_contact
        self.enabled = True
        self.clock = 0
        self.registrations = itertools.count()

    # Look-ups.

    def live(self) -> list[Entry]:
        """Entries in use."""
        return [entry for entry in self.slots if entry]

    def owner(self, line: int) -> Entry | None:
        """Entry that covers a line."""
        owners = [entry for entry in self.live() if line in entry.bits]
        assert len(owners) <= 1, f"line {line} has two owners"
        return owners[0] if owners else None

    def tick(self) -> int:
        """Advance the clock."""
        self.clock += 1
        return self.clock

    # Reads.

    def read(self, line: int, offchip_vn: int) -> tuple[int, int]:
        """Look up a read; returns the code and the VN."""
        if line not in self.traced or not self.enabled:
            return MISS, 0
        now = self.tick()
        entry = self.owner(line)
        if entry:
            entry.used = now
            return HIT_IN, self.vn_of(entry, line)
        waiting = [e for e in self.live() if e.boundary == line]
        if waiting:
            newest = max(waiting, key=lambda e: e.registered)
            if self.may_grow(newest, offchip_vn):
                self.grow(newest, line)
                return HIT_BOUNDARY, newest.vn
        self.collect(line, offchip_vn, now)
        return MISS, 0

    def vn_of(self, entry: Entry, line: int) -> int:
        """VN of a covered line: a flipped bit means that it was written in this update."""
        return entry.vn + (entry.bits[line] != entry.bs)

    def may_grow(self, entry: Entry, offchip_vn: int) -> bool:
        """Whether the speculation at a boundary was right."""
        return entry.vn == offchip_vn

    def grow(self, entry: Entry, line: int) -> None:
        """Take the line at the boundary in."""
        ((pitch, size),) = entry.dimensions
        entry.dimensions = ((pitch, size + 1),)
        entry.bits[line] = entry.bs
        entry.used = entry.touched = entry.last_read = self.tick()
        entry.registered = next(self.registrations)
        following = entry.boundary
        other = self.owner(following) if following is not None else None
        if self.contact and other:
            self.merge(entry, other)

    # Filter.

    def collect(self, line: int, vn: int, now: int) -> None:
        """Put a line that missed into the filter."""
        if any(c and line in c.lines for c in self.filter):
            return
        best: Collected | None = None
        nearest = MAX_STRIDE + 1
        for collected in self.filter:
            if collected and collected.vn == vn:
                distance = line - collected.lines[-1]
                steady = len(collected.lines) == 1 or distance == collected.lines[1] - collected.lines[0]
                if steady and 0 < distance < nearest:
                    best, nearest = collected, distance
        if best is None:
            place = min(range(len(self.filter)), key=lambda i: c.age if (c := self.filter[i]) else -1)
            old = self.filter[place]
            if old and now - old.age <= self.patience:
                return
            self.filter[place] = best = Collected(vn, now, now)
        best.lines.append(line)
        best.age = now
        if len(best.lines) == self.addresses:
            self.filter = [None if c is best else c for c in self.filter]
            if not any(self.owner(x) for x in best.lines):
                entry = self.allocate(best.lines, vn, best.born)
                self.settle(entry)

    def forget(self, line: int) -> None:
        """Drop what the filter collected with a line."""
        self.filter = [None if c and line in c.lines else c for c in self.filter]

    # Table.

    def allocate(self, lines: list[int], vn: int, born: int) -> Entry:
        """Make an entry of uncovered lines."""
        if None not in self.slots:
            weight = len(self.slots)
            self.drop(min(self.live(), key=lambda e: e.used + weight * len(e.bits)))
        now = self.tick()
        stride = lines[1] - lines[0] if len(lines) > 1 else 1
        entry = Entry(
            folded(((stride, len(lines)),)), vn, dict.fromkeys(lines, vn & 1), vn & 1, now, now, born, now,
            next(self.registrations),
        )  # fmt: skip
        self.slots[self.slots.index(None)] = entry
        return entry

    def drop(self, entry: Entry) -> None:
        """Forget an entry."""
        self.slots = [None if e is entry else e for e in self.slots]

    def settle(self, entry: Entry) -> None:
        """Try the merges of a new entry."""
        if self.contact:
            self.merge_neighbours(entry)
        recent = sorted(self.live(), key=lambda e: -e.touched)[: self.candidates + 1]
        merged = True
        while merged:
            merged = False
            for first, second in itertools.combinations(recent, 2):
                if first in self.live() and second in self.live():
                    merged |= self.merge(first, second) is not None

    def merge_neighbours(self, entry: Entry) -> None:
        """Try to merge with the entries that touch this one."""
        merged = True
        while merged:
            merged = False
            for pitch, size in entry.dimensions:
                for line in (entry.start - pitch, entry.start + pitch * size):
                    other = self.owner(line)
                    if not merged and other and other is not entry:
                        result = self.merge(entry, other)
                        if result:
                            entry, merged = result, True

    def merge(self, first: Entry, second: Entry) -> Entry | None:
        """Join two entries if a rule allows it; returns the one that stays."""
        if not self.may_merge(first, second) or (self.strict and (first.updating or second.updating)):
            return None
        dimensions = self.joined(first, second)
        if dimensions is None:
            return None
        keep, gone = (first, second) if len(first.bits) >= len(second.bits) else (second, first)
        keep.bits |= gone.bits
        keep.dimensions = folded(dimensions)
        assert box(keep.start, keep.dimensions) == keep.bits.keys()
        keep.updating |= gone.updating
        keep.used = max(keep.used, gone.used)
        keep.first_read = min(keep.first_read, gone.first_read)
        keep.last_read = max(keep.last_read, gone.last_read)
        keep.touched = self.tick()
        keep.registered = next(self.registrations)
        self.drop(gone)
        return keep

    def may_merge(self, first: Entry, second: Entry) -> bool:
        """Whether the VNs allow a merge."""
        return first.vn == second.vn

    def joined(self, first: Entry, second: Entry) -> Dimensions | None:
        """Dimensions of two entries together: gapless, or two equal tiles of one tensor."""
        low, high = sorted((first, second), key=lambda e: e.start)
        union = low.bits.keys() | high.bits.keys()
        shape = max(low, high, key=lambda e: len(e.dimensions)).dimensions
        for k, (pitch, size) in enumerate(shape):
            larger = len(union) * size // len(box(0, shape))
            longer = (*shape[:k], (pitch, larger), *shape[k + 1 :])
            if box(low.start, longer) == union:
                return longer
        distance = high.start - low.start
        if (
            low.dimensions == high.dimensions
            and len(shape) < 3
            and all(distance % pitch == 0 or pitch % distance == 0 for pitch, _ in shape)
            and (low.last_read < high.first_read or high.last_read < low.first_read)
        ):
            return (*shape, (distance, 2))
        return None

    # Writes.

    def write(self, line: int) -> bool:
        """Follow a write-back; returns whether an entry covers the line and stays."""
        if line not in self.traced or not self.enabled:
            return False
        self.forget(line)
        entry = self.owner(line)
        if not entry:
            return False
        if not self.write_allowed(entry, line):
            self.drop(entry)
            return False
        entry.updating = True
        entry.bits[line] ^= 1
        if self.strict and line != max(entry.bits):
            return True
        if self.all_written(entry):
            entry.vn += 1
            entry.bs ^= 1
            entry.updating = False
            entry.touched = self.tick()
            if self.contact:
                self.merge_neighbours(entry)
        elif self.strict:
            self.drop(entry)
            return False
        return True

    def write_allowed(self, entry: Entry, line: int) -> bool:
        """The assertions of a first and of a further write."""
        if entry.bits[line] != entry.bs:
            return False
        return not self.strict or entry.updating == (line != entry.start)

    def all_written(self, entry: Entry) -> bool:
        """Whether all lines of an entry were written."""
        return all(bit != entry.bs for bit in entry.bits.values())

    # Transfers.

    def hint(self, start: int, lines: int, stride: int, vn: int) -> None:
        """A transfer of the NPU: these lines have this VN."""
        if not self.enabled:
            return
        covered = [start + stride * k for k in range(lines)]
        for line in covered:
            self.forget(line)
        self.drop_overlaps(covered)
        self.settle(self.allocate(covered, vn, self.tick()))

    def drop_overlaps(self, lines: list[int]) -> None:
        """Forget the entries that share a line with a transfer."""
        for line in lines:
            entry = self.owner(line)
            if entry:
                self.drop(entry)

    def invalidate(self, line: int) -> None:
        """Forget what is known about a line."""
        self.forget(line)
        self.drop_overlaps([line])

    def clear(self) -> None:
        """Forget everything."""
        self.slots = [None] * len(self.slots)
        self.filter = [None] * len(self.filter)
