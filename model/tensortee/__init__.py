# SPDX-License-Identifier: Apache-2.0
"""Tensor-granular memory protection: the golden model of the TensorTEE engine, usable on its own.

`TensorVault` seals and opens tensors under a key and does the numbering. `seal` and `unseal` are the primitives below.
"""

from tensortee.errors import CoverageError, ExhaustedError, IntegrityError, RollbackError, TensorTeeError
from tensortee.sealing import SealedTensor, forget_keys, seal, unseal

__all__ = [
    "CoverageError",
    "ExhaustedError",
    "IntegrityError",
    "RollbackError",
    "SealedTensor",
    "TensorTeeError",
    "forget_keys",
    "seal",
    "unseal",
]
