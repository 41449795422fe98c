# SPDX-License-Identifier: Apache-2.0
"""Error of the importers."""

from __future__ import annotations


class WorkloadError(ValueError):
    """A file does not describe a workload that can be modelled; the text names the file, the place and the reason."""
