# SPDX-License-Identifier: Apache-2.0
"""``make sim``: a neural network, or the user's own tensors, in DRAM behind the Verilog engine.

Builds the engine, runs the simulation, opens the DRAM image with a third-party AES-GCM, prints what happened. Leaves
``build/sim/<simulator>/dram.bin`` and ``summary.json``. The exit code is 0 only if all tensors open, protection
changed no result, and every attack was detected.

Environment: ``SIM``, ``DATA_W``, ``SEED``, ``WAVES``, ``TENSORS``; the options below override it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tb.app.engine import DATA_WIDTHS, SLOTS, run_on_engine
from tb.app.image import check_image
from tb.app.inference import BATCH
from tb.app.job import JOB_VARIABLE, Job
from tb.app.report import print_report, verdict
from tb.app.user_tensors import TensorFileError, UserTensors, load_user_tensors
from tb.runner import BUILD, SIMULATORS, SimulationError, seed_from_environment, simulators

DATA_W = {"verilator": 512, "icarus": 128}
"""Bus width in bits unless one is asked for."""
IMAGES = {"verilator": 360, "icarus": 120}
LINES_PER_SECOND = {"verilator": 5000, "icarus": 500}
"""Lines that are written and read back per second of wall clock, roughly: for the estimate that is printed."""

POLL_SECONDS = 0.2
TIMEOUT_MARGIN = 10
MIN_TIMEOUT_SECONDS = 900


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Return the options, their defaults taken from the environment.

    Raises:
        SimulationError: ``SIM`` names no simulator, or ``DATA_W`` no bus width.
        SystemExit: an option is wrong.
    """
    parser = argparse.ArgumentParser(prog="python -m tb.app.main", description="Run tensors through the engine.")
    parser.add_argument("--sim", choices=SIMULATORS, help="simulator")
    parser.add_argument("--data-w", type=int, choices=DATA_WIDTHS, help="width of the data bus in bits")
    parser.add_argument(
        "--tensors", type=Path, default=os.environ.get("TENSORS") or None, help="a .safetensors file of your own"
    )
    parser.add_argument("--images", type=int, help=f"test images, a multiple of {BATCH}")
    parser.add_argument("--output", type=Path, help="folder for dram.bin and summary.json")
    options = parser.parse_args(argv)
    options.sim = options.sim or simulators()[0]
    options.data_w = options.data_w or data_width_from_environment(DATA_W[options.sim])
    most = IMAGES["verilator"]
    if options.images is None:
        options.images = IMAGES[options.sim]
    if not 0 < options.images <= most or options.images % BATCH:
        parser.error(f"--images {options.images}: use a multiple of {BATCH} up to {most}")
    return options


def data_width_from_environment(default: int) -> int:
    """Return the bus width that ``DATA_W`` names, in bits, or the default.

    Raises:
        SimulationError: the engine has no bus of that width.
    """
    text = os.environ.get("DATA_W") or str(default)
    widths = [str(width) for width in DATA_WIDTHS]
    if text not in widths:
        raise SimulationError(f"DATA_W={text} is not a bus width. Use one of: {', '.join(widths)}")
    return int(text)


def announce(console: Console, job: Job, user: UserTensors | None) -> float:
    """Say what will run; returns the estimated wall clock time in seconds, without the build."""
    console.print(
        f"Engine on {job.simulator}, {job.data_w} bit data bus, SEED={job.seed}. The first build takes about a minute"
    )
    if user is None:
        share = "the whole test set" if job.images == IMAGES["verilator"] else "a part of the test set, for speed"
        console.print(f"Digits network, {job.images} test images ({share})")
        return 0.0
    for name in user.empty:
        console.print(f"{name}: has no elements, so there is nothing to protect; left out", markup=False)
    seconds = user.nbytes / 64 / LINES_PER_SECOND[job.simulator]
    console.print(
        f"{len(user.contents)} tensors, {user.nbytes} bytes from {job.tensors}: about {seconds:.0f} s after the build, "
        f"{-(-len(user.contents) // job.slots)} group(s) of up to {job.slots} slots",
        markup=False,
    )
    return seconds


@contextmanager
def held(output: Path) -> Iterator[None]:
    """Keep the output folder for this run: two runs in one folder would show each other's results.

    Raises:
        SimulationError: another run uses the folder.
    """
    lock = FileLock(output / "run.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise SimulationError(f"another run uses {output}: wait for its end") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def shown_progress(console: Console, job: Job) -> Iterator[None]:
    """Show how far the simulation is while the body runs."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    stop = threading.Event()
    with Progress(*columns, console=console, transient=True) as progress:
        tasks: dict[str, TaskID] = {"build": progress.add_task("build and reset", total=None)}

        def poll() -> None:
            while not stop.wait(POLL_SECONDS):
                state = job.read_progress()
                if state is None:
                    continue
                if state["stage"] not in tasks:
                    for task in tasks.values():
                        progress.update(task, visible=False)
                    tasks[state["stage"]] = progress.add_task(state["stage"])
                progress.update(tasks[state["stage"]], completed=state["done"], total=state["total"])

        thread = threading.Thread(target=poll, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def simulate(job: Job, estimate: float) -> Path:
    """Build and run; returns the folder of the run. Raises ``SimulationError``."""
    job_file = Path(job.output) / "job.json"
    job.save(job_file)
    run = run_on_engine(
        "tb.app.simulation",
        job.simulator,
        job.data_w,
        seed=job.seed,
        extra_env={JOB_VARIABLE: str(job_file)},
        timeout_s=max(MIN_TIMEOUT_SECONDS, int(TIMEOUT_MARGIN * estimate)),
    )
    return run.run_dir


def conclude(console: Console, job: Job) -> int:
    """Check the image, print the report and the verdict; returns the exit code."""
    summary = json.loads(job.summary_file.read_text())
    image = job.image_file.read_bytes()
    problems = check_image(image, job.summary_file)
    forged = bytearray(image)
    forged[summary["tensors"][0]["base"]] ^= 1
    forgery_found = len(check_image(bytes(forged), job.summary_file)) > len(problems)
    print_report(console, summary)
    opened = len(summary["tensors"]) - len(problems)
    console.print(f"DRAM image: PyCryptodome's AES-GCM opens {opened} of {len(summary['tensors'])} tensors")
    console.print(f"Written: {job.image_file}, {job.summary_file}", soft_wrap=True, markup=False)
    if not summary["attacks"]:
        console.print("No tensor has more than one line of 64 bytes: the attacks were left out")
    reasons = verdict(summary, problems, forgery_found)
    for reason in reasons:
        console.print(f"FAILED: {reason}", style="bold red", markup=False)
    if not reasons:
        console.print("PASSED", style="bold green")
    return 1 if reasons else 0


def main(argv: list[str] | None = None) -> int:
    """Run the main job; returns the exit code: 0 passed, 1 something was not protected, 2 it could not run."""
    console = Console()
    start = time.monotonic()
    try:
        options = parse(argv)
        user = load_user_tensors(options.tensors) if options.tensors else None
        output = (options.output or BUILD / "sim" / options.sim).resolve()
        output.mkdir(parents=True, exist_ok=True)
        job = Job(
            simulator=options.sim,
            seed=seed_from_environment(),
            data_w=options.data_w,
            slots=SLOTS,
            images=0 if user else options.images,
            tensors=str(options.tensors.resolve()) if user else "",
            output=str(output),
        )
        with held(output):
            for stale in (job.image_file, job.summary_file, job.progress_file):
                stale.unlink(missing_ok=True)
            estimate = announce(console, job, user)
            with shown_progress(console, job):
                run_dir = simulate(job, estimate)
            code = conclude(console, job)
        if (trace := run_dir / "dump.fst").exists():
            console.print(f"Trace: {trace}", soft_wrap=True, markup=False)
    except (SimulationError, TensorFileError) as error:
        print(f"sim: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("sim: interrupted", file=sys.stderr)
        return 130
    console.print(f"{time.monotonic() - start:.0f} s")
    return code


if __name__ == "__main__":
    sys.exit(main())
