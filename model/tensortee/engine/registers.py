# SPDX-License-Identifier: Apache-2.0
# Generated from rtl/tensortee.rdl by scripts/gen_regs.py. Do not edit.
"""Register map of the engine: enumerations, and every register with its fields."""

from __future__ import annotations

from enum import IntEnum
from types import MappingProxyType
from typing import Final

from tensortee.engine._register import Field, Register

__all__ = [
    "REGISTERS",
    "EngineState",
    "FaultCause",
    "Field",
    "Opcode",
    "Register",
    "Result",
    "SlotState",
]


class EngineState(IntEnum):
    """State of the engine."""

    WIPE = 0
    """Secrets are being erased; no key is accepted and every access is refused."""
    NO_KEY = 1
    """Waiting for a key on the side-load port."""
    SETUP = 2
    """A key is being installed (round keys, H, powers of H)."""
    READY = 3
    """A key is installed; commands and accesses are served."""
    FATAL = 4
    """A tag did not match, or a state machine failed. Keys are wiped; all is refused until ZEROIZE or reset."""


class Opcode(IntEnum):
    """Commands."""

    DEFINE = 1
    """Bind a slot to [CMD_BASE, CMD_BASE + CMD_NBYTES) under a fresh tensor_id."""
    OPEN_WRITE = 2
    """Open a write epoch: increments the version number."""
    CLOSE_WRITE = 3
    """Close the write epoch: checks coverage and seals the tag."""
    OPEN_READ = 4
    """Open the read window."""
    CLOSE_READ = 5
    """Close the read window: compares coverage and tag."""
    RELEASE = 6
    """Free the slot and erase its tag."""
    ZEROIZE = 7
    """Wipe keys, everything derived from them, and all slots. Accepted at any time."""


class Result(IntEnum):
    """Results of commands, windows and epochs."""

    OK = 0
    """Done."""
    BAD_OPCODE = 1
    """The opcode is not defined."""
    BAD_SLOT = 2
    """The slot number is not below SLOTS."""
    NOT_READY = 3
    """The engine is not in state READY."""
    BAD_STATE = 4
    """The slot is not in a state that allows this command."""
    BAD_BASE = 5
    """The base is not a multiple of 64 or lies outside the address space."""
    BAD_LENGTH = 6
    """The length is 0, above 2^36 - 32, or ends outside the address space."""
    OVERLAP = 7
    """The range shares a line with another slot."""
    IDS_EXHAUSTED = 8
    """No tensor_id is left: reset the engine and install a new key."""
    VERSION_EXHAUSTED = 9
    """The version number is at its end: release the slot and define it again, or re-key."""
    COVERAGE_ERROR = 10
    """Not every line was touched exactly once."""
    TAG_ERROR = 11
    """The tag does not match: the data in DRAM is not what was written. Fatal."""
    BUS_ERROR = 12
    """The memory answered an access of this window with an error."""
    ABORTED = 13
    """ZEROIZE or a fatal error ended the command."""


class SlotState(IntEnum):
    """State of a tensor slot."""

    EMPTY = 0
    """Not defined."""
    DEFINED = 1
    """Bound to a range; holds no sealed data."""
    WRITING = 2
    """A write epoch is open."""
    SEALED = 3
    """Written; the tag is on chip."""
    READING = 4
    """The read window is open: data read so far is unverified."""
    VERIFIED = 5
    """Sealed, and the last read window compared equal."""
    POISONED = 6
    """A read window failed; only a new write epoch or RELEASE leads out."""


class FaultCause(IntEnum):
    """Causes of refused or failed accesses."""

    NONE = 0
    """No fault is logged."""
    NOT_READY = 1
    """SLVERR: the engine is not in state READY."""
    BURST = 2
    """SLVERR: burst type, size, length or alignment is illegal or not supported (FIXED, WRAP write, 4 KiB crossing)."""
    NO_TENSOR = 3
    """DECERR: the address lies in no defined tensor."""
    STATE = 4
    """SLVERR: the tensor is not open for this direction."""
    PARTIAL_LINE = 5
    """SLVERR: a write does not consist of whole 64-byte lines."""
    BOUNDS = 6
    """SLVERR: the burst runs over the tensor's end."""
    REWRITE = 7
    """SLVERR: a line of the burst was already written in this epoch."""
    ORDER = 8
    """SLVERR: the burst lies further ahead of the oldest unwritten line than the write map reaches."""
    MEM_READ = 9
    """The memory answered a read with SLVERR or DECERR (passed on)."""
    MEM_WRITE = 10
    """The memory answered a write with SLVERR or DECERR (passed on)."""


REGISTERS: Final = MappingProxyType(
    {
        "ID": Register(
            "ID",
            0x000,
            (Field("MAGIC", lsb=0, width=32, readable=True, writable=False, reset=0x54544545),),
        ),
        "VERSION": Register(
            "VERSION",
            0x004,
            (
                Field("MINOR", lsb=0, width=8, readable=True, writable=False, reset=1),
                Field("MAJOR", lsb=8, width=8, readable=True, writable=False, reset=0),
                Field("FORMAT", lsb=16, width=16, readable=True, writable=False, reset=1),
            ),
        ),
        "PARAMS": Register(
            "PARAMS",
            0x008,
            (
                Field("LANES", lsb=0, width=3, readable=True, writable=False),
                Field("KEY_256", lsb=4, width=1, readable=True, writable=False),
                Field("ADDR_W", lsb=8, width=8, readable=True, writable=False),
                Field("SLOTS", lsb=16, width=16, readable=True, writable=False),
            ),
        ),
        "STATUS": Register(
            "STATUS",
            0x00C,
            (
                Field("STATE", lsb=0, width=3, readable=True, writable=False, encoding=EngineState),
                Field("CMD_BUSY", lsb=8, width=1, readable=True, writable=False),
                Field("KEY_REFUSED", lsb=9, width=1, readable=True, writable=False),
            ),
        ),
        "INTR_STATE": Register(
            "INTR_STATE",
            0x010,
            (
                Field("CMD_DONE", lsb=0, width=1, readable=True, writable=True, write_one_to_clear=True, reset=0),
                Field("ACCESS_FAULT", lsb=1, width=1, readable=True, writable=True, write_one_to_clear=True, reset=0),
                Field("WINDOW_FAIL", lsb=2, width=1, readable=True, writable=True, write_one_to_clear=True, reset=0),
                Field("FATAL", lsb=3, width=1, readable=True, writable=True, write_one_to_clear=True, reset=0),
            ),
        ),
        "INTR_ENABLE": Register(
            "INTR_ENABLE",
            0x014,
            (
                Field("CMD_DONE", lsb=0, width=1, readable=True, writable=True, reset=0),
                Field("ACCESS_FAULT", lsb=1, width=1, readable=True, writable=True, reset=0),
                Field("WINDOW_FAIL", lsb=2, width=1, readable=True, writable=True, reset=0),
                Field("FATAL", lsb=3, width=1, readable=True, writable=True, reset=0),
            ),
        ),
        "INTR_TEST": Register(
            "INTR_TEST",
            0x018,
            (
                Field("CMD_DONE", lsb=0, width=1, readable=False, writable=True, reset=0),
                Field("ACCESS_FAULT", lsb=1, width=1, readable=False, writable=True, reset=0),
                Field("WINDOW_FAIL", lsb=2, width=1, readable=False, writable=True, reset=0),
                Field("FATAL", lsb=3, width=1, readable=False, writable=True, reset=0),
            ),
        ),
        "CMD": Register(
            "CMD",
            0x020,
            (
                Field("OPCODE", lsb=0, width=4, readable=False, writable=True, reset=0, encoding=Opcode),
                Field("SLOT", lsb=8, width=8, readable=False, writable=True, reset=0),
            ),
        ),
        "CMD_BASE_LO": Register(
            "CMD_BASE_LO",
            0x024,
            (Field("VALUE", lsb=0, width=32, readable=True, writable=True, reset=0),),
        ),
        "CMD_BASE_HI": Register(
            "CMD_BASE_HI",
            0x028,
            (Field("VALUE", lsb=0, width=32, readable=True, writable=True, reset=0),),
        ),
        "CMD_NBYTES_LO": Register(
            "CMD_NBYTES_LO",
            0x02C,
            (Field("VALUE", lsb=0, width=32, readable=True, writable=True, reset=0),),
        ),
        "CMD_NBYTES_HI": Register(
            "CMD_NBYTES_HI",
            0x030,
            (Field("VALUE", lsb=0, width=32, readable=True, writable=True, reset=0),),
        ),
        "CMD_RESULT": Register(
            "CMD_RESULT",
            0x034,
            (
                Field("RESULT", lsb=0, width=8, readable=True, writable=False, reset=0, encoding=Result),
                Field("OPCODE", lsb=8, width=4, readable=True, writable=False, reset=0, encoding=Opcode),
                Field("SLOT", lsb=16, width=8, readable=True, writable=False, reset=0),
            ),
        ),
        "FAULT_STATUS": Register(
            "FAULT_STATUS",
            0x040,
            (
                Field("CAUSE", lsb=0, width=4, readable=True, writable=False, reset=0, encoding=FaultCause),
                Field("SLOT", lsb=8, width=8, readable=True, writable=False, reset=0),
                Field("SLOT_HIT", lsb=29, width=1, readable=True, writable=False, reset=0),
                Field("IS_WRITE", lsb=30, width=1, readable=True, writable=False, reset=0),
                Field("VALID", lsb=31, width=1, readable=True, writable=True, write_one_to_clear=True, reset=0),
            ),
        ),
        "FAULT_ADDR_LO": Register(
            "FAULT_ADDR_LO",
            0x044,
            (Field("VALUE", lsb=0, width=32, readable=True, writable=False, reset=0),),
        ),
        "FAULT_ADDR_HI": Register(
            "FAULT_ADDR_HI",
            0x048,
            (Field("VALUE", lsb=0, width=32, readable=True, writable=False, reset=0),),
        ),
        "FAULT_COUNT": Register(
            "FAULT_COUNT",
            0x04C,
            (Field("VALUE", lsb=0, width=16, readable=True, writable=False, reset=0),),
        ),
        "SLOT_SEL": Register(
            "SLOT_SEL",
            0x060,
            (Field("VALUE", lsb=0, width=8, readable=True, writable=True, reset=0),),
        ),
        "SLOT_STATUS": Register(
            "SLOT_STATUS",
            0x064,
            (
                Field("STATE", lsb=0, width=4, readable=True, writable=False, reset=0, encoding=SlotState),
                Field("LAST_RESULT", lsb=8, width=8, readable=True, writable=False, reset=0, encoding=Result),
            ),
        ),
        "SLOT_BASE_LO": Register(
            "SLOT_BASE_LO",
            0x068,
            (Field("VALUE", lsb=0, width=32, readable=True, writable=False, reset=0),),
        ),
        "SLOT_BASE_HI": Register(
            "SLOT_BASE_HI",
            0x06C,
            (Field("VALUE", lsb=0, width=32, readable=True, writable=False, reset=0),),
        ),
        "SLOT_NBYTES_LO": Register(
            "SLOT_NBYTES_LO",
            0x070,
            (Field("VALUE", lsb=0, width=32, readable=True, writable=False, reset=0),),
        ),
        "SLOT_NBYTES_HI": Register(
            "SLOT_NBYTES_HI",
            0x074,
            (Field("VALUE", lsb=0, width=32, readable=True, writable=False, reset=0),),
        ),
        "SLOT_ID": Register(
            "SLOT_ID",
            0x078,
            (Field("VALUE", lsb=0, width=28, readable=True, writable=False, reset=0),),
        ),
        "SLOT_VERSION_LO": Register(
            "SLOT_VERSION_LO",
            0x07C,
            (Field("VALUE", lsb=0, width=32, readable=True, writable=False, reset=0),),
        ),
        "SLOT_VERSION_HI": Register(
            "SLOT_VERSION_HI",
            0x080,
            (Field("VALUE", lsb=0, width=32, readable=True, writable=False, reset=0),),
        ),
        "SLOT_COUNT": Register(
            "SLOT_COUNT",
            0x084,
            (Field("VALUE", lsb=0, width=32, readable=True, writable=False, reset=0),),
        ),
    }
)
"""Every register by name, in address order."""
