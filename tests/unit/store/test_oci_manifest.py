"""Which blobs of a registry make a package."""

import contextlib
import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.failures import PackageError, Reason
from sluice_store import oci_manifest
from sluice_store.oci_manifest import Descriptor, Manifest, chosen, package_layers, package_manifest, read_manifest

DIGEST = "sha256:" + "1" * 64


def described(
    title: str | None = None, kind: str = oci_manifest.LAYER_TYPE, size: int = 10, unpack: str = "false"
) -> dict[str, Any]:
    titled = {oci_manifest.TITLE: title} if title is not None else {}
    return {"mediaType": kind, "digest": DIGEST, "size": size, "annotations": {**titled, oci_manifest.UNPACK: unpack}}


def manifest(*layers: dict[str, Any]) -> Manifest:
    return Manifest.model_validate({"schemaVersion": 2, "layers": layers})


@pytest.mark.parametrize(
    ("layer", "unpacked"),
    [
        (described(), True),
        (described(kind="application/vnd.oci.image.layer.v1.tar"), True),
        (described(kind="application/vnd.docker.image.rootfs.diff.tar.gzip"), True),
        (described("model.onnx"), False),
        # What `oras push` calls each file unless it is told otherwise.
        (described("model.onnx", kind="application/vnd.oci.image.layer.v1.tar"), False),
        (described("shop-3.tar.gz"), True),
        (described("package", unpack="true"), True),
    ],
)
def test_what_is_unpacked_and_what_is_a_file(layer: dict[str, Any], unpacked: bool) -> None:
    (only,) = package_layers(manifest(layer), 100, "there")
    assert only.is_archive is unpacked


@pytest.mark.parametrize(
    ("layers", "reason"),
    [
        ([], Reason.INVALID_PACKAGE),
        ([described(kind="application/vnd.oci.image.layer.v1.tar+zstd")], Reason.INVALID_PACKAGE),
        ([described(kind="application/octet-stream")], Reason.INVALID_PACKAGE),
        ([described(size=60), described(size=60)], Reason.PACKAGE_TOO_LARGE),
        ([described("../model.yaml")], Reason.UNSAFE_ARCHIVE),
        ([described("/etc/passwd")], Reason.UNSAFE_ARCHIVE),
        ([described("a//b")], Reason.UNSAFE_ARCHIVE),
        ([described("")], Reason.UNSAFE_ARCHIVE),
        ([described("a\nb")], Reason.UNSAFE_ARCHIVE),
    ],
)
def test_what_makes_no_package_is_refused(layers: list[dict[str, Any]], reason: Reason) -> None:
    with pytest.raises(PackageError) as caught:
        package_layers(manifest(*layers), 100, "there")
    assert caught.value.reason is reason


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"<html>",
        b'{"layers": [{"digest": "md5:1", "size": 1}]}',
        b'{"layers": [{"digest": "%s", "size": -1}]}' % DIGEST.encode(),
    ],
)
def test_what_is_no_manifest_is_refused(content: bytes) -> None:
    with pytest.raises(PackageError) as caught:
        read_manifest(content, None, "there")
    assert caught.value.reason is Reason.INVALID_PACKAGE


def test_a_manifest_asked_by_digest_has_that_digest() -> None:
    content = b'{"schemaVersion": 2}'
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    assert read_manifest(content, digest, "there").digest == digest
    assert read_manifest(content, None, "there").digest == digest
    with pytest.raises(PackageError) as caught:
        read_manifest(content + b" ", digest, "there")
    assert caught.value.reason is Reason.DIGEST_MISMATCH


def of(os: str, architecture: str, digit: str) -> Descriptor:
    platform = {"os": os, "architecture": architecture} if os else None
    return Descriptor.model_validate({"digest": "sha256:" + digit * 64, "size": 1, "platform": platform})


@pytest.mark.parametrize(
    ("index", "digit"),
    [
        ([of("linux", "arm64", "a"), of("linux", "amd64", "b")], "b"),
        ([of("linux", "arm64", "a"), of("linux", "s390x", "b")], "a"),
        ([of("unknown", "unknown", "a"), of("linux", "arm64", "b")], "b"),
        ([of("", "", "a")], "a"),
    ],
)
def test_every_machine_chooses_the_same_manifest_of_an_index(index: list[Descriptor], digit: str) -> None:
    assert chosen(tuple(index), "there").digest == "sha256:" + digit * 64


def test_an_index_of_nothing_is_refused() -> None:
    with pytest.raises(PackageError):
        chosen((of("unknown", "unknown", "a"),), "there")


def test_what_is_pushed_is_what_is_read() -> None:
    layer = Descriptor.model_validate(described("shop-3.tar.gz"))
    config = Descriptor(media_type=oci_manifest.CONFIG_TYPE, digest=DIGEST, size=2)
    content = package_manifest(layer, config, {"b": "2", "a": "1"})
    assert package_manifest(layer, config, {"a": "1", "b": "2"}) == content
    read = read_manifest(content, None, "there").manifest
    assert package_layers(read, 100, "there") == (layer,)
    assert read.artifact_type == oci_manifest.ARTIFACT_TYPE
    assert json.loads(content)["config"]["mediaType"] == oci_manifest.CONFIG_TYPE


_KEYS = ("layers", "manifests", "mediaType", "digest", "size", "annotations", "platform", "os", oci_manifest.TITLE)
_TITLES = st.none() | st.dictionaries(st.just(oci_manifest.TITLE), st.text(alphabet="./ab\\\0", max_size=9))
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.just(DIGEST),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYS) | st.text(max_size=9), inner),
    max_leaves=20,
)
_LAYER = st.fixed_dictionaries({"digest": st.just(DIGEST), "size": st.integers(0, 500), "annotations": _TITLES})


@given(_JSON | st.fixed_dictionaries({"layers": st.lists(_LAYER, max_size=4)}))
def test_whatever_a_registry_answers_is_read_or_refused(document: Any) -> None:
    with contextlib.suppress(PackageError):
        manifest = read_manifest(json.dumps(document).encode(), None, "there").manifest
        for layer in package_layers(manifest, 1000, "there"):
            assert layer.title is None or ".." not in layer.title.split("/")
