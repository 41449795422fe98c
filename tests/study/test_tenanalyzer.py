# SPDX-License-Identifier: Apache-2.0
"""TenAnalyzer: the same answers as the plain model, never a wrong version number (VN), each mechanism by itself."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensortee.study.cpu import kernels, llc, meta_table, tenanalyzer, unit_trace
from tensortee.study.cpu.meta_table import TenAnalyzer
from tensortee.study.cpu.tenanalyzer import HIT_BOUNDARY, HIT_IN, MISS
from tensortee.study.hardware import Cpu
from tensortee.study.hardware.conservation import ConservationError

from tests.study.tenanalyzer_reference import Entry, Reference

LINES = 260
FIRST = 1000
"""Lines that random traces touch, from FIRST on; the unit traces all but the last ten."""

Program = list[tuple[Any, ...]]


def unit(lines: int = 4096, **options: Any) -> TenAnalyzer:
    """A unit of the paper's size over lines 0 to `lines` - 1."""
    return tenanalyzer.create(512, 10, 4, 8, 0, lines - 1, **options)


def read_all(state: TenAnalyzer, lines: Any, versions: Any) -> list[int]:
    """Codes of reads of some lines."""
    return [tenanalyzer.read(state, int(line), int(versions[line]))[0] for line in lines]


def write_all(state: TenAnalyzer, lines: Any, versions: Any) -> list[bool]:
    """Results of write-backs of some lines."""
    results = []
    for line in lines:
        versions[line] += 1
        results.append(bool(tenanalyzer.write(state, int(line), int(versions[line]))))
    return results


def boxes(state: TenAnalyzer) -> set[tuple[Any, ...]]:
    """Start, VN, flag UF and dimensions of each entry."""
    table = state.table
    result = set()
    for entry in np.flatnonzero(table[meta_table.USED] != meta_table.FREE):
        sizes = table[meta_table.SIZE : meta_table.SIZE + 3, entry]
        pitches = table[meta_table.PITCH : meta_table.PITCH + 3, entry]
        shape = tuple((int(p), int(s)) for p, s in zip(pitches, sizes, strict=True) if s > 1)
        start, vn, updating = (int(table[row, entry]) for row in (meta_table.START, meta_table.VN, meta_table.UPDATING))
        result.add((start, vn, bool(updating), shape))
    return result


# The same answers as the plain model.


def program(seed: int, accesses: int) -> Program:
    """Random accesses as several threads, the caches, the NPU and the system make them.

    Streams walk over runs of lines, some with a stride or over the rows of a tile, each several times. Write-backs come
    from a pool of lines that were read, mostly oldest first. In between: noise, transfers, switches of the enclave.
    """
    rng = random.Random(seed)
    # Few tensors, so that the same lines come again: runs side by side, strided runs, tiles of a tensor.
    shapes = []
    at = FIRST + rng.randrange(20)
    kinds = rng.choice([["run"], ["tile"], ["run", "run", "strided", "tile"]])
    width, rows = rng.choice([4, 8]), rng.randint(2, 4)
    side_by_side = rng.randint(1, 4)
    for _ in range(rng.randint(2, 6)):
        kind, length = rng.choice(kinds), rng.randint(3, 24)
        if kind == "run":
            shape = [at + k for k in range(length)]
            at += length
        elif kind == "strided":
            stride = rng.choice([2, 5, 16])
            shape = [FIRST + rng.randrange(50) + stride * k for k in range(length)]
        else:
            corner = FIRST + 4 * rng.randrange(3) + 64 * rng.randrange(4)
            shape = [corner + 16 * row + k for row in range(rows) for k in range(width)]
        shapes.append([line for line in shape if line < FIRST + LINES])
    calm = rng.random() < 0.5
    streams: list[list[int]] = []
    dirty: list[int] = []
    result: Program = []
    writing = rng.random()
    switches = rng.random() < 0.3
    while len(result) < accesses:
        if len(streams) < side_by_side:
            streams.append(list(rng.choice(shapes[: rng.randint(1, len(shapes))])))
        event = rng.uniform(0.06, 1) if calm else rng.random()
        if event < 0.01:
            start = FIRST + rng.randrange(LINES - 90)
            result.append(("hint", start, rng.randint(1, 20), rng.choice([1, 1, 2, 4])))
        elif event < 0.02 and switches:
            result.append(("switch", rng.sample(dirty, min(len(dirty), rng.randint(0, 2)))))
        elif event < 0.023 and switches:
            result.append(("off",))
        elif event < 0.05:
            result.append(("read", FIRST - 3 + rng.randrange(LINES)))
        elif event < 0.06:
            result.append(("write", FIRST + rng.randrange(LINES)))
        elif event < 0.4 and dirty:
            result.append(("write", dirty.pop(0 if rng.random() < 0.9 else rng.randrange(len(dirty)))))
        else:
            stream = rng.choice(streams)
            line = stream.pop(0)
            result.append(("read", line))
            if rng.random() < writing and line not in dirty:
                dirty.append(line)
            if not stream:
                streams.remove(stream)
    return result


def follow(steps: Program, reference: Reference, state: TenAnalyzer | None) -> None:
    """Run a program on the plain model and the unit; every served VN must be the one off chip.

    VNs off chip only grow, whatever happens: what is served is compared with them.
    """
    versions = dict.fromkeys(range(FIRST - 3, FIRST + LINES), 0)
    for step in steps:
        if step[0] == "read":
            line = step[1]
            code, vn = reference.read(line, versions[line])
            assert code == MISS or vn == versions[line], f"wrong VN of line {line}"
            if state:
                assert tenanalyzer.read(state, line, versions[line]) == (code, vn), f"read of line {line}"
        elif step[0] == "write":
            line = step[1]
            versions[line] += 1
            covered = reference.write(line)
            if state:
                assert tenanalyzer.write(state, line, versions[line]) == covered, f"write of line {line}"
        elif step[0] == "hint":
            _, start, lines, stride = step
            vn = max(versions[start + stride * k] for k in range(lines)) + 1
            versions |= {start + stride * k: vn for k in range(lines)}
            reference.hint(start, lines, stride, vn)
            if state:
                tenanalyzer.hint(state, start, lines, stride, vn)
        elif step[0] == "switch":
            for line in step[1]:
                versions[line] += 1
                reference.invalidate(line)
            if state:
                saved = tenanalyzer.save(state)
                tenanalyzer.clear(state)
                for other in range(FIRST, FIRST + 20):
                    tenanalyzer.read(state, other, 7)
                tenanalyzer.restore(state, saved, np.array(step[1], np.int64))
        else:
            reference.clear()
            if state:
                tenanalyzer.enable(state, False)
                assert tenanalyzer.read(state, FIRST, versions[FIRST]) == (MISS, 0)
                tenanalyzer.enable(state, True)
        if state:
            expected = {(e.start, e.vn, e.updating, e.dimensions) for e in reference.live()}
            assert boxes(state) == expected, f"entries after {step}"
    if state:
        assert tenanalyzer.counters(state).violations == 0


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    entries=st.sampled_from([1, 3, 8, 64]),
    filter_entries=st.integers(1, 6),
    addresses=st.integers(2, 4),
    candidates=st.integers(0, 4),
    patience=st.sampled_from([0, 8, 64]),
    strict=st.booleans(),
    contact=st.booleans(),
)
def test_any_trace_has_the_answers_of_the_plain_model(
    seed: int,
    entries: int,
    filter_entries: int,
    addresses: int,
    candidates: int,
    patience: int,
    strict: bool,
    contact: bool,
) -> None:
    size = (entries, filter_entries, addresses, candidates, FIRST, FIRST + LINES - 11)
    options: dict[str, Any] = {"filter_patience": patience, "strict_edges": strict, "merge_on_contact": contact}
    follow(program(seed, 250), Reference(*size, **options), tenanalyzer.create(*size, **options))


def test_a_stale_line_of_the_filter_is_dropped() -> None:
    """A line in the filter joins an entry, is written, and the entry dies: the filter must not bring it back."""
    steps: Program = [("read", FIRST + k) for k in (13, 14, 16, 15, 16, 17, 18, 19)]
    steps += [("write", FIRST + k) for k in (16, 19, 19)] + [("read", FIRST + 17), ("read", FIRST + 16)]
    size = (64, 5, 2, 0, FIRST, FIRST + 100)
    follow(steps, Reference(*size, merge_on_contact=False), tenanalyzer.create(*size, merge_on_contact=False))


# Broken rules: each of them must serve a wrong VN somewhere, or the checks above check nothing.


class NoBitCheck(Reference):
    """A line may be written twice in an update."""

    def write_allowed(self, entry: Entry, line: int) -> bool:  # noqa: ARG002
        """No assertion."""
        return True


class NoVnCheckAtTheBoundary(Reference):
    """The speculation at a boundary always counts as right."""

    def may_grow(self, entry: Entry, offchip_vn: int) -> bool:  # noqa: ARG002
        """No comparison with the VN off chip."""
        return True


class NoCheckAtTheLastEdge(Reference):
    """An update ends with the last line, whatever the others are."""

    def all_written(self, entry: Entry) -> bool:
        """Only the bit of the last line."""
        return entry.bits[max(entry.bits)] != entry.bs


class OneVnDuringUpdates(Reference):
    """An entry that is being updated serves its VN for every line."""

    def vn_of(self, entry: Entry, line: int) -> int:  # noqa: ARG002
        """No look at the bit."""
        return entry.vn


class FilterKeepsWrittenLines(Reference):
    """Writes do not touch the filter."""

    def forget(self, line: int) -> None:
        """Nothing."""


class MergesOfAnyVn(Reference):
    """Entries merge whatever their VNs are."""

    def may_merge(self, first: Entry, second: Entry) -> bool:  # noqa: ARG002
        """No comparison."""
        return True


class TransfersOverlap(Reference):
    """A transfer leaves the entries below it alone."""

    def drop_overlaps(self, lines: list[int]) -> None:
        """Nothing."""


class SwitchMissesWrites(Reference):
    """Write-backs while the enclave is away are not told on its return."""

    def invalidate(self, line: int) -> None:
        """Nothing."""


@pytest.mark.parametrize(
    "broken",
    [
        NoBitCheck,
        NoVnCheckAtTheBoundary,
        NoCheckAtTheLastEdge,
        OneVnDuringUpdates,
        FilterKeepsWrittenLines,
        MergesOfAnyVn,
        TransfersOverlap,
        SwitchMissesWrites,
    ],
)
def test_a_broken_rule_is_seen(broken: type[Reference]) -> None:
    def run(unit_type: type[Reference], seed: int) -> None:
        follow(program(seed, 300), unit_type(64, 6, 3, 3, FIRST, FIRST + LINES - 11), None)

    seen = 0
    for seed in range(150):
        run(Reference, seed)
        try:
            run(broken, seed)
        except AssertionError:
            seen += 1
            break
    assert seen


# Single mechanisms.


def test_a_run_is_found_grows_and_hits() -> None:
    state, versions = unit(), np.zeros(4096, np.int64)
    assert read_all(state, range(100, 200), versions) == [MISS] * 4 + [HIT_BOUNDARY] * 96
    assert read_all(state, range(100, 200), versions) == [HIT_IN] * 100
    assert read_all(state, [99, 201], versions) == [MISS, MISS]
    assert boxes(state) == {(100, 0, False, ((1, 100),))}


def test_lines_outside_the_traced_addresses_miss() -> None:
    state = tenanalyzer.create(8, 4, 2, 2, 50, 59)
    for line in (49, 60, 10**9):
        assert [tenanalyzer.read(state, line, 0)[0] for _ in range(3)] == [MISS] * 3
        assert not tenanalyzer.write(state, line, 1)
    read_all(state, range(50, 60), np.zeros(60, np.int64))
    assert boxes(state) == {(50, 0, False, ((1, 10),))}


def test_a_wrong_speculation_is_a_miss_and_leaves_the_entry() -> None:
    state, versions = unit(), np.zeros(4096, np.int64)
    versions[20:] = 3
    assert read_all(state, range(10, 30), versions) == [MISS] * 4 + [HIT_BOUNDARY] * 6 + [MISS] * 4 + [HIT_BOUNDARY] * 6
    assert boxes(state) == {(10, 0, False, ((1, 10),)), (20, 3, False, ((1, 10),))}
    assert tenanalyzer.counters(state).mispredictions == 1


@pytest.mark.parametrize("strict", [False, True])
def test_an_update_serves_two_versions_until_it_ends(strict: bool) -> None:
    state, versions = unit(strict_edges=strict), np.zeros(4096, np.int64)
    read_all(state, range(10), versions)
    for line in range(10):
        assert write_all(state, [line], versions) == [True]
        served = [tenanalyzer.read(state, other, int(versions[other])) for other in range(10)]
        assert served == [(HIT_IN, int(versions[other])) for other in range(10)]
    assert boxes(state) == {(0, 1, False, ((1, 10),))}
    assert write_all(state, range(10), versions) == [True] * 10
    assert boxes(state) == {(0, 2, False, ((1, 10),))}


@pytest.mark.parametrize(
    ("order", "strict", "survives"),
    [
        ([0, 1, 2, 3, 4, 5, 6, 7], True, True),
        ([1, 0, 2, 3, 4, 5, 6, 7], True, False),  # the first edge is not first
        ([0, 2, 1, 3, 4, 5, 6, 7], True, True),
        ([0, 1, 2, 3, 4, 5, 7], True, False),  # a line is missing at the last edge
        ([0, 1, 2, 2], True, False),  # a line twice
        ([1, 0, 2, 3, 7, 6, 5, 4], False, True),
        ([0, 1, 2, 2], False, False),
        ([0, 1, 2, 3, 4, 5, 7], False, True),  # not over yet
    ],
)
def test_the_assertions_of_writes(order: list[int], strict: bool, survives: bool) -> None:
    state, versions = unit(strict_edges=strict), np.zeros(4096, np.int64)
    read_all(state, range(8), versions)
    assert write_all(state, order, versions)[-1] == survives
    assert tenanalyzer.live_entries(state) == survives
    assert tenanalyzer.counters(state).invalidations == (not survives)


def test_a_dead_entry_is_found_again_with_its_new_version() -> None:
    state, versions = unit(), np.zeros(4096, np.int64)
    read_all(state, range(8), versions)
    write_all(state, [0, 0], versions)
    write_all(state, [1, *range(1, 8), *range(2, 8)], versions)
    assert read_all(state, range(8), versions)[:4] == [MISS] * 4
    assert boxes(state) == {(0, 2, False, ((1, 8),))}


def rows(corner: int, count: int, width: int = 4, pitch: int = 16) -> list[int]:
    """Lines of the rows of a tile."""
    return [corner + pitch * row + k for row in range(count) for k in range(width)]


def test_rows_become_a_tile_and_tiles_a_tensor() -> None:
    state, versions = unit(), np.zeros(4096, np.int64)
    read_all(state, rows(0, 4), versions)
    assert boxes(state) == {(0, 0, False, ((1, 4), (16, 4)))}
    read_all(state, rows(64 * 4, 4), versions)
    assert boxes(state) == {(0, 0, False, ((1, 4), (16, 4), (256, 2)))}, "two tiles at a distance: the third dimension"
    read_all(state, rows(64 * 8, 4), versions)
    assert boxes(state) == {(0, 0, False, ((1, 4), (16, 4), (256, 3)))}, "a third at the pitch that was inferred"
    for corner in (4, 8, 12):
        for plane in range(3):
            read_all(state, rows(corner + 256 * plane, 4), versions)
    assert boxes(state) == {(0, 0, False, ((1, 64), (256, 3)))}, "whole rows fold"
    assert read_all(state, rows(0, 4, 16), versions) == [HIT_IN] * 64


def test_rows_of_any_length_become_a_tile() -> None:
    state, versions = unit(), np.zeros(4096, np.int64)
    read_all(state, rows(0, 9, 7), versions)
    assert (0, 0, False, ((1, 7), (16, 8))) in boxes(state), "the last row waits for the next allocation"


def test_a_tile_is_bound_by_its_dimensions() -> None:
    state, versions = unit(), np.zeros(4096, np.int64)
    read_all(state, rows(0, 4), versions)
    read_all(state, rows(1030, 4), versions)
    assert len(boxes(state)) == 2, "a distance of 1030 lines is no multiple of a row of 16"
    versions[2048:] = 1
    read_all(state, rows(2048, 4), versions)
    assert len(boxes(state)) == 3, "another VN"


def test_streams_side_by_side_are_no_tile() -> None:
    state, versions = unit(), np.zeros(4096, np.int64)
    read_all(state, [line for k in range(50) for line in (k, 1000 + k, 2000 + k)], versions)
    assert boxes(state) == {(start, 0, False, ((1, 50),)) for start in (0, 1000, 2000)}


@pytest.mark.parametrize("contact", [False, True])
def test_chunks_of_threads_join_when_they_touch(contact: bool) -> None:
    state, versions = unit(merge_on_contact=contact), np.zeros(4096, np.int64)
    order = [100 * thread + k for k in range(100) for thread in range(8)]
    read_all(state, order, versions)
    whole = {(0, 0, False, ((1, 800),))}
    assert (boxes(state) == whole) == contact
    assert write_all(state, order, versions) == [True] * 800
    assert read_all(state, order, versions) == [HIT_IN] * 800


def test_parts_of_a_tensor_join_once_their_versions_are_equal() -> None:
    state, versions = unit(), np.zeros(4096, np.int64)
    versions[8:16] = 1
    read_all(state, range(16), versions)
    assert len(boxes(state)) == 2
    write_all(state, range(8), versions)
    assert boxes(state) == {(0, 1, False, ((1, 16),))}


def test_strided_lines() -> None:
    state, versions = unit(), np.zeros(4096, np.int64)
    assert read_all(state, range(0, 150, 15), versions) == [MISS] * 4 + [HIT_BOUNDARY] * 6
    assert read_all(state, range(1000, 1160, 16), versions) == [MISS] * 10, "beyond the 10 bits of the stride"


def test_noise_does_not_hide_a_stream() -> None:
    state, versions = unit(1 << 16), np.zeros(1 << 16, np.int64)
    rng = random.Random(1)
    for line in range(2000):
        read_all(state, [line, *(rng.randrange(4096, 1 << 16) for _ in range(rng.randrange(4)))], versions)
    assert read_all(state, range(2000), versions).count(HIT_IN) > 1900


def test_more_streams_than_filter_entries_are_found() -> None:
    state, versions = unit(), np.zeros(4096, np.int64)
    order = [128 * stream + k for k in range(128) for stream in range(32)]
    read_all(state, order, versions)
    assert read_all(state, order, versions).count(HIT_IN) > 0.8 * len(order)
    lru, versions = unit(filter_patience=0), np.zeros(4096, np.int64)
    read_all(lru, order, versions)
    assert tenanalyzer.live_entries(lru) == 0, "a filter that replaces at once finds none of them"


def test_the_benefit_fades_beyond_the_capacity() -> None:
    shares = []
    for tensors in (400, 512, 600, 1200):
        state, versions = unit(20 * 1200), np.zeros(20 * 1200, np.int64)
        order = [20 * tensor + k for tensor in range(tensors) for k in range(8 + tensor % 8)]
        read_all(state, order, versions)
        shares.append(read_all(state, order, versions).count(HIT_IN) / len(order))
        assert min(tensors, 500) <= tenanalyzer.live_entries(state) <= 512
    assert shares[0] == shares[1] == 1
    assert shares[2] < 0.9
    assert shares[3] < 0.4


def test_large_entries_outlive_small_ones() -> None:
    state, versions = tenanalyzer.create(8, 10, 4, 0, 0, 9999), np.zeros(10000, np.int64)
    read_all(state, range(1000), versions)
    for tensor in range(50):
        read_all(state, range(2000 + 20 * tensor, 2010 + 20 * tensor), versions)
    assert read_all(state, range(1000), versions) == [HIT_IN] * 1000
    assert tenanalyzer.counters(state).evictions == 43


def test_a_transfer_fixes_an_entry_up() -> None:
    state, versions = unit(), np.zeros(4096, np.int64)
    read_all(state, range(90, 110), versions)
    versions[100:300] = 5
    tenanalyzer.hint(state, 100, 200, 1, 5)
    assert boxes(state) == {(100, 5, False, ((1, 200),))}, "the overlapping entry is gone"
    assert read_all(state, range(100, 300), versions) == [HIT_IN] * 200
    versions[300:400] = 5
    tenanalyzer.hint(state, 300, 100, 1, 5)
    assert boxes(state) == {(100, 5, False, ((1, 300),))}, "transfers side by side are one tensor"
    with pytest.raises(ValueError, match="leaves the traced"):
        tenanalyzer.hint(state, 4000, 97, 1, 6)


def test_an_enclave_comes_back_as_it_was() -> None:
    state, versions = unit(), np.zeros(4096, np.int64)
    read_all(state, range(50), versions)
    read_all(state, [100, 101, 102], versions)
    write_all(state, range(20), versions)
    before, saved = boxes(state), tenanalyzer.save(state)
    tenanalyzer.clear(state)
    assert read_all(state, range(30), np.full(4096, 9)) == [MISS] * 4 + [HIT_BOUNDARY] * 26, "another enclave"
    tenanalyzer.restore(state, saved)
    assert boxes(state) == before
    assert read_all(state, [*range(50), 103, 104], versions) == [HIT_IN] * 50 + [MISS, HIT_BOUNDARY]
    assert tenanalyzer.counters(state).violations == 0


def test_lines_written_while_the_enclave_was_away_are_not_served() -> None:
    state, versions = unit(), np.zeros(4096, np.int64)
    read_all(state, range(50), versions)
    saved = tenanalyzer.save(state)
    versions[7] += 1
    tenanalyzer.restore(state, saved, np.array([7]))
    assert read_all(state, [7, 8], versions) == [MISS, MISS]


def test_everything_misses_while_the_flag_is_off() -> None:
    state, versions = unit(), np.zeros(4096, np.int64)
    read_all(state, range(50), versions)
    tenanalyzer.enable(state, False)
    assert read_all(state, range(60), versions) == [MISS] * 60
    assert write_all(state, range(50), versions) == [False] * 50
    tenanalyzer.enable(state, True)
    assert read_all(state, range(50), versions) == [MISS] * 4 + [HIT_BOUNDARY] * 46, "nothing from before"


# Whole kernels, with the unit alone.


@pytest.mark.parametrize("strict", [False, True])
def test_a_tiled_product_hits_from_the_second_time_on(strict: bool) -> None:
    trace = kernels.gemm(256, 64, Cpu())
    state, versions = unit(trace.lines, strict_edges=strict), np.zeros(trace.lines, np.int64)
    lines = trace.accesses >> 1
    versions[lines[trace.accesses & 1 == 1]] = 3  # the result had another content before
    written = np.unique(lines[trace.accesses & 1 == 1])
    both = np.concatenate([lines, written])
    writes = np.arange(len(both)) >= len(lines)
    first, second, third = (tenanalyzer.analyze(state, both, writes, versions) for _ in range(3))
    assert first.hit_in == pytest.approx(2 / 3, abs=0.01), "each line of the operands is read four times"
    assert second.hit_in >= 0.988
    assert third.hit_in >= 0.988
    assert third.covered_writes == third.writes


def test_adam_of_many_tensors_on_four_threads() -> None:
    tensors, length, threads, buffers = 290, 64, 4, 4
    size = tensors * length
    order = [
        buffer * (size + 100) + tensor * length + thread * length // threads + k
        for tensor in range(tensors)
        for k in range(length // threads)
        for thread in range(threads)
        for buffer in range(buffers)
    ]
    lines = np.array(order)
    writes = lines[lines < 3 * (size + 100)]
    both = np.concatenate([lines, writes])
    is_write = np.arange(len(both)) >= len(lines)
    shares = {}
    for strict in (False, True):
        state = unit(buffers * (size + 100), strict_edges=strict)
        versions = np.zeros(buffers * (size + 100), np.int64)
        shares[strict] = [tenanalyzer.analyze(state, both, is_write, versions) for _ in range(5)]
    first, *_, last = shares[False]
    assert first.hit_in < 0.05
    assert first.hit_all > 0.6
    assert last.hit_in >= 0.95
    assert shares[True][-1].hit_in < 0.9, "edges by address do not survive threads"


def test_a_wrong_version_off_chip_is_an_error() -> None:
    state, versions = unit(100), np.zeros(100, np.int64)
    tenanalyzer.analyze(state, np.arange(50), np.zeros(50, bool), versions)
    versions[10] = 4
    with pytest.raises(ConservationError, match="1 version numbers"):
        tenanalyzer.analyze(state, np.arange(50), np.zeros(50, bool), versions)


def test_wrong_arguments() -> None:
    state, versions = unit(100), np.zeros(100, np.int64)
    with pytest.raises(ValueError, match="leaves lines 0 to 99"):
        tenanalyzer.analyze(state, np.array([100]), np.zeros(1, bool), versions)
    with pytest.raises(ValueError, match="2 lines, 1 writes"):
        tenanalyzer.analyze(state, np.arange(2), np.zeros(1, bool), versions)
    with pytest.raises(ValueError, match="no range of lines"):
        tenanalyzer.create(1, 1, 2, 0, 10, 9)
    with pytest.raises(ValueError, match="two filter addresses"):
        tenanalyzer.create(1, 1, 1, 0, 0, 9)


def test_a_trace_for_the_unit_alone() -> None:
    cpu = Cpu()
    trace = kernels.adam([4096] * 6, cpu, threads=4)
    accesses = unit_trace.interleaved(trace, drift=1.0, seed=3)
    assert sorted(accesses) == sorted(trace.accesses)
    for thread, (begin, end) in enumerate(zip(trace.bounds[:-1], trace.bounds[1:], strict=True)):
        own = trace.accesses[begin:end]
        assert (accesses[np.isin(accesses, own)] == own).all(), f"order of thread {thread}"
    assert (unit_trace.interleaved(trace, drift=1.0, seed=3) == accesses).all()
    assert (unit_trace.interleaved(trace, drift=1.0, seed=4) != accesses).any()
    lines, writes = unit_trace.with_write_backs(accesses, llc.create(512, 8))
    assert (lines[~writes] == accesses >> 1).all(), "reads stay in order"
    assert sorted(lines[writes]) == sorted(accesses[accesses & 1 == 1] >> 1), (
        "each line that was written comes out once"
    )
    assert writes[-1], "the cache is drained"
    with pytest.raises(ValueError, match="at least 0"):
        unit_trace.interleaved(trace, drift=-1)
