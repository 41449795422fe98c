# SPDX-License-Identifier: Apache-2.0
"""Errors of sealed checkpoints. Each message says what is wrong, where, and what to do, and shows no secret."""

from __future__ import annotations

from tensortee.format import IntegrityError, RollbackError, TensorTeeError


class CheckpointError(TensorTeeError):
    """Anything that keeps a checkpoint from being sealed, opened or verified."""


class SourceError(CheckpointError, ValueError):
    """What is to be sealed is not a complete, valid safetensors file."""


class FormatError(CheckpointError, ValueError):
    """The input is not a sealed checkpoint, or one of a format that this version does not know."""


class OutputError(CheckpointError):
    """The output exists already or cannot be put into place."""


class ExpectedIdError(CheckpointError, ValueError):
    """The id to expect is not the id of any checkpoint: mistyped or cut short, not a sign of tampering."""


class CheckpointIntegrityError(CheckpointError, IntegrityError):
    """The sealed checkpoint is damaged, incomplete, mixed with another one, or altered."""


class WrongKeyError(CheckpointIntegrityError):
    """The key is not the one the checkpoint was sealed with."""


class UnexpectedCheckpointError(CheckpointIntegrityError, RollbackError):
    """The checkpoint is authentic but not the expected one, such as an older one put back in its place."""
