"""Packages on a mounted volume (pvc://) or on the node (file://): folders are copied, archives unpacked.

Others may write there meanwhile, so that each file is judged by what was opened and not by what lay there before.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import IO

from sluice.archive import extract_opened
from sluice.config import RuntimeConfig
from sluice.digest import package_files
from sluice.failures import PackageError, Reason
from sluice.uri import ModelUri
from sluice_store.transfer import CHUNK_BYTES


def obtain(uri: ModelUri, config: RuntimeConfig, folder: Path) -> None:
    """Copy or unpack what the path names."""
    root = Path(config.volume_dir) if uri.scheme == "pvc" else Path("/")
    source = _within(root, uri)
    if source.is_dir():
        _copy_folder(source, folder, config.limits.max_package_bytes)
    else:
        with _opened(source) as file:
            extract_opened(file, folder, config.limits.max_package_bytes)


def copy_file(source: Path, target: Path, max_bytes: int) -> int:
    """Copy a plain file and return its bytes, which are counted while they come: it may grow.

    Raises:
        PackageError: UnsafeArchive for what is no plain file, PackageTooLarge.
    """
    copied = 0
    with _opened(source) as file, open(target, "xb") as out:
        while chunk := file.read(CHUNK_BYTES):
            copied += len(chunk)
            if copied > max_bytes:
                message = (
                    f"{source.name} is larger than allowed, alone or with the files before; raise spec.model.maxSize"
                )
                raise PackageError(Reason.PACKAGE_TOO_LARGE, message)
            out.write(chunk)
    return copied


def _opened(path: Path) -> IO[bytes]:
    """A plain file. A link that was put there meanwhile leads elsewhere, and a pipe would be waited for without end."""
    try:
        file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a link, a socket
            raise _no_plain_file(path) from error
        raise
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise _no_plain_file(path)
    return file


def _no_plain_file(path: Path) -> PackageError:
    return PackageError(Reason.UNSAFE_ARCHIVE, f"{path.name!r} is no plain file; a package is plain files and folders")


def _within(root: Path, uri: ModelUri) -> Path:
    """The real path of a volume's or the node's file; a link must not lead out of the volume."""
    path = (root / uri.path.lstrip("/")).resolve()
    if not path.is_relative_to(root.resolve()):
        raise PackageError(Reason.UNSAFE_ARCHIVE, f"{uri.text} leads out of its volume through a link")
    if not path.exists():
        raise PackageError(Reason.SOURCE_NOT_FOUND, f"{uri.text} does not exist; check the path in spec.model.uri")
    return path


def _copy_folder(source: Path, folder: Path, max_bytes: int) -> None:
    left = max_bytes
    for path in package_files(source):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        left -= copy_file(source / path, folder / path, left)
