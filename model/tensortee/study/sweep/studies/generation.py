# SPDX-License-Identifier: Apache-2.0
"""Inference beyond the paper: prefill and decoding at several batch sizes, weights on the NPU or offloaded."""

from __future__ import annotations

from tensortee.study.hardware import System
from tensortee.study.npu.simulator import CapacityError
from tensortee.study.report.results import InferenceRow
from tensortee.study.system.inference import SCHEMES, Inference, InferenceScheme, inference
from tensortee.study.workload.catalog import CatalogEntry
from tensortee.study.workload.transformer import inference_workload

BATCHES = (1, 4, 16, 64)
PROMPT_LENGTH = 512
GENERATED_TOKENS = 64


def study_inference(name: str, entry: CatalogEntry, system: System, offloaded_share: float) -> list[InferenceRow]:
    """Prefill and decoding of one model under all schemes, for each batch that fits.

    Args:
        name: name in the catalog.
        entry: model.
        system: hardware.
        offloaded_share: share of the weights that crosses the link in each pass.
    """
    rows: list[InferenceRow] = []
    for batch in BATCHES:
        workload = inference_workload(entry.config, batch, PROMPT_LENGTH, GENERATED_TOKENS)
        try:
            runs: dict[InferenceScheme, Inference] = {
                scheme: inference(
                    workload,
                    system,
                    scheme,
                    batch=batch,
                    prompt_length=PROMPT_LENGTH,
                    decode_passes=GENERATED_TOKENS - 1,
                    offloaded_share=offloaded_share,
                )
                for scheme in SCHEMES
            }
        except CapacityError:
            break
        plain = runs["non-secure"]
        for scheme, run in runs.items():
            for phase, seconds, base in (
                ("prefill", run.prefill.seconds, plain.prefill.seconds),
                ("decode", run.seconds_per_token, plain.seconds_per_token),
            ):
                rows.append(
                    InferenceRow.model_validate(
                        {
                            "model": name,
                            "phase": phase,
                            "batch": batch,
                            "prompt_length": PROMPT_LENGTH,
                            "placement": "offloaded" if offloaded_share else "resident",
                            "scheme": scheme,
                            "seconds": seconds,
                            "overhead": seconds / base - 1,
                        }
                    )
                )
    return rows
