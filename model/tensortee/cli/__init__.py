# SPDX-License-Identifier: Apache-2.0
"""Command line of the package: `tensortee keygen`, `seal`, `unseal`, `verify`, `info`, `study`.

One file for each group of commands; `main` puts them together. Nothing else in the package imports from here.
"""

from tensortee.cli.main import app

__all__ = ["app"]
