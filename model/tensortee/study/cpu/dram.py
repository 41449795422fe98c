# SPDX-License-Identifier: Apache-2.0
"""DRAM timing of the CPU: channels, banks with open rows, a write queue that drains in batches.

Reads go at once; writes collect in a queue per channel and drain together when it is full. Open rows and few turns of
the bus are the effects of a first-ready scheduler that matter here.

Banks are exact to the command: precharge, activate and column times follow one another as the standard demands. Bus and
activate window are servers without gaps: an access takes its share of them from the time at which it is known (`now`),
even if its command goes later. So their rates hold over time, and an access planned for later, such as the next node of
a tree walk, does not lock out those that could go before it. Refresh stretches the transfer time.

Addresses are line numbers. Pieces of 256 bytes alternate between the channels, and each group of pieces begins with a
hashed channel, so that neither one stream nor one stride falls on a single channel. Inside a channel a row is filled
before the next one, so that a stream finds its row open; the bank is a hash of the row, as controllers do, so that
buffers whose distance is a power of two do not meet in one bank.

All times are in ns.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tensortee.study.cpu.compiled import compiled, inlined
from tensortee.study.hardware import LINE_BYTES, Ddr

PIECE_BITS = 2
"""Consecutive lines in one channel: 2**2 lines are 256 bytes."""

_LONG_AGO = -1e9
_HASH = 0x9E3779B1

_PARAMETERS = np.dtype(
    [(name, np.int64) for name in ("channels", "bank_bits", "row_bits")]
    + [(name, np.float64) for name in ("transfer", "cas", "rcd", "rp", "ras", "faw", "activate")]
    + [(name, np.float64) for name in ("turnaround", "controller")]
    + [(name, np.int64) for name in ("read", "written", "activated")]
)
_BANK = np.dtype([("row", np.int64), ("ready", np.float64), ("activated", np.float64)])
_CHANNEL = np.dtype([("bus", np.float64), ("activate", np.float64), ("waiting", np.int64)])


class Dram(NamedTuple):
    """State and timing of the memory, in few arrays because every call passes them.

    Attributes:
        all: one record. Of all channels: `channels`, `bank_bits` and `row_bits` (logarithms of the banks of a channel
            and the lines of a row); times in ns: `transfer` (a line on the bus, refresh included), `cas`, `rcd`, `rp`,
            `ras`, `faw`, `activate` (its share of that window, over all ranks), `turnaround`, `controller`; events so
            far: lines `read` and `written`, rows `activated`.
        banks: [channels * ranks * banks] records: open `row` or -1, `ready` for the next command and `activated`, ns.
        channels: [channels] records: ends of the `bus` and `activate` time given away, ns; `waiting` writes.
        queue: rows of the waiting writes, int64 [channels, write_queue_lines].
    """

    all: npt.NDArray[Any]
    banks: npt.NDArray[Any]
    channels: npt.NDArray[Any]
    queue: npt.NDArray[np.int64]


def create(ddr: Ddr) -> Dram:
    """An idle memory with closed rows.

    Raises:
        ValueError: banks, or lines of a row, are not a power of two.
    """
    row_lines = ddr.row_bytes // LINE_BYTES
    channel_banks = ddr.ranks * ddr.banks
    for number, name in ((channel_banks, "banks"), (row_lines, "lines of a row")):
        if number & (number - 1):
            raise ValueError(f"{number} {name}: DRAM has a power of two of them")
    parameters = np.zeros(1, _PARAMETERS)
    parameters[0] = (
        ddr.channels,
        channel_banks.bit_length() - 1,
        row_lines.bit_length() - 1,
        LINE_BYTES / ddr.bytes_per_second_per_channel * 1e9 / (1 - ddr.refresh_share),
        ddr.t_cas_ns,
        ddr.t_rcd_ns,
        ddr.t_rp_ns,
        ddr.t_ras_ns,
        ddr.t_faw_ns,
        ddr.t_faw_ns / (4 * ddr.ranks),
        ddr.t_turnaround_ns,
        ddr.controller_ns,
        *(0, 0, 0),
    )
    banks = np.full(ddr.channels * channel_banks, -1, _BANK)
    banks["ready"] = banks["activated"] = _LONG_AGO
    channels = np.zeros(ddr.channels, _CHANNEL)
    channels["bus"] = channels["activate"] = _LONG_AGO
    return Dram(parameters, banks, channels, np.zeros((ddr.channels, ddr.write_queue_lines), np.int64))


@inlined
def locate(dram: Dram, line: int) -> tuple[int, int]:
    """Channel of a line, and its row within the channel, counted over all banks."""
    channels = np.uint32(dram.all[0].channels)
    piece = np.uint32(line >> PIECE_BITS)
    group = np.int64(piece // channels)
    channel = np.int64(piece) - group * channels + ((((group * _HASH) >> 16) & 0xFF) * channels >> 8)
    if channel >= channels:
        channel -= channels
    return channel, (group << PIECE_BITS) >> dram.all[0].row_bits


@inlined
def _transfer(dram: Dram, channel: int, row: int, time: float, now: float) -> float:
    """Move one line over the bus of a channel, not before `time`; returns when it has moved."""
    t = dram.all[0]
    c = dram.channels[channel]
    bank = dram.banks[(channel << t.bank_bits) + ((row * _HASH & 0xFFFFFFFF) >> (32 - t.bank_bits))]
    command = max(time, bank.ready)
    if bank.row != row:
        if bank.row >= 0:
            command = max(command, bank.activated + t.ras) + t.rp
        c.activate = max(c.activate, now) + t.activate
        command = max(command, c.activate - t.faw)
        bank.activated = command
        bank.row = row
        t.activated += 1
        command += t.rcd
    bank.ready = command + t.transfer
    c.bus = max(c.bus, now) + t.transfer
    return max(command + t.cas + t.transfer, c.bus)


@inlined
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
    dram.all[0].read += 1
    channel, row = locate(dram, line)
    return _transfer(dram, channel, row, time, now) + dram.all[0].controller


@inlined
def write(dram: Dram, line: int, now: float) -> None:
    """Queue a line that is written; a full queue drains."""
    dram.all[0].written += 1
    channel, row = locate(dram, line)
    waiting = dram.channels[channel].waiting
    dram.queue[channel, waiting] = row
    dram.channels[channel].waiting = waiting + 1
    if waiting + 1 == dram.queue.shape[1]:
        drain(dram, channel, now)


@compiled
def drain(dram: Dram, channel: int, now: float) -> None:
    """Write the whole queue of a channel, then turn the bus for reads."""
    waiting = dram.channels[channel].waiting
    for i in range(waiting):
        _transfer(dram, channel, dram.queue[channel, i], now, now)
    if waiting > 0:
        dram.channels[channel].bus += dram.all[0].turnaround
    dram.channels[channel].waiting = 0


@compiled
def _replay(
    dram: Dram,
    lines: npt.NDArray[np.int64],
    writes: npt.NDArray[np.bool_],
    window: npt.NDArray[np.float64],
    arrival: npt.NDArray[np.float64],
) -> None:
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
            place = (place + 1) % len(window)


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
    _replay(dram, lines, writes, np.zeros(outstanding), arrival)
    return arrival
