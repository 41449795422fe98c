# SPDX-License-Identifier: Apache-2.0
"""Trains and quantises the convolutional network that the main job runs, on scikit-learn's digits.

``python -m tb.app.train`` trains in float64 NumPy with a fixed seed (some ten seconds), quantises to int8 and writes
``tb/app/digits_cnn.safetensors``; ``--check`` compares a new training with that file instead. Training is
deterministic; on a different processor the order of floating-point sums may move a weight by one step of its grid,
which ``--check`` allows.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from tb.app.network import CHANNELS_1, CHANNELS_2, CLASSES, FEATURES, SHIFT, WEIGHTS_FILE, QuantisedNetwork, patches

Floats = NDArray[np.float64]
Parameters = dict[str, NDArray[np.int8] | NDArray[np.int32]]

TRAINING_SEED = 20
TEST_SHARE = 0.2
EPOCHS = 30
BATCH = 48
RATE = 2e-3
WEIGHT_DECAY = 1e-4
PIXEL_STEPS = 7  # a pixel 0 .. 16 becomes an int8 0 .. 112


@dataclass(frozen=True)
class Digits:
    """Images int8 (n, 64), pixel rows from top to bottom, values 0 .. 112; labels int64 (n,)."""

    train_images: NDArray[np.int8]
    train_labels: NDArray[np.int64]
    test_images: NDArray[np.int8]
    test_labels: NDArray[np.int64]


def load_dataset() -> Digits:
    """Return the digits, split into a training set and a stratified test set that training never sees."""
    digits = load_digits()
    images = (digits.data * PIXEL_STEPS).astype(np.int8)
    labels = digits.target.astype(np.int64)
    train_x, test_x, train_y, test_y = train_test_split(
        images, labels, test_size=TEST_SHARE, random_state=TRAINING_SEED, stratify=labels
    )
    return Digits(train_x, train_y, test_x, test_y)


def _initial(rng: np.random.Generator) -> dict[str, Floats]:
    shapes = {"conv1": (CHANNELS_1, 9), "conv2": (CHANNELS_2, 9 * CHANNELS_1), "fc": (CLASSES, FEATURES)}
    params: dict[str, Floats] = {}
    for name, shape in shapes.items():
        params[f"{name}.weight"] = rng.normal(0.0, np.sqrt(2.0 / shape[1]), shape)
        params[f"{name}.bias"] = np.zeros(shape[0])
    return params


def _unpatch(gradient: Floats, channels: int, size: int, stride: int) -> Floats:
    """Sum the gradients of 3x3 patches (n, size/s, size/s, channels * 9) back into (n, channels, size, size)."""
    out = size // stride
    blocks = gradient.reshape(-1, out, out, channels, 3, 3)
    image = np.zeros((len(blocks), channels, size + 2, size + 2))
    for row in range(3):
        for column in range(3):
            image[:, :, row : row + size : stride, column : column + size : stride] += blocks[
                :, :, :, :, row, column
            ].transpose(0, 3, 1, 2)
    return image[:, :, 1:-1, 1:-1]


def _forward(params: dict[str, Floats], images: Floats) -> tuple[Floats, ...]:
    """Return patches 1, activation 1 (n, 8, 8, C1), patches 2, activation 2 (n, 4, 4, C2), logits (n, 10)."""
    in1 = patches(images.reshape(-1, 1, 8, 8), stride=1)
    act1 = np.maximum(in1 @ params["conv1.weight"].T + params["conv1.bias"], 0.0)
    in2 = patches(act1.transpose(0, 3, 1, 2), stride=2)
    act2 = np.maximum(in2 @ params["conv2.weight"].T + params["conv2.bias"], 0.0)
    flat = act2.transpose(0, 3, 1, 2).reshape(-1, FEATURES)
    return in1, act1, in2, act2, flat @ params["fc.weight"].T + params["fc.bias"]


def _gradients(params: dict[str, Floats], images: Floats, labels: NDArray[np.int64]) -> dict[str, Floats]:
    """Gradients of the mean cross-entropy."""
    in1, act1, in2, act2, logits = _forward(params, images)
    scores = np.exp(logits - logits.max(axis=1, keepdims=True))
    scores /= scores.sum(axis=1, keepdims=True)
    scores[np.arange(len(labels)), labels] -= 1.0
    scores /= len(labels)
    flat = act2.transpose(0, 3, 1, 2).reshape(-1, FEATURES)
    grads = {"fc.weight": scores.T @ flat, "fc.bias": scores.sum(axis=0)}
    back2 = (scores @ params["fc.weight"]).reshape(-1, CHANNELS_2, 4, 4).transpose(0, 2, 3, 1) * (act2 > 0)
    grads["conv2.weight"] = np.tensordot(back2, in2, axes=([0, 1, 2], [0, 1, 2]))
    grads["conv2.bias"] = back2.sum(axis=(0, 1, 2))
    back1 = _unpatch(back2 @ params["conv2.weight"], CHANNELS_1, 8, 2).transpose(0, 2, 3, 1) * (act1 > 0)
    grads["conv1.weight"] = np.tensordot(back1, in1, axes=([0, 1, 2], [0, 1, 2]))
    grads["conv1.bias"] = back1.sum(axis=(0, 1, 2))
    return grads


def _shifted(images: Floats, rng: np.random.Generator) -> Floats:
    """Move each image by up to one pixel in each direction."""
    square = np.pad(images.reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)))
    offsets = rng.integers(0, 3, (len(square), 2))
    moved = [image[y : y + 8, x : x + 8] for image, (y, x) in zip(square, offsets, strict=True)]
    return np.stack(moved).reshape(-1, 64)


def train_float(images: Floats, labels: NDArray[np.int64]) -> dict[str, Floats]:
    """Train by Adam on images (n, 64) scaled to 0 .. 1, moved by up to a pixel; returns float64 parameters."""
    rng = np.random.default_rng(TRAINING_SEED)
    params = _initial(rng)
    mean = {name: np.zeros_like(value) for name, value in params.items()}
    square = {name: np.zeros_like(value) for name, value in params.items()}
    step = 0
    for epoch in range(EPOCHS):
        rate = RATE * 0.5 * (1.0 + np.cos(np.pi * epoch / EPOCHS))
        for batch in _batches(len(images), rng):
            step += 1
            grads = _gradients(params, _shifted(images[batch], rng), labels[batch])
            for name, grad in grads.items():
                mean[name] = 0.9 * mean[name] + 0.1 * grad
                square[name] = 0.999 * square[name] + 0.001 * grad**2
                estimate = mean[name] / (1 - 0.9**step)
                scale = np.sqrt(square[name] / (1 - 0.999**step)) + 1e-8
                params[name] -= rate * (estimate / scale + WEIGHT_DECAY * params[name])
    return params


def _batches(count: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    order = rng.permutation(count)
    for start in range(0, count, BATCH):
        yield order[start : start + BATCH]


def float_accuracy(params: dict[str, Floats], images: NDArray[np.int8], labels: NDArray[np.int64]) -> float:
    """Return the share of images that the float network classifies right, 0 .. 1."""
    logits = _forward(params, images / (16.0 * PIXEL_STEPS))[-1]
    return float((logits.argmax(axis=1) == labels).mean())


def quantise(params: dict[str, Floats], images: NDArray[np.int8]) -> Parameters:
    """Quantise symmetrically: int8 weights for each output channel, int32 biases, fixed-point multipliers.

    Args:
        params: float64 parameters of ``train_float``.
        images: training images (n, 64); the 99.9 % quantile of each layer's output becomes the int8 value 127.

    Returns:
        The tensors of ``QuantisedNetwork``.
    """
    _, act1, _, act2, _ = _forward(params, images / (16.0 * PIXEL_STEPS))
    input_step = 1.0 / (16.0 * PIXEL_STEPS)
    steps = {"conv1": float(np.quantile(act1, 0.999)) / 127.0, "conv2": float(np.quantile(act2, 0.999)) / 127.0}
    out: Parameters = {}
    for name in ("conv1", "conv2"):
        weight = params[f"{name}.weight"]
        grid = np.abs(weight).max(axis=1, keepdims=True) / 127.0
        accumulator_step = grid[:, 0] * input_step
        out[f"{name}.weight"] = np.rint(weight / grid).astype(np.int8)
        out[f"{name}.bias"] = np.rint(params[f"{name}.bias"] / accumulator_step).astype(np.int32)
        out[f"{name}.multiplier"] = np.rint(accumulator_step / steps[name] * 2**SHIFT).astype(np.int32)
        input_step = steps[name]
    weight = params["fc.weight"]
    grid_fc = np.abs(weight).max() / 127.0
    out["fc.weight"] = np.rint(weight / grid_fc).astype(np.int8)
    out["fc.bias"] = np.rint(params["fc.bias"] / (grid_fc * input_step)).astype(np.int32)
    return out


def differences(new: Parameters, stored: Parameters) -> int:
    """Return the number of values that differ.

    Raises:
        ValueError: the tensors differ in name, shape or dtype, or an int8 weight differs by more than one step.
    """
    if {n: (t.shape, t.dtype) for n, t in new.items()} != {n: (t.shape, t.dtype) for n, t in stored.items()}:
        raise ValueError("the file holds other tensors than training makes: run `python -m tb.app.train`")
    count = 0
    for name, tensor in new.items():
        distance = np.abs(tensor.astype(np.int64) - stored[name].astype(np.int64))
        count += int(np.count_nonzero(distance))
        if tensor.dtype == np.int8 and distance.max() > 1:
            raise ValueError(f"{name}: the file is not what training makes: run `python -m tb.app.train`")
    return count


def main(argv: list[str] | None = None) -> int:
    """Train, then write or check the weights file; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tb.app.train", description="Train and quantise the digits network."
    )
    parser.add_argument("-o", "--output", type=Path, default=WEIGHTS_FILE, help="weights file to write")
    parser.add_argument("--check", action="store_true", help="compare with the weights file instead of writing it")
    args = parser.parse_args(argv)
    data = load_dataset()
    params = train_float(data.train_images / (16.0 * PIXEL_STEPS), data.train_labels)
    tensors = quantise(params, data.train_images)
    network = QuantisedNetwork(tensors)
    print(f"test images: {len(data.test_labels)}")
    print(f"accuracy, float64: {float_accuracy(params, data.test_images, data.test_labels):.4f}")
    print(f"accuracy, int8:    {network.accuracy(data.test_images, data.test_labels):.4f}")
    if args.check:
        try:
            count = differences(tensors, load_file(args.output))
        except (OSError, ValueError) as error:
            print(f"train: {error}", file=sys.stderr)
            return 1
        print(f"{args.output}: reproduced, {count} values differ by one step")
        return 0
    save_file(tensors, args.output, metadata={"made_by": "python -m tb.app.train"})
    print(f"written: {args.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
