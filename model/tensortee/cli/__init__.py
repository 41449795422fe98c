# SPDX-License-Identifier: Apache-2.0
"""Command line of the package."""

from tensortee.cli.checkpoint import app

__all__ = ["app"]
