# SPDX-License-Identifier: Apache-2.0
"""Speed of the model as ratios to the raw library calls, `python -m tensortee.checkpoint.bench`.

Both sides of a ratio run in turn, in alternating order, on the same bytes in the same process, so that whatever else
the machine does meets both. The median of the ratios counts; the smallest and the largest are shown beside it.
Writes `build/bench/model.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import statistics
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from rich.console import Console
from rich.table import Table

from tensortee.checkpoint import seal_checkpoint
from tensortee.checkpoint.batches import CHUNK_BYTES
from tensortee.checkpoint.sealing import default_threads
from tensortee.checkpoint.transfer import read_at, write_at
from tensortee.format import TAG_BYTES, seal, tensor_iv

DEFAULT_OUTPUT = Path("build/bench/model.json")
MIB = 1 << 20
LONG_BYTES = 256 * MIB
SHORT_BYTES = 4096
SHORT_TENSORS = 10_000
# A transformer in small: in each layer four projections, three wider ones and two norms, as bytes.
LAYERS = 24
LAYER_BYTES = (2 * MIB,) * 4 + (4 * MIB,) * 3 + (4096,) * 2


@dataclass(frozen=True)
class Ratio:
    """Speed of the package divided by the speed of the raw calls.

    Attributes:
        name: what was measured.
        ratio: median over all rounds.
        smallest: of all rounds.
        largest: of all rounds.
        required: what the median has to reach.
        rounds: their number.
        threads: worker threads on each side.
        nbytes: bytes of plaintext on each side in one round.
        package_gb_per_s: median, 10^9 bytes per second.
        raw_gb_per_s: median, 10^9 bytes per second.
    """

    name: str
    ratio: float
    smallest: float
    largest: float
    required: float
    rounds: int
    threads: int
    nbytes: int
    package_gb_per_s: float
    raw_gb_per_s: float


Side = Callable[[], float]


def timed(action: Callable[[], object]) -> Side:
    """The action as a function that returns how many seconds it took."""

    def side() -> float:
        start = time.perf_counter()
        action()
        return time.perf_counter() - start

    return side


def compare(
    name: str, package: Side, raw: Side, *, required: float, rounds: int, nbytes: int, threads: int = 1
) -> Ratio:
    """Run both sides once to warm up, then `rounds` times in alternating order."""
    package()
    raw()
    seconds: list[tuple[float, float]] = []
    for number in range(rounds):
        if number % 2:
            raw_seconds = raw()
            seconds.append((package(), raw_seconds))
        else:
            package_seconds = package()
            seconds.append((package_seconds, raw()))
    ratios = [raw_seconds / package_seconds for package_seconds, raw_seconds in seconds]
    return Ratio(
        name,
        statistics.median(ratios),
        min(ratios),
        max(ratios),
        required,
        rounds,
        threads,
        nbytes,
        nbytes / statistics.median(pair[0] for pair in seconds) / 1e9,
        nbytes / statistics.median(pair[1] for pair in seconds) / 1e9,
    )


def long_tensor(nbytes: int = LONG_BYTES, rounds: int = 15) -> Ratio:
    """One long tensor into a given buffer."""
    key = secrets.token_bytes(16)
    data = np.random.default_rng(1).integers(0, 256, nbytes, dtype=np.uint8)
    out = np.zeros(nbytes + TAG_BYTES, np.uint8)
    cipher = AESGCM(key)
    iv = tensor_iv(1, 1)
    return compare(
        f"seal one tensor of {nbytes // MIB} MiB into a buffer",
        timed(lambda: seal(data, key, 1, 1, out=out)),
        timed(lambda: cipher.encrypt_into(iv, data.data, None, out.data)),
        required=0.9,
        rounds=rounds,
        nbytes=nbytes,
    )


def short_tensors(count: int = SHORT_TENSORS, nbytes: int = SHORT_BYTES, rounds: int = 31) -> Ratio:
    """Many short tensors, each with its own IV."""
    key = secrets.token_bytes(16)
    tensors = list(np.random.default_rng(2).integers(0, 256, (count, nbytes), dtype=np.uint8))
    ivs = [tensor_iv(number, 1) for number in range(count)]
    cipher = AESGCM(key)

    def package() -> None:
        for number, tensor in enumerate(tensors):
            seal(tensor, key, number, 1)

    def raw() -> None:
        for iv, tensor in zip(ivs, tensors, strict=True):
            cipher.encrypt(iv, tensor, None)

    return compare(
        f"seal {count} tensors of {nbytes} bytes",
        timed(package),
        timed(raw),
        required=0.5,
        rounds=rounds,
        nbytes=count * nbytes,
    )


def write_checkpoint(path: Path, layers: int = LAYERS) -> None:
    """A safetensors file of random bytes with the tensors of a small transformer."""
    header: dict[str, object] = {}
    offset = 0
    for layer in range(layers):
        for number, nbytes in enumerate(LAYER_BYTES):
            header[f"layers.{layer}.{number}"] = {
                "dtype": "U8",
                "shape": [nbytes],
                "data_offsets": [offset, offset + nbytes],
            }
            offset += nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    rng = np.random.default_rng(3)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _ in range(layers):
            for nbytes in LAYER_BYTES:
                file.write(rng.bytes(nbytes))


def read_encrypt_write(source: Path, target: Path, key: bytes, threads: int, *, durable: bool) -> None:
    """What sealing cannot do without: read the bytes, encrypt them with the library, write them."""
    cipher = AESGCM(key)
    size = source.stat().st_size
    offsets = iter(range(0, size, CHUNK_BYTES))
    guard = threading.Lock()
    reader = os.open(source, os.O_RDONLY)
    writer = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL)

    def take() -> Iterator[int]:
        while True:
            with guard:
                offset = next(offsets, None)
            if offset is None:
                return
            yield offset

    def work() -> None:
        plain = memoryview(bytearray(CHUNK_BYTES))
        sealed = memoryview(bytearray(CHUNK_BYTES + TAG_BYTES))
        for offset in take():
            count = read_at(reader, plain[: min(CHUNK_BYTES, size - offset)], offset)
            cipher.encrypt_into(tensor_iv(offset // CHUNK_BYTES, 1), plain[:count], None, sealed[: count + TAG_BYTES])
            write_at(writer, sealed[:count], offset)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if durable:
        os.fsync(writer)
    os.close(reader)
    os.close(writer)


def checkpoint(directory: Path, *, durable: bool, layers: int = LAYERS, rounds: int = 9) -> Ratio:
    """A whole checkpoint from file to file, against reading, encrypting and writing the same bytes."""
    threads = default_threads()
    key = secrets.token_bytes(16)
    with tempfile.TemporaryDirectory(dir=directory) as name:
        place = Path(name)
        source = place / "model.safetensors"
        write_checkpoint(source, layers)

        def alone(action: Callable[[Path], object]) -> Side:
            """Time the action with an idle disk before it and its output removed after it."""

            def side() -> float:
                target = place / "output"
                os.sync()
                seconds = timed(lambda: action(target))()
                if target.is_dir():
                    shutil.rmtree(target)
                else:
                    target.unlink()
                return seconds

            return side

        return compare(
            f"seal a checkpoint of {source.stat().st_size // MIB} MiB, {'' if durable else 'not '}flushed to disk",
            alone(lambda target: seal_checkpoint(source, target, key, threads=threads, durable=durable)),
            alone(lambda target: read_encrypt_write(source, target, key, threads, durable=durable)),
            required=0.7,
            rounds=rounds,
            nbytes=source.stat().st_size,
            threads=threads,
        )


def measure(directory: Path) -> list[Ratio]:
    """All ratios; files are made in `directory` and removed."""
    return [
        long_tensor(),
        short_tensors(),
        checkpoint(directory, durable=False),
        checkpoint(directory, durable=True),
    ]


def print_table(ratios: list[Ratio], console: Console) -> None:
    """The ratios as a table."""
    table = Table(
        "package against raw AES-GCM calls", "ratio", "range", "required", "package GB/s", "raw GB/s", "threads"
    )
    for row in ratios:
        colour = "green" if row.ratio >= row.required else "red"
        table.add_row(
            row.name,
            f"[{colour}]{row.ratio:.2f}[/]",
            f"{row.smallest:.2f} .. {row.largest:.2f}",
            f"{row.required:.1f}",
            f"{row.package_gb_per_s:.2f}",
            f"{row.raw_gb_per_s:.2f}",
            str(row.threads),
        )
    console.print(table)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write the JSON file. Returns 1 if a ratio is below what is required, else 0."""
    parser = argparse.ArgumentParser(prog="python -m tensortee.checkpoint.bench", description="Speed of the model.")
    parser.add_argument("-o", "--output", type=Path, default=DEFAULT_OUTPUT, help="JSON file to write")
    options = parser.parse_args(arguments)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    ratios = measure(options.output.parent)
    print_table(ratios, Console() if sys.stdout.isatty() else Console(width=120))
    options.output.write_text(json.dumps([asdict(row) for row in ratios], indent=2) + "\n", encoding="utf-8")
    missed = [row.name for row in ratios if row.ratio < row.required]
    if missed:
        print(f"below what is required: {'; '.join(missed)} (measure on an idle machine)", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
