# SPDX-License-Identifier: Apache-2.0
"""``make bench``: the engine in clock cycles, then the model's speed as ratios to the raw library calls.

Leaves ``build/bench/engine.json`` and ``build/bench/model.json``; fails if a target is missed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Run both benchmarks, one after the other so that they do not slow each other down; returns the exit code."""
    parser = argparse.ArgumentParser(description="Measure the speed of engine and model.")
    parser.add_argument("--update", action="store_true", help="make the engine's figures the package's measured file")
    options = parser.parse_args()
    engine = ["tb.app.benchmark", *(["--update"] if options.update else [])]
    codes = [
        subprocess.run([sys.executable, "-m", *command], cwd=ROOT, check=False).returncode
        for command in (engine, ["tensortee.bench"])
    ]
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
