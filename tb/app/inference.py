# SPDX-License-Identifier: Apache-2.0
"""Inference of the digits network with every weight, input and activation in DRAM behind the engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tb.app.memory import ProtectedMemory, Tensor
from tb.app.network import CHANNELS_1, CHANNELS_2, CLASSES, FEATURES, Int8, Int32, QuantisedNetwork

BATCH = 60

LAYERS = {
    "conv1": ("conv1.weight", "conv1.bias", "conv1.multiplier"),
    "conv2": ("conv2.weight", "conv2.bias", "conv2.multiplier"),
    "fc": ("fc.weight", "fc.bias"),
}
BUFFERS = {
    "inputs": BATCH * 64,
    "conv1.output": BATCH * CHANNELS_1 * 64,
    "conv2.output": BATCH * FEATURES,
    "logits": BATCH * CLASSES * 4,
}
"""Tensors that are written anew for every batch, and their lengths in bytes."""


def tensor_sizes(network: QuantisedNetwork) -> dict[str, int]:
    """Return the length in bytes of every tensor of the job: parameters, then buffers."""
    return {name: array.nbytes for name, array in network.tensors.items()} | BUFFERS


def initial_contents(network: QuantisedNetwork, images: Int8) -> dict[str, bytes]:
    """Return what the host loads before the first batch: the parameters and the first inputs."""
    contents = {name: array.tobytes() for name, array in network.tensors.items()}
    return contents | {"inputs": images[:BATCH].tobytes()}


class ProtectedInference:
    """Runs batches; every operand of the arithmetic was read through the engine and verified in this batch.

    Reads of the next layer's parameters go on while a layer's output is written.

    Args:
        memory: the engine and its port.
        tensors: all tensors of ``tensor_sizes`` by name, defined; parameters and the first inputs written.
        shapes: network that the parameters belong to; only shapes and dtypes of its tensors are used.
    """

    def __init__(self, memory: ProtectedMemory, tensors: dict[str, Tensor], shapes: QuantisedNetwork) -> None:
        self._memory = memory
        self._tensors = tensors
        self._shapes = {name: (array.shape, array.dtype) for name, array in shapes.tensors.items()}

    async def _step(self, reads: tuple[str, ...], writes: dict[str, bytes]) -> dict[str, bytes]:
        read = await self._memory.step(
            [self._tensors[name] for name in reads], {self._tensors[name]: data for name, data in writes.items()}
        )
        return {tensor.name: data for tensor, data in read.items()}

    def _parameters(self, read: dict[str, bytes]) -> QuantisedNetwork:
        arrays: dict[str, NDArray[Any]] = {}
        for name, (shape, dtype) in self._shapes.items():
            if name in read:
                arrays[name] = np.frombuffer(read[name], dtype).reshape(shape)
        return QuantisedNetwork(arrays)

    async def batch(self, following: Int8 | None) -> Int32:
        """Run the batch that lies in ``inputs``; ``following`` replaces it while the logits are written.

        Returns:
            Logits int32 (BATCH, 10) as read back through the engine.
        """
        read = await self._step((*LAYERS["conv1"], "inputs"), {})
        images = np.frombuffer(read["inputs"], np.int8).reshape(BATCH, 64)
        output = self._parameters(read).conv1(images)

        parameters = await self._step(LAYERS["conv2"], {"conv1.output": output.tobytes()})
        read = await self._step(("conv1.output",), {})
        activations = np.frombuffer(read["conv1.output"], np.int8).reshape(BATCH, CHANNELS_1, 8, 8)
        output = self._parameters(parameters).conv2(activations)

        parameters = await self._step(LAYERS["fc"], {"conv2.output": output.tobytes()})
        read = await self._step(("conv2.output",), {})
        activations = np.frombuffer(read["conv2.output"], np.int8).reshape(BATCH, CHANNELS_2, 4, 4)
        logits = self._parameters(parameters).fc(activations)

        writes = {"logits": logits.tobytes()}
        if following is not None:
            writes["inputs"] = following.tobytes()
        await self._step((), writes)
        read = await self._step(("logits",), {})
        return np.frombuffer(read["logits"], np.int32).reshape(BATCH, CLASSES)

    async def run(self, images: Int8, progress: Callable[[int], None]) -> Int32:
        """Run images int8 (n, 64), n a multiple of ``BATCH``, the first batch already written.

        Args:
            images: all images.
            progress: called with the number of images done after each batch.

        Returns:
            Logits int32 (n, 10).
        """
        if len(images) % BATCH:
            raise ValueError(f"{len(images)} images are not a whole number of batches of {BATCH}")
        logits = []
        for start in range(0, len(images), BATCH):
            end = start + BATCH
            logits.append(await self.batch(images[end : end + BATCH] if end < len(images) else None))
            progress(end)
        return np.concatenate(logits)
