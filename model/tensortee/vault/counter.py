# SPDX-License-Identifier: Apache-2.0
"""Monotonic counters: what tells the newest saved state from an older copy of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol


class MonotonicCounter(Protocol):
    """A counter that an attacker cannot set back, for example in a TPM. One counter serves one key."""

    def value(self) -> int:
        """The number that `advance` returned last, 0 before the first time."""

    def advance(self) -> int:
        """Count on by one, durably, and return the new number. No number is ever returned twice."""


class FileCounter:
    """A counter in a file: as trustworthy as the storage that the file is on.

    It protects against mistakes (a state restored twice, an old backup). It does not stop an attacker who can put back
    the file itself: for that implement `MonotonicCounter` on hardware.

    Args:
        path: the file. `FileCounter.create` makes it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)

    @classmethod
    def create(cls, path: str | os.PathLike[str]) -> FileCounter:
        """Make a new counter at 0.

        Raises:
            FileExistsError: the file exists; starting again from 0 would break what it protects.
        """
        with Path(path).open("x", encoding="ascii") as file:
            file.write("0\n")
            file.flush()
            os.fsync(file.fileno())
        return cls(path)

    def value(self) -> int:
        """The number that `advance` returned last, 0 before the first time.

        Raises:
            FileNotFoundError: the file was never created.
            ValueError: the file does not hold a number.
        """
        text = self._path.read_text(encoding="ascii")
        if not text.strip().isdecimal():
            raise ValueError(f"{self._path} does not hold a counter")
        return int(text)

    def advance(self) -> int:
        """Count on by one, durably, and return the new number. Use it from one process at a time."""
        number = self.value() + 1
        fresh = self._path.with_name(self._path.name + ".new")
        with fresh.open("w", encoding="ascii") as file:
            file.write(f"{number}\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return number
