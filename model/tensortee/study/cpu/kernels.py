# SPDX-License-Identifier: Apache-2.0
"""Kernels of the CPU as traces of line accesses: Adam, copy, conversion to fp16, tiled GEMM, scalar noise.

A trace has the accesses of each thread in program order. An access reads a line, or reads it and writes it: a line that
is only written is read all the same, because the caches allocate on writes. Buffers are line aligned, with a gap of a
page between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from tensortee.study.hardware import LINE_BYTES, Cpu

GAP_LINES = 64
"""Unused lines between two buffers."""

FP32_PER_LINE = LINE_BYTES // 4

Lines = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """Accesses of a kernel.

    Attributes:
        kernel: name of the kernel.
        accesses: `2 * line + write` of all accesses, those of thread 0 first, int64 [n].
        bounds: first access of each thread, and the end, int64 [threads + 1].
        cycles_per_access: arithmetic that goes with an access on its core, cycles.
        buffers: first line and number of lines of each buffer.
        scale: accesses of the kernel at full size for each one in the trace.
    """

    kernel: str
    accesses: Lines
    bounds: Lines
    cycles_per_access: float
    buffers: tuple[tuple[int, int], ...]
    scale: float = 1.0

    @property
    def threads(self) -> int:
        """Threads of the trace."""
        return len(self.bounds) - 1

    @property
    def lines(self) -> int:
        """Lines from line 0 to the end of the last buffer."""
        first, lines = self.buffers[-1]
        return first + lines


def _buffers(*lines: int) -> tuple[tuple[int, int], ...]:
    firsts = np.cumsum([0, *(n + GAP_LINES for n in lines[:-1])])
    return tuple((int(first), n) for first, n in zip(firsts, lines, strict=True))


def _bounds(parts: Sequence[Lines]) -> Lines:
    return np.cumsum([0, *(len(part) for part in parts)], dtype=np.int64)


def _split(lines: Lines, threads: int, thread: int) -> tuple[Lines, Lines]:
    """Begin and end of a thread's chunk of each tensor: contiguous chunks of equal size, in thread order."""
    return lines * thread // threads, lines * (thread + 1) // threads


def _ranges(begins: Lines, ends: Lines) -> Lines:
    """The numbers of several ranges, one after the other."""
    sizes = ends - begins
    offsets = np.repeat(begins - np.concatenate(([0], np.cumsum(sizes)[:-1])), sizes)
    return np.arange(int(sizes.sum()), dtype=np.int64) + offsets


def scaled_tensors(parameter_elements: Sequence[int], threads: int, scale: float) -> Lines:
    """Lines of each fp32 tensor when the model is made smaller; no tensor falls below eight lines of a thread's chunk.

    A tensor that is smaller than that keeps its size: the number of tensors and of streams stays that of the model.
    """
    full = -(-np.asarray(parameter_elements, np.int64) // FP32_PER_LINE)
    floor = np.minimum(full, 8 * threads)
    return np.maximum(np.rint(full / scale).astype(np.int64), floor)


def adam(
    parameter_elements: Sequence[int], cpu: Cpu, *, threads: int = 8, scale: float = 1.0, apart: bool = False
) -> Trace:
    """One Adam update of all parameters: 28 bytes a parameter, of which 12 are written.

    Parameters, both moments and gradients are four flat fp32 buffers. Each tensor is cut in one contiguous chunk for
    each thread (OpenMP static); for 16 parameters a thread reads a line of each buffer and writes three of them.

    Args:
        parameter_elements: elements of each tensor of the model.
        cpu: CPU, for the arithmetic.
        threads: threads.
        scale: factor by which tensors are made smaller, see `scaled_tensors`.
        apart: leave a gap behind each tensor, so that no two of them are neighbours.

    Raises:
        ValueError: there is no tensor, or one without elements.
    """
    if not parameter_elements or min(parameter_elements) < 1:
        raise ValueError("a model has at least one tensor, and each has at least one element")
    full = int((-(-np.asarray(parameter_elements, np.int64) // FP32_PER_LINE)).sum())
    tensors = scaled_tensors(parameter_elements, threads, scale)
    ends = np.cumsum(tensors + apart * GAP_LINES)
    starts = np.concatenate(([0], ends[:-1]))
    total = int(tensors.sum())
    buffers = _buffers(*[int(ends[-1])] * 4)
    parts = []
    for thread in range(threads):
        begin, end = _split(tensors, threads, thread)
        elements = _ranges(starts + begin, starts + end)
        group = np.stack([2 * (elements + first) + (i < 3) for i, (first, _) in enumerate(buffers)], axis=1)
        parts.append(group.reshape(-1))
    work = cpu.adam_cycles_per_element * FP32_PER_LINE / len(buffers)
    return Trace("adam", np.concatenate(parts), _bounds(parts), work, buffers, full / total)


def stream(kind: Literal["copy", "cast"], nbytes: int, cpu: Cpu, *, threads: int = 8, scale: float = 1.0) -> Trace:
    """Copy a buffer, or convert it from fp32 to fp16.

    Args:
        kind: "copy", or "cast": two source lines make one destination line.
        nbytes: bytes of the source.
        cpu: CPU, for the arithmetic.
        threads: threads.
        scale: factor by which the buffer is made smaller.

    Raises:
        ValueError: the buffer has no byte, or the kind is unknown.
    """
    if nbytes < 1 or kind not in ("copy", "cast"):
        raise ValueError(f"a copy or cast of at least one byte, not {kind!r} of {nbytes} bytes")
    ratio = 2 if kind == "cast" else 1
    full = -(-nbytes // (LINE_BYTES * ratio))
    total = max(threads, round(full / scale))
    (source, _), (target, _) = buffers = _buffers(total * ratio, total)
    parts = []
    for thread in range(threads):
        part = np.arange(total * thread // threads, total * (thread + 1) // threads, dtype=np.int64)
        reads = [2 * (source + ratio * part + i) for i in range(ratio)]
        parts.append(np.stack([*reads, 2 * (target + part) + 1], axis=1).reshape(-1))
    return Trace(kind, np.concatenate(parts), _bounds(parts), cpu.copy_cycles_per_line, buffers, full / total)


def gemm(n: int, tile: int, cpu: Cpu) -> Trace:
    """Product of two fp32 matrices of n x n elements in square tiles, on one thread.

    For each tile of the result, the tiles of both operands are read row by row along the inner dimension; the result is
    written once.

    Raises:
        ValueError: tiles do not fill the matrix, or rows of a tile are not whole lines.
    """
    if n < 1 or tile < 1 or n % tile or tile % FP32_PER_LINE:
        raise ValueError(f"a matrix of {n} x {n} is not made of tiles of {tile} x {tile} with rows of whole lines")
    row, tile_row, tiles = n // FP32_PER_LINE, tile // FP32_PER_LINE, n // tile
    buffers = _buffers(*[n * row] * 3)
    block = (np.arange(tile)[:, None] * row + np.arange(tile_row)).reshape(-1)

    def lines(matrix: int, i: int, j: int) -> Lines:
        return np.asarray(buffers[matrix][0] + i * tile * row + j * tile_row + block, np.int64)

    parts = []
    for i in range(tiles):
        for j in range(tiles):
            for k in range(tiles):
                parts += [2 * lines(0, i, k), 2 * lines(1, k, j)]
            parts.append(2 * lines(2, i, j) + 1)
    accesses = np.concatenate(parts)
    work = n**3 / cpu.macs_per_cycle / len(accesses)
    return Trace("gemm", accesses, np.array([0, len(accesses)], np.int64), work, buffers)


def with_noise(trace: Trace, share: float, *, seed: int = 1) -> Trace:
    """A trace with scalar reads of random lines in between, as other data of a program causes them.

    Args:
        trace: trace of a kernel.
        share: noise accesses for each access of the kernel; they have a buffer of their own of the same size.
        seed: seed of places and lines.

    Raises:
        ValueError: the share is negative.
    """
    if share < 0:
        raise ValueError(f"a share of noise is at least 0, not {share}")
    generator = np.random.default_rng(seed)
    first = trace.lines + GAP_LINES
    size = trace.lines
    parts = []
    for begin, end in zip(trace.bounds[:-1], trace.bounds[1:], strict=True):
        part = trace.accesses[begin:end]
        noise = 2 * (first + generator.integers(0, size, round(share * len(part))))
        parts.append(np.insert(part, generator.integers(0, len(part) + 1, len(noise)), noise))
    buffers = (*trace.buffers, (first, size))
    return replace(trace, accesses=np.concatenate(parts), bounds=_bounds(parts), buffers=buffers)
