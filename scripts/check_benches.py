# SPDX-License-Identifier: Apache-2.0
"""Check that every RTL module has a bench of its own, or a written reason why not; part of ``make lint``.

A module has a bench of its own if a file in ``tests/rtl`` simulates it as the top (``toplevel="name"``).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests" / "rtl"

AES = "in the AES pipeline: tb/unit/crypto/test_aes.py"
BURSTS = "its timing only matters beside the other paths: tb/engine/test_bursts.py, tb/engine/test_backpressure.py"
REASONS = {
    "aes_column": AES,
    "aes_encrypt": AES,
    "aes_key_expand": AES,
    "aes_round": AES,
    "aes_sbox": AES,
    "burst_check": "combinational, every cause and edge: tb/engine/test_refusals.py, tb/engine/test_bursts.py",
    "command_unit": "drives the whole engine: tb/engine/test_commands.py, tb/engine/test_attacks.py",
    "engine_ctrl": "drives the whole engine: tb/engine/test_reset.py, tb/engine/test_faults.py",
    "fault_arb": "all causes from both sides: tb/engine/test_refusals.py",
    "gf_clmul32": "in the product, and proven: tb/unit/crypto/test_gf128_mul.py, tests/rtl/test_crypto_equiv.py",
    "keystream_gen": "third-party AES-GCM opens its output: tb/engine/test_tensors.py, tb/engine/test_nist.py",
    "line_hash": "third-party AES-GCM agrees with its sums: tb/engine/test_tensors.py, tb/engine/test_nist.py",
    "ram_1r1w": "a memory, in the benches of its owners: tb/unit/tensor/test_write_map.py",
    "read_path": BURSTS,
    "reg_slice": BURSTS,
    "skid_buffer": BURSTS,
    "tensor_table": "compared with the model slot by slot: tb/engine/test_commands.py, tb/engine/test_random.py",
    "verifier": "third-party AES-GCM agrees with its sums: tb/engine/test_tensors.py, tb/engine/test_attacks.py",
    "window_check": "assertions, active in every simulation: tb/engine/test_forgery.py",
    "write_path": BURSTS,
}
"""Module to why it has no bench of its own, with the files that exercise it."""


def benched(texts: Iterable[str]) -> set[str]:
    """Modules that tests simulate as the top."""
    return {name for text in texts for name in re.findall(r'\btoplevel="(\w+)"', text)}


def problems_of(modules: set[str], tops: set[str], reasons: Mapping[str, str], root: Path) -> list[str]:
    """What is wrong, one line each."""
    problems = [f"{name} has neither a bench nor a reason" for name in sorted(modules - tops - reasons.keys())]
    problems += [f"{name} has a bench, its reason is out of date" for name in sorted(tops & reasons.keys())]
    problems += [f"{name} has a reason, but is no module" for name in sorted(reasons.keys() - modules)]
    for name, reason in sorted(reasons.items()):
        files = re.findall(r"[\w/]+\.py", reason)
        problems += [
            f"{name}: its reason names {file}, which does not exist" for file in files if not (root / file).exists()
        ]
        if not files:
            problems.append(f"{name}: its reason names no test")
    return problems


def main() -> int:
    """Command line entry."""
    modules = {path.stem for path in (ROOT / "rtl").rglob("*.v")}
    tops = benched(path.read_text() for path in TESTS.glob("*.py")) & modules
    problems = problems_of(modules, tops, REASONS, ROOT)
    for problem in problems:
        print(f"benches: {problem}", file=sys.stderr)
    print(f"benches: {len(modules)} modules, {len(tops)} with a bench of their own, {len(problems)} problems")
    return 1 if problems or not modules else 0


if __name__ == "__main__":
    sys.exit(main())
