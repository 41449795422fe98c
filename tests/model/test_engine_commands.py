# SPDX-License-Identifier: Apache-2.0
"""The engine model's commands: every command in every state, ranges, versions, keys, registers."""

from __future__ import annotations

import pytest
from tensortee.engine import Engine, Interrupt
from tensortee.engine.registers import REGISTERS, EngineState, Opcode, Result, SlotState
from tensortee.format import MAX_ID_COUNTER, MAX_TENSOR_BYTES
from tensortee.format.ghash import ONE, GhashKey

from tests.model.engine_driver import OTHER_TEST_KEY, TEST_KEY, Bench

DATA = bytes(range(130))


def bench_in(state: SlotState) -> Bench:
    """A bench whose slot 0 is in a state."""
    bench = Bench()
    if state == SlotState.EMPTY:
        return bench
    bench.define(0, 0x1000, len(DATA))
    if state in (SlotState.DEFINED, SlotState.WRITING):
        if state == SlotState.WRITING:
            bench.expect(Result.OK, Opcode.OPEN_WRITE)
            bench.fill(0, DATA)
        return bench
    bench.store(0, DATA)
    if state == SlotState.VERIFIED:
        assert bench.load(0) == (DATA, Result.OK)
    if state == SlotState.READING:
        bench.expect(Result.OK, Opcode.OPEN_READ)
        bench.read_lines(0x1000, 3)
    if state == SlotState.POISONED:
        assert bench.load(0, [0, 1])[1] == Result.COVERAGE_ERROR
    return bench


# Slot state to the state after each command; a command that is not named is refused with BAD_STATE.
AFTER = {
    SlotState.EMPTY: {Opcode.DEFINE: SlotState.DEFINED},
    SlotState.DEFINED: {Opcode.OPEN_WRITE: SlotState.WRITING, Opcode.RELEASE: SlotState.EMPTY},
    SlotState.WRITING: {
        Opcode.OPEN_WRITE: SlotState.WRITING,
        Opcode.CLOSE_WRITE: SlotState.SEALED,
        Opcode.RELEASE: SlotState.EMPTY,
    },
    SlotState.SEALED: {
        Opcode.OPEN_WRITE: SlotState.WRITING,
        Opcode.OPEN_READ: SlotState.READING,
        Opcode.RELEASE: SlotState.EMPTY,
    },
    SlotState.READING: {Opcode.CLOSE_READ: SlotState.VERIFIED},
    SlotState.VERIFIED: {
        Opcode.OPEN_WRITE: SlotState.WRITING,
        Opcode.OPEN_READ: SlotState.READING,
        Opcode.RELEASE: SlotState.EMPTY,
    },
    SlotState.POISONED: {Opcode.OPEN_WRITE: SlotState.WRITING, Opcode.RELEASE: SlotState.EMPTY},
}


@pytest.mark.parametrize("state", SlotState)
@pytest.mark.parametrize("opcode", [opcode for opcode in Opcode if opcode != Opcode.ZEROIZE])
def test_every_command_in_every_state(state: SlotState, opcode: Opcode) -> None:
    bench = bench_in(state)
    assert bench.engine.slots[0].state == state
    before = bench.engine.slots[0].tag, bench.engine.slots[0].iv
    result = bench.engine.command(opcode, 0, 0x2000, 64)
    after = AFTER[state].get(opcode)
    assert result == (Result.BAD_STATE if after is None else Result.OK)
    assert bench.engine.slots[0].state == (state if after is None else after)
    if after is None:
        assert before == (bench.engine.slots[0].tag, bench.engine.slots[0].iv)
    shown = REGISTERS["CMD_RESULT"].unpack(bench.engine.register("CMD_RESULT"))
    assert shown == {"SLOT": 0, "OPCODE": opcode, "RESULT": result}
    assert bench.engine.register("INTR_STATE") & Interrupt.CMD_DONE


@pytest.mark.parametrize("state", SlotState)
def test_zeroize_in_every_state(state: SlotState) -> None:
    bench = bench_in(state)
    bench.expect(Result.OK, Opcode.ZEROIZE, 200)
    assert bench.engine.state == EngineState.NO_KEY
    assert all(slot.state == SlotState.EMPTY and not any(slot.tag + slot.iv) for slot in bench.engine.slots)
    assert TEST_KEY.hex() not in repr(vars(bench.engine))


def test_order_of_checks() -> None:
    bench = Bench(key=None)
    for opcode in (0, 8, 15):
        bench.expect(Result.BAD_OPCODE, opcode, 99)  # type: ignore[arg-type]
    bench.expect(Result.BAD_SLOT, Opcode.OPEN_READ, 16)
    bench.expect(Result.NOT_READY, Opcode.OPEN_READ, 15)
    assert bench.engine.install_key(TEST_KEY)
    bench.expect(Result.BAD_STATE, Opcode.OPEN_READ, 15)


@pytest.mark.parametrize(
    ("base", "nbytes", "result"),
    [
        (1, 1, Result.BAD_BASE),
        (63, 1, Result.BAD_BASE),
        (1 << 40, 1, Result.BAD_BASE),
        (1 << 63, 1, Result.BAD_BASE),
        (32, 0, Result.BAD_BASE),
        (0, 0, Result.BAD_LENGTH),
        (0, MAX_TENSOR_BYTES + 1, Result.BAD_LENGTH),
        (0, (1 << 64) - 1, Result.BAD_LENGTH),
        ((1 << 40) - 64, 65, Result.BAD_LENGTH),
        ((1 << 40) - 64, 64, Result.OK),
        (0, MAX_TENSOR_BYTES, Result.OVERLAP),
        (0x1000, 1, Result.OVERLAP),
        (0x0FC0, 65, Result.OVERLAP),
        (0x0FC0, 64, Result.OK),
        (0x1080, 1, Result.OVERLAP),
        (0x10C0, 1, Result.OK),
        (0x2000, MAX_TENSOR_BYTES, Result.OK),
    ],
)
def test_ranges_of_define(base: int, nbytes: int, result: Result) -> None:
    bench = Bench()
    bench.define(5, 0x1000, 130)
    bench.expect(result, Opcode.DEFINE, 6, base, nbytes)
    if result == Result.OK:
        slot = bench.engine.slots[6]
        assert (slot.base, slot.nbytes, slot.tensor_id, slot.version) == (base, nbytes, 0x1000002, 0)


def test_ids_are_never_given_twice() -> None:
    """N1: not after RELEASE, not after ZEROIZE."""
    bench = Bench(owner=9)
    seen = []
    for _ in range(3):
        bench.define(0, 0, 64)
        seen.append(bench.engine.slots[0].tensor_id)
        bench.expect(Result.OK, Opcode.RELEASE)
    bench.engine.zeroize()
    assert bench.engine.install_key(OTHER_TEST_KEY)
    bench.define(0, 0, 64)
    seen.append(bench.engine.slots[0].tensor_id)
    assert seen == [0x9000001, 0x9000002, 0x9000003, 0x9000004]
    bench.engine.next_id = MAX_ID_COUNTER
    bench.define(1, 64, 64)
    bench.expect(Result.IDS_EXHAUSTED, Opcode.DEFINE, 2, 128, 64)


@pytest.mark.parametrize("version_w", [4, 64])
def test_versions_saturate(version_w: int) -> None:
    """N2: at its end the version stands still and no epoch is opened."""
    bench = Bench(version_w=version_w)
    bench.define(0, 0, 64)
    last = (1 << version_w) - 1
    slot = bench.engine.slots[0]
    slot.iv = slot.iv[:4] + (last - 1).to_bytes(8, "big")
    bench.store(0, bytes(64))
    assert slot.version == last
    for _ in range(2):
        bench.expect(Result.VERSION_EXHAUSTED, Opcode.OPEN_WRITE)
    assert (slot.version, slot.state) == (last, SlotState.SEALED)
    assert bench.load(0) == (bytes(64), Result.OK)


def test_release_erases_the_slot() -> None:
    bench = bench_in(SlotState.VERIFIED)
    bench.expect(Result.OK, Opcode.RELEASE)
    assert not any(bench.engine.register(name) for name in REGISTERS if name.startswith("SLOT_"))


# Keys -----------------------------------------------------------------------------------------------------------------


def test_keys_are_taken_in_no_key_only() -> None:
    bench = Bench()
    with pytest.raises(ValueError, match="state READY"):
        bench.engine.install_key(OTHER_TEST_KEY)
    bench.engine.zeroize()
    for key in (bytes(15), bytes(32)):
        with pytest.raises(ValueError, match="16 bytes"):
            bench.engine.install_key(key)
    assert bench.engine.state == EngineState.NO_KEY
    assert bench.engine.install_key(OTHER_TEST_KEY)


def test_degenerate_keys_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(key=None)
    for value in (0, ONE):
        with monkeypatch.context() as patch:
            patch.setattr(GhashKey, "block", lambda *_, value=value: value.to_bytes(16, "big"))
            assert not bench.engine.install_key(TEST_KEY)
        status = REGISTERS["STATUS"].unpack(bench.engine.register("STATUS"))
        assert status == {"STATE": EngineState.NO_KEY, "CMD_BUSY": 0, "KEY_REFUSED": 1}
    assert bench.engine.install_key(TEST_KEY)
    assert not REGISTERS["STATUS"].unpack(bench.engine.register("STATUS"))["KEY_REFUSED"]


def test_another_key_opens_nothing() -> None:
    """N4: after reset or ZEROIZE and with a new key the old image fails, even with its old tag put back."""
    bench = Bench()
    bench.make(0, 0, DATA)
    tag, iv = bench.engine.slots[0].tag, bench.engine.slots[0].iv
    image = bench.dram.read(0, 192)
    bench.engine.reset()
    assert bench.engine.install_key(OTHER_TEST_KEY)
    bench.make(0, 0, DATA)
    assert bench.dram.read(0, 192) != image
    bench.dram.write(0, image)
    bench.engine.slots[0].tag, bench.engine.slots[0].iv = tag, iv
    data, verdict = bench.load(0)
    assert verdict == Result.TAG_ERROR
    assert data != DATA


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("data_w", 64),
        ("key_bits", 192),
        ("addr_w", 31),
        ("slots", 65),
        ("map_words", 3),
        ("version_w", 3),
        ("owner", 16),
    ],
)
def test_parameters(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=name):
        Engine(Bench().dram, **{name: value})


# Registers ------------------------------------------------------------------------------------------------------------


def test_registers_after_reset() -> None:
    bench = bench_in(SlotState.READING)
    bench.read_lines(0x8000)
    bench.engine.write_register("INTR_ENABLE", 0xF)
    bench.engine.reset()
    live = {"PARAMS": 16 << 16 | 40 << 8 | 1, "STATUS": EngineState.NO_KEY}
    for name, register in REGISTERS.items():
        assert bench.engine.register(name) == live.get(name, register.reset), name
    with pytest.raises(KeyError):
        bench.engine.register("NOTHING")


def test_parameters_register() -> None:
    word = Bench(key=None, data_w=512, key_bits=256, addr_w=48, slots=64).engine.register("PARAMS")
    assert REGISTERS["PARAMS"].unpack(word) == {"SLOTS": 64, "ADDR_W": 48, "KEY_256": 1, "LANES": 4}


def test_commands_through_registers() -> None:
    bench = Bench(addr_w=48)
    write = bench.engine.write_register
    for name, word in (("CMD_BASE_LO", 0x40), ("CMD_BASE_HI", 0x12), ("CMD_NBYTES_LO", 0x80), ("CMD_NBYTES_HI", 0xF)):
        write(name, word)
        assert bench.engine.register(name) == word
    write("CMD", REGISTERS["CMD"].pack(SLOT=3, OPCODE=Opcode.DEFINE))
    write("CMD", REGISTERS["CMD"].pack(SLOT=3, OPCODE=Opcode.OPEN_WRITE))
    assert bench.engine.register("CMD") == 0
    write("SLOT_SEL", 3)
    shown = {name: bench.engine.register(name) for name in REGISTERS if name.startswith("SLOT_")}
    assert shown == {
        "SLOT_SEL": 3,
        "SLOT_STATUS": SlotState.WRITING,
        "SLOT_BASE_LO": 0x40,
        "SLOT_BASE_HI": 0x12,
        "SLOT_NBYTES_LO": 0x80,
        "SLOT_NBYTES_HI": 0xF,
        "SLOT_ID": 0x1000001,
        "SLOT_VERSION_LO": 1,
        "SLOT_VERSION_HI": 0,
        "SLOT_COUNT": 0,
    }
    write("SLOT_SEL", 16)
    assert not any(bench.engine.register(name) for name in shown if name != "SLOT_SEL")
    for name in ("ID", "PARAMS", "SLOT_COUNT"):
        with pytest.raises(ValueError, match="read-only"):
            write(name, 0)


def test_interrupts() -> None:
    bench = Bench()
    engine = bench.engine
    engine.write_register("INTR_TEST", 0b1010)
    assert (engine.register("INTR_STATE"), engine.irq) == (0b1010, False)
    engine.write_register("INTR_ENABLE", 0b0010)
    assert (engine.register("INTR_STATE"), engine.irq) == (0b1010, True)
    engine.write_register("INTR_STATE", 0b0010)
    assert (engine.register("INTR_STATE"), engine.irq) == (0b1000, False)
    bench.define(0, 0, 64)
    assert engine.register("INTR_STATE") == 0b1001


def test_no_secret_is_shown() -> None:
    bench = bench_in(SlotState.READING)
    text = repr(vars(bench.engine)) + repr(bench.engine) + repr(bench.engine.request_write(0, 4, 4, 1))
    assert TEST_KEY.hex() not in text
    assert str(TEST_KEY) not in text
