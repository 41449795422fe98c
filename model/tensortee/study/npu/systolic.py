# SPDX-License-Identifier: Apache-2.0
"""Output-stationary systolic array with automatic tiling in the scratchpad.

Each processing element keeps one output and adds one product a cycle. A *fold* computes the outputs of the whole array
over a depth k: operands enter skewed, so it takes `k + rows + columns - 2` cycles, and folds follow each other without
overlap. That is SCALE-Sim's output-stationary mode; `scripts/scalesim_check.py` compares the two.

Around the folds, tiles of A, B and C move between DRAM and the scratchpad. The search takes the tile sizes and the loop
order that are within a hundredth of the shortest time, of these the least traffic, of these the longest bursts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from tensortee.study.hardware import Npu
from tensortee.study.npu.accesses import Access
from tensortee.study.workload.operators import Gemm

Sizes = npt.NDArray[np.int64]
IntOrSizes = TypeVar("IntOrSizes", int, Sizes)


TIME_TOLERANCE = 0.01
"""Time that a tiling may lose to the fastest if it saves traffic: smaller first tiles are not worth reading twice."""


class TilingError(ValueError):
    """No tile of a product fits in the scratchpad."""


@dataclass(frozen=True, slots=True)
class Tiling:
    """How one product C = A B is cut into tiles.

    The product is m x k by k x n. Sums over k end in the scratchpad, so C is written once.

    Attributes:
        tile_m: rows of the tiles of A and C.
        tile_n: columns of the tiles of B and C.
        tile_k: columns of the tiles of A, rows of those of B.
        m_outer: the loops are m, n, k from the outside; else n, m, k.
        a_passes: how often A is read.
        b_passes: how often B is read.
        scratchpad_bytes: scratchpad that the tiles take, second buffers included.
        compute_cycles: cycles of the array, for all products.
        fill_bytes: tiles of A and B that must be there before the array starts.
        drain_bytes: tile of C that is written after the array ends.
    """

    tile_m: int
    tile_n: int
    tile_k: int
    m_outer: bool
    a_passes: int
    b_passes: int
    scratchpad_bytes: int
    compute_cycles: int
    fill_bytes: int
    drain_bytes: int


@dataclass(frozen=True, slots=True)
class GemmPlan:
    """A GEMM on the NPU.

    Attributes:
        tiling: tiling of each product.
        accesses: of A, B and C.
    """

    tiling: Tiling
    accesses: tuple[Access, Access, Access]


def dram_bytes_per_second(npu: Npu) -> float:
    """Rate that long bursts reach."""
    return npu.dram_bytes_per_second * npu.dram_efficiency


def compute_cycles(m: int, n: int, k: int, npu: Npu, depths: IntOrSizes) -> IntOrSizes:
    """Cycles of the array for one product.

    Args:
        m: rows of C.
        n: columns of C.
        k: depth.
        npu: size of the array.
        depths: folds that k is cut into; each pays the skew again.
    """
    folds = math.ceil(m / npu.array_rows) * math.ceil(n / npu.array_columns)
    return folds * (k + depths * (npu.array_rows + npu.array_columns - 2))


@lru_cache(maxsize=4096)
def choose_tiling(m: int, n: int, k: int, count: int, input_bytes: int, output_bytes: int, npu: Npu) -> Tiling:
    """Best tiling of equal products: hardly slower than the fastest, then least DRAM traffic, then fewest bursts.

    Tiles of A, B and C have two buffers each, so that DRAM works while the array does; what is loaded only once has
    one. C needs its sums (`npu.accumulator_bytes` an element) only if a fold does not go over all of k.

    Args:
        m: rows of A and C.
        n: columns of B and C.
        k: columns of A, rows of B.
        count: products of this size that follow each other.
        input_bytes: bytes of an element of A and B.
        output_bytes: bytes of an element of C.
        npu: the NPU.

    Raises:
        TilingError: not even the smallest tile fits in the scratchpad.
    """
    tile_m, tile_n, tile_k, m_outer = _candidates(m, n, k, npu)
    tiles_m, tiles_n, tiles_k = -(-m // tile_m), -(-n // tile_n), -(-k // tile_k)
    # A panel that goes over all of k stays in the scratchpad until the outer loop moves on.
    a_passes = np.where((tiles_k == 1) & (m_outer | (tiles_m == 1)), 1, tiles_n)
    b_passes = np.where((tiles_k == 1) & (~m_outer | (tiles_n == 1)), 1, tiles_m)

    a_tile, b_tile, c_tile = tile_m * tile_k * input_bytes, tile_k * tile_n * input_bytes, tile_m * tile_n
    held = np.where(tiles_k == 1, output_bytes, npu.accumulator_bytes) * c_tile
    used = (
        a_tile * np.where(tiles_m * tiles_k == 1, 1, 2)
        + b_tile * np.where(tiles_n * tiles_k == 1, 1, 2)
        + held * np.where(tiles_m * tiles_n == 1, 1, 2)
    )
    fits = used <= npu.scratchpad_bytes
    if not fits.any():
        raise TilingError(
            f"a product {m} x {k} by {k} x {n} needs at least {used.min()} bytes of scratchpad, not "
            f"{npu.scratchpad_bytes}"
        )

    cycles = count * compute_cycles(m, n, k, npu, tiles_k)
    traffic = count * (input_bytes * (m * k * a_passes + k * n * b_passes) + output_bytes * m * n)
    fill, drain = a_tile + b_tile, c_tile * output_bytes
    rate = dram_bytes_per_second(npu)
    seconds = np.maximum(cycles / npu.clock_hz + (fill + drain) / rate, traffic / rate)
    seconds[~fits] = np.inf
    # A tile that is cut in both directions is a burst for each row; others are one burst.
    cut_m, cut_n, cut_k = tiles_m > 1, tiles_n > 1, tiles_k > 1
    bursts = (
        a_passes * m * tiles_k * (cut_m & cut_k)
        + b_passes * k * tiles_n * (cut_k & cut_n)
        + m * tiles_n * (cut_m & cut_n)
    )
    slow = seconds > seconds.min() * (1 + TIME_TOLERANCE)
    best = int(np.lexsort((used, cycles, seconds, bursts, traffic, slow))[0])
    return Tiling(
        tile_m=int(tile_m[best]),
        tile_n=int(tile_n[best]),
        tile_k=int(tile_k[best]),
        m_outer=bool(m_outer[best]),
        a_passes=int(a_passes[best]),
        b_passes=int(b_passes[best]),
        scratchpad_bytes=int(used[best]),
        compute_cycles=int(cycles[best]),
        fill_bytes=int(fill[best]),
        drain_bytes=int(drain[best]),
    )


def plan_gemm(gemm: Gemm, npu: Npu) -> GemmPlan:
    """Tile a GEMM and list its accesses.

    Products that share a weight are one product with more rows. Independent products follow each other, each tiled
    alike; their matrices are contiguous. An operand that tiles cut in one direction only is stored in that direction,
    so its tiles are contiguous; one that they cut in both is stored in the NPU's `matrix_layout`.

    Raises:
        TilingError: see `choose_tiling`.
    """
    m, count = (gemm.m * gemm.count, 1) if gemm.weight_operand else (gemm.m, gemm.count)
    n, k = gemm.n, gemm.k
    tiling = choose_tiling(m, n, k, count, gemm.input_bytes, gemm.output_bytes, npu)
    cut_m, cut_n, cut_k = tiling.tile_m < m, tiling.tile_n < n, tiling.tile_k < k
    by_rows = npu.matrix_layout == "rows"
    # An operand that is read again inside the outer loop is read again panel by panel.
    a_panels = count * (math.ceil(m / tiling.tile_m) if tiling.m_outer else 1) if tiling.a_passes > 1 else 1
    b_panels = count * (1 if tiling.m_outer else math.ceil(n / tiling.tile_n)) if tiling.b_passes > 1 else 1
    a = Access(
        write=False,
        rows=m * count,
        row_bytes=k * gemm.input_bytes,
        piece_bytes=(tiling.tile_k if by_rows and cut_m and cut_k else k) * gemm.input_bytes,
        passes=tiling.a_passes,
        panels=a_panels,
    )
    b = Access(
        write=False,
        rows=k * count,
        row_bytes=n * gemm.input_bytes,
        piece_bytes=(tiling.tile_n if by_rows and cut_k and cut_n else n) * gemm.input_bytes,
        passes=tiling.b_passes,
        panels=b_panels,
    )
    c = Access(
        write=True,
        rows=m * count,
        row_bytes=n * gemm.output_bytes,
        piece_bytes=(tiling.tile_n if by_rows and cut_m and cut_n else n) * gemm.output_bytes,
    )
    return GemmPlan(tiling, (a, b, c))


def _candidates(m: int, n: int, k: int, npu: Npu) -> tuple[Sizes, Sizes, Sizes, npt.NDArray[np.bool_]]:
    """All combinations of tile sizes and loop orders that are tried, as flat arrays of one length."""
    axes = (_even_parts(m, npu.array_rows), _even_parts(n, npu.array_columns), _depths(k), np.array([False, True]))
    tile_m, tile_n, tile_k, m_outer = (axis.ravel() for axis in np.meshgrid(*axes, indexing="ij"))
    return tile_m, tile_n, tile_k, m_outer.astype(np.bool_)


def _even_parts(size: int, unit: int) -> Sizes:
    """The smallest tile of whole units for each number of tiles: larger ones would only take more scratchpad."""
    units = math.ceil(size / unit)
    return np.unique(np.minimum(-(-units // np.arange(1, units + 1)) * unit, size)).astype(np.int64)


def _depths(size: int) -> Sizes:
    """All of a depth, and powers of two from 32 elements (a line of fp16) on."""
    return np.unique(np.minimum(2 ** np.arange(5, max(6, size.bit_length() + 1)), size)).astype(np.int64)
