# SPDX-License-Identifier: Apache-2.0
"""How a tensor is cut into bursts."""

from __future__ import annotations

from random import Random

from tb.env.bursts import BOUNDARY, INCR, WRAP
from tb.memory import LINE_BYTES

MAX_BEATS = 256


def runs(
    base: int, lines: int, bus_bytes: int, rng: Random, longest: int = BOUNDARY // LINE_BYTES
) -> list[tuple[int, int]]:
    """Cut lines 0 .. ``lines`` - 1 of a tensor at ``base`` into runs (first line, number of lines), each a legal burst.

    No run crosses 4 KiB or has more than 256 beats or more than ``longest`` lines; lengths are random, ascending order.
    """
    longest = min(longest, MAX_BEATS * bus_bytes // LINE_BYTES)
    out = []
    line = 0
    while line < lines:
        to_boundary = (BOUNDARY - (base + line * LINE_BYTES) % BOUNDARY) // LINE_BYTES
        count = rng.randint(1, min(longest, lines - line, to_boundary))
        out.append((line, count))
        line += count
    return out


def full_runs(base: int, lines: int, bus_bytes: int) -> list[tuple[int, int]]:
    """Cut as ``runs``, into the longest bursts that are legal."""
    longest = min(BOUNDARY, MAX_BEATS * bus_bytes) // LINE_BYTES
    out = []
    line = 0
    while line < lines:
        to_boundary = (BOUNDARY - (base + line * LINE_BYTES) % BOUNDARY) // LINE_BYTES
        count = min(longest, lines - line, to_boundary)
        out.append((line, count))
        line += count
    return out


def pieces(base: int, lines: int, bus_bytes: int, rng: Random) -> list[tuple[int, int, int, int]]:
    """Cut a tensor into reads (address, beats, size, kind) of any kind that touch every line exactly once.

    Most return parts of their first and last line only; the engine fetches whole lines all the same.
    """
    full = bus_bytes.bit_length() - 1
    out = []
    line = 0
    while line < lines:
        start = base + line * LINE_BYTES
        count = rng.randint(1, min(4, lines - line, (BOUNDARY - start % BOUNDARY) // LINE_BYTES))
        size = rng.randint(max(0, full - 3), full)
        nbytes = count * LINE_BYTES
        if start % nbytes == 0 and nbytes >> size in (2, 4, 8, 16) and rng.random() < 0.5:
            out.append((start + (rng.randrange(nbytes) & -(1 << size)), nbytes >> size, size, WRAP))
        else:
            first = start + rng.randrange(LINE_BYTES)
            last = max(first, start + nbytes - 1 - rng.randrange(LINE_BYTES))
            out.append((first, (last >> size) - (first >> size) + 1, size, INCR))
        line += count
    rng.shuffle(out)
    return out


def words(data: bytes, bus_bytes: int) -> list[int]:
    """Cut bytes into words of the bus; the length must be a multiple of ``bus_bytes``."""
    if len(data) % bus_bytes:
        raise ValueError(f"{len(data)} bytes are not whole words of {bus_bytes} bytes")
    return [int.from_bytes(data[at : at + bus_bytes], "little") for at in range(0, len(data), bus_bytes)]
