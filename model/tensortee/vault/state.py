# SPDX-License-Identifier: Apache-2.0
"""What a vault remembers, and its saved form: one AES-GCM message under a key of its own.

Saved form: `b"TTVAULT1" || IV (12 random bytes) || ciphertext || tag (16 bytes)`. The first 20 bytes are authenticated
too. The key is derived from the vault's key with HKDF-SHA256, so it never meets the keystream of a tensor.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass, field
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tensortee.format import IV_BYTES, TAG_BYTES, IntegrityError, SealedTensor

_MAGIC = b"TTVAULT1"
_INFO = b"tensortee vault state v1"


@dataclass(frozen=True, slots=True)
class TensorRecord:
    """The newest version of a tensor.

    Attributes:
        tensor_id: 28-bit number.
        version: version number.
        tag: 16 bytes in hexadecimal; empty as long as nothing was sealed.
        nbytes: length in bytes.
        dtype: NumPy's description of the element type, `bytes` if bytes were sealed.
        shape: elements in each dimension.
    """

    tensor_id: int
    version: int = 0
    tag: str = ""
    nbytes: int = 0
    dtype: str = ""
    shape: tuple[int, ...] = ()

    @staticmethod
    def of(sealed: SealedTensor) -> TensorRecord:
        """The record of a sealed tensor."""
        kind = "bytes" if sealed.dtype is None else repr(sealed.dtype)
        return TensorRecord(
            sealed.tensor_id, sealed.version, bytes(sealed.tag).hex(), sealed.nbytes, kind, tuple(sealed.shape)
        )


@dataclass(slots=True)
class VaultState:
    """What a vault remembers.

    Attributes:
        owner: device number, top four bits of every tensor_id.
        epoch: number of the counter under which versions are given out; top 32 bits of every version number.
        next_id: counter value of the next tensor_id.
        tensors: newest version of each tensor by name.
    """

    owner: int
    epoch: int
    next_id: int = 1
    tensors: dict[str, TensorRecord] = field(default_factory=dict)


def _cipher(key: bytes) -> AESGCM:
    return AESGCM(HKDF(algorithm=SHA256(), length=len(key), salt=None, info=_INFO).derive(key))


def seal_state(state: VaultState, key: bytes) -> bytes:
    """The saved form of a state."""
    header = _MAGIC + secrets.token_bytes(IV_BYTES)
    content = json.dumps(asdict(state)).encode()
    return header + _cipher(key).encrypt(header[len(_MAGIC) :], content, header)


def open_state(saved: bytes, key: bytes) -> VaultState:
    """The state of a saved form.

    Raises:
        IntegrityError: it was changed, is not a saved vault, or belongs to another key.
    """
    start = len(_MAGIC) + IV_BYTES
    header = saved[:start]
    if not saved.startswith(_MAGIC) or len(saved) < start + TAG_BYTES:
        raise IntegrityError("this is not the saved state of a vault")
    try:
        content = _cipher(key).decrypt(header[len(_MAGIC) :], saved[start:], header)
    except InvalidTag:
        raise IntegrityError("the saved state of the vault was changed, or the key is another one") from None
    fields: dict[str, Any] = json.loads(content)
    tensors = {
        name: TensorRecord(**{**record, "shape": tuple(record["shape"])}) for name, record in fields["tensors"].items()
    }
    return VaultState(fields["owner"], fields["epoch"], fields["next_id"], tensors)
