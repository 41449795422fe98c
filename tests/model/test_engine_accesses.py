# SPDX-License-Identifier: Apache-2.0
"""The engine model's bursts: data of every shape, refusals in order, partial strobes, memory errors, fault log."""

from __future__ import annotations

import random

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from tensortee.engine import BurstType, BurstUnderWayError, Dram, Fault, Interrupt, ReadRequest, Response
from tensortee.engine.registers import REGISTERS, EngineState, FaultCause, Opcode, Result, SlotState
from tensortee.format import LINE_BYTES, line_count

from tests.model.engine_driver import OTHER_TEST_KEY, Bench

WIDTHS = [128, 256, 512]
LENGTHS = [1, 15, 16, 17, 63, 64, 65, 100, 1000, 4096, 5000]


def random_bytes(nbytes: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(nbytes)


def fault(bench: Bench) -> dict[str, int]:
    """The logged fault with its address and count."""
    read = bench.engine.register
    return REGISTERS["FAULT_STATUS"].unpack(read("FAULT_STATUS")) | {
        "ADDR": read("FAULT_ADDR_HI") << 32 | read("FAULT_ADDR_LO"),
        "COUNT": read("FAULT_COUNT"),
    }


@pytest.mark.parametrize("data_w", WIDTHS)
@pytest.mark.parametrize("nbytes", LENGTHS)
@pytest.mark.parametrize("key_bits", [128, 256])
def test_image_is_a_gcm_message(data_w: int, nbytes: int, key_bits: int) -> None:
    key = bytes(range(key_bits // 8))
    bench = Bench(key, data_w=data_w, key_bits=key_bits)
    data = random_bytes(nbytes)
    order = list(range(line_count(nbytes)))
    random.Random(nbytes).shuffle(order)
    bench.define(3, 0x10000, nbytes)
    bench.store(3, data, order)
    slot = bench.engine.slots[3]
    image = bench.dram.read(0x10000, slot.lines * LINE_BYTES)
    assert AESGCM(key).decrypt(slot.iv, image[:nbytes] + slot.tag, b"") == data
    assert not any(image[nbytes:])
    random.Random(nbytes + 1).shuffle(order)
    assert bench.load(3, order) == (data, Result.OK)
    assert slot.state == SlotState.VERIFIED
    assert (bench.engine.alert_recov, fault(bench)["VALID"]) == (0, 0)


@pytest.mark.parametrize("data_w", WIDTHS)
def test_reads_of_every_shape(data_w: int) -> None:
    bench = Bench(data_w=data_w)
    data = random_bytes(8000)
    bench.make(0, 0x4000, data)
    bench.expect(Result.OK, Opcode.OPEN_READ)
    padded = data.ljust(8000 + 64, b"\0")
    rng = random.Random(5)
    for _ in range(1500):
        size = rng.randrange(bench.size + 1)
        kind = rng.choice((BurstType.INCR, BurstType.WRAP))
        beats = rng.choice((2, 4, 8, 16)) if kind == BurstType.WRAP else rng.randint(1, 256)
        offset = rng.randrange(8000)
        if kind == BurstType.WRAP:
            offset &= -(1 << size)
        words, responses, cause = bench.engine.read(0x4000 + offset, beats, size, kind)
        extent, aligned = beats << size, offset & -(1 << size)
        if kind == BurstType.INCR and aligned // 4096 != (aligned + extent - 1) // 4096:
            assert cause == FaultCause.BURST
            continue
        if cause == FaultCause.BOUNDS:
            assert aligned + extent > 8000
            continue
        assert cause == FaultCause.NONE
        assert responses == [Response.OKAY] * beats
        for number, word in enumerate(words):
            at = offset if number == 0 else aligned + (number << size)
            if kind == BurstType.WRAP:
                low = offset // extent * extent
                at = low + (at - low) % extent
            stop = (at & -(1 << size)) + (1 << size)
            got = word.to_bytes(bench.bus_bytes, "little")
            lane = at % bench.bus_bytes
            assert got[lane : lane + stop - at] == padded[at:stop]


@pytest.mark.parametrize("data_w", WIDTHS)
def test_lines_of_a_wrap_count_once(data_w: int) -> None:
    bench = Bench(data_w=data_w)
    nbytes = 16 * bench.bus_bytes
    bench.make(0, 0, random_bytes(nbytes))
    bench.expect(Result.OK, Opcode.OPEN_READ)
    words, _, cause = bench.engine.read(3 * bench.bus_bytes, 16, bench.size, BurstType.WRAP)
    assert cause == FaultCause.NONE
    assert len(set(words)) == 16
    bench.expect(Result.OK, Opcode.CLOSE_READ)
    assert bench.engine.slots[0].count == line_count(nbytes)


# Refusals -------------------------------------------------------------------------------------------------------------

READ_REFUSALS = {
    "fixed": ((0x1000, 1, 4, 0), FaultCause.BURST),
    "reserved type": ((0x1000, 1, 4, 3), FaultCause.BURST),
    "wider than the bus": ((0x1000, 1, 5, 1), FaultCause.BURST),
    "over 4 KiB": ((0x1FF0, 2, 4, 1), FaultCause.BURST),
    "over 4 KiB, unaligned": ((0x1801, 129, 4, 1), FaultCause.BURST),
    "wrap of 3": ((0x1000, 3, 4, 2), FaultCause.BURST),
    "wrap of 32": ((0x1000, 32, 4, 2), FaultCause.BURST),
    "wrap of 1": ((0x1000, 1, 4, 2), FaultCause.BURST),
    "unaligned wrap": ((0x1008, 4, 4, 2), FaultCause.BURST),
    "illegal and outside": ((0x9008, 4, 4, 2), FaultCause.BURST),
    "outside": ((0x9000, 4, 4, 1), FaultCause.NO_TENSOR),
    "line before": ((0xFC0, 4, 4, 1), FaultCause.NO_TENSOR),
    "line behind": ((0x1800, 4, 4, 1), FaultCause.NO_TENSOR),
    "not open": ((0x2000, 4, 4, 1), FaultCause.STATE),
    "writing": ((0x3000, 4, 4, 1), FaultCause.STATE),
    "over the end": ((0x17C0, 8, 4, 1), FaultCause.BOUNDS),
    "over the end by a byte": ((0x17FF, 2, 0, 1), FaultCause.BOUNDS),
    "wrap over the end": ((0x4000, 8, 4, 2), FaultCause.BOUNDS),
    "wrap before the base": ((0x5040, 8, 4, 2), FaultCause.BOUNDS),
}
WRITE_REFUSALS = {
    "fixed": ((0x3000, 4, 4, 0), FaultCause.BURST),
    "wrap": ((0x3000, 4, 4, 2), FaultCause.BURST),
    "wider than the bus": ((0x3000, 4, 5, 1), FaultCause.BURST),
    "over 4 KiB": ((0x3FC0, 8, 4, 1), FaultCause.BURST),
    "outside": ((0x9000, 4, 4, 1), FaultCause.NO_TENSOR),
    "not open": ((0x2000, 4, 4, 1), FaultCause.STATE),
    "reading": ((0x1000, 4, 4, 1), FaultCause.STATE),
    "narrow": ((0x3000, 8, 3, 1), FaultCause.PARTIAL_LINE),
    "unaligned": ((0x3010, 4, 4, 1), FaultCause.PARTIAL_LINE),
    "part of a line": ((0x3000, 6, 4, 1), FaultCause.PARTIAL_LINE),
    "unaligned and over the end": ((0x37F0, 4, 4, 1), FaultCause.PARTIAL_LINE),
    "over the end": ((0x37C0, 8, 4, 1), FaultCause.BOUNDS),
    "written": ((0x3040, 4, 4, 1), FaultCause.REWRITE),
    "in part written": ((0x3000, 8, 4, 1), FaultCause.REWRITE),
}


def bench_with_tensors() -> Bench:
    """READING at 0x1000, SEALED at 0x2000, WRITING at 0x3000 (line 1 written), READING at 0x4000 and 0x5040."""
    bench = Bench()
    for slot, base, nbytes in ((1, 0x1000, 0x7C1), (2, 0x2000, 64), (4, 0x4000, 64), (5, 0x5040, 64)):
        bench.make(slot, base, random_bytes(nbytes, slot))
    for slot in (1, 4, 5):
        bench.expect(Result.OK, Opcode.OPEN_READ, slot)
    bench.define(3, 0x3000, 0x7C1)
    bench.expect(Result.OK, Opcode.OPEN_WRITE, 3)
    assert bench.write_lines(0x3040, bytes(64)) == (FaultCause.NONE, Response.OKAY)
    return bench


REFUSALS = [
    pytest.param(write, *case, id=f"{'write' if write else 'read'} {name}")
    for write, cases in ((False, READ_REFUSALS), (True, WRITE_REFUSALS))
    for name, case in cases.items()
]


@pytest.mark.parametrize(("write", "burst", "expected"), REFUSALS)
def test_refused_bursts(write: bool, burst: tuple[int, int, int, int], expected: FaultCause) -> None:
    addr, beats, _, _ = burst
    bench = bench_with_tensors()
    image = {line: bytes(cell) for line, cell in bench.dram.cells.items()}
    counts = [slot.count for slot in bench.engine.slots]
    response = Response.DECERR if expected == FaultCause.NO_TENSOR else Response.SLVERR
    if write:
        request = bench.engine.request_write(*burst)
        assert request.cause == expected
        assert bench.engine.finish_write(request, [1 << 100] * beats, [0xFFFF] * beats) == response
    else:
        words, responses, cause = bench.engine.read(*burst)
        assert (words, responses, cause) == ([0] * beats, [response] * beats, expected)
    tensors = {slot: bench.engine.slots[slot] for slot in range(1, 6)}
    found = next((slot for slot, tensor in tensors.items() if tensor.base <= addr < tensor.end), None)
    assert fault(bench) == {
        "VALID": 1,
        "IS_WRITE": int(write),
        "SLOT_HIT": int(found is not None),
        "SLOT": found or 0,
        "CAUSE": expected,
        "ADDR": addr,
        "COUNT": 1,
    }
    assert bench.engine.alert_recov == 1
    assert bench.engine.register("INTR_STATE") & Interrupt.ACCESS_FAULT
    assert image == {line: bytes(cell) for line, cell in bench.dram.cells.items()}
    assert counts == [slot.count for slot in bench.engine.slots]


@pytest.mark.parametrize("state", [EngineState.NO_KEY, EngineState.FATAL])
def test_nothing_is_served_without_a_key(state: EngineState) -> None:
    bench = Bench()
    bench.make(0, 0, bytes(64))
    if state == EngineState.FATAL:
        bench.dram.cells[0][0] ^= 1
        assert bench.load(0)[1] == Result.TAG_ERROR
    else:
        bench.engine.zeroize()
    assert bench.engine.state == state
    assert bench.engine.read(0, 1, 4, 3) == ([0], [Response.SLVERR], FaultCause.NOT_READY)
    assert bench.engine.request_write(0x7777, 1, 0, 0).cause == FaultCause.NOT_READY
    bench.expect(Result.NOT_READY, Opcode.OPEN_READ)


def test_fault_log_keeps_the_first_and_counts() -> None:
    bench = Bench(addr_w=48)
    for number in range(5):
        bench.read_lines(0xABCD_0000_0000 + number * 64)
    assert (fault(bench)["ADDR"], fault(bench)["COUNT"]) == (0xABCD_0000_0000, 5)
    bench.engine.write_register("FAULT_STATUS", 0x7FFF_FFFF)
    assert fault(bench)["COUNT"] == 5
    bench.engine.write_register("FAULT_STATUS", 0x8000_0000)
    assert not any(fault(bench).values())
    some = Fault(FaultCause.BURST, 0x40, False, None)
    for count in range(1, 0x10005):
        bench.engine.control.report(some)
        assert bench.engine.control.fault_count == min(count, 0xFFFF)
    assert fault(bench)["COUNT"] == 0xFFFF


def held_read(bench: Bench) -> ReadRequest:
    """A read of 16 bytes of a tensor of one line, with nothing delivered."""
    bench.make(0, 0, bytes(64))
    bench.expect(Result.OK, Opcode.OPEN_READ)
    return bench.engine.request_read(0, 1, 4, BurstType.INCR)


def test_a_read_is_under_way_until_the_last_beat_of_its_line() -> None:
    bench = Bench()
    request = held_read(bench)
    assert (request.forwarded, request.parts, request.owed) == (True, [(0, 64)], 4)
    stored = bench.dram.read(0, 64)
    for at in request.addresses:
        with pytest.raises(ValueError, match="beats are owed"):
            bench.engine.finish_read(request)
        with pytest.raises(BurstUnderWayError, match="CLOSE_READ on slot 0"):
            bench.engine.command(Opcode.CLOSE_READ)
        bench.engine.deliver(request, int.from_bytes(stored[at : at + 16], "little"), Response.OKAY)
    assert bench.engine.finish_read(request) == ([0], [Response.OKAY])
    with pytest.raises(ValueError, match="no beat is owed"):
        bench.engine.deliver(request, 0, Response.OKAY)
    bench.expect(Result.OK, Opcode.CLOSE_READ)


@pytest.mark.parametrize("beat", range(4))
def test_the_sums_are_those_of_the_beats_delivered(beat: int) -> None:
    bench = Bench()
    request = held_read(bench)
    stored = bench.dram.read(0, 64)
    for number, at in enumerate(request.addresses):
        word = int.from_bytes(stored[at : at + 16], "little")
        bench.engine.deliver(request, word ^ (number == beat), Response.EXOKAY)
    assert bench.engine.finish_read(request) == ([int(beat == 0)], [Response.OKAY])
    bench.expect(Result.TAG_ERROR, Opcode.CLOSE_READ)


def test_beats_after_the_key_is_gone_change_nothing() -> None:
    bench = Bench()
    request = held_read(bench)
    bench.engine.zeroize()
    with pytest.raises(BurstUnderWayError, match="a key was taken"):
        bench.engine.install_key(OTHER_TEST_KEY)
    for _ in request.addresses:
        bench.engine.deliver(request, 1, Response.DECERR)
    assert bench.engine.finish_read(request)[1] == [Response.DECERR]
    assert bench.engine.install_key(OTHER_TEST_KEY)
    bench.make(0, 0, bytes(64))
    assert bench.load(0) == (bytes(64), Result.OK)


def test_a_burst_that_the_engine_refused_is_withdrawn() -> None:
    bench = Bench()
    request = held_read(bench)
    bench.engine.zeroize()
    bench.engine.withdraw(request)
    assert bench.engine.install_key(OTHER_TEST_KEY)


def test_a_locked_slot_refuses_until_its_command_is_executed() -> None:
    bench = Bench()
    bench.make(0, 0, bytes(64))
    bench.expect(Result.OK, Opcode.OPEN_READ)
    bench.engine.lock(0)
    assert bench.read_lines(0)[2] == FaultCause.STATE
    bench.expect(Result.COVERAGE_ERROR, Opcode.CLOSE_READ)
    bench.store(0, bytes(64))
    assert bench.load(0) == (bytes(64), Result.OK)


# Writes ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data_w", WIDTHS)
def test_incomplete_lines_are_dropped(data_w: int) -> None:
    bench = Bench(data_w=data_w)
    bench.define(0, 0, 4 * 64 - 20)
    bench.expect(Result.OK, Opcode.OPEN_WRITE)
    data = random_bytes(256)
    beats = 256 // bench.bus_bytes
    words = [int.from_bytes(data[at * bench.bus_bytes : (at + 1) * bench.bus_bytes], "little") for at in range(beats)]
    strobes = (1 << 256) - 1
    strobes ^= 1 << 70  # a byte of line 1
    strobes ^= (1 << 20) - 1 << 236  # the bytes behind the end need none
    request = bench.engine.request_write(0, beats, bench.size, BurstType.INCR)
    split = [strobes >> at * bench.bus_bytes & (1 << bench.bus_bytes) - 1 for at in range(beats)]
    assert bench.engine.finish_write(request, words, split) == Response.SLVERR
    assert (fault(bench)["CAUSE"], fault(bench)["ADDR"], fault(bench)["COUNT"]) == (FaultCause.PARTIAL_LINE, 64, 1)
    assert sorted(bench.dram.cells) == [0, 128, 192]
    assert bench.engine.slots[0].count == 3
    # The line counts as used: writing it again would use its keystream twice.
    assert bench.write_lines(64, data[64:128])[0] == FaultCause.REWRITE
    bench.expect(Result.COVERAGE_ERROR, Opcode.CLOSE_WRITE)
    assert bench.engine.slots[0].state == SlotState.DEFINED


def test_data_must_fit_the_address() -> None:
    bench = bench_with_tensors()
    request = bench.engine.request_write(0x3000, 4, 4, BurstType.INCR)
    with pytest.raises(ValueError, match="burst of 4 beats"):
        bench.engine.finish_write(request, [0] * 3, [0] * 3)


def test_a_write_is_under_way_until_the_memory_answers() -> None:
    bench = Bench()
    bench.define(0, 0, 64)
    bench.expect(Result.OK, Opcode.OPEN_WRITE)
    request = bench.engine.request_write(0, 4, 4, BurstType.INCR)
    with pytest.raises(ValueError, match="before its data was sent"):
        bench.engine.respond_write(request, Response.OKAY)
    bench.engine.send_write(request, [1, 2, 3, 4], [0xFFFF] * 4)
    for opcode in (Opcode.CLOSE_WRITE, Opcode.OPEN_WRITE, Opcode.RELEASE):
        with pytest.raises(BurstUnderWayError, match=opcode.name):
            bench.engine.command(opcode)
    assert bench.engine.respond_write(request, Response.SLVERR) == Response.SLVERR
    with pytest.raises(ValueError, match="no response is owed"):
        bench.engine.respond_write(request, Response.OKAY)
    assert fault(bench)["CAUSE"] == FaultCause.MEM_WRITE
    bench.expect(Result.BUS_ERROR, Opcode.CLOSE_WRITE)


@pytest.mark.parametrize("end", ["zeroize", "fatal", "new key"])
def test_data_after_the_key_is_gone_is_not_written(end: str) -> None:
    bench = Bench()
    bench.make(1, 0x1000, bytes(64))
    bench.define(0, 0, 64)
    bench.expect(Result.OK, Opcode.OPEN_WRITE)
    request = bench.engine.request_write(0, 4, 4, BurstType.INCR)
    if end == "fatal":
        bench.dram.cells[0x1000][5] ^= 4
        assert bench.load(1)[1] == Result.TAG_ERROR
    else:
        bench.engine.zeroize()
    if end == "new key":
        with pytest.raises(BurstUnderWayError, match="a key was taken"):
            bench.engine.install_key(bytes(16))
    assert bench.engine.finish_write(request, [1, 2, 3, 4], [0xFFFF] * 4) == Response.SLVERR
    if end == "new key":
        assert bench.engine.install_key(bytes(16))
    assert 0 not in bench.dram.cells


def test_write_map_reaches_so_far() -> None:
    """Lines in any order within the window; it moves over complete words of 64 lines."""
    bench = Bench(map_words=4)
    bench.define(0, 0, 64 * 64 * 8)
    bench.expect(Result.OK, Opcode.OPEN_WRITE)

    def write(line: int, lines: int = 1) -> FaultCause:
        return bench.write_lines(line * 64, bytes(64 * lines))[0]

    assert write(255) == FaultCause.NONE
    assert write(256) == FaultCause.ORDER
    assert all(write(line) == FaultCause.NONE for line in range(63))
    assert write(256) == FaultCause.ORDER
    assert write(63) == FaultCause.NONE
    assert write(256) == FaultCause.NONE
    assert write(63) == FaultCause.REWRITE
    assert write(256) == FaultCause.REWRITE
    assert write(320) == FaultCause.ORDER
    assert write(64, 64) == FaultCause.NONE
    # Over two words, of which the second is in part written.
    assert write(128, 64) == FaultCause.NONE
    assert write(320, 64) == FaultCause.NONE
    assert write(192, 32) == FaultCause.NONE
    assert write(224, 31) == FaultCause.NONE
    assert write(255) == FaultCause.REWRITE
    assert write(257, 63) == FaultCause.NONE
    assert write(384, 64) == FaultCause.NONE
    assert write(448, 64) == FaultCause.NONE
    bench.expect(Result.OK, Opcode.CLOSE_WRITE)


def test_burst_over_two_words_is_marked_whole_or_not_at_all() -> None:
    bench = Bench()
    bench.define(0, 0xF80, 64 * 200)
    bench.expect(Result.OK, Opcode.OPEN_WRITE)
    # Line 62 lies at 0x1F00; lines 62 .. 65 are in two words.
    assert bench.write_lines(0x1F80, bytes(64)) == (FaultCause.NONE, Response.OKAY)
    assert bench.write_lines(0x1F00, bytes(256))[0] == FaultCause.REWRITE
    assert bench.write_lines(0x1F00, bytes(128)) == (FaultCause.NONE, Response.OKAY)
    assert bench.write_lines(0x1FC0, bytes(64)) == (FaultCause.NONE, Response.OKAY)


def test_burst_that_begins_below_the_window_is_refused() -> None:
    """Its first lines lie in a word that is complete and has left the map."""
    bench = Bench(map_words=4)
    base = 0x800  # so that a burst may span two words
    bench.define(0, base, 64 * 400)
    bench.expect(Result.OK, Opcode.OPEN_WRITE)
    bench.fill(0, bytes(64 * 64), range(64))
    assert bench.write_lines(base + 64 * 256, bytes(64)) == (FaultCause.NONE, Response.OKAY)
    assert bench.write_lines(base + 64 * 32, bytes(64 * 64)) == (FaultCause.REWRITE, Response.SLVERR)
    assert bench.write_lines(base + 64 * 64, bytes(64 * 32)) == (FaultCause.NONE, Response.OKAY)


def test_epochs_begin_anew() -> None:
    """N3: an abandoned epoch is followed by another version, with other keystream."""
    bench = Bench()
    bench.define(0, 0, 128)
    bench.expect(Result.OK, Opcode.OPEN_WRITE)
    assert bench.write_lines(0, bytes(64)) == (FaultCause.NONE, Response.OKAY)
    first = bench.dram.read(0, 64)
    bench.expect(Result.OK, Opcode.OPEN_WRITE)
    assert (bench.engine.slots[0].version, bench.engine.slots[0].count) == (2, 0)
    bench.fill(0, bytes(128))
    second = bench.dram.read(0, 128)
    bench.expect(Result.OK, Opcode.CLOSE_WRITE)
    assert (
        len({first[at : at + 16] for at in range(0, 64, 16)} | {second[at : at + 16] for at in range(0, 128, 16)}) == 12
    )
    bench.expect(Result.OK, Opcode.OPEN_WRITE)
    bench.expect(Result.COVERAGE_ERROR, Opcode.CLOSE_WRITE)


# Errors of the memory -------------------------------------------------------------------------------------------------


class FailingDram(Dram):
    """Answers accesses to some beats with an error."""

    def __init__(self) -> None:
        super().__init__()
        self.failing: dict[int, int] = {}

    def error(self, addr: int, nbytes: int, write: bool, /) -> int:
        """Response to a beat."""
        assert nbytes in (16, 32, 64)
        assert isinstance(write, bool)
        return max(self.failing.get(at, 0) for at in range(addr, addr + nbytes, 16))


@pytest.mark.parametrize("data_w", WIDTHS)
@pytest.mark.parametrize("error", [Response.EXOKAY, Response.SLVERR, Response.DECERR])
def test_memory_errors_on_reads(data_w: int, error: Response) -> None:
    dram = FailingDram()
    bench = Bench(memory=dram, data_w=data_w)
    data = random_bytes(256)
    bench.make(0, 0, data)
    dram.failing[0x50] = error
    bench.expect(Result.OK, Opcode.OPEN_READ)
    got, responses, cause = bench.read_lines(0, 4)
    if error == Response.EXOKAY:
        assert (got, any(responses)) == (data, False)
        bench.expect(Result.OK, Opcode.CLOSE_READ)
        return
    hit = 0x50 // bench.bus_bytes
    assert responses == [error if beat == hit else 0 for beat in range(256 // bench.bus_bytes)]
    blank = range(hit * bench.bus_bytes, (hit + 1) * bench.bus_bytes)
    assert got == bytes(0 if at in blank else value for at, value in enumerate(data))
    assert (cause, fault(bench)["CAUSE"], fault(bench)["ADDR"]) == (FaultCause.MEM_READ, FaultCause.MEM_READ, 0)
    bench.expect(Result.BUS_ERROR, Opcode.CLOSE_READ)
    assert bench.engine.slots[0].state == SlotState.POISONED
    assert (bench.engine.alert_recov, bench.engine.alert_fatal) == (2, False)


@pytest.mark.parametrize("data_w", WIDTHS)
def test_memory_errors_on_writes(data_w: int) -> None:
    dram = FailingDram()
    bench = Bench(memory=dram, data_w=data_w)
    bench.define(0, 0, 256)
    bench.expect(Result.OK, Opcode.OPEN_WRITE)
    dram.failing = {0x50: Response.SLVERR, 0xA0: Response.DECERR}
    assert bench.write_lines(0, random_bytes(256)) == (FaultCause.NONE, Response.DECERR)
    assert (fault(bench)["CAUSE"], fault(bench)["COUNT"]) == (FaultCause.MEM_WRITE, 1)
    assert not any(dram.read(0x50 & -bench.bus_bytes, bench.bus_bytes))
    bench.expect(Result.BUS_ERROR, Opcode.CLOSE_WRITE)
    assert bench.engine.slots[0].state == SlotState.DEFINED


def test_windows_do_not_disturb_each_other() -> None:
    bench = Bench()
    datas = [random_bytes(500 + 64 * slot, slot) for slot in range(16)]
    for slot, data in enumerate(datas):
        bench.make(slot, 0x1000 * slot, data)
        bench.expect(Result.OK, Opcode.OPEN_READ, slot)
    work = [(slot, line) for slot in range(16) for line in range(bench.engine.slots[slot].lines)]
    random.Random(6).shuffle(work)
    for slot, line in work:
        got, _, cause = bench.read_lines(0x1000 * slot + 64 * line)
        piece = datas[slot][64 * line : 64 * line + 64]
        assert (got[: len(piece)], cause) == (piece, FaultCause.NONE)
    for slot in range(16):
        bench.expect(Result.OK, Opcode.CLOSE_READ, slot)
