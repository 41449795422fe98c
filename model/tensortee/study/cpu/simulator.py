# SPDX-License-Identifier: Apache-2.0
"""CPU kernels under memory protection: trace-driven, with the timing of cores, caches, metadata and DRAM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from tensortee.study.cpu import dram as memory
from tensortee.study.cpu import kernels, llc, metadata, tenanalyzer
from tensortee.study.cpu.compiled import compiled, inlined
from tensortee.study.cpu.meta_table import TenAnalyzer, entry_at
from tensortee.study.hardware import LINE_BYTES, Cpu
from tensortee.study.hardware.conservation import at_most, conserve, not_negative

Scheme = Literal["none", "sgx", "softvn", "tenanalyzer"]

NONE, SGX, SOFTVN, TENANALYZER = range(4)
SCHEMES: dict[str, int] = {"none": NONE, "sgx": SGX, "softvn": SOFTVN, "tenanalyzer": TENANALYZER}
"""Protection schemes by name."""

READS, WRITES, LOOKUPS, HIT_IN, HIT_BOUNDARY, WRONG = range(6)
"""Places in the counters of a run: data lines read and written in DRAM, read look-ups of the cores and their hits,
on-chip version numbers that differed from the off-chip one."""

LLC_LINES_MIN = 1 << 14
"""A smaller last-level cache would give lines back while their version numbers are still in the metadata cache."""

TRACED_ACCESSES = 2_000_000
"""Data lines that a trace moves in DRAM unless the caller gives a scale: enough for every cache to be in its steady
state for most of the time."""

TRACED_ACCESSES_PER_TENSOR = 5_000
"""At least so many for each tensor of Adam: chunks of threads that are too short teach TenAnalyzer nothing."""


class Lines(NamedTuple):
    """State of the data lines.

    Attributes:
        versions: VN of each line off chip, int64 [lines].
        settled: 1 if the last read of a line was a hit-in, uint8 [lines].
    """

    versions: npt.NDArray[np.int64]
    settled: npt.NDArray[np.uint8]


class Cores(NamedTuple):
    """State of the threads of a trace.

    Attributes:
        position: next access of each thread, int64 [threads].
        issue: when it goes, infinite at the end of the thread, ns, float64 [threads].
        retired: when the last access and its arithmetic were done, ns, float64 [threads].
        window: the same for the accesses under way, a ring, ns, float64 [threads, outstanding_lines].
        oldest: place of the oldest of them, int64 [threads].
        counts: see READS and others, int64 [6].
    """

    position: npt.NDArray[np.int64]
    issue: npt.NDArray[np.float64]
    retired: npt.NDArray[np.float64]
    window: npt.NDArray[np.float64]
    oldest: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]


def _cores(trace: kernels.Trace, window: int, begin: float) -> Cores:
    """Threads that all begin at one time."""
    threads = trace.threads
    return Cores(
        position=trace.bounds[:-1].copy(),
        issue=np.where(np.diff(trace.bounds) > 0, begin, np.inf),
        retired=np.full(threads, begin),
        window=np.full((threads, window), begin),
        oldest=np.zeros(threads, np.int64),
        counts=np.zeros(WRONG + 1, np.int64),
    )


@compiled
def _simulate(
    accesses: npt.NDArray[np.int64],
    bounds: npt.NDArray[np.int64],
    work: float,
    scheme: int,
    aes: float,
    mac: float,
    cores: Cores,
    dram: memory.Dram,
    cache: llc.Llc,
    meta: metadata.Metadata,
    lines: Lines,
    unit: TenAnalyzer,
) -> None:
    """Run all accesses, always that of the thread with the smallest clock next."""
    position, issue, retired, window, oldest, counts = cores
    threads = len(position)
    thread = 0
    second = -np.inf
    while True:
        now = issue[thread]
        if now >= second:
            # Another thread may be first: look for it, without branches, since which it is cannot be predicted.
            thread = 0
            now = issue[0]
            second = np.inf
            for t in range(1, threads):
                other = issue[t]
                earlier = other < now
                second = min(second, now if earlier else other)
                thread = t if earlier else thread
                now = other if earlier else now
            if now == np.inf:
                break
        access = accesses[position[thread]]
        line = access >> 1
        code = tenanalyzer.MISS
        if scheme == TENANALYZER:
            counts[LOOKUPS] += 1
            code, vn = tenanalyzer.read(unit, line, lines.versions[line])
            if code == tenanalyzer.HIT_IN:
                counts[HIT_IN] += 1
            elif code == tenanalyzer.HIT_BOUNDARY:
                counts[HIT_BOUNDARY] += 1
            lines.settled[line] = code == tenanalyzer.HIT_IN
            if code != tenanalyzer.MISS and vn != lines.versions[line]:
                counts[WRONG] += 1
        arrival = now
        victim = llc.access(cache, line, access & 1)
        if victim != llc.HIT:
            counts[READS] += 1
            arrival = memory.read(dram, line, now, now)
            if scheme != NONE:
                arrival = _check(dram, meta, scheme, code, line, arrival, aes, mac, now)
            if victim >= 0:
                counts[WRITES] += 1
                lines.versions[victim] += 1
                memory.write(dram, victim, now)
                if scheme != NONE:
                    _protect(dram, meta, scheme, unit, lines, victim, now)
        done = max(retired[thread], arrival) + work
        retired[thread] = done
        place = oldest[thread]
        window[thread, place] = done
        place += 1
        if place == window.shape[1]:
            place = 0
        oldest[thread] = place
        position[thread] += 1
        issue[thread] = max(now, window[thread, place]) if position[thread] < bounds[thread + 1] else np.inf


@inlined
def _check(
    dram: memory.Dram,
    meta: metadata.Metadata,
    scheme: int,
    code: int,
    line: int,
    arrival: float,
    aes: float,
    mac: float,
    now: float,
) -> float:
    """Metadata of a data line that is read; returns when its plaintext is there and checked, ns."""
    pad = now + aes
    checked = arrival
    if code != tenanalyzer.HIT_IN:
        if scheme != SOFTVN:
            vn = metadata.use_vn(meta, dram, line, 0, metadata.WAIT, now)
            if code == tenanalyzer.MISS:
                pad = vn + aes
        tag = metadata.use_mac(meta, dram, line, 0, metadata.WAIT, now)
        if code == tenanalyzer.MISS:
            checked = max(arrival, tag) + mac
    return max(checked, pad)


@inlined
def _protect(
    dram: memory.Dram,
    meta: metadata.Metadata,
    scheme: int,
    unit: TenAnalyzer,
    lines: Lines,
    line: int,
    now: float,
) -> None:
    """Metadata of a data line that is written back.

    TenAnalyzer's tensor MAC is complete when all lines of an entry were written once. So the first update after a line
    came to an entry still reads the VN off chip and writes the line's MAC; later ones know the VN and need no MAC.
    """
    urgency = metadata.WAIT
    covered = scheme == TENANALYZER and tenanalyzer.write(unit, line, lines.versions[line]) and lines.settled[line] == 1
    if covered:
        urgency = metadata.KNOWN if _vn_line_covered(unit, line) else metadata.BACKGROUND
    if scheme != SOFTVN:
        metadata.use_vn(meta, dram, line, 1, urgency, now)
    if not covered:
        metadata.use_mac(meta, dram, line, 1, metadata.BACKGROUND, now)


@inlined
def _vn_line_covered(unit: TenAnalyzer, line: int) -> bool:
    """Whether the entry of a line covers all lines that share its VN line, so that the chip knows all their VNs."""
    first = line & ~((1 << metadata.LINES_PER_NODE_BITS) - 1)
    entry = entry_at(unit.owner, line)
    for other in range(first, first + (1 << metadata.LINES_PER_NODE_BITS)):
        if other >= len(unit.owner) or entry_at(unit.owner, other) != entry:
            return False
    return True


@compiled
def _flush(
    scheme: int,
    now: float,
    dram: memory.Dram,
    cache: llc.Llc,
    meta: metadata.Metadata,
    lines: Lines,
    unit: TenAnalyzer,
) -> int:
    """Write all dirty lines back, oldest first in each set; returns how many."""
    written = 0
    for way in range(cache.ways - 1, -1, -1):
        for place in range(way, len(cache.entries), cache.ways):
            entry = cache.entries[place]
            if entry < 0 or entry & 1 == 0:
                continue
            cache.entries[place] = entry - 1
            written += 1
            lines.versions[entry >> 1] += 1
            memory.write(dram, entry >> 1, now)
            if scheme != NONE:
                _protect(dram, meta, scheme, unit, lines, entry >> 1, now)
    return written


@dataclass(frozen=True, slots=True)
class KernelRun:
    """What a kernel took.

    Attributes:
        kernel: name of the kernel.
        scheme: protection scheme.
        threads: threads.
        iteration: 1 for the first run of the kernel on this machine.
        seconds: time at full size, modelled.
        read_lines: data lines read from DRAM, at full size.
        write_lines: data lines written back to DRAM, at full size.
        metadata_lines: metadata lines read and written, at full size.
        metadata_by_kind: the same by kind and direction: "vn read", "vn write", "tree read", ...
        hit_in: share of the cores' read look-ups that TenAnalyzer served from an entry.
        hit_boundary: share of look-ups that continued an entry.
        invalidations: entries that TenAnalyzer invalidated in the run, as traced.
        dram_busy_share: share of the peak rate of the DRAM that was used.
    """

    kernel: str
    scheme: str
    threads: int
    iteration: int
    seconds: float
    read_lines: float
    write_lines: float
    metadata_lines: float
    metadata_by_kind: dict[str, float]
    hit_in: float
    hit_boundary: float
    invalidations: int
    dram_busy_share: float


class Machine:
    """A CPU with its caches, metadata and memory, whose state stays from kernel to kernel.

    Args:
        cpu: hardware.
        scheme: protection scheme.
        lines: lines of the traced memory.
        scale: factor by which the last-level cache is made smaller, that of the traces.

    Raises:
        ValueError: the scheme is unknown.
    """

    def __init__(self, cpu: Cpu, scheme: str, lines: int, *, scale: float = 1.0) -> None:
        if scheme not in SCHEMES:
            raise ValueError(f"no protection scheme {scheme!r}; there are {', '.join(SCHEMES)}")
        if lines > cpu.protected_bytes // LINE_BYTES:
            raise ValueError(f"{lines} lines do not fit in {cpu.protected_bytes} bytes of protected memory")
        self.cpu = cpu
        self.scheme = scheme
        self.dram = memory.create(cpu.dram)
        llc_lines = min(cpu.llc_bytes // LINE_BYTES, max(LLC_LINES_MIN, round(cpu.llc_bytes / LINE_BYTES / scale)))
        self.cache = llc.create(llc_lines, cpu.llc_ways)
        self.metadata = metadata.create(cpu)
        self.lines = Lines(np.ones(lines, np.int64), np.zeros(lines, np.uint8))
        self.unit = tenanalyzer.create(
            cpu.meta_table_entries,
            cpu.filter_entries,
            cpu.filter_addresses,
            cpu.merge_candidates,
            0,
            lines - 1 if scheme == "tenanalyzer" else 0,
            filter_patience=cpu.filter_patience,
        )
        self.ns = 0.0
        self.runs = 0

    def run(self, trace: kernels.Trace, *, flush: bool = False) -> KernelRun:
        """Run a kernel to the end of its last thread.

        Args:
            trace: accesses.
            flush: whether the dirty lines go to memory at the end, because other data follows that displaces them; the
                traffic is that of this run, but nobody waits for it.

        Raises:
            ConservationError: the result breaks a conservation law, or a version number was wrong.
        """
        ns_per_cycle = 1e9 / self.cpu.clock_hz
        cores = _cores(trace, self.cpu.outstanding_lines, self.ns)
        counts = cores.counts
        read, written = self.dram.all["read"][0], self.dram.all["written"][0]
        metadata_before = self.metadata.counts.copy()
        invalidations = tenanalyzer.counters(self.unit).invalidations
        _simulate(
            trace.accesses,
            trace.bounds,
            trace.cycles_per_access * ns_per_cycle,
            SCHEMES[self.scheme],
            self.cpu.aes_cycles * ns_per_cycle,
            self.cpu.mac_cycles * ns_per_cycle,
            cores,
            self.dram,
            self.cache,
            self.metadata,
            self.lines,
            self.unit,
        )
        ns = float(cores.retired.max()) - self.ns
        moved = self.dram.all["read"][0] - read + self.dram.all["written"][0] - written
        busy = float(moved * self.dram.all["transfer"][0] / len(self.dram.channels) / ns)
        if flush:
            counts[WRITES] += _flush(
                SCHEMES[self.scheme],
                self.ns + ns,
                self.dram,
                self.cache,
                self.metadata,
                self.lines,
                self.unit,
            )
        self.ns += ns
        self.runs += 1
        of_kind = self.metadata.counts - metadata_before
        read, written = self.dram.all["read"][0] - read, self.dram.all["written"][0] - written
        conserve("lines read", read, counts[READS] + of_kind[:, 0].sum())
        conserve("lines written", written, counts[WRITES] + of_kind[:, 1].sum())
        conserve("wrong version numbers", counts[WRONG] + tenanalyzer.counters(self.unit).violations, 0)
        arithmetic = np.diff(trace.bounds).max() * trace.cycles_per_access * ns_per_cycle
        not_negative("stall of the cores, ns", ns - arithmetic * (1 - 1e-9))
        at_most("share of the DRAM's time", busy, 1, relative=0.01)
        lookups = max(1, int(counts[LOOKUPS]))
        names = (f"{kind} {way}" for kind in metadata.KINDS for way in ("read", "write"))
        return KernelRun(
            kernel=trace.kernel,
            scheme=self.scheme,
            threads=trace.threads,
            iteration=self.runs,
            seconds=ns * 1e-9 * trace.scale,
            read_lines=float(counts[READS] * trace.scale),
            write_lines=float(counts[WRITES] * trace.scale),
            metadata_lines=float(of_kind.sum() * trace.scale),
            metadata_by_kind={
                name: float(lines * trace.scale) for name, lines in zip(names, of_kind.reshape(-1), strict=True)
            },
            hit_in=float(counts[HIT_IN] / lookups),
            hit_boundary=float(counts[HIT_BOUNDARY] / lookups),
            invalidations=tenanalyzer.counters(self.unit).invalidations - invalidations,
            dram_busy_share=busy * (1 - self.cpu.dram.refresh_share),
        )


def run_adam(
    parameter_elements: Sequence[int],
    cpu: Cpu,
    scheme: str,
    *,
    threads: int = 8,
    iterations: int = 1,
    scale: float | None = None,
    apart: bool = False,
) -> list[KernelRun]:
    """Adam updates of a model, one after the other; see `kernels.adam`.

    Args:
        parameter_elements: elements of each tensor of the model.
        cpu: hardware.
        scheme: "none", "sgx", "softvn" or "tenanalyzer".
        threads: threads.
        iterations: updates.
        scale: factor by which tensors and last-level cache are made smaller; by default such that an update moves
            about `TRACED_ACCESSES` lines, more for many tensors.
        apart: leave a gap behind each tensor, so that TenAnalyzer cannot merge neighbours.

    Returns:
        One run for each update, at full size.
    """
    if scale is None:
        traced = max(TRACED_ACCESSES, TRACED_ACCESSES_PER_TENSOR * len(parameter_elements))
        scale = max(1.0, 7 * sum(parameter_elements) / kernels.FP32_PER_LINE / traced)
    trace = kernels.adam(parameter_elements, cpu, threads=threads, scale=scale, apart=apart)
    machine = Machine(cpu, scheme, trace.lines, scale=scale)
    return [machine.run(trace, flush=True) for _ in range(iterations)]


def run_stream(
    kind: Literal["copy", "cast"], nbytes: int, cpu: Cpu, scheme: str, *, threads: int = 8, iterations: int = 1
) -> KernelRun:
    """Copy or convert a buffer; see `kernels.stream`.

    Args:
        kind: "copy" or "cast" (fp32 to fp16).
        nbytes: bytes of the source.
        cpu: hardware.
        scheme: protection scheme.
        threads: threads.
        iterations: times that it is done; the last one counts.
    """
    scale = max(1.0, 3 * nbytes / LINE_BYTES / TRACED_ACCESSES)
    trace = kernels.stream(kind, nbytes, cpu, threads=threads, scale=scale)
    machine = Machine(cpu, scheme, trace.lines, scale=scale)
    return [machine.run(trace, flush=True) for _ in range(iterations)][-1]


def run_gemm(n: int, tile: int, cpu: Cpu, scheme: str, *, iterations: int = 2) -> KernelRun:
    """Product of two n x n fp32 matrices in square tiles; the last of `iterations` counts, by default the second."""
    trace = kernels.gemm(n, tile, cpu)
    machine = Machine(cpu, scheme, trace.lines)
    return [machine.run(trace, flush=True) for _ in range(iterations)][-1]
