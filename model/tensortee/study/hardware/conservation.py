# SPDX-License-Identifier: Apache-2.0
"""Conservation laws: checks that every result passes at run time, not only in tests.

Bytes in equal bytes out, stalls are not negative, no rate exceeds its peak, a protected run is never faster than the
plain one. A result that breaks one is a bug of the study, so it is an error and never a warning.
"""

from __future__ import annotations

import math


class ConservationError(AssertionError):
    """A result breaks a conservation law; the text names the quantity and both sides."""


def conserve(what: str, left: float, right: float, *, relative: float = 1e-9) -> None:
    """Check that two sides of a balance are equal.

    Raises:
        ConservationError: they differ by more than `relative`.
    """
    if not math.isclose(left, right, rel_tol=relative, abs_tol=1e-12):
        raise ConservationError(f"{what}: {left!r} is not {right!r}")


def at_most(what: str, value: float, limit: float, *, relative: float = 1e-9) -> None:
    """Check that a value does not exceed its limit.

    Raises:
        ConservationError: it does, or it is not a number.
    """
    if not value <= limit * (1 + relative) + 1e-12:
        raise ConservationError(f"{what}: {value!r} exceeds {limit!r}")


def not_negative(what: str, value: float) -> None:
    """Check that a quantity is a finite number of at least zero.

    Raises:
        ConservationError: it is not.
    """
    if not (math.isfinite(value) and value >= 0):
        raise ConservationError(f"{what}: {value!r} is negative or not finite")
