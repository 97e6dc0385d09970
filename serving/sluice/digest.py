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
    """Refuse names that `sha256sum` escapes or that cannot be written down.

    Raises:
        PackageError: UnsafeArchive.
    """
    if "\\" in path or not path.isprintable():
        raise PackageError(
            Reason.UNSAFE_ARCHIVE, f"rename {path!r}: backslashes and control characters are not allowed"
        )


def _plain_files(path: str) -> str:
    return f"{path!r} is a link or a device; a package holds plain files and folders only"
