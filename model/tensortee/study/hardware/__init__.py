# SPDX-License-Identifier: Apache-2.0
"""Hardware of the study: its parameters with their sources, the engine's measured figures, the laws a result keeps."""

from tensortee.study.hardware.parameters import (
    LINE_BYTES,
    PCIE_BYTES_PER_SECOND_PER_LANE,
    Cpu,
    Ddr,
    Energy,
    Link,
    Npu,
    System,
)

__all__ = [
    "LINE_BYTES",
    "PCIE_BYTES_PER_SECOND_PER_LANE",
    "Cpu",
    "Ddr",
    "Energy",
    "Link",
    "Npu",
    "System",
]
