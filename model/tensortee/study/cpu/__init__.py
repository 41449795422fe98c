# SPDX-License-Identifier: Apache-2.0
"""CPU of the study: kernels, last-level cache, memory protection with TenAnalyzer, DRAM timing."""
