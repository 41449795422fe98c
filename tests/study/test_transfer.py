# SPDX-License-Identifier: Apache-2.0
"""Transfers: closed forms of each scheme, laws between schemes, and what is refused."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensortee.study.hardware import Cpu, Ddr, Link, System
from tensortee.study.hardware.engine_costs import engine_costs
from tensortee.study.system.cpu_runs import REFERENCE_BYTES, stream
from tensortee.study.system.transfer import (
    Direction,
    TransferScheme,
    link_bytes_per_second,
    pipeline_seconds,
    reencryption_dram_share,
    transfer,
)

GB = 1e9
SYSTEM = System()
SCHEMES: list[TransferScheme] = ["plain", "direct", "bounce", "staging"]
DIRECTIONS: list[Direction] = ["to_cpu", "to_npu", "npu_to_npu"]


def test_plain_is_latency_and_payload_rate() -> None:
    moved = transfer(GB, 10, SYSTEM, "plain")
    assert moved.seconds == pytest.approx(2e-6 + GB / (16 * 1.9692e9 * 0.85))
    assert moved.overlaps
    assert moved.crypto_bytes == 0
    assert moved.cpu_dram_bytes == moved.npu_dram_bytes == GB


def test_the_memory_behind_a_link_limits_it() -> None:
    fast = System(link=Link(pcie_generation=6))
    assert link_bytes_per_second(fast) == pytest.approx(38.4e9 * (1 - 0.045))
    four = System(npus=4)
    assert link_bytes_per_second(four) == pytest.approx(38.4e9 * (1 - 0.045) / 4)
    assert link_bytes_per_second(four, "npu_to_npu") == four.link.bytes_per_second


def test_staging_is_the_sum_of_its_stages() -> None:
    moved = transfer(GB, 10, SYSTEM, "staging")
    copy = stream("copy", GB, SYSTEM.cpu, "sgx", 8)
    assert moved.stages["enclave copy"] == pytest.approx(copy.seconds)
    assert moved.seconds == pytest.approx(3 * GB / 8e9 + transfer(GB, 10, SYSTEM, "plain").seconds + copy.seconds)
    assert not moved.overlaps
    assert moved.crypto_bytes == 4 * GB
    assert moved.cpu_dram_bytes == pytest.approx(3 * GB + copy.dram_bytes)
    assert moved.npu_dram_bytes == 5 * GB


def test_staging_between_npus_has_two_passes_at_each_end() -> None:
    moved = transfer(GB, 10, SYSTEM, "staging", direction="npu_to_npu")
    plain = transfer(GB, 10, SYSTEM, "plain", direction="npu_to_npu")
    assert moved.seconds == pytest.approx(4 * GB / 8e9 + plain.seconds)
    assert moved.npu_dram_bytes - plain.npu_dram_bytes == 8 * GB


def test_pipelined_staging_approaches_its_slowest_stage() -> None:
    serial = transfer(GB, 10, SYSTEM, "staging")
    pipelined = transfer(GB, 10, SYSTEM, "staging", pipelined=True)
    slowest = max(pipelined.stages.values())
    assert slowest < pipelined.seconds < 1.02 * slowest
    assert pipelined.seconds < serial.seconds
    assert pipelined.stages == serial.stages


def test_direct_is_plain_and_its_barrier() -> None:
    costs = engine_costs(SYSTEM.npu.engine_data_bits)
    plain = transfer(GB, 300, SYSTEM, "plain").seconds
    cycles = {"to_cpu": costs.close_write_cycles, "to_npu": costs.define_cycles}
    cycles["npu_to_npu"] = sum(cycles.values())
    for direction in DIRECTIONS:
        moved = transfer(GB, 300, SYSTEM, "direct", direction=direction)
        assert moved.seconds == pytest.approx(plain + 300 * cycles[direction] / 1e9)
        assert moved.overlaps
        assert moved.crypto_bytes == 0


def test_many_small_tensors_wait_for_the_trusted_channel() -> None:
    moved = transfer(1000, 1_000_000, SYSTEM, "direct")
    assert moved.stages["trusted channel"] > moved.stages["dma"]
    assert moved.seconds == pytest.approx(moved.stages["trusted channel"] + moved.stages["verification barrier"])


def test_bounce_runs_at_the_rate_of_software_encryption() -> None:
    system = System(link=Link(pcie_generation=5), cpu=Cpu(dram=Ddr(channels=8)))
    moved = transfer(GB, 1, system, "bounce", direction="to_npu")
    assert moved.seconds == pytest.approx(GB * 0.64 / 3.5e9, rel=0.02)
    two = system.model_copy(update={"link": Link(pcie_generation=5, bounce_threads=2)})
    assert transfer(GB, 1, two, "bounce", direction="to_npu").seconds == pytest.approx(moved.seconds / 2, rel=0.05)


def test_reencryption_takes_the_printed_share_of_dram() -> None:
    assert reencryption_dram_share(SYSTEM) == pytest.approx(32 / 38.4)
    assert reencryption_dram_share(SYSTEM) == pytest.approx(0.84, abs=0.01)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_no_scheme_is_faster_than_plain_and_staging_is_slowest(direction: Direction) -> None:
    seconds = [transfer(GB, 300, SYSTEM, scheme, direction=direction).seconds for scheme in SCHEMES]
    assert seconds == sorted(seconds)
    assert seconds[-1] > 3 * seconds[1]


@given(
    nbytes=st.floats(0, 1e11),
    tensors=st.integers(0, 10_000),
    scheme=st.sampled_from(SCHEMES),
    direction=st.sampled_from(DIRECTIONS),
    npus=st.integers(1, 8),
)
def test_faster_links_and_fewer_sharers_are_never_slower(
    nbytes: float, tensors: int, scheme: TransferScheme, direction: Direction, npus: int
) -> None:
    def seconds(generation: int, sharers: int) -> float:
        system = System.model_validate({"npus": sharers, "link": {"pcie_generation": generation}})
        return transfer(nbytes, tensors, system, scheme, direction=direction).seconds

    by_generation = [seconds(generation, npus) for generation in (3, 4, 5, 6)]
    assert by_generation == sorted(by_generation, reverse=True)
    assert seconds(4, npus) <= seconds(4, npus + 1)


@given(stages=st.lists(st.floats(0, 100), min_size=1, max_size=5), pieces=st.integers(1, 10_000))
def test_pipelines_lie_between_slowest_stage_and_sum(stages: list[float], pieces: int) -> None:
    assert max(stages) * (1 - 1e-12) <= pipeline_seconds(stages, pieces) <= sum(stages) * (1 + 1e-12)
    assert pipeline_seconds(stages, 1) == pytest.approx(sum(stages))


def test_nothing_takes_no_time() -> None:
    for scheme in SCHEMES:
        assert transfer(0, 0, SYSTEM, scheme).seconds == 0


@pytest.mark.parametrize(
    ("nbytes", "tensors", "scheme", "direction", "text"),
    [
        (-1, 1, "plain", "to_cpu", "at least zero"),
        (math.inf, 1, "plain", "to_cpu", "at least zero"),
        (1, -1, "plain", "to_cpu", "at least zero"),
        (1, 1, "graviton", "to_cpu", "unknown transfer scheme 'graviton'"),
        (1, 1, "plain", "up", "unknown direction 'up'"),
    ],
)
def test_what_is_out_of_range_is_refused(
    nbytes: float, tensors: int, scheme: TransferScheme, direction: Direction, text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        transfer(nbytes, tensors, SYSTEM, scheme, direction=direction)


def test_streams_of_the_cpu_scale_with_their_bytes() -> None:
    once, twice = (stream("copy", size, SYSTEM.cpu, "sgx", 8) for size in (REFERENCE_BYTES, 2 * REFERENCE_BYTES))
    assert twice.seconds == 2 * once.seconds
    assert once.data_bytes == pytest.approx(3 * REFERENCE_BYTES, rel=0.3)
    assert once.dram_bytes > once.data_bytes
    plain = stream("copy", REFERENCE_BYTES, SYSTEM.cpu, "none", 8)
    assert plain.dram_bytes == plain.data_bytes
    assert plain.seconds < once.seconds
