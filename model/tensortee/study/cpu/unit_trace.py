# SPDX-License-Identifier: Apache-2.0
"""Traces for TenAnalyzer alone: the reads of a kernel in one order, with the write-backs of a last-level cache.

The CPU simulator orders accesses by its own timing. Here threads go on in step, or drift apart by chance, so that what
the unit finds can be studied without a memory model.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tensortee.study.cpu import llc
from tensortee.study.cpu.compiled import compiled
from tensortee.study.cpu.kernels import Trace


def interleaved(trace: Trace, *, drift: float = 0.1, seed: int = 1) -> NDArray[np.int64]:
    """Accesses of all threads in one order.

    Args:
        trace: trace of a kernel.
        drift: each access takes a time between 1 and 1 + `drift`, evenly distributed.
        seed: seed of these times.

    Returns:
        `2 * line + write` of each access, int64 [n].

    Raises:
        ValueError: the drift is negative.
    """
    if drift < 0:
        raise ValueError(f"the drift of threads is at least 0, not {drift}")
    generator = np.random.default_rng(seed)
    lengths = np.diff(trace.bounds)
    times = np.concatenate([np.cumsum(1 + drift * generator.random(length)) for length in lengths])
    return trace.accesses[np.argsort(times, kind="stable")]


def with_write_backs(accesses: NDArray[np.int64], cache: llc.Llc) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Reads in their order and the write-backs of a cache between them; at the end the cache is drained.

    Args:
        accesses: `2 * line + write`, int64 [n].
        cache: last-level cache; empty of dirty lines afterwards.

    Returns:
        Lines, int64 [m], and whether each is a write-back, bool [m]: arguments of `tenanalyzer.analyze`.
    """
    lines = np.zeros(2 * len(accesses) + len(cache.entries), np.int64)
    writes = np.zeros(len(lines), np.bool_)
    used = _fill(accesses, cache, lines, writes)
    return lines[:used], writes[:used]


@compiled
def _fill(accesses: NDArray[np.int64], cache: llc.Llc, lines: NDArray[np.int64], writes: NDArray[np.bool_]) -> int:
    """Fill the trace and return its length."""
    used = 0
    for access in accesses:
        lines[used] = access >> 1
        used += 1
        evicted = llc.access(cache, access >> 1, access & 1)
        if evicted >= 0:
            lines[used] = evicted
            writes[used] = True
            used += 1
    for place in range(len(cache.entries)):
        entry = cache.entries[place]
        if entry >= 0 and entry & 1:
            cache.entries[place] = entry - 1
            lines[used] = entry >> 1
            writes[used] = True
            used += 1
    return used
