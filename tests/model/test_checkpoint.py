# SPDX-License-Identifier: Apache-2.0
"""Sealed checkpoints: what goes in comes out, bit for bit, and any AES-GCM library can open it."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from Crypto.Cipher import AES
from Crypto.Hash import SHA256
from Crypto.Protocol.KDF import HKDF
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save_file
from tensortee.checkpoint import OutputError, read_info, seal_checkpoint, unseal_checkpoint, verify_checkpoint
from tensortee.checkpoint.batches import CHUNK_BYTES

from tests.model.checkpoint_files import (
    DTYPE_BITS,
    TEST_KEY_128,
    TEST_KEY_256,
    safetensors_bytes,
    write_model,
    write_sharded,
)

ROOT = Path(__file__).resolve().parents[2]
EDGE_LENGTHS = (
    *(1, 15, 16, 17, 63, 64, 65, 127, 128, 4095, 4096, 4097),
    *(CHUNK_BYTES + delta for delta in (-65, -64, -63, -1, 0, 1, 63, 64, 65)),
    *(2 * CHUNK_BYTES + delta for delta in (-1, 0, 1)),
    5 * CHUNK_BYTES + 12345,
)


def roundtrip(tmp_path: Path, content: bytes, key: bytes = TEST_KEY_128, threads: int | None = None) -> Path:
    """Seal, verify, open, compare; returns the sealed checkpoint."""
    source = tmp_path / "model.safetensors"
    source.write_bytes(content)
    seal_checkpoint(source, tmp_path / "sealed", key, threads=threads)
    report = verify_checkpoint(tmp_path / "sealed", key, threads=threads)
    assert report.ok
    assert report.problems == ()
    unseal_checkpoint(tmp_path / "sealed", tmp_path / "opened", key, threads=threads)
    assert (tmp_path / "opened").read_bytes() == content
    return tmp_path / "sealed"


def third_party_open(sealed: Path, user_key: bytes) -> dict[str, bytes]:
    """Plaintext of every tensor, by pycryptodome and the format's description, without the package under test."""
    manifest = (sealed / "checkpoint.ttee").read_bytes()
    salt = manifest[32:64]

    def derive(purpose: str) -> bytes:
        key = HKDF(user_key, len(user_key), salt, SHA256, context=b"tensortee checkpoint v1 " + purpose.encode())
        assert isinstance(key, bytes)
        return key

    def open_message(key: bytes, iv: bytes, ciphertext: bytes, tag: bytes, aad: bytes = b"") -> bytes:
        cipher = AES.new(key, AES.MODE_GCM, nonce=iv)
        cipher.update(aad)
        return cipher.decrypt_and_verify(ciphertext, tag)

    table = json.loads(open_message(derive("table"), bytes(12), manifest[128:-16], manifest[-16:], aad=manifest[:128]))
    tensors = {}
    for index, shard in enumerate(table["shards"]):
        data = (sealed / f"data-{index:05d}.ttee").read_bytes()
        for item in shard["tensors"]:
            assert item["offset"] % 64 == 0
            ciphertext = data[item["offset"] :][: item["nbytes"]]
            if item["nbytes"] == 0:
                tensors[item["name"]] = b""
                continue
            iv = item["tensor_id"].to_bytes(4, "big") + item["version"].to_bytes(8, "big")
            tensors[item["name"]] = open_message(derive("tensors"), iv, ciphertext, bytes.fromhex(item["tag"]))
    return tensors


def plain_tensors(content: bytes) -> dict[str, bytes]:
    """Bytes of every tensor of a safetensors file, from the format's description."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header.pop("__metadata__", None)
    data = content[8 + length :]
    return {name: data[slice(*item["data_offsets"])] for name, item in header.items()}


@pytest.mark.parametrize("key", [TEST_KEY_128, TEST_KEY_256], ids=["aes128", "aes256"])
def test_every_dtype_and_a_third_party_library(tmp_path: Path, key: bytes) -> None:
    tensors = {f"t.{dtype}": (dtype, (3, 8)) for dtype in DTYPE_BITS}
    content = safetensors_bytes(tensors, {"format": "pt", "note": "bytes \u00e9"})
    sealed = roundtrip(tmp_path, content, key)
    assert third_party_open(sealed, key) == plain_tensors(content)
    info = read_info(sealed, key)
    assert info.tensors is not None
    assert {t.name: (t.dtype, t.shape) for t in info.tensors} == {n: (d, tuple(s)) for n, (d, s) in tensors.items()}
    assert info.metadata == {"model.safetensors": {"format": "pt", "note": "bytes \u00e9"}}


@pytest.mark.parametrize("threads", [1, 3])
def test_lengths_around_every_border(tmp_path: Path, threads: int) -> None:
    content = safetensors_bytes({f"t{length}": ("U8", (length,)) for length in EDGE_LENGTHS})
    sealed = roundtrip(tmp_path, content, threads=threads)
    assert third_party_open(sealed, TEST_KEY_128) == plain_tensors(content)


@settings(max_examples=25)
@given(
    lengths=st.lists(st.one_of(st.integers(0, 300), st.integers(CHUNK_BYTES - 200, CHUNK_BYTES + 200)), max_size=12),
    key=st.sampled_from([TEST_KEY_128, TEST_KEY_256]),
)
def test_any_mixture_of_lengths(tmp_path_factory: pytest.TempPathFactory, lengths: list[int], key: bytes) -> None:
    content = safetensors_bytes({f"t{i}": ("U8", (length,)) for i, length in enumerate(lengths)})
    sealed = roundtrip(tmp_path_factory.mktemp("mixture"), content, key, threads=2)
    assert third_party_open(sealed, key) == plain_tensors(content)


@pytest.mark.parametrize(
    "tensors",
    [
        {},
        {"none": ("F32", (0,))},
        {"a": ("F32", (0, 7)), "b": ("I64", ()), "c": ("U8", (3, 0)), "d": ("U8", (5,)), "e": ("U8", (0,))},
    ],
    ids=["no-tensor", "no-element", "mixed"],
)
def test_tensors_without_elements(tmp_path: Path, tensors: dict[str, tuple[str, tuple[int, ...]]]) -> None:
    sealed = roundtrip(tmp_path, safetensors_bytes(tensors, {"k": "v"}))
    assert verify_checkpoint(sealed, TEST_KEY_128).tensors == len(tensors)


def test_file_of_the_safetensors_package(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    arrays = {f"layer.{i}": rng.standard_normal((i, 33)).astype(np.float32) for i in range(20)}
    save_file(arrays, tmp_path / "in.safetensors", metadata={"format": "np"})
    seal_checkpoint(tmp_path / "in.safetensors", tmp_path / "sealed", TEST_KEY_128)
    unseal_checkpoint(tmp_path / "sealed", tmp_path / "out.safetensors", TEST_KEY_128)
    with safe_open(tmp_path / "out.safetensors", framework="np") as opened:
        assert opened.metadata() == {"format": "np"}
        for name, array in arrays.items():
            np.testing.assert_array_equal(opened.get_tensor(name), array)


def test_odd_names_survive(tmp_path: Path) -> None:
    names = ["", " ", "a/b/../c", "\u00fcml\u00e4ut", "[red]x", "line\nbreak", "\x1b[2J", "x" * 5000, "\U0001f600"]
    content = safetensors_bytes(dict.fromkeys(names, ("U8", (9,))))
    sealed = roundtrip(tmp_path, content)
    info = read_info(sealed, TEST_KEY_128)
    assert info.tensors is not None
    assert [t.name for t in info.tensors] == names


def test_sharded_checkpoint(tmp_path: Path) -> None:
    index = write_sharded(tmp_path / "model")
    report = seal_checkpoint(index, tmp_path / "sealed", TEST_KEY_256)
    assert (report.files, report.tensors) == (3, 12)
    assert verify_checkpoint(tmp_path / "sealed", TEST_KEY_256).ok
    unseal_checkpoint(tmp_path / "sealed", tmp_path / "opened", TEST_KEY_256)
    before = {path.name: path.read_bytes() for path in index.parent.iterdir()}
    assert {path.name: path.read_bytes() for path in (tmp_path / "opened").iterdir()} == before
    expected: dict[str, bytes] = {}
    for path in index.parent.glob("*.safetensors"):
        expected |= plain_tensors(path.read_bytes())
    assert third_party_open(tmp_path / "sealed", TEST_KEY_256) == expected


def test_sealing_twice_shares_nothing(tmp_path: Path) -> None:
    """The same file under the same user key: other salt, other keys, so no pad is used twice."""
    source = write_model(tmp_path / "m.safetensors", {"zeros": ("U8", (4096,))})
    first, second = (seal_checkpoint(source, tmp_path / name, TEST_KEY_128) for name in ("a", "b"))
    assert first.checkpoint_id != second.checkpoint_id
    manifests = [(tmp_path / name / "checkpoint.ttee").read_bytes() for name in ("a", "b")]
    assert manifests[0][32:64] != manifests[1][32:64]
    data = [(tmp_path / name / "data-00000.ttee").read_bytes()[4096:] for name in ("a", "b")]
    blocks = [{block[i : i + 16] for i in range(0, 4096, 16)} for block in data]
    assert not blocks[0] & blocks[1]


def test_ivs_differ_within_a_checkpoint(tmp_path: Path) -> None:
    index = write_sharded(tmp_path / "model")
    seal_checkpoint(index, tmp_path / "sealed", TEST_KEY_128)
    info = read_info(tmp_path / "sealed", TEST_KEY_128)
    assert info.tensors is not None
    assert len({tensor.iv for tensor in info.tensors}) == len(info.tensors) == 12
    assert [tensor.iv for tensor in info.tensors] == [bytes([0, 0, 0, i, 0, 0, 0, 0, 0, 0, 0, 1]) for i in range(1, 13)]


def test_ciphertext_is_line_aligned_and_padded_with_zeros(tmp_path: Path) -> None:
    sealed = roundtrip(tmp_path, safetensors_bytes({f"t{n}": ("U8", (n,)) for n in (1, 64, 100)}))
    info = read_info(sealed, TEST_KEY_128)
    data = (sealed / "data-00000.ttee").read_bytes()
    assert info.tensors is not None
    assert [(t.offset, t.nbytes) for t in info.tensors] == [(4096, 1), (4160, 64), (4224, 100)]
    assert data[4097:4160] == bytes(63)
    assert data[4324:] == bytes(28)


def test_public_information_needs_no_key_and_names_no_tensor(tmp_path: Path) -> None:
    source = write_model(tmp_path / "m.safetensors", {"very.secret.name": ("F32", (2, 2))}, {"hidden": "metadata"})
    report = seal_checkpoint(source, tmp_path / "sealed", TEST_KEY_256)
    info = read_info(tmp_path / "sealed")
    assert not info.authenticated
    assert info.tensors is None
    assert info.metadata is None
    assert (info.cipher, info.data_files, info.checkpoint_id) == ("AES-256-GCM", 1, report.checkpoint_id)
    for path in (tmp_path / "sealed").iterdir():
        content = path.read_bytes()
        for word in (b"secret", b"hidden", b"safetensors", b"F32"):
            assert word not in content


def test_progress_reaches_the_total(tmp_path: Path) -> None:
    source = write_model(tmp_path / "m.safetensors", {"a": ("U8", (3 * CHUNK_BYTES,)), "b": ("U8", (77,))})
    total = 3 * CHUNK_BYTES + 77
    for action in (
        lambda progress: seal_checkpoint(source, tmp_path / "sealed", TEST_KEY_128, progress=progress),
        lambda progress: verify_checkpoint(tmp_path / "sealed", TEST_KEY_128, progress=progress),
        lambda progress: unseal_checkpoint(tmp_path / "sealed", tmp_path / "o", TEST_KEY_128, progress=progress),
    ):
        seen: list[tuple[int, int]] = []
        action(lambda done, whole, seen=seen: seen.append((done, whole)))
        assert seen == sorted(seen)
        assert seen[0] == (0, total)
        assert seen[-1] == (total, total)


def test_memory_is_bounded(tmp_path: Path) -> None:
    """One tensor of 512 MiB passes through sealing, verification and opening in a process that needs far less."""
    nbytes = 512 << 20
    header = json.dumps({"t": {"dtype": "U8", "shape": [nbytes], "data_offsets": [0, nbytes]}}).encode()
    source = tmp_path / "big.safetensors"
    with source.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + nbytes)
    script = textwrap.dedent("""
        import resource, sys
        from tensortee.checkpoint import seal_checkpoint, unseal_checkpoint, verify_checkpoint
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        key = bytes(16)
        seal_checkpoint(sys.argv[1], sys.argv[1] + ".sealed", key, threads=2, durable=False)
        assert verify_checkpoint(sys.argv[1] + ".sealed", key, threads=2).ok
        unseal_checkpoint(sys.argv[1] + ".sealed", sys.argv[1] + ".opened", key, threads=2, durable=False)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """)
    output = subprocess.run([sys.executable, "-c", script, source], capture_output=True, text=True, check=True).stdout
    assert int(output) < 64 * 1024  # KiB
    compared = subprocess.run(["cmp", source, f"{source}.opened"], check=False)
    assert compared.returncode == 0


def test_target_is_never_overwritten_unasked(tmp_path: Path) -> None:
    source = write_model(tmp_path / "m.safetensors", {"a": ("U8", (70,))})
    seal_checkpoint(source, tmp_path / "sealed", TEST_KEY_128)
    before = (tmp_path / "sealed" / "checkpoint.ttee").read_bytes()
    with pytest.raises(OutputError, match="holds a sealed checkpoint already"):
        seal_checkpoint(source, tmp_path / "sealed", TEST_KEY_128)
    assert (tmp_path / "sealed" / "checkpoint.ttee").read_bytes() == before
    seal_checkpoint(source, tmp_path / "sealed", TEST_KEY_128, replace_existing=True)
    assert (tmp_path / "sealed" / "checkpoint.ttee").read_bytes() != before
    assert verify_checkpoint(tmp_path / "sealed", TEST_KEY_128).ok
    with pytest.raises(OutputError, match="exists already"):
        unseal_checkpoint(tmp_path / "sealed", source, TEST_KEY_128)
    unseal_checkpoint(tmp_path / "sealed", source, TEST_KEY_128, replace_existing=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.safetensors", "sealed"]


@pytest.mark.parametrize("replace_existing", [False, True])
def test_foreign_directory_is_never_touched(tmp_path: Path, replace_existing: bool) -> None:
    source = write_model(tmp_path / "m.safetensors", {"a": ("U8", (70,))})
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("years of work")
    with pytest.raises(OutputError, match="holds other files"):
        seal_checkpoint(source, tmp_path / "home", TEST_KEY_128, replace_existing=replace_existing)
    seal_checkpoint(source, tmp_path / "sealed", TEST_KEY_128)
    (tmp_path / "sealed" / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="holds other files"):
        seal_checkpoint(source, tmp_path / "sealed", TEST_KEY_128, replace_existing=replace_existing)
    assert (tmp_path / "home" / "thesis.tex").read_text() == "years of work"
    assert (tmp_path / "sealed" / "notes.txt").read_text() == "mine"


def test_opening_into_a_directory_gives_the_old_name(tmp_path: Path) -> None:
    source = write_model(tmp_path / "m.safetensors", {"a": ("U8", (70,))})
    seal_checkpoint(source, tmp_path / "sealed", TEST_KEY_128)
    (tmp_path / "there").mkdir()
    report = unseal_checkpoint(tmp_path / "sealed", tmp_path / "there", TEST_KEY_128)
    assert report.path == tmp_path / "there" / "m.safetensors"
    assert report.path.read_bytes() == source.read_bytes()


@pytest.mark.parametrize("threads", [0, -1])
def test_number_of_threads_is_checked(tmp_path: Path, threads: int) -> None:
    source = write_model(tmp_path / "m.safetensors", {"a": ("U8", (70,))})
    with pytest.raises(ValueError, match="threads must be at least 1"):
        seal_checkpoint(source, tmp_path / "sealed", TEST_KEY_128, threads=threads)
    seal_checkpoint(source, tmp_path / "sealed", TEST_KEY_128)
    with pytest.raises(ValueError, match="threads must be at least 1"):
        verify_checkpoint(tmp_path / "sealed", TEST_KEY_128, threads=threads)


def test_recipe_in_the_documentation(tmp_path: Path) -> None:
    """The lines that docs/checkpoints.md shows for other programs do open a checkpoint."""
    text = (ROOT / "docs" / "checkpoints.md").read_text()
    recipe = re.search(r"```python\n(# open.*?)```", text, re.DOTALL)
    assert recipe is not None
    content = safetensors_bytes({"a": ("F32", (5, 5)), "b": ("U8", (CHUNK_BYTES + 1,))})
    sealed = roundtrip(tmp_path, content, TEST_KEY_256)
    scope: dict[str, object] = {"directory": str(sealed), "user_key": TEST_KEY_256}
    exec(recipe.group(1), scope)  # noqa: S102 - the code under test is the documentation's
    assert scope["tensors"] == plain_tensors(content)


def test_python_example_in_the_documentation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "docs" / "checkpoints.md").read_text()
    example = re.search(r"```python\n(# seal.*?)```", text, re.DOTALL)
    assert example is not None
    source = write_model(tmp_path / "m.safetensors", {"a": ("U8", (70,))})
    exec(example.group(1), {"source": source, "directory": str(tmp_path)})  # noqa: S102 - the documentation's code
    assert (tmp_path / "opened").read_bytes() == source.read_bytes()
    assert capsys.readouterr().out == ""


def test_table_plaintext_is_as_documented(tmp_path: Path) -> None:
    content = safetensors_bytes({"a": ("F32", (5, 5))}, {"x": "y"})
    sealed = roundtrip(tmp_path, content)
    manifest = (sealed / "checkpoint.ttee").read_bytes()
    key = HKDF(TEST_KEY_128, 16, manifest[32:64], SHA256, context=b"tensortee checkpoint v1 table")
    cipher = AES.new(key, AES.MODE_GCM, nonce=bytes(12))
    cipher.update(manifest[:128])
    table = json.loads(cipher.decrypt_and_verify(manifest[128:-16], manifest[-16:]))
    assert table["index"] is None
    assert [shard["name"] for shard in table["shards"]] == ["model.safetensors"]
    assert base64.b64decode(table["shards"][0]["header"]) == content[:-100]
