"""The store: brings a model package from wherever its URI points into one verified local folder.

A package appears under its final name by one rename after every check has passed. So a folder with that name is
complete, whatever moment the process before was killed at.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import tempfile
from pathlib import Path

from sluice.archive import extract_archive
from sluice.config import RuntimeConfig
from sluice.digest import package_files
from sluice.failures import PackageError, Reason
from sluice.package import Package, open_package
from sluice.uri import ModelUri, parse_uri

log = logging.getLogger(__name__)

_STAGING_PREFIX = ".incoming-"


def fetch_package(config: RuntimeConfig) -> Package:
    """Make `config.package_dir` hold the verified package of `config.uri`; does nothing when it already does.

    Raises:
        PackageError: why the package cannot be had, with what to change.
    """
    target = Path(config.package_dir)
    try:
        return _present(target, config.digest) or _bring(config, target)
    except OSError as error:
        raise _storage_fault(error) from error


def _present(target: Path, digest: str | None) -> Package | None:
    if not target.exists():
        return None
    try:
        return open_package(target, digest)
    except PackageError as error:
        log.warning("the package that is here is not the one wanted, fetching again: %s", error)
        shutil.rmtree(target)
        return None


def _bring(config: RuntimeConfig, target: Path) -> Package:
    target.parent.mkdir(parents=True, exist_ok=True)
    for leftover in target.parent.glob(_STAGING_PREFIX + "*"):
        shutil.rmtree(leftover)
    staging = Path(tempfile.mkdtemp(prefix=_STAGING_PREFIX, dir=target.parent))
    try:
        folder = staging / "package"
        folder.mkdir()
        _obtain(parse_uri(config.uri), config, folder)
        package = open_package(folder, config.digest)
        os.rename(folder, target)
    finally:
        shutil.rmtree(staging)
    log.info("package %s version %s is here, %s", package.manifest.name, package.manifest.version, package.digest)
    return Package(target, package.manifest, package.digest)


def _obtain(uri: ModelUri, config: RuntimeConfig, folder: Path) -> None:
    if uri.scheme in ("http", "https"):
        _download(uri, config, folder)
        return
    root = Path(config.volume_dir) if uri.scheme == "pvc" else Path("/")
    source = _within(root, uri)
    if source.is_dir():
        _copy_folder(source, folder, config.limits.max_package_bytes)
    else:
        extract_archive(source, folder, config.limits.max_package_bytes)


def _download(uri: ModelUri, config: RuntimeConfig, folder: Path) -> None:
    # Imported here because a package on a volume should not pay for an HTTP client.
    from sluice_runtime.download import Download, credentials  # noqa: PLC0415

    archive = folder.parent / "archive"
    limit = config.limits.max_package_bytes
    Download(uri.text, limit, config.fetching, credentials(Path(config.credentials_dir))).save(archive)
    extract_archive(archive, folder, limit)


def _within(root: Path, uri: ModelUri) -> Path:
    """The real path of a volume's or the node's file; a link must not lead out of the volume."""
    path = (root / uri.path.lstrip("/")).resolve()
    if not path.is_relative_to(root.resolve()):
        raise PackageError(Reason.UNSAFE_ARCHIVE, f"{uri.text} leads out of its volume through a link")
    if not path.exists():
        raise PackageError(Reason.SOURCE_NOT_FOUND, f"{uri.text} does not exist; check the path in spec.model.uri")
    return path


def _copy_folder(source: Path, folder: Path, max_bytes: int) -> None:
    total = 0
    for path in package_files(source):
        total += (source / path).stat().st_size
        if total > max_bytes:
            raise PackageError(
                Reason.PACKAGE_TOO_LARGE, f"{source.name} is larger than {max_bytes} bytes; raise the limit"
            )
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / path, folder / path)


def _storage_fault(error: OSError) -> PackageError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return PackageError(Reason.NO_SPACE, f"no space for the package ({error}); give the pod more ephemeral storage")
    if error.errno in (errno.EACCES, errno.EPERM):
        return PackageError(Reason.SOURCE_FORBIDDEN, f"{error}; the pod's user may not use this file")
    return PackageError(Reason.SOURCE_UNREACHABLE, f"the volume failed: {error}")
