# SPDX-License-Identifier: Apache-2.0
"""Questions to the study: their configuration, one answer, many points, and the studies of the paper's evaluation."""
