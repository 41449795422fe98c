# SPDX-License-Identifier: Apache-2.0
"""Tests of `axil_csr` alone. The parameters of the build come as a JSON object in CSR_PARAMETERS."""

from __future__ import annotations

import json
import os
from random import Random
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, ReadOnly, RisingEdge
from tensortee.engine.registers import REGISTERS, EngineState, FaultCause, Opcode, Result, SlotState

from tb.axil import OKAY, SLVERR, AxiLiteChecker, AxiLiteManager
from tb.regmodel import RegisterModel
from tb.unit.csr.walk import RegisterWalk

PERIOD_NS = 10
MAX_CYCLES = 100_000
ENGINE_INPUTS = ("engine_state", "key_refused", "cmd_busy", "window_fail", "fatal_event")
DONE_INPUTS = ("cmd_done", "cmd_done_opcode", "cmd_done_slot", "cmd_done_result")
FAULT_INPUTS = tuple(
    f"{direction}_fault{part}" for direction in ("rd", "wr") for part in ("", "_cause", "_addr", "_slot_hit", "_slot")
)
VIEW_WIDTHS = {"state": 4, "result": 8, "base": 64, "nbytes": 64, "id": 28, "version": 64, "count": 32}
INPUTS = (*ENGINE_INPUTS, *DONE_INPUTS, *FAULT_INPUTS, *(f"view_{name}" for name in VIEW_WIDTHS))
STORAGE = ("CMD_BASE_LO", "CMD_BASE_HI", "CMD_NBYTES_LO", "CMD_NBYTES_HI", "INTR_ENABLE", "SLOT_SEL")


class Bench:
    """The register block with a bus manager, a bus checker and idle inputs.

    Args:
        dut: cocotb handle of `axil_csr`.
        rng: see `AxiLiteManager`.
    """

    def __init__(self, dut: Any, rng: Random | None = None) -> None:
        self.dut = dut
        self.clk = dut.clk
        self.bus = AxiLiteManager(dut, "s_axil", dut.clk, rng=rng)
        self.regs = RegisterModel(self.bus)
        self.checker = AxiLiteChecker(dut, "s_axil", dut.clk, dut.rst)
        self.commands: list[tuple[int, int, int, int]] = []
        """(opcode, slot, base, nbytes) in every cycle in which cmd_valid was high."""

    @classmethod
    async def start(cls, dut: Any, rng: Random | None = None) -> Bench:
        """Start the clock and leave reset."""
        bench = cls(dut, rng)
        for name in INPUTS:
            getattr(dut, name).value = 0
        dut.engine_state.value = EngineState.NO_KEY
        dut.rst.value = 1
        Clock(dut.clk, PERIOD_NS, unit="ns").start()
        await ClockCycles(dut.clk, 2)
        dut.rst.value = 0
        cocotb.start_soon(bench.checker.run())
        cocotb.start_soon(bench._watch_commands())
        await RisingEdge(dut.clk)
        return bench

    async def _watch_commands(self) -> None:
        dut = self.dut
        while True:
            await RisingEdge(self.clk)
            await ReadOnly()
            if dut.cmd_valid.value == 1:
                opcode, slot = int(dut.cmd_opcode.value), int(dut.cmd_slot.value)
                self.commands.append((opcode, slot, int(dut.cmd_base.value), int(dut.cmd_nbytes.value)))

    async def pulse(self, **values: int) -> None:
        """Drive inputs for one cycle, then zero."""
        for name, value in values.items():
            getattr(self.dut, name).value = value
        await RisingEdge(self.clk)
        for name in values:
            getattr(self.dut, name).value = 0

    async def raise_read_fault(self) -> None:
        """Report one refused read with every field set."""
        await self.pulse(
            rd_fault=1, rd_fault_cause=FaultCause.STATE, rd_fault_addr=0xFEDCBA98, rd_fault_slot_hit=1, rd_fault_slot=9
        )

    async def irq(self) -> int:
        """The interrupt line, when what was written before has reached it."""
        await ClockCycles(self.clk, 2)
        return int(self.dut.irq.value)


def live_fields(state: int = EngineState.NO_KEY) -> dict[str, int]:
    """What the fields without a reset value show in this build when the engine is idle."""
    parameters = json.loads(os.environ["CSR_PARAMETERS"])
    return {
        "PARAMS.SLOTS": parameters["SLOTS"],
        "PARAMS.ADDR_W": parameters["ADDR_W"],
        "PARAMS.KEY_256": int(parameters["KEY_W"] == 256),
        "PARAMS.LANES": parameters["LANES"],
        "STATUS.STATE": state,
        "STATUS.CMD_BUSY": 0,
        "STATUS.KEY_REFUSED": 0,
    }


@cocotb.test(timeout_time=MAX_CYCLES * PERIOD_NS, timeout_unit="ns")
async def test_register_walk(dut: Any) -> None:
    """Every register and field against the SystemRDL."""
    bench = await Bench.start(dut)

    async def set_interrupts() -> None:
        await bench.regs.write("INTR_TEST", FATAL=1, WINDOW_FAIL=1, ACCESS_FAULT=1, CMD_DONE=1)

    walk = RegisterWalk(
        bench.bus,
        live=live_fields(),
        set_bits={"INTR_STATE": set_interrupts, "FAULT_STATUS": bench.raise_read_fault},
        inert_writes={"INTR_TEST": 0, "CMD": 0},
    )
    checks = await walk.run()
    assert checks > 5000, f"the walk made only {checks} comparisons"
    assert len(bench.commands) == 1, f"only the walk's one whole write of CMD may pulse cmd_valid: {bench.commands}"
    assert min(bench.checker.reads, bench.checker.writes) > 1000


@cocotb.test(timeout_time=MAX_CYCLES * PERIOD_NS, timeout_unit="ns")
async def test_channel_order_and_back_pressure(dut: Any) -> None:
    """AW before W, W before AW, late B and R, reads beside writes: the contents are those of an ideal memory."""
    rng = Random(cocotb.RANDOM_SEED)
    bench = await Bench.start(dut, rng)
    model = dict.fromkeys(STORAGE, 0)

    async def write_one(name: str, data: int, strobe: int) -> None:
        mask = sum(field.mask for field in REGISTERS[name].fields)
        resp = await bench.bus.write(REGISTERS[name].address, data, strobe)
        assert resp == (OKAY if strobe == 0xF else SLVERR), f"{name}: BRESP {resp} with WSTRB {strobe:X}"
        if strobe == 0xF:
            model[name] = data & mask

    for aw_delay in (0, 1, 3):
        for w_delay in (0, 1, 3):
            for b_delay in (0, 1, 5):
                name, data = rng.choice(STORAGE), rng.getrandbits(32)
                resp = await bench.bus.write(
                    REGISTERS[name].address, data, aw_delay=aw_delay, w_delay=w_delay, b_delay=b_delay
                )
                assert resp == OKAY
                model[name] = data & sum(field.mask for field in REGISTERS[name].fields)
                assert await bench.regs.read_word(name) == model[name]
    for _ in range(500):
        written, read = rng.sample(STORAGE, 2)
        strobe = 0xF if rng.random() < 0.8 else rng.randrange(15)
        task = cocotb.start_soon(write_one(written, rng.getrandbits(32), strobe))
        assert await bench.regs.read_word(read) == model[read]
        await task
    for name in STORAGE:
        assert await bench.regs.read_word(name) == model[name]
    assert int(dut.cmd_base.value) == model["CMD_BASE_HI"] << 32 | model["CMD_BASE_LO"]
    assert int(dut.cmd_nbytes.value) == model["CMD_NBYTES_HI"] << 32 | model["CMD_NBYTES_LO"]
    assert not bench.commands


@cocotb.test(timeout_time=MAX_CYCLES * PERIOD_NS, timeout_unit="ns")
async def test_requests_behind_a_stalled_response(dut: Any) -> None:
    """The next read and write are taken while a response waits, and are done and answered after it, each once."""
    await Bench.start(dut)
    reads = [
        (REGISTERS["ID"].address, 0x54544545, OKAY),
        (REGISTERS["VERSION"].address, 0x00010001, OKAY),
        (0x01C, 0, SLVERR),
    ]
    writes = [(REGISTERS["CMD_BASE_LO"].address, 1, OKAY), (0x01C, 2, SLVERR), (REGISTERS["SLOT_SEL"].address, 3, OKAY)]
    taken = {"aw": 0, "w": 0, "ar": 0}
    written: list[int] = []
    read: list[tuple[int, int]] = []
    dut.s_axil_wstrb.value = 0xF
    for cycle in range(60):
        # Responses are taken in every tenth cycle only.
        dut.s_axil_bready.value = dut.s_axil_rready.value = int(cycle % 10 == 9)
        for channel, total in (("aw", len(writes)), ("w", len(writes)), ("ar", len(reads))):
            getattr(dut, f"s_axil_{channel}valid").value = int(taken[channel] < total)
        dut.s_axil_awaddr.value = writes[min(taken["aw"], 2)][0]
        dut.s_axil_wdata.value = writes[min(taken["w"], 2)][1]
        dut.s_axil_araddr.value = reads[min(taken["ar"], 2)][0]
        await ReadOnly()
        for channel in taken:
            valid, ready = getattr(dut, f"s_axil_{channel}valid"), getattr(dut, f"s_axil_{channel}ready")
            taken[channel] += int(valid.value == 1 and ready.value == 1)
        if cycle == 8:
            assert taken == {"aw": 2, "w": 2, "ar": 2}, "one request waits behind the stalled response"
        if dut.s_axil_bvalid.value == 1 and dut.s_axil_bready.value == 1:
            written.append(int(dut.s_axil_bresp.value))
        if dut.s_axil_rvalid.value == 1 and dut.s_axil_rready.value == 1:
            read.append((int(dut.s_axil_rdata.value), int(dut.s_axil_rresp.value)))
        await RisingEdge(dut.clk)
    assert written == [resp for _, _, resp in writes]
    assert read == [(data, resp) for _, data, resp in reads]
    assert (int(dut.cmd_base.value), int(dut.slot_sel.value)) == (1, 3)


@cocotb.test(timeout_time=MAX_CYCLES * PERIOD_NS, timeout_unit="ns")
async def test_latency_and_throughput(dut: Any) -> None:
    """B and R two cycles after the request; one write and one read in two cycles."""
    await Bench.start(dut)
    # The cycle in which every ready is high, with responses always taken.
    await ClockCycles(dut.clk, 2)
    dut.s_axil_bready.value = dut.s_axil_rready.value = 1
    dut.s_axil_awaddr.value = REGISTERS["CMD_BASE_LO"].address
    dut.s_axil_araddr.value = REGISTERS["ID"].address
    dut.s_axil_wstrb.value = 0xF
    for name in ("awvalid", "wvalid", "arvalid"):
        getattr(dut, f"s_axil_{name}").value = 1
    responses: dict[str, list[int]] = {"b": [], "r": []}
    requests: dict[str, list[int]] = {"aw": [], "w": [], "ar": []}
    for cycle in range(40):
        await ReadOnly()
        for channel, cycles in [*requests.items(), *responses.items()]:
            valid, ready = getattr(dut, f"s_axil_{channel}valid"), getattr(dut, f"s_axil_{channel}ready")
            if valid.value == 1 and ready.value == 1:
                cycles.append(cycle)
        await RisingEdge(dut.clk)
    assert requests["aw"] == requests["w"] == requests["ar"] == list(range(0, 40, 2))
    assert responses["b"] == responses["r"] == list(range(2, 40, 2))


@cocotb.test(timeout_time=MAX_CYCLES * PERIOD_NS, timeout_unit="ns")
async def test_commands(dut: Any) -> None:
    """One pulse for each accepted command; while busy all but ZEROIZE are refused without effect."""
    bench = await Bench.start(dut)
    regs = bench.regs
    base, nbytes = 0x0123_4567_89AB_CDC0, 0xF_0000_0011
    await regs.write64("CMD_BASE", base)
    await regs.write64("CMD_NBYTES", nbytes)
    expected = []
    for opcode in range(16):
        dut.cmd_busy.value = 0
        slot = 0xA5 ^ opcode
        await regs.write("CMD", OPCODE=opcode, SLOT=slot)
        dut.cmd_busy.value = 1
        expected.append((opcode, slot, base, nbytes))
        assert await regs.get("STATUS.CMD_BUSY") == 1
        for refused in range(16):
            if refused != Opcode.ZEROIZE:
                assert await regs.try_write("CMD", OPCODE=refused, SLOT=0xFF) == SLVERR
                assert (int(dut.cmd_opcode.value), int(dut.cmd_slot.value)) == (opcode, slot), "a refused write shows"
        await regs.write("CMD", OPCODE=Opcode.ZEROIZE, SLOT=slot)
        expected.append((Opcode.ZEROIZE, slot, base, nbytes))
    dut.cmd_busy.value = 0
    await ClockCycles(dut.clk, 4)
    assert bench.commands == expected
    assert await regs.get("STATUS.CMD_BUSY") == 0


@cocotb.test(timeout_time=MAX_CYCLES * PERIOD_NS, timeout_unit="ns")
async def test_command_pair_at_full_rate(dut: Any) -> None:
    """Of two commands at the highest rate the second meets a busy engine, which a status read at once shows too."""
    bench = await Bench.start(dut)

    async def be_busy() -> None:
        while True:
            await ReadOnly()
            started = dut.cmd_valid.value == 1
            await RisingEdge(dut.clk)
            if started:
                dut.cmd_busy.value = 1

    cocotb.start_soon(be_busy())
    await ClockCycles(dut.clk, 2)
    command = REGISTERS["CMD"]
    dut.s_axil_awaddr.value = command.address
    dut.s_axil_wdata.value = command.pack(OPCODE=Opcode.RELEASE, SLOT=3)
    dut.s_axil_wstrb.value = 0xF
    dut.s_axil_bready.value = dut.s_axil_awvalid.value = dut.s_axil_wvalid.value = 1
    responses: list[int] = []
    for cycle in range(8):
        # A read that is taken one cycle after the write shows the first cycle of the command.
        dut.s_axil_araddr.value = REGISTERS["STATUS"].address
        dut.s_axil_arvalid.value = int(cycle == 1)
        dut.s_axil_rready.value = 1
        await ReadOnly()
        if dut.s_axil_bvalid.value == 1:
            responses.append(int(dut.s_axil_bresp.value))
        if dut.s_axil_rvalid.value == 1:
            assert REGISTERS["STATUS"].unpack(int(dut.s_axil_rdata.value))["CMD_BUSY"] == 1
            assert cycle == 3
        await RisingEdge(dut.clk)
    assert responses == [OKAY, SLVERR, SLVERR]
    assert bench.checker.reads == 1
    assert bench.commands == [(Opcode.RELEASE, 3, 0, 0)]


@cocotb.test(timeout_time=MAX_CYCLES * PERIOD_NS, timeout_unit="ns")
async def test_status_and_result(dut: Any) -> None:
    """STATUS follows the engine; CMD_RESULT keeps what the last command completed with."""
    bench = await Bench.start(dut)
    for state in EngineState:
        for refused in (0, 1):
            dut.engine_state.value = state
            dut.key_refused.value = refused
            assert await bench.regs.read("STATUS") == {"STATE": state, "CMD_BUSY": 0, "KEY_REFUSED": refused}
    for opcode, slot, result in ((Opcode.DEFINE, 0xA5, Result.OVERLAP), (Opcode.CLOSE_READ, 0x5A, Result.ABORTED)):
        await bench.pulse(cmd_done=1, cmd_done_opcode=opcode, cmd_done_slot=slot, cmd_done_result=result)
        for _ in range(2):
            fields = await bench.regs.read("CMD_RESULT")
            assert fields == {"RESULT": result, "OPCODE": opcode, "SLOT": slot}
    dut.cmd_done_opcode.value, dut.cmd_done_slot.value, dut.cmd_done_result.value = 15, 255, 255
    assert (await bench.regs.read("CMD_RESULT"))["RESULT"] == Result.ABORTED, "taken without cmd_done"


@cocotb.test(timeout_time=MAX_CYCLES * PERIOD_NS, timeout_unit="ns")
async def test_interrupts(dut: Any) -> None:
    """Every event sets its bit; irq is high exactly while an enabled bit is set."""
    bench = await Bench.start(dut)
    regs = bench.regs
    events = {"FATAL": "fatal_event", "WINDOW_FAIL": "window_fail", "CMD_DONE": "cmd_done"}
    for name, pulses in (*events.items(), ("ACCESS_FAULT", "rd_fault"), ("ACCESS_FAULT", "wr_fault")):
        await regs.write("INTR_ENABLE")
        await bench.pulse(**{pulses: 1})
        assert await regs.read("INTR_STATE") == {field.name: int(field.name == name) for field in interrupt_fields()}
        assert await bench.irq() == 0, f"{name} is not enabled"
        for enabled in interrupt_fields():
            await regs.write("INTR_ENABLE", **{enabled.name: 1})
            assert await bench.irq() == int(enabled.name == name), f"{name} set, {enabled.name} enabled"
        await regs.write("INTR_ENABLE", **{field.name: 1 for field in interrupt_fields()})
        await regs.write("INTR_STATE", **{name: 1})
        assert await bench.irq() == 0, f"{name} was cleared"
        await regs.write("INTR_TEST", **{name: 1})
        assert await bench.irq() == 1, f"INTR_TEST set {name}"
        await regs.write("INTR_STATE", **{name: 1})
        assert await regs.read_word("INTR_STATE") == 0


def interrupt_fields() -> tuple[Any, ...]:
    """The fields of INTR_STATE."""
    return REGISTERS["INTR_STATE"].fields


@cocotb.test(timeout_time=MAX_CYCLES * PERIOD_NS, timeout_unit="ns")
async def test_event_wins_over_clear(dut: Any) -> None:
    """An event before the clearing write is cleared; one in its cycle or later stays."""
    bench = await Bench.start(dut)
    regs = bench.regs
    everything = {"rd_fault": 1, "wr_fault": 1, "cmd_done": 1, "window_fail": 1, "fatal_event": 1}
    # AW and W are taken in cycle 0, so the write is done in cycle 1.
    for register, data in (("INTR_STATE", 0xF), ("FAULT_STATUS", 1 << 31)):
        for cycle in range(5):
            await regs.write("FAULT_STATUS", VALID=1)
            await bench.raise_read_fault()
            await regs.write("INTR_STATE", **{field.name: 1 for field in interrupt_fields()})
            assert await regs.read_word("INTR_STATE") == 0
            assert await regs.read_word("FAULT_COUNT") == 1
            task = cocotb.start_soon(bench.bus.write(REGISTERS[register].address, data))
            if cycle:
                await ClockCycles(dut.clk, cycle)
            await bench.pulse(**everything)
            assert await task == OKAY
            kept = cycle >= 1
            if register == "INTR_STATE":
                assert await regs.read_word("INTR_STATE") == (0xF if kept else 0), f"event in cycle {cycle}"
                assert await regs.read_word("FAULT_COUNT") == 3
            else:
                log = await regs.read("FAULT_STATUS")
                assert log["VALID"] == kept, f"fault in cycle {cycle}"
                assert log["CAUSE"] == FaultCause.NONE, "the fault before the clear is still there"
                assert await regs.read64("FAULT_ADDR") == 0
                assert await regs.read_word("FAULT_COUNT") == (2 if kept else 0), f"fault in cycle {cycle}"


@cocotb.test(timeout_time=MAX_CYCLES * PERIOD_NS, timeout_unit="ns")
async def test_fault_log(dut: Any) -> None:
    """The first fault is kept until the log is cleared, of two the read; the count saturates."""
    bench = await Bench.start(dut)
    regs = bench.regs
    width = json.loads(os.environ["CSR_PARAMETERS"])["ADDR_W"]
    rng = Random(cocotb.RANDOM_SEED)

    def draw() -> dict[str, int]:
        return {
            "cause": rng.choice(list(FaultCause)[1:]),
            "addr": rng.getrandbits(width) | 1 << (width - 1),
            "slot_hit": rng.getrandbits(1),
            "slot": rng.getrandbits(8),
        }

    cases: tuple[tuple[str, ...], ...] = (("rd",), ("wr",), ("rd", "wr"))
    for directions in cases:
        count = 0
        first: dict[str, int] = {}
        for _ in range(3):
            faults = {direction: draw() for direction in directions}
            first = first or faults[directions[0]]
            inputs = {f"{d}_fault_{name}": value for d, fault in faults.items() for name, value in fault.items()}
            await bench.pulse(**inputs, **{f"{d}_fault": 1 for d in directions})
            count += len(directions)
            fields = await regs.read("FAULT_STATUS")
            assert fields == {
                "CAUSE": first["cause"],
                "SLOT": first["slot"],
                "SLOT_HIT": first["slot_hit"],
                "IS_WRITE": int(directions[0] == "wr"),
                "VALID": 1,
            }
            assert await regs.read64("FAULT_ADDR") == first["addr"]
            assert await regs.read_word("FAULT_COUNT") == count
        await regs.write("FAULT_STATUS", VALID=1)
        for name in ("FAULT_STATUS", "FAULT_ADDR_LO", "FAULT_ADDR_HI", "FAULT_COUNT"):
            assert await regs.read_word(name) == 0, f"{name} was cleared"

    # An odd count reaches the end by a step of two.
    await bench.pulse(rd_fault=1)
    dut.rd_fault.value = dut.wr_fault.value = 1
    await ClockCycles(dut.clk, 0x7FFE)
    dut.rd_fault.value = dut.wr_fault.value = 0
    assert await regs.read_word("FAULT_COUNT") == 0xFFFD
    for expected in (0xFFFF, 0xFFFF):
        await bench.pulse(rd_fault=1, wr_fault=1)
        assert await regs.read_word("FAULT_COUNT") == expected
    await bench.pulse(wr_fault=1)
    assert await regs.read_word("FAULT_COUNT") == 0xFFFF, "the count wrapped"


@cocotb.test(timeout_time=MAX_CYCLES * PERIOD_NS, timeout_unit="ns")
async def test_slot_view(dut: Any) -> None:
    """SLOT_SEL selects; the SLOT_* registers show the selected slot one cycle later, and zero if there is none."""
    bench = await Bench.start(dut)
    rng = Random(cocotb.RANDOM_SEED)
    table = [{name: rng.getrandbits(width) for name, width in VIEW_WIDTHS.items()} for _ in range(256)]
    for slot in table:
        slot["state"] = rng.choice(list(SlotState))

    async def show() -> None:
        while True:
            await ReadOnly()
            selected = int(dut.slot_sel.value)
            await RisingEdge(dut.clk)
            for name, value in table[selected].items():
                getattr(dut, f"view_{name}").value = value

    cocotb.start_soon(show())
    slots = (await bench.regs.read("PARAMS"))["SLOTS"]
    nothing = dict.fromkeys(VIEW_WIDTHS, 0)
    for number in (0, 1, slots - 1, slots, 85, 170, 255):
        slot = table[number] if number < slots else nothing
        await bench.regs.write("SLOT_SEL", VALUE=number)
        assert await bench.regs.read("SLOT_STATUS") == {"STATE": slot["state"], "LAST_RESULT": slot["result"]}
        assert await bench.regs.read64("SLOT_BASE") == slot["base"]
        assert await bench.regs.read64("SLOT_NBYTES") == slot["nbytes"]
        assert await bench.regs.read_word("SLOT_ID") == slot["id"]
        assert await bench.regs.read64("SLOT_VERSION") == slot["version"]
        assert await bench.regs.read_word("SLOT_COUNT") == slot["count"]


@cocotb.test(timeout_time=MAX_CYCLES * PERIOD_NS, timeout_unit="ns")
async def test_reset_in_every_phase(dut: Any) -> None:
    """A reset at any moment of an access or an event leaves reset values, no response, no command, no interrupt."""
    rng = Random(cocotb.RANDOM_SEED)
    bench = await Bench.start(dut)
    live = live_fields()
    for cycle in range(12):
        await bench.regs.write("INTR_ENABLE", FATAL=1, WINDOW_FAIL=1, ACCESS_FAULT=1, CMD_DONE=1)
        await bench.regs.write64("CMD_BASE", rng.getrandbits(64))
        await bench.raise_read_fault()
        done_before = len(bench.commands)
        write = cocotb.start_soon(bench.bus.write(REGISTERS["CMD"].address, 0x501, b_delay=4))
        read = cocotb.start_soon(bench.bus.read(REGISTERS["CMD_BASE_LO"].address, r_delay=4))
        await ClockCycles(dut.clk, cycle + 1)
        for task in (write, read):
            task.cancel()
        for name in ("awvalid", "wvalid", "bready", "arvalid", "rready"):
            getattr(dut, f"s_axil_{name}").value = 0
        dut.rst.value = 1
        await ClockCycles(dut.clk, 2)
        for name in ("cmd_valid", "irq", "s_axil_bvalid", "s_axil_rvalid", "s_axil_rdata", "s_axil_awready"):
            assert getattr(dut, name).value == 0, f"{name} in reset"
        # The command is taken in cycle 1; the reset comes in cycle `cycle` + 1.
        commands = len(bench.commands) - done_before
        assert commands == int(cycle > 0), f"{commands} commands before a reset in cycle {cycle + 1}"
        dut.rst.value = 0
        bench.bus = AxiLiteManager(dut, "s_axil", dut.clk)
        bench.regs = RegisterModel(bench.bus)
        await RisingEdge(dut.clk)
        for register in REGISTERS.values():
            word = await bench.regs.read_word(register.name)
            shown = sum(live.get(f"{register.name}.{field.name}", 0) << field.lsb for field in register.fields)
            assert word == register.reset | shown, f"{register.name} after a reset in cycle {cycle + 1}"
