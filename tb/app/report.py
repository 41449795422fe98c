# SPDX-License-Identifier: Apache-2.0
"""Tables of the main job, and its verdict."""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tb.app.port import STREAM_BEATS
from tb.app.tiles import stored_bytes

SHOWN_DIGITS = 12
SHOWN_CHARACTERS = 40


def shortened(name: str) -> str:
    """Return a name in at most ``SHOWN_CHARACTERS`` characters: of a longer one its beginning and its end."""
    if len(name) <= SHOWN_CHARACTERS:
        return name
    end = (SHOWN_CHARACTERS - 2) // 2
    return f"{name[: SHOWN_CHARACTERS - 2 - end]}..{name[-end:]}"


def tensor_table(summary: dict[str, Any]) -> Table:
    """Return the table of sealed tensors."""
    # Narrow, so that usual names fit into 80 columns; only the name may wrap.
    table = Table(title="Tensors in DRAM", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("name", overflow="fold")
    for column in ("base", "bytes", "lines", "tensor_id", "version"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("tag on chip", no_wrap=True)
    for tensor in summary["tensors"]:
        table.add_row(
            Text(shortened(tensor["name"])),
            f"{tensor['base']:#x}",
            str(tensor["nbytes"]),
            str(stored_bytes(tensor["nbytes"]) // 64),
            f"{tensor['tensor_id']:#x}",
            str(tensor["version"]),
            f"{tensor['tag'][:SHOWN_DIGITS]}..",
        )
    return table


def totals_table(summary: dict[str, Any]) -> Table:
    """Return the table of totals."""
    table = Table(
        title="Totals",
        title_justify="left",
        show_header=False,
        caption="Beats per cycle count from the first beat of a transfer to its last, so they include how an epoch or "
        f"window starts; transfers of fewer than {STREAM_BEATS} beats are left out.",
        caption_justify="left",
    )
    table.add_column()
    table.add_column(justify="right")
    table.add_row("simulator, data bus", f"{summary['simulator']}, {summary['data_w']} bit")
    table.add_row("seed", str(summary["seed"]))
    table.add_row("clock cycles", str(summary["cycles"]))
    for direction, moved in (("read", "lines_read"), ("write", "lines_written")):
        table.add_row(f"lines, {direction}", str(summary[moved]))
        rate = summary[f"{direction}_beats_per_cycle"]
        table.add_row(f"beats per cycle, {direction}", "-" if rate is None else f"{rate:.3f}")
    if summary["accuracy"] is not None:
        table.add_row("accuracy with protection", f"{summary['accuracy']['protected']:.4f}")
        table.add_row("accuracy without protection", f"{summary['accuracy']['unprotected']:.4f}")
    return table


def attack_table(summary: dict[str, Any]) -> Table:
    """Return the table of attacks."""
    victims = " and ".join(map(shortened, summary["attacked"]))
    title = Text(f"Attacks on {victims}, each in a fresh session", style="table.title")
    table = Table(title=title, title_justify="left")
    table.add_column("attack", no_wrap=True)
    table.add_column("detected")
    table.add_column("what the registers, pins and responses showed")
    for attack in summary["attacks"]:
        table.add_row(attack["name"], "yes" if attack["detected"] else "[bold red]NO[/]", attack["observed"])
    return table


def verdict(summary: dict[str, Any], image_problems: list[str], forgery_found: bool) -> list[str]:
    """Return why the run failed, one line for each reason; empty if it passed.

    Args:
        summary: contents of ``summary.json``.
        image_problems: what the third-party check of the DRAM image found.
        forgery_found: the same check rejected the image with one bit flipped.
    """
    reasons = [f"DRAM image: {problem}" for problem in image_problems]
    if not summary["tensors"]:
        reasons.append("no tensor was sealed")
    if not forgery_found:
        reasons.append("the check of the DRAM image accepted an image with a flipped bit")
    reasons += [f"attack not detected: {attack['name']}" for attack in summary["attacks"] if not attack["detected"]]
    accuracy = summary["accuracy"]
    if accuracy is not None and accuracy["protected"] != accuracy["unprotected"]:
        reasons.append("protection changed the accuracy")
    return reasons


def print_report(console: Console, summary: dict[str, Any]) -> None:
    """Print all tables."""
    console.print(tensor_table(summary))
    console.print(totals_table(summary))
    if summary["attacks"]:
        console.print(attack_table(summary))
