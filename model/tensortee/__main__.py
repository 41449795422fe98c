# SPDX-License-Identifier: Apache-2.0
"""`python -m tensortee` is the command `tensortee`."""

from tensortee.cli import app

app(prog_name="python -m tensortee")
