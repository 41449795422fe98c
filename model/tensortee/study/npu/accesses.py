# SPDX-License-Identifier: Apache-2.0
"""Accesses of an operator to DRAM: which bytes of a tensor move, in which pieces, how often.

Protection schemes see nothing else of an operator. Rows of a tensor follow each other, and a tile may take a piece of
each; pieces that do not end where a line or a MAC block ends cost the whole line or block.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from tensortee.study.hardware import LINE_BYTES


@dataclass(frozen=True, slots=True)
class Access:
    """Reads or writes of one tensor by one operator.

    Attributes:
        write: whether the tensor is written.
        rows: rows of the tensor; of a scattered access, the rows that are taken.
        row_bytes: bytes of a row; rows follow each other without a gap.
        piece_bytes: bytes of a row that a tile takes; the row itself if tiles are as wide as the tensor.
        passes: how often the tensor is moved as a whole.
        panels: parts of the tensor that are each moved `passes` times before the next part is begun.
        scattered: the rows are chosen by data, so nobody knows before which ones and how often.
    """

    write: bool
    rows: int
    row_bytes: float
    piece_bytes: float
    passes: int = 1
    panels: int = 1
    scattered: bool = False

    @property
    def tensor_bytes(self) -> float:
        """Bytes of the tensor, or of the rows that a scattered access takes."""
        return self.rows * self.row_bytes

    def touched_bytes(self, granule: int) -> float:
        """Bytes of all whole granules that are moved, over all passes.

        A boundary between two pieces that lies inside a granule has it moved once more. Boundary j of row i lies at
        `i * row + j * piece`; over the rows it falls on every multiple of `gcd(row, granule)` equally often, shifted by
        `j * piece`. A tile column never takes more than the whole tensor.

        Args:
            granule: bytes that are moved together: a line, or a block with one MAC; a power of two.
        """
        piece, row = math.ceil(self.piece_bytes), math.ceil(self.row_bytes)
        if self.scattered:
            return self.passes * self.rows * (row + granule - math.gcd(row, granule))
        whole = math.ceil(self.tensor_bytes / granule) * granule
        columns = math.ceil(row / piece)
        if columns == 1:
            return self.passes * whole
        step = math.gcd(row, granule)
        meeting = math.ceil(columns * math.gcd(piece, step) / step)
        cut = self.rows * (columns * granule - meeting * step)
        return self.passes * min(whole + cut, columns * whole)

    @property
    def line_bytes(self) -> float:
        """Bytes of all lines that are moved: what an unprotected NPU moves."""
        return self.touched_bytes(LINE_BYTES)
