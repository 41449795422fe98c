# SPDX-License-Identifier: Apache-2.0
"""Sparse byte-addressed memory image with the tampering an attacker on the memory bus has."""

from __future__ import annotations

from collections import Counter
from random import Random

LINE_BYTES = 64
PAGE_BYTES = 4096

# Random bytes are drawn in pieces: random.randbytes takes less than 256 MiB.
_FILL_BYTES = 1 << 20


class SparseMemory:
    """Memory image of any size; bytes that were never written read as ``fill``.

    Addresses are byte addresses, ``int``, and wrap nowhere. The class has two faces: ``read``/``write`` see what the
    bus sees (after aliasing and substitution), ``peek``/``poke`` see the cells themselves.

    Args:
        fill: value of bytes that were never written, 0 .. 255.
    """

    def __init__(self, fill: int = 0) -> None:
        self._fill = fill
        self._pages: dict[int, bytearray] = {}
        self._alias: dict[int, int] = {}
        self._substitutes: dict[tuple[int, int], bytes] = {}
        self._reads: Counter[int] = Counter()

    def _page(self, number: int) -> bytearray:
        page = self._pages.get(number)
        if page is None:
            page = self._pages[number] = bytearray([self._fill]) * PAGE_BYTES
        return page

    # Cells ------------------------------------------------------------------------------------------------------------

    def peek(self, addr: int, nbytes: int) -> bytes:
        """Return ``nbytes`` cells from ``addr`` on, without aliasing or substitution."""
        out = bytearray()
        while nbytes > 0:
            number, offset = divmod(addr, PAGE_BYTES)
            take = min(nbytes, PAGE_BYTES - offset)
            page = self._pages.get(number)
            out += page[offset : offset + take] if page is not None else bytes([self._fill]) * take
            addr += take
            nbytes -= take
        return bytes(out)

    def poke(self, addr: int, data: bytes | bytearray | memoryview) -> None:
        """Set the cells from ``addr`` on, without aliasing."""
        view = memoryview(data).cast("B")
        position = 0
        while position < len(view):
            number, offset = divmod(addr + position, PAGE_BYTES)
            take = min(len(view) - position, PAGE_BYTES - offset)
            self._page(number)[offset : offset + take] = view[position : position + take]
            position += take

    # Bus --------------------------------------------------------------------------------------------------------------

    def read(self, addr: int, nbytes: int) -> bytes:
        """Return what a bus read of ``nbytes`` from ``addr`` on returns."""
        if not self._alias and not self._substitutes:
            return self.peek(addr, nbytes)
        out = bytearray()
        while nbytes > 0:
            line, offset = addr & -LINE_BYTES, addr % LINE_BYTES
            take = min(nbytes, LINE_BYTES - offset)
            data = self.peek(self._alias.get(line, line), LINE_BYTES)
            if self._substitutes:
                data = self._substitutes.get((line, self._reads[line]), data)
                # A line counts as read when its last byte is: beats narrower than a line come in ascending order.
                if offset + take == LINE_BYTES:
                    self._reads[line] += 1
            out += data[offset : offset + take]
            addr += take
            nbytes -= take
        return bytes(out)

    def write(self, addr: int, data: bytes | bytearray | memoryview) -> None:
        """Do what a bus write of ``data`` to ``addr`` does."""
        if not self._alias:
            self.poke(addr, data)
            return
        view = memoryview(data).cast("B")
        position = 0
        while position < len(view):
            line, offset = (addr + position) & -LINE_BYTES, (addr + position) % LINE_BYTES
            take = min(len(view) - position, LINE_BYTES - offset)
            self.poke(self._alias.get(line, line) + offset, view[position : position + take])
            position += take

    # Tampering --------------------------------------------------------------------------------------------------------

    def flip(self, addr: int, bit: int = 0) -> None:
        """Invert one bit (0 .. 7) of the byte at ``addr``."""
        self.poke(addr, bytes([self.peek(addr, 1)[0] ^ (1 << bit)]))

    def xor(self, addr: int, difference: bytes) -> None:
        """XOR a difference into the cells from ``addr`` on."""
        old = self.peek(addr, len(difference))
        self.poke(addr, bytes(a ^ b for a, b in zip(old, difference, strict=True)))

    def swap(self, addr_a: int, addr_b: int, nbytes: int = LINE_BYTES) -> None:
        """Exchange two areas of ``nbytes`` bytes that do not overlap."""
        if abs(addr_a - addr_b) < nbytes:
            raise ValueError(f"areas of {nbytes} bytes at {addr_a:#x} and {addr_b:#x} overlap")
        a, b = self.peek(addr_a, nbytes), self.peek(addr_b, nbytes)
        self.poke(addr_a, b)
        self.poke(addr_b, a)

    def alias(self, line_addr: int, cell_addr: int) -> None:
        """Let the line at ``line_addr`` be stored in the cells of the line at ``cell_addr`` from now on."""
        for addr in (line_addr, cell_addr):
            if addr % LINE_BYTES:
                raise ValueError(f"{addr:#x} is not the address of a line")
        self._alias[line_addr] = cell_addr

    def substitute(self, line_addr: int, nth: int, data: bytes) -> None:
        """Answer the ``nth`` read of a line from now on (0: the next one) with other data; the cells stay."""
        if line_addr % LINE_BYTES or len(data) != LINE_BYTES:
            raise ValueError(f"a substitute is one line of {LINE_BYTES} bytes at a line address")
        self._substitutes[line_addr, self._reads[line_addr] + nth] = bytes(data)

    def honest(self) -> None:
        """End aliasing and substitution; the cells stay as they are."""
        self._alias.clear()
        self._substitutes.clear()
        self._reads.clear()

    def difference(self, other: SparseMemory, addr: int, nbytes: int) -> int | None:
        """Return the address of the first page in an area in which two images differ, None if they are equal."""
        first, last = addr // PAGE_BYTES, (addr + nbytes - 1) // PAGE_BYTES
        numbers = {number for image in (self, other) for number in image._pages if first <= number <= last}
        for number in sorted(numbers):
            start = max(addr, number * PAGE_BYTES)
            size = min(addr + nbytes, (number + 1) * PAGE_BYTES) - start
            if self.peek(start, size) != other.peek(start, size):
                return start
        return None

    # Whole image ------------------------------------------------------------------------------------------------------

    def snapshot(self) -> dict[int, bytes]:
        """Return a copy of all cells, for ``restore``."""
        return {number: bytes(page) for number, page in self._pages.items()}

    def restore(self, image: dict[int, bytes]) -> None:
        """Put back all cells of a ``snapshot`` (rollback)."""
        self._pages = {number: bytearray(page) for number, page in image.items()}

    def randomise(self, addr: int, nbytes: int, rng: Random) -> None:
        """Fill an area with random bytes: what memory holds at power-up, or guard bytes around a target."""
        for start in range(0, nbytes, _FILL_BYTES):
            self.poke(addr + start, rng.randbytes(min(_FILL_BYTES, nbytes - start)))
