# SPDX-License-Identifier: Apache-2.0
"""How the bench says that the engine is wrong."""

from __future__ import annotations


class BenchError(AssertionError):
    """A checker found a difference, found nothing to check, or something was left over at the end."""
