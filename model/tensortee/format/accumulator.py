# SPDX-License-Identifier: Apache-2.0
"""GHASH and coverage hash of a tensor whose lines come in any order and grouping.

With n = ceil(nbytes / 16) blocks, GHASH is a sum, so the lines of a tensor may be added in any order: line i, with the
blocks C[4i + k], adds `sum_k C[4i+k] * H^(n+1-4i-k)`. Such sums cancel when a line is added twice, so the coverage hash
`sum_i P(i)`, `P(i) = H^(n+1-4i)`, and a count go with them: if both are those of every line once, then every line was
added exactly once, but for a probability below 2^-94 over the key.
"""

from __future__ import annotations

import hmac

from tensortee.format.errors import CoverageError, IntegrityError
from tensortee.format.ghash import GhashKey, multiply
from tensortee.format.version1 import (
    BLOCK_BYTES,
    BLOCKS_PER_LINE,
    IV_BYTES,
    LINE_BYTES,
    TAG_BYTES,
    block_count,
    check_length,
    line_count,
)


class LineSums:
    """The sums over lines of a tensor, without its IV: what the engine's verifier keeps for a slot.

    Args:
        key: hash key.
        nbytes: length of the tensor in bytes.

    Attributes:
        nbytes: length of the tensor in bytes.
        lines: lines of the tensor.
        count: lines added so far, repeated ones counted each time.
        ghash: sum of the lines' contributions, an element in NIST order; no length block.
        coverage: sum of `P(i)` over the lines added, an element in NIST order.

    Raises:
        ValueError: `nbytes` is not the length of a tensor.
    """

    def __init__(self, key: GhashKey, nbytes: int) -> None:
        check_length(nbytes)
        self._key = key
        self.nbytes = nbytes
        self.lines = line_count(nbytes)
        self._top = block_count(nbytes) + 1
        self.count = 0
        self.ghash = 0
        self.coverage = 0

    def add(self, line: int, ciphertext: bytes | bytearray | memoryview) -> None:
        """Add a contiguous run of lines.

        Args:
            line: index of the first line.
            ciphertext: whole lines of 64 bytes, or lines up to the last byte of the tensor. Bytes behind the tensor's
                end are no part of it and are ignored.

        Raises:
            ValueError: the run is empty, is not made of lines, or leaves the tensor.
        """
        view = memoryview(ciphertext).cast("B")
        lines = line_count(len(view))
        end = line * LINE_BYTES + len(view)
        if line < 0 or lines < 1 or line + lines > self.lines:
            raise ValueError(f"{lines} lines from line {line} on are not in a tensor of {self.lines} lines")
        if len(view) % LINE_BYTES and end != self.nbytes:
            raise ValueError(
                f"{len(view)} bytes from line {line} on: a run ends with a line or with the tensor (byte {self.nbytes})"
            )
        if end > self.nbytes:
            view = view[: self.nbytes - end]
        first_exponent = self._top - BLOCKS_PER_LINE * line
        # run() gives its last block the exponent 2; in the tensor that block's exponent is 2 + behind.
        behind = first_exponent - 1 - block_count(len(view))
        part = self._key.run(view)
        self.ghash ^= multiply(part, self._key.power(behind)) if behind else part
        self.coverage ^= self._key.coverage(first_exponent, lines)
        self.count += lines

    @property
    def covered(self) -> bool:
        """Whether every line was added exactly once."""
        return self.count == self.lines and self.coverage == self._key.coverage(self._top, self.lines)

    def tag(self, iv: bytes) -> bytes:
        """The 16-byte AES-GCM tag under an IV of 12 bytes, if every line was added once; else a meaningless value."""
        pad = int.from_bytes(self._key.block(iv + (1).to_bytes(4, "big")), "big")
        total = self.ghash ^ multiply(self.nbytes * 8, self._key.h) ^ pad
        return total.to_bytes(BLOCK_BYTES, "big")


class LineAccumulator:
    """Computes or checks the tag of a tensor version from its ciphertext lines, in any order and grouping.

    Adding contiguous runs is fast: a run costs one library call and a few products, whatever its length.

    Args:
        key: 16 or 32 bytes.
        iv: 12 bytes, see `tensortee.format.tensor_iv`.
        nbytes: length of the tensor in bytes.

    Raises:
        ValueError: a length is wrong, or the key is one of the two hash keys that cannot tell lines apart.
    """

    def __init__(self, key: bytes | bytearray | memoryview, iv: bytes, nbytes: int) -> None:
        if len(iv) != IV_BYTES:
            raise ValueError(f"an IV has {IV_BYTES} bytes, not {len(iv)}")
        hash_key = GhashKey(bytes(key))
        if not hash_key.usable:
            raise ValueError("this key has a degenerate hash key: use another one")
        self._iv = bytes(iv)
        self._sums = LineSums(hash_key, nbytes)

    def __repr__(self) -> str:
        return f"LineAccumulator(iv={self._iv.hex()}, {self.count} of {self._sums.lines} lines)"

    def add(self, line: int, ciphertext: bytes | bytearray | memoryview) -> None:
        """Add a contiguous run of lines; see `LineSums.add`."""
        self._sums.add(line, ciphertext)

    @property
    def lines(self) -> int:
        """Lines of the tensor."""
        return self._sums.lines

    @property
    def count(self) -> int:
        """Lines added so far, repeated ones counted each time."""
        return self._sums.count

    @property
    def coverage(self) -> bytes:
        """Coverage hash, a block of 16 bytes."""
        return self._sums.coverage.to_bytes(BLOCK_BYTES, "big")

    def tag(self) -> bytes:
        """The 16-byte tag of the tensor.

        Raises:
            CoverageError: not every line was added exactly once.
        """
        self._check_coverage()
        return self._sums.tag(self._iv)

    def check(self, tag: bytes) -> None:
        """Return if the lines are those that were sealed with `tag`.

        Raises:
            CoverageError: not every line was added exactly once.
            IntegrityError: the tag does not match.
        """
        self._check_coverage()
        if len(tag) != TAG_BYTES or not hmac.compare_digest(bytes(tag), self._sums.tag(self._iv)):
            raise IntegrityError(f"the tag does not match the {self.lines} lines that were added")

    def _check_coverage(self) -> None:
        if not self._sums.covered:
            how = "some lines are missing and others repeated" if self.count == self.lines else "lines are missing"
            if self.count > self.lines:
                how = "lines are repeated"
            raise CoverageError(f"{self.count} lines were added to a tensor of {self.lines}: {how}")
