# SPDX-License-Identifier: Apache-2.0
"""The quantised digits network as an NPU computes it: int8 operands, int32 accumulators, NumPy arithmetic.

Layers, in the order of execution (batch n):

======  =====================================  ======================  =========
layer   operation                              output                  dtype
======  =====================================  ======================  =========
conv1   3x3, stride 1, padding 1, ReLU         (n, 16, 8, 8)           int8
conv2   3x3, stride 2, padding 1, ReLU         (n, 32, 4, 4)           int8
fc      fully connected                        (n, 10) logits          int32
======  =====================================  ======================  =========

A convolution's accumulator becomes int8 by ``clip((acc * multiplier + 2^(SHIFT-1)) >> SHIFT, 0, 127)`` with one int32
multiplier for each output channel, so every result is exact and the same on every machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

CHANNELS_1 = 16
CHANNELS_2 = 32
FEATURES = CHANNELS_2 * 16
CLASSES = 10
SHIFT = 24
WEIGHTS_FILE = Path(__file__).with_name("digits_cnn.safetensors")

Int8 = NDArray[np.int8]
Int32 = NDArray[np.int32]


def patches(images: NDArray[Any], stride: int) -> NDArray[Any]:
    """Return the 3x3 patches of images (n, c, size, size), zero padded by one: (n, size/s, size/s, c * 9)."""
    count, channels, size, _ = images.shape
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))[:, :, ::stride, ::stride]
    out = size // stride
    return windows.transpose(0, 2, 3, 1, 4, 5).reshape(count, out, out, channels * 9)


def convolve(images: Int8, weight: Int8, bias: Int32, multiplier: Int32, stride: int) -> Int8:
    """Convolve images int8 (n, c, size, size) with weight int8 (out, c * 9); returns int8 (n, out, size/s, size/s)."""
    inputs = patches(images, stride).astype(np.int32)
    accumulators = inputs @ weight.T.astype(np.int32) + bias
    scaled = (accumulators.astype(np.int64) * multiplier + (1 << (SHIFT - 1))) >> SHIFT
    return np.ascontiguousarray(np.clip(scaled, 0, 127).astype(np.int8).transpose(0, 3, 1, 2))


def connect(features: Int8, weight: Int8, bias: Int32) -> Int32:
    """Return the logits int32 (n, out) of features int8 (n, k) and weight int8 (out, k)."""
    return (features.astype(np.int32) @ weight.T.astype(np.int32) + bias).astype(np.int32)


class QuantisedNetwork:
    """The network with all tensors in plain memory: the unprotected reference.

    Args:
        tensors: ``conv1.weight`` int8 (16, 9), ``conv1.bias`` and ``conv1.multiplier`` int32 (16,), ``conv2.weight``
            int8 (32, 144), ``conv2.bias`` and ``conv2.multiplier`` int32 (32,), ``fc.weight`` int8 (10, 512),
            ``fc.bias`` int32 (10,).
    """

    def __init__(self, tensors: Mapping[str, NDArray[Any]]) -> None:
        self.tensors = dict(tensors)

    @classmethod
    def load(cls, path: Path = WEIGHTS_FILE) -> QuantisedNetwork:
        """Return the network of a weights file that ``tb.app.train`` wrote."""
        return cls(load_file(path))

    def conv1(self, images: Int8) -> Int8:
        """Images int8 (n, 64) to activations int8 (n, 16, 8, 8)."""
        t = self.tensors
        return convolve(
            images.reshape(-1, 1, 8, 8), t["conv1.weight"], t["conv1.bias"], t["conv1.multiplier"], stride=1
        )

    def conv2(self, activations: Int8) -> Int8:
        """Activations int8 (n, 16, 8, 8) to int8 (n, 32, 4, 4)."""
        t = self.tensors
        return convolve(activations, t["conv2.weight"], t["conv2.bias"], t["conv2.multiplier"], stride=2)

    def fc(self, activations: Int8) -> Int32:
        """Activations int8 (n, 32, 4, 4) to logits int32 (n, 10)."""
        return connect(activations.reshape(-1, FEATURES), self.tensors["fc.weight"], self.tensors["fc.bias"])

    def logits(self, images: Int8) -> Int32:
        """Images int8 (n, 64) to logits int32 (n, 10)."""
        return self.fc(self.conv2(self.conv1(images)))

    def accuracy(self, images: Int8, labels: NDArray[np.int64]) -> float:
        """Return the share of images that are classified right, 0 .. 1."""
        return float((self.logits(images).argmax(axis=1) == labels).mean())
