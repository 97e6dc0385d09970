"""Finds pickles in a package. Reading one runs whatever its author wrote, so a package holds none, under any name.

Nothing in Sluice would load it. But a package is handed on, and the next one to open it may.
"""

from __future__ import annotations

import ast
import os
import pickle
import pickletools
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from sluice.failures import PackageError, Reason

SUFFIXES = frozenset({".pkl", ".pickle", ".joblib", ".dill", ".pt", ".pth", ".ckpt"})
"""Names that Python's frameworks give to pickles."""

COMPRESSIONS = frozenset({".gz", ".bz2", ".xz", ".z", ".lzma", ".zst"})

_HEAD = 12 + 10_000
"""Bytes in which each of the formats says what it is. NumPy by itself reads no longer header of an array."""

_PROTOCOLS = range(2, pickle.HIGHEST_PROTOCOL + 1)
"""Those that begin with a header; older ones are text, which only the name tells."""

_DIRECTORY = 1024**2
"""Bytes at the end of a zip file in which its entries are listed: some 10,000 of them."""

_END = b"PK\x05\x06"
_LARGE_END = b"PK\x06\x06"
_SAID_ELSEWHERE = 0xFFFFFFFF
_END_BYTES = 22 + 65535
"""The record at the end of a zip file, the one of large files, and the bytes in which the first lies."""

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
                f"{path!r} is a pickle, holds one, or cannot be looked through for one. A pickle runs code when it is "
                "read, and a package holds none: export the model to ONNX, keep other data as JSON or plain arrays",
            )


def _has_the_name_of_one(path: str) -> bool:
    suffixes = [suffix.lower() for suffix in PurePosixPath(path).suffixes]
    if suffixes and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
    return bool(suffixes) and suffixes[-1] in SUFFIXES


def _begins_as_one(path: Path) -> bool:
    with open(path, "rb") as file:
        head = file.read(4)
        file.seek(0)
        return _reads_as_one(file) or _holds_one(file, head == b"PK\x03\x04")


def _reads_as_one(stream: IO[bytes]) -> bool:
    head = stream.read(_HEAD)
    if head.startswith(b"\x93NUMPY"):
        return _is_of_objects(head)
    # Weights are any bytes: the header's two alone would refuse one file of random numbers in 13,000.
    return bool(head[:1] == pickle.PROTO and head[1:2] and head[1] in _PROTOCOLS and head[2:3] in _OPCODES)


def _is_of_objects(head: bytes) -> bool:
    """Whether NumPy would unpickle an array, by the dictionary before it; one that cannot be told counts."""
    start = 10 if head[6:7] == b"\x01" else 12
    length = int.from_bytes(head[8:start], "little")
    if len(head) < start + length:
        return True
    try:
        return _has_objects(ast.literal_eval(head[start : start + length].decode("latin-1").strip())["descr"])
    except (ValueError, SyntaxError, TypeError, KeyError, IndexError, RecursionError, MemoryError):
        return True


def _has_objects(descr: object) -> bool:
    """Of an array's type: a code, one with a shape, or a list of fields, which have types of their own."""
    match descr:
        case str():
            return "O" in descr or "object" in descr
        case (kind, int() | tuple()) if isinstance(descr, tuple):
            return _has_objects(kind)
        case list():
            return any(_is_no_plain_field(field) for field in descr)
    return True


def _is_no_plain_field(field: object) -> bool:
    match field:
        case (_, kind) | (_, kind, int() | tuple()) if isinstance(field, tuple):
            return _has_objects(kind)
    return True


def _holds_one(archive: IO[bytes], begins_as_zip: bool) -> bool:
    """Whether a zip file, as PyTorch and NumPy write, holds a pickle, or more than can be looked through."""
    archive.seek(0, os.SEEK_END)
    length = archive.tell()
    archive.seek(max(0, length - _DIRECTORY))
    end = archive.read(_DIRECTORY)
    is_zip = _END in end[-_END_BYTES:]  # whatever comes before its first entry
    if not is_zip and not begins_as_zip:
        return False
    if any(_has_the_name_of_one(name) for name in _listed(end)):
        return True
    return is_zip and (_directory_bytes(end, length) > _DIRECTORY or _has_one_as_entry(archive))


def _listed(end: bytes) -> Iterator[str]:
    for entry in _ENTRY.finditer(end):
        length = int.from_bytes(entry[1], "little")
        yield end[entry.end() : entry.end() + length].decode("utf-8", "replace")


def _directory_bytes(end: bytes, length: int) -> int:
    """The most that any record says of the directory; readers differ in which they take (APPNOTE 4.3.14, 4.3.16)."""
    said = [int.from_bytes(end[at.end() + 8 : at.end() + 12], "little") for at in re.finditer(_END, end)]
    said += [int.from_bytes(end[at.end() + 36 : at.end() + 44], "little") for at in re.finditer(_LARGE_END, end)]
    return max(size for size in (0, *said) if size <= length and size != _SAID_ELSEWHERE)


def _has_one_as_entry(archive: IO[bytes]) -> bool:
    try:
        with zipfile.ZipFile(archive) as zipped:
            return any(_entry_is_one(zipped, entry) for entry in zipped.infolist() if not entry.is_dir())
    except zipfile.BadZipFile:
        return False  # nobody reads it as a zip file


def _entry_is_one(zipped: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bool:
    # The other ways of packing have no bound for what one read unpacks to.
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return True
    try:
        with zipped.open(entry) as file:
            return _reads_as_one(file)
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, zlib.error, ValueError):
        return True  # a password, or an entry that only others read
