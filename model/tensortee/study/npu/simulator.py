# SPDX-License-Identifier: Apache-2.0
"""Time and DRAM traffic of a workload on the NPU under a protection scheme.

Operators run one after the other. Within an operator, DRAM and the array overlap by double buffering, but for the first
tiles that are loaded and the last that is written. Products inside a fused stream keep all elements of the array busy;
other arithmetic of streams and look-ups hides behind their DRAM traffic. All results are modelled.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from tensortee.study.hardware import Npu
from tensortee.study.hardware.conservation import at_most, conserve, not_negative
from tensortee.study.npu.accesses import Access
from tensortee.study.npu.protection import MGX_BLOCK_BYTES, Cost, Protection, protection
from tensortee.study.npu.systolic import dram_bytes_per_second, plan_gemm
from tensortee.study.workload.operators import Gather, Gemm, Operator, Pass, Phase, Stream


class CapacityError(ValueError):
    """Data and metadata do not fit in the NPU's DRAM."""


@dataclass(frozen=True, slots=True)
class NpuRun:
    """Result of a workload on the NPU (modelled).

    Attributes:
        scheme: protection scheme.
        seconds: time from the first byte to the last.
        compute_seconds: time in which the array works.
        dram_seconds: time in which DRAM moves bytes.
        stall_seconds: time in which DMA waits for protection; hidden if the array is busy longer.
        read_bytes: bytes read from DRAM: data, metadata and over-fetch.
        write_bytes: bytes written to DRAM: data and metadata.
        metadata_bytes: MACs and versions in the two.
        overfetch_bytes: data in `read_bytes` that is read only for its MAC.
        storage_bytes: DRAM that metadata takes if all of the DRAM is protected.
        windows: read windows and write epochs.
        by_phase: seconds of each phase; their sum is `seconds`.
    """

    scheme: str
    seconds: float
    compute_seconds: float
    dram_seconds: float
    stall_seconds: float
    read_bytes: float
    write_bytes: float
    metadata_bytes: float
    overfetch_bytes: float
    storage_bytes: float
    windows: int
    by_phase: dict[str, float]

    @property
    def data_bytes(self) -> float:
        """Bytes that an unprotected NPU moves too."""
        return self.read_bytes + self.write_bytes - self.metadata_bytes - self.overfetch_bytes


@dataclass(frozen=True, slots=True)
class _Lowered:
    """An operator in terms of the NPU.

    Attributes:
        accesses: its accesses to DRAM.
        compute_seconds: time of the array.
        exposed_bytes: first tiles that are loaded before the array starts, and last that is written after it ends.
    """

    accesses: tuple[Access, ...]
    compute_seconds: float = 0.0
    exposed_bytes: float = 0.0


@dataclass(slots=True)
class _Totals:
    """Sums over operators; units as in `NpuRun`."""

    seconds: float = 0.0
    unprotected_seconds: float = 0.0
    compute_seconds: float = 0.0
    dram_seconds: float = 0.0
    stall_seconds: float = 0.0
    data_bytes: float = 0.0
    read_bytes: float = 0.0
    write_bytes: float = 0.0
    metadata_bytes: float = 0.0
    overfetch_bytes: float = 0.0
    windows: int = 0


def run_workload(
    operators_or_passes: Iterable[Operator | Pass],
    npu: Npu,
    scheme: str,
    *,
    mac_block_bytes: int = MGX_BLOCK_BYTES,
    footprint_bytes: float | None = None,
) -> NpuRun:
    """Run a workload.

    Args:
        operators_or_passes: passes, or operators that all count as "forward".
        npu: the NPU.
        scheme: name of a protection scheme, see `tensortee.study.npu.protection.schemes`.
        mac_block_bytes: data under one MAC in bytes, for the scheme "mac".
        footprint_bytes: data that is in the DRAM at one time; None if unknown, then it is not checked.

    Raises:
        ValueError: there is no such scheme, or the block size is out of range.
        TilingError: no tile of a GEMM fits in the scratchpad.
        CapacityError: the data with its metadata does not fit in the DRAM.
        ConservationError: the result breaks a conservation law.
    """
    plugin = protection(scheme, mac_block_bytes)
    if footprint_bytes is not None:
        check_capacity(footprint_bytes, npu, plugin)
    passes = [part if isinstance(part, Pass) else Pass("forward", (part,)) for part in operators_or_passes]
    lowered = [(part, [lower(operator, npu) for operator in part.operators]) for part in passes]
    tensors = sum(part.repeat * len(operator.accesses) for part, operators in lowered for operator in operators)

    totals = _Totals()
    by_phase: defaultdict[Phase, float] = defaultdict(float)
    for part, operators in lowered:
        for operator in operators:
            by_phase[part.phase] += _run_operator(operator, part.repeat, npu, plugin, tensors, totals)
    run = NpuRun(
        scheme=scheme,
        seconds=totals.seconds,
        compute_seconds=totals.compute_seconds,
        dram_seconds=totals.dram_seconds,
        stall_seconds=totals.stall_seconds,
        read_bytes=totals.read_bytes,
        write_bytes=totals.write_bytes,
        metadata_bytes=totals.metadata_bytes,
        overfetch_bytes=totals.overfetch_bytes,
        storage_bytes=plugin.storage_share(npu) * npu.dram_capacity_bytes,
        windows=totals.windows,
        by_phase={str(phase): seconds for phase, seconds in by_phase.items()},
    )
    _check(run, totals, npu)
    return run


def check_capacity(footprint_bytes: float, npu: Npu, plugin: Protection) -> None:
    """Check that data fits in the NPU's DRAM with the metadata of a scheme.

    Raises:
        CapacityError: it does not.
    """
    needed = footprint_bytes * (1 + plugin.storage_share(npu))
    if needed > npu.dram_capacity_bytes:
        raise CapacityError(
            f"{footprint_bytes / 1e9:.1f} GB of data take {needed / 1e9:.1f} GB with metadata; the NPU has "
            f"{npu.dram_capacity_bytes / 1e9:.1f} GB"
        )


def lower(operator: Operator, npu: Npu) -> _Lowered:
    """An operator as accesses to DRAM and time of the array.

    Raises:
        TilingError: no tile of a GEMM fits in the scratchpad.
    """
    match operator:
        case Gemm():
            plan = plan_gemm(operator, npu)
            return _Lowered(
                accesses=plan.accesses,
                compute_seconds=plan.tiling.compute_cycles / npu.clock_hz,
                exposed_bytes=plan.tiling.fill_bytes + plan.tiling.drain_bytes,
            )
        case Stream():
            reads = _whole_tensors(False, operator.read_bytes, operator.read_tensors)
            writes = _whole_tensors(True, operator.write_bytes, operator.written_tensors)
            elements = npu.array_rows * npu.array_columns
            return _Lowered(reads + writes, compute_seconds=operator.macs / elements / npu.clock_hz)
        case Gather():
            row = operator.row_bytes
            return _Lowered((Access(write=False, rows=operator.rows, row_bytes=row, piece_bytes=row, scattered=True),))


def _whole_tensors(write: bool, nbytes: float, tensors: int) -> tuple[Access, ...]:
    """Accesses to tensors of one size that move once and as a whole."""
    if not nbytes:
        return ()
    size = nbytes / max(1, tensors)
    return (Access(write=write, rows=1, row_bytes=size, piece_bytes=size),) * max(1, tensors)


def _run_operator(
    operator: _Lowered, repeat: int, npu: Npu, plugin: Protection, tensors: int, totals: _Totals
) -> float:
    """Add an operator, executed `repeat` times, to the totals; returns its seconds."""
    costs: list[Cost] = [plugin.cost(access, npu, tensors) for access in operator.accesses]
    data_read = sum(access.line_bytes for access in operator.accesses if not access.write)
    data_write = sum(access.line_bytes for access in operator.accesses if access.write)
    overfetch = sum(cost.overfetch_bytes for cost in costs)
    read = data_read + overfetch + sum(cost.metadata_read_bytes for cost in costs)
    write = data_write + sum(cost.metadata_write_bytes for cost in costs)
    rate = dram_bytes_per_second(npu)
    dram = (read + write) / rate
    stall = sum(cost.stall_cycles for cost in costs) / npu.clock_hz
    array = operator.compute_seconds + operator.exposed_bytes / rate
    seconds = max(dram + stall, array) if plugin.overlaps else dram + stall + operator.compute_seconds

    totals.seconds += repeat * seconds
    totals.unprotected_seconds += repeat * max((data_read + data_write) / rate, array)
    totals.compute_seconds += repeat * operator.compute_seconds
    totals.dram_seconds += repeat * dram
    totals.stall_seconds += repeat * stall
    totals.data_bytes += repeat * (data_read + data_write)
    totals.read_bytes += repeat * read
    totals.write_bytes += repeat * write
    totals.metadata_bytes += repeat * sum(cost.metadata_read_bytes + cost.metadata_write_bytes for cost in costs)
    totals.overfetch_bytes += repeat * overfetch
    totals.windows += repeat * sum(cost.windows for cost in costs)
    return repeat * seconds


def _check(run: NpuRun, totals: _Totals, npu: Npu) -> None:
    """Check the conservation laws.

    Raises:
        ConservationError: one is broken.
    """
    for what in ("stall_seconds", "metadata_bytes", "overfetch_bytes", "storage_bytes"):
        not_negative(f"NPU {what}", getattr(run, what))
    conserve("bytes of data under protection and without", run.data_bytes, totals.data_bytes)
    conserve("seconds of all phases", sum(run.by_phase.values()), run.seconds)
    at_most("NPU DRAM rate", run.read_bytes + run.write_bytes, run.seconds * npu.dram_bytes_per_second)
    at_most("NPU time without protection", totals.unprotected_seconds, run.seconds)
    at_most("NPU compute time", run.compute_seconds, run.seconds)
    at_most("NPU DRAM time with stalls", run.dram_seconds + run.stall_seconds, run.seconds)
