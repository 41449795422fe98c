# SPDX-License-Identifier: Apache-2.0
"""The whole engine in the pyuvm environment: every test module on several builds, in both simulators."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from tb.runner import rtl_sources, run_cocotb, simulators

MODULES = (
    "attacks",
    "backpressure",
    "blanked",
    "bursts",
    "commands",
    "erasure",
    "faults",
    "flood",
    "must_fail",
    "nist",
    "owed",
    "phase",
    "random",
    "refusals",
    "registers",
    "reset",
    "smoke",
    "tensors",
    "wycheproof",
)


@dataclass(frozen=True)
class Build:
    """A set of parameters of ``tensortee_engine`` and the modules that run on it.

    Attributes:
        name: short name in the test's identifier.
        parameters: Verilog parameters; the others keep their defaults.
        simulators: where it runs.
        modules: test modules of ``tb.engine``.
        nightly: further modules, in the nightly tier.
    """

    name: str
    parameters: dict[str, int]
    simulators: tuple[str, ...]
    modules: tuple[str, ...]
    nightly: tuple[str, ...] = ()


BUILDS = (
    Build("128", {"DATA_W": 128, "KEY_W": 128}, ("verilator", "icarus"), MODULES),
    Build(
        "256-aes256-small",
        {
            "DATA_W": 256,
            "KEY_W": 256,
            "ADDR_W": 32,
            "ID_W": 2,
            "SLOTS": 8,
            "RD_TXNS": 4,
            "WR_TXNS": 4,
            "KS_DEPTH": 64,
            "MAP_WORDS": 4,
            "VERSION_W": 4,
            "OWNER": 9,
        },
        ("verilator",),
        (
            "attacks",
            "backpressure",
            "bursts",
            "commands",
            "erasure",
            "random",
            "refusals",
            "registers",
            "reset",
            "tensors",
            "wycheproof",
        ),
        ("faults",),
    ),
    Build(
        "512-large",
        {"DATA_W": 512, "KEY_W": 128, "RD_TXNS": 16, "WR_TXNS": 16, "SLOTS": 16, "ADDR_W": 48},
        ("verilator",),
        ("backpressure", "bursts", "random", "refusals", "registers", "reset", "tensors"),
        ("erasure",),
    ),
    Build("128-aes256", {"DATA_W": 128, "KEY_W": 256}, ("icarus",), ("smoke", "wycheproof")),
    Build(
        "128-2-slots",
        {"DATA_W": 128, "SLOTS": 2, "ID_W": 1, "MAP_WORDS": 1024, "RD_TXNS": 4, "WR_TXNS": 16},
        ("verilator",),
        ("smoke", "random"),
        ("backpressure", "bursts", "commands", "owed", "registers", "tensors"),
    ),
    Build(
        "128-64-slots",
        {"DATA_W": 128, "SLOTS": 64, "ID_W": 16, "MAP_WORDS": 1024, "RD_TXNS": 4, "WR_TXNS": 8},
        ("verilator",),
        ("smoke", "random"),
        ("attacks", "backpressure", "bursts", "commands", "owed", "refusals", "registers", "reset", "tensors"),
    ),
)
LONG_MODULES = ("random",)
LONG_ROUNDS = 400
LONG_SEEDS = range(2, 6)

RUNS = [
    pytest.param(
        build,
        simulator,
        module,
        marks=[pytest.mark.nightly] * (module in build.nightly),
        id=f"{module}-{build.name}-{simulator}",
    )
    for build in BUILDS
    for simulator in build.simulators
    for module in build.modules + build.nightly
    if simulator in simulators()
]
LONG_RUNS = [
    pytest.param(build, module, seed, id=f"{module}-{build.name}-{seed}")
    for build in BUILDS
    for module in LONG_MODULES
    for seed in LONG_SEEDS
    if module in build.modules and "verilator" in build.simulators and "verilator" in simulators()
]


def run(
    build: Build,
    simulator: str,
    module: str,
    *,
    seed: int | None = None,
    test_filter: str | None = None,
    variables: dict[str, str] | None = None,
    timeout_s: int = 800,
) -> None:
    """Run a module, or those of its tests that the filter finds, on a build."""
    run_cocotb(
        toplevel="tensortee_engine",
        sources=rtl_sources(),
        module=f"tb.engine.test_{module}",
        parameters=build.parameters,
        sim=simulator,
        seed=seed,
        test_filter=test_filter,
        extra_env={"ENGINE_PARAMETERS": json.dumps(build.parameters), **(variables or {})},
        timeout_s=timeout_s,
    )


@pytest.mark.parametrize(("build", "simulator", "module"), RUNS)
def test_engine(build: Build, simulator: str, module: str) -> None:
    run(build, simulator, module)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("build", "module", "seed"), LONG_RUNS)
def test_engine_long(build: Build, module: str, seed: int) -> None:
    run(build, "verilator", module, seed=seed, variables={"ENGINE_ROUNDS": str(LONG_ROUNDS)}, timeout_s=3000)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("simulator", [name for name in simulators() if name == "verilator"])
def test_zeroize_at_every_cycle_of_key_setup(simulator: str) -> None:
    every = {"SETUP_STRIDE": "1"}
    run(BUILDS[0], simulator, "erasure", test_filter="ZeroizeDuringSetup", variables=every, timeout_s=3000)
