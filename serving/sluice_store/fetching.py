"""The path of a package: brings it from wherever its URI points into one verified local folder.

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

from sluice.config import RuntimeConfig
from sluice.failures import PackageError, Reason
from sluice.package import Package, open_package
from sluice.uri import parse_uri
from sluice_store.sources import obtain

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
        _clear(leftover)
    staging = Path(tempfile.mkdtemp(prefix=_STAGING_PREFIX, dir=target.parent))
    try:
        folder = staging / "package"
        folder.mkdir()
        obtain(parse_uri(config.uri), config, folder)
        package = open_package(folder, config.digest)
        _check_signature(folder, config)
        os.rename(folder, target)
    finally:
        _clear(staging)
    log.info("package %s version %s is here, %s", package.manifest.name, package.manifest.version, package.digest)
    return Package(target, package.manifest, package.digest)


def _clear(path: Path) -> None:
    """Remove what an attempt left, or tell that it stays: the next attempt has a folder of its own."""
    try:
        path.unlink() if path.is_file() else shutil.rmtree(path)
    except (OSError, RecursionError) as error:
        log.warning("%s cannot be removed and keeps its room: %r", path, error)


def _check_signature(folder: Path, config: RuntimeConfig) -> None:
    if config.signature is None:
        return
    # 40 MB of libraries that only packages with a wanted signature should pay for.
    from sluice_store import signatures  # noqa: PLC0415

    signatures.verify(folder, config.signature)
    log.info("the package's signature holds")


def _storage_fault(error: OSError) -> PackageError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return PackageError(Reason.NO_SPACE, f"no space for the package ({error}); give the pod more ephemeral storage")
    if error.errno in (errno.EACCES, errno.EPERM):
        return PackageError(Reason.SOURCE_FORBIDDEN, f"{error}; the pod's user may not use this file")
    return PackageError(Reason.SOURCE_UNREACHABLE, f"the volume failed: {error}")
