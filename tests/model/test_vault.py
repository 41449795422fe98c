# SPDX-License-Identifier: Apache-2.0
"""The vault: numbers are never used twice, nothing but the newest version opens, states do not go back."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tensortee import (
    ExhaustedError,
    FileCounter,
    IntegrityError,
    RollbackError,
    SealedTensor,
    TensorVault,
    unseal,
)
from tensortee.format import MAX_ID_COUNTER, OWNER_SHIFT
from tensortee.vault import state as vault_state

TEST_KEY = bytes(range(16))


class Counter:
    """A counter in memory."""

    def __init__(self, start: int = 0) -> None:
        self.number = start

    def value(self) -> int:
        """The last number."""
        return self.number

    def advance(self) -> int:
        """The next number."""
        self.number += 1
        return self.number


def ivs(*sealed: SealedTensor) -> set[bytes]:
    return {item.iv for item in sealed}


def test_round_trip_and_numbers() -> None:
    vault = TensorVault(TEST_KEY, owner=3)
    weights = np.arange(12, dtype=np.float32).reshape(3, 4)
    first, second = vault.seal("weights", weights), vault.seal("bias", b"bytes")
    assert (first.tensor_id, second.tensor_id) == (3 << OWNER_SHIFT | 1, 3 << OWNER_SHIFT | 2)
    assert (first.version, second.version) == (1, 1)
    assert np.array_equal(vault.unseal("weights", first), weights)
    assert vault.unseal("bias", second) == b"bytes"
    assert unseal(second, TEST_KEY) == b"bytes"
    again = vault.seal("weights", weights)
    assert (again.tensor_id, again.version) == (first.tensor_id, 2)
    assert (list(vault), len(vault), "bias" in vault, "x" in vault) == (["weights", "bias"], 2, True, False)


def test_buffers() -> None:
    vault = TensorVault(TEST_KEY)
    store, back = bytearray(100_000), bytearray(100_000)
    sealed = vault.seal("x", bytes(100_000), out=store)
    assert bytes(sealed.ciphertext) == bytes(store) != bytes(back)
    assert vault.unseal("x", sealed, out=back) == bytes(100_000)


@pytest.mark.parametrize(
    "scalar", [np.float32(3), np.float64(-0.0), np.bool_(True), np.int16(-2), np.complex64(1j), np.datetime64(7, "s")]
)
def test_scalars_are_arrays_without_dimensions(scalar: np.generic) -> None:
    vault = TensorVault(TEST_KEY)
    sealed = vault.seal("x", scalar)
    back = vault.unseal("x", sealed)
    assert isinstance(back, np.ndarray)
    assert (back.dtype, back.shape, back.tobytes()) == (scalar.dtype, (), scalar.tobytes())


def test_scalars_of_bytes_are_bytes() -> None:
    vault = TensorVault(TEST_KEY)
    assert vault.unseal("x", vault.seal("x", np.bytes_(b"data"))) == b"data"


def test_old_versions_are_refused() -> None:
    """A3: replay of an older version of the same tensor."""
    vault = TensorVault(TEST_KEY)
    old, new = vault.seal("x", b"old"), vault.seal("x", b"new")
    assert unseal(old, TEST_KEY) == b"old"  # the primitive cannot know
    with pytest.raises(RollbackError, match="version 1 of tensor 'x', the newest is 2"):
        vault.unseal("x", old)
    assert vault.unseal("x", new) == b"new"


def test_exchanged_and_changed_tensors_are_refused() -> None:
    """A2: tensors of equal length and version; and changes of what the tag does not cover."""
    vault = TensorVault(TEST_KEY)
    a, b = vault.seal("a", np.zeros(4, np.float32)), vault.seal("b", np.ones(4, np.float32))
    wrong = [
        b,
        replace(a, tag=b.tag),
        replace(a, ciphertext=b.ciphertext),
        replace(a, iv=b.iv),
        replace(a, iv=b"short"),
        replace(a, iv=a.iv[:-1] + b"\7"),
        replace(a, dtype=np.dtype(np.int32)),
        replace(a, dtype=np.dtype(">f4")),
        replace(a, dtype=None, shape=(16,)),
        replace(a, shape=(2, 2)),
        replace(a, nbytes=15),
    ]
    for sealed in wrong:
        with pytest.raises(IntegrityError):
            vault.unseal("a", sealed)
    with pytest.raises(KeyError, match="no tensor 'c'"):
        vault.unseal("c", a)
    assert np.array_equal(vault.unseal("a", a), np.zeros(4))


def test_released_numbers_do_not_come_back() -> None:
    """N1: a name that is used again gets another tensor_id."""
    vault = TensorVault(TEST_KEY)
    first = vault.seal("x", b"one")
    vault.release("x")
    with pytest.raises(KeyError):
        vault.unseal("x", first)
    with pytest.raises(KeyError, match=r"no tensor 'x'.*released"):
        vault.release("x")
    second = vault.seal("x", b"two")
    assert second.tensor_id != first.tensor_id
    with pytest.raises(IntegrityError):
        vault.unseal("x", first)


def test_a_failed_seal_uses_its_version_up() -> None:
    """N3: what was begun and not finished never shares a version with what follows."""
    vault = TensorVault(TEST_KEY)
    first = vault.seal("x", b"one")
    with pytest.raises(ValueError, match="read-only"):
        vault.seal("x", b"two", out=bytes(3))
    with pytest.raises(IntegrityError, match="version 2 of tensor 'x' was never sealed"):
        vault.unseal("x", first)
    assert vault.seal("x", b"three").version == 3


def test_owners_never_share_a_version() -> None:
    """N5: CPU and NPU write "the same" tensor under one key."""
    cpu, npu = TensorVault(TEST_KEY, owner=0), TensorVault(TEST_KEY, owner=1)
    a, b = cpu.seal("x", bytes(64)), npu.seal("x", bytes(64))
    assert a.iv != b.iv
    assert a.ciphertext != b.ciphertext
    with pytest.raises(IntegrityError):
        cpu.unseal("x", b)


def test_arguments() -> None:
    with pytest.raises(ValueError, match="16 or 32"):
        TensorVault(bytes(5))
    with pytest.raises(ValueError, match="owner"):
        TensorVault(TEST_KEY, owner=16)
    with pytest.raises(TypeError, match="not int"):
        TensorVault(TEST_KEY).seal(5, b"data")  # type: ignore[arg-type]


# Saving and restoring -------------------------------------------------------------------------------------------------


def test_restored_vault_goes_on() -> None:
    counter = Counter()
    vault = TensorVault(TEST_KEY, owner=2, counter=counter)
    a, b = vault.seal("a", np.arange(3)), vault.seal("b", b"data")
    restored = TensorVault.restore(vault.save(), TEST_KEY, counter)
    assert list(restored) == ["a", "b"]
    assert restored.unseal("b", b) == b"data"
    assert np.array_equal(restored.unseal("a", a), np.arange(3))
    newer = restored.seal("a", b"newer")
    assert newer.tensor_id == a.tensor_id
    assert newer.version > a.version
    with pytest.raises(RollbackError):
        restored.unseal("a", a)


def test_vault_and_copies_never_share_a_version() -> None:
    """N1: the old vault goes on, two copies are made, a new vault starts with the same key: all versions differ."""
    counter = Counter()
    vault = TensorVault(TEST_KEY, counter=counter)
    made = [vault.seal("x", b"0")]
    saved = vault.save()
    copies = [
        vault,
        TensorVault.restore(saved, TEST_KEY, counter),
        TensorVault.restore(saved, TEST_KEY, counter, accept_older=True),
        TensorVault(TEST_KEY, counter=counter),
    ]
    for _ in range(3):
        for number, one in enumerate(copies):
            made += [one.seal("x", bytes([number])), one.seal("y", bytes([number]))]
    assert len(ivs(*made)) == len(made)


def test_old_states_are_refused() -> None:
    """A4: everything off chip is rolled back together with the saved state."""
    counter = Counter()
    vault = TensorVault(TEST_KEY, counter=counter)
    old_tensor, old_state = vault.seal("x", b"old"), vault.save()
    vault.seal("x", b"new")
    new_state = vault.save()
    with pytest.raises(RollbackError, match="a newer state exists"):
        TensorVault.restore(old_state, TEST_KEY, counter)
    restored = TensorVault.restore(new_state, TEST_KEY, counter)
    with pytest.raises(RollbackError):
        restored.unseal("x", old_tensor)
    with pytest.raises(RollbackError, match="restored before"):
        TensorVault.restore(new_state, TEST_KEY, counter)
    with pytest.raises(RollbackError, match="counter stands at 0"):
        TensorVault.restore(restored.save(), TEST_KEY, Counter())
    knowingly = TensorVault.restore(old_state, TEST_KEY, counter, accept_older=True)
    assert knowingly.unseal("x", old_tensor) == b"old"


def test_changed_states_are_refused() -> None:
    counter = Counter()
    vault = TensorVault(TEST_KEY, counter=counter)
    vault.seal("x", b"data")
    saved = vault.save()
    for at in range(len(saved)):
        with pytest.raises(IntegrityError):
            TensorVault.restore(saved[:at] + bytes([saved[at] ^ 1]) + saved[at + 1 :], TEST_KEY, counter)
    for wrong in (b"", saved[:-1], saved + b"\0", saved[:30]):
        with pytest.raises(IntegrityError):
            TensorVault.restore(wrong, TEST_KEY, counter)
    with pytest.raises(IntegrityError, match="key is another one"):
        TensorVault.restore(saved, bytes(16), counter)
    assert list(TensorVault.restore(saved, TEST_KEY, counter)) == ["x"]


def test_a_state_without_counter_is_not_saved() -> None:
    with pytest.raises(ValueError, match="without a counter"):
        TensorVault(TEST_KEY).save()


def test_state_shows_nothing() -> None:
    vault = TensorVault(TEST_KEY, counter=Counter())
    vault.seal("name of a tensor", b"data")
    saved = vault.save()
    assert TEST_KEY not in saved
    assert b"name" not in saved
    assert saved != vault.save()
    assert TEST_KEY.hex() not in repr(vault)
    assert str(TEST_KEY) not in repr(vault)


def test_counters_at_their_end() -> None:
    """N2: versions, tensor_ids and epochs saturate."""
    vault = TensorVault(TEST_KEY)
    vault.seal("x", b"data")
    record = vault._state.tensors["x"]
    vault._state.tensors["x"] = replace(record, version=(1 << 32) - 2)
    assert vault.seal("x", b"last").version == (1 << 32) - 1
    for _ in range(2):
        with pytest.raises(ExhaustedError, match="no version number"):
            vault.seal("x", b"data")
    vault._state.next_id = MAX_ID_COUNTER
    assert vault.seal("y", b"last").tensor_id == MAX_ID_COUNTER
    for _ in range(2):
        with pytest.raises(ExhaustedError, match="no tensor_id"):
            vault.seal("z", b"data")
    assert "z" not in vault
    with pytest.raises(ExhaustedError, match="new key and counter"):
        TensorVault(TEST_KEY, counter=Counter((1 << 32) - 1))
    last = TensorVault(TEST_KEY, counter=Counter((1 << 32) - 2))
    assert last.seal("x", b"data").version == (1 << 64) - (1 << 32) + 1
    with pytest.raises(ExhaustedError):
        last.save()


def test_a_counter_that_stands_still_is_noticed() -> None:
    class Stuck(Counter):
        def advance(self) -> int:
            return 1

    vault = TensorVault(TEST_KEY, counter=Stuck())
    with pytest.raises(ExhaustedError):
        vault.save()


# Copies, processes, threads -------------------------------------------------------------------------------------------


def test_no_copies() -> None:
    vault = TensorVault(TEST_KEY)
    for access in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="neither copied nor pickled"):
            access(vault)


def _seals_in_child(vault: TensorVault, pipe: multiprocessing.connection.Connection) -> None:
    for call in (lambda: vault.seal("x", b"data"), vault.save, lambda: vault.release("x")):
        try:
            call()
            pipe.send("worked")
        except RuntimeError as error:
            pipe.send(str(error))


def test_forked_process_is_refused() -> None:
    vault = TensorVault(TEST_KEY, counter=Counter())
    vault.seal("x", b"data")
    here, there = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=_seals_in_child, args=(vault, there))
    child.start()
    answers = [here.recv() for _ in range(3)]
    child.join()
    assert all("forked process" in answer for answer in answers)
    assert vault.seal("x", b"data").version & 0xFFFFFFFF == 2


def test_threads_get_different_versions() -> None:
    vault = TensorVault(TEST_KEY)
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda number: vault.seal(f"tensor {number % 5}", bytes([number])), range(200)))
    assert len(ivs(*made)) == 200
    for name in range(5):
        newest = max((item for item in made if item.tensor_id == made[name].tensor_id), key=lambda item: item.version)
        assert newest.version == 40
    assert len(vault) == 5


# Counter in a file ----------------------------------------------------------------------------------------------------


def test_file_counter(tmp_path: Path) -> None:
    path = tmp_path / "counter"
    with pytest.raises(FileNotFoundError):
        FileCounter(path).value()
    counter = FileCounter.create(path)
    assert counter.value() == 0
    assert [counter.advance() for _ in range(3)] == [1, 2, 3]
    assert FileCounter(path).value() == 3
    with pytest.raises(FileExistsError):
        FileCounter.create(path)
    assert list(tmp_path.iterdir()) == [path]
    for text in ("", "-1", "x"):
        path.write_text(text)
        with pytest.raises(ValueError, match="does not hold a counter"):
            counter.advance()


def test_vault_over_a_file_counter(tmp_path: Path) -> None:
    counter = FileCounter.create(tmp_path / "counter")
    vault = TensorVault(TEST_KEY, counter=counter)
    sealed = vault.seal("x", b"data")
    (tmp_path / "state").write_bytes(vault.save())
    restored = TensorVault.restore((tmp_path / "state").read_bytes(), TEST_KEY, FileCounter(tmp_path / "counter"))
    assert restored.unseal("x", sealed) == b"data"


def test_state_key_is_not_the_tensor_key() -> None:
    """A9: the saved state is no message under the tensors' key, and no tensor is a state."""
    vault = TensorVault(TEST_KEY, counter=Counter())
    saved = vault.save()
    body = saved[20:-16]
    fake = SealedTensor(body, saved[-16:], saved[8:20], len(body), None, (len(body),))
    with pytest.raises(IntegrityError):
        unseal(replace(fake, iv=b"\0" + fake.iv[1:]), TEST_KEY)
    sealed = vault.seal("x", b"{}")
    with pytest.raises(IntegrityError):
        vault_state.open_state(b"TTVAULT1" + sealed.iv + bytes(sealed.ciphertext) + sealed.tag, TEST_KEY)
