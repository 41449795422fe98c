# SPDX-License-Identifier: Apache-2.0
"""A user's own question: one workload on one system under several schemes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import cast

from tensortee.study.npu.simulator import NpuRun, run_workload
from tensortee.study.report.results import Quantity, RunResults, SchemeRow, input_rows
from tensortee.study.sweep.config import Config
from tensortee.study.system.energy import step_energy
from tensortee.study.system.inference import InferenceScheme, inference
from tensortee.study.system.step import StepScheme, training_step
from tensortee.study.workload import catalog, huggingface, layer_table
from tensortee.study.workload.architecture import TransformerConfig
from tensortee.study.workload.backward import with_backward
from tensortee.study.workload.footprint import inference_footprint, training_footprint
from tensortee.study.workload.operators import Workload
from tensortee.study.workload.schedule import npu_training_workload
from tensortee.study.workload.transformer import inference_workload, training_workload

SEQUENCE_LENGTH = 512
PROMPT_LENGTH = 512
GENERATED_TOKENS = 128
"""Defaults for a model that is not of the catalogue."""


@dataclass(frozen=True, slots=True)
class Question:
    """A workload, and the lengths that inference needs to know.

    Attributes:
        workload: what is executed.
        batch: sequences.
        prompt_length: tokens of a prompt.
        decode_passes: forward passes behind the prefill.
    """

    workload: Workload
    batch: int = 1
    prompt_length: int = 1
    decode_passes: int = 0


def run(config: Config, progress: Callable[[int, int], None] | None = None) -> RunResults:
    """Answer a question.

    Args:
        config: the question.
        progress: called with the schemes that are done and all schemes.

    Raises:
        ValueError: the workload cannot be read, or does not fit on the system.
        OSError: a file of the workload cannot be read.
        ConservationError: a result breaks a conservation law.
    """
    question = question_of(config)
    workload = question.workload
    rows: list[SchemeRow] = []
    for scheme in config.schemes_to_run:
        if progress:
            progress(len(rows), len(config.schemes_to_run))
        parts, details = _answer(question, config, scheme)
        seconds = sum(parts.values())
        plain = rows[0].seconds if rows else seconds
        rows.append(
            SchemeRow(scheme=scheme, seconds=seconds, parts=parts, overhead=seconds / plain - 1, details=details)
        )
    return RunResults(
        workload=workload.name,
        mode=config.mode,
        tokens=workload.tokens,
        parameters=workload.parameter_elements,
        rows=rows,
        not_modelled=list(workload.unmodelled),
        assumptions=list(workload.assumptions),
        inputs=input_rows(config.system),
    )


def question_of(config: Config) -> Question:
    """Read the workload that a configuration names.

    Raises:
        ValueError: it cannot be read.
        OSError: a file cannot be read.
    """
    source = config.workload
    if source.onnx is not None:
        from tensortee.study.workload import onnx_import  # here: only this needs the library of ONNX

        return Question(_in_mode(onnx_import.load_workload(source.onnx, dimensions=source.dimensions), config))
    if source.layers is not None:
        return Question(_in_mode(layer_table.load_workload(source.layers), config))
    return _transformer(config)


def _in_mode(forward: Workload, config: Config) -> Workload:
    """What a mode makes of one forward pass: with the gradients, with the optimizer too, or as the prefill."""
    match config.mode:
        case "training":
            return with_backward(forward)
        case "npu-training":
            return npu_training_workload(with_backward(forward, offload=False))
        case "inference":
            passes = [replace(part, phase="prefill") if part.phase == "forward" else part for part in forward.passes]
            return replace(forward, passes=tuple(passes))


def _transformer(config: Config) -> Question:
    source = config.workload
    if source.model is not None:
        entry = catalog.entry(source.model)
        architecture, batch, length = entry.config, entry.batch, entry.sequence_length
    else:
        assert source.huggingface is not None
        architecture, batch = huggingface.load_config(source.huggingface), 1
        length = min(SEQUENCE_LENGTH, architecture.max_positions)
    batch = config.batch or batch
    if config.mode == "inference":
        generated = config.generated_tokens
        if generated is None:
            generated = GENERATED_TOKENS if architecture.decoder else 0
        steps = max(0, generated - 1)
        prompt = config.prompt_length or max(1, min(PROMPT_LENGTH, architecture.max_positions - steps))
        _warn_of_positions(architecture, prompt + steps)
        answer = inference_workload(architecture, batch, prompt, generated, attention=config.attention)
        needed = inference_footprint(architecture, batch, prompt + steps)
        resident = needed.total - (config.offloaded_share or 0.0) * needed.weights
        return Question(_noting_size(answer, resident, config), batch, prompt, steps)
    length = config.sequence_length or length
    _warn_of_positions(architecture, length)
    offload = config.mode == "training"
    workload = training_workload(
        architecture, batch, length, attention=config.attention, dropout=config.dropout, offload=offload
    )
    needed = training_footprint(
        architecture,
        batch,
        length,
        attention=config.attention,
        dropout=config.dropout,
        offload=offload,
        bucket_elements=config.system.gradient_bucket_elements,
    )
    return Question(_noting_size(workload if offload else npu_training_workload(workload), needed.total, config))


def _warn_of_positions(architecture: TransformerConfig, tokens: int) -> None:
    if tokens > architecture.max_positions:
        warnings.warn(
            f"{architecture.name} has positions for {architecture.max_positions} tokens, a sequence has {tokens}",
            stacklevel=2,
        )


def _noting_size(workload: Workload, needed: float, config: Config) -> Workload:
    """Say that the data does not fit on the NPU, if so: the times then hold for an NPU with more memory."""
    capacity = config.system.npu.dram_capacity_bytes
    if needed <= capacity:
        return workload
    text = f"swapping: the data takes at least {needed / 1e9:.1f} GB, the NPU's memory has {capacity / 1e9:.1f} GB"
    warnings.warn(f"{workload.name} does not fit on the NPU, the times leave out {text}", stacklevel=2)
    return replace(workload, unmodelled=(text, *workload.unmodelled))


def _answer(question: Question, config: Config, scheme: str) -> tuple[dict[str, float], dict[str, Quantity]]:
    """Parts of the time under one scheme, and what else is known."""
    match config.mode:
        case "training":
            return _training(question, config, cast(StepScheme, scheme))
        case "npu-training":
            run = run_workload(question.workload.passes, config.system.npu, scheme)
            return run.by_phase, dict(_npu_details(run))
        case "inference":
            return _inference(question, config, cast(InferenceScheme, scheme))


def _training(question: Question, config: Config, scheme: StepScheme) -> tuple[dict[str, float], dict[str, Quantity]]:
    workload = question.workload
    step = training_step(workload, config.system, scheme, threads=config.threads)
    energy = step_energy(step, workload, config.system)
    moved = sum(part.nbytes for part in (*step.gradients, *step.weights)) * step.npus
    details = {
        "tokens_per_second": Quantity(value=step.tokens / step.seconds, unit="tokens/s", text="All NPUs."),
        "link_bytes": Quantity(value=moved, unit="bytes", text="Over all links."),
        "energy": Quantity(value=energy.total, unit="J", text="Memory, links, cryptography, arithmetic of the NPUs."),
        "energy_low": Quantity(value=sum(energy.joules_low.values()), unit="J", text="Lowest quoted energies."),
        "energy_high": Quantity(value=sum(energy.joules_high.values()), unit="J", text="Highest quoted energies."),
        **dict(_npu_details(step.npu)),
    }
    if scheme == "tensortee":
        details["hit_in"] = Quantity(value=step.adam.hit_in, unit="1", text="Adam's read look-ups inside an entry.")
    return step.breakdown, details


def _inference(
    question: Question, config: Config, scheme: InferenceScheme
) -> tuple[dict[str, float], dict[str, Quantity]]:
    answer = inference(
        question.workload,
        config.system,
        scheme,
        batch=question.batch,
        prompt_length=question.prompt_length,
        decode_passes=question.decode_passes,
        offloaded_share=config.offloaded_share or 0.0,
        threads=config.threads,
    )
    details = {
        "seconds_per_token": Quantity(
            value=answer.seconds_per_token, unit="s", text="One token for each sequence, after the prompt."
        ),
        "exposed_link": Quantity(
            value=answer.prefill.exposed_seconds + answer.decode.exposed_seconds,
            unit="s",
            text="Time of the link that the NPU does not hide.",
        ),
        **dict(_npu_details(answer.npu)),
    }
    return {"prefill": answer.prefill.seconds, "decode": answer.decode.seconds}, details


def _npu_details(run: NpuRun) -> Iterator[tuple[str, Quantity]]:
    moved = run.read_bytes + run.write_bytes
    yield "npu_dram_bytes", Quantity(value=moved, unit="bytes", text="To and from the DRAM of one NPU.")
    yield "npu_metadata_bytes", Quantity(value=run.metadata_bytes, unit="bytes", text="Of these, MACs and versions.")
    yield "npu_stall", Quantity(value=run.stall_seconds, unit="s", text="DMA waits for protection.")
    yield "npu_metadata_storage", Quantity(value=run.storage_bytes, unit="bytes", text="If all DRAM is protected.")
