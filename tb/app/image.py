# SPDX-License-Identifier: Apache-2.0
"""Opens the DRAM image of a run with a third-party AES-GCM: nothing of this project takes part in the check."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from Crypto.Cipher import AES


def check_image(image: bytes, summary: Path) -> list[str]:
    """Open every tensor of a DRAM image with PyCryptodome.

    Args:
        image: raw DRAM image, offset 0 = address 0.
        summary: ``summary.json`` of the run.

    Returns:
        One line for each tensor that does not open or opens to other bytes than were written; empty if all is well.
    """
    run = json.loads(summary.read_text())
    problems = []
    for tensor in run["tensors"]:
        ciphertext = image[tensor["base"] : tensor["base"] + tensor["nbytes"]]
        cipher = AES.new(bytes.fromhex(run["key"]), AES.MODE_GCM, nonce=bytes.fromhex(tensor["iv"]))
        try:
            plaintext = cipher.decrypt_and_verify(ciphertext, bytes.fromhex(tensor["tag"]))
        except ValueError as error:
            problems.append(f"{tensor['name']}: {error}")
            continue
        if hashlib.sha256(plaintext).hexdigest() != tensor["sha256"]:
            problems.append(f"{tensor['name']}: opens, but not to what was written")
    return problems
