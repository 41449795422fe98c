# SPDX-License-Identifier: Apache-2.0
"""Print how fast the cryptographic blocks simulate: ``python -m tb.unit.crypto.speed [--synthesized]``.

Four lanes of each block, each busy in every cycle, so that a cycle is one 64-byte line. Figures are *measured*, in
processor time of the simulator. Both simulators, and with ``--synthesized`` (slow to build) both forms of the blocks,
must compute the same.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tb.runner import BUILD, ROOT, rtl_sources, run_cocotb

BENCH = Path(__file__).resolve().parent
BLOCKS = {
    "aes_lanes": rtl_sources("aes_sbox", "aes_column", "aes_round", "aes_encrypt", "aes_key_expand"),
    "gf_lanes": rtl_sources("gf_clmul32", "gf128_mul"),
}
CYCLES = {"icarus": 1_000, "verilator": 200_000}
CYCLES_SYNTHESIZED = {"icarus": 50, "verilator": 20_000}


def main() -> int:
    """Command line entry."""
    parser = argparse.ArgumentParser(prog="python -m tb.unit.crypto.speed", description="Measure simulation speed.")
    parser.add_argument("--synthesized", action="store_true", help="measure the form that is synthesized, too")
    forms: dict[str, tuple[dict[str, int], dict[str, int]]] = {"simulated": ({}, CYCLES)}
    if parser.parse_args().synthesized:
        forms["synthesized"] = ({"SYNTHESIS": 1}, CYCLES_SYNTHESIZED)
    table = Table("block", "form", "simulator", "cycles/s", title="Four lanes, a line per cycle")
    status = 0
    for top, sources in BLOCKS.items():
        digests = set()
        for form, (defines, cycles_of) in forms.items():
            for simulator, cycles in cycles_of.items():
                result = BUILD / "crypto_speed.json"
                run_cocotb(
                    toplevel=top,
                    sources=[*sources, BENCH / f"{top}.v"],
                    module="tb.unit.crypto.speed_probe",
                    defines=defines,
                    sim=simulator,
                    fast=True,
                    extra_env={"CYCLES": str(cycles), "RESULT": str(result), "PYTHONPATH": str(ROOT)},
                )
                measured = json.loads(result.read_text())
                digests.add(measured["digest"])
                table.add_row(top, form, simulator, f"{measured['cycles_per_second']:,.0f}")
        if len(digests) != 1:
            print(f"{top}: forms or simulators compute different results: {sorted(digests)}", file=sys.stderr)
            status = 1
    Console().print(table)
    return status


if __name__ == "__main__":
    sys.exit(main())
