"""Packages in OCI registries: artifacts as `sluice push` and `oras push` make them, and images that hold data alone.

Layers that are archives are unpacked in their order, blobs with a file's name become that file. What comes of it is a
package at the root, or in the one folder or archive that holds a `model.yaml`.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from sluice.archive import MAX_MEMBERS, extract_archive
from sluice.config import RuntimeConfig
from sluice.digest import package_files
from sluice.failures import PackageError, Reason
from sluice.uri import ModelUri, parse_uri
from sluice_store.layout import overlay, place, settle
from sluice_store.oci_manifest import Descriptor, package_layers
from sluice_store.oci_registry import Registry, registry_of


def obtain(uri: ModelUri, config: RuntimeConfig, folder: Path) -> None:
    """Download the layers and make a package of them."""
    limit = config.limits.max_package_bytes
    with registry_of(uri, config) as registry:
        layers = package_layers(registry.manifest(uri.reference).manifest, limit, uri.text)
        for layer in layers:
            _lay(registry, layer, folder, limit)
    settle(folder, limit, uri.text)


def pinned(uri: ModelUri, config: RuntimeConfig) -> ModelUri:
    """The URI of what a tag stands for now, by digest.

    Raises:
        PackageError: why the registry does not tell.
    """
    with registry_of(uri, config) as registry:
        digest = registry.digest(uri.reference)
    return parse_uri(f"oci://{uri.location}/{uri.path}@{digest}")


def _lay(registry: Registry, layer: Descriptor, folder: Path, max_bytes: int) -> None:
    blob, unpacked = folder.with_name("blob"), folder.with_name("layer")
    registry.save(layer, blob, max_bytes)
    if layer.is_archive:
        unpacked.mkdir()
        extract_archive(blob, unpacked, max_bytes)
        blob.unlink()
        overlay(unpacked, folder)
        shutil.rmtree(unpacked)
        _check_size(folder, max_bytes, registry.name)
    else:
        place(blob, layer.title or "", folder)


def _check_size(folder: Path, max_bytes: int, where: str) -> None:
    """Each layer is bounded by itself; together they are, too."""
    files = list(package_files(folder))
    if len(files) > MAX_MEMBERS:
        raise PackageError(Reason.UNSAFE_ARCHIVE, f"{where} holds more than {MAX_MEMBERS} files")
    if sum((folder / name).stat().st_size for name in files) > max_bytes:
        raise PackageError(
            Reason.PACKAGE_TOO_LARGE, f"{where}, unpacked, is larger than {max_bytes} bytes; raise spec.model.maxSize"
        )
