# SPDX-License-Identifier: Apache-2.0
"""The unit of work: a run of whole tensors that fits one buffer, or one tensor that is longer than that.

Memory is bounded by the buffers: `threads` times two buffers of `CHUNK_BYTES`, whatever the size of a tensor.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from tensortee.checkpoint.layout import align
from tensortee.checkpoint.table import ShardTable, TensorRecord

# Small enough to stay in a core's cache between reading, encrypting and writing.
CHUNK_BYTES = 1 << 20
POLL_SECONDS = 0.1


class StoppedError(Exception):
    """Raised in a worker when another one has failed or the user has interrupted."""


@dataclass(frozen=True)
class Batch:
    """Consecutive tensors of one shard.

    Attributes:
        shard: index of the shard.
        records: at least one, none of them without bytes; more than one only if all of them fit one buffer with the
            padding between them.
        plain_offset: of the first byte in the safetensors file.
    """

    shard: int
    records: tuple[TensorRecord, ...]
    plain_offset: int

    @property
    def sealed_offset(self) -> int:
        """Offset of the first ciphertext byte in the data file."""
        return self.records[0].offset

    @property
    def sealed_bytes(self) -> int:
        """Length of the ciphertexts with the padding after each."""
        return align(self.records[-1].end) - self.sealed_offset


def make_batches(index: int, shard: ShardTable) -> Iterator[Batch]:
    """Cut shard `index` into batches, in the order of its bytes."""
    chosen: list[TensorRecord] = []

    def batch() -> Batch:
        return Batch(index, tuple(chosen), len(shard.header) + chosen[0].entry.begin)

    for record in shard.records:
        if record.entry.nbytes == 0:
            continue
        if chosen and align(record.end) - chosen[0].offset > CHUNK_BYTES:
            yield batch()
            chosen = []
        chosen.append(record)
    if chosen:
        yield batch()


def _wait(futures: Sequence[Future[None]]) -> None:
    """Wait until all are done or one has failed.

    In short waits, because a signal that comes just before a wait, or while a worker runs, does not end it.
    """
    while True:
        done, running = wait(futures, timeout=POLL_SECONDS, return_when=FIRST_EXCEPTION)
        if not running or any(future.exception() for future in done):
            return


def run_batches(
    batches: Iterable[Batch], make_worker: Callable[[threading.Event], Callable[[Batch], None]], threads: int
) -> None:
    """Give every batch to one of several workers, each in a thread of its own.

    Args:
        batches: taken in order, one at a time.
        make_worker: called once in each thread; its worker looks at the event between chunks and raises `StoppedError`.
        threads: number of threads, at least 1.

    Raises:
        KeyboardInterrupt: after all workers have stopped.
        Exception: the first one that a worker raised, after all others have stopped.
    """
    stop = threading.Event()
    source = iter(batches)
    lock = threading.Lock()

    def take() -> Batch | None:
        with lock:
            return next(source, None)

    def work() -> None:
        worker = make_worker(stop)
        while (batch := take()) is not None:
            if stop.is_set():
                return
            worker(batch)

    with ThreadPoolExecutor(threads, thread_name_prefix="tensortee") as pool:
        try:
            # Inside, because an interrupt may come while a thread is being started.
            futures = [pool.submit(work) for _ in range(threads)]
            _wait(futures)
        finally:
            stop.set()
    errors = [error for future in futures if (error := future.exception()) is not None]
    for error in errors:
        if not isinstance(error, StoppedError):
            raise error
