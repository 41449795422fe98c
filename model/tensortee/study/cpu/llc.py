# SPDX-License-Identifier: Apache-2.0
"""Last-level cache: set associative, LRU, write-allocate, write-back.

The cache decides which reads reach the memory and in which order dirty lines come out again.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tensortee.study.cpu.compiled import compiled

HIT = -2
"""Result of `access`: the line is present."""
CLEAN = -1
"""Result of `access`: the line was filled, and no dirty line left."""


class Llc(NamedTuple):
    """State of the cache.

    Attributes:
        ways: lines of a set.
        sets: number of sets, any number: the set is the line number modulo it.
        entries: `2 * line + dirty`, most recently used first in a set, -1 if empty, int64 [sets * ways].
    """

    ways: int
    sets: int
    entries: npt.NDArray[np.int64]


def create(lines: int, ways: int) -> Llc:
    """An empty cache of about `lines` lines, at least one set."""
    sets = max(1, lines // ways)
    return Llc(ways, sets, np.full(sets * ways, -1, np.int64))


def dirty_lines(llc: Llc) -> int:
    """Dirty lines that the cache holds."""
    return int(((llc.entries >= 0) & (llc.entries & 1 == 1)).sum())


@compiled
def access(llc: Llc, line: int, dirty: int) -> int:
    """Use a line and make it the newest of its set.

    Args:
        llc: cache, changed.
        line: line number.
        dirty: 1 if the access writes, else 0.

    Returns:
        HIT, CLEAN, or the dirty line that was evicted for it.
    """
    place = np.int64(np.uint32(line) % np.uint32(llc.sets)) * llc.ways
    entry = 2 * line + dirty
    for way in range(place, place + llc.ways):
        displaced = llc.entries[way]
        llc.entries[way] = entry
        if displaced >> 1 == line and displaced >= 0:
            llc.entries[place] |= displaced & 1
            return HIT
        entry = displaced
    return entry >> 1 if entry >= 0 and entry & 1 else CLEAN
