# SPDX-License-Identifier: Apache-2.0
"""The testbench of the engine: simulation runner, bus agents, memory model, predictor, scoreboard."""
