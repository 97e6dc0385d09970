"""Package archives: written so that equal packages give equal bytes, read as if an attacker had made them.

Extraction writes plain files and folders by itself instead of `TarFile.extract`: the standard library's safe filter is
missing in some Python 3.11 builds, and a package needs none of what tar can do beyond names and bytes.
"""

from __future__ import annotations

import gzip
import io
import shutil
import sys
import tarfile
import zlib
from pathlib import Path
from typing import IO, cast

from sluice.digest import check_name, package_files
from sluice.failures import PackageError, Reason

MAX_MEMBERS = 10_000
"""More files than any real package, each with its folders; bounds inodes and time."""

MAX_HEADER_READ = 1024**2
"""Bytes of headers before each member. What they say is kept in memory, and a few bytes unpack to a great many."""


def extract_archive(archive: Path, target: Path, max_bytes: int) -> None:
    """Unpack a .tar, .tar.gz or .tgz into the existing, empty folder `target`.

    Raises:
        PackageError: UnsafeArchive, PackageTooLarge or InvalidPackage. `target` may then hold a part of the files.
        OSError: the disk failed or is full.
    """
    with open(archive, "rb") as file:
        extract_opened(file, target, max_bytes)


def extract_opened(file: IO[bytes], target: Path, max_bytes: int) -> None:
    """Unpack an archive that is open already; raises as `extract_archive` does."""
    try:
        stream = _Bounded(_decompressed(file), max_bytes)
        with tarfile.open(fileobj=cast("IO[bytes]", stream), mode="r:") as tar:
            _extract_members(tar, stream, target)
        stream.allow(sys.maxsize)
        _read_to_end(stream)
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        message = f"the archive is cut off or no tar file ({error}); pack it with: tar -C FOLDER -czf NAME.tar.gz ."
        raise PackageError(Reason.INVALID_PACKAGE, message) from error
    except RecursionError as error:
        raise PackageError(Reason.UNSAFE_ARCHIVE, "the archive has a chain of headers without an end") from error


def write_archive(folder: Path, out: Path) -> None:
    """Pack a folder as .tar.gz. Names, order, times and owners are fixed: equal folders give equal bytes."""
    with (
        open(out, "wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for path in sorted(package_files(folder)):
            member = tarfile.TarInfo(path)
            member.size = (folder / path).stat().st_size
            member.mode = 0o644
            with open(folder / path, "rb") as file:
                tar.addfile(member, file)


def _decompressed(file: IO[bytes]) -> IO[bytes]:
    magic = file.read(2)
    file.seek(0)
    return cast("IO[bytes]", gzip.GzipFile(fileobj=file)) if magic == b"\x1f\x8b" else file


def _extract_members(tar: tarfile.TarFile, stream: _Bounded, target: Path) -> None:
    made = set[str]()
    count = 0
    while (member := tar.next()) is not None:
        count += 1
        path = _safe_path(member)
        made.update(map(str, (path, *path.parents)))  # a few bytes of a name make many folders
        if max(count, len(made)) > MAX_MEMBERS:
            raise PackageError(Reason.UNSAFE_ARCHIVE, f"the archive holds more than {MAX_MEMBERS} files and folders")
        if member.isdir():
            (target / path).mkdir(parents=True, exist_ok=True)
        else:
            stream.allow(member.size)
            _extract_file(tar, member, target / path)
        # Or the headers of all members, and what they say of all later ones, would be kept to the end.
        tar.members.clear()  # type: ignore[attr-defined]  # documented nowhere, and the one way in Python 3.11
        tar.pax_headers = {}
        stream.allow(MAX_HEADER_READ)


def _read_to_end(stream: _Bounded) -> None:
    """Tar stops at its end mark; the checksum of a gzip stream comes after it."""
    while stream.read(MAX_HEADER_READ):
        pass


def _safe_path(member: tarfile.TarInfo) -> Path:
    name = member.name
    check_name(name)
    if not (member.isreg() or member.isdir()) or member.issparse():
        raise PackageError(
            Reason.UNSAFE_ARCHIVE, f"{name!r} is a link or special file; pack plain files and folders only"
        )
    if name.startswith("/") or ".." in name.split("/"):
        raise PackageError(
            Reason.UNSAFE_ARCHIVE, f"{name!r} leads out of the package; pack with: tar -C FOLDER -czf NAME.tar.gz ."
        )
    return Path(name)


def _extract_file(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    source = cast("IO[bytes]", tar.extractfile(member))  # only links and folders have none
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "xb") as file:
            shutil.copyfileobj(source, file)
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise PackageError(Reason.UNSAFE_ARCHIVE, f"the archive holds {member.name!r} twice") from error


class _Bounded(io.RawIOBase):
    """A decompressed stream that stops at a limit: neither a gzip bomb nor an inflated tar header gets further."""

    def __init__(self, stream: IO[bytes], max_bytes: int) -> None:
        self._stream = stream
        self._max_bytes = max_bytes
        self._allowed = MAX_HEADER_READ

    def allow(self, size: int) -> None:
        """Let no more than so many bytes be read from now on; those that are skipped do not count."""
        self._allowed = size

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= self._allowed:
            raise PackageError(Reason.UNSAFE_ARCHIVE, "the archive has headers of unreasonable size")
        content = self._stream.read(size)
        self._allowed -= len(content)
        self._check(self._stream.tell())
        return content

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._check(offset)
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def _check(self, position: int) -> None:
        # Headers and padding take room too: 512 bytes of each for every member, and the final blocks.
        if position > self._max_bytes + (MAX_MEMBERS + 20) * 1024:
            raise PackageError(
                Reason.PACKAGE_TOO_LARGE,
                f"the unpacked package is larger than {self._max_bytes} bytes; make it smaller or raise the limit",
            )
