# SPDX-License-Identifier: Apache-2.0
"""DRAM timing and last-level cache against closed forms and a brute-force model."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest
from tensortee.study.cpu import dram as memory
from tensortee.study.cpu import llc
from tensortee.study.hardware import LINE_BYTES, Ddr

DDR = Ddr()
TRANSFER = LINE_BYTES / DDR.bytes_per_second_per_channel * 1e9 / (1 - DDR.refresh_share)


def reads(ddr: Ddr, lines: np.ndarray, outstanding: int) -> float:
    return float(memory.replay(memory.create(ddr), lines, np.zeros(len(lines), bool), outstanding).max())


@pytest.mark.parametrize("channels", [1, 2, 3, 8])
def test_a_stream_reaches_the_peak_less_refresh(channels: int) -> None:
    lines = np.arange(60_000)
    seconds = reads(Ddr(channels=channels), lines, 512) * 1e-9
    peak = channels * DDR.bytes_per_second_per_channel * (1 - DDR.refresh_share)
    rate = len(lines) * LINE_BYTES / seconds
    assert 0.96 * peak < rate <= peak


def test_rows_of_one_bank_take_a_row_cycle_each() -> None:
    ddr = Ddr(channels=1, ranks=1, banks=1)
    lines = np.arange(2000) * (ddr.row_bytes // LINE_BYTES)
    assert reads(ddr, lines, 64) == pytest.approx(len(lines) * (ddr.t_ras_ns + ddr.t_rp_ns), rel=0.01)


@pytest.mark.parametrize("ranks", [1, 2])
def test_rows_in_many_banks_are_limited_by_the_activate_window(ranks: int) -> None:
    ddr = Ddr(channels=1, ranks=ranks, banks=128, t_faw_ns=40.0)
    lines = np.arange(4000) * (ddr.row_bytes // LINE_BYTES)
    limit = max(ddr.t_faw_ns / 4 / ranks, TRANSFER)
    assert reads(ddr, lines, 256) == pytest.approx(len(lines) * limit, rel=0.03)


def test_latency_of_an_idle_memory() -> None:
    ddr = Ddr(channels=1, ranks=1, banks=1)
    dram = memory.create(ddr)
    row = ddr.row_bytes // LINE_BYTES
    hit = ddr.t_cas_ns + TRANSFER + ddr.controller_ns
    latencies = [memory.read(dram, line, now, now) - now for line, now in ((0, 1e4), (1, 2e4), (row, 3e4))]
    assert latencies == pytest.approx([hit + ddr.t_rcd_ns, hit, hit + ddr.t_rp_ns + ddr.t_rcd_ns])


def test_writes_wait_until_the_queue_is_full() -> None:
    ddr = Ddr(channels=1, write_queue_lines=8)
    dram = memory.create(ddr)
    memory.read(dram, 0, 0.0, 0.0)
    for line in range(7):
        memory.write(dram, line, 1e3)
    row_hit = ddr.t_cas_ns + TRANSFER + ddr.controller_ns
    assert memory.read(dram, 8, 2e3, 2e3) - 2e3 == pytest.approx(row_hit)
    memory.write(dram, 7, 3e3)
    drained = 8 * TRANSFER + ddr.t_turnaround_ns + TRANSFER + ddr.controller_ns
    assert memory.read(dram, 9, 3e3, 3e3) - 3e3 >= drained
    assert dram.all["written"][0] == 8


def test_a_later_access_does_not_lock_out_an_earlier_one() -> None:
    dram = memory.create(Ddr(channels=1))
    far = 128 * 5
    memory.read(dram, far, 5e3, 0.0)
    assert memory.read(dram, 0, 0.0, 0.0) < 1e3


def test_channels_share_any_stride() -> None:
    dram = memory.create(Ddr(channels=4))
    for stride in (1, 4, 8, 16, 64, 1024):
        places = np.bincount([memory.locate(dram, int(line))[0] for line in np.arange(4096) * stride], minlength=4)
        assert places.min() > 0.7 * places.mean()


def test_every_line_has_a_place_of_its_own() -> None:
    dram = memory.create(Ddr(channels=3))
    lines = 3 * 4 * 4096
    rows = [memory.locate(dram, line) for line in range(lines)]
    counts = np.unique(np.array(rows), axis=0, return_counts=True)[1]
    assert counts.max() == DDR.row_bytes // LINE_BYTES


def test_sizes_that_are_no_power_of_two_are_refused() -> None:
    with pytest.raises(ValueError, match="12 banks"):
        memory.create(Ddr(ranks=1, banks=12))
    with pytest.raises(ValueError, match="lines of a row"):
        memory.create(Ddr(row_bytes=64 * 100))


def test_cache_agrees_with_brute_force() -> None:
    cache = llc.create(60, 4)
    sets: list[OrderedDict[int, int]] = [OrderedDict() for _ in range(cache.sets)]
    generator = np.random.default_rng(1)
    fills = evicted = 0
    for line, dirty in zip(generator.integers(0, 150, 5000), generator.integers(0, 2, 5000), strict=True):
        ways = sets[line % cache.sets]
        expected = llc.CLEAN
        if line in ways:
            expected = llc.HIT
            dirty |= ways.pop(line)
        else:
            fills += 1
            if len(ways) == 4:
                victim, was_dirty = ways.popitem(last=False)
                evicted += 1
                expected = victim if was_dirty else llc.CLEAN
        ways[line] = dirty
        assert llc.access(cache, int(line), int(dirty)) == expected
    assert fills == evicted + sum(len(ways) for ways in sets)
    assert llc.dirty_lines(cache) == sum(sum(ways.values()) for ways in sets)
