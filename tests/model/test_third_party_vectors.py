# SPDX-License-Identifier: Apache-2.0
"""Every path of the golden model against NIST CAVP and Wycheproof vectors, invalid ones included."""

from __future__ import annotations

import pytest
from tensortee import IntegrityError, LineAccumulator, SealedTensor, reference, unseal
from tensortee.engine.registers import Opcode, Result
from tensortee.format import BLOCK_BYTES, LINE_BYTES, line_count

from tests.model.engine_driver import Bench
from tests.model.gcm_vectors import Vector, cavp, wycheproof

VECTORS = {"cavp": cavp, "wycheproof": wycheproof}


@pytest.fixture(params=VECTORS)
def vectors(request: pytest.FixtureRequest) -> list[Vector]:
    """All usable vectors of a source."""
    return VECTORS[request.param]()


def test_there_are_vectors_of_both_kinds(vectors: list[Vector]) -> None:
    assert sum(vector.valid for vector in vectors) >= 30
    assert sum(not vector.valid for vector in vectors) >= 15


def keystream_xor(vector: Vector) -> bytes:
    blocks = -(-len(vector.ciphertext) // BLOCK_BYTES)
    pad = b"".join(
        reference.keystream_block(vector.key, vector.iv, block).to_bytes(BLOCK_BYTES, "big") for block in range(blocks)
    )
    return bytes(a ^ b for a, b in zip(vector.ciphertext, pad, strict=False))


def test_stepwise_reference(vectors: list[Vector]) -> None:
    for vector in vectors:
        expected = reference.tag(vector.key, vector.iv, vector.ciphertext).to_bytes(BLOCK_BYTES, "big")
        assert (expected == vector.tag) == vector.valid, vector.name
        if vector.valid:
            assert keystream_xor(vector) == vector.plaintext, vector.name


def accumulate(vector: Vector) -> LineAccumulator:
    lines = LineAccumulator(vector.key, vector.iv, len(vector.ciphertext))
    for line in reversed(range(lines.lines)):
        lines.add(line, vector.ciphertext[line * LINE_BYTES : (line + 1) * LINE_BYTES])
    return lines


def test_line_accumulator(vectors: list[Vector]) -> None:
    for vector in vectors:
        lines = accumulate(vector)
        if vector.valid:
            assert lines.tag() == vector.tag, vector.name
            lines.check(vector.tag)
        else:
            with pytest.raises(IntegrityError):
                lines.check(vector.tag)


def test_engine_writes(vectors: list[Vector]) -> None:
    for vector in (vector for vector in vectors if vector.valid):
        bench = Bench(vector.key, key_bits=len(vector.key) * 8)
        bench.define(0, 0, len(vector.plaintext))
        bench.expect(Result.OK, Opcode.OPEN_WRITE)
        bench.engine.slots[0].iv = vector.iv
        bench.fill(0, vector.plaintext)
        bench.expect(Result.OK, Opcode.CLOSE_WRITE)
        stored = bench.dram.read(0, line_count(len(vector.plaintext)) * LINE_BYTES)
        assert stored == vector.ciphertext.ljust(len(stored), b"\0"), vector.name
        assert bench.engine.slots[0].tag == vector.tag, vector.name


def test_engine_reads(vectors: list[Vector]) -> None:
    for vector in vectors:
        bench = Bench(vector.key, key_bits=len(vector.key) * 8)
        bench.make(0, 0, bytes(len(vector.ciphertext)))
        slot = bench.engine.slots[0]
        slot.iv, slot.tag = vector.iv, vector.tag
        bench.dram.write(0, vector.ciphertext)
        data, verdict = bench.load(0)
        assert verdict == (Result.OK if vector.valid else Result.TAG_ERROR), vector.name
        if vector.valid:
            assert data == vector.plaintext, vector.name


def test_unseal(vectors: list[Vector]) -> None:
    """The vectors whose IV is by chance that of a tensor are opened; all others are refused by their IV."""

    def usable(vector: Vector) -> bool:
        return vector.iv[0] >> 4 == 0

    assert any(usable(vector) for vector in vectors)
    for vector in vectors:
        nbytes = len(vector.ciphertext)
        sealed = SealedTensor(vector.ciphertext, vector.tag, vector.iv, nbytes, None, (nbytes,))
        if vector.valid and usable(vector):
            assert unseal(sealed, vector.key) == vector.plaintext, vector.name
        else:
            with pytest.raises(IntegrityError):
                unseal(sealed, vector.key)
