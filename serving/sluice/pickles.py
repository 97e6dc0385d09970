"""Finds pickles in a package. Reading one runs whatever its author wrote, so a package holds none, under any name.

Nothing in Sluice would load it. But a package is handed on, and the next one to open it may.
"""

from __future__ import annotations

import os
import pickle
import pickletools
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import IO

from sluice.failures import PackageError, Reason

SUFFIXES = frozenset({".pkl", ".pickle", ".joblib", ".dill", ".pt", ".pth", ".ckpt"})
"""Names that Python's frameworks give to pickles."""

COMPRESSIONS = frozenset({".gz", ".bz2", ".xz", ".z", ".lzma", ".zst"})

_HEAD = 512
"""Bytes in which each of the formats says what it is."""

_PROTOCOLS = range(2, pickle.HIGHEST_PROTOCOL + 1)
"""Those that begin with a header; older ones are text, which only the name tells."""

_DIRECTORY = 1024**2
"""Bytes at the end of a zip file in which its entries are listed: some 10,000 of them."""

_ENTRY = re.compile(rb"PK\x01\x02.{24}(..).{16}", re.DOTALL)
"""What comes before an entry's name; its length is told on the way (APPNOTE 4.3.12)."""

_OPCODES = frozenset(code.code.encode("latin-1") for code in pickletools.opcodes)


def refuse_pickles(folder: Path, files: Iterable[str]) -> None:
    """Check the files of a package, named relative to its folder.

    Raises:
        PackageError: InvalidPackage, naming the file.
    """
    for path in files:
        if _has_the_name_of_one(path) or _begins_as_one(folder / path):
            raise PackageError(
                Reason.INVALID_PACKAGE,
                f"{path!r} is a pickle, which runs code when it is read; a package holds none: export the model to "
                "ONNX, and keep other data as JSON, YAML or plain arrays",
            )


def _has_the_name_of_one(path: str) -> bool:
    suffixes = [suffix.lower() for suffix in PurePosixPath(path).suffixes]
    if suffixes and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
    return bool(suffixes) and suffixes[-1] in SUFFIXES


def _begins_as_one(path: Path) -> bool:
    with open(path, "rb") as file:
        head = file.read(_HEAD)
        # Weights are any bytes: the header's two alone would refuse one file of random numbers in 13,000.
        pickled = head[:1] == pickle.PROTO and head[1:2] and head[1] in _PROTOCOLS and head[2:3] in _OPCODES
        objects = head.startswith(b"\x93NUMPY") and b"'descr': '|O'" in head  # an array of Python objects
        return bool(pickled or objects or (head.startswith(b"PK\x03\x04") and _holds_one(file)))


def _holds_one(archive: IO[bytes]) -> bool:
    """Whether a zip file, as PyTorch writes, lists a pickle. Read by hand: its directory may say that it is endless."""
    archive.seek(0, os.SEEK_END)
    archive.seek(max(0, archive.tell() - _DIRECTORY))
    end = archive.read(_DIRECTORY)
    for entry in _ENTRY.finditer(end):
        length = int.from_bytes(entry[1], "little")
        if _has_the_name_of_one(end[entry.end() : entry.end() + length].decode("utf-8", "replace")):
            return True
    return False
