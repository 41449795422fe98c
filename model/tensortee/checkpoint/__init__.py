# SPDX-License-Identifier: Apache-2.0
"""Sealed safetensors checkpoints: every tensor one AES-GCM message, the tensor table another (docs/checkpoints.md)."""

from tensortee.checkpoint.errors import (
    CheckpointError,
    CheckpointIntegrityError,
    ExpectedIdError,
    FormatError,
    OutputError,
    SourceError,
    UnexpectedCheckpointError,
    WrongKeyError,
)
from tensortee.checkpoint.opening import (
    CheckpointInfo,
    Problem,
    TensorInfo,
    UnsealReport,
    VerifyReport,
    read_info,
    unseal_checkpoint,
    verify_checkpoint,
)
from tensortee.checkpoint.sealing import SealReport, seal_checkpoint

__all__ = [
    "CheckpointError",
    "CheckpointInfo",
    "CheckpointIntegrityError",
    "ExpectedIdError",
    "FormatError",
    "OutputError",
    "Problem",
    "SealReport",
    "SourceError",
    "TensorInfo",
    "UnexpectedCheckpointError",
    "UnsealReport",
    "VerifyReport",
    "WrongKeyError",
    "read_info",
    "seal_checkpoint",
    "unseal_checkpoint",
    "verify_checkpoint",
]
