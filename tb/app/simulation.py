# SPDX-License-Identifier: Apache-2.0
"""The main job inside the simulator: a cocotb test that stores, uses and attacks tensors behind the engine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import cocotb
import numpy as np
from tensortee.engine.registers import Opcode, Result

from tb.app.attacks import ATTACKS, Outcome, Scene
from tb.app.control import EngineControl, cycle_now
from tb.app.inference import ProtectedInference, initial_contents, tensor_sizes
from tb.app.job import Job, test_key
from tb.app.memory import ProtectedMemory, ProtectionError, Tensor
from tb.app.network import QuantisedNetwork
from tb.app.port import LINE_BYTES, PAGE_BYTES, NpuPort
from tb.app.tiles import stored_bytes
from tb.app.train import load_dataset
from tb.app.user_tensors import load_user_tensors
from tb.dram import Dram, DramTiming

FIRST_BASE = PAGE_BYTES
READ_LATENCY_CYCLES = 40
NPU_IDS = 4
ATTACKED_BYTES = 1 << 16
"""Of a longer tensor only so much is attacked, because every attack loads its tensors anew."""


def place(sizes: dict[str, int], slots: int) -> list[Tensor]:
    """Lay tensors out in DRAM one after the other, a line that belongs to none between them, and number the slots."""
    tensors = []
    base = FIRST_BASE
    for index, (name, nbytes) in enumerate(sizes.items()):
        tensors.append(Tensor(name, index % slots, base, nbytes))
        base += stored_bytes(nbytes) + LINE_BYTES
    return tensors


class MainJob:
    """One simulation: set-up, the work, the record of the sealed tensors, the attacks, the summary.

    Args:
        dut: cocotb handle of the engine.
        job: what to do.
    """

    def __init__(self, dut: Any, job: Job) -> None:
        self.job = job
        self._rng = Random(job.seed)
        self.control = EngineControl(dut)
        self.port = NpuPort(dut, NPU_IDS)
        self.dram = Dram(dut, timing=DramTiming(read_latency=READ_LATENCY_CYCLES), lines_only=True, seed=job.seed)
        self.memory = ProtectedMemory(dut, self.control, self.port, self._rng)
        self.tensors: list[Tensor] = []
        self._records: list[dict[str, Any]] = []
        self._sessions = 0
        self._power_up = b""

    async def start(self, sizes: dict[str, int]) -> bytes:
        """Fill DRAM as power-up leaves it, reset the engine, place the tensors, install the first key."""
        self.tensors = place(sizes, self.job.slots)
        last = self.tensors[-1]
        self._image_bytes = last.base + stored_bytes(last.nbytes) + LINE_BYTES
        self.dram.memory.randomise(0, self._image_bytes, Random(self.job.seed))
        self._power_up = self.dram.memory.peek(0, self._image_bytes)
        self.dram.start()
        await self.control.start()
        return await self._new_session()

    async def _new_session(self) -> bytes:
        key = test_key(self.job.seed, self._sessions, self.control.key_bytes)
        self._sessions += 1
        await self.control.install_key(key)
        return key

    async def record(self, tensors: Sequence[Tensor]) -> None:
        """Note what the engine holds of sealed tensors."""
        for tensor in tensors:
            sealed = await self.memory.sealed_state(tensor)
            self._records.append(
                {
                    "name": tensor.name,
                    "base": tensor.base,
                    "nbytes": tensor.nbytes,
                    "tensor_id": sealed.tensor_id,
                    "version": sealed.version,
                    "iv": sealed.iv,
                    "tag": sealed.tag,
                    "sha256": tensor.sha256,
                }
            )

    def save_image(self) -> None:
        """Write the DRAM image; raises ``ProtectionError`` if a line outside all tensors was written."""
        image = self.dram.memory.peek(0, self._image_bytes)
        start = 0
        for tensor in [*self.tensors, Tensor("end of the image", 0, self._image_bytes, 0)]:
            if image[start : tensor.base] != self._power_up[start : tensor.base]:
                raise ProtectionError(f"DRAM was written outside the tensors, between {start:#x} and {tensor.base:#x}")
            start = tensor.base + stored_bytes(tensor.nbytes)
        self.job.image_file.write_bytes(image)

    async def network(self) -> dict[str, float]:
        """Run the digits network; returns its accuracy with and without protection.

        Raises:
            ProtectionError: the logits differ from those of the same arithmetic without protection.
        """
        network = QuantisedNetwork.load()
        data = load_dataset()
        images, labels = data.test_images[: self.job.images], data.test_labels[: self.job.images]
        by_name = {tensor.name: tensor for tensor in self.tensors}
        for tensor in self.tensors:
            await self.memory.define(tensor)
        await self.memory.step(
            [], {by_name[name]: content for name, content in initial_contents(network, images).items()}
        )
        inference = ProtectedInference(self.memory, by_name, network)
        logits = await inference.run(images, lambda done: self.job.report_progress("inference", done, self.job.images))
        expected = network.logits(images)
        if not np.array_equal(logits, expected):
            raise ProtectionError("the logits differ from those of the network without protection")
        await self.record(self.tensors)
        return {
            "protected": float((logits.argmax(axis=1) == labels).mean()),
            "unprotected": float((expected.argmax(axis=1) == labels).mean()),
        }

    async def store(self, contents: dict[str, bytes]) -> None:
        """Write, read and compare tensors, as many at a time as there are slots.

        Raises:
            ProtectionError: a tensor came back different.
        """
        total = sum(map(len, contents.values()))
        done = 0
        for start in range(0, len(self.tensors), self.job.slots):
            group = self.tensors[start : start + self.job.slots]
            for tensor in group:
                await self.memory.define(tensor)
            for tensor in group:
                await self.memory.step([], {tensor: contents[tensor.name]})
                if await self.memory.read(tensor) != contents[tensor.name]:
                    raise ProtectionError(f"{tensor.name} came back different")
                done += tensor.nbytes
                self.job.report_progress("bytes written and read back", done, total)
            await self.record(group)
            for tensor in group:
                if (result := await self.control.command(Opcode.RELEASE, tensor.slot)) != Result.OK:
                    raise ProtectionError(f"RELEASE of {tensor.name}: {result.name}")

    async def attack(self, contents: dict[str, bytes], victims: Sequence[str]) -> list[Outcome]:
        """Try every attack on two of ``contents``, each in a session of its own in which all were written anew."""
        outcomes = []
        for name, attack in ATTACKS.items():
            await self.control.zeroize()
            await self._new_session()
            tensors = place({name: len(data) for name, data in contents.items()}, self.job.slots)
            by_name = {tensor.name: tensor for tensor in tensors}
            for tensor in tensors:
                await self.memory.define(tensor)
            written = {by_name[name]: data for name, data in contents.items()}
            await self.memory.step([], written)
            scene = Scene(self.memory, self.dram.memory, written, by_name[victims[0]], by_name[victims[1]])
            detected, observed = await attack(scene)
            outcomes.append(Outcome(name, detected, observed))
            self.job.report_progress("attacks", len(outcomes), len(ATTACKS))
        return outcomes

    def summarise(
        self,
        key: bytes,
        cycles: int,
        traffic: dict[str, Any],
        accuracy: dict[str, float] | None,
        victims: Sequence[str],
        outcomes: Sequence[Outcome],
    ) -> None:
        """Write ``summary.json``."""
        summary = {
            "simulator": self.job.simulator,
            "seed": self.job.seed,
            "data_w": self.job.data_w,
            "key": key.hex(),
            "cycles": cycles,
            **traffic,
            "accuracy": accuracy,
            "tensors": self._records,
            "attacked": list(victims),
            "attacks": [vars(outcome) for outcome in outcomes],
        }
        self.job.summary_file.write_text(json.dumps(summary, indent=1) + "\n")

    def traffic(self) -> dict[str, Any]:
        """Return lines and beats per cycle since the start."""
        reads, writes = self.port.reads, self.port.writes
        per_line = LINE_BYTES // self.port.bus_bytes
        return {
            "lines_read": reads.beats // per_line,
            "lines_written": writes.beats // per_line,
            "read_beats_per_cycle": reads.beats_per_cycle,
            "write_beats_per_cycle": writes.beats_per_cycle,
        }


def attacked_contents(contents: dict[str, bytes]) -> dict[str, bytes]:
    """Return what the attacks are tried on: the two shortest tensors of more than one line, of long ones the beginning.

    If there is one such tensor only, a copy of it is the second; if there is none, the result is empty.
    """
    usable = sorted((item for item in contents.items() if len(item[1]) > LINE_BYTES), key=lambda item: len(item[1]))
    chosen = {name: data[:ATTACKED_BYTES] for name, data in usable[:2]}
    if len(chosen) == 1:
        ((name, data),) = chosen.items()
        chosen[f"copy of {name}"] = data
    return chosen


@cocotb.test()
async def main_job(dut: Any) -> None:
    """Run the job that the environment names."""
    job = Job.load()
    main = MainJob(dut, job)
    if job.tensors:
        contents = load_user_tensors(Path(job.tensors)).contents
        key = await main.start({name: len(data) for name, data in contents.items()})
        accuracy = None
        await main.store(contents)
        attacked = attacked_contents(contents)
        victims = tuple(attacked)
    else:
        network = QuantisedNetwork.load()
        key = await main.start(tensor_sizes(network))
        accuracy = await main.network()
        images = load_dataset().test_images
        attacked = initial_contents(network, images)
        victims = ("conv2.weight", "fc.weight")
    cycles, traffic = cycle_now(), main.traffic()
    main.save_image()
    outcomes = await main.attack(attacked, victims) if attacked else []
    main.summarise(key, cycles, traffic, accuracy, victims, outcomes)
