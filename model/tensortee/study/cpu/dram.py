# SPDX-License-Identifier: Apache-2.0
"""DRAM timing of the CPU: channels, banks with open rows, a write queue that drains in batches.

Reads go at once; writes collect in a queue per channel and drain together when it is full, those of one row one after
the other. Those are the effects of a first-ready scheduler that matter here: open rows and few turns of the bus.

Banks are exact to the command: precharge, activate and column times follow one another as the standard demands. Bus and
activate window are servers without gaps: an access takes its share of them from the time at which it is known (`now`),
even if its command goes later. So their rates hold over time, and an access planned for later, such as the next node of
a tree walk, does not lock out those that could go before it. Refresh stretches the transfer time.

Addresses are line numbers. Pieces of 256 bytes alternate between the channels, and each group of pieces begins with a
hashed channel, so that neither one stream nor one stride falls on a single channel. Inside a channel a row is filled
before the next bank, so that a stream finds its row open; the bank is hashed with upper bits of the row, as controllers
do, so that buffers of a power-of-two size do not meet in one bank.

All times are in ns.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from tensortee.study.hardware import LINE_BYTES, Ddr

PIECE_BITS = 2
"""Consecutive lines in one channel: 2**2 lines are 256 bytes."""

READ, WRITE, ACTIVATE = 0, 1, 2
"""Places in `Dram.counts`: lines read, lines written, rows opened."""

_LONG_AGO = -1e9
_HASH = 0x9E3779B1


class Dram(NamedTuple):
    """State and timing of the memory.

    Attributes:
        channels: channels.
        banks: banks of a channel.
        row_lines: lines of a row.
        transfer: time of a line on the data bus, refresh included, ns.
        cas: read command to data, ns.
        rcd: activate to command, ns.
        rp: precharge, ns.
        ras: activate to precharge, ns.
        faw: window of four activates, ns.
        turnaround: bus turn after a batch of writes, ns.
        controller: latency outside of the device, ns.
        open_row: row that a bank holds, -1 for none, int64 [channels * banks].
        bank_ready: earliest next command of a bank, ns, float64 [channels * banks].
        activated: time of a bank's last activate, ns, float64 [channels * banks].
        bus_ready: end of the bus time that a channel has given away, ns, float64 [channels].
        activate_ready: end of the activate time that a channel has given away, ns, float64 [channels].
        queue: rows of the waiting writes, int64 [channels, write_queue_lines].
        waiting: waiting writes, int64 [channels].
        counts: events, see READ, WRITE and ACTIVATE, int64 [3].
    """

    channels: int
    banks: int
    row_lines: int
    transfer: float
    cas: float
    rcd: float
    rp: float
    ras: float
    faw: float
    turnaround: float
    controller: float
    open_row: npt.NDArray[np.int64]
    bank_ready: npt.NDArray[np.float64]
    activated: npt.NDArray[np.float64]
    bus_ready: npt.NDArray[np.float64]
    activate_ready: npt.NDArray[np.float64]
    queue: npt.NDArray[np.int64]
    waiting: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]


def create(ddr: Ddr) -> Dram:
    """An idle memory with closed rows."""
    banks = ddr.channels * ddr.banks
    return Dram(
        channels=ddr.channels,
        banks=ddr.banks,
        row_lines=ddr.row_bytes // LINE_BYTES,
        transfer=LINE_BYTES / ddr.bytes_per_second_per_channel * 1e9 / (1 - ddr.refresh_share),
        cas=ddr.t_cas_ns,
        rcd=ddr.t_rcd_ns,
        rp=ddr.t_rp_ns,
        ras=ddr.t_ras_ns,
        faw=ddr.t_faw_ns,
        turnaround=ddr.t_turnaround_ns,
        controller=ddr.controller_ns,
        open_row=np.full(banks, -1, np.int64),
        bank_ready=np.full(banks, _LONG_AGO),
        activated=np.full(banks, _LONG_AGO),
        bus_ready=np.full(ddr.channels, _LONG_AGO),
        activate_ready=np.full(ddr.channels, _LONG_AGO),
        queue=np.zeros((ddr.channels, ddr.write_queue_lines), np.int64),
        waiting=np.zeros(ddr.channels, np.int64),
        counts=np.zeros(3, np.int64),
    )


@njit(cache=True, forceinline=True)
def channel_of(dram: Dram, line: int) -> int:
    """Channel that holds a line."""
    piece = line >> PIECE_BITS
    return (piece + ((piece // dram.channels) * _HASH >> 16 & 0xFF)) % dram.channels


@njit(cache=True, forceinline=True)
def _row_of(dram: Dram, line: int) -> int:
    """Row of a line within its channel, counted over all banks."""
    return (((line >> PIECE_BITS) // dram.channels) << PIECE_BITS) // dram.row_lines


@njit(cache=True, forceinline=True)
def _transfer(dram: Dram, channel: int, row: int, time: float, now: float) -> float:
    """Move one line over the bus of a channel, not before `time`; returns when it has moved."""
    bank = channel * dram.banks + (row ^ (row // dram.banks)) % dram.banks
    command = max(time, dram.bank_ready[bank])
    if dram.open_row[bank] != row:
        if dram.open_row[bank] >= 0:
            command = max(command, dram.activated[bank] + dram.ras) + dram.rp
        dram.activate_ready[channel] = max(dram.activate_ready[channel], now) + 0.25 * dram.faw
        command = max(command, dram.activate_ready[channel] - dram.faw)
        dram.activated[bank] = command
        dram.open_row[bank] = row
        dram.counts[ACTIVATE] += 1
        command += dram.rcd
    dram.bank_ready[bank] = command + dram.transfer
    dram.bus_ready[channel] = max(dram.bus_ready[channel], now) + dram.transfer
    return max(command + dram.cas + dram.transfer, dram.bus_ready[channel])


@njit(cache=True, forceinline=True)
def read(dram: Dram, line: int, time: float, now: float) -> float:
    """Read a line.

    Args:
        dram: memory, changed.
        line: line number.
        time: when the read is asked for, ns.
        now: time of the simulation, at most `time`; does not fall from call to call, ns.

    Returns:
        When the line arrives, ns.
    """
    dram.counts[READ] += 1
    return _transfer(dram, channel_of(dram, line), _row_of(dram, line), time, now) + dram.controller


@njit(cache=True, forceinline=True)
def write(dram: Dram, line: int, now: float) -> None:
    """Queue a line that is written; a full queue drains."""
    dram.counts[WRITE] += 1
    channel = channel_of(dram, line)
    waiting = dram.waiting[channel]
    dram.queue[channel, waiting] = _row_of(dram, line)
    dram.waiting[channel] = waiting + 1
    if waiting + 1 == dram.queue.shape[1]:
        drain(dram, channel, now)


@njit(cache=True, forceinline=True)
def drain(dram: Dram, channel: int, now: float) -> None:
    """Write the whole queue of a channel, row by row, then turn the bus for reads."""
    queue = dram.queue
    waiting = dram.waiting[channel]
    for first in range(waiting):
        row = queue[channel, first]
        if row < 0:
            continue
        for other in range(first, waiting):
            if queue[channel, other] == row:
                _transfer(dram, channel, row, now, now)
                queue[channel, other] = -1
    if waiting > 0:
        dram.bus_ready[channel] += dram.turnaround
    dram.waiting[channel] = 0


@njit(cache=True, forceinline=True)
def replay(
    dram: Dram, lines: npt.NDArray[np.int64], writes: npt.NDArray[np.bool_], outstanding: int
) -> npt.NDArray[np.float64]:
    """Run a list of accesses with `outstanding` reads under way.

    Args:
        dram: memory, changed.
        lines: line of each access, int64 [n].
        writes: whether it is a write, bool [n].
        outstanding: reads that may be under way, at least 1.

    Returns:
        When each read arrives and each write is issued, ns, float64 [n].
    """
    arrival = np.zeros(len(lines))
    window = np.zeros(outstanding)
    place = 0
    now = 0.0
    for i in range(len(lines)):
        if writes[i]:
            write(dram, lines[i], now)
            arrival[i] = now
        else:
            now = max(now, window[place])
            arrival[i] = read(dram, lines[i], now, now)
            window[place] = arrival[i]
            place = (place + 1) % outstanding
    return arrival
