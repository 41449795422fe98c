# SPDX-License-Identifier: Apache-2.0
"""No keystream block is ever used twice under a key (requirement N1), checked on what went over the memory bus."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable

from tb.dram import WriteBeat
from tb.env.bench_error import BenchError

BLOCK_BYTES = 16


class PadCheck:
    """Matches the write beats on the memory bus with the plaintext of the NPU and collects ciphertext XOR plaintext.

    Blind spot: a pad whose block carries no byte of a tensor (behind its end) is never on the bus and not seen.
    """

    def __init__(self, bus_bytes: int) -> None:
        self._bus_bytes = bus_bytes
        self._pads: set[bytes] = set()
        self._beats: defaultdict[int, deque[WriteBeat]] = defaultdict(deque)
        self._taken = 0
        self.checked = 0
        """Keystream blocks that were checked."""

    def observe(self, log: list[WriteBeat]) -> None:
        """Take the new entries of the memory's write log."""
        for beat in log[self._taken :]:
            self._beats[beat.addr].append(beat)
        self._taken = len(log)

    def new_key(self) -> None:
        """Forget the pads: another key makes other pads."""
        self._pads.clear()

    def forget_traffic(self) -> None:
        """Drop beats that have no finished write: the engine was reset."""
        self._beats.clear()

    def match(self, addr: int, plaintext: bytes) -> WriteBeat:
        """Match one beat of a finished write with the oldest beat on the memory bus at ``addr``.

        ``plaintext`` may be shorter than the beat (end of the tensor); the rest must have been written as zero.
        """
        queue = self._beats.get(addr)
        if not queue:
            raise BenchError(f"a finished write to {addr:#x} never appeared on the memory bus")
        beat = queue.popleft()
        if not queue:
            del self._beats[addr]
        stored = beat.data.to_bytes(self._bus_bytes, "little")
        if beat.strobe == 0:
            if beat.data:
                raise BenchError(f"a beat to {addr:#x} with all strobes low carries data")
            return beat
        if any(stored[len(plaintext) :]):
            raise BenchError(f"bytes behind the end of the tensor at {addr + len(plaintext):#x} are not stored as zero")
        for offset in range(0, len(plaintext), BLOCK_BYTES):
            block = plaintext[offset : offset + BLOCK_BYTES]
            pad = bytes(a ^ b for a, b in zip(stored[offset:], block, strict=False))
            # A short last block says little about its pad: equal prefixes of different pads are likely.
            if len(pad) < BLOCK_BYTES:
                continue
            if pad in self._pads:
                raise BenchError(f"the keystream block of the write to {addr + offset:#x} was used before")
            self._pads.add(pad)
            self.checked += 1
        return beat

    def holds(self, addresses: Iterable[int]) -> bool:
        """Whether a beat was seen at every one of the addresses."""
        return all(addr in self._beats for addr in addresses)

    def drop(self, addr: int) -> None:
        """Forget the oldest beat at ``addr``, if there is one: it belongs to a write that was interrupted."""
        queue = self._beats.get(addr)
        if queue:
            queue.popleft()
            if not queue:
                del self._beats[addr]

    def left_over(self) -> Iterable[int]:
        """Addresses on the memory bus that no finished write explains."""
        return sorted(self._beats)
