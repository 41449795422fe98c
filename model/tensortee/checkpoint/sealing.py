# SPDX-License-Identifier: Apache-2.0
"""Sealing of a whole checkpoint."""

from __future__ import annotations

import hashlib
import os
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import GCM

from tensortee.checkpoint.atomic import NewFile, publish_directory, remove_leftovers
from tensortee.checkpoint.batches import CHUNK_BYTES, Batch, StoppedError, make_batches, run_batches
from tensortee.checkpoint.directory import is_sealed_checkpoint, refuse_sealed_parent
from tensortee.checkpoint.errors import OutputError, SourceError
from tensortee.checkpoint.keys import derive_checkpoint_keys
from tensortee.checkpoint.layout import (
    MANIFEST_NAME,
    SALT_BYTES,
    ManifestHeader,
    align,
    data_file_name,
    pack_data_header,
)
from tensortee.checkpoint.source import Shard, Source, read_source
from tensortee.checkpoint.table import ShardTable, Table, TensorRecord, encode_table, place, seal_table
from tensortee.checkpoint.text import printable
from tensortee.checkpoint.transfer import read_at, write_at
from tensortee.format import LINE_BYTES, MAX_ID_COUNTER, MAX_TENSOR_BYTES, TAG_BYTES, tensor_iv

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class SealReport:
    """What was sealed.

    Attributes:
        path: the sealed checkpoint.
        checkpoint_id: SHA-256 of the manifest, hexadecimal; names exactly this sealing of these tensors.
        tensors: their number.
        nbytes: bytes of all tensors.
        files: number of safetensors files.
    """

    path: Path
    checkpoint_id: str
    tensors: int
    nbytes: int
    files: int


def default_threads() -> int:
    """Number of worker threads when none is given: one for each usable core, at most 8."""
    return min(8, len(os.sched_getaffinity(0)))


class Meter:
    """Adds up what all workers have done and passes it on."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0
        self._guard = threading.Lock()
        self.add(0)

    def add(self, nbytes: int) -> None:
        """Count `nbytes` more."""
        if self._progress is not None:
            with self._guard:
                self._done += nbytes
                self._progress(self._done, self._total)


class _Sealer:
    """One worker: reads batches, encrypts them, writes them, keeps the tags. Owns two buffers."""

    def __init__(
        self,
        key: bytes,
        sources: list[int],
        outputs: list[NewFile],
        tags: dict[int, bytes],
        meter: Meter,
        stop: threading.Event,
    ) -> None:
        self._cipher = AES(key)
        self._aead = AESGCM(key)
        self._sources = sources
        self._outputs = outputs
        self._tags = tags
        self._meter = meter
        self._stop = stop
        self._plain = memoryview(bytearray(CHUNK_BYTES))
        self._sealed = memoryview(bytearray(CHUNK_BYTES + LINE_BYTES))

    def __call__(self, batch: Batch) -> None:
        if batch.sealed_bytes > CHUNK_BYTES:
            self._seal_long(batch, batch.records[0])
        else:
            self._seal_batch(batch)

    def _read(self, batch: Batch, buffer: memoryview, offset: int) -> None:
        if self._stop.is_set():
            raise StoppedError
        if read_at(self._sources[batch.shard], buffer, offset) != len(buffer):
            raise SourceError("the source was cut short while it was being sealed")

    def _write(self, batch: Batch, buffer: memoryview, offset: int) -> None:
        output = self._outputs[batch.shard]
        write_at(output.descriptor, buffer, offset)
        output.written(len(buffer))

    def _seal_long(self, batch: Batch, record: TensorRecord) -> None:
        """One tensor as one message, a chunk at a time, encrypted in place."""
        encryptor = Cipher(self._cipher, GCM(tensor_iv(record.tensor_id, record.version))).encryptor()
        nbytes = record.entry.nbytes
        for start in range(0, nbytes, CHUNK_BYTES):
            count = min(CHUNK_BYTES, nbytes - start)
            chunk = self._sealed[:count]
            self._read(batch, chunk, batch.plain_offset + start)
            encryptor.update_into(chunk, self._sealed)
            padded = align(count)
            self._sealed[count:padded] = bytes(padded - count)
            self._write(batch, self._sealed[:padded], record.offset + start)
            self._meter.add(count)
        encryptor.finalize()
        self._tags[record.tensor_id] = encryptor.tag

    def _seal_batch(self, batch: Batch) -> None:
        """Many tensors with one read and one write."""
        plain = self._plain[: sum(record.entry.nbytes for record in batch.records)]
        self._read(batch, plain, batch.plain_offset)
        position = 0
        for record in batch.records:
            nbytes = record.entry.nbytes
            start = record.offset - batch.sealed_offset
            end = start + nbytes
            # The library puts the tag after the ciphertext; padding and the next ciphertext then overwrite it.
            self._aead.encrypt_into(
                tensor_iv(record.tensor_id, record.version),
                plain[position : position + nbytes],
                None,
                self._sealed[start : end + TAG_BYTES],
            )
            self._tags[record.tensor_id] = bytes(self._sealed[end : end + TAG_BYTES])
            self._sealed[end : align(end)] = bytes(align(end) - end)
            position += nbytes
        self._write(batch, self._sealed[: batch.sealed_bytes], batch.sealed_offset)
        self._meter.add(position)

    def wipe(self) -> None:
        """Erase the plaintext in the buffers."""
        self._plain[:] = bytes(len(self._plain))
        self._sealed[:] = bytes(len(self._sealed))


def _place_all(source: Source) -> list[ShardTable]:
    placed: list[ShardTable] = []
    counter = 1
    for shard in source.shards:
        if counter + len(shard.tensors) - 1 > MAX_ID_COUNTER:
            raise SourceError(f"more than {MAX_ID_COUNTER} tensors in one checkpoint")
        for entry in shard.tensors:
            if entry.nbytes > MAX_TENSOR_BYTES:
                raise SourceError(
                    f"tensor {printable(entry.name)} has {entry.nbytes} bytes, more than one AES-GCM message can hold "
                    f"({MAX_TENSOR_BYTES}): split it"
                )
        placed.append(place(shard.path.name, shard.header, shard.tensors, counter))
        counter += len(shard.tensors)
    return placed


def _open_unchanged(shard: Shard) -> int:
    try:
        descriptor = os.open(shard.path, os.O_RDONLY)
    except OSError as error:
        raise SourceError(f"{shard.path} cannot be read: {error.strerror}") from None
    _check_unchanged(shard, descriptor)
    return descriptor


def _check_unchanged(shard: Shard, descriptor: int) -> None:
    status = os.fstat(descriptor)
    if (status.st_size, status.st_mtime_ns) != (shard.nbytes, shard.modified_ns):
        raise SourceError(f"{shard.path} was changed while it was being sealed: seal it when nothing writes to it")


def _check_target(target: Path, replace_existing: bool) -> None:
    if not target.parent.is_dir():
        raise OutputError(f"{target.parent} is not a directory: make it first")
    refuse_sealed_parent(target)
    if not target.exists() and not target.is_symlink():
        return
    if not target.is_dir():
        raise OutputError(f"{target} exists and is not a directory: choose another name")
    if any(target.iterdir()):
        if not is_sealed_checkpoint(target):
            raise OutputError(f"{target} holds other files than a sealed checkpoint: choose another directory")
        if not replace_existing:
            raise OutputError(
                f"{target} holds a sealed checkpoint already: choose another name, or replace it with --force "
                "(replace_existing in Python)"
            )


def seal_checkpoint(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    key: bytes,
    *,
    threads: int | None = None,
    replace_existing: bool = False,
    durable: bool = True,
    progress: Progress | None = None,
) -> SealReport:
    """Seal a `.safetensors` file, or all shards of an index, into a new directory.

    Args:
        source: a `.safetensors` file, or a `.safetensors.index.json` file whose shards lie beside it.
        target: the directory to make. It appears complete or not at all.
        key: the user's key, 16 or 32 bytes. A random salt makes all keys in use new with every call.
        threads: worker threads; one for each usable core, at most 8, when None.
        replace_existing: replace a sealed checkpoint at `target` in one step. Anything else there is never touched.
        durable: have everything on the disk before it appears. Without, a crash of the program is still harmless, but
            after a power failure the output may be incomplete (which verification would tell).
        progress: called with (bytes done, bytes in all), from any thread, one call at a time.

    Raises:
        SourceError: the source is not valid or changes meanwhile.
        OutputError: the target exists or cannot be made.
        ValueError: the key or the number of threads is out of range.
        OSError: reading or writing fails.
    """
    threads = default_threads() if threads is None else threads
    if threads < 1:
        raise ValueError(f"threads must be at least 1, not {threads}")
    salt = secrets.token_bytes(SALT_BYTES)
    keys = derive_checkpoint_keys(key, salt)
    target = Path(target).resolve()
    _check_target(target, replace_existing)
    remove_leftovers(target)
    files = read_source(source)
    placed = _place_all(files)
    nbytes = sum(record.entry.nbytes for shard in placed for record in shard.records)
    tags: dict[int, bytes] = {}
    meter = Meter(progress, nbytes)
    with ExitStack() as stack:
        sources = []
        for shard in files.shards:
            sources.append(_open_unchanged(shard))
            stack.callback(os.close, sources[-1])
        outputs = [stack.enter_context(NewFile(target, durable=durable)) for _ in placed]
        for index, output in enumerate(outputs):
            write_at(output.descriptor, pack_data_header(salt, index), 0)

        def make_worker(stop: threading.Event) -> _Sealer:
            worker = _Sealer(keys.tensors, sources, outputs, tags, meter, stop)
            stack.callback(worker.wipe)
            return worker

        run_batches(_all_batches(placed), make_worker, threads)
        for shard, descriptor in zip(files.shards, sources, strict=True):
            _check_unchanged(shard, descriptor)
        table = Table(
            tuple(
                replace(
                    shard,
                    records=tuple(record.with_tag(tags.get(record.tensor_id, b"")) for record in shard.records),
                )
                for shard in placed
            ),
            files.index_name,
            files.index,
        )
        plaintext = encode_table(table)
        header = ManifestHeader(
            len(key), len(placed), len(plaintext), sum(shard.data_bytes for shard in placed), salt, keys.check
        )
        manifest = seal_table(plaintext, header, keys.table)
        manifest_file = stack.enter_context(NewFile(target, durable=durable))
        write_at(manifest_file.descriptor, manifest, 0)
        names = {data_file_name(index): output for index, output in enumerate(outputs)}
        publish_directory({**names, MANIFEST_NAME: manifest_file}, target, replace=replace_existing)
    return SealReport(
        target, hashlib.sha256(manifest).hexdigest(), sum(len(shard.records) for shard in placed), nbytes, len(placed)
    )


def _all_batches(shards: list[ShardTable]) -> Iterator[Batch]:
    return chain.from_iterable(make_batches(index, shard) for index, shard in enumerate(shards))
