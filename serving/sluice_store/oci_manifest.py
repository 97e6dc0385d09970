"""What an OCI manifest says: which blobs make a package, and what is done with each.

Three kinds are read: what `sluice push` and `oras push` write (artifacts), and images, which is how some clusters ship
data. All of it comes from the network, so that each name and size is checked before anything is done with it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sluice.digest import DIGEST_PATTERN
from sluice.failures import PackageError, Reason
from sluice.manifest import explain
from sluice.uri import ARCHIVE_SUFFIXES
from sluice_store.answers import read_answer
from sluice_store.layout import safe_name

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
ACCEPTED = (MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_LIST)

ARTIFACT_TYPE = "application/vnd.sluice.model.v1+tar"
CONFIG_TYPE = "application/vnd.sluice.model.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"

TITLE = "org.opencontainers.image.title"
UNPACK = "io.deis.oras.content.unpack"
"""Of a folder that `oras push` packed: the title is the folder's name, and the tar holds that name too."""

MANIFEST_LIMIT = 4 * 1024**2
"""Bytes, as registries have it."""

MANIFEST_PARTS = 20_000
"""Braces, brackets and commas. A layer has some ten of them."""

MAX_LAYERS = 128
"""As many as container runtimes take. Each is a request, and the package is measured after each."""

_MAX_MANIFESTS = 1_000

_TAR_TYPES = (".tar", "+tar", ".tar+gzip", ".tar.gzip")


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, populate_by_name=True)


class Platform(_Document):
    """For whom one manifest of an index is. Data is the same on each, and so the choice must be the same everywhere."""

    os: str = ""
    architecture: str = ""


class Descriptor(_Document):
    """A blob or a manifest: where it is, how large, and what it is for."""

    media_type: str = Field(default="", alias="mediaType")
    digest: Annotated[str, Field(pattern=DIGEST_PATTERN)]
    size: Annotated[int, Field(ge=0)]
    annotations: dict[str, str] | None = None
    platform: Platform | None = None

    @property
    def title(self) -> str | None:
        """The name of the file that the blob is, if it is one."""
        return (self.annotations or {}).get(TITLE)

    @property
    def is_archive(self) -> bool:
        """True where the blob is unpacked: a layer of an image, a folder, or an archive pushed as a file."""
        if self.title is None:
            return self.media_type.endswith(_TAR_TYPES)
        packed = (self.annotations or {}).get(UNPACK) == "true"
        return packed or self.title.endswith(ARCHIVE_SUFFIXES)


class Manifest(_Document):
    """A manifest or an index; what is none of either has neither layers nor manifests."""

    schema_version: int = Field(default=0, alias="schemaVersion")
    artifact_type: str = Field(default="", alias="artifactType")
    layers: Annotated[tuple[Descriptor, ...], Field(fail_fast=True, max_length=MAX_LAYERS)] | None = None
    manifests: Annotated[tuple[Descriptor, ...], Field(fail_fast=True, max_length=_MAX_MANIFESTS)] | None = None
    annotations: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Named:
    """A manifest and the digest of its very bytes."""

    manifest: Manifest
    digest: str


def read_manifest(content: bytes, wanted: str | None, where: str) -> Named:
    """Parse a manifest; `wanted` is the digest it was asked by, if it was.

    Raises:
        PackageError: DigestMismatch for other bytes, InvalidPackage for what is no manifest.
    """
    digest = digest_of(content)
    if wanted is not None and digest != wanted:
        raise PackageError(
            Reason.DIGEST_MISMATCH, f"{where} answered a manifest with digest {digest}; mend the registry"
        )
    try:
        return Named(read_answer(Manifest, content, MANIFEST_PARTS), digest)
    except ValidationError as error:
        raise PackageError(Reason.INVALID_PACKAGE, f"{where} is no OCI manifest: {explain(error)}") from error


def digest_of(content: bytes) -> str:
    """The digest of bytes as registries write it."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def chosen(index: tuple[Descriptor, ...], where: str) -> Descriptor:
    """The one manifest of an index that is read, on whatever machine: the first for linux/amd64, else the first.

    Raises:
        PackageError: InvalidPackage, for an index of nothing.
    """
    data = [one for one in index if one.platform is None or one.platform.os != "unknown"]  # attestations say so
    if not data:
        raise PackageError(Reason.INVALID_PACKAGE, f"{where} is an index without manifests; push the package again")
    common = (one for one in data if one.platform == Platform(os="linux", architecture="amd64"))
    return next(common, data[0])


def package_layers(manifest: Manifest, max_bytes: int, where: str) -> tuple[Descriptor, ...]:
    """The blobs that make the package, in their order.

    Raises:
        PackageError: InvalidPackage for what cannot be unpacked, UnsafeArchive for a bad name, PackageTooLarge.
    """
    layers = manifest.layers
    if not layers:
        raise PackageError(Reason.INVALID_PACKAGE, f"{where} holds no layers; push a package there: sluice push")
    if sum(layer.size for layer in layers) > max_bytes:
        raise PackageError(
            Reason.PACKAGE_TOO_LARGE, f"{where} is larger than {max_bytes} bytes; raise spec.model.maxSize"
        )
    for layer in layers:
        _check_kind(layer, where)
    return layers


def package_manifest(layer: Descriptor, config: Descriptor, annotations: dict[str, str]) -> bytes:
    """The manifest of one package that is one archive; equal arguments give equal bytes."""
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": ARTIFACT_TYPE,
        "config": _plain(config),
        "layers": [_plain(layer)],
        "annotations": annotations,
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _plain(descriptor: Descriptor) -> dict[str, Any]:
    return descriptor.model_dump(mode="json", by_alias=True, exclude_none=True)


def _check_kind(layer: Descriptor, where: str) -> None:
    if layer.title is not None:
        safe_name(layer.title)
    elif not layer.is_archive:
        raise PackageError(
            Reason.INVALID_PACKAGE,
            f"{where} has a layer of type {layer.media_type!r}, which is no tar and has no file name; "
            "push with sluice push or oras push",
        )
