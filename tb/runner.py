# SPDX-License-Identifier: Apache-2.0
"""Build RTL and run cocotb test modules on it, with Icarus Verilog or Verilator.

A thin layer over the Python runner of cocotb. What it adds:

* one build folder per configuration, ``build/cocotb/<simulator>/<configuration>``, reused while sources, parameters,
  options and tools are unchanged, and safe when several pytest workers need the same build;
* one folder per run below it, with the log, the trace and the results;
* a failing test, no executed test, a crash and a hang are all a :class:`SimulationError`;
* a record of the tests that ran in ``build/tests/cocotb/*.json``, which ``scripts/check_testplan.py`` reads.

Environment: ``SIM`` selects the simulator (both when it is not set), ``SEED`` the seed (``SEED=random`` picks one, the
default is 1), ``WAVES=1`` leaves an FST trace in the run folder, ``COV=1`` builds for coverage (Verilator only).
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from cocotb_tools.runner import get_runner
from filelock import FileLock

ROOT = Path(__file__).resolve().parent.parent
RTL = ROOT / "rtl"
FILE_LIST = RTL / "tensortee.f"
BUILD = ROOT / "build"
RECORDS = BUILD / "tests" / "cocotb"
COVERAGE = BUILD / "cov" / "verilator"
COVERAGE_OPTIONS = Path(__file__).with_name("coverage.vlt")

SIMULATORS = ("verilator", "icarus")
TIMESCALE = ("1ns", "1ps")
DEFAULT_SEED = 1
LOG_TAIL_LINES = 60

_COMMANDS = {"verilator": ("verilator", "make", "g++"), "icarus": ("iverilog", "vvp")}
_MAX_NAME = 80


class SimulationError(Exception):
    """A build failed, a simulation crashed or hung, a test failed, or no test ran."""


@dataclass(frozen=True)
class TestOutcome:
    """One cocotb test of one run.

    Attributes:
        name: ``<python module>.<test function>``.
        status: ``passed``, ``failed`` or ``skipped``.
        seconds: wall clock time.
        sim_ns: simulated time in nanoseconds.
        message: why the test failed, else empty.
    """

    __test__ = False

    name: str
    status: str
    seconds: float
    sim_ns: float
    message: str = ""


@dataclass(frozen=True)
class CocotbRun:
    """A finished simulation in which at least one test ran and none failed."""

    simulator: str
    seed: int
    build_dir: Path
    run_dir: Path
    log: Path
    tests: tuple[TestOutcome, ...]


def simulators() -> tuple[str, ...]:
    """Simulators to run on: the one that ``SIM`` names, else both.

    Raises:
        SimulationError: ``SIM`` names no simulator.
    """
    name = os.environ.get("SIM", "")
    if not name:
        return SIMULATORS
    if name not in SIMULATORS:
        raise SimulationError(f"SIM={name} is not a simulator. Use one of: {', '.join(SIMULATORS)}")
    return (name,)


def listed_sources(text: str) -> list[Path]:
    """Verilog files in a file list as Icarus Verilog and Verilator read it: one a line, comments, ``+incdir+``."""
    lines = (line.split("//", maxsplit=1)[0].strip() for line in text.splitlines())
    return [ROOT / line for line in lines if line and not line.startswith("+incdir+")]


def rtl_sources(*modules: str) -> list[Path]:
    """Files of the named RTL modules, or of all modules if none is named, as ``rtl/tensortee.f`` lists them.

    Raises:
        SimulationError: there is no such module.
    """
    files = {path.stem: path for path in listed_sources(FILE_LIST.read_text())}
    if not modules:
        return list(files.values())
    missing = [module for module in modules if module not in files]
    if missing:
        raise SimulationError(f"no RTL module {', '.join(missing)} in {FILE_LIST}")
    return [files[module] for module in modules]


def seed_from_environment(seed: int | None = None) -> int:
    """The seed of a run: ``SEED`` wins over the argument, which wins over the default.

    Raises:
        SimulationError: ``SEED`` is neither a non-negative number nor ``random``.
    """
    text = os.environ.get("SEED", "")
    if text == "random":
        return random.SystemRandom().randrange(1, 2**31)
    if text:
        if not text.isdigit():
            raise SimulationError(f"SEED={text} is not a seed. Use a non-negative whole number, or 'random'")
        return int(text)
    return DEFAULT_SEED if seed is None else seed


def use_environment_tools() -> None:
    """Put the programs of this Python's virtual environment first on the PATH, as activating it would."""
    folder = str(Path(sys.executable).parent)
    entries = os.environ.get("PATH", os.defpath).split(os.pathsep)
    if entries[0] != folder:
        os.environ["PATH"] = os.pathsep.join([folder, *entries])
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))


def require_tools(*programs: str) -> None:
    """Check that programs are on the PATH.

    Raises:
        SimulationError: a program is missing; the text names the fix.
    """
    use_environment_tools()
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        raise SimulationError(f"not found on the PATH: {', '.join(missing)}. Fix: run scripts/setup")


@functools.cache
def _tool_fingerprint(simulator: str) -> str:
    """What a build depends on besides the sources: the simulator's program and its version."""
    program = shutil.which(_COMMANDS[simulator][0]) or ""
    option = "-V" if simulator == "icarus" else "--version"
    output = subprocess.run([program, option], capture_output=True, text=True, check=False).stdout
    return f"{Path(program).resolve()} {output}"


def _flag(name: str) -> bool:
    return os.environ.get(name, "0") not in ("", "0")


def _printable(text: str) -> str:
    """Text as part of a file name, kept short by a hash."""
    name = re.sub(r"[^A-Za-z0-9_=.-]+", "-", text).strip("-")
    if len(name) <= _MAX_NAME:
        return name
    return f"{name[: _MAX_NAME - 11]}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def _port_names(source: Path, module: str) -> list[str]:
    """Names of the ports of a module with an ANSI header."""
    text = re.sub(r"//[^\n]*|/\*.*?\*/|\(\*.*?\*\)", " ", source.read_text(), flags=re.DOTALL)
    header = re.search(rf"\bmodule\s+{module}\b(.*?)\)\s*;", text, flags=re.DOTALL)
    if header is None:
        raise SimulationError(f"{source} does not define module {module}")
    return re.findall(
        r"\b(?:input|output|inout)\b(?:\s+(?:wire|reg|signed))*(?:\s*\[[^\]]*\])*\s*(\w+)", header.group(1)
    )


def _public_names(toplevel: str, sources: Sequence[Path], public: Mapping[str, Sequence[str]]) -> str:
    """Verilator configuration that leaves only the top's ports and the named signals visible to cocotb.

    Everything else stays open to optimisation, which makes bulk simulation several times faster.
    """
    top = next((source for source in sources if source.stem == toplevel), None)
    if top is None:
        raise SimulationError(f"no source file is named {toplevel}.v, so the ports of {toplevel} are unknown")
    names = {toplevel: _port_names(top, toplevel)}
    for module, signals in public.items():
        names.setdefault(module, []).extend(signals)
    lines = ["`verilator_config"]
    lines += [f'public_flat_rw -module "{module}" -var "{name}"' for module in names for name in names[module]]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class _Build:
    """Everything that a build folder is made from."""

    simulator: str
    toplevel: str
    sources: tuple[Path, ...]
    includes: tuple[Path, ...]
    parameters: Mapping[str, object]
    defines: Mapping[str, object]
    arguments: tuple[str, ...]
    waves: bool
    coverage: bool
    fast: bool
    configuration: str

    @property
    def folder(self) -> Path:
        """Build folder: readable where possible, distinct always."""
        options = [f"{name}={value}" for name, value in sorted(self.parameters.items())]
        options += [f"{name}={value}" for name, value in sorted(self.defines.items())]
        identity = "\n".join(
            [*options, *map(str, self.sources), *map(str, self.includes), *self.arguments, self.configuration]
        )
        digest = hashlib.sha256(identity.encode()).hexdigest()[:8]
        kind = ("-cov" if self.coverage else "") + ("-waves" if self.waves else "")
        name = _printable("-".join([self.toplevel, *options]))
        return BUILD / "cocotb" / self.simulator / f"{name}{kind}-{digest}"

    def contents(self) -> str:
        """Hash of the contents of all inputs and of the tools."""
        digest = hashlib.sha256(_tool_fingerprint(self.simulator).encode())
        headers = [header for folder in self.includes for header in sorted(folder.glob("*.vh"))]
        for path in [*self.sources, *headers]:
            digest.update(f"{path} ".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()

    def make(self) -> None:
        """Build, unless the folder holds a build of the same contents."""
        self.folder.mkdir(parents=True, exist_ok=True)
        stamp, log = self.folder / "build.stamp", self.folder / "build.log"
        with FileLock(self.folder / "build.lock"):
            contents = self.contents()
            if stamp.exists() and stamp.read_text() == contents:
                return
            stamp.unlink(missing_ok=True)
            sources = list(self.sources)
            if self.configuration:
                control = self.folder / "public.vlt"
                control.write_text(self.configuration)
                sources.insert(0, control)
            # WAVES would override the argument; C++ is compiled for size unless MAKEFLAGS says otherwise.
            with _environment(WAVES=None, MAKEFLAGS="OPT_FAST=-O2" if self.fast else None):
                try:
                    get_runner(self.simulator).build(
                        hdl_toplevel=self.toplevel,
                        sources=sources,
                        includes=self.includes,
                        parameters=self.parameters,
                        defines=self.defines,
                        build_args=self.arguments,
                        build_dir=self.folder,
                        timescale=TIMESCALE,
                        waves=self.waves,
                        always=True,
                        log_file=log,
                    )
                except (RuntimeError, SystemExit) as error:
                    raise SimulationError(
                        f"{self.simulator} cannot build {self.toplevel}: {error}\n{_tail(log)}"
                    ) from None
            stamp.write_text(contents)


@contextmanager
def _environment(**changes: str | None) -> Iterator[None]:
    """Set environment variables for a while, or hide them (None)."""
    before = {name: os.environ.get(name) for name in changes}

    def apply(values: Mapping[str, str | None]) -> None:
        for name, value in values.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    apply(changes)
    try:
        yield
    finally:
        apply(before)


def _tail(log: Path) -> str:
    if not log.exists():
        return ""
    lines = log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
    return "\n".join([*lines, f"(whole log: {log})"])


def _build_arguments(simulator: str, *, fast: bool, waves: bool, coverage: bool) -> tuple[str, ...]:
    if simulator == "icarus":
        return ("-Wall", "-Wno-timescale")
    if fast:
        arguments = ["--no-public-flat-rw", "-O3", "--x-assign", "fast", "--x-initial", "fast"]
    else:
        arguments = ["--x-assign", "unique", "--x-initial", "unique"]
    if waves:
        arguments.append("--trace-fst")
    if coverage:
        arguments += ["--coverage-line", "--coverage-toggle"]
    return tuple(arguments)


def read_results(path: Path) -> tuple[TestOutcome, ...]:
    """Tests in a results file of cocotb.

    Raises:
        SimulationError: the file is missing or not a results file.
    """
    try:
        cases = list(ElementTree.parse(path).getroot().iter("testcase"))  # noqa: S314 (cocotb wrote the file)
    except (OSError, ElementTree.ParseError) as error:
        raise SimulationError(f"no results of the simulation in {path}: {error}") from None
    outcomes = []
    for case in cases:
        problem = next((child for tag in ("failure", "error") if (child := case.find(tag)) is not None), None)
        skipped = case.find("skipped") is not None
        properties = {item.get("name"): item.get("value") for item in case.iter("property")}
        outcomes.append(
            TestOutcome(
                name=f"{case.get('classname', '')}.{case.get('name', '')}",
                status="failed" if problem is not None else "skipped" if skipped else "passed",
                seconds=float(case.get("time") or 0),
                sim_ns=float(properties.get("sim_time_duration") or 0),
                message="" if problem is None else (problem.get("error_msg") or problem.get("message") or "failed"),
            )
        )
    return tuple(outcomes)


def _run_name(module: str, seed: int, test_filter: str | None, extra_env: Mapping[str, str]) -> str:
    test = os.environ.get("PYTEST_CURRENT_TEST", "").rsplit(" ", maxsplit=1)[0]
    detail = json.dumps([test, module, seed, test_filter, dict(extra_env)], sort_keys=True)
    label = f"{test.rsplit('::', maxsplit=1)[-1]}-{module.rsplit('.', maxsplit=1)[-1]}"
    return f"{_printable(label)}-{hashlib.sha256(detail.encode()).hexdigest()[:8]}"


def _write_record(build: _Build, run: CocotbRun, module: str) -> None:
    """Leave what ran for the testplan check."""
    RECORDS.mkdir(parents=True, exist_ok=True)
    record = {
        "simulator": run.simulator,
        "toplevel": build.toplevel,
        "parameters": {name: str(value) for name, value in build.parameters.items()},
        "module": module,
        "seed": run.seed,
        "log": os.path.relpath(run.log, ROOT),
        "pytest": os.environ.get("PYTEST_CURRENT_TEST", "").rsplit(" ", maxsplit=1)[0],
        "tests": [
            {"name": test.name, "status": test.status, "seconds": test.seconds, "sim_ns": test.sim_ns}
            for test in run.tests
        ],
    }
    name = f"{run.simulator}-{build.folder.name}-{run.run_dir.name}"
    (RECORDS / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n")


def run_cocotb(
    *,
    toplevel: str,
    sources: Sequence[Path | str],
    module: str,
    parameters: Mapping[str, object] | None = None,
    sim: str | None = None,
    test_filter: str | None = None,
    seed: int | None = None,
    defines: Mapping[str, object] | None = None,
    includes: Sequence[Path | str] = (RTL / "include",),
    fast: bool = False,
    public: Mapping[str, Sequence[str]] | None = None,
    coverage: bool | None = None,
    waves: bool | None = None,
    extra_env: Mapping[str, str] | None = None,
    timeout_s: int = 600,
    stream: bool = False,
) -> list[CocotbRun]:
    """Build a design and run the cocotb tests of a Python module on it.

    Args:
        toplevel: name of the top module.
        sources: Verilog files, and Verilator configuration files (``.vlt``, left out for Icarus).
        module: dotted name of the Python module with the tests, importable from the repository's root.
        parameters: Verilog parameters of the top module.
        sim: ``verilator`` or ``icarus``; if None, what :func:`simulators` says.
        test_filter: regular expression on ``<module>.<test>``; only tests that it finds are run.
        seed: seed of the random numbers; ``SEED`` in the environment wins.
        defines: Verilog macros.
        includes: folders of Verilog include files.
        fast: Verilator only: bulk mode without randomised initial values, for long runs that hunt no X. Only the top's
            ports and the signals in ``public`` are visible to cocotb.
        public: with ``fast``, further visible signals: module name to signal names.
        coverage: measure line and toggle coverage (Verilator only); if None, what ``COV`` says.
        waves: leave an FST trace in the run folder; if None, what ``WAVES`` says.
        extra_env: further environment variables of the simulation.
        timeout_s: wall clock limit of one simulation in seconds.
        stream: show the simulation's output while it runs, instead of only in its log.

    Returns:
        One entry per simulator.

    Raises:
        SimulationError: a tool is missing, the build failed, the simulation crashed or hung, a test failed, or no test
            ran. The text ends with the end of the log.
    """
    names = simulators() if sim is None else (sim,)
    for name in names:
        if name not in SIMULATORS:
            raise SimulationError(f"{name} is not a simulator. Use one of: {', '.join(SIMULATORS)}")
    runs = []
    for name in names:
        require_tools(*_COMMANDS[name])
        with_coverage = (_flag("COV") if coverage is None else coverage) and name == "verilator" and not fast
        with_waves = _flag("WAVES") if waves is None else waves
        paths = tuple(Path(source).resolve() for source in sources)
        if name == "icarus":
            paths = tuple(path for path in paths if path.suffix != ".vlt")
        if with_coverage:
            paths = (COVERAGE_OPTIONS, *paths)
        build = _Build(
            simulator=name,
            toplevel=toplevel,
            sources=paths,
            includes=tuple(path for path in map(Path, includes) if path.is_dir()),
            parameters=dict(parameters or {}),
            defines=dict(defines or {}),
            arguments=_build_arguments(name, fast=fast, waves=with_waves, coverage=with_coverage),
            waves=with_waves,
            coverage=with_coverage,
            fast=fast,
            configuration=_public_names(toplevel, paths, public or {}) if fast and name == "verilator" else "",
        )
        build.make()
        runs.append(
            _simulate(
                build,
                module=module,
                test_filter=test_filter,
                seed=seed_from_environment(seed),
                extra_env=dict(extra_env or {}),
                timeout_s=timeout_s,
                stream=stream,
            )
        )
    return runs


def _simulate(
    build: _Build,
    *,
    module: str,
    test_filter: str | None,
    seed: int,
    extra_env: Mapping[str, str],
    timeout_s: int,
    stream: bool,
) -> CocotbRun:
    """Run one simulation and judge it."""
    run_dir = build.folder / "runs" / _run_name(module, seed, test_filter, extra_env)
    run_dir.mkdir(parents=True, exist_ok=True)
    results, log = run_dir / "results.xml", run_dir / "simulation.log"
    what = f"{module} on {build.toplevel} ({build.simulator}, SEED={seed})"
    print(f"cocotb: {what}: {os.path.relpath(run_dir, ROOT)}", flush=True)
    plusargs: list[str] = []
    if build.simulator == "verilator":
        if not build.fast:
            plusargs += ["+verilator+rand+reset+2", f"+verilator+seed+{seed % (2**31 - 1) or 1}"]
        if build.coverage:
            COVERAGE.mkdir(parents=True, exist_ok=True)
            data = COVERAGE / f"{build.folder.name}-{run_dir.name}.dat"
            plusargs.append(f"+verilator+coverage+file+{data}")
    elif build.waves:
        plusargs.append(f"+dumpfile_path={run_dir / 'dump.fst'}")
    runner = get_runner(build.simulator)
    ended = ""
    hung = False
    # The simulator is started under timeout(1), because cocotb's runner waits for ever.
    limit = f"timeout --kill-after=10 {timeout_s}"
    with FileLock(run_dir / "run.lock"), _environment(WAVES=None, SIM_CMD_PREFIX=limit):
        start = time.monotonic()
        try:
            runner.test(
                test_module=module,
                hdl_toplevel=build.toplevel,
                hdl_toplevel_lang="verilog",
                build_dir=build.folder,
                test_dir=run_dir,
                results_xml=str(results),
                test_filter=test_filter,
                seed=seed,
                plusargs=plusargs,
                extra_env={"PYTHONHASHSEED": "0", **extra_env},
                waves=build.waves,
                timescale=TIMESCALE,
                log_file=None if stream else log,
            )
        except (RuntimeError, SystemExit) as error:
            ended = f"the simulation ended abnormally ({error})"
            hung = time.monotonic() - start >= timeout_s
        tests = read_results(results) if results.exists() else ()
    failed = [test for test in tests if test.status == "failed"]
    executed = [test for test in tests if test.status != "skipped"]
    run = CocotbRun(build.simulator, seed, build.folder, run_dir, log, tests)
    if executed:
        _write_record(build, run, module)
    if failed:
        reasons = "\n".join(f"  {test.name}: {test.message}" for test in failed)
        raise SimulationError(f"{what}: {len(failed)} of {len(executed)} tests failed\n{reasons}\n{_tail(log)}")
    if ended:
        if hung:
            ended = f"stopped after {timeout_s} s of wall clock: the simulation hangs, or timeout_s is too short for it"
        raise SimulationError(f"{what}: {ended}\n{_tail(log)}")
    if not executed:
        raise SimulationError(f"{what}: no test ran (filter: {test_filter})\n{_tail(log)}")
    return run


def lint_verilog(
    toplevel: str,
    sources: Sequence[Path | str],
    parameters: Mapping[str, object] | None = None,
    includes: Sequence[Path | str] = (RTL / "include",),
    defines: Mapping[str, object] | None = None,
) -> str:
    """Check a design with ``verilator --lint-only -Wall``.

    Returns:
        The warnings and errors, empty if there are none.
    """
    require_tools("verilator")
    command = ["verilator", "--lint-only", "-Wall", "--timescale", "/".join(TIMESCALE), "--top-module", toplevel]
    command += [f"-I{folder}" for folder in includes if Path(folder).is_dir()]
    command += [f"-G{name}={value}" for name, value in (parameters or {}).items()]
    command += [f"-D{name}={value}" for name, value in (defines or {}).items()]
    result = subprocess.run(
        [*command, *map(str, sources)], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    return (result.stdout + result.stderr).strip() if result.returncode or "%Warning" in result.stderr else ""
