# SPDX-License-Identifier: Apache-2.0
"""Metadata of an SGX-like protection: version numbers, tree of counters, MACs, and the cache for all of them.

A VN line holds the 56-bit version numbers of eight data lines, a MAC line their 56-bit MACs. A tree of counters over
the VN lines ends in a root on the chip. A node that is fetched is verified against its parent, which is fetched too
unless it is cached, up to the first cached node. A node that leaves the cache changed updates its parent.

The cache has few misses under way for each channel: a miss keeps its place until the node is verified, and later misses
of the channel wait. Nodes live behind the data lines in the same DRAM; a node is named by its line number there.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from tensortee.study.cpu import dram as memory
from tensortee.study.hardware import LINE_BYTES, Cpu

LINES_PER_NODE_BITS = 3
"""A VN line and a MAC line cover 2**3 data lines."""

KINDS = ("vn", "tree", "mac")
VN, TREE, MAC = 0, 1, 2
"""Kinds of nodes: first index of `Metadata.counts`, which counts lines fetched [kind, 0] and written [kind, 1]."""

_LEVELS_MAX = 64


class Metadata(NamedTuple):
    """State of the metadata cache, and where the nodes are.

    Attributes:
        ways: lines of a set.
        sets: sets.
        arity: children of a tree node.
        levels: levels in memory: the VN lines and the tree up to the children of the root.
        hash_ns: verification of a node against its parent, ns.
        bases: first node of each level, then of the MAC lines, int64 [levels + 1].
        tags: node that a way holds, -1 if empty, int64 [sets * ways].
        used: time of the last use, counted in uses, int64 [sets * ways].
        changed: whether the node must be written back, uint8 [sets * ways].
        ready: when the node is verified and usable, ns, float64 [sets * ways].
        uses: uses so far, int64 [1].
        places: when each place for a miss gets free, ns, float64 [channels, metadata_misses_per_channel].
        chain: ways of a tree walk, int64 [64].
        evicted: nodes that left the cache changed and must still update their parents, int64 [64].
        counts: lines fetched and written by kind, int64 [3, 2].
    """

    ways: int
    sets: int
    arity: int
    levels: int
    hash_ns: float
    bases: npt.NDArray[np.int64]
    tags: npt.NDArray[np.int64]
    used: npt.NDArray[np.int64]
    changed: npt.NDArray[np.uint8]
    ready: npt.NDArray[np.float64]
    uses: npt.NDArray[np.int64]
    places: npt.NDArray[np.float64]
    chain: npt.NDArray[np.int64]
    evicted: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]


def level_lines(protected_bytes: int, arity: int) -> list[int]:
    """Lines of each level in memory: VN lines first, then the tree up to the children of the root."""
    lines = [max(1, protected_bytes // LINE_BYTES >> LINES_PER_NODE_BITS)]
    while lines[-1] > arity:
        lines.append(-(-lines[-1] // arity))
    return lines


def create(cpu: Cpu) -> Metadata:
    """An empty cache over the protected memory of a CPU."""
    levels = level_lines(cpu.protected_bytes, cpu.tree_arity)
    sets = cpu.metadata_cache_bytes // LINE_BYTES // cpu.metadata_cache_ways
    # Each region begins some sets further than the one before, so that the nodes of a data line do not share a set.
    shifts = np.arange(len(levels) + 1) * (sets // (len(levels) + 1))
    bases = cpu.protected_bytes // LINE_BYTES + np.cumsum([0, *levels], dtype=np.int64) + shifts
    size = sets * cpu.metadata_cache_ways
    return Metadata(
        ways=cpu.metadata_cache_ways,
        sets=sets,
        arity=cpu.tree_arity,
        levels=len(levels),
        hash_ns=cpu.mac_cycles / cpu.clock_hz * 1e9,
        bases=bases,
        tags=np.full(size, -1, np.int64),
        used=np.zeros(size, np.int64),
        changed=np.zeros(size, np.uint8),
        ready=np.zeros(size),
        uses=np.zeros(1, np.int64),
        places=np.zeros((cpu.dram.channels, cpu.metadata_misses_per_channel)),
        chain=np.zeros(_LEVELS_MAX, np.int64),
        evicted=np.zeros(_LEVELS_MAX, np.int64),
        counts=np.zeros((3, 2), np.int64),
    )


def changed_nodes(metadata: Metadata) -> int:
    """Changed nodes that the cache holds."""
    return int(metadata.changed.sum())


@njit(cache=True, forceinline=True)
def use_vn(metadata: Metadata, dram: memory.Dram, line: int, change: int, channel: int, now: float) -> float:
    """Use the VN of a data line; returns when it is there and verified, ns."""
    return _use(metadata, dram, metadata.bases[0] + (line >> LINES_PER_NODE_BITS), 0, change, channel, now)


@njit(cache=True, forceinline=True)
def use_mac(metadata: Metadata, dram: memory.Dram, line: int, change: int, channel: int, now: float) -> float:
    """Use the MAC of a data line; returns when it is there, ns."""
    level = metadata.levels
    return _use(metadata, dram, metadata.bases[level] + (line >> LINES_PER_NODE_BITS), level, change, channel, now)


@njit(cache=True, forceinline=True)
def _use(
    metadata: Metadata, dram: memory.Dram, node: int, level: int, change: int, channel: int, now: float
) -> float:
    """Use a node, and let the nodes that it displaced update their parents."""
    first = (node % metadata.sets) * metadata.ways
    for way in range(first, first + metadata.ways):
        if metadata.tags[way] == node:
            metadata.uses[0] += 1
            metadata.used[way] = metadata.uses[0]
            metadata.changed[way] |= change
            return max(now, metadata.ready[way])
    ready, evicted = _walk(metadata, dram, node, level, change, channel, now, 0)
    while evicted > 0:
        evicted -= 1
        child = metadata.evicted[evicted]
        level = 0
        while child >= metadata.bases[level + 1]:
            level += 1
        if level + 1 < metadata.levels:
            parent = metadata.bases[level + 1] + (child - metadata.bases[level]) // metadata.arity
            _, evicted = _walk(metadata, dram, parent, level + 1, 1, channel, now, evicted)
    return ready


@njit(cache=True, forceinline=True)
def _walk(
    metadata: Metadata, dram: memory.Dram, node: int, level: int, change: int, channel: int, now: float, evicted: int
) -> tuple[float, int]:
    """Find a node or fetch it and its parents up to the first that is cached, verify them downwards.

    Returns:
        When the node is usable, ns, and the number of evicted nodes that wait for the update of their parents.
    """
    place = metadata.places[channel].argmin()
    time = max(now, metadata.places[channel, place])
    depth = 0
    verified = now
    while True:
        first = (node % metadata.sets) * metadata.ways
        found = -1
        oldest = first
        for way in range(first, first + metadata.ways):
            if metadata.tags[way] == node:
                found = way
            if metadata.used[way] < metadata.used[oldest]:
                oldest = way
        metadata.uses[0] += 1
        if found >= 0:
            metadata.used[found] = metadata.uses[0]
            metadata.changed[found] |= change
            verified = max(verified, metadata.ready[found])
            break
        kind = MAC if level == metadata.levels else TREE if level > 0 else VN
        if metadata.changed[oldest]:
            memory.write(dram, metadata.tags[oldest], now)
            if metadata.tags[oldest] < metadata.bases[metadata.levels]:
                metadata.evicted[evicted] = metadata.tags[oldest]
                evicted += 1
                metadata.counts[VN if metadata.tags[oldest] < metadata.bases[1] else TREE, 1] += 1
            else:
                metadata.counts[MAC, 1] += 1
        metadata.tags[oldest] = node
        metadata.used[oldest] = metadata.uses[0]
        metadata.changed[oldest] = change
        metadata.counts[kind, 0] += 1
        time = memory.read(dram, node, time, now)
        metadata.ready[oldest] = time
        metadata.chain[depth] = oldest
        depth += 1
        change = 0
        if level + 1 >= metadata.levels:
            break
        node = metadata.bases[level + 1] + (node - metadata.bases[level]) // metadata.arity
        level += 1
    if depth == 0:
        return verified, evicted
    for i in range(depth - 1, -1, -1):
        way = metadata.chain[i]
        verified = max(verified, metadata.ready[way])
        if level < metadata.levels:
            verified += metadata.hash_ns
        metadata.ready[way] = verified
    metadata.places[channel, place] = verified
    return verified, evicted
