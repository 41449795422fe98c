# SPDX-License-Identifier: Apache-2.0
"""Decorators of compiled functions that run for every line access.

Such a function must not allocate an array, and its arrays are kept alive by the Python caller: without Numba's
reference counts a look-up takes a few nanoseconds instead of fifty. No time is ever NaN, so the compiler need not ask.

Numba keeps compiled code beside the source and compiles again when the file of a function changes, but not when a
function changes that it calls from another file. So the code is kept in a folder named by a hash of all sources here.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import numba

_SOURCES = Path(__file__).parent


def _folder() -> str:
    """Folder of compiled code: below NUMBA_CACHE_DIR, else beside the source, else below the temporary folder."""
    stamp = sha256(b"".join(path.read_bytes() for path in sorted(_SOURCES.glob("*.py")))).hexdigest()[:16]
    base = Path(numba.config.CACHE_DIR) if numba.config.CACHE_DIR else _SOURCES / "__pycache__"
    if not os.access(base if base.exists() else base.parent, os.W_OK):
        base = Path(gettempdir()) / f"tensortee-{os.getuid()}"
    return str(base / f"numba-{stamp}")


_FOLDER = _folder()


def _decorator(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    def decorate(function: Callable[..., Any]) -> Any:
        before = numba.config.CACHE_DIR
        numba.config.CACHE_DIR = _FOLDER
        try:
            return numba.njit(cache=True, _nrt=False, error_model="numpy", fastmath={"nnan", "nsz"}, **options)(
                function
            )
        finally:
            numba.config.CACHE_DIR = before

    return decorate


compiled = _decorator()
inlined = _decorator(forceinline=True)
"""The same, and expanded where it is called: for what every access passes."""
