# SPDX-License-Identifier: Apache-2.0
"""Workloads of the study: what a model computes, as operators with sizes in elements and bytes."""
