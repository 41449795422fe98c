# SPDX-License-Identifier: Apache-2.0
"""Errors of the package. No message shows a key, a keystream or plaintext."""

from __future__ import annotations


class TensorTeeError(Exception):
    """Anything that protection refuses."""


class IntegrityError(TensorTeeError):
    """Data is not what was sealed: changed, exchanged, cut, extended, or sealed under another key."""


class RollbackError(IntegrityError):
    """Data or state is authentic but not the newest: an older version was put in its place."""


class CoverageError(TensorTeeError):
    """Not every line of a tensor was touched exactly once. Nothing can be said about its integrity."""


class ExhaustedError(TensorTeeError):
    """A counter is at its end; going on would use a keystream twice. A new key is needed."""
