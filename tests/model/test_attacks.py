# SPDX-License-Identifier: Apache-2.0
"""The attack suite on the golden model. Names follow the table of attacks in docs/threat-model.md."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from tensortee import CoverageError, IntegrityError, LineAccumulator, reference, seal
from tensortee.engine import Dram
from tensortee.engine.registers import EngineState, FaultCause, Opcode, Result, SlotState
from tensortee.format import BLOCK_BYTES, LINE_BYTES, Domain, make_iv, tensor_iv

from tests.model import weak_schemes
from tests.model.engine_driver import OTHER_TEST_KEY, TEST_KEY, Bench

LINES = 8
NBYTES = LINES * LINE_BYTES - 13
A_BASE, B_BASE = 0x1000, 0x8000


def random_bytes(nbytes: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(nbytes)


def two_tensors() -> Bench:
    """Tensors of equal length in slots 0 and 1."""
    bench = Bench()
    bench.make(0, A_BASE, random_bytes(NBYTES, 1))
    bench.make(1, B_BASE, random_bytes(NBYTES, 2))
    return bench


def expect_detected(bench: Bench, slot: int = 0) -> None:
    """Read the tensor as a whole: the window must fail, and from then on nothing comes out."""
    assert bench.load(slot)[1] == Result.TAG_ERROR
    assert bench.engine.slots[slot].state == SlotState.POISONED
    assert bench.engine.state == EngineState.FATAL
    assert bench.engine.alert_fatal
    for number in range(len(bench.engine.slots)):
        bench.expect(Result.NOT_READY, Opcode.OPEN_READ, number)
    for base in (A_BASE, B_BASE):
        data, responses, cause = bench.read_lines(base)
        assert (any(data), set(responses), cause) == (False, {2}, FaultCause.NOT_READY)
    assert not any(any(tensor.tag) for tensor in bench.engine.slots)


# A1 spoofing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bit", range(0, LINE_BYTES * 8, 7))
def test_a1_every_bit_position(bit: int) -> None:
    bench = two_tensors()
    line = bit % (LINES - 1)
    bench.dram.cells[A_BASE + line * LINE_BYTES][bit // 8] ^= 1 << bit % 8
    expect_detected(bench)


def test_a1_bytes_behind_the_end_do_not_matter() -> None:
    """They are no part of the message: the engine ignores them and returns zero."""
    bench = two_tensors()
    bench.dram.cells[A_BASE + (LINES - 1) * LINE_BYTES][-13:] = b"\xff" * 13
    assert bench.load(0) == (random_bytes(NBYTES, 1), Result.OK)
    bench.expect(Result.OK, Opcode.OPEN_READ)
    assert bench.read_lines(A_BASE + (LINES - 1) * LINE_BYTES)[0][-13:] == bytes(13)


# A2 splicing ----------------------------------------------------------------------------------------------------------


def swap(bench: Bench, first: int, second: int, nbytes: int = LINE_BYTES) -> None:
    """Exchange two areas of the memory."""
    a, b = bench.dram.read(first, nbytes), bench.dram.read(second, nbytes)
    bench.dram.write(first, b)
    bench.dram.write(second, a)


@pytest.mark.parametrize(("first", "second"), [(0, 1), (0, 6), (2, 5)])
def test_a2_lines_exchanged(first: int, second: int) -> None:
    bench = two_tensors()
    swap(bench, A_BASE + first * LINE_BYTES, A_BASE + second * LINE_BYTES)
    expect_detected(bench)


def test_a2_lines_of_another_tensor() -> None:
    bench = two_tensors()
    assert bench.engine.slots[0].version == bench.engine.slots[1].version
    swap(bench, A_BASE + 3 * LINE_BYTES, B_BASE + 3 * LINE_BYTES)
    expect_detected(bench)


def test_a2_whole_tensors_exchanged() -> None:
    bench = two_tensors()
    swap(bench, A_BASE, B_BASE, LINES * LINE_BYTES)
    expect_detected(bench)


def test_a2_tiles_permuted() -> None:
    bench = two_tensors()
    image = bench.dram.read(A_BASE, 4 * LINE_BYTES)
    bench.dram.write(A_BASE, image[2 * LINE_BYTES :] + image[: 2 * LINE_BYTES])
    expect_detected(bench)


# A3, A4 replay and rollback -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lines", [1, LINES])
def test_a3_old_version(lines: int) -> None:
    bench = two_tensors()
    old = bench.dram.read(A_BASE, lines * LINE_BYTES)
    bench.store(0, random_bytes(NBYTES, 3))
    bench.dram.write(A_BASE, old)
    expect_detected(bench)


def test_a3_old_version_of_equal_data() -> None:
    """Even if the plaintext is the same, the old ciphertext is not the new one."""
    bench = two_tensors()
    old = bench.dram.read(A_BASE, LINES * LINE_BYTES)
    bench.store(0, random_bytes(NBYTES, 1))
    bench.dram.write(A_BASE, old)
    expect_detected(bench)


def test_a4_rollback_of_everything() -> None:
    bench = two_tensors()
    snapshot = {line: bytearray(cell) for line, cell in bench.dram.cells.items()}
    bench.store(0, random_bytes(NBYTES, 3))
    bench.store(1, random_bytes(NBYTES, 4))
    bench.dram.cells = snapshot
    expect_detected(bench, slot=1)


# A5, A6 aliasing and forgeries ----------------------------------------------------------------------------------------


class AliasedDram(Dram):
    """A memory in which two lines share a cell."""

    def __init__(self, line: int, cell: int) -> None:
        super().__init__()
        self._line, self._cell = line, cell

    def _map(self, addr: int) -> int:
        return addr - self._line + self._cell if self._line <= addr < self._line + LINE_BYTES else addr

    def read(self, addr: int, nbytes: int, /) -> bytes:
        """Read a line."""
        return super().read(self._map(addr), nbytes)

    def write(self, addr: int, data: bytes, /) -> None:
        """Write a beat."""
        super().write(self._map(addr), data)


def test_a5_aliased_lines() -> None:
    bench = Bench(memory=AliasedDram(A_BASE + LINE_BYTES, A_BASE + 4 * LINE_BYTES))
    bench.make(0, A_BASE, random_bytes(NBYTES, 1))
    expect_detected(bench)


def test_a6_equal_difference_in_two_lines() -> None:
    """Breaks XOR-combined linear line MACs; here each line has a power of H of its own."""
    difference = random_bytes(LINE_BYTES, 9)
    ciphertext = bytes(seal(random_bytes(LINES * LINE_BYTES), TEST_KEY, 1, 1).ciphertext)
    lines = weak_schemes.lines_of(ciphertext)
    lines[1], lines[4] = weak_schemes.xor(lines[1], difference), weak_schemes.xor(lines[4], difference)
    forged = b"".join(lines)
    assert forged != ciphertext
    assert weak_schemes.linear_line_mac(TEST_KEY, forged) == weak_schemes.linear_line_mac(TEST_KEY, ciphertext)

    bench = two_tensors()
    for line in (1, 4):
        at = A_BASE + line * LINE_BYTES
        bench.dram.write(at, weak_schemes.xor(bench.dram.read(at, LINE_BYTES), difference))
    expect_detected(bench)


def test_a6_duplicated_pair() -> None:
    """Two equal lines cancel in a XOR of line MACs, whatever they contain."""
    ciphertext = bytes(seal(random_bytes(LINES * LINE_BYTES), TEST_KEY, 1, 1).ciphertext)
    lines = weak_schemes.lines_of(ciphertext)
    one = [random_bytes(LINE_BYTES, 7)] * 2 + lines[2:]
    other = [random_bytes(LINE_BYTES, 8)] * 2 + lines[2:]
    macs = {weak_schemes.xor_layer_mac(TEST_KEY, 1, 1, b"".join(text)) for text in (one, other)}
    assert len(macs) == 1

    tags = {reference.tag(TEST_KEY, tensor_iv(1, 1), b"".join(text)) for text in (one, other)}
    assert len(tags) == 2
    bench = two_tensors()
    for line in (0, 1):
        bench.dram.write(A_BASE + line * LINE_BYTES, random_bytes(LINE_BYTES, 7))
    expect_detected(bench)


def test_a6_cancelling_rereads() -> None:
    """A line that is read twice in its changed form cancels from a sum; the count and the coverage hash notice it."""
    nbytes = LINES * LINE_BYTES
    sealed = seal(random_bytes(nbytes), TEST_KEY, 1, 1)
    lines = weak_schemes.lines_of(bytes(sealed.ciphertext))
    evil = random_bytes(LINE_BYTES, 5)
    honest, tricked = weak_schemes.CancellingWindow(TEST_KEY, nbytes), weak_schemes.CancellingWindow(TEST_KEY, nbytes)
    ours = LineAccumulator(TEST_KEY, sealed.iv, nbytes)
    for number, line in enumerate(lines):
        honest.add(number, line)
        tricked.add(number, line)
        ours.add(number, line)
    for _ in range(2):
        tricked.add(3, evil)
        ours.add(3, evil)
    assert tricked.total == honest.total
    with pytest.raises(CoverageError):
        ours.check(sealed.tag)


def test_a6_cancelling_rereads_with_the_right_count() -> None:
    """Three lines are never read; the changed line is read three times instead, twice to cancel."""
    bench = two_tensors()
    assert bench.load(0, [0, 1, 2, 3, 3, 3, 4, 7])[1] == Result.COVERAGE_ERROR
    assert bench.engine.slots[0].state == SlotState.POISONED
    assert bench.engine.slots[0].count == LINES
    bench.expect(Result.BAD_STATE, Opcode.OPEN_READ)


def test_a6_repermutation() -> None:
    """RePA: an XOR of line MACs that do not know their position accepts any permutation."""
    ciphertext = bytes(seal(random_bytes(LINES * LINE_BYTES), TEST_KEY, 1, 1).ciphertext)
    lines = weak_schemes.lines_of(ciphertext)
    permuted = b"".join(random.Random(3).sample(lines, LINES))
    assert permuted != ciphertext
    assert weak_schemes.xor_layer_mac(TEST_KEY, 1, 1, permuted) == weak_schemes.xor_layer_mac(
        TEST_KEY, 1, 1, ciphertext
    )

    ours = LineAccumulator(TEST_KEY, tensor_iv(1, 1), len(ciphertext))
    ours.add(0, permuted)
    with pytest.raises(IntegrityError):
        ours.check(seal(random_bytes(LINES * LINE_BYTES), TEST_KEY, 1, 1).tag)


def most_frequent_block_as_pad(line: bytes) -> bytes:
    """SECA: if several blocks share a pad, the block that occurs most is taken for an encrypted zero."""
    blocks = [line[at : at + BLOCK_BYTES] for at in range(0, LINE_BYTES, BLOCK_BYTES)]
    return max(blocks, key=blocks.count)


def recovered(ciphertext: bytes) -> bytes:
    """What the attacker of SECA believes to be the plaintext."""
    return b"".join(
        weak_schemes.xor(line, most_frequent_block_as_pad(line) * 4) for line in weak_schemes.lines_of(ciphertext)
    )


def test_a6_single_element_collision() -> None:
    """A sparse tensor, most blocks of which are zero: a shared pad gives all of it away, a pad per block nothing."""
    secret = b"".join(bytes(2 * BLOCK_BYTES) + random_bytes(2 * BLOCK_BYTES, line) for line in range(LINES))
    assert recovered(weak_schemes.shared_pad_encrypt(TEST_KEY, tensor_iv(1, 1), secret)) == secret

    bench = Bench()
    bench.make(0, A_BASE, secret)
    image = bench.dram.read(A_BASE, len(secret))
    guess = recovered(image)
    for at in range(0, len(secret), BLOCK_BYTES):
        if any(secret[at : at + BLOCK_BYTES]):
            assert guess[at : at + BLOCK_BYTES] != secret[at : at + BLOCK_BYTES]
    blocks = [image[at : at + BLOCK_BYTES] for at in range(0, len(image), BLOCK_BYTES)]
    assert len(set(blocks)) == len(blocks)


# A8 coverage ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "order",
    [
        [],
        [0],
        [*range(LINES - 1)],
        [*range(1, LINES)],
        [*range(LINES), 0],
        [*range(LINES - 1), 0],
        [0] * LINES,
        [0, 0, *range(2, LINES)],
        [*range(LINES), *range(LINES)],
    ],
    ids=["nothing", "early", "last skipped", "first skipped", "extra", "replaced", "one line only", "doubled", "twice"],
)
def test_a8_wrong_coverage(order: list[int]) -> None:
    bench = two_tensors()
    assert bench.load(0, order)[1] == Result.COVERAGE_ERROR
    assert (bench.engine.state, bench.engine.slots[0].state) == (EngineState.READY, SlotState.POISONED)
    bench.expect(Result.BAD_STATE, Opcode.OPEN_READ)
    assert bench.engine.alert_recov == 1
    # A scheduling error is no attack: other tensors are still served, and a new epoch makes this one usable again.
    assert bench.load(1)[1] == Result.OK
    bench.store(0, random_bytes(NBYTES, 3))
    assert bench.load(0) == (random_bytes(NBYTES, 3), Result.OK)


def test_a8_coverage_goes_before_the_tag() -> None:
    bench = two_tensors()
    bench.dram.cells[A_BASE][0] ^= 1
    assert bench.load(0, [0, 1])[1] == Result.COVERAGE_ERROR


def test_a8_incomplete_epoch() -> None:
    bench = two_tensors()
    bench.expect(Result.OK, Opcode.OPEN_WRITE)
    bench.fill(0, random_bytes(NBYTES), range(LINES - 1))
    bench.expect(Result.COVERAGE_ERROR, Opcode.CLOSE_WRITE)
    assert bench.engine.slots[0].state == SlotState.DEFINED
    assert not any(bench.engine.slots[0].tag)
    bench.expect(Result.BAD_STATE, Opcode.OPEN_READ)


# A9, A10 domains, lengths ---------------------------------------------------------------------------------------------


def test_a9_domains_share_no_keystream_and_no_pad() -> None:
    seen: set[int] = set()
    for domain in Domain:
        iv = make_iv(domain, 1, 1)
        seen |= {reference.keystream_block(TEST_KEY, iv, block) for block in range(-1, 64)}
    assert len(seen) == len(Domain) * 65


def test_a9_keystream_as_the_pad_of_a_tag() -> None:
    """A tag masked with a data block's keystream, or with the pad of another domain, is refused."""
    sealed = seal(random_bytes(NBYTES), TEST_KEY, 1, 1)
    text = bytes(sealed.ciphertext)
    masks: list[Callable[[], int]] = [
        lambda: reference.keystream_block(TEST_KEY, sealed.iv, 0),
        lambda: reference.keystream_block(TEST_KEY, make_iv(Domain.BLOCK_TAG, 1, 1), -1),
        lambda: 0,
    ]
    ghash = reference.ghash(reference.hash_key(TEST_KEY), text)
    lines = LineAccumulator(TEST_KEY, sealed.iv, NBYTES)
    lines.add(0, text)
    for mask in masks:
        with pytest.raises(IntegrityError):
            lines.check((ghash ^ mask()).to_bytes(16, "big"))
    lines.check(sealed.tag)


@pytest.mark.parametrize("nbytes", [NBYTES - 1, NBYTES + 1, NBYTES + 13])
def test_a10_wrong_length(nbytes: int) -> None:
    """The same lines under another length: the length block differs."""
    bench = two_tensors()
    tag, iv = bench.engine.slots[0].tag, bench.engine.slots[0].iv
    bench.expect(Result.OK, Opcode.RELEASE)
    image = bench.dram.read(A_BASE, LINES * LINE_BYTES)
    bench.make(0, A_BASE, bytes(nbytes))
    bench.dram.write(A_BASE, image)
    bench.engine.slots[0].tag, bench.engine.slots[0].iv = tag, iv
    expect_detected(bench)


# N1, N5 keystream -----------------------------------------------------------------------------------------------------


def test_n1_no_keystream_block_is_used_twice() -> None:
    """Zeros are written, so the memory shows the keystream: over versions, tensors, releases and keys."""
    seen: set[bytes] = set()
    count = 0
    bench = Bench()
    for key in (TEST_KEY, OTHER_TEST_KEY):
        if key == OTHER_TEST_KEY:
            bench.engine.zeroize()
            assert bench.engine.install_key(key)
        for turn in range(3):
            for slot, base in enumerate((A_BASE, B_BASE)):
                bench.define(slot, base, 20 * LINE_BYTES)
                for _ in range(turn + 1):
                    bench.store(slot, bytes(20 * LINE_BYTES))
                    image = bench.dram.read(base, 20 * LINE_BYTES)
                    blocks = [image[at : at + BLOCK_BYTES] for at in range(0, len(image), BLOCK_BYTES)]
                    seen.update(blocks)
                    count += len(blocks)
                bench.expect(Result.OK, Opcode.RELEASE, slot)
    assert len(seen) == count


def test_n1_second_write_of_a_line_is_refused() -> None:
    bench = two_tensors()
    bench.expect(Result.OK, Opcode.OPEN_WRITE)
    bench.fill(0, bytes(NBYTES), [2])
    image = bench.dram.read(A_BASE, LINES * LINE_BYTES)
    cause, response = bench.write_lines(A_BASE + 2 * LINE_BYTES, b"\xff" * LINE_BYTES)
    assert (cause, response) == (FaultCause.REWRITE, 2)
    assert bench.dram.read(A_BASE, LINES * LINE_BYTES) == image


def test_n5_two_devices_share_a_key() -> None:
    data = bytes(NBYTES)
    images = []
    for owner in (0, 1, 15):
        bench = Bench(owner=owner)
        bench.make(0, A_BASE, data)
        assert bench.engine.slots[0].tensor_id >> 24 == owner
        image = bench.dram.read(A_BASE, NBYTES)
        images += [image[at : at + BLOCK_BYTES] for at in range(0, NBYTES - BLOCK_BYTES, BLOCK_BYTES)]
    assert len(set(images)) == len(images)


def test_movable_ciphertext_still_verifies() -> None:
    """Position in the tensor counts, not the address: a tensor that was moved by DMA opens elsewhere."""
    bench = two_tensors()
    tag, iv = bench.engine.slots[0].tag, bench.engine.slots[0].iv
    image = bench.dram.read(A_BASE, LINES * LINE_BYTES)
    bench.define(2, 0x20000, NBYTES)
    bench.store(2, bytes(NBYTES))
    bench.dram.write(0x20000, image)
    bench.engine.slots[2].tag, bench.engine.slots[2].iv = tag, iv
    assert bench.load(2) == (random_bytes(NBYTES, 1), Result.OK)
