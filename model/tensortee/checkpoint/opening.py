# SPDX-License-Identifier: Apache-2.0
"""Reading a sealed checkpoint: what is public, what the key shows, verification, and opening."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import GCM

from tensortee.checkpoint.atomic import NewFile, publish_directory, publish_file, remove_leftovers
from tensortee.checkpoint.batches import CHUNK_BYTES, Batch, StoppedError, make_batches, run_batches
from tensortee.checkpoint.directory import holds_data_files, refuse_sealed_parent
from tensortee.checkpoint.errors import (
    CheckpointIntegrityError,
    ExpectedIdError,
    FormatError,
    OutputError,
    UnexpectedCheckpointError,
    WrongKeyError,
)
from tensortee.checkpoint.keys import CheckpointKeys, derive_checkpoint_keys
from tensortee.checkpoint.layout import (
    DATA_HEADER_BYTES,
    MANIFEST_HEADER_BYTES,
    MANIFEST_NAME,
    MAX_TABLE_BYTES,
    ManifestHeader,
    align,
    data_file_name,
    explain_data_header,
)
from tensortee.checkpoint.sealing import Meter, Progress, default_threads
from tensortee.checkpoint.source import parse_header
from tensortee.checkpoint.table import ShardTable, Table, TensorRecord, decode_table, open_table
from tensortee.checkpoint.text import printable
from tensortee.checkpoint.transfer import read_at, write_at
from tensortee.format import LINE_BYTES, TAG_BYTES, tensor_iv


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a sealed checkpoint.

    Attributes:
        kind: "tensor" for a tensor that is not authentic, "file" for anything else.
        file: name of the file in the checkpoint's directory.
        tensor: name of the tensor, None for a file.
        message: what is wrong.
    """

    kind: str
    file: str
    tensor: str | None
    message: str

    def __str__(self) -> str:
        if self.tensor is None:
            return f"{self.file}: {self.message}"
        return f"{self.file}: tensor {printable(self.tensor)}: {self.message}"


@dataclass(frozen=True)
class VerifyReport:
    """Outcome of a verification.

    Attributes:
        path: the sealed checkpoint.
        checkpoint_id: SHA-256 of its manifest, hexadecimal.
        tensors: number of tensors it must hold.
        nbytes: bytes of all tensors.
        problems: everything that is wrong, in the order of files and tensors; empty for an authentic checkpoint.
        bad_tensors: name of every tensor that could not be shown to be authentic, in order.
    """

    path: Path
    checkpoint_id: str
    tensors: int
    nbytes: int
    problems: tuple[Problem, ...]
    bad_tensors: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """True when every byte of every file is as it was sealed."""
        return not self.problems


@dataclass(frozen=True)
class TensorInfo:
    """A tensor as the authenticated table describes it."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    nbytes: int
    file: str
    offset: int
    tensor_id: int
    version: int
    iv: bytes
    tag: bytes


@dataclass(frozen=True)
class CheckpointInfo:
    """What a sealed checkpoint says about itself.

    Attributes:
        path: the sealed checkpoint.
        checkpoint_id: SHA-256 of the manifest, hexadecimal.
        authenticated: False without a key: then everything here is what the file claims.
        cipher: "AES-128-GCM" or "AES-256-GCM".
        data_files: number of data files.
        data_bytes: their length together.
        table_bytes: length of the encrypted tensor table.
        sources: names of the safetensors files; None without a key.
        index: name of the index of a sharded checkpoint; None if there is none, or without a key.
        metadata: `__metadata__` of each safetensors file by its name; None without a key.
        tensors: None without a key.
    """

    path: Path
    checkpoint_id: str
    authenticated: bool
    cipher: str
    data_files: int
    data_bytes: int
    table_bytes: int
    sources: tuple[str, ...] | None = None
    index: str | None = None
    metadata: dict[str, dict[str, str]] | None = None
    tensors: tuple[TensorInfo, ...] | None = None


@dataclass(frozen=True)
class UnsealReport:
    """What was opened: the new file or directory, the number of tensors, and their bytes."""

    path: Path
    checkpoint_id: str
    tensors: int
    nbytes: int


@dataclass(frozen=True)
class _Manifest:
    path: Path
    content: bytes
    header: ManifestHeader

    @property
    def checkpoint_id(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


def _check_expected_id(expected_id: str | None) -> None:
    if expected_id is not None and not re.fullmatch("[0-9a-fA-F]{64}", expected_id):
        raise ExpectedIdError(
            f"{printable(expected_id)!r} is not the id of a checkpoint: an id has 64 hexadecimal digits, "
            "as seal prints it"
        )


def _read_manifest(path: str | os.PathLike[str]) -> _Manifest:
    """The manifest, checked for what can be checked without a key."""
    directory = Path(path)
    if not directory.exists():
        raise FormatError(f"{directory} does not exist")
    if not directory.is_dir():
        raise FormatError(f"{directory} is not a sealed checkpoint: give the directory that holds {MANIFEST_NAME}")
    name = directory / MANIFEST_NAME
    if not name.is_file():
        if holds_data_files(directory):
            raise CheckpointIntegrityError(f"{directory} is incomplete: its {MANIFEST_NAME} is missing or was renamed")
        raise FormatError(f"{directory} is not a sealed checkpoint: it holds no {MANIFEST_NAME}")
    with name.open("rb") as file:
        content = file.read(MANIFEST_HEADER_BYTES)
        header = ManifestHeader.unpack(content, str(name))
        content += file.read(MAX_TABLE_BYTES + TAG_BYTES + 1)
    expected = MANIFEST_HEADER_BYTES + header.table_bytes + TAG_BYTES
    if len(content) < expected:
        raise CheckpointIntegrityError(f"{name} is truncated: {len(content)} bytes instead of {expected}")
    if len(content) > expected:
        raise CheckpointIntegrityError(f"{name} is longer than it says: bytes were added after byte {expected}")
    return _Manifest(directory, content, header)


def _open_manifest(manifest: _Manifest, key: bytes, expected_id: str | None) -> tuple[CheckpointKeys, Table]:
    """Keys and the authenticated table."""
    name = manifest.path / MANIFEST_NAME
    header = manifest.header
    keys = derive_checkpoint_keys(key, header.salt)
    if not hmac.compare_digest(keys.check, header.key_check) or len(key) != header.key_bytes:
        raise WrongKeyError(f"{name} was sealed with another key, or its header is damaged")
    plaintext = open_table(manifest.content, keys.table, str(name))
    if expected_id is not None and not hmac.compare_digest(manifest.checkpoint_id, expected_id.lower()):
        raise UnexpectedCheckpointError(
            f"{manifest.path} is authentic but not the expected checkpoint: its id is {manifest.checkpoint_id}"
        )
    try:
        table = decode_table(plaintext)
    except ValueError as error:
        raise FormatError(f"{name} is authentic, but its table is not of this format: {error}") from None
    if len(table.shards) != header.files or sum(shard.data_bytes for shard in table.shards) != header.data_bytes:
        raise FormatError(f"{name} is authentic, but its table does not match its header")
    return keys, table


class _DataFiles:
    """The data files of a checkpoint, opened and checked for what does not need the tensors' tags.

    Attributes:
        descriptors: of each data file, -1 for one that is missing or foreign.
        sizes: length of each.
        problems: what is wrong with files.
    """

    def __init__(self, manifest: _Manifest, table: Table, stack: ExitStack) -> None:
        self.descriptors: list[int] = []
        self.sizes: list[int] = []
        self.problems: list[Problem] = []
        expected = {MANIFEST_NAME} | {data_file_name(index) for index in range(len(table.shards))}
        for index, shard in enumerate(table.shards):
            name = data_file_name(index)
            path = manifest.path / name
            descriptor, size = -1, 0
            if not path.is_file():
                self._add(name, "missing: it was removed or renamed")
            else:
                descriptor = os.open(path, os.O_RDONLY)
                stack.callback(os.close, descriptor)
                size = os.fstat(descriptor).st_size
                head = memoryview(bytearray(DATA_HEADER_BYTES))
                found = bytes(head[: read_at(descriptor, head, 0)])
                message = explain_data_header(found, manifest.header.salt, index)
                if message is not None:
                    self._add(name, message)
                if message is not None and message.startswith(("foreign", "swapped")):
                    descriptor = -1
                elif size < shard.data_bytes and len(found) == DATA_HEADER_BYTES:
                    self._add(name, f"truncated: {size} bytes instead of {shard.data_bytes}")
                elif size > shard.data_bytes:
                    self._add(name, f"bytes were added: {size} instead of {shard.data_bytes}")
            self.descriptors.append(descriptor)
            self.sizes.append(size)
        for entry in sorted(manifest.path.iterdir()):
            if entry.name not in expected:
                self._add(printable(entry.name), "foreign: not part of this checkpoint, move it elsewhere")

    def _add(self, file: str, message: str) -> None:
        self.problems.append(Problem("file", file, None, message))

    def readable(self, index: int, shard: ShardTable) -> tuple[ShardTable, list[TensorRecord]]:
        """The shard with only the tensors whose bytes are all there, and the others."""
        descriptor, size = self.descriptors[index], self.sizes[index]
        lost = [r for r in shard.records if r.entry.nbytes and (descriptor < 0 or r.end > size)]
        if not lost:
            return shard, lost
        return replace(shard, records=shard.records[: shard.records.index(lost[0])]), lost


# Takes (batch, plaintext, offset in the safetensors file).
_Sink = Callable[[Batch, memoryview, int], None]


class _Opener:
    """One worker: reads batches, checks and decrypts them. Owns two buffers.

    A batch of short tensors reaches the sink only if all of them are authentic. A long tensor reaches the sink in
    pieces before its tag is known, so the sink must keep what it gets out of sight until everything is checked.
    """

    def __init__(
        self,
        key: bytes,
        files: _DataFiles,
        report: Callable[[Problem], None],
        sink: _Sink | None,
        meter: Meter,
        stop: threading.Event,
    ) -> None:
        self._cipher = AES(key)
        self._aead = AESGCM(key)
        self._files = files
        self._report = report
        self._sink = sink
        self._meter = meter
        self._stop = stop
        self._sealed = memoryview(bytearray(CHUNK_BYTES + LINE_BYTES))
        self._plain = memoryview(bytearray(CHUNK_BYTES + LINE_BYTES))

    def __call__(self, batch: Batch) -> None:
        if batch.sealed_bytes > CHUNK_BYTES:
            self._open_long(batch, batch.records[0])
        else:
            self._open_batch(batch)

    def _read(self, batch: Batch, nbytes: int, offset: int) -> int:
        if self._stop.is_set():
            raise StoppedError
        return read_at(self._files.descriptors[batch.shard], self._sealed[:nbytes], offset)

    def _bad_tensor(self, batch: Batch, record: TensorRecord) -> None:
        message = "not authentic: its bytes were changed"
        self._report(Problem("tensor", data_file_name(batch.shard), record.entry.name, message))

    def _check_padding(self, batch: Batch, padding: memoryview, record: TensorRecord) -> None:
        if any(padding):
            message = f"damaged: the padding after byte {record.end} is not zero"
            self._report(Problem("file", data_file_name(batch.shard), None, message))

    def _open_long(self, batch: Batch, record: TensorRecord) -> None:
        iv = tensor_iv(record.tensor_id, record.version)
        decryptor = Cipher(self._cipher, GCM(iv, record.tag)).decryptor()
        nbytes = record.entry.nbytes
        sealed_bytes = batch.sealed_bytes
        for start in range(0, nbytes, CHUNK_BYTES):
            count = min(CHUNK_BYTES, nbytes - start)
            present = self._read(batch, min(CHUNK_BYTES, sealed_bytes - start), record.offset + start)
            if present < count:
                self._bad_tensor(batch, record)
                return
            decryptor.update_into(self._sealed[:count], self._plain)
            if self._sink is not None:
                self._sink(batch, self._plain[:count], batch.plain_offset + start)
            self._meter.add(count)
            self._check_padding(batch, self._sealed[count:present], record)
        try:
            decryptor.finalize()
        except InvalidTag:
            self._bad_tensor(batch, record)

    def _open_batch(self, batch: Batch) -> None:
        present = self._read(batch, batch.sealed_bytes, batch.sealed_offset)
        position = 0
        good = True
        for record in batch.records:
            nbytes = record.entry.nbytes
            start = record.offset - batch.sealed_offset
            end = start + nbytes
            padding = self._sealed[end : min(present, align(end))]
            self._check_padding(batch, padding, record)
            # The library wants the tag behind the ciphertext: it goes there for the call, in place of what follows.
            following = bytes(self._sealed[end : end + TAG_BYTES])
            self._sealed[end : end + TAG_BYTES] = record.tag
            try:
                self._aead.decrypt_into(
                    tensor_iv(record.tensor_id, record.version),
                    self._sealed[start : end + TAG_BYTES],
                    None,
                    self._plain[position : position + nbytes],
                )
            except InvalidTag:
                good = False
                self._bad_tensor(batch, record)
            self._sealed[end : end + TAG_BYTES] = following
            position += nbytes
        if good and self._sink is not None:
            self._sink(batch, self._plain[:position], batch.plain_offset)
        self._meter.add(position)

    def wipe(self) -> None:
        """Erase the plaintext in the buffers."""
        self._plain[:] = bytes(len(self._plain))


def read_info(path: str | os.PathLike[str], key: bytes | None = None) -> CheckpointInfo:
    """What a sealed checkpoint says about itself, without reading tensor data.

    Args:
        path: the directory.
        key: the user's key. Without it, only the public header is shown, and nothing of it is authenticated.

    Raises:
        FormatError: not a sealed checkpoint, or of an unknown format version.
        WrongKeyError: sealed with another key.
        CheckpointIntegrityError: the manifest was changed or removed.
    """
    manifest = _read_manifest(path)
    header = manifest.header
    public = CheckpointInfo(
        path=manifest.path,
        checkpoint_id=manifest.checkpoint_id,
        authenticated=False,
        cipher=f"AES-{8 * header.key_bytes}-GCM",
        data_files=header.files,
        data_bytes=header.data_bytes,
        table_bytes=header.table_bytes,
    )
    if key is None:
        return public
    _, table = _open_manifest(manifest, key, None)
    return replace(
        public,
        authenticated=True,
        sources=tuple(shard.name for shard in table.shards),
        index=table.index_name,
        metadata={shard.name: parse_header(shard.header)[1] for shard in table.shards},
        tensors=tuple(
            TensorInfo(
                name=record.entry.name,
                dtype=record.entry.dtype,
                shape=record.entry.shape,
                nbytes=record.entry.nbytes,
                file=data_file_name(index),
                offset=record.offset,
                tensor_id=record.tensor_id,
                version=record.version,
                iv=tensor_iv(record.tensor_id, record.version),
                tag=record.tag,
            )
            for index, shard in enumerate(table.shards)
            for record in shard.records
        ),
    )


def verify_checkpoint(
    path: str | os.PathLike[str],
    key: bytes,
    *,
    expected_id: str | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> VerifyReport:
    """Check every byte of every file, and name everything that is wrong. No plaintext is written anywhere.

    Args:
        path: the directory.
        key: the user's key.
        expected_id: `checkpoint_id` as sealing gave it; catches an older checkpoint put back under the same key.
        threads: worker threads; one for each usable core, at most 8, when None.
        progress: called with (bytes done, bytes in all), from any thread, one call at a time.

    Raises:
        ExpectedIdError: `expected_id` is not 64 hexadecimal digits.
        FormatError: not a sealed checkpoint, or of an unknown format version.
        WrongKeyError: sealed with another key.
        CheckpointIntegrityError: the manifest was changed or is not the expected one; nothing else can be checked then.
    """
    _check_expected_id(expected_id)
    manifest = _read_manifest(path)
    keys, table = _open_manifest(manifest, key, expected_id)
    problems: list[Problem] = []
    unread: list[str] = []
    with ExitStack() as stack:
        files = _DataFiles(manifest, table, stack)
        readable = []
        for index, shard in enumerate(table.shards):
            present, lost = files.readable(index, shard)
            readable.append(present)
            unread += [record.entry.name for record in lost]
            if files.descriptors[index] >= 0:
                problems += [
                    Problem("tensor", data_file_name(index), record.entry.name, "truncated: its last bytes are missing")
                    for record in lost
                ]
        _run(keys, files, readable, problems.append, None, threads, progress, stack)
        problems += files.problems
    order = {r.entry.name: r.tensor_id for shard in table.shards for r in shard.records}
    bad = sorted(
        {problem.tensor for problem in problems if problem.tensor is not None} | set(unread), key=order.__getitem__
    )
    problems.sort(key=lambda p: (p.tensor is not None, -1 if p.tensor is None else order[p.tensor], p.file))
    return VerifyReport(
        manifest.path,
        manifest.checkpoint_id,
        len(order),
        sum(r.entry.nbytes for shard in table.shards for r in shard.records),
        tuple(problems),
        tuple(bad),
    )


def _run(
    keys: CheckpointKeys,
    files: _DataFiles,
    shards: list[ShardTable],
    report: Callable[[Problem], None],
    sink: _Sink | None,
    threads: int | None,
    progress: Progress | None,
    stack: ExitStack,
) -> None:
    threads = default_threads() if threads is None else threads
    if threads < 1:
        raise ValueError(f"threads must be at least 1, not {threads}")
    meter = Meter(progress, sum(record.entry.nbytes for shard in shards for record in shard.records))

    def make_worker(stop: threading.Event) -> _Opener:
        worker = _Opener(keys.tensors, files, report, sink, meter, stop)
        stack.callback(worker.wipe)
        return worker

    def batches() -> Iterator[Batch]:
        for index, shard in enumerate(shards):
            yield from make_batches(index, shard)

    run_batches(batches(), make_worker, threads)


def unseal_checkpoint(
    path: str | os.PathLike[str],
    target: str | os.PathLike[str],
    key: bytes,
    *,
    expected_id: str | None = None,
    threads: int | None = None,
    replace_existing: bool = False,
    durable: bool = True,
    progress: Progress | None = None,
) -> UnsealReport:
    """Open a sealed checkpoint; the files that come out equal the sealed ones bit for bit.

    Plaintext gets a name only after every byte of every file was found authentic.

    Args:
        path: the directory.
        target: for one safetensors file, the file to make, or a directory that exists, in which it gets its old name;
            for a sharded checkpoint, the directory to make for index and shards.
        key: the user's key.
        expected_id: `checkpoint_id` as sealing gave it; catches an older checkpoint put back under the same key.
        threads: worker threads; one for each usable core, at most 8, when None.
        replace_existing: replace a file that exists in one step; a directory that is not empty is never replaced.
        durable: have everything on the disk before it appears. Without, a crash of the program is still harmless, but
            after a power failure the output may be incomplete.
        progress: called with (bytes done, bytes in all), from any thread, one call at a time.

    Raises:
        ExpectedIdError: `expected_id` is not 64 hexadecimal digits.
        FormatError: not a sealed checkpoint, or of an unknown format version.
        WrongKeyError: sealed with another key.
        CheckpointIntegrityError: anything was changed; the message names the first problem found.
        OutputError: the target exists or cannot be made.
        OSError: reading or writing fails.
    """
    _check_expected_id(expected_id)
    manifest = _read_manifest(path)
    keys, table = _open_manifest(manifest, key, expected_id)
    target = _check_target(Path(target).resolve(), table, replace_existing)
    remove_leftovers(target)
    with ExitStack() as stack:
        files = _DataFiles(manifest, table, stack)
        if files.problems:
            raise CheckpointIntegrityError(f"{manifest.path} was not opened: {files.problems[0]}")
        outputs = []
        for shard in table.shards:
            outputs.append(stack.enter_context(NewFile(target, durable=durable)))
            write_at(outputs[-1].descriptor, shard.header, 0)

        def report(problem: Problem) -> None:
            raise CheckpointIntegrityError(f"{manifest.path} was not opened: {problem}")

        def sink(batch: Batch, plaintext: memoryview, offset: int) -> None:
            output = outputs[batch.shard]
            write_at(output.descriptor, plaintext, offset)
            output.written(len(plaintext))

        _run(keys, files, list(table.shards), report, sink, threads, progress, stack)
        if table.index_name is None:
            publish_file(outputs[0], target, replace=replace_existing)
        else:
            index_file = stack.enter_context(NewFile(target, durable=durable))
            write_at(index_file.descriptor, table.index, 0)
            names = {shard.name: output for shard, output in zip(table.shards, outputs, strict=True)}
            publish_directory({**names, table.index_name: index_file}, target, replace=False)
    return UnsealReport(
        target,
        manifest.checkpoint_id,
        sum(len(shard.records) for shard in table.shards),
        sum(record.entry.nbytes for shard in table.shards for record in shard.records),
    )


def _check_target(target: Path, table: Table, replace_existing: bool) -> Path:
    """The path to make, from the one that was asked for."""
    if table.index_name is None and target.is_dir():
        target /= table.shards[0].name
    if not target.parent.is_dir():
        raise OutputError(f"{target.parent} is not a directory: make it first")
    refuse_sealed_parent(target)
    if table.index_name is not None:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise OutputError(f"{target} exists already: a sharded checkpoint is opened into a new or empty directory")
    elif target.is_dir():
        raise OutputError(f"{target} is a directory: choose another name")
    elif target.exists() and not replace_existing:
        raise OutputError(
            f"{target} exists already: choose another name, or replace it with --force (replace_existing in Python)"
        )
    return target
