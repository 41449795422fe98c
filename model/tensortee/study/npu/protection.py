# SPDX-License-Identifier: Apache-2.0
"""Protection of the NPU's DRAM: schemes as plug-ins, each says what an access costs more.

All schemes encrypt with engines of the channels' rate, and keep version numbers without a tree. They differ in where
the MACs are, how much data one MAC covers, and who waits for the comparison.

**Why blocks stall.** DMA works in descriptors (`Npu.descriptor_bytes`, by default the operand of one tile of the
array). A block lies in one channel. It is handed on when it is whole and its MAC compared, so the last block of a
descriptor comes later by the time that the channel needs for a block, and by the latency of the MAC. Only then are the
block buffers free for the next descriptor. Blocks that are written wait alike: data and MAC must change together, so a
block leaves when it is whole.

Sources: MGX (ISCA 2022), TNPU (HPCA 2022), SeDA (DAC 2025), TensorTEE (ASPLOS 2024, section on the NPU).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

from tensortee.study.hardware import LINE_BYTES, Npu
from tensortee.study.hardware.engine_costs import engine_costs
from tensortee.study.npu.accesses import Access

GATHER_BLOCK_BYTES, GATHER_TAG_BYTES = 512, 16
"""Block mode of the format, for data that must be verified before use; not in the RTL yet (docs/threat-model.md)."""

MGX_BLOCK_BYTES = 512
"""Bytes under one MAC that MGX prints for neural networks."""

LINES_PER_MAP_WORD = 64
"""Lines in a word of the engine's write map (docs/interfaces.md)."""

SEDA_TRAFFIC_SHARE = 0.0012
"""Metadata a byte of data that SeDA prints for its server NPU."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What protection adds to an access.

    Attributes:
        metadata_read_bytes: MACs and versions that are read.
        metadata_write_bytes: MACs and versions that are written.
        overfetch_bytes: data that is read only to check or to make a MAC.
        stall_cycles: NPU cycles in which DMA waits.
        windows: read windows and write epochs that are opened and closed.
    """

    metadata_read_bytes: float = 0.0
    metadata_write_bytes: float = 0.0
    overfetch_bytes: float = 0.0
    stall_cycles: float = 0.0
    windows: int = 0


class Protection(ABC):
    """A protection scheme. Derive from it and `register` the class or a function that makes it.

    Attributes:
        overlaps: whether the array may work on data whose tensor has not come as a whole.
    """

    overlaps: ClassVar[bool] = True

    @abstractmethod
    def cost(self, access: Access, npu: Npu, tensors: int) -> Cost:
        """What the scheme adds to an access.

        Args:
            access: the access.
            npu: the NPU.
            tensors: tensors of the whole workload, alive or not.
        """

    @abstractmethod
    def storage_share(self, npu: Npu) -> float:
        """DRAM for metadata, for each byte of data."""


class Unprotected(Protection):
    """No encryption, no integrity."""

    def cost(self, access: Access, npu: Npu, tensors: int) -> Cost:  # noqa: ARG002
        """Nothing."""
        return Cost()

    def storage_share(self, npu: Npu) -> float:  # noqa: ARG002
        """Nothing."""
        return 0.0


@dataclass(frozen=True)
class BlockMac(Protection):
    """A MAC for each block, in DRAM; versions on chip (MGX-like).

    Attributes:
        block_bytes: data under one MAC, a power of two from a line on.
        mac_bytes: bytes of a MAC; None for that of the NPU.
        write_stall: whether blocks that are written wait until they are whole.

    Raises:
        ValueError: the block size is out of range.
    """

    block_bytes: int
    mac_bytes: int | None = None
    write_stall: bool = True

    def __post_init__(self) -> None:
        """Refuse blocks that are not made of lines."""
        if self.block_bytes < LINE_BYTES or self.block_bytes & (self.block_bytes - 1):
            raise ValueError(f"a MAC block has a power of two of at least {LINE_BYTES} bytes, not {self.block_bytes}")

    def cost(self, access: Access, npu: Npu, tensors: int) -> Cost:  # noqa: ARG002
        """MACs of all blocks that are touched, the rest of partial blocks, a wait for each descriptor."""
        touched = access.touched_bytes(self.block_bytes)
        macs = self._mac_traffic(access, touched, npu)
        stall = descriptors(access, npu) * block_stall_cycles(min(self.block_bytes, access.line_bytes), npu)
        return Cost(
            metadata_read_bytes=0.0 if access.write else macs,
            metadata_write_bytes=macs if access.write else 0.0,
            overfetch_bytes=touched - access.line_bytes,
            stall_cycles=stall if self.write_stall or not access.write else 0.0,
        )

    def storage_share(self, npu: Npu) -> float:
        """One MAC a block."""
        return (self.mac_bytes or npu.mac_bytes) / self.block_bytes

    def _mac_traffic(self, access: Access, touched: float, npu: Npu) -> float:
        """Bytes of MACs: whole lines of them, for each pass; for each row if rows are scattered."""
        runs = access.passes * (access.rows if access.scattered else 1)
        return runs * math.ceil(touched / runs * self.storage_share(npu) / LINE_BYTES) * LINE_BYTES


class TreeLess(Protection):
    """TNPU-like: a MAC for each line in DRAM; an enclave on the CPU keeps the version of each tensor."""

    def cost(self, access: Access, npu: Npu, tensors: int) -> Cost:
        """As MACs of lines, and a look-up of the version for each pass over a tensor."""
        macs = BlockMac(LINE_BYTES).cost(access, npu, tensors)
        return Cost(
            metadata_read_bytes=macs.metadata_read_bytes + access.passes * LINE_BYTES,
            metadata_write_bytes=macs.metadata_write_bytes,
            overfetch_bytes=macs.overfetch_bytes,
            stall_cycles=macs.stall_cycles + access.passes * npu.version_lookup_cycles,
        )

    def storage_share(self, npu: Npu) -> float:
        """One MAC a line; the versions are in the CPU's memory."""
        return BlockMac(LINE_BYTES).storage_share(npu)


class LayerMac(Protection):
    """SeDA-like: MACs of blocks are folded into one MAC of the layer, on chip; blocks fit the tiles.

    The traffic is the one that SeDA prints, so it is an input here and no result.
    """

    def cost(self, access: Access, npu: Npu, tensors: int) -> Cost:  # noqa: ARG002
        """The printed share of metadata, and the latency of one MAC at the end."""
        metadata = SEDA_TRAFFIC_SHARE * access.line_bytes
        return Cost(
            metadata_read_bytes=0.0 if access.write else metadata,
            metadata_write_bytes=metadata if access.write else 0.0,
            stall_cycles=npu.mac_cycles,
        )

    def storage_share(self, npu: Npu) -> float:  # noqa: ARG002
        """The printed share of metadata."""
        return SEDA_TRAFFIC_SHARE


class TensorMacStall(Protection):
    """A MAC for each tensor, on chip; nobody uses a tensor before it was compared.

    A tensor that is larger than a half of the scratchpad cannot wait there: it is read once to be verified and once
    more to be used. (Between the two reads an attacker can change it, so this is the cost of a scheme that is not even
    sound; it is here to show what the delay of verification saves.)
    """

    overlaps: ClassVar[bool] = False

    def cost(self, access: Access, npu: Npu, tensors: int) -> Cost:
        """A second read of large tensors, and the commands of the windows."""
        if access.scattered:
            return gather_cost(access, npu, tensors)
        twice = not access.write and access.tensor_bytes > npu.scratchpad_bytes / 2
        windows = window_cost(access, npu, tensors)
        return replace(
            windows,
            overfetch_bytes=access.line_bytes if twice else 0.0,
            stall_cycles=windows.stall_cycles + windows.windows * npu.mac_cycles,
        )

    def storage_share(self, npu: Npu) -> float:  # noqa: ARG002
        """Nothing: a line for each tensor that is not in the table, which is no share of the data."""
        return 0.0


class TensorMacDelayed(Protection):
    """A MAC for each tensor, on chip; verification runs beside the kernel. This project's engine, as measured.

    A window proves that each line came exactly once. So an operand that is read r times takes r windows, and one that
    is read again panel by panel is sealed panel by panel, because a tensor has one window open at a time.
    """

    def cost(self, access: Access, npu: Npu, tensors: int) -> Cost:
        """Commands of the windows, later first beats of descriptors, beats that the engine does not keep up with."""
        if access.scattered:
            return gather_cost(access, npu, tensors)
        engine = engine_costs(npu.engine_data_bits)
        windows = window_cost(access, npu, tensors)
        latency = 0 if access.write else descriptors(access, npu) * engine.added_read_latency_cycles
        beats = engine.write_beats_per_cycle if access.write else engine.read_beats_per_cycle
        transfer_cycles = access.line_bytes * npu.clock_hz / (npu.dram_bytes_per_second * npu.dram_efficiency)
        return replace(windows, stall_cycles=windows.stall_cycles + latency + transfer_cycles * (1 / beats - 1))

    def storage_share(self, npu: Npu) -> float:  # noqa: ARG002
        """Nothing, see `TensorMacStall`."""
        return 0.0


def descriptors(access: Access, npu: Npu) -> int:
    """DMA descriptors of an access, all but the last one full."""
    return math.ceil(access.line_bytes / npu.descriptor_bytes)


def block_stall_cycles(block_bytes: float, npu: Npu) -> float:
    """NPU cycles by which the last block of a descriptor is later: the block at its channel's rate, then the MAC."""
    channel_bytes_per_cycle = npu.dram_bytes_per_second / npu.channels / npu.clock_hz
    return block_bytes / channel_bytes_per_cycle + npu.mac_cycles


def window_cost(access: Access, npu: Npu, tensors: int) -> Cost:
    """What the windows of a tensor take: the engine's commands, and its table entry if the table is too small.

    OPEN and CLOSE count as waiting, which is the worst case: CLOSE runs beside the next kernel. OPEN of a write epoch
    holds up writes for a cycle per word of the write map; the measured figure has that of a small tensor only. If a
    workload has more tensors than the table has slots, every entry is loaded (as DEFINE takes it) from a sealed line in
    DRAM, and the entry of a tensor that was written is stored to one.
    """
    engine = engine_costs(npu.engine_data_bits)
    windows = access.passes * access.panels
    if access.write:
        map_words = math.ceil(access.tensor_bytes / (LINE_BYTES * LINES_PER_MAP_WORD))
        commands = min(map_words, npu.write_map_words) + engine.open_write_cycles + engine.close_write_cycles
    else:
        commands = engine.open_read_cycles + engine.close_read_cycles
    reloaded = tensors > npu.tensor_table_slots or access.panels > 1
    entries = float(windows * LINE_BYTES) if reloaded else 0.0
    return Cost(
        metadata_read_bytes=0.0 if access.write else entries,
        metadata_write_bytes=entries if access.write else 0.0,
        stall_cycles=windows * (commands + (engine.define_cycles if reloaded else 0)),
        windows=windows,
    )


def gather_cost(access: Access, npu: Npu, tensors: int) -> Cost:
    """Block mode: rows that data chooses are no exact cover of a tensor, so each block has a tag of its own."""
    return BlockMac(GATHER_BLOCK_BYTES, GATHER_TAG_BYTES).cost(access, npu, tensors)


_SCHEMES: dict[str, Callable[[int], Protection]] = {
    "none": lambda _: Unprotected(),
    "mac": BlockMac,
    "mgx": lambda _: BlockMac(MGX_BLOCK_BYTES),
    "tnpu": lambda _: TreeLess(),
    "seda": lambda _: LayerMac(),
    "tensor-stall": lambda _: TensorMacStall(),
    "tensor-delayed": lambda _: TensorMacDelayed(),
}


def register(name: str, make: Callable[[int], Protection]) -> None:
    """Add a scheme under a name.

    Args:
        name: name for `run_workload`.
        make: makes the scheme; its argument is the MAC block size in bytes that the user asks for.

    Raises:
        ValueError: the name is taken.
    """
    if name in _SCHEMES:
        raise ValueError(f"a scheme {name!r} exists")
    _SCHEMES[name] = make


def schemes() -> tuple[str, ...]:
    """Names of all schemes."""
    return tuple(_SCHEMES)


def protection(name: str, mac_block_bytes: int = MGX_BLOCK_BYTES) -> Protection:
    """The scheme of a name.

    Args:
        name: see `schemes`.
        mac_block_bytes: data under one MAC, for "mac".

    Raises:
        ValueError: there is no such scheme, or the block size is out of range.
    """
    if name not in _SCHEMES:
        raise ValueError(f"no protection scheme {name!r}; there are {', '.join(_SCHEMES)}")
    return _SCHEMES[name](mac_block_bytes)
