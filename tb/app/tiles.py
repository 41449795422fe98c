# SPDX-License-Identifier: Apache-2.0
"""The order in which an NPU moves a tensor: tile by tile, not from the first line to the last."""

from __future__ import annotations

from random import Random

from tb.app.port import LINE_BYTES, PAGE_BYTES

BURST_BYTES = 1024
TILE_BURSTS = 4
REGION_BYTES = 1 << 19
"""Tiles keep their place by regions of this size: half of what the engine's default write map covers, so that writes of
any tensor stay within it."""

Span = tuple[int, int]
"""Offset in the tensor and length, in bytes; both whole lines."""


def stored_bytes(nbytes: int) -> int:
    """Return the length of a tensor in DRAM: its last line is stored whole."""
    return -(-nbytes // LINE_BYTES) * LINE_BYTES


def cut(base: int, nbytes: int, burst_bytes: int = BURST_BYTES) -> list[Span]:
    """Cut a tensor at ``base`` into the spans of bursts that do not cross 4 KiB, in address order."""
    end = stored_bytes(nbytes)
    spans = []
    offset = 0
    while offset < end:
        length = min(burst_bytes, end - offset, PAGE_BYTES - (base + offset) % PAGE_BYTES)
        spans.append((offset, length))
        offset += length
    return spans


def tiled(base: int, nbytes: int, rng: Random, burst_bytes: int = BURST_BYTES) -> list[Span]:
    """Return the spans of ``cut`` in the order of tiles of four bursts, the tiles in random order."""
    tiles: dict[int, list[list[Span]]] = {}
    spans = cut(base, nbytes, burst_bytes)
    for start in range(0, len(spans), TILE_BURSTS):
        tile = spans[start : start + TILE_BURSTS]
        tiles.setdefault(tile[0][0] // REGION_BYTES, []).append(tile)
    order: list[Span] = []
    for region in tiles.values():
        rng.shuffle(region)
        for tile in region:
            order += tile
    return order
