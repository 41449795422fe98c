# SPDX-License-Identifier: Apache-2.0
"""Decorators of compiled functions that run for every line access.

Such a function must not allocate an array and return it: without Numba's reference counts a look-up takes a few
nanoseconds instead of fifty. The function that holds the loop and makes the arrays uses `numba.njit` itself.
"""

from __future__ import annotations

from numba import njit

compiled = njit(cache=True, _nrt=False)
inlined = njit(cache=True, _nrt=False, forceinline=True)
"""The same, and expanded where it is called: for what every access passes."""
