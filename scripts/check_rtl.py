# SPDX-License-Identifier: Apache-2.0
"""Lint the RTL with three tools; part of ``make lint``.

* ``verilator --lint-only -Wall`` of the engine for every data and key width, and of the modules that have a second
  coding for synthesis (macro ``SYNTHESIS``);
* Icarus Verilog, which has to elaborate every configuration;
* Yosys, which has to read and elaborate the engine without warnings about its meaning.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from scripts.yosys import YosysError, elaborate
from tb.runner import RTL, SimulationError, lint_verilog, require_tools, rtl_sources

TOP = "tensortee_engine"
DATA_W = (128, 256, 512)
KEY_W = (128, 256)
STYLES = ("aes_round", "gf_clmul32")


def lint_icarus(parameters: dict[str, int]) -> str:
    """Messages of Icarus Verilog on one configuration of the engine, empty if there are none."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["iverilog", "-g2005", "-Wall", "-Wno-timescale", f"-I{RTL / 'include'}", "-s", TOP]
        command += [f"-P{TOP}.{name}={value}" for name, value in parameters.items()]
        command += ["-o", str(Path(folder) / "out.vvp"), *map(str, rtl_sources())]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    return (result.stdout + result.stderr).strip()


def checks() -> list[tuple[str, Callable[[], str]]]:
    """Name of each check, and the function that returns its messages."""
    result: list[tuple[str, Callable[[], str]]] = []
    for data_w, key_w in itertools.product(DATA_W, KEY_W):
        parameters = {"DATA_W": data_w, "KEY_W": key_w}
        label = f"{TOP} DATA_W={data_w} KEY_W={key_w}"
        result.append((f"{label} verilator", partial(lint_verilog, TOP, rtl_sources(), parameters)))
        result.append((f"{label} icarus", partial(lint_icarus, parameters)))
    for module in STYLES:
        synthesis = partial(lint_verilog, module, rtl_sources(), defines={"SYNTHESIS": 1})
        result.append((f"{module} SYNTHESIS verilator", synthesis))
    result.append((f"{TOP} yosys", partial(elaborate, TOP, rtl_sources(), RTL / "include")))
    return result


def main() -> int:
    """Command line entry."""
    bad = 0
    try:
        require_tools("verilator", "iverilog")
        todo = checks()
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for (name, _), messages in zip(todo, pool.map(lambda check: check[1](), todo), strict=True):
                print(f"rtl: {name}: {'messages' if messages else 'clean'}", flush=True)
                if messages:
                    print(messages, file=sys.stderr)
                    bad += 1
    except (SimulationError, YosysError) as error:
        print(f"rtl: {error}", file=sys.stderr)
        return 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
