# SPDX-License-Identifier: Apache-2.0
"""Studies: the paper's evaluation, what lies beyond it, and what the conclusions depend on."""
