# SPDX-License-Identifier: Apache-2.0
"""The vault: seals and opens tensors under one key and does the numbering, across restarts too."""

from tensortee.vault.counter import FileCounter, MonotonicCounter
from tensortee.vault.vault import TensorVault

__all__ = ["FileCounter", "MonotonicCounter", "TensorVault"]
