# SPDX-License-Identifier: Apache-2.0
"""Check the form of the source files; part of ``make lint``.

Every source file names its licence. Every Verilog file of the design holds one module with the file's name, forbids
implicit nets, and restores the defaults at its end, so that the order of files on a command line does not matter.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SPDX = "SPDX-License-Identifier: Apache-2.0"
SUFFIXES = {".py", ".v", ".vh", ".vlt", ".f", ".core", ".rdl", ".yaml", ".toml", ".h", ".sh", ".js", ".css", ".html"}
NAMES = {"Makefile", ".gitignore"}
FOLDERS_OF_SCRIPTS = {".ci", "scripts"}


def source_files() -> list[Path]:
    """Source files under version control, or about to be."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    paths = [Path(line) for line in listing.splitlines()]
    return [
        path
        for path in paths
        if (ROOT / path).is_file()
        and (
            path.suffix in SUFFIXES or path.name in NAMES or (path.suffix == "" and path.parts[0] in FOLDERS_OF_SCRIPTS)
        )
    ]


def problems_of_verilog(path: Path, text: str) -> list[str]:
    """What is wrong with the form of one Verilog file of the design."""
    problems = []
    code = re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)
    modules = re.findall(r"^\s*module\s+(\w+)", code, flags=re.MULTILINE)
    if modules != [path.stem]:
        problems.append(f"{path}: holds the modules {modules}, expected only {path.stem}")
    before, _, after = code.partition("endmodule")
    head, tail = (re.findall(r"`(resetall|default_nettype\s+\w+)\b", part) for part in (before, after))
    if not head or head[-1].split() != ["default_nettype", "none"]:
        problems.append(f"{path}: does not have `default_nettype none before its module")
    if not tail or (tail[-1] != "resetall" and tail[-1].split() != ["default_nettype", "wire"]):
        problems.append(f"{path}: does not end with `resetall or `default_nettype wire")
    return problems


def main() -> int:
    """Command line entry."""
    problems = []
    files = source_files()
    for path in files:
        text = (ROOT / path).read_text()
        if text and SPDX not in text[:1000]:
            problems.append(f"{path}: has no line '{SPDX}' near its beginning")
        if path.suffix == ".v" and path.parts[0] == "rtl":
            problems += problems_of_verilog(path, text)
    for problem in problems:
        print(f"headers: {problem}", file=sys.stderr)
    print(f"headers: {len(files)} files, {len(problems)} problems")
    return 1 if problems or not files else 0


if __name__ == "__main__":
    sys.exit(main())
