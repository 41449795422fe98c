# SPDX-License-Identifier: Apache-2.0
"""Attacks on tensors in DRAM, and mistakes of a scheduler, each judged by what the engine's registers and pins show.

Every attack runs in a session of its own: fresh key, tensors written anew. Attacks on data first read the victim and
see it verify, then tamper, then read it again, so that nothing but the tampering can be the cause of what follows.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tensortee.engine.registers import EngineState, FaultCause, Opcode, Result, SlotState

from tb.app.memory import ProtectedMemory, ProtectionError, Tensor, span_burst
from tb.app.port import DECERR, LINE_BYTES, OKAY, SLVERR, Burst, read_burst, write_burst
from tb.app.tiles import cut, stored_bytes
from tb.memory import SparseMemory

RESPONSES: Final = {OKAY: "OKAY", 1: "EXOKAY", SLVERR: "SLVERR", DECERR: "DECERR"}


@dataclass(frozen=True)
class Outcome:
    """What an attack led to.

    Attributes:
        name: the attack.
        detected: every sign of detection that the specification promises was there.
        observed: what registers, pins and responses showed.
    """

    name: str
    detected: bool
    observed: str


@dataclass
class Scene:
    """A session with freshly written tensors.

    Attributes:
        memory: the engine and its port.
        dram: what the attacker controls.
        contents: plaintext of every tensor.
        victim: tensor under attack, of at least two lines.
        other: another one, of at least two lines.
    """

    memory: ProtectedMemory
    dram: SparseMemory
    contents: dict[Tensor, bytes]
    victim: Tensor
    other: Tensor

    async def see_verified(self, tensor: Tensor) -> None:
        """Read a tensor whole; raises ``ProtectionError`` if it does not verify with the right data."""
        if await self.memory.read(tensor) != self.contents[tensor]:
            raise ProtectionError(f"{tensor.name} verifies with wrong data")

    async def rewrite(self, tensors: Sequence[Tensor]) -> None:
        """Write a new version, with other data, of some tensors."""
        new = {tensor: bytes(byte ^ 0x5A for byte in self.contents[tensor]) for tensor in tensors}
        await self.memory.step([], new)
        self.contents.update(new)

    async def window(self, tensor: Tensor, bursts: Sequence[Burst]) -> Result:
        """Open a read window, read, close it; returns the result of CLOSE_READ."""
        await self.memory.open(Opcode.OPEN_READ, tensor)
        await self.memory.port.transfer(bursts)
        return await self.memory.control.command(Opcode.CLOSE_READ, tensor.slot)


async def tampered(scene: Scene, tamper: Callable[[], None]) -> tuple[bool, str]:
    """Read, tamper, read again: a tag error, and from then on nothing leaves."""
    memory, victim = scene.memory, scene.victim
    await scene.see_verified(victim)
    tamper()
    result = await scene.window(victim, memory.read_bursts(victim))
    engine, slot = await memory.control.state(), await memory.slot_state(victim)
    alert = memory.control.pin("alert_fatal")
    after = read_burst(scene.other.base, LINE_BYTES)
    await memory.port.transfer([after])
    sealed_off = after.response == SLVERR and not any(after.data)
    detected = (
        result == Result.TAG_ERROR
        and engine == EngineState.FATAL
        and slot == SlotState.POISONED
        and alert == 1
        and sealed_off
    )
    shown = "zeros" if not any(after.data) else "data"
    return detected, (
        f"{result.name}, engine {engine.name}, slot {slot.name}, alert_fatal {alert}, "
        f"next read {RESPONSES[after.response]} with {shown}"
    )


async def badly_covered(scene: Scene, bursts: Sequence[Burst]) -> tuple[bool, str]:
    """Read untouched data with a wrong schedule: a coverage error, and other tensors stay usable."""
    memory, victim = scene.memory, scene.victim
    result = await scene.window(victim, bursts)
    engine, slot = await memory.control.state(), await memory.slot_state(victim)
    detected = result == Result.COVERAGE_ERROR and engine == EngineState.READY and slot == SlotState.POISONED
    if detected:
        await scene.see_verified(scene.other)
    return detected, f"{result.name}, engine {engine.name}, slot {slot.name}"


async def bit_flip(scene: Scene) -> tuple[bool, str]:
    """One bit of the last byte of the victim is inverted."""
    return await tampered(scene, lambda: scene.dram.flip(scene.victim.base + scene.victim.nbytes - 1, bit=3))


async def line_swap(scene: Scene) -> tuple[bool, str]:
    """The first two lines of the victim change places."""
    return await tampered(scene, lambda: scene.dram.swap(scene.victim.base, scene.victim.base + LINE_BYTES))


async def line_move(scene: Scene) -> tuple[bool, str]:
    """The first lines of two tensors of the same version change places."""
    return await tampered(scene, lambda: scene.dram.swap(scene.victim.base, scene.other.base))


async def replay_tensor(scene: Scene) -> tuple[bool, str]:
    """The whole ciphertext of the version before is put back."""
    victim = scene.victim
    old = scene.dram.peek(victim.base, stored_bytes(victim.nbytes))
    await scene.rewrite([victim])
    return await tampered(scene, lambda: scene.dram.poke(victim.base, old))


async def replay_line(scene: Scene) -> tuple[bool, str]:
    """One line of the version before is put back."""
    addr = scene.victim.base
    old = scene.dram.peek(addr, LINE_BYTES)
    await scene.rewrite([scene.victim])
    return await tampered(scene, lambda: scene.dram.poke(addr, old))


async def rollback(scene: Scene) -> tuple[bool, str]:
    """All of DRAM is put back to what it was before every tensor was written anew."""
    old = scene.dram.snapshot()
    await scene.rewrite(list(scene.contents))
    return await tampered(scene, lambda: scene.dram.restore(old))


async def skipped_line(scene: Scene) -> tuple[bool, str]:
    """The reader leaves out one line of the victim."""
    spans = cut(scene.victim.base, scene.victim.nbytes, LINE_BYTES)
    return await badly_covered(scene, [span_burst(scene.victim, span) for span in spans[1:]])


async def duplicate_read(scene: Scene) -> tuple[bool, str]:
    """The reader reads one line of the victim twice."""
    spans = cut(scene.victim.base, scene.victim.nbytes, LINE_BYTES)
    return await badly_covered(scene, [span_burst(scene.victim, span) for span in [*spans, spans[0]]])


async def duplicate_for_skipped(scene: Scene) -> tuple[bool, str]:
    """The reader reads one line twice and leaves out another, so that the number of lines is right."""
    spans = cut(scene.victim.base, scene.victim.nbytes, LINE_BYTES)
    return await badly_covered(scene, [span_burst(scene.victim, span) for span in [spans[0], *spans[:-1]]])


async def second_write(scene: Scene) -> tuple[bool, str]:
    """A line is written twice in an epoch, which would use a key stream twice."""
    memory, victim = scene.memory, scene.victim
    registers = memory.control.registers
    await memory.open(Opcode.OPEN_WRITE, victim)
    await memory.port.transfer(memory.write_bursts(victim, scene.contents[victim]))
    before = scene.dram.peek(victim.base, LINE_BYTES)
    await registers.write("FAULT_STATUS", VALID=1)
    again = write_burst(victim.base, bytes(LINE_BYTES))
    await memory.port.transfer([again])
    fault = await registers.read("FAULT_STATUS")
    addr = await registers.read64("FAULT_ADDR")
    unchanged = scene.dram.peek(victim.base, LINE_BYTES) == before
    closed = await memory.control.command(Opcode.CLOSE_WRITE, victim.slot)
    cause = FaultCause(fault["CAUSE"])
    detected = (
        again.response == SLVERR
        and cause == FaultCause.REWRITE
        and addr == victim.base
        and unchanged
        and closed == Result.OK
    )
    if detected:
        await scene.see_verified(victim)
    return detected, (
        f"{RESPONSES[again.response]}, cause {cause.name}, DRAM {'unchanged' if unchanged else 'changed'}, "
        f"epoch closed with {closed.name}"
    )


async def out_of_tensor(scene: Scene) -> tuple[bool, str]:
    """The line behind the victim, which belongs to no tensor, is read and written."""
    memory = scene.memory
    registers = memory.control.registers
    addr = scene.victim.base + stored_bytes(scene.victim.nbytes)
    before = scene.dram.peek(addr, LINE_BYTES)
    seen = []
    detected = True
    for burst in (read_burst(addr, LINE_BYTES), write_burst(addr, bytes(LINE_BYTES))):
        await registers.write("FAULT_STATUS", VALID=1)
        await memory.port.transfer([burst])
        cause = FaultCause(await registers.get("FAULT_STATUS.CAUSE"))
        leaked = not burst.is_write and any(burst.data)
        detected = detected and burst.response == DECERR and cause == FaultCause.NO_TENSOR and not leaked
        seen.append(f"{'write' if burst.is_write else 'read'} {RESPONSES[burst.response]} ({cause.name})")
    unchanged = scene.dram.peek(addr, LINE_BYTES) == before
    return detected and unchanged, f"{', '.join(seen)}, DRAM {'unchanged' if unchanged else 'changed'}"


Attack = Callable[[Scene], Awaitable[tuple[bool, str]]]

ATTACKS: Final[Mapping[str, Attack]] = {
    attack.__name__: attack
    for attack in (
        bit_flip,
        line_swap,
        line_move,
        replay_tensor,
        replay_line,
        rollback,
        skipped_line,
        duplicate_read,
        duplicate_for_skipped,
        second_write,
        out_of_tensor,
    )
}
