# SPDX-License-Identifier: Apache-2.0
"""The user's own tensors: any ``.safetensors`` file, as raw bytes, whatever the dtype."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, deserialize

MAX_BYTES = 1 << 30


class TensorFileError(Exception):
    """The file cannot be used; the text says why and what to do."""


@dataclass(frozen=True)
class UserTensors:
    """Tensors of a checkpoint in the file's order.

    Attributes:
        contents: raw little-endian bytes by name, each at least one byte long.
        empty: names of the tensors without elements, which have nothing to protect.
    """

    contents: dict[str, bytes]
    empty: tuple[str, ...]

    @property
    def nbytes(self) -> int:
        """Sum of all lengths in bytes."""
        return sum(map(len, self.contents.values()))


def load_user_tensors(path: Path) -> UserTensors:
    """Read all tensors of a file.

    Raises:
        TensorFileError: it is missing, unreadable, not a safetensors file, too large to simulate, or without data.
    """
    try:
        size = path.stat().st_size
        if path.is_dir():
            raise TensorFileError(f"{path} is a folder: name one .safetensors file")
        if size > MAX_BYTES:
            raise TensorFileError(
                f"{path} has {size} bytes; simulating more than {MAX_BYTES} takes days. Name a smaller file, for "
                "instance one shard"
            )
        parsed = deserialize(path.read_bytes())  # type: ignore[no-untyped-call]
    except FileNotFoundError:
        raise TensorFileError(f"{path} does not exist. Use: make sim TENSORS=path.safetensors") from None
    except OSError as error:
        raise TensorFileError(f"{path} cannot be read: {error.strerror}") from None
    except SafetensorError as error:
        raise TensorFileError(f"{path} is not a safetensors file, or is damaged: {error}") from None
    contents = {name: bytes(entry["data"]) for name, entry in sorted(parsed)}
    empty = tuple(name for name, data in contents.items() if not data)
    kept = {name: data for name, data in contents.items() if data}
    if not kept:
        raise TensorFileError(f"{path} holds no tensor with data")
    return UserTensors(kept, empty)
