# SPDX-License-Identifier: Apache-2.0
"""``make bench``: the engine in clock cycles, the model's speed as ratios to raw library calls, the study's simulator.

Leaves ``engine.json``, ``model.json`` and ``study.json`` in ``build/bench``; fails if a target is missed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Run the benchmarks one after the other, so that they do not slow each other down; returns the exit code."""
    parser = argparse.ArgumentParser(description="Measure the speed of engine, model and study.")
    parser.add_argument("--update", action="store_true", help="make the engine's figures the package's measured file")
    options = parser.parse_args()
    engine = ["tb.app.benchmark", *(["--update"] if options.update else [])]
    failed = [
        command[0]
        for command in (engine, ["tensortee.checkpoint.bench"], ["tensortee.study.cpu.bench"])
        if subprocess.run([sys.executable, "-m", *command], cwd=ROOT, check=False).returncode
    ]
    for module in failed:
        print(f"bench: FAILED: {module} missed a target or did not finish, see its output above", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
