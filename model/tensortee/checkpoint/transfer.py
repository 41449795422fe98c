# SPDX-License-Identifier: Apache-2.0
"""Whole reads and writes at an offset; the operating system may do less than asked in one call."""

from __future__ import annotations

import os


def read_at(descriptor: int, buffer: memoryview, offset: int) -> int:
    """Fill `buffer` from `offset`; fewer bytes than it holds come back only at the end of the file."""
    done = 0
    while done < len(buffer):
        count = os.preadv(descriptor, [buffer[done:]], offset + done)
        if count == 0:
            break
        done += count
    return done


def write_at(descriptor: int, buffer: memoryview | bytes, offset: int) -> None:
    """Write all of `buffer` at `offset`."""
    view = memoryview(buffer)
    while len(view):
        count = os.pwrite(descriptor, view, offset)
        view = view[count:]
        offset += count
