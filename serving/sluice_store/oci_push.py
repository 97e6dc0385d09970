"""Puts one package into an OCI registry: its archive as the only layer of an artifact, under one tag.

A registry has no way to say "only if it is not there", so that of two who push the same tag in the same moment the
later one wins. Whoever deploys by digest (`oci://...@sha256:...`) is not touched by that.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode, urljoin

from sluice.config import Fetching
from sluice.failures import PackageError, Reason
from sluice.uri import ModelUri
from sluice_store.challenges import login_for
from sluice_store.oci_manifest import (
    CONFIG_TYPE,
    LAYER_TYPE,
    MANIFEST,
    TITLE,
    Descriptor,
    digest_of,
    package_manifest,
)
from sluice_store.oci_registry import Registry
from sluice_store.secret import Secret
from sluice_store.transfer import CHUNK_BYTES
from sluice_store.web import Content

_OCTETS = {"Content-Type": "application/octet-stream"}


@dataclass(frozen=True, slots=True)
class PushedArtifact:
    """`digest` of the manifest; `new` is False where the tag held the very same one already."""

    digest: str
    new: bool


def registry_at_home(uri: ModelUri, endpoint: str | None = None, environ: Mapping[str, str] = os.environ) -> Registry:
    """The repository of an oci:// URI, with the logins that `docker login` or `oras login` left for this user.

    They are read from `config.json` in DOCKER_CONFIG or ~/.docker; helpers that keep passwords elsewhere are not asked.
    """
    home = environ.get("DOCKER_CONFIG") or Path("~/.docker").expanduser()
    return Registry(uri, login_for(uri.location, Secret(Path(home))), Fetching(), endpoint=endpoint)


def push_package(
    registry: Registry, tag: str, archive: Path, annotations: Mapping[str, str], *, force: bool = False
) -> PushedArtifact:
    """Upload an archive as an artifact and give it a tag; equal archives and annotations make equal artifacts.

    `annotations` are for people and for listings; a title is added, so that `oras pull` writes a file.

    Raises:
        FileExistsError: the tag stands for something else, and `force` was not given.
        PackageError: the registry refuses, or does not give back what was put there.
    """
    title = f"{registry.repository.rpartition('/')[2]}-{tag}.tar.gz"
    layer = _file(archive).model_copy(update={"annotations": {TITLE: title}})
    config_text = json.dumps(dict(annotations), sort_keys=True).encode()
    config = Descriptor(media_type=CONFIG_TYPE, digest=digest_of(config_text), size=len(config_text))
    manifest = package_manifest(layer, config, dict(annotations))
    there = _digest_there(registry, tag)
    if there == digest_of(manifest):
        return PushedArtifact(there, new=False)
    if there is not None and not force:
        raise FileExistsError(f"{registry.name} holds another artifact already, with digest {there}")
    _upload(registry, layer, lambda: _pieces(archive))
    _upload(registry, config, lambda: config_text)
    registry.ask("PUT", f"manifests/{tag}", (201,), headers={"Content-Type": MANIFEST}, content=lambda: manifest)
    if _digest_there(registry, tag) != digest_of(manifest):
        raise PackageError(Reason.DIGEST_MISMATCH, f"{registry.name} does not give back what was put there; push again")
    return PushedArtifact(digest_of(manifest), new=True)


def _digest_there(registry: Registry, tag: str) -> str | None:
    response = registry.ask("GET", f"manifests/{tag}", (200, 404), headers={"Accept": MANIFEST})
    return digest_of(response.content) if response.status_code == 200 else None


def _upload(registry: Registry, blob: Descriptor, content: Callable[[], Content]) -> None:
    """A blob in one piece, unless the registry has it; what it takes it has checked against the digest."""
    if registry.ask("HEAD", f"blobs/{blob.digest}", (200, 404)).status_code == 200:
        return
    begun = registry.ask("POST", "blobs/uploads/", (202,))
    place = urljoin(str(begun.request.url), begun.headers.get("location", ""))
    place += ("&" if "?" in place else "?") + urlencode({"digest": blob.digest})
    registry.ask("PUT", place, (201,), headers={**_OCTETS, "Content-Length": str(blob.size)}, content=content)


def _file(path: Path) -> Descriptor:
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Descriptor(media_type=LAYER_TYPE, digest=f"sha256:{digest}", size=path.stat().st_size)


def _pieces(path: Path) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while piece := file.read(CHUNK_BYTES):
            yield piece
