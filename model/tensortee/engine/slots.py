# SPDX-License-Identifier: Apache-2.0
"""What the engine knows of a tensor."""

from __future__ import annotations

from dataclasses import dataclass, field

from tensortee.engine.registers import Result, SlotState
from tensortee.engine.write_map import WriteMap
from tensortee.format import IV_BYTES, LINE_BYTES, TAG_BYTES, LineSums, line_count, split_iv


@dataclass(slots=True)
class Slot:
    """A slot of the tensor table.

    Attributes:
        state: slot state.
        result: result of the last CLOSE_WRITE or CLOSE_READ.
        base: byte address of the first line.
        nbytes: length in bytes.
        iv: 12 bytes; its last eight are the version number.
        tag: 16 bytes, zero unless sealed.
        count: lines counted in the open or last window.
        sums: hash and coverage of the open window or epoch, None if there is none.
        written: lines written in the epoch.
        bus_error: the memory answered an access of the window or epoch with an error.
    """

    written: WriteMap
    state: SlotState = SlotState.EMPTY
    result: Result = Result.OK
    base: int = 0
    nbytes: int = 0
    iv: bytes = bytes(IV_BYTES)
    tag: bytes = bytes(TAG_BYTES)
    count: int = 0
    bus_error: bool = False
    sums: LineSums | None = field(default=None, repr=False)

    @property
    def tensor_id(self) -> int:
        """The 28-bit tensor_id."""
        return split_iv(self.iv)[1]

    @property
    def version(self) -> int:
        """The 64-bit version number."""
        return split_iv(self.iv)[2]

    @property
    def lines(self) -> int:
        """Lines of the tensor."""
        return line_count(self.nbytes)

    @property
    def end(self) -> int:
        """Byte address behind the last line."""
        return self.base + self.lines * LINE_BYTES
