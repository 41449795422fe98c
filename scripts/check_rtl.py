# SPDX-License-Identifier: Apache-2.0
"""Lint the RTL with three tools; part of ``make lint``.

* ``verilator --lint-only -Wall`` of the engine for every data and key width, as simulated and as synthesized
  (``SYNTHESIS`` selects the other coding of the AES round);
* Icarus Verilog, which has to elaborate every configuration;
* Yosys, which has to read and elaborate the engine without warnings about its meaning.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import tempfile
from pathlib import Path

from scripts.yosys import YosysError, elaborate
from tb.runner import RTL, SimulationError, lint_verilog, require_tools, rtl_sources

TOP = "tensortee_engine"
DATA_W = (128, 256, 512)
KEY_W = (128, 256)


def lint_icarus(parameters: dict[str, int]) -> str:
    """Messages of Icarus Verilog on one configuration of the engine, empty if there are none."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["iverilog", "-g2005", "-Wall", "-Wno-timescale", f"-I{RTL / 'include'}", "-s", TOP]
        command += [f"-P{TOP}.{name}={value}" for name, value in parameters.items()]
        command += ["-o", str(Path(folder) / "out.vvp"), *map(str, rtl_sources())]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    return (result.stdout + result.stderr).strip()


def main() -> int:
    """Command line entry."""
    bad = 0
    try:
        require_tools("verilator", "iverilog")
        for data_w, key_w in itertools.product(DATA_W, KEY_W):
            parameters = {"DATA_W": data_w, "KEY_W": key_w}
            for tool, messages in (
                ("verilator", lint_verilog(TOP, rtl_sources(), parameters)),
                ("verilator SYNTHESIS", lint_verilog(TOP, rtl_sources(), parameters, defines={"SYNTHESIS": 1})),
                ("icarus", lint_icarus(parameters)),
            ):
                print(f"rtl: {TOP} DATA_W={data_w} KEY_W={key_w} {tool}: {'messages' if messages else 'clean'}")
                if messages:
                    print(messages, file=sys.stderr)
                    bad += 1
        messages = elaborate(TOP, rtl_sources(), RTL / "include")
        print(f"rtl: {TOP} yosys: {'messages' if messages else 'clean'}")
        if messages:
            print(messages, file=sys.stderr)
            bad += 1
    except (SimulationError, YosysError) as error:
        print(f"rtl: {error}", file=sys.stderr)
        return 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
