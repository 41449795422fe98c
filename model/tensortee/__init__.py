# SPDX-License-Identifier: Apache-2.0
"""Tensor-granular memory protection: the golden model of the TensorTEE engine, usable on its own.

`TensorVault` seals and opens tensors under a key and does the numbering. `seal` and `unseal` are the primitives below.
"""

from tensortee.accumulator import LineAccumulator
from tensortee.counter import FileCounter, MonotonicCounter
from tensortee.errors import CoverageError, ExhaustedError, IntegrityError, RollbackError, TensorTeeError
from tensortee.sealing import SealedTensor, forget_keys, seal, unseal
from tensortee.vault import TensorVault

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
