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
    "bursts",
    "commands",
    "faults",
    "must_fail",
    "nist",
    "owed",
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
    """

    name: str
    parameters: dict[str, int]
    simulators: tuple[str, ...]
    modules: tuple[str, ...]


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
            "random",
            "refusals",
            "registers",
            "reset",
            "tensors",
            "wycheproof",
        ),
    ),
    Build(
        "512-large",
        {"DATA_W": 512, "KEY_W": 128, "RD_TXNS": 16, "WR_TXNS": 16, "SLOTS": 16, "ADDR_W": 48},
        ("verilator",),
        ("backpressure", "bursts", "random", "refusals", "registers", "reset", "tensors"),
    ),
    Build("128-aes256", {"DATA_W": 128, "KEY_W": 256}, ("icarus",), ("smoke", "wycheproof")),
)

RUNS = [
    pytest.param(build, simulator, module, id=f"{module}-{build.name}-{simulator}")
    for build in BUILDS
    for simulator in build.simulators
    for module in build.modules
    if simulator in simulators()
]


@pytest.mark.parametrize(("build", "simulator", "module"), RUNS)
def test_engine(build: Build, simulator: str, module: str) -> None:
    run_cocotb(
        toplevel="tensortee_engine",
        sources=rtl_sources(),
        module=f"tb.engine.test_{module}",
        parameters=build.parameters,
        sim=simulator,
        extra_env={"ENGINE_PARAMETERS": json.dumps(build.parameters)},
        timeout_s=800,
    )
