# SPDX-License-Identifier: Apache-2.0
"""What the RTL itself holds: the slots of the tensor table, read through the hierarchy of the simulation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from Crypto.Cipher import AES
from tensortee.engine.registers import Result, SlotState

from tb.memory import LINE_BYTES


@dataclass(frozen=True)
class SlotView:
    """One slot as the RTL holds it. ``iv`` and ``tag`` are NIST byte strings of 12 and 16 bytes."""

    state: SlotState
    result: Result
    base: int
    nbytes: int
    iv: bytes
    version: int
    tag: bytes

    @property
    def tensor_id(self) -> int:
        """The 28-bit tensor_id."""
        return int.from_bytes(self.iv[:4], "big") & 0xFFFFFFF

    @property
    def lines(self) -> int:
        """Lines of the tensor."""
        return -(-self.nbytes // LINE_BYTES)


class Backdoor:
    """Access to ``u_table`` of ``tensortee_engine``."""

    def __init__(self, dut: Any) -> None:
        self._table = dut.u_table
        self.slots = len(dut.u_table.state)

    def _get(self, array: str, slot: int) -> int:
        return int(getattr(self._table, array)[slot].value)

    def slot(self, slot: int) -> SlotView:
        """Return a slot."""
        version = self._get("version", slot)
        return SlotView(
            state=SlotState(self._get("state", slot)),
            result=Result(self._get("result", slot)),
            base=self._get("base", slot) * LINE_BYTES,
            nbytes=self._get("nbytes", slot),
            iv=self._get("iv_hi", slot).to_bytes(4, "big") + version.to_bytes(8, "big"),
            version=version,
            tag=self._get("tag", slot).to_bytes(16, "big"),
        )

    def deposit_iv(self, slot: int, iv: bytes) -> None:
        """Set the 96-bit IV of a slot: the format gives only IVs of its own kind, test vectors have any."""
        self._table.iv_hi[slot].value = int.from_bytes(iv[:4], "big")
        self._table.version[slot].value = int.from_bytes(iv[4:], "big")

    def deposit_version(self, slot: int, version: int) -> None:
        """Set the version number of a slot, to come near its end."""
        self._table.version[slot].value = version

    def deposit_tag(self, slot: int, tag: bytes) -> None:
        """Set the tag of a slot to that of a test vector."""
        self._table.tag[slot].value = int.from_bytes(tag, "big")


def open_message(key: bytes, iv: bytes, ciphertext: bytes, tag: bytes) -> bytes | None:
    """Open an AES-GCM message with pycryptodome; returns None if the tag does not match."""
    cipher = AES.new(key, AES.MODE_GCM, nonce=iv, mac_len=16)
    try:
        return bytes(cipher.decrypt_and_verify(ciphertext, tag))
    except ValueError:
        return None
