# SPDX-License-Identifier: Apache-2.0
"""Sealed checkpoints under attack: whatever was changed is found, and named; nothing comes out."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tensortee.checkpoint import (
    CheckpointError,
    CheckpointIntegrityError,
    FormatError,
    WrongKeyError,
    read_info,
    seal_checkpoint,
    unseal_checkpoint,
    verify_checkpoint,
)
from tensortee.checkpoint.batches import CHUNK_BYTES
from tensortee.format.errors import IntegrityError

from tests.model.checkpoint_files import TEST_KEY_128, TEST_KEY_256, copy, flip, write_model, write_sharded

MANIFEST = "checkpoint.ttee"
DATA = "data-00000.ttee"
# Offsets in the data file: a 4096, b 4160, c 4224, long 4352 (CHUNK_BYTES + 100), e after it.
TENSORS = {
    "a": ("U8", (50,)),
    "b": ("F32", (16,)),
    "c": ("U8", (100,)),
    "long": ("U8", (CHUNK_BYTES + 100,)),
    "none": ("F32", (0,)),
    "e": ("I8", (64,)),
}
OFFSET = {"a": 4096, "b": 4160, "c": 4224, "long": 4352, "e": 4352 + CHUNK_BYTES + 128}
END = OFFSET["e"] + 64


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sealed checkpoint; tests damage copies of it."""
    directory = tmp_path_factory.mktemp("attacks")
    source = write_model(directory / "m.safetensors", TENSORS, {"k": "v"})
    seal_checkpoint(source, directory / "sealed", TEST_KEY_128)
    return directory / "sealed"


@pytest.fixture
def sealed(original: Path, tmp_path: Path) -> Path:
    """A copy of its own for each test."""
    return copy(original, tmp_path / "sealed")


def assert_not_opened(
    sealed: Path, key: bytes = TEST_KEY_128, error: type[Exception] = CheckpointIntegrityError
) -> str:
    """Opening fails with one error and leaves nothing behind; returns the message."""
    target = sealed.parent / "opened"
    with pytest.raises(error) as caught:
        unseal_checkpoint(sealed, target, key)
    assert not target.exists()
    assert [path.name for path in sealed.parent.iterdir() if "tensortee-" in path.name] == []
    return str(caught.value)


def assert_manifest_refused(sealed: Path, error: type[Exception] = CheckpointError) -> str:
    """Everything that takes a key refuses the manifest with the same message; returns it."""
    messages = set()
    for action in (read_info, verify_checkpoint):
        with pytest.raises(error) as caught:
            action(sealed, TEST_KEY_128)
        messages.add(str(caught.value))
    messages.add(assert_not_opened(sealed, error=error))
    assert len(messages) == 1
    return messages.pop()


def test_layout_assumed_here(original: Path) -> None:
    info = read_info(original, TEST_KEY_128)
    assert info.tensors is not None
    assert {t.name: t.offset for t in info.tensors if t.nbytes} == OFFSET
    assert (original / DATA).stat().st_size == END


def test_every_header_byte_of_the_manifest_counts(sealed: Path) -> None:
    for offset in range(128):
        flip(sealed / MANIFEST, offset, offset % 8)
        with pytest.raises(CheckpointError):
            verify_checkpoint(sealed, TEST_KEY_128)
        flip(sealed / MANIFEST, offset, offset % 8)
    assert verify_checkpoint(sealed, TEST_KEY_128).ok


def test_every_byte_of_table_and_tag_counts(sealed: Path) -> None:
    size = (sealed / MANIFEST).stat().st_size
    for offset in range(128, size):
        flip(sealed / MANIFEST, offset, offset % 8)
        with pytest.raises(CheckpointIntegrityError, match="the tensor table or its header was changed"):
            read_info(sealed, TEST_KEY_128)
        flip(sealed / MANIFEST, offset, offset % 8)
    flip(sealed / MANIFEST, size - 1)
    assert "not authentic" in assert_manifest_refused(sealed, CheckpointIntegrityError)


@pytest.mark.parametrize("length", [0, 5, 8, 127, 128, 129, 143, 144, -17, -16, -1])
def test_truncated_manifest(sealed: Path, length: int) -> None:
    content = (sealed / MANIFEST).read_bytes()
    (sealed / MANIFEST).write_bytes(content[:length])
    assert_manifest_refused(sealed)


def test_extended_manifest(sealed: Path) -> None:
    with (sealed / MANIFEST).open("ab") as file:
        file.write(b"\0")
    assert "bytes were added" in assert_manifest_refused(sealed, CheckpointIntegrityError)


@pytest.mark.parametrize("name", OFFSET)
@pytest.mark.parametrize("where", ["first", "last"])
def test_a_changed_tensor_is_named(sealed: Path, name: str, where: str) -> None:
    lengths = {"a": 50, "b": 64, "c": 100, "long": CHUNK_BYTES + 100, "e": 64}
    flip(sealed / DATA, OFFSET[name] + (0 if where == "first" else lengths[name] - 1), 7)
    report = verify_checkpoint(sealed, TEST_KEY_128)
    assert not report.ok
    assert report.bad_tensors == (name,)
    assert [(p.kind, p.file, p.tensor) for p in report.problems] == [("tensor", DATA, name)]
    message = assert_not_opened(sealed)
    assert re.search(rf"\btensor {name}\b", message)


def test_every_bad_tensor_is_named(sealed: Path) -> None:
    for name in ("e", "long", "a", "c"):
        flip(sealed / DATA, OFFSET[name] + 3)
    for threads in (1, 4):
        report = verify_checkpoint(sealed, TEST_KEY_128, threads=threads)
        assert report.bad_tensors == ("a", "c", "long", "e")
        assert [problem.tensor for problem in report.problems] == ["a", "c", "long", "e"]


@pytest.mark.parametrize("offset", [4096 + 50, 4159, 4224 + 100, 4351, OFFSET["e"] - 1, OFFSET["e"] - 28])
def test_padding_counts(sealed: Path, offset: int) -> None:
    flip(sealed / DATA, offset)
    report = verify_checkpoint(sealed, TEST_KEY_128)
    assert report.bad_tensors == ()
    assert [(p.kind, p.file) for p in report.problems] == [("file", DATA)]
    assert "padding" in str(report.problems[0])
    assert "padding" in assert_not_opened(sealed)


@pytest.mark.parametrize("offset", [0, 7, 8, 9, 10, 12, 15, 16, 47, 48, 100, 4095])
def test_header_of_a_data_file_counts(sealed: Path, offset: int) -> None:
    flip(sealed / DATA, offset)
    report = verify_checkpoint(sealed, TEST_KEY_128)
    assert not report.ok
    assert report.problems[0].kind == "file"
    assert report.problems[0].file == DATA
    assert DATA in assert_not_opened(sealed)


@pytest.mark.parametrize(
    ("length", "bad"),
    [
        (0, ("a", "b", "c", "long", "e")),
        (100, ("a", "b", "c", "long", "e")),
        (4096, ("a", "b", "c", "long", "e")),
        (4145, ("a", "b", "c", "long", "e")),
        (4146, ("b", "c", "long", "e")),
        (OFFSET["c"] + 100, ("long", "e")),
        (OFFSET["long"] + CHUNK_BYTES, ("long", "e")),
        (OFFSET["e"] - 20, ("e",)),
        (END - 1, ("e",)),
    ],
)
def test_truncated_data_file(sealed: Path, length: int, bad: tuple[str, ...]) -> None:
    with (sealed / DATA).open("r+b") as file:
        file.truncate(length)
    report = verify_checkpoint(sealed, TEST_KEY_128)
    assert report.bad_tensors == bad
    assert "truncated" in str(report.problems[0])
    assert "truncated" in assert_not_opened(sealed)


def test_extended_data_file(sealed: Path) -> None:
    with (sealed / DATA).open("ab") as file:
        file.write(bytes(64))
    report = verify_checkpoint(sealed, TEST_KEY_128)
    assert [str(problem) for problem in report.problems] == [f"{DATA}: bytes were added: {END + 64} instead of {END}"]
    assert "bytes were added" in assert_not_opened(sealed)


def test_swapped_tensors_of_equal_shape(tmp_path: Path) -> None:
    """Splicing: two tensors of one checkpoint change places."""
    source = write_model(tmp_path / "m.safetensors", {"p": ("U8", (64,)), "q": ("U8", (64,)), "r": ("U8", (64,))})
    seal_checkpoint(source, tmp_path / "sealed", TEST_KEY_128)
    data = bytearray((tmp_path / "sealed" / DATA).read_bytes())
    data[4096:4160], data[4160:4224] = data[4160:4224], data[4096:4160]
    (tmp_path / "sealed" / DATA).write_bytes(data)
    assert verify_checkpoint(tmp_path / "sealed", TEST_KEY_128).bad_tensors == ("p", "q")
    assert_not_opened(tmp_path / "sealed")


def test_swapped_shards(tmp_path: Path) -> None:
    seal_checkpoint(write_sharded(tmp_path / "model"), tmp_path / "sealed", TEST_KEY_128)
    first, second = tmp_path / "sealed" / "data-00000.ttee", tmp_path / "sealed" / "data-00001.ttee"
    first.rename(tmp_path / "x")
    second.rename(first)
    (tmp_path / "x").rename(second)
    report = verify_checkpoint(tmp_path / "sealed", TEST_KEY_128)
    assert [problem.file for problem in report.problems] == [first.name, second.name]
    assert "swapped: it is data-00001.ttee" in str(report.problems[0])
    assert len(report.bad_tensors) == 8
    assert "swapped" in assert_not_opened(tmp_path / "sealed")


@pytest.mark.parametrize("name", [MANIFEST, DATA])
def test_renamed_file(sealed: Path, name: str) -> None:
    (sealed / name).rename(sealed / f"old-{name}")
    if name == MANIFEST:
        assert "missing or was renamed" in assert_manifest_refused(sealed, CheckpointIntegrityError)
        return
    report = verify_checkpoint(sealed, TEST_KEY_128)
    assert report.bad_tensors == tuple(OFFSET)
    assert [str(problem) for problem in report.problems] == [
        f"{DATA}: missing: it was removed or renamed",
        f"old-{DATA}: foreign: not part of this checkpoint, move it elsewhere",
    ]
    assert "missing" in assert_not_opened(sealed)


@pytest.mark.parametrize("name", [MANIFEST, DATA])
def test_file_of_another_sealing(sealed: Path, tmp_path: Path, name: str) -> None:
    """Mixing: the same tensors, sealed again under the same user key."""
    source = write_model(tmp_path / "m.safetensors", TENSORS, {"k": "v"})
    seal_checkpoint(source, tmp_path / "other", TEST_KEY_128)
    shutil.copy(tmp_path / "other" / name, sealed / name)
    report = verify_checkpoint(sealed, TEST_KEY_128)
    assert report.bad_tensors == tuple(OFFSET)
    assert [problem.file for problem in report.problems] == [DATA]
    assert "belongs to another sealed checkpoint" in str(report.problems[0])
    assert "belongs to another sealed checkpoint" in assert_not_opened(sealed)


def test_data_of_another_sealing_under_this_header(sealed: Path, tmp_path: Path) -> None:
    """Mixing with a forged header: the tags catch what the salt in the header no longer shows."""
    source = write_model(tmp_path / "m.safetensors", TENSORS, {"k": "v"})
    seal_checkpoint(source, tmp_path / "other", TEST_KEY_128)
    mixed = (sealed / DATA).read_bytes()[:4096] + (tmp_path / "other" / DATA).read_bytes()[4096:]
    (sealed / DATA).write_bytes(mixed)
    report = verify_checkpoint(sealed, TEST_KEY_128)
    assert report.bad_tensors == tuple(OFFSET)
    assert {problem.kind for problem in report.problems} == {"tensor"}
    assert_not_opened(sealed)


@pytest.mark.parametrize(
    "content", [b"", b"\x89PNG\r\n\x1a\n", b"{}", bytes(5000)], ids=["empty", "png", "json", "zeros"]
)
@pytest.mark.parametrize("name", [MANIFEST, DATA])
def test_foreign_content(sealed: Path, name: str, content: bytes) -> None:
    (sealed / name).write_bytes(content)
    if name == MANIFEST:
        assert_manifest_refused(sealed, CheckpointIntegrityError)
    else:
        report = verify_checkpoint(sealed, TEST_KEY_128)
        assert report.bad_tensors == tuple(OFFSET)
        assert_not_opened(sealed)


def test_foreign_file_beside(sealed: Path) -> None:
    (sealed / "data-00001.ttee").write_bytes(b"anything")
    report = verify_checkpoint(sealed, TEST_KEY_128)
    assert [(p.file, p.kind) for p in report.problems] == [("data-00001.ttee", "file")]
    assert report.bad_tensors == ()
    assert "foreign" in assert_not_opened(sealed)


@pytest.mark.parametrize(
    "make", [lambda p: p.write_text("x"), lambda p: p.mkdir(), lambda _: None], ids=["file", "empty", "none"]
)
def test_not_a_sealed_checkpoint(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "sealed")
    message = assert_manifest_refused(tmp_path / "sealed", FormatError)
    assert str(tmp_path / "sealed") in message


def test_later_format_version_is_named(sealed: Path) -> None:
    content = bytearray((sealed / MANIFEST).read_bytes())
    content[9] = 2
    (sealed / MANIFEST).write_bytes(content)
    assert "format version 2" in assert_manifest_refused(sealed, FormatError)


@pytest.mark.parametrize("key", [bytes(16), bytes(32), TEST_KEY_256, TEST_KEY_128 + bytes(16)])
def test_wrong_key(sealed: Path, key: bytes) -> None:
    for action in (read_info, verify_checkpoint):
        with pytest.raises(WrongKeyError, match="another key"):
            action(sealed, key)
    message = assert_not_opened(sealed, key, WrongKeyError)
    assert key.hex() not in message


def test_rollback_is_caught_by_the_expected_id(tmp_path: Path) -> None:
    """Replay: an older checkpoint of the same key is authentic, but not the expected one."""
    old = seal_checkpoint(write_model(tmp_path / "m", TENSORS, seed=1), tmp_path / "sealed", TEST_KEY_128)
    snapshot = copy(tmp_path / "sealed", tmp_path / "snapshot")
    new = seal_checkpoint(
        write_model(tmp_path / "m", TENSORS, seed=2), tmp_path / "sealed", TEST_KEY_128, replace_existing=True
    )
    assert verify_checkpoint(tmp_path / "sealed", TEST_KEY_128, expected_id=new.checkpoint_id).ok
    assert verify_checkpoint(snapshot, TEST_KEY_128, expected_id=old.checkpoint_id.upper()).ok
    with pytest.raises(CheckpointIntegrityError, match="not the expected checkpoint"):
        verify_checkpoint(snapshot, TEST_KEY_128, expected_id=new.checkpoint_id)
    with pytest.raises(CheckpointIntegrityError, match="not the expected checkpoint"):
        unseal_checkpoint(snapshot, tmp_path / "opened", TEST_KEY_128, expected_id=new.checkpoint_id)
    assert not (tmp_path / "opened").exists()


def test_tampering_is_an_integrity_error(sealed: Path) -> None:
    """Callers of the library catch one kind of error for tensors and checkpoints alike."""
    flip(sealed / DATA, 4096)
    with pytest.raises(IntegrityError):
        unseal_checkpoint(sealed, sealed.parent / "opened", TEST_KEY_128)
