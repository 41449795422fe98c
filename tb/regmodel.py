# SPDX-License-Identifier: Apache-2.0
"""Register model of the bench: access by name, on any AXI4-Lite driver, with the map generated from the RDL."""

from __future__ import annotations

from typing import Protocol

from tensortee.engine.registers import REGISTERS, Register

from tb.axil import OKAY


class RegisterBus(Protocol):
    """What the register model needs from an AXI4-Lite driver. Addresses are byte addresses, words have 32 bits."""

    async def read(self, addr: int) -> tuple[int, int]:
        """Read a word; returns data and RRESP."""

    async def write(self, addr: int, data: int, strb: int = 0xF) -> int:
        """Write a word; returns BRESP."""


class RegisterAccessError(Exception):
    """The engine refused an access to a register."""


class RegisterModel:
    """The engine's registers and fields by name.

    Args:
        bus: the driver.
    """

    def __init__(self, bus: RegisterBus) -> None:
        self.bus = bus

    @staticmethod
    def register(name: str) -> Register:
        """The register of that name; raises `KeyError`."""
        try:
            return REGISTERS[name]
        except KeyError:
            raise KeyError(f"no register is named {name!r}; see docs/registers.md") from None

    async def read_word(self, name: str) -> int:
        """Read a register as a 32-bit word; raises `RegisterAccessError`."""
        register = self.register(name)
        data, resp = await self.bus.read(register.address)
        if resp != OKAY:
            raise RegisterAccessError(f"read of {name} (0x{register.address:03X}) answered RRESP {resp}")
        return data

    async def read(self, name: str) -> dict[str, int]:
        """Read a register as its fields; encoded fields come as members of their enumeration."""
        return self.register(name).unpack(await self.read_word(name))

    async def get(self, path: str) -> int:
        """Read one field, named ``REGISTER.FIELD``."""
        name, _, field = path.partition(".")
        self.register(name).field(field)
        return (await self.read(name))[field]

    async def read64(self, name: str) -> int:
        """Read a pair ``<name>_LO``, ``<name>_HI`` as one number."""
        low = await self.read_word(f"{name}_LO")
        return await self.read_word(f"{name}_HI") << 32 | low

    async def try_write(self, name: str, **values: int) -> int:
        """Write a register from its fields, the others zero; returns BRESP."""
        register = self.register(name)
        return await self.bus.write(register.address, register.pack(**values))

    async def write(self, name: str, **values: int) -> None:
        """Write a register from its fields, the others zero; raises `RegisterAccessError`."""
        resp = await self.try_write(name, **values)
        if resp != OKAY:
            raise RegisterAccessError(f"write of {name} answered BRESP {resp}")

    async def write64(self, name: str, value: int) -> None:
        """Write a pair ``<name>_LO``, ``<name>_HI``."""
        await self.write(f"{name}_LO", VALUE=value & 0xFFFFFFFF)
        await self.write(f"{name}_HI", VALUE=value >> 32)
