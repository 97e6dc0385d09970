"""Where in what a registry holds the package lies, and how files from outside are laid into a folder.

Registries keep more than packages: an image has its own folders, a run's artifacts lie below a name. The rule is the
same for all of them, so that it can be told in one sentence: the package is at the root, or it is the one folder or the
one archive in which a `model.yaml` is.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path, PurePosixPath

from sluice.archive import extract_archive
from sluice.digest import check_name, package_files
from sluice.failures import PackageError, Reason
from sluice.manifest import MANIFEST_FILE
from sluice.uri import ARCHIVE_SUFFIXES

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"


def safe_name(name: str) -> str:
    """A relative path that somebody else chose, for a file that will be written.

    Raises:
        PackageError: UnsafeArchive, where it leads out of the folder or cannot be written down.
    """
    check_name(name)
    if not name or name.startswith("/") or name.endswith("/") or set(name.split("/")) & {"", ".", ".."}:
        raise PackageError(Reason.UNSAFE_ARCHIVE, f"{name!r} is no plain name of a file in a package")
    return name


def place(source: Path, name: str, folder: Path) -> None:
    """Move a file into a folder under a safe relative name; what is there is replaced by a plain file alone.

    Raises:
        PackageError: UnsafeArchive.
    """
    target = folder / safe_name(name)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(source, target)
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise PackageError(Reason.UNSAFE_ARCHIVE, f"{name!r} is both a file and a folder") from error


def overlay(layer: Path, folder: Path) -> None:
    """Lay an unpacked layer of an image over those before it: whiteouts remove, then files replace files.

    Raises:
        PackageError: UnsafeArchive.
    """
    names = sorted(package_files(layer))
    for name in names:
        if PurePosixPath(name).name.startswith(_WHITEOUT):
            _remove(folder, PurePosixPath(name))
    for name in names:
        if not PurePosixPath(name).name.startswith(_WHITEOUT):
            place(layer / name, name, folder)


def settle(folder: Path, max_bytes: int, where: str) -> None:
    """Make `folder` hold the package alone, wherever below it was found.

    Raises:
        PackageError: InvalidPackage where there is none, or more than one; what unpacking an archive raises.
    """
    if (folder / MANIFEST_FILE).is_file():
        return
    found = _only(folder, where)
    aside = folder.with_name(f"{folder.name}.found")
    os.rename(found, aside)
    shutil.rmtree(folder)
    if aside.is_dir():
        os.rename(aside, folder)
        return
    folder.mkdir()
    extract_archive(aside, folder, max_bytes)
    aside.unlink()


def _only(folder: Path, where: str) -> Path:
    found = sorted(path.parent for path in folder.rglob(MANIFEST_FILE) if path.is_file())
    found = found or sorted(path for path in folder.rglob("*") if _is_archive(path))
    if len(found) == 1:
        return found[0]
    if not found:
        raise PackageError(
            Reason.INVALID_PACKAGE,
            f"{where} holds no {MANIFEST_FILE} and no archive; publish the package's folder there",
        )
    names = ", ".join(str(path.relative_to(folder)) for path in found[:3])
    raise PackageError(Reason.INVALID_PACKAGE, f"{where} holds more than one package ({names}); publish one alone")


def _is_archive(path: Path) -> bool:
    return path.name.endswith(ARCHIVE_SUFFIXES) and path.is_file()


def _remove(folder: Path, whiteout: PurePosixPath) -> None:
    """Take away what a whiteout names: a file or folder beside it, or all that lower layers have in its folder."""
    if whiteout.name == _OPAQUE:
        gone = folder / whiteout.parent
    else:
        gone = folder / whiteout.parent / safe_name(whiteout.name.removeprefix(_WHITEOUT))
    if gone.is_dir():
        shutil.rmtree(gone)
    elif gone.is_file():
        gone.unlink()
    folder.mkdir(exist_ok=True)
