# SPDX-License-Identifier: Apache-2.0
"""What a register and a field are: the types behind the generated map in :mod:`tensortee.engine.registers`."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a register.

    Attributes:
        name: Name in the register map.
        lsb: Position of its least significant bit in the 32-bit word.
        width: Width in bits.
        readable: Software can read it; a field that it cannot read reads as zero.
        writable: Software can write it.
        write_one_to_clear: A written one clears the bit, a written zero keeps it.
        reset: Value after reset, or None if it shows hardware state or a build parameter.
        encoding: The enumeration of its values, if it has one.
    """

    name: str
    lsb: int
    width: int
    readable: bool
    writable: bool
    write_one_to_clear: bool = False
    reset: int | None = None
    encoding: type[IntEnum] | None = None

    @property
    def mask(self) -> int:
        """The field's bits in the 32-bit word."""
        return ((1 << self.width) - 1) << self.lsb


@dataclass(frozen=True, slots=True)
class Register:
    """One 32-bit register.

    Attributes:
        name: Name in the register map.
        address: Byte address on the AXI4-Lite port.
        fields: Its fields, lowest bit first.
    """

    name: str
    address: int
    fields: tuple[Field, ...]

    def field(self, name: str) -> Field:
        """The field called `name`; raises `KeyError` that names the register and its fields."""
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(f"register {self.name} has no field {name!r}; it has {', '.join(f.name for f in self.fields)}")

    @property
    def readable(self) -> bool:
        """Whether a read shows anything; a register that software cannot read answers zero."""
        return any(field.readable for field in self.fields)

    @property
    def writable(self) -> bool:
        """Whether a write is accepted; if not, it answers SLVERR."""
        return any(field.writable for field in self.fields)

    @property
    def reset(self) -> int:
        """The word that is read after reset; fields without a reset value count as zero."""
        return sum((field.reset or 0) << field.lsb for field in self.fields if field.readable)

    def pack(self, **values: int) -> int:
        """Makes the 32-bit word from field values; fields that are not named are zero.

        Raises:
            KeyError: A field does not exist.
            ValueError: A value does not fit its field.
        """
        word = 0
        for name, value in values.items():
            field = self.field(name)
            if not 0 <= value < 1 << field.width:
                raise ValueError(f"{self.name}.{name}: {value} does not fit {field.width} bits")
            word |= int(value) << field.lsb
        return word

    def unpack(self, word: int) -> dict[str, int]:
        """Splits a 32-bit word into its fields; encoded fields come as members of their enumeration.

        A value that the enumeration does not know comes as a plain integer, so that a monitor can report it.
        """
        values: dict[str, int] = {}
        for field in self.fields:
            value = (word & field.mask) >> field.lsb
            if field.encoding is not None:
                with suppress(ValueError):
                    value = field.encoding(value)
            values[field.name] = value
        return values
