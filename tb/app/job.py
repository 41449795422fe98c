# SPDX-License-Identifier: Apache-2.0
"""What the program that starts the simulation and the program inside it tell each other: small JSON files."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

JOB_VARIABLE = "TENSORTEE_JOB"


@dataclass(frozen=True)
class Job:
    """One run of the main job.

    Attributes:
        simulator: ``verilator`` or ``icarus``.
        seed: of tile orders, power-up contents of DRAM, and test keys.
        data_w: bus width in bits.
        slots: tensor slots of the engine.
        images: test images to run; 0 for a run with the user's own tensors.
        tensors: checkpoint with the user's own tensors, empty for the network.
        output: folder for ``dram.bin``, ``summary.json`` and ``progress.json``.
    """

    simulator: str
    seed: int
    data_w: int
    slots: int
    images: int
    tensors: str
    output: str

    def save(self, path: Path) -> None:
        """Write the job to a file."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls) -> Job:
        """Return the job whose file the environment names."""
        return cls(**json.loads(Path(os.environ[JOB_VARIABLE]).read_text()))

    @property
    def image_file(self) -> Path:
        """Raw DRAM image; offset 0 is address 0."""
        return Path(self.output) / "dram.bin"

    @property
    def summary_file(self) -> Path:
        """What happened, for programs."""
        return Path(self.output) / "summary.json"

    @property
    def progress_file(self) -> Path:
        """How far the simulation is."""
        return Path(self.output) / "progress.json"

    def report_progress(self, stage: str, done: int, total: int) -> None:
        """Tell the starting program how far the simulation is, in units of the stage."""
        part = self.progress_file.with_suffix(".part")
        part.write_text(json.dumps({"stage": stage, "done": done, "total": total}))
        part.replace(self.progress_file)

    def read_progress(self) -> dict[str, Any] | None:
        """Return what ``report_progress`` wrote last, None before that."""
        try:
            state: dict[str, Any] = json.loads(self.progress_file.read_text())
        except FileNotFoundError:
            return None
        return state


def test_key(seed: int, session: int, nbytes: int) -> bytes:
    """Return the test key of a session: not a secret, and different for every session, so that no IV repeats."""
    return hashlib.sha256(f"TensorTEE test key, seed {seed}, session {session}".encode()).digest()[:nbytes]
