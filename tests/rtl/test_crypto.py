# SPDX-License-Identifier: Apache-2.0
"""The cryptographic RTL: AES, GF(2^128), key unit. Simulation in both simulators, and in the form synthesis sees."""

from __future__ import annotations

import pytest

from tb.runner import ROOT, SimulationError, lint_verilog, rtl_sources, run_cocotb

BENCH = ROOT / "tb" / "unit" / "crypto"
AES = [*rtl_sources("aes_sbox", "aes_column", "aes_round", "aes_encrypt", "aes_key_expand"), BENCH / "aes_keyed.v"]
GF = rtl_sources("gf_clmul32", "gf128_mul")
KEY_UNIT = rtl_sources("aes_sbox", "aes_key_expand", "gf_clmul32", "gf128_mul", "key_unit")
SYNTHESIS = {"SYNTHESIS": 1}


@pytest.mark.parametrize("key_w", [128, 256])
def test_aes(key_w: int) -> None:
    run_cocotb(toplevel="aes_keyed", sources=AES, module="tb.unit.crypto.test_aes", parameters={"KEY_W": key_w})


@pytest.mark.parametrize("stages", [1, 2, 3])
def test_gf128_mul(stages: int) -> None:
    run_cocotb(
        toplevel="gf128_mul",
        sources=GF,
        module="tb.unit.crypto.test_gf128_mul",
        parameters={"STAGES": stages},
        extra_env={"STAGES": str(stages)},
    )


@pytest.mark.parametrize(("key_w", "lanes"), [(128, 1), (128, 2), (128, 4), (256, 1)])
def test_key_unit(key_w: int, lanes: int) -> None:
    run_cocotb(
        toplevel="key_unit",
        sources=KEY_UNIT,
        module="tb.unit.crypto.test_key_unit",
        parameters={"KEY_W": key_w, "LANES": lanes},
        extra_env={"LANES": str(lanes)},
    )


def test_aes_as_synthesized() -> None:
    run_cocotb(
        toplevel="aes_keyed",
        sources=AES,
        module="tb.unit.crypto.test_aes",
        parameters={"KEY_W": 128},
        defines=SYNTHESIS,
    )


def test_gf128_mul_as_synthesized() -> None:
    # Verilator only: Icarus needs a minute for the gates of the product.
    run_cocotb(
        sim="verilator",
        toplevel="gf128_mul",
        sources=GF,
        module="tb.unit.crypto.test_gf128_mul",
        parameters={"STAGES": 2},
        defines=SYNTHESIS,
        extra_env={"STAGES": "2"},
    )


@pytest.mark.parametrize("defines", [{}, SYNTHESIS], ids=["simulation", "synthesis"])
@pytest.mark.parametrize(
    ("toplevel", "parameters"),
    [
        ("aes_encrypt", {"KEY_W": 128, "SIDE_W": 1}),
        ("aes_encrypt", {"KEY_W": 256, "SIDE_W": 40}),
        ("aes_key_expand", {"KEY_W": 128}),
        ("aes_key_expand", {"KEY_W": 256}),
        ("gf128_mul", {"STAGES": 1}),
        ("gf128_mul", {"STAGES": 2}),
        ("gf128_mul", {"STAGES": 3}),
        ("key_unit", {"KEY_W": 128, "LANES": 1}),
        ("key_unit", {"KEY_W": 128, "LANES": 2}),
        ("key_unit", {"KEY_W": 256, "LANES": 4}),
    ],
    ids=str,
)
def test_crypto_lint(toplevel: str, parameters: dict[str, int], defines: dict[str, int]) -> None:
    sources = {"aes_encrypt": AES[:-1], "aes_key_expand": AES[:-1], "gf128_mul": GF, "key_unit": KEY_UNIT}
    assert lint_verilog(toplevel, sources[toplevel], parameters, defines=defines) == ""


@pytest.mark.parametrize(
    ("toplevel", "name", "value"),
    [
        ("aes_encrypt", "KEY_W", 192),
        ("aes_key_expand", "KEY_W", 192),
        ("gf128_mul", "STAGES", 0),
        ("gf128_mul", "STAGES", 4),
        ("key_unit", "LANES", 3),
        ("key_unit", "KEY_W", 64),
    ],
)
def test_crypto_illegal_parameter_stops_and_names_the_instance(toplevel: str, name: str, value: int) -> None:
    sources = {"aes_encrypt": AES[:-1], "aes_key_expand": AES[:-1], "gf128_mul": GF, "key_unit": KEY_UNIT}
    with pytest.raises(SimulationError, match=rf"{toplevel}: {name} is {value}, must be"):
        run_cocotb(
            toplevel=toplevel,
            sources=sources[toplevel],
            module="tb.unit.crypto.test_aes",
            parameters={name: value},
            sim="icarus",
        )
