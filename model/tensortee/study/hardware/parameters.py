# SPDX-License-Identifier: Apache-2.0
"""Hardware of the study: one set of parameters for everything that is predicted.

The defaults are the set-up of the TensorTEE paper (CPU of 8 cores with two channels of DDR4-2400, TPUv3-like NPU with
128 GB/s of GDDR5, PCIe 4.0 x16). Sizes are in bytes, rates in bytes per second, times in seconds or clock cycles as the
unit says.
"""

from __future__ import annotations

from typing import Literal

from tensortee.study.hardware.units import PAPER, Origin, Parameters, parameter

LINE_BYTES = 64
"""Bytes of a line: the unit of every DRAM access, of a version number and of a line MAC."""

PCIE_BYTES_PER_SECOND_PER_LANE = {3: 0.9846e9, 4: 1.9692e9, 5: 3.9385e9, 6: 7.5625e9}
"""Rate of a lane in one direction after line coding: 8, 16, 32 GT/s with 128b/130b; 64 GT/s with 242B/256B flits."""

ADAM = "Adam under SGX: 2.64 x with 4 threads, up to 3.7 x with 8 (ASPLOS 2024); the four inputs chosen together"
"""The printed numbers that the calibrated inputs were chosen by."""

Q, M, C = Origin.QUOTED, Origin.MODELLED, Origin.CALIBRATED


class Ddr(Parameters):
    """DRAM of the CPU: banks with open rows behind channels."""

    channels: int = parameter(2, "1", Q, PAPER, "Channels.", ge=1, le=16)
    ranks: int = parameter(
        2, "1", M, "64 GiB on two channels in ranks of 16 GiB (16 Gbit x8)", "Ranks of a channel.", ge=1, le=8
    )
    banks: int = parameter(16, "1", Q, "JEDEC JESD79-4, x8 device", "Banks of a rank.", ge=1, le=128)
    row_bytes: int = parameter(8192, "bytes", Q, "JEDEC JESD79-4, x8 device, 64-bit channel", "Row of a bank.", ge=64)
    bytes_per_second_per_channel: float = parameter(
        19.2e9, "bytes/s", Q, "DDR4-2400, 64 bit", "Peak rate of a channel.", gt=0
    )
    t_cas_ns: float = parameter(
        14.16, "ns", Q, "JEDEC JESD79-4, DDR4-2400R (17-17-17)", "Read command to data (CL).", gt=0
    )
    t_rcd_ns: float = parameter(14.16, "ns", Q, "JEDEC JESD79-4, DDR4-2400R", "Activate to read or write.", gt=0)
    t_rp_ns: float = parameter(14.16, "ns", Q, "JEDEC JESD79-4, DDR4-2400R", "Precharge.", gt=0)
    t_ras_ns: float = parameter(32.0, "ns", Q, "JEDEC JESD79-4, DDR4-2400", "Activate to precharge.", gt=0)
    t_faw_ns: float = parameter(
        21.0, "ns", Q, "JEDEC JESD79-4, DDR4-2400, 1 KiB page", "Window of four activates of a rank.", gt=0
    )
    t_turnaround_ns: float = parameter(7.5, "ns", Q, "JEDEC JESD79-4, tWTR_L", "Bus turn from writes to reads.", ge=0)
    refresh_share: float = parameter(
        0.045, "1", Q, "JEDEC JESD79-4: tRFC 350 ns / tREFI 7.8 us", "Share of time lost to refresh.", ge=0, lt=1
    )
    write_queue_lines: int = parameter(
        32, "lines", M, "usual size of a controller's write queue", "Writes that drain together.", ge=1
    )
    controller_ns: float = parameter(
        30.0, "ns", C, ADAM, "Latency outside of the DRAM device: on-chip network and controller.", ge=0
    )

    @property
    def bytes_per_second(self) -> float:
        """Peak rate of all channels."""
        return self.channels * self.bytes_per_second_per_channel


class Cpu(Parameters):
    """CPU with its memory protection."""

    cores: int = parameter(8, "1", Q, PAPER, "Cores.", ge=1, le=64)
    clock_hz: float = parameter(3.5e9, "Hz", Q, PAPER, "Clock.", gt=0)
    llc_bytes: int = parameter(9 << 20, "bytes", Q, PAPER, "Last-level cache.", ge=4096)
    llc_ways: int = parameter(8, "1", Q, PAPER, "Ways of the last-level cache.", ge=1, le=32)
    outstanding_lines: int = parameter(6, "lines", C, ADAM, "Line misses that a core has under way.", ge=1, le=64)
    adam_cycles_per_element: float = parameter(
        12.0,
        "cycles",
        C,
        ADAM,
        "Arithmetic of Adam for one parameter on one core.",
        gt=0,
    )
    copy_cycles_per_line: float = parameter(
        8.0, "cycles", M, "two vector loads and stores a line, with loop", "Arithmetic of a copy or conversion.", gt=0
    )
    macs_per_cycle: float = parameter(
        8.0, "1", M, "one 256-bit fused multiply-add of fp32", "Multiply-adds of a core in a cycle, GEMM.", gt=0
    )
    metadata_cache_bytes: int = parameter(
        32 << 10, "bytes", Q, PAPER, "Cache of version numbers, MACs and tree nodes.", ge=4096
    )
    metadata_cache_ways: int = parameter(
        8, "1", M, "usual for a cache of this size", "Ways of the metadata cache.", ge=1, le=32
    )
    metadata_misses: int = parameter(3, "1", C, ADAM, "Misses of the metadata cache under way.", ge=1, le=64)
    aes_cycles: int = parameter(40, "cycles", Q, PAPER, "Latency of AES-128, CPU clock.", ge=0)
    mac_cycles: int = parameter(40, "cycles", Q, PAPER, "Latency of a line MAC, CPU clock.", ge=0)
    tree_arity: int = parameter(8, "1", Q, PAPER, "Children of a tree node.", ge=2, le=64)
    protected_bytes: int = parameter(
        128 << 30,
        "bytes",
        M,
        "holds 16 bytes a parameter of the largest model of the paper; sets the height of the tree",
        "Protected memory.",
        ge=1 << 20,
        le=1 << 41,
    )
    meta_table_entries: int = parameter(512, "1", Q, PAPER, "Entries of TenAnalyzer's Meta Table.", ge=1, le=1 << 16)
    filter_entries: int = parameter(10, "1", Q, PAPER, "Entries of the Tensor Filter.", ge=1, le=256)
    filter_addresses: int = parameter(4, "1", Q, PAPER, "Addresses of a filter entry.", ge=2, le=16)
    filter_patience: int = parameter(
        64,
        "look-ups",
        M,
        "more than the 32 streams of Adam on 8 threads",
        "Look-ups that a filter entry is kept without progress.",
        ge=0,
    )
    merge_candidates: int = parameter(
        8, "1", M, "the paper: 'a few recently updated ones'", "Entries tried for a merge.", ge=0, le=512
    )
    dram: Ddr = Ddr()


class Npu(Parameters):
    """NPU: output-stationary systolic array, scratchpad, DRAM behind encryption engines."""

    clock_hz: float = parameter(1e9, "Hz", Q, PAPER, "Clock.", gt=0)
    array_rows: int = parameter(512, "1", Q, PAPER, "Rows of processing elements.", ge=1)
    array_columns: int = parameter(512, "1", Q, PAPER, "Columns of processing elements.", ge=1)
    scratchpad_bytes: int = parameter(32 << 20, "bytes", Q, PAPER, "On-chip memory of tiles.", ge=4096)
    accumulator_bytes: int = parameter(4, "bytes", M, "fp32 sums of fp16 products", "One partial sum.", ge=1)
    dram_capacity_bytes: float = parameter(40e9, "bytes", Q, PAPER, "Size of the NPU's DRAM.", gt=0)
    dram_bytes_per_second: float = parameter(128e9, "bytes/s", Q, PAPER, "Peak rate of the NPU's DRAM.", gt=0)
    dram_efficiency: float = parameter(
        0.9,
        "1",
        M,
        "refresh, turnaround and row misses of long bursts",
        "Share of the peak rate that long bursts reach.",
        gt=0,
        le=1,
    )
    channels: int = parameter(
        16,
        "1",
        M,
        "128 GB/s in channels of one 8 GB/s engine",
        "Channels, each with an encryption engine of its rate.",
        ge=1,
    )
    matrix_layout: Literal["blocks", "rows"] = parameter(
        "blocks",
        "1",
        M,
        "compilers for such NPUs store matrices in blocks that tiles are made of",
        "Order of a matrix that tiles cut in both directions; by rows, MAC blocks are cut too.",
    )
    descriptor_bytes: int = parameter(
        512 << 10,
        "bytes",
        M,
        "fp16 operand of one tile of the array: 512 x 512 x 2 bytes",
        "Data of one DMA descriptor; block MACs make the next one wait.",
        ge=64,
    )
    mac_cycles: int = parameter(40, "cycles", Q, PAPER, "Latency of a block MAC, NPU clock.", ge=0)
    version_lookup_cycles: int = parameter(
        500,
        "cycles",
        M,
        "a command from the enclave on the CPU with the version of a tensor",
        "TNPU: NPU cycles until the version of a tensor is there.",
        ge=0,
    )
    mac_bytes: int = parameter(7, "bytes", Q, PAPER + ": 56-bit MACs", "MAC of a block in DRAM.", ge=1, le=64)
    tensor_table_slots: int = parameter(
        16, "1", Origin.MEASURED, "rtl/tensortee_engine.v, SLOTS", "Tensors that the engine holds at a time.", ge=1
    )
    write_map_words: int = parameter(
        256,
        "words of 64 lines",
        Origin.MEASURED,
        "rtl/tensortee_engine.v, MAP_WORDS",
        "Window of written lines that the engine keeps for a tensor.",
        ge=4,
    )
    engine_data_bits: Literal[128, 256, 512] = parameter(
        512, "bits", M, "one line per beat", "Data width of the engine whose measured figures are used."
    )


class Link(Parameters):
    """PCIe between CPU and NPU, with what the two ends do to the data."""

    pcie_generation: Literal[3, 4, 5, 6] = parameter(4, "1", Q, PAPER, "PCIe generation.")
    lanes: int = parameter(16, "1", Q, PAPER, "Lanes.", ge=1, le=32)
    efficiency: float = parameter(
        0.85,
        "1",
        M,
        "256-byte packets with 24 to 28 bytes of header, flow control",
        "Payload share of the link rate.",
        gt=0,
        le=1,
    )
    latency_s: float = parameter(2e-6, "s", M, "doorbell, descriptor fetch, completion", "Start of one transfer.", ge=0)
    staging_aes_bytes_per_second: float = parameter(
        8e9, "bytes/s", Q, PAPER + ": one AES engine gives 8 GB/s", "AES rate of a re-encryption at either end.", gt=0
    )
    bounce_buffer_bytes: int = parameter(
        4 << 20,
        "bytes",
        M,
        "size of a staging slot in H100-style bounce buffers",
        "Piece that is encrypted, sent and decrypted at a time.",
        ge=4096,
    )
    bounce_aes_cycles_per_byte: float = parameter(
        0.64,
        "cycles/byte",
        Q,
        "Drucker, Gueron, Krasnov, 'Making AES great again' (2018): AES-GCM on one core with AES-NI",
        "Software AES-GCM of a bounce-buffer copy, CPU clock.",
        gt=0,
    )
    bounce_threads: int = parameter(
        1, "1", M, "a copy is encrypted by the thread that calls it", "Cores that encrypt one bounce-buffer copy.", ge=1
    )
    control_channel_bytes: int = parameter(
        64,
        "bytes",
        M,
        "version, MAC, address, size of a tensor in a sealed packet",
        "Trusted-channel packet of a tensor.",
        ge=1,
    )

    @property
    def bytes_per_second(self) -> float:
        """Payload rate in one direction."""
        return PCIE_BYTES_PER_SECOND_PER_LANE[self.pcie_generation] * self.lanes * self.efficiency


class Energy(Parameters):
    """Energy of an event. The numbers come from several technologies: they rank causes and give no power budget."""

    cpu_dram_pj_per_bit: float = parameter(
        20.3, "pJ/bit", Q, "Horowitz, ISSCC 2014: DRAM 1.3 to 2.6 nJ per 64 bits", "DRAM of the CPU.", ge=0
    )
    npu_dram_pj_per_bit: float = parameter(
        14.0, "pJ/bit", Q, "O'Connor et al., MICRO 2017: GDDR5", "DRAM of the NPU.", ge=0
    )
    link_pj_per_bit: float = parameter(
        10.0, "pJ/bit", Q, "Arunkumar et al., ISCA 2017: link across a board", "PCIe, both ends.", ge=0
    )
    aes_pj_per_bit: float = parameter(
        2.36, "pJ/bit", Q, "Mathew et al., JSSC 2011: 53 Gbit/s at 125 mW, 45 nm", "AES-128 in hardware.", ge=0
    )
    hash_pj_per_bit: float = parameter(
        0.39,
        "pJ/bit",
        M,
        "16 products of 32 bits at 3.1 pJ (Horowitz, ISSCC 2014, 45 nm) for 128 bits",
        "MAC of the data.",
        ge=0,
    )
    npu_mac_pj: float = parameter(
        2.0,
        "pJ",
        Q,
        "Horowitz, ISSCC 2014, 45 nm: fp16 product 1.1 pJ and fp32 sum 0.9 pJ",
        "Multiply-accumulate of the NPU.",
        ge=0,
    )
    npu_background_w: float = parameter(
        123.0,
        "W",
        Q,
        "Jouppi et al., ISCA 2023: TPU v3, idle",
        "NPU that waits or computes, without the events above.",
        ge=0,
    )


class System(Parameters):
    """A host with one or more NPUs."""

    cpu: Cpu = Cpu()
    npu: Npu = Npu()
    link: Link = Link()
    energy: Energy = Energy()
    npus: int = parameter(1, "1", Q, PAPER, "NPUs, each with its own link; data parallel.", ge=1, le=64)
    gradient_bucket_elements: int = parameter(
        500_000_000,
        "elements",
        Q,
        "DeepSpeed ZeRO documentation: reduce_bucket_size",
        "Gradients that are sent together.",
        ge=1,
    )
