"""Moves an image from buildah's storage to containerd, and only those layers that containerd lacks.

Most of an image is its dependencies, hundreds of megabytes that change rarely. A source change moves kilobytes.
"""

from __future__ import annotations

import json
import shutil
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from localcluster import buildah, layout
from localcluster.components import ctr
from localcluster.errors import ClusterError
from localcluster.shell import run

# The annotation by which containerd names what it imports.
NAME = "io.containerd.image.name"


def to_containerd(image: str) -> None:
    """Import `image` under its own name."""
    folder = exported(image)
    present = run(*ctr("content", "list", "--quiet"), timeout=60.0).split()
    try:
        import_archive(folder, image, present)
    except ClusterError:
        # containerd may have collected a layer since it was asked: then send everything.
        import_archive(folder, image, present=())


def import_archive(folder: Path, image: str, present: Iterable[str]) -> None:
    with tempfile.TemporaryDirectory(dir=layout.cache()) as scratch:
        archive = Path(scratch) / "image.tar"
        pack(folder, image, present, archive)
        run(*ctr("images", "import", str(archive)))


def exported(image: str) -> Path:
    """The image as a folder in the OCI layout; one folder per repository, in which unchanged layers are kept."""
    folder = layout.cache() / "oci" / image.rpartition("/")[2].partition(":")[0]
    try:
        buildah.push(image, folder)
        prune(folder)
    except (ClusterError, OSError, ValueError, LookupError):
        # A killed export may have left a folder that cannot be added to.
        shutil.rmtree(folder, ignore_errors=True)
        buildah.push(image, folder)
    return folder


def pack(folder: Path, image: str, present: Iterable[str], archive: Path) -> None:
    """Write an OCI archive of the newest image in `folder`, without the layers named in `present`."""
    newest = manifests(folder)[-1]
    index = {"schemaVersion": 2, "manifests": [{**newest, "annotations": {NAME: image}}]}
    document = archive.with_name("index.json")
    document.write_text(json.dumps(index))
    skipped = set(present)
    with tarfile.open(archive, "w") as tar:
        tar.add(folder / "oci-layout", "oci-layout")
        tar.add(document, "index.json")
        for digest in needed(folder, newest):
            if digest not in skipped:
                tar.add(blob(folder, digest), str(blob(Path(), digest)))


def manifests(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "index.json").read_text())["manifests"]
    return found


def needed(folder: Path, descriptor: dict[str, Any]) -> list[str]:
    """Digests of the manifest, its configuration and its layers."""
    manifest = json.loads(blob(folder, descriptor["digest"]).read_text())
    parts = [manifest["config"], *manifest["layers"]]
    return [descriptor["digest"], *(part["digest"] for part in parts)]


def blob(folder: Path, digest: str) -> Path:
    algorithm, _, name = digest.partition(":")
    return folder / "blobs" / algorithm / name


def prune(folder: Path) -> None:
    """Remove what only earlier images of this repository needed."""
    newest = manifests(folder)[-1]
    keep = {blob(folder, digest) for digest in needed(folder, newest)}
    index = {"schemaVersion": 2, "manifests": [newest]}
    (folder / "index.json").write_text(json.dumps(index))
    for path in (folder / "blobs").glob("*/*"):
        if path not in keep:
            path.unlink()
