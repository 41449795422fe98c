# SPDX-License-Identifier: Apache-2.0
"""Reading and driving the signals of one bus interface, quickly and the same on every simulator."""

from __future__ import annotations

from typing import Any


class Signals:
    """The signals ``<prefix>_<name>`` of a design as attributes, with writes that skip what does not change.

    Drive after ``RisingEdge`` and sample after ``ReadOnly``: then a value is the one that the next rising edge sees, in
    Icarus and in Verilator.

    Args:
        dut: cocotb handle of the level of hierarchy that holds the signals.
        prefix: common start of their names, without the last underscore; empty for none.
    """

    def __init__(self, dut: Any, prefix: str) -> None:
        self._dut = dut
        self._prefix = f"{prefix}_" if prefix else ""
        self._handles: dict[str, Any] = {}
        self._driven: dict[str, int] = {}

    def handle(self, name: str) -> Any:
        """Return the cocotb handle of a signal."""
        handle = self._handles.get(name)
        if handle is None:
            handle = self._handles[name] = getattr(self._dut, self._prefix + name)
        return handle

    def has(self, name: str) -> bool:
        """Say whether the design has this signal."""
        return hasattr(self._dut, self._prefix + name)

    def width(self, name: str) -> int:
        """Return the width of a signal in bits."""
        return len(self.handle(name))

    def get(self, name: str) -> int:
        """Return a signal as an unsigned number; an X or Z in it fails the test with the signal's name."""
        try:
            return int(self.handle(name).value)
        except ValueError as error:
            raise AssertionError(f"{self._prefix}{name} is {self.handle(name).value}, not a number") from error

    def put(self, name: str, value: int) -> None:
        """Drive a signal."""
        if self._driven.get(name) != value:
            self.handle(name).value = value
            self._driven[name] = value
