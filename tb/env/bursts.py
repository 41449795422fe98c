# SPDX-License-Identifier: Apache-2.0
"""AXI4 bursts as the bench handles them, and the address arithmetic of AXI4 section A3.4.1."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from cocotb.triggers import Event

FIXED, INCR, WRAP, RESERVED = 0, 1, 2, 3
OKAY, EXOKAY, SLVERR, DECERR = 0, 1, 2, 3
BOUNDARY = 4096


@dataclass(eq=False)
class Burst:
    """One read or write burst, requested or observed.

    Attributes:
        write: direction.
        ident: AxID.
        addr: AxADDR, byte address.
        beats: AxLEN + 1.
        size: AxSIZE, log2 of the bytes of a beat.
        kind: AxBURST.
        data: one number for each beat, bus width, byte at the lowest address in bits [7:0].
        strobes: WSTRB of each beat; empty for reads.
        responses: RRESP of each beat, or the one BRESP.
        note: scratch place of whoever handles the burst (prediction, start cycle).
    """

    write: bool
    ident: int
    addr: int
    beats: int
    size: int
    kind: int = INCR
    data: list[int] = field(default_factory=list)
    strobes: list[int] = field(default_factory=list)
    responses: list[int] = field(default_factory=list)
    done: Event = field(default_factory=Event, repr=False)
    note: dict[str, Any] = field(default_factory=dict, repr=False)

    def beat_address(self, number: int) -> int:
        """Byte address of a beat; not aligned for the first beat of an unaligned burst."""
        return beat_address(self.addr, self.beats, self.size, self.kind, number)

    def lanes(self, number: int, bus_bytes: int) -> tuple[int, int, int]:
        """Return (address, first byte lane, number of lanes) that a beat uses on a bus of ``bus_bytes``."""
        addr = self.beat_address(number)
        nbytes = 1 << self.size
        stop = (addr & -nbytes) + nbytes
        return addr, addr % bus_bytes, stop - addr

    def payload(self, bus_bytes: int) -> list[tuple[int, bytes]]:
        """Return (address, bytes) of each beat, only the lanes that the beat uses."""
        out = []
        for number, word in enumerate(self.data):
            addr, lane, count = self.lanes(number, bus_bytes)
            used = (word >> (8 * lane)) & ((1 << (8 * count)) - 1)
            out.append((addr, used.to_bytes(count, "little")))
        return out


def beat_address(addr: int, beats: int, size: int, kind: int, number: int) -> int:
    """Byte address of beat ``number`` of a burst, AXI4 section A3.4.1."""
    nbytes = 1 << size
    if kind == FIXED or number == 0:
        return addr
    here = (addr & -nbytes) + number * nbytes
    if kind == WRAP:
        total = nbytes * beats
        lower = addr & -total
        return lower + (here - lower) % total
    return here


def attributes(ident: int) -> tuple[int, int, int, int]:
    """AxLOCK, AxCACHE, AxPROT, AxQOS that the bench gives to bursts of an ID: all different, so that a mix-up shows."""
    return ident & 1, ident & 0xF, (ident + 3) & 0x7, ~ident & 0xF


def crosses_boundary(addr: int, beats: int, size: int) -> bool:
    """Say whether an INCR burst touches two 4 KiB pages."""
    last = (addr & -(1 << size)) + (beats << size) - 1
    return addr // BOUNDARY != last // BOUNDARY
