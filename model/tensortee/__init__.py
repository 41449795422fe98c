# SPDX-License-Identifier: Apache-2.0
"""Tensor-granular memory protection: the golden model of the TensorTEE engine, usable on its own.

`TensorVault` seals and opens tensors under a key and does the numbering. `seal` and `unseal` are the primitives below.
"""

import sys

from tensortee._moved import FormerPaths
from tensortee.format import (
    CoverageError,
    ExhaustedError,
    IntegrityError,
    LineAccumulator,
    RollbackError,
    SealedTensor,
    TensorTeeError,
    forget_keys,
    seal,
    unseal,
)
from tensortee.vault import FileCounter, MonotonicCounter, TensorVault

__all__ = [
    "CoverageError",
    "ExhaustedError",
    "FileCounter",
    "IntegrityError",
    "LineAccumulator",
    "MonotonicCounter",
    "RollbackError",
    "SealedTensor",
    "TensorTeeError",
    "TensorVault",
    "forget_keys",
    "seal",
    "unseal",
]

sys.meta_path.append(FormerPaths())
