# SPDX-License-Identifier: Apache-2.0
"""Tests of the bench itself: each checker must fail when it is given something wrong.

Every test here passes only if its run ends with ``BenchError`` and with the differences that the mistake must cause.
"""

from __future__ import annotations

import pytest
import pyuvm
from tensortee.engine.registers import Opcode, Result

from tb.env.base_test import EngineTest
from tb.env.bench_error import BenchError
from tb.env.bursts import SLVERR, Burst
from tb.env.control_agent import Command
from tb.hostile import HostileDram
from tb.memory import LINE_BYTES

BASE = 0x1_0000
NBYTES = 500


class MustFail(EngineTest):
    """A run that must not get past the check phase of the scoreboard."""

    def check_phase(self) -> None:
        """The scoreboard's check phase runs before this one and must have raised ``BenchError``."""
        raise RuntimeError("the bench did not notice the mistake")


@pyuvm.test(timeout_time=2, timeout_unit="ms", expect_error=BenchError)
class CorruptedPredictor(MustFail):
    """The predictor inverts a bit of every read beat."""

    async def body(self) -> None:
        """Store and read one tensor."""
        await self.seq.define(0, BASE, NBYTES)
        await self.seq.store(0, BASE, self.rng.randbytes(NBYTES))
        self.env.predictor.corrupt = True
        await self.seq.load(0, BASE, NBYTES)
        self.env.predictor.corrupt = False
        errors = self.env.scoreboard.errors
        assert errors, "no difference was noted"
        assert all("read data" in error for error in errors), errors


@pyuvm.test(timeout_time=2, timeout_unit="ms", expect_error=BenchError)
class FlippedDramBit(MustFail):
    """A bit in the DRAM image flips, and only there: the third-party library and the model must both see it."""

    async def body(self) -> None:
        """Flip after the epoch was sealed; look at the image."""
        await self.seq.define(0, BASE, NBYTES)
        await self.seq.store(0, BASE, self.rng.randbytes(NBYTES))
        self.env.dram.memory.flip(BASE + 321, 5)
        self.env.scoreboard.check_image()
        errors = " ".join(self.env.scoreboard.errors)
        assert "third-party library refuses the tag" in errors, errors
        assert "differs from that of the golden model" in errors, errors


@pyuvm.test(timeout_time=2, timeout_unit="ms", expect_error=BenchError)
class FlippedBitRead(MustFail):
    """The same bit, read through the engine, and the predictor is not told: the result of CLOSE_READ differs."""

    async def body(self) -> None:
        """Read the tensor back."""
        await self.seq.define(0, BASE, NBYTES)
        await self.seq.store(0, BASE, self.rng.randbytes(NBYTES))
        self.env.predictor.told = False
        self.env.dram.memory.flip(BASE + 17, 0)
        await self.seq.expect(Result.OK, Opcode.OPEN_READ, 0)
        await self.seq.read_lines(BASE, NBYTES)
        result = await self.seq.command(Opcode.CLOSE_READ, 0)
        assert result == Result.TAG_ERROR
        errors = " ".join(self.env.scoreboard.errors)
        assert "read data" in errors, errors
        assert "expected <Result.OK" in errors, errors

    async def wind_up(self) -> None:
        """The engine is in FATAL: no canary."""


@pyuvm.test(timeout_time=2, timeout_unit="ms", expect_error=BenchError)
class UntoldLie(MustFail):
    """A hostile memory sends one wrong beat, the predictor is told nothing: data and verdict differ."""

    dram_class = HostileDram

    async def body(self) -> None:
        """Read the tensor back."""
        await self.seq.define(0, BASE, NBYTES)
        await self.seq.store(0, BASE, self.rng.randbytes(NBYTES))
        assert isinstance(self.env.dram, HostileDram)
        self.env.predictor.told = False
        self.env.dram.forge = lambda at, word: word ^ (at == BASE + LINE_BYTES)
        await self.seq.expect(Result.OK, Opcode.OPEN_READ, 0)
        await self.seq.read_lines(BASE, NBYTES)
        await self.seq.expect(Result.TAG_ERROR, Opcode.CLOSE_READ, 0)
        errors = " ".join(self.env.scoreboard.errors)
        assert "read data" in errors, errors
        assert "expected <Result.OK" in errors, errors

    async def wind_up(self) -> None:
        """The engine is in FATAL: no canary."""


@pyuvm.test(timeout_time=2, timeout_unit="ms")
class WrongAttribution(EngineTest):
    """The predictor is told what an engine with the faults of this kind would do, and notices each."""

    dram_class = HostileDram

    async def body(self) -> None:
        """Hold beats and a response; drop one, take one that is not owed, close and re-key too early."""
        seq, predictor, dram = self.seq, self.env.predictor, self.env.dram
        assert isinstance(dram, HostileDram)
        await seq.define(0, BASE, NBYTES)
        await seq.store(0, BASE, self.rng.randbytes(NBYTES))
        await seq.expect(Result.OK, Opcode.OPEN_READ, 0)
        dram.hold(1)
        reads = [await seq.read(BASE, 1)]
        await seq.idle(50)
        with pytest.raises(BenchError, match="dropped"):
            predictor.read_beat(0, 0, 0, False)
        with pytest.raises(BenchError, match="owed to no read"):
            predictor.read_beat(1, 0, 0, True)
        with pytest.raises(BenchError, match="owes"):
            predictor.command_done(Command(Opcode.CLOSE_READ))
        dram.release()
        await seq.finish(reads)
        await self.env.drain()
        await seq.expect(Result.COVERAGE_ERROR, Opcode.CLOSE_READ, 0)
        await seq.expect(Result.OK, Opcode.OPEN_WRITE, 0)
        dram.hold(responses=True)
        writes = [await seq.write(BASE, bytes(LINE_BYTES))]
        await seq.idle(50)
        with pytest.raises(BenchError, match="dropped"):
            predictor.write_response(0, 0, False)
        with pytest.raises(BenchError, match="owed to no write"):
            predictor.write_response(1, 0, True)
        with pytest.raises(BenchError, match="owes"):
            predictor.command_done(Command(Opcode.RELEASE))
        dram.release()
        await seq.finish(writes)
        await seq.expect(Result.OK, Opcode.RELEASE, 0)
        with pytest.raises(BenchError, match="expected nothing"):
            predictor.memory_request(reads[0])


@pyuvm.test(timeout_time=2, timeout_unit="ms", expect_error=BenchError)
class NothingChecked(MustFail):
    """A test that moves no data checks nothing, and that is a failure."""

    async def body(self) -> None:
        """Do nothing."""

    async def wind_up(self) -> None:
        """No canary either."""


@pyuvm.test(timeout_time=2, timeout_unit="ms", expect_error=BenchError)
class ReusedKeystream(MustFail):
    """The memory bus shows the same ciphertext twice for the same plaintext: the keystream was used twice."""

    async def body(self) -> None:
        """Repeat a line of the write log and pretend that its write was finished twice."""
        await self.seq.define(0, BASE, NBYTES)
        await self.seq.expect(Result.OK, Opcode.OPEN_WRITE, 0)
        seen: list[Burst] = []
        self.env.axi.monitor.monitor.on_done.append(seen.append)
        await self.seq.write_lines(BASE, self.rng.randbytes(NBYTES))
        log = self.env.dram.write_log
        log.extend(log[-seen[0].beats :])
        self.env.scoreboard.burst_done(seen[0])
        await self.seq.expect(Result.OK, Opcode.CLOSE_WRITE, 0)
        assert any("used before" in error for error in self.env.scoreboard.errors), self.env.scoreboard.errors


@pyuvm.test(timeout_time=2, timeout_unit="ms", expect_error=BenchError)
class UnexplainedWrite(MustFail):
    """A beat on the memory bus that no write of the NPU explains."""

    async def body(self) -> None:
        """Add one to the log."""
        await self.seq.define(0, BASE, NBYTES)
        await self.seq.store(0, BASE, self.rng.randbytes(NBYTES))
        log = self.env.dram.write_log
        log.append(log[-1]._replace(addr=0x123400))


@pyuvm.test(timeout_time=2, timeout_unit="ms", expect_error=BenchError)
class WrongResponse(MustFail):
    """The memory fails a read and the model is not told."""

    async def body(self) -> None:
        """Keep the error from the predictor."""
        await self.seq.define(0, BASE, NBYTES)
        await self.seq.store(0, BASE, self.rng.randbytes(NBYTES))
        await self.seq.expect(Result.OK, Opcode.OPEN_READ, 0)
        self.env.predictor.told = False
        self.env.dram.fail(BASE, 64, SLVERR)
        await self.seq.finish([await self.seq.read(BASE, LINE_BYTES // self.env.bus_bytes)])
        self.env.dram.fail_nothing()
        errors = " ".join(self.env.scoreboard.errors)
        assert "responses [2, 2, 2, 2], expected [0, 0, 0, 0]" in errors, errors

    async def wind_up(self) -> None:
        """The model and the engine differ: nothing more to compare."""
