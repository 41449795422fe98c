# SPDX-License-Identifier: Apache-2.0
"""The command `tensortee`: its options and all command groups."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from tensortee.checkpoint.keys import KEY_ENVIRONMENT_VARIABLE
from tensortee.cli.checkpoint import info, seal, unseal, verify
from tensortee.cli.keys import keygen

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich help shows a flag as if it took a value
    help="Seal safetensors checkpoints with AES-GCM, tensor by tensor; open and verify them. Model protected systems.",
    epilog=f"The key comes from --key-file or from the environment variable {KEY_ENVIRONMENT_VARIABLE}.",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"tensortee {version('tensortee')}")
        raise typer.Exit


@app.callback()
def main(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Options that stand before a command."""


for command in (keygen, seal, unseal, verify, info):
    app.command()(command)


@app.command(add_help_option=False, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def study(context: typer.Context) -> None:
    """Model protected training and inference. See `tensortee study --help`."""
    from tensortee.cli.study import app as study_app  # only here: the other commands start without it

    study_app(context.args, prog_name=context.command_path)
