# SPDX-License-Identifier: Apache-2.0
"""`seal` and `unseal`: round trips, arguments, buffers, and that nothing comes out of what was changed."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from Crypto.Cipher import AES
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from tensortee import IntegrityError, SealedTensor, forget_keys, seal, unseal
from tensortee.format import MAX_TENSOR_ID, MAX_VERSION, sealing

TEST_KEY = bytes(range(16))
# Below, at and above the length from which messages are streamed.
LENGTHS = [1, 15, 16, 17, 63, 64, 65, 4096, (1 << 16) - 1, 1 << 16, (1 << 16) + 1, 300_001]


def plain(nbytes: int, seed: int = 1) -> bytes:
    return np.random.default_rng(seed).bytes(nbytes)


def opened_by_pycryptodome(sealed: SealedTensor, key: bytes) -> bytes:
    cipher = AES.new(key, AES.MODE_GCM, nonce=sealed.iv, mac_len=16)
    return bytes(cipher.decrypt_and_verify(bytes(sealed.ciphertext), sealed.tag))


@pytest.mark.parametrize("nbytes", LENGTHS)
@pytest.mark.parametrize("key_bytes", [16, 32])
def test_two_libraries_open_it(nbytes: int, key_bytes: int) -> None:
    data, key = plain(nbytes), bytes(range(key_bytes))
    sealed = seal(data, key, 0x1000001, 5)
    assert sealed.ciphertext != data or nbytes < 2
    assert AESGCM(key).decrypt(sealed.iv, bytes(sealed.ciphertext) + sealed.tag, b"") == data
    assert opened_by_pycryptodome(sealed, key) == data
    assert unseal(sealed, key) == data
    assert (sealed.nbytes, sealed.shape, sealed.dtype) == (nbytes, (nbytes,), None)
    assert (sealed.tensor_id, sealed.version, len(sealed.tag)) == (0x1000001, 5, 16)


ARRAYS: dict[str, NDArray[Any]] = {
    "float32": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "zero dimensions": np.array(2.5),
    "strided": np.arange(48).reshape(6, 8)[::2, 1::3],
    "reversed": np.arange(10, dtype=np.int16)[::-1],
    "column order": np.asfortranarray(np.arange(12, dtype=np.uint8).reshape(3, 4)),
    "big endian": np.arange(5, dtype=">i4"),
    "bfloat16": np.arange(7).astype(ml_dtypes.bfloat16),
    "float8": np.arange(7).astype(ml_dtypes.float8_e4m3fn),
    "bool": np.array([[True, False], [False, True]]),
    "complex": np.array([1 + 2j, 3 - 4j]),
    "text": np.array(["a", "bcd"]),
    "dates": np.array(["2020-02-29", "2024-01-01"], dtype="datetime64[D]"),
    "records": np.array([(1, 2.0), (3, 4.0)], dtype=[("a", "<i4"), ("b", "<f8")]),
    "large": np.arange(100_000, dtype=np.float64),
    "large, strided": np.arange(100_000, dtype=np.float64)[::3],
    "large bfloat16": np.arange(100_000).astype(ml_dtypes.bfloat16),
    "broadcast": np.broadcast_to(np.float32(1.5), (4, 5)),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_come_back(name: str) -> None:
    array = ARRAYS[name]
    sealed = seal(array, TEST_KEY, 1, 1)
    back = unseal(sealed, TEST_KEY)
    assert isinstance(back, np.ndarray)
    assert (back.dtype, back.shape, back.flags.writeable) == (array.dtype, array.shape, True)
    assert back.tobytes() == array.tobytes() == opened_by_pycryptodome(sealed, TEST_KEY)


@given(hnp.arrays(hnp.scalar_dtypes(), hnp.array_shapes(min_dims=0, max_dims=4, min_side=1, max_side=6)))
def test_any_array_comes_back(array: NDArray[Any]) -> None:
    if not array.nbytes:
        with pytest.raises(ValueError, match="not 0"):
            seal(array, TEST_KEY, 1, 1)
        return
    back = unseal(seal(array, TEST_KEY, 1, 1), TEST_KEY)
    assert isinstance(back, np.ndarray)
    assert (back.dtype, back.shape, back.tobytes()) == (array.dtype, array.shape, array.tobytes())


@given(
    st.binary(min_size=1, max_size=300),
    st.sampled_from([16, 32]).flatmap(lambda n: st.binary(min_size=n, max_size=n)),
    st.integers(0, MAX_TENSOR_ID),
    st.integers(0, MAX_VERSION),
)
def test_any_bytes_open_elsewhere(data: bytes, key: bytes, tensor_id: int, version: int) -> None:
    sealed = seal(data, key, tensor_id, version)
    assert opened_by_pycryptodome(sealed, key) == data == unseal(sealed, key)


@pytest.mark.parametrize("make", [bytes, bytearray, memoryview, lambda data: np.frombuffer(data, "<i4").data])
@pytest.mark.parametrize("nbytes", [64, 200_000])
def test_bytes_like_inputs(make: Any, nbytes: int) -> None:
    data = plain(nbytes)
    sealed = seal(make(data), bytearray(TEST_KEY), 1, 1)
    assert unseal(sealed, memoryview(TEST_KEY)) == data
    assert sealed == seal(data, TEST_KEY, 1, 1)


def test_memoryview_with_gaps() -> None:
    data = plain(100)
    assert unseal(seal(memoryview(data)[::3], TEST_KEY, 1, 1), TEST_KEY) == data[::3]


# Buffers --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nbytes", LENGTHS)
@pytest.mark.parametrize("spare", [0, 16, 100])
def test_out_takes_the_ciphertext_and_no_more(nbytes: int, spare: int) -> None:
    data = plain(nbytes)
    expected = seal(data, TEST_KEY, 3, 4)
    for out in (bytearray(b"\xa5" * (nbytes + spare)), np.full(nbytes + spare, 0xA5, np.uint8)):
        sealed = seal(data, TEST_KEY, 3, 4, out=out)
        assert bytes(sealed.ciphertext) == expected.ciphertext == bytes(out)[:nbytes]
        assert (sealed.tag, sealed.iv) == (expected.tag, expected.iv)
        assert bytes(out)[nbytes:] == b"\xa5" * spare
        back = bytearray(b"\x5a" * (nbytes + spare))
        assert unseal(sealed, TEST_KEY, out=back) == data
        assert back == data + b"\x5a" * spare


def test_out_of_another_type_and_shape() -> None:
    array = np.arange(100_000, dtype=np.float32)
    sealed = seal(array, TEST_KEY, 1, 1, out=np.empty((100, 1000), np.uint32))
    out = np.zeros((10, 10_000), np.float32)
    back = unseal(sealed, TEST_KEY, out=out)
    assert isinstance(back, np.ndarray)
    assert np.shares_memory(back, out)
    assert np.array_equal(back, array)
    assert np.array_equal(out.reshape(-1), array)


@pytest.mark.parametrize("nbytes", [1000, 300_000])
@pytest.mark.parametrize("shift", [0, 1, 16, 999])
def test_out_may_overlap(nbytes: int, shift: int) -> None:
    data = plain(nbytes)
    expected = seal(data, TEST_KEY, 1, 1)
    for source, target in ((0, shift), (shift, 0)):
        store = bytearray(nbytes + shift)
        store[source : source + nbytes] = data
        view = memoryview(store)
        sealed = seal(view[source : source + nbytes], TEST_KEY, 1, 1, out=view[target:])
        assert sealed.ciphertext == expected.ciphertext
        assert sealed.tag == expected.tag
        assert unseal(sealed, TEST_KEY, out=view[source:]) == data


@pytest.mark.parametrize("nbytes", [100, 100_000])
@pytest.mark.parametrize(
    ("out", "message"),
    [
        (bytearray(99), "99 bytes"),
        (bytearray(), "0 bytes"),
        (bytes(200_000), "read-only"),
        (np.broadcast_to(np.uint8(0), 200_000), "read-only|contiguous"),
        (np.zeros(400_000, np.uint8)[::2], "contiguous"),
        (memoryview(bytearray(400_000))[::2], "contiguous"),
    ],
)
def test_unsuitable_out(out: Any, message: str, nbytes: int) -> None:
    data = plain(nbytes)
    with pytest.raises(ValueError, match=message):
        seal(data, TEST_KEY, 1, 1, out=out)
    with pytest.raises(ValueError, match=message):
        unseal(seal(data, TEST_KEY, 1, 1), TEST_KEY, out=out)
    with pytest.raises(TypeError, match="not list"):
        seal(data, TEST_KEY, 1, 1, out=[0] * nbytes)  # type: ignore[arg-type]


GOOD_ARGUMENTS: dict[str, Any] = {"data": b"x", "key": TEST_KEY, "tensor_id": 1, "version": 1}

# Arguments ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"data": b""}, "not 0"),
        ({"data": np.zeros((3, 0))}, "not 0"),
        ({"key": bytes(24)}, "16 or 32 bytes, not 24"),
        ({"tensor_id": 1 << 28}, "28 bits"),
        ({"tensor_id": -1}, "28 bits"),
        ({"version": 1 << 64}, "64 bits"),
        ({"version": -1}, "64 bits"),
    ],
)
def test_values_out_of_range(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        seal(**(GOOD_ARGUMENTS | arguments))


@pytest.mark.parametrize(
    "arguments",
    [
        {"data": "text"},
        {"data": [1, 2]},
        {"data": np.array([object()])},
        {"data": np.ma.masked_array([1, 2], [True, False])},
        {"key": "0" * 16},
        {"tensor_id": 1.0},
        {"version": "1"},
    ],
)
def test_values_of_a_wrong_type(arguments: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        seal(**(GOOD_ARGUMENTS | arguments))


def test_a_tensor_that_is_too_long() -> None:
    huge = np.lib.stride_tricks.as_strided(np.zeros(1, np.uint8), (2**36 - 31,), (0,))
    with pytest.raises(ValueError, match=str(2**36 - 31)):
        seal(huge, TEST_KEY, 1, 1)


# Changes --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nbytes", [1, 64, 100, 70_000])
def test_every_change_is_noticed(nbytes: int) -> None:
    sealed = seal(plain(nbytes), TEST_KEY, 1, 1)
    ciphertext = bytes(sealed.ciphertext)
    last = nbytes - 1
    flipped = [
        ciphertext[:at] + bytes([ciphertext[at] ^ 1 << bit]) + ciphertext[at + 1 :]
        for at in {0, last}
        for bit in range(8)
    ]
    changed = [replace(sealed, ciphertext=text) for text in flipped]
    changed += [
        replace(sealed, tag=bytes([*sealed.tag[:at], sealed.tag[at] ^ 128, *sealed.tag[at + 1 :]])) for at in range(16)
    ]
    changed += [
        replace(sealed, iv=(int.from_bytes(sealed.iv, "big") ^ 1 << bit).to_bytes(12, "big")) for bit in range(96)
    ]
    changed += [
        replace(sealed, tag=b""),
        replace(sealed, tag=sealed.tag[:12]),
        replace(sealed, tag=sealed.tag + b"\0"),
        replace(sealed, iv=sealed.iv[:8]),
        replace(sealed, iv=sealed.iv + b"\0"),
        replace(sealed, nbytes=nbytes + 1),
        replace(sealed, nbytes=nbytes - 1),
        replace(sealed, ciphertext=ciphertext[:-1]),
        replace(sealed, ciphertext=ciphertext[:-1], nbytes=nbytes - 1, shape=(nbytes - 1,)),
        replace(sealed, ciphertext=ciphertext + b"\0", nbytes=nbytes + 1, shape=(nbytes + 1,)),
        replace(sealed, ciphertext=b"", nbytes=0, shape=(0,)),
        replace(sealed, shape=(nbytes + 1,)),
        replace(sealed, shape=(-1, -nbytes)),
        replace(sealed, shape=(nbytes, 1)),
        replace(sealed, dtype=np.dtype(np.float64)),
        replace(sealed, dtype=np.dtype(object), shape=(nbytes // 8,)),
    ]
    for wrong in changed:
        out = bytearray(b"\x33" * 80_000)
        with pytest.raises(IntegrityError):
            unseal(wrong, TEST_KEY, out=out)
        assert not any(out[: min(wrong.nbytes, nbytes)]) or out == b"\x33" * 80_000
        with pytest.raises(IntegrityError):
            unseal(wrong, TEST_KEY)
    with pytest.raises(IntegrityError, match="tag does not match"):
        unseal(sealed, bytes(16))
    assert unseal(sealed, TEST_KEY) == plain(nbytes)


@pytest.mark.parametrize("nbytes", [100, 100_000])
def test_out_is_wiped_on_failure(nbytes: int) -> None:
    sealed = seal(plain(nbytes), TEST_KEY, 1, 1)
    out = bytearray(b"\x77" * (nbytes + 5))
    with pytest.raises(IntegrityError):
        unseal(replace(sealed, tag=bytes(16)), TEST_KEY, out=out)
    assert out == bytes(nbytes) + b"\x77" * 5


def test_array_type_changes() -> None:
    sealed = seal(np.arange(6, dtype=np.float32), TEST_KEY, 1, 1)
    for wrong in (
        replace(sealed, shape=(7,)),
        replace(sealed, shape=(-2, -3)),
        replace(sealed, dtype=np.dtype(np.float64)),
        replace(sealed, dtype=np.dtype(object), shape=(3,)),
    ):
        with pytest.raises(IntegrityError):
            unseal(wrong, TEST_KEY)


def test_unseal_refuses_other_objects() -> None:
    with pytest.raises(TypeError, match="not tuple"):
        unseal((b"", b""), TEST_KEY)  # type: ignore[arg-type]


# The object, secrets, threads -----------------------------------------------------------------------------------------


def pickled_and_back(sealed: SealedTensor) -> SealedTensor:
    again = pickle.loads(pickle.dumps(sealed))  # noqa: S301 - made in this line
    assert isinstance(again, SealedTensor)
    return again


@pytest.mark.parametrize("access", [copy.copy, copy.deepcopy, pickled_and_back, replace])
def test_sealed_tensors_can_be_copied(access: Any) -> None:
    sealed = seal(np.arange(6, dtype=np.int8), TEST_KEY, 1, 1)
    again = access(sealed)
    assert again == sealed == access(again)
    assert unseal(again, TEST_KEY).tolist() == list(range(6))  # type: ignore[union-attr]
    with pytest.raises(AttributeError):
        _ = sealed.plaintext


def test_no_secret_is_shown() -> None:
    key, data = b"sixteen byte key", b"very secret data"
    sealed = seal(data, key, 1, 1)
    texts = [repr(sealed)]
    for call in (lambda: unseal(replace(sealed, tag=bytes(16)), key), lambda: seal(data, key[:-1], 1, 1)):
        with pytest.raises((IntegrityError, ValueError)) as caught:
            call()
        texts.append(f"{caught.value!r} {caught.value.__context__!r}")
    for secret in (key, data):
        for text in texts:
            assert secret.decode() not in text
            assert secret.hex() not in text


def test_the_cache_of_ciphers_is_bounded_and_can_be_emptied() -> None:
    for number in range(100):
        key = number.to_bytes(16, "big")
        assert unseal(seal(b"data", key, 1, 1), key) == b"data"
    assert 0 < len(sealing._ciphers) <= sealing._CACHED_KEYS
    forget_keys()
    assert not sealing._ciphers
    assert unseal(seal(b"data", TEST_KEY, 1, 1), TEST_KEY) == b"data"


def test_threads_do_not_disturb_each_other() -> None:
    datas = [plain(5000 + 997 * number, number) for number in range(100)]

    def roundtrip(number: int) -> bool:
        key = (number % 25).to_bytes(16, "big")
        sealed = seal(datas[number], key, number, 1)
        return unseal(sealed, key) == datas[number] == opened_by_pycryptodome(sealed, key)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(roundtrip, range(100)))
