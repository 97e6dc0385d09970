"""Only what containerd lacks is moved, and the archive still names the whole image."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from localcluster import transfer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An OCI layout with one image of two layers, and a layer of an earlier image."""
    blobs = tmp_path / "layout" / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    layers = [{"digest": "sha256:dependencies"}, {"digest": "sha256:source"}]
    for name in ("config", "dependencies", "source", "earlier"):
        (blobs / name).write_text(name)
    (blobs / "manifest").write_text(json.dumps({"config": {"digest": "sha256:config"}, "layers": layers}))
    index = {"schemaVersion": 2, "manifests": [{"digest": "sha256:manifest"}]}
    (blobs.parents[1] / "index.json").write_text(json.dumps(index))
    (blobs.parents[1] / "oci-layout").write_text("{}")
    return blobs.parents[1]


def test_layers_that_are_there_are_not_sent(folder: Path, tmp_path: Path) -> None:
    transfer.pack(folder, "here.local/a:1", {"sha256:dependencies"}, tmp_path / "a.tar")

    with tarfile.open(tmp_path / "a.tar") as tar:
        names = tar.getnames()
        index = json.load(tar.extractfile("index.json") or pytest.fail("no index"))
    assert names == [
        "oci-layout",
        "index.json",
        "blobs/sha256/manifest",
        "blobs/sha256/config",
        "blobs/sha256/source",
    ]
    assert index["manifests"][0]["annotations"] == {transfer.NAME: "here.local/a:1"}


def test_layers_of_earlier_images_are_dropped(folder: Path) -> None:
    transfer.prune(folder)

    left = {path.name for path in (folder / "blobs/sha256").iterdir()}
    assert left == {"manifest", "config", "dependencies", "source"}
