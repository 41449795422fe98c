# SPDX-License-Identifier: Apache-2.0
"""Sweeps: one configuration at many points, on the cores of this machine or on a Dask cluster.

Each point has a key: the hash of its configuration, of the files it names and of this package. Its result is stored
under the key, whole or not at all, as soon as it is there, so a sweep that was killed goes on where it was. A point's
result depends on nothing but its configuration: the way it was computed does not show.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import joblib
from pydantic import ValidationError

from tensortee.study.hardware.engine_costs import MEASURED_FILE
from tensortee.study.report.results import (
    ResultError,
    RunResults,
    SweepPoint,
    SweepResults,
    read_results,
    write_results,
)
from tensortee.study.sweep.config import Config, nearest, problems_of, validated
from tensortee.study.sweep.located_yaml import ConfigError, Document, Location, Problem, dotted, load

MAX_POINTS = 100_000
SWEEP = "sweep"
"""Key of a sweep's file that holds what is varied; the other keys are those of a configuration."""

Evaluate = Callable[[Config], RunResults]
Progress = Callable[[int, int], None]
Outcome = tuple[RunResults | None, str | None]


class SweepError(ValueError):
    """The points cannot be computed: a process died, or the Dask cluster cannot be used. What is stored remains."""


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a sweep.

    Attributes:
        parameters: what is varied, by dotted path, with its value here.
        config: the whole configuration.
        key: hash of everything that the result depends on.
    """

    parameters: dict[str, Any]
    config: Config
    key: str


def load_sweep(path: Path) -> list[Point]:
    """Points of a sweep's file: all combinations, the last list varies fastest.

    Args:
        path: YAML file; a configuration, and under `sweep` a list of values for each dotted path that is varied.

    Raises:
        ConfigError: it is wrong at any point; names file, line and column.
        OSError: it or a file that it names cannot be read.
    """
    document = load(path)
    base = dict(document.content)
    axes = base.pop(SWEEP, None)
    problems = _axis_problems(axes, document)
    if problems:
        raise ConfigError(problems)
    points, refused = [], set[Problem]()
    for indices in itertools.product(*(range(len(values)) for values in axes.values())):
        parameters = {name: axes[name][index] for name, index in zip(axes, indices, strict=True)}
        places: dict[Location, Location] = {
            _path(name): (SWEEP, name, index) for name, index in zip(axes, indices, strict=True)
        }
        try:
            config = validated(_with(base, parameters), path.parent)
            points.append(Point(parameters, config, point_key(config)))
        except ValidationError as error:
            refused.update(problems_of(error, _moved(document, places)))
    if refused:
        raise ConfigError(list(refused))
    return points


def _axis_problems(axes: Any, document: Document) -> list[Problem]:
    """What is wrong with the form of the lists of values."""
    if not isinstance(axes, dict) or not axes:
        place: Location = (SWEEP,) if SWEEP in document.content else ()
        hint = nearest(SWEEP, map(str, document.content)) if not place else ""
        return [document.problem(place, f"sweep: {hint}must hold a list of values for each path that is varied")]
    wrong = [name for name, values in axes.items() if not (isinstance(name, str) and isinstance(values, list))]
    problems = [document.problem((SWEEP, name), f"{dotted((SWEEP, name))}: must be a list of values") for name in wrong]
    problems += [
        document.problem((SWEEP, name), f"{dotted((SWEEP, name))}: the list is empty")
        for name, values in axes.items()
        if values == []
    ]
    if not problems and (total := _total(axes)) > MAX_POINTS:
        problems.append(document.problem((SWEEP,), f"sweep: {total} points; at most {MAX_POINTS} are allowed"))
    return problems


def _total(axes: dict[str, list[Any]]) -> int:
    total = 1
    for values in axes.values():
        total *= len(values)
    return total


def _path(name: str) -> tuple[str, ...]:
    return tuple(name.split("."))


def _with(base: dict[str, Any], parameters: dict[str, Any]) -> dict[str, Any]:
    """Configuration with values put at their paths; what is no section stays, and the schema reports it."""
    content = deepcopy(base)
    for name, value in parameters.items():
        *above, last = _path(name)
        section: Any = content
        for part in above:
            if section.get(part) is None:
                section[part] = {}
            section = section[part]
            if not isinstance(section, dict):
                break
        else:
            section[last] = value
    return content


def _moved(document: Document, places: dict[Location, Location]) -> Document:
    """Document in which the varied paths stand where their values stand in the sweep."""
    positions = dict(document.positions)
    for path, place in places.items():
        for length in range(1, len(path)):
            positions.setdefault(path[:length], document.positions[place])
        positions[path] = document.positions[place]
        for location, position in document.positions.items():
            if location[: len(place)] == place:
                positions[path + location[len(place) :]] = position
    return Document(document.path, document.content, positions)


@cache
def package_fingerprint() -> str:
    """Hash of this package's version, of the measured figures and of the sources of the study."""
    package = Path(__file__).parents[2]
    digest = hashlib.sha256(version("tensortee").encode())
    for path in (package / MEASURED_FILE, *sorted((package / "study").rglob("*.py"))):
        digest.update(str(path.relative_to(package)).encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def point_key(config: Config) -> str:
    """Hash of everything that the result of a configuration depends on.

    Raises:
        OSError: a file that the configuration names cannot be read.
    """
    source = config.workload
    paths = [path for path in (source.huggingface, source.onnx, source.layers) if path is not None]
    content = {
        "config": config.model_dump(mode="json"),
        "files": [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths],
        "package": package_fingerprint(),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def run_sweep(
    points: Sequence[Point],
    cache_folder: Path,
    evaluate: Evaluate,
    *,
    jobs: int | None = None,
    scheduler: str | None = None,
    progress: Progress | None = None,
) -> SweepResults:
    """Compute what is not stored yet, and return all points in their order.

    Args:
        points: see `load_sweep`.
        cache_folder: where results are stored; it may be shared by sweeps, also at the same time.
        evaluate: function of a point's configuration, importable by name.
        jobs: processes on this machine; None: one for each core.
        scheduler: address of a Dask scheduler, used instead of processes of this machine.
        progress: called with the points that are done and all points.

    Returns:
        A point whose computation failed holds the reason; it is not stored.

    Raises:
        SweepError: a process died, or the cluster cannot be reached, has no workers, or they have another version of
            this package.
        OSError: the cache cannot be written.
    """
    outcomes = {point.key: stored for point in points if (stored := _stored(cache_folder, point.key))}
    missing = {point.key: point.config for point in points if point.key not in outcomes}
    total = len(outcomes) + len(missing)
    if progress:
        progress(len(outcomes), total)
    compute = _on_cluster(scheduler, missing, evaluate) if scheduler else _on_this_machine(jobs, missing, evaluate)
    for key, (result, error) in compute if missing else ():
        if result is not None:
            write_results(_file(cache_folder, key), result)
        outcomes[key] = (result, error)
        if progress:
            progress(len(outcomes), total)
    return SweepResults(
        points=[
            SweepPoint(parameters=point.parameters, key=point.key, result=result, error=error)
            for point, (result, error) in ((point, outcomes[point.key]) for point in points)
        ]
    )


def _file(folder: Path, key: str) -> Path:
    return folder / f"{key}.json"


def _stored(folder: Path, key: str) -> Outcome | None:
    """Result in the cache; a file that is none counts as missing, and is replaced."""
    try:
        return read_results(_file(folder, key), RunResults), None
    except (FileNotFoundError, ResultError):
        return None


def _attempt(evaluate: Evaluate, key: str, config: Config) -> tuple[str, Outcome]:
    """Evaluate one point; whatever goes wrong is the outcome of this point only."""
    try:
        return key, (evaluate(config), None)
    except Exception as error:
        return key, (None, f"{type(error).__name__}: {error}")


def _on_this_machine(jobs: int | None, configs: dict[str, Config], evaluate: Evaluate) -> Iterator[tuple[str, Outcome]]:
    parallel = joblib.Parallel(n_jobs=jobs or -1, batch_size=1, return_as="generator_unordered")
    results: Iterable[tuple[str, Outcome]] = parallel(
        joblib.delayed(_attempt)(evaluate, key, config) for key, config in configs.items()
    )
    try:
        yield from results
    except BrokenProcessPool as error:
        raise SweepError(f"a process died; what is done is stored, so run the sweep again: {error}") from error


def _on_cluster(address: str, configs: dict[str, Config], evaluate: Evaluate) -> Iterator[tuple[str, Outcome]]:
    from distributed import Client, as_completed  # in the extra "cluster", which only this needs

    try:
        client = Client(address, timeout="10s", set_as_default=False)
    except (OSError, ValueError) as error:
        raise SweepError(f"no Dask scheduler answers at {address}: {error}") from error
    with client:
        _check_workers(client, address)
        futures = {client.submit(_attempt, evaluate, key, config, pure=False): key for key, config in configs.items()}
        for future in as_completed(futures, loop=client.loop):
            match future.status:
                case "finished":
                    yield future.result()
                case "error":
                    yield futures[future], (None, f"the worker died: {future.exception()}")
                case _:
                    raise SweepError(f"the scheduler at {address} is gone; what is done is stored: run the sweep again")


def _check_workers(client: Any, address: str) -> None:
    """Refuse workers whose results would be those of another version.

    Raises:
        SweepError: there are none, or one has another version of the package, or does not have it.
    """
    try:
        versions = client.run(package_fingerprint)
    except ImportError as error:
        raise SweepError(f"workers of {address} do not have this package: {error}") from error
    if not versions:
        raise SweepError(f"the cluster at {address} has no workers")
    others = [worker for worker, fingerprint in versions.items() if fingerprint != package_fingerprint()]
    if others:
        raise SweepError(f"workers have another version of this package: {', '.join(sorted(others))}")
