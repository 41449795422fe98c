# SPDX-License-Identifier: Apache-2.0
"""Registers of the engine: fault log, interrupts, results, and the word that each register shows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag

from tensortee.engine.registers import REGISTERS, EngineState, FaultCause
from tensortee.engine.slots import Slot

_MAX_FAULTS = 0xFFFF
_LOW_WORD = 0xFFFF_FFFF


class Interrupt(IntFlag):
    """Bits of INTR_STATE."""

    CMD_DONE = 1
    ACCESS_FAULT = 2
    WINDOW_FAIL = 4
    FATAL = 8


@dataclass(frozen=True, slots=True)
class Fault:
    """A refused or failed access.

    Attributes:
        cause: why.
        addr: AxADDR of the burst; for a line with missing strobes that of the line.
        write: direction.
        slot: slot that contains the address, None if there is none.
    """

    cause: FaultCause
    addr: int
    write: bool
    slot: int | None


class ControlRegisters:
    """State of the register block; see `rtl/tensortee.rdl` for the map.

    Args:
        slots: the tensor slots that the SLOT_* registers show.
        addr_w: address width in bits.
        key_bits: 128 or 256.
        lanes: AES lanes for each direction.

    Attributes:
        interrupts: INTR_STATE.
        first_fault: the logged fault, or None.
        fault_count: faults since the log was cleared, saturating.
        alert_recov: pulses of `alert_recov` since the engine was made.
    """

    def __init__(self, slots: list[Slot], *, addr_w: int, key_bits: int, lanes: int) -> None:
        self._slots = slots
        self._parameters = REGISTERS["PARAMS"].pack(
            SLOTS=len(slots), ADDR_W=addr_w, KEY_256=int(key_bits == 256), LANES=lanes
        )
        self.alert_recov = 0
        self.reset()

    def reset(self) -> None:
        """What `rst` does."""
        self.interrupts = Interrupt(0)
        self.interrupt_enable = Interrupt(0)
        self.first_fault: Fault | None = None
        self.fault_count = 0
        self.slot_select = 0
        self.command_words = {f"CMD_{name}_{half}": 0 for name in ("BASE", "NBYTES") for half in ("LO", "HI")}
        self.command_result = 0

    @property
    def irq(self) -> bool:
        """Level of the interrupt line."""
        return bool(self.interrupts & self.interrupt_enable)

    def report(self, fault: Fault) -> None:
        """Log a fault and raise what goes with it."""
        if self.first_fault is None:
            self.first_fault = fault
        self.fault_count = min(self.fault_count + 1, _MAX_FAULTS)
        self.interrupts |= Interrupt.ACCESS_FAULT
        self.alert_recov += 1

    def argument(self, name: str) -> int:
        """The 64-bit CMD_BASE or CMD_NBYTES."""
        return self.command_words[f"CMD_{name}_HI"] << 32 | self.command_words[f"CMD_{name}_LO"]

    def set_argument(self, name: str, value: int) -> None:
        """Set the 64-bit CMD_BASE or CMD_NBYTES."""
        self.command_words[f"CMD_{name}_HI"] = value >> 32
        self.command_words[f"CMD_{name}_LO"] = value & _LOW_WORD

    def write(self, name: str, word: int) -> None:
        """Write any register but CMD.

        Raises:
            KeyError: there is no such register.
            ValueError: software cannot write it.
        """
        register = REGISTERS[name]
        if not register.writable:
            raise ValueError(f"register {name} is read-only")
        if name in self.command_words:
            self.command_words[name] = word
        elif name == "INTR_STATE":
            self.interrupts &= ~Interrupt(word & 0xF)
        elif name == "INTR_ENABLE":
            self.interrupt_enable = Interrupt(word & 0xF)
        elif name == "INTR_TEST":
            self.interrupts |= Interrupt(word & 0xF)
        elif name == "FAULT_STATUS":
            if word & register.field("VALID").mask:
                self.first_fault, self.fault_count = None, 0
        elif name == "SLOT_SEL":
            self.slot_select = word & register.field("VALUE").mask
        else:
            raise ValueError(f"register {name} is not written here")

    def read(self, name: str, state: EngineState, key_refused: bool) -> int:
        """The 32-bit word that a register shows.

        Raises:
            KeyError: there is no such register.
        """
        register = REGISTERS[name]
        if name in self.command_words:
            return self.command_words[name]
        if name.startswith("SLOT_") and name != "SLOT_SEL":
            return self._slot_word(name)
        if name.startswith("FAULT_"):
            return self._fault_word(name)
        if name == "STATUS":
            return register.pack(STATE=state, KEY_REFUSED=int(key_refused))
        words = {
            "PARAMS": self._parameters,
            "INTR_STATE": int(self.interrupts),
            "INTR_ENABLE": int(self.interrupt_enable),
            "CMD_RESULT": self.command_result,
            "SLOT_SEL": self.slot_select,
        }
        # The rest is constant, or write-only and reads as zero.
        return words.get(name, register.reset)

    def _fault_word(self, name: str) -> int:
        fault = self.first_fault
        if name == "FAULT_COUNT":
            return self.fault_count
        if fault is None:
            return 0
        if name == "FAULT_STATUS":
            return REGISTERS[name].pack(
                VALID=1,
                IS_WRITE=int(fault.write),
                SLOT_HIT=int(fault.slot is not None),
                SLOT=fault.slot or 0,
                CAUSE=fault.cause,
            )
        return fault.addr >> 32 if name == "FAULT_ADDR_HI" else fault.addr & _LOW_WORD

    def _slot_word(self, name: str) -> int:
        if self.slot_select >= len(self._slots):
            return 0
        slot = self._slots[self.slot_select]
        if name == "SLOT_STATUS":
            return REGISTERS[name].pack(LAST_RESULT=slot.result, STATE=slot.state)
        if name == "SLOT_ID":
            return slot.tensor_id
        if name == "SLOT_COUNT":
            return slot.count
        value = {"BASE": slot.base, "NBYTES": slot.nbytes, "VERSION": slot.version}[name.split("_")[1]]
        return value >> 32 if name.endswith("_HI") else value & _LOW_WORD
