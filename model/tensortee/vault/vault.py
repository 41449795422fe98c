# SPDX-License-Identifier: Apache-2.0
"""A vault owns a key, numbers tensors and versions itself, and opens nothing but the newest version of each."""

from __future__ import annotations

import hmac
import os
import threading
from collections.abc import Iterator
from typing import NoReturn

import numpy as np

from tensortee.format import (
    MAX_ID_COUNTER,
    Array,
    Buffer,
    BytesLike,
    ExhaustedError,
    IntegrityError,
    RollbackError,
    SealedTensor,
    check_key,
    check_sealed,
    make_tensor_id,
    seal,
    unseal,
)
from tensortee.vault.counter import MonotonicCounter
from tensortee.vault.state import TensorRecord, VaultState, open_state, seal_state

_SEQUENCE_BITS = 32
_MAX_EPOCH = (1 << 32) - 1


def _unknown(name: str) -> KeyError:
    return KeyError(f"the vault has no tensor {name!r}: it was never sealed here, or was released")


class TensorVault:
    """Seals tensors by name; every (tensor_id, version) that it uses is new under its key.

    A version number is `epoch << 32 | sequence`. The epoch is a number of the monotonic counter that was drawn when the
    vault was made or restored, so two vaults that share key, owner and counter, or a vault and its restored copy, never
    use the same version. Without a counter the epoch is 0: then the key must be fresh and the vault cannot be saved.

    Safe to use from several threads. It can be neither copied nor pickled, and does not work in a forked process.

    Args:
        key: 16 or 32 bytes.
        owner: 0 .. 15; devices that share the key need different numbers.
        counter: monotonic counter of this key and owner.

    Raises:
        ValueError: the key has a wrong length, or the owner is out of range.
        ExhaustedError: the counter is at its end.
    """

    def __init__(self, key: BytesLike, *, owner: int = 0, counter: MonotonicCounter | None = None) -> None:
        self._key = check_key(key)
        make_tensor_id(owner, 1)
        self._start(VaultState(owner=owner, epoch=0), counter)

    def _start(self, state: VaultState, counter: MonotonicCounter | None) -> None:
        self._counter = counter
        self._state = state
        self._lock = threading.Lock()
        self._process = os.getpid()
        if counter is not None:
            self._new_epoch(counter)

    def _new_epoch(self, counter: MonotonicCounter) -> None:
        epoch = counter.advance()
        if not self._state.epoch < epoch <= _MAX_EPOCH:
            raise ExhaustedError(f"the counter gave {epoch} after {self._state.epoch}: use a new key and counter")
        self._state.epoch = epoch

    @classmethod
    def restore(
        cls, saved: bytes, key: BytesLike, counter: MonotonicCounter, *, accept_older: bool = False
    ) -> TensorVault:
        """A vault that goes on where `save` was called.

        Args:
            saved: what `save` returned; a state can be restored once.
            key: the vault's key.
            counter: the vault's counter.
            accept_older: take a state that is not the newest, for example after the newest was lost. Versions that were
                sealed after it are unknown to the restored vault. Keystreams are never used twice either way.

        Raises:
            IntegrityError: the state was changed, or the key is another one.
            RollbackError: the state is not the newest one, or the counter itself was set back.
        """
        raw = check_key(key)
        state = open_state(bytes(saved), raw)
        value = counter.value()
        if state.epoch > value:
            raise RollbackError(f"the counter stands at {value} but the state was saved at {state.epoch}")
        if state.epoch < value and not accept_older:
            raise RollbackError(
                f"the state was saved when the counter stood at {state.epoch}, now it stands at {value}: "
                "a newer state exists, or this one was restored before"
            )
        vault = cls.__new__(cls)
        vault._key = raw
        vault._start(state, counter)
        return vault

    def save(self) -> bytes:
        """The vault's state, encrypted and authenticated; it does not contain the key. Older saved states end here.

        Raises:
            ValueError: the vault has no counter.
            ExhaustedError: the counter is at its end.
        """
        with self._lock:
            self._check_process()
            if self._counter is None:
                raise ValueError("a vault without a counter cannot be saved: nothing would tell old states from new")
            self._new_epoch(self._counter)
            return seal_state(self._state, self._key)

    def seal(self, name: str, data: Buffer | np.generic, *, out: Buffer | None = None) -> SealedTensor:
        """Seal a new version of a tensor; from now on `unseal` opens no other one.

        Args:
            name: the tensor; a new name gets a new tensor_id.
            data: as for `tensortee.seal`.
            out: as for `tensortee.seal`.

        Raises:
            ValueError: as for `tensortee.seal`.
            TypeError: as for `tensortee.seal`, or the name is not a string.
            ExhaustedError: no tensor_id or version number is left.
        """
        if not isinstance(name, str):
            raise TypeError(f"a tensor has a string as its name, not {type(name).__name__}")
        with self._lock:
            tensor_id, version = self._next_version(name)
        # The numbers are used up now, even if sealing fails. Other threads need not wait for it.
        sealed = seal(data, self._key, tensor_id, version, out=out)
        with self._lock:
            current = self._state.tensors.get(name)
            if current is not None and current.tensor_id == tensor_id and current.version == version:
                self._state.tensors[name] = TensorRecord.of(sealed)
        return sealed

    def _next_version(self, name: str) -> tuple[int, int]:
        self._check_process()
        state = self._state
        record = state.tensors.get(name)
        if record is None:
            if state.next_id > MAX_ID_COUNTER:
                raise ExhaustedError("no tensor_id is left under this key: use a new one")
            record = TensorRecord(make_tensor_id(state.owner, state.next_id))
            state.next_id += 1
        version = max(record.version, state.epoch << _SEQUENCE_BITS) + 1
        if version >> _SEQUENCE_BITS != state.epoch:
            raise ExhaustedError(f"tensor {name!r} has no version number left: save the vault or release the tensor")
        state.tensors[name] = TensorRecord(record.tensor_id, version)
        return record.tensor_id, version

    def unseal(self, name: str, sealed: SealedTensor, *, out: Buffer | None = None) -> Array | bytes | memoryview:
        """Open the newest version of a tensor, and nothing else; see `tensortee.unseal` for `out` and the result.

        Raises:
            KeyError: the vault has no tensor of that name.
            RollbackError: `sealed` is an older version.
            IntegrityError: `sealed` is another tensor, or anything was changed, type and shape included.
            ValueError: as for `tensortee.unseal`.
        """
        with self._lock:
            self._check_process()
            record = self._state.tensors.get(name)
        if record is None:
            raise _unknown(name)
        if not record.tag:
            raise IntegrityError(f"version {record.version} of tensor {name!r} was never sealed completely")
        check_sealed(sealed)
        given = TensorRecord.of(sealed)
        if given.tensor_id == record.tensor_id and given.version < record.version:
            raise RollbackError(f"this is version {given.version} of tensor {name!r}, the newest is {record.version}")
        if (given.tensor_id, given.version) != (record.tensor_id, record.version):
            raise IntegrityError(f"this is not version {record.version} of tensor {name!r}")
        if not hmac.compare_digest(given.tag, record.tag):
            raise IntegrityError(f"the tag is not that of version {record.version} of tensor {name!r}")
        if given != record:
            raise IntegrityError(f"length, type or shape is not that of version {record.version} of tensor {name!r}")
        return unseal(sealed, self._key, out=out)

    def release(self, name: str) -> None:
        """Forget a tensor: nothing sealed under its tensor_id is opened any more.

        Raises:
            KeyError: the vault has no tensor of that name.
        """
        with self._lock:
            self._check_process()
            if self._state.tensors.pop(name, None) is None:
                raise _unknown(name)

    def __contains__(self, name: object) -> bool:
        return name in self._state.tensors

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._state.tensors))

    def __len__(self) -> int:
        return len(self._state.tensors)

    def __repr__(self) -> str:
        return f"TensorVault(owner={self._state.owner}, {len(self)} tensors)"

    def _check_process(self) -> None:
        if os.getpid() != self._process:
            raise RuntimeError(
                "a vault does not work in a forked process: parent and child would use the same versions"
            )

    def __reduce__(self) -> NoReturn:
        raise TypeError("a vault can be neither copied nor pickled: the copy would use the same versions; save it")
