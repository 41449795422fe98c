# SPDX-License-Identifier: Apache-2.0
"""Where a command writes to."""

from pathlib import Path

from tensortee.checkpoint import OutputError


def check_target(path: Path) -> None:
    """Refuse `-`: what these commands make is no stream.

    Raises:
        OutputError: it is `-`.
    """
    if str(path) == "-":
        raise OutputError("standard output cannot be used: give the name of what to make")
