# SPDX-License-Identifier: Apache-2.0
"""Results as the studies make them, with invented numbers: what reports and figures are tested with."""

from __future__ import annotations

from typing import get_args

from tensortee.study.hardware import System
from tensortee.study.hardware.units import Origin
from tensortee.study.report.results import (
    AdamRow,
    Breakdown,
    ComparisonRow,
    CpuScheme,
    EnergyRow,
    GemmResults,
    InferenceRow,
    InferenceScheme,
    ModelRow,
    NpuMacRow,
    NpuScheme,
    NpusRow,
    OnChipRow,
    PaperResults,
    PcieRow,
    PrintedBreakdownRow,
    Quantity,
    RunResults,
    SchemeRow,
    SpeedupRow,
    SweepPoint,
    SweepResults,
    SystemScheme,
    TensorsLimitRow,
    TornadoRow,
    TransferResults,
    TransferRow,
    input_rows,
)

MODELS = ("GPT", "GPT2-M", "Roberta-L", "BLOOM", "GPT2-L", "BLOOM-800M", "OPT-1.3B", "GPT2-XL", "OPT-2.7B", "LLAMA2-7B")
TIMES: dict[SystemScheme, float] = {"non-secure": 1.0, "sgx+mgx": 3.9, "tensortee": 1.03}
SHARES = (0.6, 0.25, 0.1, 0.05)


def model_row(model: str, scheme: SystemScheme, scale: float = 1.0) -> ModelRow:
    parts = [scale * TIMES[scheme] * share for share in SHARES]
    names = ("npu", "cpu", "comm_weights", "comm_gradients")
    return ModelRow(
        model=model,
        scheme=scheme,
        seconds_per_step=sum(parts),
        breakdown=Breakdown(**dict(zip(names, parts, strict=True))),
    )


def paper() -> PaperResults:
    """All kinds of rows."""
    schemes: tuple[SystemScheme, ...] = get_args(SystemScheme)
    cpu_schemes: tuple[CpuScheme, ...] = get_args(CpuScheme)
    npu_schemes: tuple[NpuScheme, ...] = ("mgx", "tnpu", "seda", "tensor-stall", "tensor-delayed")
    inference_schemes: tuple[InferenceScheme, ...] = get_args(InferenceScheme)
    slow = {"none": 1.0, "sgx": 2.6, "softvn": 1.04, "tenanalyzer": 1.05}
    learning = ((1, 2.5, 2.56), (2, 1.5, 1.56), (5, 1.2, 1.24), (10, 1.1, 1.10), (20, 1.07, 1.08), (40, 1.05, 1.05))
    return PaperResults(
        models=[model_row(model, scheme, 1 + i / 3) for i, model in enumerate(MODELS) for scheme in schemes],
        speedups=[
            SpeedupRow(
                model=model,
                parameters=10**8 * (i + 1),
                batch=20 - i,
                sequence_length=512,
                speedup=1.7 + 0.371 * i,
                overhead=0.0123 + 0.002 * i,
                printed_speedup=None if i % 3 else 2.0 + 0.4 * i,
            )
            for i, model in enumerate(MODELS)
        ],
        adam=[
            *(
                AdamRow(
                    threads=threads,
                    iteration=1,
                    scheme=scheme,
                    time_over_non_secure=1 + (slow[scheme] - 1) * threads**0.3,
                    printed_time_over_non_secure=2.64 if (scheme, threads) == ("sgx", 4) else None,
                )
                for scheme in cpu_schemes[1:3]
                for threads in (1, 2, 4, 8)
            ),
            *(
                AdamRow(
                    threads=4,
                    iteration=iteration,
                    scheme="tenanalyzer",
                    time_over_non_secure=ours,
                    hit_in=1 - 1 / (1 + iteration),
                    hit_all=1 - 0.3 / iteration,
                    printed_time_over_non_secure=quoted,
                )
                for iteration, ours, quoted in learning
            ),
        ],
        npu_mac=[
            *(
                NpuMacRow(
                    granularity_bytes=size,
                    scheme="mac",
                    overhead=0.12 * 64 / size + 0.13 * size / 4096,
                    storage_overhead=7 / size,
                    printed_overhead={64: 0.12, 4096: 0.13}.get(size),
                )
                for size in (64, 128, 256, 512, 1024, 2048, 4096)
            ),
            *(
                NpuMacRow(
                    granularity_bytes=512 if i < 2 else None,
                    scheme=scheme,
                    overhead=0.02 * (i + 1),
                    storage_overhead=0.0,
                )
                for i, scheme in enumerate(npu_schemes)
            ),
        ],
        transfer=TransferResults(
            gradient_speedup=17.3,
            model="GPT2-M",
            rows=[
                TransferRow(scheme="plain", nbytes=10**9, seconds=0.05, exposed_seconds=0.0, stages={"link": 0.05}),
                TransferRow(
                    scheme="staging",
                    nbytes=10**9,
                    seconds=0.9,
                    exposed_seconds=0.9,
                    stages={"decrypt": 0.3, "link": 0.1, "encrypt": 0.5},
                ),
                TransferRow(scheme="direct", nbytes=10**9, seconds=0.052, exposed_seconds=0.01, stages={"link": 0.052}),
            ],
        ),
        gemm=GemmResults(hit_in=0.983, first_hit_in=0.61, printed_hit_in=0.988),
        comparisons=[
            ComparisonRow.of("mean speed-up over SGX+MGX", "×", 4.0, 3.8765, headline=True),
            ComparisonRow.of("overhead over non-secure", "%", 2.1, 2.3456, headline=True),
            ComparisonRow.of("Adam, SGX-like, 4 threads", "×", 2.64, 2.6512, "calibration"),
            ComparisonRow.of("GEMM hit-in <b>", "%", 98.8, 98.3, note="tiles & edges"),
        ],
        printed_breakdown=[
            PrintedBreakdownRow(
                model="GPT2-M", scheme="non-secure", npu=0.65, cpu=0.23, comm_weights=0.09, comm_gradients=0.03
            ),
            PrintedBreakdownRow(
                model="GPT2-M", scheme="sgx+mgx", npu=0.22, cpu=0.25, comm_weights=0.18, comm_gradients=0.35
            ),
        ],
        inference=[
            InferenceRow(
                model="LLAMA2-7B",
                phase=phase,
                batch=batch,
                prompt_length=512,
                placement=placement,
                scheme=scheme,
                seconds=0.1 * batch,
                overhead=0.03 * i * (5 if placement == "offloaded" else 1),
            )
            for phase in ("prefill", "decode")
            for placement in ("resident", "offloaded")
            for batch in (1, 4, 16)
            for i, scheme in enumerate(inference_schemes)
        ],
        moe=[model_row("Mixtral-8x7B", scheme, 9.0) for scheme in schemes],
        pcie=[
            PcieRow(model=model, generation=generation, scheme=scheme, seconds_per_step=TIMES[scheme] + 1 / generation)
            for model in ("GPT2-M", "LLAMA2-7B")
            for generation in (4, 5, 6)
            for scheme in schemes
        ],
        npus=[
            NpusRow(model="GPT2-M", npus=npus, scheme=scheme, seconds_per_step=TIMES[scheme] + 0.2 * npus)
            for npus in (1, 2, 4, 8)
            for scheme in schemes
        ],
        tensors_limit=[
            TensorsLimitRow(
                tensors=tensors, time_over_non_secure=1.05 + 0.5 * (tensors > 512), hit_in=min(1, 512 / tensors)
            )
            for tensors in (128, 256, 512, 1024, 2048)
        ],
        energy=[
            EnergyRow(
                model="GPT2-M", scheme=scheme, event=event, joules=value, joules_low=value / 2, joules_high=2 * value
            )
            for scheme in schemes
            for event, value in (("CPU DRAM", 9.0 * TIMES[scheme]), ("NPU DRAM", 22.5), ("link", 3.1))
        ],
        on_chip=[
            OnChipRow(item="Meta Table", value=17920.0, unit="bytes", origin=Origin.MODELLED, source="fields"),
            OnChipRow(item="TenAnalyzer", value=0.0071, unit="mm2", origin=Origin.MODELLED, printed=0.0072),
        ],
        tornado=[
            TornadoRow(
                conclusion=conclusion,
                unit="×",
                parameter=parameter,
                low=1.0,
                base=2.0,
                high=4.0,
                result_low=base - swing,
                result_base=base,
                result_high=base + swing / 2,
            )
            for conclusion, base in (("mean speed-up", 3.9), ("overhead", 0.021))
            for parameter, swing in (("link.pcie_generation", 0.4), ("cpu.cores", 0.2), ("npu.clock_hz", 0.05))
        ],
        not_modelled=["dropout masks <of the paper>", "paging"],
        inputs=input_rows(System()),
    )


def run() -> RunResults:
    """A user's own question."""
    rows = [
        SchemeRow(
            scheme=scheme,
            seconds=seconds * 1.1,
            parts={"npu": seconds, "comm_weights": seconds * 0.1},
            overhead=seconds - 1,
            details={"hit_in": Quantity(value=0.91, unit="1", text="Share of look-ups inside an entry.")},
        )
        for scheme, seconds in TIMES.items()
    ]
    return RunResults(
        workload="mine & yours",
        mode="training",
        tokens=11264,
        parameters=354_823_168,
        rows=rows,
        not_modelled=["NonZero (2)"],
        assumptions=["sequence length 512"],
        inputs=input_rows(System()),
    )


def sweep() -> SweepResults:
    """Two points that worked and one that did not."""
    return SweepResults(
        points=[
            SweepPoint(parameters={"batch": 1, "workload.model": "GPT"}, key="a" * 64, result=run()),
            SweepPoint(parameters={"batch": 2, "workload.model": "GPT"}, key="b" * 64, result=run()),
            SweepPoint(parameters={"batch": 3, "workload.model": "GPT"}, key="c" * 64, error="ValueError: too <big>"),
        ]
    )
