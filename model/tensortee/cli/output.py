# SPDX-License-Identifier: Apache-2.0
"""What commands print, and the option for programs that read it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


def count(number: int, noun: str) -> str:
    """The number with its noun in singular or plural."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def table_console() -> Console:
    """Console for tables; a program that reads them must not see folded lines."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=1000)


def print_json(content: dict[str, Any]) -> None:
    """Print one JSON object; bytes in hexadecimal digits."""
    print(json.dumps(content, default=_encode))


def _encode(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"no JSON form for {type(value).__name__}")
