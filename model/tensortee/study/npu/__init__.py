# SPDX-License-Identifier: Apache-2.0
"""NPU of the study: systolic array with a scratchpad, DRAM, and the schemes that protect the DRAM."""
