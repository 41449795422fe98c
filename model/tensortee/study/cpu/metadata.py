# SPDX-License-Identifier: Apache-2.0
"""Metadata of an SGX-like protection: version numbers, tree of counters, MACs, and the cache for all of them.

A VN line holds the 56-bit version numbers of eight data lines, a MAC line their 56-bit MACs. A tree of counters over
the VN lines ends in a root on the chip. A node that is fetched is verified against its parent, which is fetched too
unless it is cached, up to the first cached node. A node that leaves the cache changed updates its parent.

The cache has few misses under way: a miss keeps its place until its node is verified; a miss that finds no place holds
up the look-ups behind it. This is for what somebody waits for: VN and MAC of a read, and the VN that a write is
encrypted with unless the chip knows it. Updates in the background (MACs of writes, parents of nodes that leave) cost
transfers but no place. A VN line whose VNs are all known on the chip is written without being fetched.

Nodes live behind the data lines in the same DRAM; a node is named by its line number there.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tensortee.study.cpu import dram as memory
from tensortee.study.cpu.compiled import inlined
from tensortee.study.hardware import LINE_BYTES, Cpu

LINES_PER_NODE_BITS = 3
"""A VN line and a MAC line cover 2**3 data lines."""

KINDS = ("vn", "tree", "mac")
VN, TREE, MAC = 0, 1, 2
"""Kinds of nodes: first index of `Metadata.counts`, which counts lines fetched [kind, 0] and written [kind, 1]."""

WAIT, BACKGROUND, KNOWN = 0, 1, 2
"""Who uses a node: somebody who waits for it, so that a miss takes a place; an update in the background;
or an update of a VN line whose eight VNs the chip knows, so that there is nothing to fetch."""

_LEVELS_MAX = 64
_HINTS = 256
_USUAL_WAYS = 8
_HASH = 0x9E3779B1


_PARAMETERS = np.dtype(
    [(name, np.int64) for name in ("ways", "sets", "arity", "levels", "uses", "evicted")]
    + [("hash", np.float64), ("port", np.float64)]
)


class Metadata(NamedTuple):
    """State of the metadata cache, and where the nodes are, in few arrays because every call passes them.

    Attributes:
        all: one record: `ways` of a set, `sets`, `arity` of the tree, `levels` in memory (the VN lines and the tree up
            to the children of the root), `uses` of the cache so far, `evicted` nodes that wait, `hash` time of
            the verification of a node, `port` time from which look-ups are served, ns.
        bases: first node of each level, then of the MAC lines, int64 [levels + 1].
        tags: node that a way holds, -1 if empty, int64 [sets * ways].
        used: last use of a way, counted in uses, int64 [sets * ways].
        ready: when its node is verified and usable, ns, float64 [sets * ways].
        changed: 1 if its node must be written back, uint8 [sets * ways].
        hints: where a VN line and a MAC line were found last, by the low bits of their number, int64 [2, 256].
        places: when each place for a miss gets free, ns, float64 [metadata_misses].
        stack: ways of a tree walk, and nodes that left the cache changed and must update their parents, int64 [2, 64].
        counts: lines fetched and written by kind, int64 [3, 2].
    """

    all: npt.NDArray[Any]
    bases: npt.NDArray[np.int64]
    tags: npt.NDArray[np.int64]
    used: npt.NDArray[np.int64]
    ready: npt.NDArray[np.float64]
    changed: npt.NDArray[np.uint8]
    hints: npt.NDArray[np.int64]
    places: npt.NDArray[np.float64]
    stack: npt.NDArray[np.int64]
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
    bases = cpu.protected_bytes // LINE_BYTES + np.cumsum([0, *levels], dtype=np.int64)
    size = sets * cpu.metadata_cache_ways
    parameters = np.zeros(1, _PARAMETERS)
    hash_ns = cpu.mac_cycles / cpu.clock_hz * 1e9
    parameters[0] = (cpu.metadata_cache_ways, sets, cpu.tree_arity, len(levels), 0, 0, hash_ns, 0.0)
    return Metadata(
        all=parameters,
        bases=bases,
        tags=np.full(size, -1, np.int64),
        used=np.zeros(size, np.int64),
        ready=np.zeros(size),
        changed=np.zeros(size, np.uint8),
        hints=np.zeros((2, _HINTS), np.int64),
        places=np.zeros(cpu.metadata_misses),
        stack=np.zeros((2, _LEVELS_MAX), np.int64),
        counts=np.zeros((3, 2), np.int64),
    )


@inlined
def use_vn(metadata: Metadata, dram: memory.Dram, line: int, change: int, urgency: int, now: float) -> float:
    """Use the VN of a data line.

    Args:
        metadata: cache, changed.
        dram: memory, changed.
        line: data line.
        change: 1 if the VN is counted up, else 0.
        urgency: WAIT, BACKGROUND or KNOWN.
        now: time of the simulation, ns.

    Returns:
        When the VN is there and verified, ns.
    """
    return _use(metadata, dram, 0, 0, line >> LINES_PER_NODE_BITS, change, urgency, now)


@inlined
def use_mac(metadata: Metadata, dram: memory.Dram, line: int, change: int, urgency: int, now: float) -> float:
    """Use the MAC of a data line, as `use_vn`; returns when it is there, ns."""
    return _use(metadata, dram, 1, metadata.all[0].levels, line >> LINES_PER_NODE_BITS, change, urgency, now)


@inlined
def _use(
    metadata: Metadata,
    dram: memory.Dram,
    kind: int,
    level: int,
    index: int,
    change: int,
    urgency: int,
    now: float,
) -> float:
    """Use node `index` of the VN or MAC lines, which most often is where it was last time."""
    node = metadata.bases[level] + index
    way = metadata.hints[kind, index & (_HINTS - 1)]
    if metadata.tags[way] != node:
        way = _bring(metadata, dram, node, level, urgency, now)
        metadata.hints[kind, index & (_HINTS - 1)] = way
    metadata.all[0].uses += 1
    metadata.used[way] = metadata.all[0].uses
    metadata.changed[way] |= change
    return max(max(now, metadata.all[0].port), metadata.ready[way])


@inlined
def _bring(metadata: Metadata, dram: memory.Dram, node: int, level: int, urgency: int, now: float) -> int:
    """Find a node or fetch it, and let the nodes that are displaced update their parents; returns its way."""
    a = metadata.all[0]
    wanted = -1
    while True:
        way = _walk(metadata, dram, node, level, urgency, now)
        if wanted < 0:
            wanted = way
        else:
            metadata.changed[way] = 1
        while True:
            if a.evicted == 0:
                return wanted
            a.evicted -= 1
            node = metadata.stack[1, a.evicted]
            level = 0
            while node >= metadata.bases[level + 1]:
                level += 1
            if level + 1 < a.levels:
                break
        node = _parent(metadata, node, level)
        level += 1
        urgency = BACKGROUND


@inlined
def _walk(metadata: Metadata, dram: memory.Dram, node: int, level: int, urgency: int, now: float) -> int:
    """Find a node, or fetch it and its parents up to the first that is cached and verify them downwards.

    A miss that something waits for takes a place until the whole walk is verified.

    Returns:
        Way of the node.
    """
    a = metadata.all[0]
    place = 0
    time = now
    depth = 0
    verified = now
    while True:
        way = _find(metadata, node)
        a.uses += 1
        metadata.used[way] = a.uses
        if metadata.tags[way] == node:
            verified = max(verified, metadata.ready[way])
            break
        if depth == 0 and urgency == WAIT:
            for other in range(1, len(metadata.places)):
                if metadata.places[other] < metadata.places[place]:
                    place = other
            time = max(max(now, a.port), metadata.places[place])
            a.port = time
        if metadata.changed[way]:
            _put_back(metadata, dram, metadata.tags[way], now)
        metadata.tags[way] = node
        if urgency == KNOWN:
            metadata.ready[way] = now
            break
        metadata.counts[MAC if level == a.levels else TREE if level > 0 else VN, 0] += 1
        time = memory.read(dram, node, time, now)
        metadata.changed[way] = 0
        metadata.ready[way] = time
        metadata.stack[0, depth] = way
        depth += 1
        if level + 1 >= a.levels:
            break
        node = _parent(metadata, node, level)
        level += 1
    for i in range(depth - 1, -1, -1):
        way = metadata.stack[0, i]
        verified = max(verified, metadata.ready[way])
        if level < a.levels:
            verified += a.hash
        metadata.ready[way] = verified
    if depth > 0 and urgency == WAIT:
        metadata.places[place] = verified
    return way


@inlined
def _find(metadata: Metadata, node: int) -> int:
    """Way that holds a node, else the way of its set that was used longest ago.

    Sets are hashed: the chunks of threads lie at powers of two, and their nodes would all meet in one set.
    """
    ways = metadata.all[0].ways
    first = (((node * _HASH & 0xFFFFFFFF) * metadata.all[0].sets) >> 32) * ways
    if ways == _USUAL_WAYS:
        return _find_in_set(metadata, node, first, _USUAL_WAYS)  # a constant, so that the loops are unrolled
    return _find_in_set(metadata, node, first, ways)


@inlined
def _find_in_set(metadata: Metadata, node: int, first: int, ways: int) -> int:
    # Both loops without branches: which way it is cannot be predicted.
    found = -1
    for way in range(ways):
        found = way if metadata.tags[first + way] == node else found
    if found >= 0:
        return first + found
    oldest = 0
    used = metadata.used[first]
    for way in range(1, ways):
        older = metadata.used[first + way] < used
        oldest = way if older else oldest
        used = metadata.used[first + way] if older else used
    return first + oldest


@inlined
def _parent(metadata: Metadata, node: int, level: int) -> int:
    """Node one level up; unsigned and short, because that division is quick."""
    place = np.uint32(node - metadata.bases[level]) // np.uint32(metadata.all[0].arity)
    return metadata.bases[level + 1] + np.int64(place)


@inlined
def _put_back(metadata: Metadata, dram: memory.Dram, node: int, now: float) -> None:
    """Write a changed node to memory; its parent will count the change."""
    memory.write(dram, node, now)
    if node >= metadata.bases[metadata.all[0].levels]:
        metadata.counts[MAC, 1] += 1
        return
    metadata.counts[VN if node < metadata.bases[1] else TREE, 1] += 1
    metadata.stack[1, metadata.all[0].evicted] = node
    metadata.all[0].evicted += 1
