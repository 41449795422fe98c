# SPDX-License-Identifier: Apache-2.0
"""Tests of ``tensortee_engine`` that run inside the simulator."""
