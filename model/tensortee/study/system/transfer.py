# SPDX-License-Identifier: Apache-2.0
"""Transfer of tensors between the memories of CPU and NPU under four schemes.

*plain*: DMA, nothing protected. *staging*: the memories are encrypted with keys of their own, so data is decrypted,
encrypted for the way, sent, decrypted and encrypted again (Graviton, OSDI 2018), store and forward. *direct*: both ends
hold one key, so the ciphertext is sent as it lies in DRAM, and a trusted channel carries version and tag of each tensor
beside it. *bounce*: the CPU encrypts pieces by software into an open buffer, from which the device fetches and decrypts
them (confidential computing of NVIDIA's H100).

All links of a system are busy at the same time, so each has its share of the CPU's memory, AES engine and cores.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from tensortee.study.hardware import System
from tensortee.study.hardware.conservation import at_most, not_negative
from tensortee.study.hardware.engine_costs import engine_costs
from tensortee.study.system.cpu_runs import stream

TransferScheme = Literal["plain", "staging", "direct", "bounce"]
Direction = Literal["to_cpu", "to_npu", "npu_to_npu"]


@dataclass(frozen=True, slots=True)
class Transfer:
    """A transfer over one link.

    Attributes:
        scheme: scheme.
        direction: from where to where.
        nbytes: bytes of data.
        tensors: tensors in it.
        seconds: first byte read to last byte usable, seconds.
        stages: time of each stage by itself, seconds.
        overlaps: whether the NPU can compute meanwhile.
        crypto_bytes: bytes that pass an AES engine or AES instructions on the way, both ends together.
        cpu_dram_bytes: bytes to and from the CPU's DRAM.
        npu_dram_bytes: bytes to and from the NPUs' DRAM.
    """

    scheme: TransferScheme
    direction: Direction
    nbytes: float
    tensors: int
    seconds: float
    stages: dict[str, float]
    overlaps: bool
    crypto_bytes: float
    cpu_dram_bytes: float
    npu_dram_bytes: float


def transfer(
    nbytes: float,
    tensors: int,
    system: System,
    scheme: TransferScheme,
    *,
    direction: Direction = "to_cpu",
    pipelined: bool = False,
    threads: int | None = None,
) -> Transfer:
    """Move tensors over one link while the system's other links do the same.

    Args:
        nbytes: bytes of data over this link.
        tensors: tensors in it.
        system: hardware.
        scheme: "plain", "staging", "direct" or "bounce".
        direction: "to_cpu", "to_npu" or "npu_to_npu".
        pipelined: let the stages of "staging" work on different pieces at the same time (kinder than the paper, whose
            stages contend for AES engine and DRAM and so serialise).
        threads: threads of the CPU's copy into or out of the enclave; None: all cores.

    Raises:
        ValueError: an argument is out of range or unknown.
        ConservationError: the result breaks a conservation law.
    """
    if not (math.isfinite(nbytes) and nbytes >= 0) or tensors < 0:
        raise ValueError(f"a transfer has a size of at least zero, not {nbytes} bytes in {tensors} tensors")
    if direction not in ("to_cpu", "to_npu", "npu_to_npu"):
        raise ValueError(f"unknown direction {direction!r}: to_cpu, to_npu or npu_to_npu")
    threads = system.cpu.cores if threads is None else threads
    if scheme == "plain":
        stages = {"dma": _dma_seconds(nbytes, system, direction)}
        seconds = stages["dma"]
    elif scheme == "staging":
        stages = _staging_stages(nbytes, system, direction, threads)
        seconds = pipeline_seconds(list(stages.values()), _pieces(nbytes, system) if pipelined else 1)
    elif scheme == "direct":
        stages = {
            "dma": _dma_seconds(nbytes, system, direction),
            "trusted channel": _dma_seconds(tensors * system.link.control_channel_bytes, system, direction),
            "verification barrier": _barrier_seconds(tensors, system, direction),
        }
        seconds = max(stages["dma"], stages["trusted channel"]) + stages["verification barrier"]
    elif scheme == "bounce":
        stages = _bounce_stages(nbytes, system, direction)
        seconds = pipeline_seconds(list(stages.values()), _pieces(nbytes, system))
    else:
        raise ValueError(f"unknown transfer scheme {scheme!r}: plain, staging, direct or bounce")
    cpu_bytes, npu_bytes = _dram_bytes(nbytes, system, scheme, direction, threads)
    passes = {"plain": 0, "direct": 0, "staging": 4, "bounce": 2}[scheme]
    result = Transfer(
        scheme=scheme,
        direction=direction,
        nbytes=nbytes,
        tensors=tensors,
        seconds=seconds,
        stages=stages,
        overlaps=scheme != "staging",
        crypto_bytes=passes * nbytes,
        cpu_dram_bytes=cpu_bytes,
        npu_dram_bytes=npu_bytes,
    )
    _check(result, system)
    return result


def pipeline_seconds(stages: list[float], pieces: int) -> float:
    """Time of stages in a row that work on equal pieces, each stage on one piece at a time, seconds.

    With one piece it is the sum of the stages (store and forward), with many it approaches the slowest stage.
    """
    return (sum(stages) + (pieces - 1) * max(stages)) / pieces


def link_bytes_per_second(system: System, direction: Direction = "to_cpu") -> float:
    """Rate of a DMA over one link: that of the link or of the slowest memory at its ends, bytes per second."""
    npu = system.npu.dram_bytes_per_second * system.npu.dram_efficiency
    ends = min(system.link.bytes_per_second, npu)
    return ends if direction == "npu_to_npu" else min(ends, _cpu_bytes_per_second(system))


def _cpu_bytes_per_second(system: System) -> float:
    """Share of the CPU's memory bandwidth that one link has, bytes per second."""
    return system.cpu.dram.bytes_per_second * (1 - system.cpu.dram.refresh_share) / system.npus


def reencryption_dram_share(system: System) -> float:
    """Share of the CPU's memory bandwidth that re-encryption takes at the full rate of its engine.

    The data is read and written by the decryption and again by the encryption: four times the rate of the engine. Above
    1 the memory, not the engine, is the limit.
    """
    return 4 * system.link.staging_aes_bytes_per_second / system.cpu.dram.bytes_per_second


def _dma_seconds(nbytes: float, system: System, direction: Direction) -> float:
    return system.link.latency_s + nbytes / link_bytes_per_second(system, direction) if nbytes else 0.0


def _pieces(nbytes: float, system: System) -> int:
    return max(1, math.ceil(nbytes / system.link.bounce_buffer_bytes))


def _staging_stages(nbytes: float, system: System, direction: Direction, threads: int) -> dict[str, float]:
    """Stages in the order of a transfer to the CPU.

    The half of a re-encryption that touches the CPU's enclave is a copy by its cores under SGX-like protection: each
    line is encrypted or decrypted with the version number and MAC of its own. The other halves run at the rate of an
    AES engine.
    """
    engine = nbytes / system.link.staging_aes_bytes_per_second
    dma = _dma_seconds(nbytes, system, direction)
    if direction == "npu_to_npu":
        return {
            "source decryption": engine,
            "source encryption": engine,
            "dma": dma,
            "target decryption": engine,
            "target encryption": engine,
        }
    shared = system.npus
    copy = stream("copy", nbytes, system.cpu, "sgx", threads).seconds
    cpu = {"enclave copy": shared * copy, "CPU engine": shared * engine}
    return {"NPU decryption": engine, "NPU encryption": engine, "dma": dma, **cpu}


def _bounce_stages(nbytes: float, system: System, direction: Direction) -> dict[str, float]:
    """Encryption, DMA and decryption; the device keeps up with its memory, the CPU's cores with their instructions."""
    device = nbytes / (system.npu.dram_bytes_per_second * system.npu.dram_efficiency)
    latency = _pieces(nbytes, system) * system.link.latency_s if nbytes else 0.0
    dma = latency + nbytes / link_bytes_per_second(system, direction)
    if direction == "npu_to_npu":
        return {"source device": device, "dma": dma, "target device": device}
    rate = system.link.bounce_threads * system.cpu.clock_hz / system.link.bounce_aes_cycles_per_byte
    return {"CPU AES-GCM": nbytes / min(rate, _cpu_bytes_per_second(system) / 2), "dma": dma, "device": device}


def _barrier_seconds(tensors: int, system: System, direction: Direction) -> float:
    """Closing the windows of what leaves an NPU, and defining versions and tags of what arrives at one."""
    costs = engine_costs(system.npu.engine_data_bits)
    leaving = costs.close_write_cycles if direction != "to_npu" else 0
    arriving = costs.define_cycles if direction != "to_cpu" else 0
    return tensors * (leaving + arriving) / system.npu.clock_hz


def _dram_bytes(
    nbytes: float, system: System, scheme: TransferScheme, direction: Direction, threads: int
) -> tuple[float, float]:
    """Bytes to and from the DRAM of the CPU and of the NPUs.

    A DMA reads once and writes once. A pass of re-encryption reads and writes once more; on the CPU the copy into or
    out of the enclave brings its metadata.
    """
    if direction == "npu_to_npu":
        return 0.0, 2 * nbytes + (8 * nbytes if scheme == "staging" else 0.0)
    if scheme == "staging":
        copy = stream("copy", nbytes, system.cpu, "sgx", threads).dram_bytes
        return nbytes + 2 * nbytes + copy, nbytes + 4 * nbytes
    return nbytes + (2 * nbytes if scheme == "bounce" else 0.0), nbytes


def _check(result: Transfer, system: System) -> None:
    """No stage runs backwards, no link faster than its peak, and no scheme faster than its slowest stage."""
    for stage, seconds in result.stages.items():
        not_negative(f"transfer, {stage}", seconds)
        at_most(f"transfer, {stage}", seconds, result.seconds)
    if result.nbytes:
        at_most("transfer rate", result.nbytes / result.seconds, system.link.bytes_per_second)
    not_negative("transfer", result.seconds)
