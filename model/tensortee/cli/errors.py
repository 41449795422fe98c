# SPDX-License-Identifier: Apache-2.0
"""What goes wrong in a command, as one line or one JSON object and an exit status.

Exit status: 0 done; 1 the sealed checkpoint is damaged, incomplete, altered or of another key; 2 the command cannot be
carried out as given (arguments, key, source, target, disk); 130 interrupted.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from tensortee.checkpoint import CheckpointError, CheckpointIntegrityError
from tensortee.checkpoint.keys import KeyFormatError

EXIT_INTEGRITY = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


def fail(message: str, kind: str, status: int, as_json: bool) -> NoReturn:
    """Report an error as one line, or as one JSON object, and exit with the status."""
    if as_json:
        print(json.dumps({"ok": False, "error": {"kind": kind, "message": message}}))
    else:
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"[bold red]error:[/] {escape(message)}")
    raise typer.Exit(status)


def _terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    """SIGTERM ends a command as Ctrl-C does: workers stop, nothing stays behind."""
    raise KeyboardInterrupt


@contextmanager
def reporting(
    as_json: bool,
    usage_errors: tuple[type[Exception], ...] = (CheckpointError, KeyFormatError),
    interrupted: str = "interrupted; no partial output is left",
) -> Iterator[None]:
    """Turn every foreseeable error into one line, or one JSON object, and an exit status."""
    previous = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    except CheckpointIntegrityError as error:
        fail(str(error), type(error).__name__, EXIT_INTEGRITY, as_json)
    except usage_errors as error:
        fail(str(error), type(error).__name__, EXIT_USAGE, as_json)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(EXIT_USAGE) from None
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        fail(f"{where}{error.strerror or error}", type(error).__name__, EXIT_USAGE, as_json)
    except KeyboardInterrupt:
        fail(interrupted, "Interrupted", EXIT_INTERRUPTED, as_json)
    finally:
        signal.signal(signal.SIGTERM, previous)
