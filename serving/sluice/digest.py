r"""One sha256 for a whole model package, the same for folder and archive.

Anyone can reproduce it with coreutils, without trusting this code:

    cd PACKAGE && find . -type f | sed 's|^\./||' | LC_ALL=C sort | xargs -d '\n' sha256sum | sha256sum
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from sluice.failures import PackageError, Reason

DIGEST_PATTERN = r"^sha256:[0-9a-f]{64}$"

MAX_DEPTH = 32
"""Folders and the file in a name. Each folder costs a stack frame to whoever walks it, and an inode."""

_MAX_PART_BYTES = 255
_MAX_NAME_BYTES = 1024
"""The first is what file systems have, the second what object stores have."""


def package_digest(folder: Path) -> str:
    """Digest of a package folder: `sha256:` and 64 hex digits.

    Raises:
        PackageError: UnsafeArchive for a link, a device or a name that coreutils would escape.
    """
    listing = hashlib.sha256()
    for path in sorted(package_files(folder), key=os.fsencode):
        with open(folder / path, "rb") as file:
            content = hashlib.file_digest(file, "sha256")
        listing.update(content.hexdigest().encode() + b"  " + os.fsencode(path) + b"\n")
    return f"sha256:{listing.hexdigest()}"


def package_files(folder: Path, below: str = "") -> Iterator[str]:
    """Relative paths of all files of a package; everything but plain files and folders is refused."""
    with os.scandir(folder / below) as entries:
        for entry in entries:
            path = f"{below}/{entry.name}" if below else entry.name
            check_name(path)
            mode = entry.stat(follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode):
                yield from package_files(folder, path)
            elif stat.S_ISREG(mode):
                yield path
            else:
                raise PackageError(Reason.UNSAFE_ARCHIVE, _plain_files(path))


def check_name(path: str) -> None:
    """Refuse names that `sha256sum` escapes, that cannot be written down, or that no file system holds.

    Raises:
        PackageError: UnsafeArchive.
    """
    if "\\" in path or not path.isprintable():
        message = f"rename {_shown(path)}: backslashes and control characters are not allowed"
        raise PackageError(Reason.UNSAFE_ARCHIVE, message)
    parts = path.split("/")
    if len(parts) > MAX_DEPTH or len(path.encode()) > _MAX_NAME_BYTES:
        message = f"{_shown(path)} lies too deep: {MAX_DEPTH} parts and {_MAX_NAME_BYTES} bytes are the most"
        raise PackageError(Reason.UNSAFE_ARCHIVE, message)
    if any(len(part.encode()) > _MAX_PART_BYTES for part in parts):
        message = f"{_shown(path)} is too long: {_MAX_PART_BYTES} bytes for a file or folder are the most"
        raise PackageError(Reason.UNSAFE_ARCHIVE, message)


def _shown(path: str) -> str:
    return repr(path) if len(path) <= _MAX_PART_BYTES else f"{path[:80]!r} (and more)"


def _plain_files(path: str) -> str:
    return f"{path!r} is a link or a device; a package holds plain files and folders only"
