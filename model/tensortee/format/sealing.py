# SPDX-License-Identifier: Apache-2.0
"""Seal and open one tensor: the primitives of the protection format.

A tensor version is one AES-GCM message, so any TLS-class library opens what `seal` makes:
`AESGCM(key).decrypt(sealed.iv, sealed.ciphertext + sealed.tag, b"")`.

`seal` trusts its caller to use every (key, tensor_id, version) once. Using one twice for different data shows the XOR
of the two plaintexts and lets tags be forged. `tensortee.TensorVault` numbers tensors and versions itself and is the
recommended face; the functions here are what lies below it.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field
from typing import Any, SupportsIndex, TypeAlias

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import GCM
from numpy import ndarray
from numpy.typing import NDArray

from tensortee.format.errors import IntegrityError
from tensortee.format.version1 import (
    IV_BYTES,
    MAX_TENSOR_BYTES,
    TAG_BYTES,
    Domain,
    check_key,
    check_length,
    split_iv,
    tensor_iv,
)

BytesLike: TypeAlias = bytes | bytearray | memoryview
Array: TypeAlias = NDArray[Any]
Buffer: TypeAlias = BytesLike | Array

# Up to this length one library call on a copy is faster than streaming in place.
_SMALL_BYTES = 1 << 16
# The library takes at most 2^31 - 1 bytes in one call.
_CHUNK_BYTES = 1 << 30
# Setting a cipher up costs more than sealing a small tensor with it.
_CACHED_KEYS = 16
_ciphers: dict[bytes, AESGCM] = {}
_lock = threading.Lock()
_new = object.__new__


@dataclass(slots=True)
class SealedTensor:
    """A sealed tensor: an AES-GCM message and how to read its plaintext.

    `dtype` and `shape` are not part of the message: the tag proves the bytes and their number. Keep the two with
    something that is authenticated if the reader must not be misled about them; `tensortee.TensorVault` and sealed
    checkpoints do.

    Attributes:
        ciphertext: `nbytes` bytes; `bytes`, or a read-only view of the buffer that was given to `seal`.
        tag: 16 bytes.
        iv: 12 bytes, `domain[3:0] || tensor_id[27:0] || version[63:0]`, big endian.
        nbytes: length of plaintext and ciphertext in bytes.
        dtype: NumPy type of the elements, None for bytes. Its byte order is that of the plaintext.
        shape: elements in each dimension, C order; `(nbytes,)` for bytes.
    """

    ciphertext: bytes | memoryview
    tag: bytes
    iv: bytes
    nbytes: int
    dtype: np.dtype[Any] | None
    shape: tuple[int, ...]
    _message: bytes | None = field(default=None, init=False, repr=False, compare=False)

    def __getattr__(self, name: str) -> Any:
        # A fresh small message is cut into ciphertext and tag when one of them is asked for first.
        message = self._message if name in ("ciphertext", "tag") else None
        if message is None:
            # Not there, or another thread was faster.
            return object.__getattribute__(self, name)
        self.ciphertext, self.tag, self._message = message[: self.nbytes], message[self.nbytes :], None
        return object.__getattribute__(self, name)

    @property
    def tensor_id(self) -> int:
        """The 28-bit tensor_id in the IV."""
        return split_iv(self.iv)[1]

    @property
    def version(self) -> int:
        """The 64-bit version number in the IV."""
        return split_iv(self.iv)[2]

    def __repr__(self) -> str:
        kind = "bytes" if self.dtype is None else str(self.dtype)
        return (
            f"SealedTensor(iv={self.iv.hex()}, tag={self.tag.hex()}, nbytes={self.nbytes}, {kind}, shape={self.shape})"
        )


def forget_keys() -> None:
    """Drop the ciphers of the keys used last, which `seal` and `unseal` keep for speed."""
    _ciphers.clear()


def _cipher(key: BytesLike) -> AESGCM:
    """The cipher of a key, from the cache or new."""
    raw = check_key(key)
    with _lock:
        cipher = _ciphers.get(raw)
        if cipher is None:
            if len(_ciphers) >= _CACHED_KEYS:
                del _ciphers[next(iter(_ciphers))]
            cipher = _ciphers[raw] = AESGCM(raw)
    return cipher


def _plain_array(array: Array) -> Array:
    """The array as a base-class array whose bytes are its value."""
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError("a masked array has no bytes for its masked elements: seal its data and its mask")
    if array.dtype.hasobject:
        raise TypeError(f"an array of type {array.dtype} holds references to Python objects, not data")
    return np.asarray(array)


def _bytes_of(array: Array) -> memoryview:
    flat: NDArray[np.uint8] = array.reshape(-1).view(np.uint8)
    return flat.data


def _view(data: Buffer) -> memoryview:
    """The bytes of `data` in C order, without a copy if they lie so in memory; refuses lengths that no tensor has."""
    if isinstance(data, ndarray):
        array = _plain_array(data)
        check_length(array.nbytes)
        return _bytes_of(np.ascontiguousarray(array))
    if isinstance(data, (bytes, bytearray, memoryview)):
        view = memoryview(data)
        check_length(view.nbytes)
        return view.cast("B") if view.c_contiguous else memoryview(view.tobytes())
    raise TypeError(f"data is bytes-like or a NumPy array, not {type(data).__name__}")


def _output(out: Buffer, nbytes: int) -> memoryview:
    """A writable view of the first `nbytes` bytes of a caller's buffer."""
    if isinstance(out, ndarray):
        if not out.flags.c_contiguous:
            raise ValueError("out is not contiguous in C order: give a contiguous buffer")
        if not out.flags.writeable:
            raise ValueError("out is read-only: give a writable buffer")
        view = _bytes_of(_plain_array(out))
    elif isinstance(out, (bytes, bytearray, memoryview)):
        view = memoryview(out)
        if view.readonly:
            raise ValueError("out is read-only: give a writable buffer")
        if not view.c_contiguous:
            raise ValueError("out is not contiguous in C order: give a contiguous buffer")
        view = view.cast("B") if view.nbytes else memoryview(bytearray())
    else:
        raise TypeError(f"out is a writable bytes-like object or NumPy array, not {type(out).__name__}")
    if view.nbytes < nbytes:
        raise ValueError(f"out has {view.nbytes} bytes; {nbytes} are needed")
    return view[:nbytes]


def _address(view: memoryview) -> int:
    return int(np.frombuffer(view, np.uint8).__array_interface__["data"][0])


def _detached(source: memoryview, target: memoryview) -> memoryview:
    """`source`, copied if writing `target` from its start on would change bytes of it that are still to be read."""
    distance = abs(_address(source) - _address(target))
    return source if distance == 0 or distance >= max(source.nbytes, target.nbytes) else memoryview(bytes(source))


def seal(
    data: Buffer | np.generic,
    key: BytesLike,
    tensor_id: SupportsIndex,
    version: SupportsIndex,
    *,
    out: Buffer | None = None,
) -> SealedTensor:
    """Encrypt and authenticate a tensor as one AES-GCM message (NIST SP 800-38D).

    Never use a (key, tensor_id, version) for two different tensors: see the module's description.

    Args:
        data: bytes-like, or a NumPy array of any type and layout; its bytes in C order are the plaintext. It may share
            memory with `out`, which then is encrypted in place. A NumPy scalar is an array without dimensions.
        key: 16 or 32 bytes.
        tensor_id: 28-bit number; its top four bits name the owner device.
        version: 64-bit version number.
        out: writable contiguous buffer that takes the ciphertext in its first bytes; what lies behind stays as it is.

    Returns:
        The sealed tensor. Its `ciphertext` is a read-only view of `out`, or `bytes` if `out` is not given (beyond
        1 GiB a read-only view of a fresh buffer).

    Raises:
        ValueError: a number is out of range, the tensor is empty or longer than 2^36 - 32 bytes, the key has a wrong
            length, or `out` is too short, read-only or not contiguous.
        TypeError: an argument has a wrong type, or the array holds Python objects.
    """
    try:
        cipher = _ciphers[key]  # type: ignore[index]
    except (KeyError, TypeError):
        cipher = _cipher(key)
    iv = tensor_iv(tensor_id, version)
    dtype: np.dtype[Any] | None
    if type(data) is ndarray:
        dtype, shape, nbytes = data.dtype, data.shape, data.nbytes
        plain = data.tobytes() if 0 < nbytes <= _SMALL_BYTES and not dtype.hasobject else _view(data)
    elif type(data) is bytes:
        dtype, nbytes, plain = None, len(data), data
        shape = (nbytes,)
        if not 0 < nbytes <= _SMALL_BYTES:
            plain = _view(data)
    else:
        if isinstance(data, np.generic) and not isinstance(data, bytes):
            data = np.asarray(data)
        plain = _view(data)
        nbytes = plain.nbytes
        dtype, shape = (data.dtype, data.shape) if isinstance(data, ndarray) else (None, (nbytes,))
    if nbytes > _SMALL_BYTES:
        ciphertext, tag = _encrypt(plain, key, iv, out)
    elif out is not None:
        target = _output(out, nbytes)
        message = cipher.encrypt(iv, plain, None)
        target[:] = message[:nbytes]
        ciphertext, tag = target.toreadonly(), message[nbytes:]
    else:
        sealed = _new(SealedTensor)
        sealed._message = cipher.encrypt(iv, plain, None)
        sealed.iv = iv
        sealed.nbytes = nbytes
        sealed.dtype = dtype
        sealed.shape = shape
        return sealed
    return SealedTensor(ciphertext, tag, iv, nbytes, dtype, shape)


def _encrypt(
    source: bytes | memoryview, key: BytesLike, iv: bytes, out: Buffer | None
) -> tuple[bytes | memoryview, bytes]:
    """Ciphertext and tag of a long message."""
    nbytes = len(source)
    encryptor = Cipher(AES(bytes(key)), GCM(iv)).encryptor()
    ciphertext: bytes | memoryview
    if out is None and nbytes <= _CHUNK_BYTES:
        ciphertext = encryptor.update(source)
    else:
        target = memoryview(bytearray(nbytes)) if out is None else _output(out, nbytes)
        source = _detached(memoryview(source), target)
        for start in range(0, nbytes, _CHUNK_BYTES):
            encryptor.update_into(source[start : start + _CHUNK_BYTES], target[start : start + _CHUNK_BYTES])
        ciphertext = target.toreadonly()
    encryptor.finalize()
    return ciphertext, encryptor.tag


def check_sealed(sealed: SealedTensor) -> memoryview:
    """Refuse what cannot be a tensor message; returns the ciphertext's bytes.

    Raises:
        IntegrityError: lengths, IV, type and shape do not fit each other or the format.
        TypeError: it is not a `SealedTensor`.
    """
    if not isinstance(sealed, SealedTensor):
        raise TypeError(f"unseal opens a SealedTensor, not {type(sealed).__name__}")
    actual = memoryview(sealed.ciphertext).nbytes
    if actual != sealed.nbytes or not 1 <= actual <= MAX_TENSOR_BYTES:
        raise IntegrityError(f"the ciphertext has {actual} bytes, the tensor is said to have {sealed.nbytes}")
    if len(sealed.tag) != TAG_BYTES:
        raise IntegrityError(f"the tag has {len(sealed.tag)} bytes instead of {TAG_BYTES}")
    if len(sealed.iv) != IV_BYTES or split_iv(sealed.iv)[0] != Domain.TENSOR:
        raise IntegrityError("the IV is not that of a tensor")
    itemsize = 1 if sealed.dtype is None else sealed.dtype.itemsize
    if math.prod(sealed.shape) * itemsize != actual or any(length < 0 for length in sealed.shape):
        raise IntegrityError(f"shape {sealed.shape} of type {sealed.dtype} does not have {actual} bytes")
    if sealed.dtype is None and len(sealed.shape) != 1:
        raise IntegrityError(f"shape {sealed.shape} is not that of bytes")
    if sealed.dtype is not None and sealed.dtype.hasobject:
        raise IntegrityError(f"type {sealed.dtype} holds references to Python objects")
    return _view(sealed.ciphertext)


def unseal(sealed: SealedTensor, key: BytesLike, *, out: Buffer | None = None) -> Array | bytes | memoryview:
    """Check and decrypt a tensor; returns nothing unless the whole tensor is authentic.

    A tag proves that the tensor was sealed under this key as the version that its IV names, not that this is the newest
    version: `tensortee.TensorVault` knows which one is.

    Args:
        sealed: what `seal` made.
        key: 16 or 32 bytes.
        out: writable contiguous buffer of at least `nbytes` bytes that takes the plaintext, and zeros if it is not
            authentic. It may be the buffer of the ciphertext, which then is decrypted in place, and lost on failure.

    Returns:
        An array of the sealed type and shape, or `bytes` if bytes were sealed. With `out`, a view of its first bytes:
        an array, or a memoryview if bytes were sealed.

    Raises:
        IntegrityError: anything was changed, or the key is another one.
        ValueError: the key has a wrong length, or `out` is too short, read-only or not contiguous.
        TypeError: an argument has a wrong type.
    """
    source = check_sealed(sealed)
    nbytes = sealed.nbytes
    target = memoryview(bytearray(nbytes)) if out is None else _output(out, nbytes)
    try:
        if nbytes <= _SMALL_BYTES:
            target[:] = _cipher(key).decrypt(sealed.iv, b"".join((source, sealed.tag)), None)
        else:
            _decrypt_in_chunks(_detached(source, target), target, bytes(key), sealed.iv, sealed.tag)
    except InvalidTag:
        _wipe(target)
        raise IntegrityError(
            f"tensor_id {sealed.tensor_id}, version {sealed.version}: the tag does not match; "
            "the data was changed or sealed under another key, tensor_id or version"
        ) from None
    except BaseException:
        _wipe(target)
        raise
    if sealed.dtype is None:
        return target if out is not None else bytes(target)
    return np.frombuffer(target, np.uint8).view(sealed.dtype).reshape(sealed.shape)


def _decrypt_in_chunks(source: memoryview, target: memoryview, key: bytes, iv: bytes, tag: bytes) -> None:
    decryptor = Cipher(AES(key), GCM(iv, tag)).decryptor()
    for start in range(0, source.nbytes, _CHUNK_BYTES):
        decryptor.update_into(source[start : start + _CHUNK_BYTES], target[start : start + _CHUNK_BYTES])
    decryptor.finalize()


def _wipe(view: memoryview) -> None:
    np.frombuffer(view, np.uint8)[:] = 0
