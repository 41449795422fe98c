# SPDX-License-Identifier: Apache-2.0
"""Functional coverage: what the stimulus has reached, sampled by the monitors and merged over all runs.

Each run leaves one file in ``build/cov/functional``. ``python -m tb.env.coverage`` merges them, prints the holes and
fails if one is not waived in ``coverage_waivers.yaml`` with a category and a reason.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from tensortee.engine.registers import EngineState, FaultCause, Opcode, Result, SlotState

from tb.env.bursts import BOUNDARY, DECERR, FIXED, INCR, OKAY, RESERVED, SLVERR, WRAP, Burst
from tb.memory import LINE_BYTES

FOLDER = Path(__file__).resolve().parents[2] / "build" / "cov" / "functional"
WAIVERS = Path(__file__).with_name("coverage_waivers.yaml")
WAIVER_CATEGORIES = ("unreachable", "illegal", "deferred")

_KINDS = {FIXED: "FIXED", INCR: "INCR", WRAP: "WRAP", RESERVED: "reserved"}
_RESPONSES = {OKAY: "OKAY", SLVERR: "SLVERR", DECERR: "DECERR"}
_LENGTHS = (
    (1, "1"),
    (2, "2"),
    (4, "3-4"),
    (8, "5-8"),
    (15, "9-15"),
    (16, "16"),
    (64, "17-64"),
    (255, "65-255"),
    (256, "256"),
)
_LATENCIES = ((12, "<=12"), (40, "13-40"), (100, "41-100"), (1 << 30, ">100"))
_OUTSTANDING = ((1, "1"), (2, "2"), (4, "3-4"), (8, "5-8"), (1 << 30, ">8"))
_NBYTES = (
    (1, "1 byte"),
    (15, "below a block"),
    (16, "one block"),
    (63, "below a line"),
    (64, "one line"),
    (1023, "several lines"),
    (4096, "up to 4 KiB"),
    (1 << 40, "more than 4 KiB"),
)
_CHANNELS = ("ar", "aw", "w", "r", "b")
_WIDTHS = ("128", "256", "512")


def _bin(value: int, bins: Iterable[tuple[int, str]]) -> str:
    return next(name for limit, name in bins if value <= limit)


def _names(bins: Iterable[tuple[int, str]]) -> list[str]:
    return [name for _, name in bins]


def _points() -> dict[str, list[str]]:
    """All coverage points with all their bins."""
    both = ("read", "write")
    return {
        "read length": _names(_LENGTHS),
        "write length": _names(_LENGTHS),
        "read size": [str(1 << size) for size in range(7)],
        "read alignment": ["line", "bus", "element", "unaligned"],
        "write alignment": ["line", "below a line"],
        "read end": ["line", "inside a line"],
        "4 KiB edge": [f"{way} {place}" for way in both for place in ("begins at", "ends at", "crosses")],
        "type": [f"{way} {kind}" for way in both for kind in _KINDS.values()],
        "type x width": [f"{kind} {width}" for kind in ("INCR", "WRAP") for width in _WIDTHS],
        "response": [f"{way} {name}" for way in both for name in _RESPONSES.values()],
        "cause": [f"{way} {cause.name}" for way, cause in _causes()],
        "identifier": [f"{way} {kind}" for way in both for kind in ("alone", "same", "different")],
        "outstanding": [f"{way} {name}" for way in both for name in _names(_OUTSTANDING)],
        "latency": [f"{way} {name}" for way in both for name in _names(_LATENCIES)],
        "stall": [f"{port} {channel}" for port in ("npu", "memory") for channel in _CHANNELS],
        "tensor bytes": _names(_NBYTES),
        "tensor bytes modulo block": ["0", "1", "2-14", "15"],
        "tensor base": ["4 KiB", "line"],
        "command x slot state": [f"{op.name} {state.name}" for op in Opcode for state in SlotState],
        "command x engine state": [f"{op.name} {state.name}" for op in Opcode for state in EngineState],
        "result": [f"{op} {result}" for op, result in _results()],
    }


def _causes() -> list[tuple[str, FaultCause]]:
    writes_only = {FaultCause.PARTIAL_LINE, FaultCause.REWRITE, FaultCause.ORDER, FaultCause.MEM_WRITE}
    out = [("read", cause) for cause in FaultCause if cause not in {*writes_only, FaultCause.NONE}]
    return out + [("write", cause) for cause in FaultCause if cause not in {FaultCause.MEM_READ, FaultCause.NONE}]


def _results() -> list[tuple[str, str]]:
    """Every result that a command can have according to docs/interfaces.md."""
    own = {
        Opcode.DEFINE: ("BAD_BASE", "BAD_LENGTH", "OVERLAP", "IDS_EXHAUSTED"),
        Opcode.OPEN_WRITE: ("VERSION_EXHAUSTED",),
        Opcode.CLOSE_WRITE: ("BUS_ERROR", "COVERAGE_ERROR"),
        Opcode.OPEN_READ: (),
        Opcode.CLOSE_READ: ("BUS_ERROR", "COVERAGE_ERROR", "TAG_ERROR"),
        Opcode.RELEASE: (),
    }
    out = [
        (op.name, result) for op, more in own.items() for result in ("OK", "BAD_SLOT", "NOT_READY", "BAD_STATE", *more)
    ]
    return [*out, ("ZEROIZE", "OK"), ("other", "BAD_OPCODE"), ("any", "ABORTED")]


class Coverage:
    """Counts of one run; a sample outside the declared bins is a mistake of the bench and raises ``KeyError``."""

    def __init__(self) -> None:
        self._hits: dict[str, Counter[str]] = {
            point: Counter(dict.fromkeys(bins, 0)) for point, bins in _points().items()
        }

    def hit(self, point: str, name: str) -> None:
        """Count one sample."""
        if name not in self._hits[point]:
            raise KeyError(f"coverage point {point!r} has no bin {name!r}")
        self._hits[point][name] += 1

    def burst(self, burst: Burst, *, bus_bytes: int, same: int, different: int) -> None:
        """Sample a requested burst; ``same``/``different``: bursts already under way with the same ID, with others."""
        way = "write" if burst.write else "read"
        self.hit(f"{way} length", _bin(burst.beats, _LENGTHS))
        self.hit("type", f"{way} {_KINDS[burst.kind]}")
        nbytes = 1 << burst.size
        if burst.kind in (INCR, WRAP):
            self.hit("type x width", f"{_KINDS[burst.kind]} {8 * bus_bytes}")
        stop = (burst.addr & -nbytes) + burst.beats * nbytes
        if burst.write:
            self.hit("write alignment", "below a line" if burst.addr % LINE_BYTES else "line")
        else:
            self.hit("read size", str(nbytes) if nbytes <= LINE_BYTES else "64")
            self.hit("read end", "inside a line" if stop % LINE_BYTES else "line")
            if burst.addr % LINE_BYTES == 0:
                alignment = "line"
            elif burst.addr % bus_bytes == 0:
                alignment = "bus"
            else:
                alignment = "unaligned" if burst.addr % nbytes else "element"
            self.hit("read alignment", alignment)
        if burst.kind == INCR:
            if burst.addr % BOUNDARY == 0:
                self.hit("4 KiB edge", f"{way} begins at")
            if stop % BOUNDARY == 0:
                self.hit("4 KiB edge", f"{way} ends at")
            if burst.addr // BOUNDARY != (stop - 1) // BOUNDARY:
                self.hit("4 KiB edge", f"{way} crosses")
        if not same + different:
            self.hit("identifier", f"{way} alone")
        if same:
            self.hit("identifier", f"{way} same")
        if different:
            self.hit("identifier", f"{way} different")
        self.hit("outstanding", f"{way} {_bin(same + different + 1, _OUTSTANDING)}")

    def outcome(self, burst: Burst, cause: FaultCause) -> None:
        """Sample a finished burst."""
        way = "write" if burst.write else "read"
        self.hit("response", f"{way} {_RESPONSES[max(burst.responses)]}")
        if cause != FaultCause.NONE:
            self.hit("cause", f"{way} {cause.name}")
        answered = burst.note["finished"] if burst.write else burst.note["first"]
        self.hit("latency", f"{way} {_bin(answered - burst.note['requested'], _LATENCIES)}")

    def stall(self, port: str, channel: str) -> None:
        """Sample a channel on which VALID had to wait for READY."""
        self.hit("stall", f"{port} {channel}")

    def tensor(self, base: int, nbytes: int) -> None:
        """Sample the place and length of a tensor that was sealed."""
        self.hit("tensor base", "line" if base % BOUNDARY else "4 KiB")
        self.hit("tensor bytes", _bin(nbytes, _NBYTES))
        rest = nbytes % 16
        self.hit("tensor bytes modulo block", {0: "0", 1: "1", 15: "15"}.get(rest, "2-14"))

    def command(self, opcode: int, slot_state: SlotState | None, engine_state: EngineState, result: Result) -> None:
        """Sample a command; ``slot_state`` before it, None for a slot that does not exist."""
        known = opcode in set(Opcode)
        if known:
            self.hit("command x engine state", f"{Opcode(opcode).name} {engine_state.name}")
            if slot_state is not None and engine_state == EngineState.READY:
                self.hit("command x slot state", f"{Opcode(opcode).name} {slot_state.name}")
        if result == Result.ABORTED:
            self.hit("result", "any ABORTED")
        else:
            self.hit("result", f"{Opcode(opcode).name if known else 'other'} {result.name}")

    def save(self, name: str) -> Path:
        """Leave the counts of this run in ``build/cov/functional``."""
        FOLDER.mkdir(parents=True, exist_ok=True)
        path = FOLDER / f"{name}.json"
        reasons = waivers()
        groups = [
            {
                "name": point,
                "bins": dict(bins),
                "waived": {bin_: reasons[point, bin_] for bin_ in bins if (point, bin_) in reasons},
            }
            for point, bins in self._hits.items()
        ]
        path.write_text(json.dumps({"run": name, "groups": groups}, indent=1) + "\n")
        return path


def merge(folder: Path = FOLDER) -> dict[str, dict[str, int]]:
    """Add up the counts of all runs; a point or bin that no run reports counts zero."""
    total = {point: dict.fromkeys(bins, 0) for point, bins in _points().items()}
    for path in sorted(folder.glob("*.json")):
        for group in json.loads(path.read_text())["groups"]:
            bins = total.get(group["name"], {})
            for name in bins:
                bins[name] += group["bins"].get(name, 0)
    return total


def waivers(path: Path = WAIVERS) -> dict[tuple[str, str], str]:
    """Return the waived bins with the reason; raises ``ValueError`` for an entry without reason or category."""
    points = _points()
    out: dict[tuple[str, str], str] = {}
    entries: list[dict[str, Any]] = yaml.safe_load(path.read_text()) or []
    for entry in entries:
        if entry.get("category") not in WAIVER_CATEGORIES or not entry.get("reason"):
            raise ValueError(f"{path.name}: {entry} needs a reason and a category of {', '.join(WAIVER_CATEGORIES)}")
        for name in entry["bins"]:
            if name not in points.get(entry["point"], []):
                raise ValueError(f"{path.name}: there is no bin {name!r} in point {entry['point']!r}")
            out[entry["point"], name] = f"{entry['category']}: {entry['reason']}"
    return out


def holes(total: dict[str, dict[str, int]]) -> list[tuple[str, str]]:
    """Return the bins that no run has reached and no waiver names."""
    waived = waivers()
    return [
        (point, name)
        for point, bins in total.items()
        for name, count in bins.items()
        if not count and (point, name) not in waived
    ]


def main() -> int:
    """Print the coverage of all runs; the exit status is 1 if there is a hole, or a waiver for what is reached."""
    if not list(FOLDER.glob("*.json")):
        print(f"no functional coverage in {FOLDER}: run the engine's tests first (make test)")
        return 1
    total = merge()
    for point, bins in total.items():
        reached = sum(1 for count in bins.values() if count)
        print(f"{point:28} {reached:3} of {len(bins):3} bins")
    missing = holes(total)
    for point, name in missing:
        print(f"hole: {point}: {name}")
    stale = [(point, name) for point, name in waivers() if total[point][name]]
    for point, name in stale:
        print(f"waived, but reached: {point}: {name} (delete the waiver)")
    if os.environ.get("SIM") == "icarus":
        print("only Icarus was run, with a sample of the stimulus: holes are listed, not judged")
        return 0
    return 1 if missing or stale else 0


if __name__ == "__main__":
    sys.exit(main())
