# SPDX-License-Identifier: Apache-2.0
"""Faults put into copies of the RTL, for tests that must fail with them or attacks that must succeed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Change:
    """One change of the text of one module.

    Attributes:
        module: name of the module.
        old: text that occurs exactly once in its file.
        new: what stands there instead.
    """

    module: str
    old: str
    new: str


def mutate(sources: Sequence[Path], changes: Sequence[Change], folder: Path) -> list[Path]:
    """Return the source files with the changed ones replaced by copies in ``folder``.

    Raises:
        ValueError: a text does not occur exactly once: the change is not what it was.
    """
    result = {path.stem: path for path in sources}
    folder.mkdir(parents=True, exist_ok=True)
    for change in changes:
        text = result[change.module].read_text()
        if text.count(change.old) != 1:
            raise ValueError(f"{change.module}: {change.old!r} occurs {text.count(change.old)} times, not once")
        copy = folder / f"{change.module}.v"
        copy.write_text(text.replace(change.old, change.new))
        result[change.module] = copy
    return list(result.values())


NO_WINDOW_CHECK = tuple(
    Change("window_check", f"if (enable && {name}) begin", "if (1'b0) begin") for name in ("late", "left")
)
"""Without the assertion, which would end the simulation at the first beat that comes too late."""

LATE_BEATS = Change("tensor_table", "(rd_npu != 5'd0) || (rd_memory != 5'd0)", "(rd_npu != 5'd0)")
"""Fault of the first version: a read is over when the NPU has its last beat, whatever the memory still owes."""
