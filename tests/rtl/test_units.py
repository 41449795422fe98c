# SPDX-License-Identifier: Apache-2.0
"""Parts of the engine alone, each against a model of its own: power_ring, write_map, txn_table."""

from __future__ import annotations

import pytest

from tb.runner import rtl_sources, run_cocotb


def test_power_ring() -> None:
    run_cocotb(
        toplevel="power_ring",
        sources=rtl_sources("ram_1r1w", "gf_clmul32", "gf128_mul", "power_ring"),
        module="tb.unit.crypto.test_power_ring",
        parameters={"TAG_W": 4},
    )


@pytest.mark.parametrize(("slots", "map_words"), [(2, 4), (16, 256), (2, 1024)])
def test_write_map(slots: int, map_words: int) -> None:
    parameters = {"SLOTS": slots, "SLOT_W": slots.bit_length() - 1, "MAP_WORDS": map_words}
    run_cocotb(
        toplevel="write_map",
        sources=rtl_sources("ram_1r1w", "write_map"),
        module="tb.unit.tensor.test_write_map",
        parameters=parameters,
        extra_env={name: str(value) for name, value in parameters.items()},
    )


@pytest.mark.parametrize(("entries", "id_w"), [(4, 1), (16, 4)])
def test_txn_table(entries: int, id_w: int) -> None:
    parameters = {"N": entries, "ID_W": id_w}
    run_cocotb(
        toplevel="txn_table",
        sources=rtl_sources("txn_table"),
        module="tb.unit.axi.test_txn_table",
        parameters=parameters,
        extra_env={name: str(value) for name, value in parameters.items()},
    )
