# SPDX-License-Identifier: Apache-2.0
"""Independent computations on all cores, with progress."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import joblib

Progress = Callable[[int, int], None]
"""Told how many computations are done, and how many there are."""


@dataclass(frozen=True, slots=True)
class Task:
    """A computation: a function at the top of a module, and its arguments.

    Attributes:
        name: how its result is found.
        function: what to call.
        arguments: its arguments.
    """

    name: tuple[Any, ...]
    function: Callable[..., Any]
    arguments: tuple[Any, ...]

    def run(self) -> tuple[tuple[Any, ...], Any]:
        """Name and result."""
        return self.name, self.function(*self.arguments)


def run_tasks(tasks: Sequence[Task], progress: Progress | None = None, jobs: int = -1) -> dict[tuple[Any, ...], Any]:
    """Results of tasks by name; longest tasks first keeps all processes busy.

    Args:
        tasks: computations, each with a name of its own.
        progress: told after each one.
        jobs: processes; -1: one for each core.

    Raises:
        Exception: the first one that a computation raises.
    """
    results: dict[tuple[Any, ...], Any] = {}
    if progress is not None:
        progress(0, len(tasks))
    done = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered", pre_dispatch="n_jobs")(
        joblib.delayed(task.run)() for task in tasks
    )
    for name, result in done:
        results[name] = result
        if progress is not None:
            progress(len(results), len(tasks))
    return results
