# SPDX-License-Identifier: Apache-2.0
"""Names from files, made fit for a terminal."""

from __future__ import annotations

_LONGEST = 200


def printable(name: str) -> str:
    """The name with control characters escaped and its middle left out when it is very long.

    A tensor may be named by anyone; its name must not move the cursor or forge a line of output.
    """
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode("ascii") for c in name)
    if len(shown) <= _LONGEST:
        return shown
    return f"{shown[: _LONGEST // 2]}...{shown[-_LONGEST // 2 :]}"
