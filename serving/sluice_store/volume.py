"""Packages on a mounted volume (pvc://) or on the node (file://): folders are copied, archives unpacked."""

from __future__ import annotations

import shutil
from pathlib import Path

from sluice.archive import extract_archive
from sluice.config import RuntimeConfig
from sluice.digest import package_files
from sluice.failures import PackageError, Reason
from sluice.uri import ModelUri


def obtain(uri: ModelUri, config: RuntimeConfig, folder: Path) -> None:
    """Copy or unpack what the path names."""
    root = Path(config.volume_dir) if uri.scheme == "pvc" else Path("/")
    source = _within(root, uri)
    if source.is_dir():
        _copy_folder(source, folder, config.limits.max_package_bytes)
    else:
        extract_archive(source, folder, config.limits.max_package_bytes)


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
