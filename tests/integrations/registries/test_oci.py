"""Packages in a real OCI registry: pushed, pulled, refused, moved, and resumed after the registry was killed."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from integrations.registries.fetching import config_for, digest_at, refusal_of
from integrations.registries.servers import HTPASSWD, PASSWORD, PATIENCE, USER, Server, oci_registry
from integrations.registries.tokens import token_service
from integrations.stores.lines import line_to, nothing
from runtime.harness import run
from sluice.archive import write_archive
from sluice.config import Fetching
from sluice.digest import package_digest
from sluice.failures import PackageError, Reason, Resolved
from sluice.uri import parse_uri
from sluice_store.challenges import Login
from sluice_store.oci_manifest import DOCKER_LIST, DOCKER_MANIFEST, INDEX, MANIFEST, TITLE, UNPACK
from sluice_store.oci_push import PushedArtifact, push_package
from sluice_store.oci_registry import Registry
from unit.store.packages import make_package

TAR, GZIPPED = "application/vnd.oci.image.layer.v1.tar", "application/vnd.oci.image.layer.v1.tar+gzip"

DIRECTLY: dict[str, Any] = {"trust_env": False, "timeout": PATIENCE}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with oci_registry(tmp_path_factory.mktemp("oci") / "open") as server:
        yield server


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("oci")
    (folder / "htpasswd").write_text(HTPASSWD)
    with oci_registry(
        folder / "locked", {"htpasswd": {"realm": "these tests", "path": f"{folder}/htpasswd"}}
    ) as server:
        yield server


def archive_of(folder: Path, tmp_path: Path) -> Path:
    archive = tmp_path / f"{folder.name}.tar.gz"
    write_archive(folder, archive)
    return archive


def push(uri: str, archive: Path, login: Login | None = None, **more: Any) -> PushedArtifact:
    parsed = parse_uri(uri)
    with Registry(parsed, login or Login(), Fetching(attempts=3, backoff_seconds=0.05)) as registry:
        return push_package(registry, parsed.reference, archive, {"dev.sluice.note": "of a test"}, **more)


class Raw:
    """Puts together artifacts that somebody else's tool would make."""

    def __init__(self, server: Server, repository: str) -> None:
        self.base = f"{server.url}/v2/{repository}"
        self.uri = f"oci://{server.host}/{repository}"

    def blob(self, content: bytes, kind: str, annotations: dict[str, str] | None = None) -> dict[str, Any]:
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        place = httpx.post(f"{self.base}/blobs/uploads/", **DIRECTLY).headers["location"]
        asked = dict(httpx.URL(place).params, digest=digest)
        httpx.put(place, params=asked, content=content, **DIRECTLY).raise_for_status()
        return {"mediaType": kind, "digest": digest, "size": len(content), "annotations": annotations or {}}

    def manifest(self, tag: str, *layers: dict[str, Any], kind: str = MANIFEST) -> dict[str, Any]:
        config = self.blob(b"{}", "application/vnd.oci.empty.v1+json")
        return self.put(tag, {"schemaVersion": 2, "mediaType": kind, "config": config, "layers": layers})

    def put(self, tag: str, document: dict[str, Any]) -> dict[str, Any]:
        content = json.dumps(document).encode()
        headers = {"Content-Type": document["mediaType"]}
        place = f"{self.base}/manifests/{tag}"
        httpx.put(place, content=content, headers=headers, **DIRECTLY).raise_for_status()
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        return {"mediaType": document["mediaType"], "digest": digest, "size": len(content)}


def tar_of(files: dict[str, bytes], mode: str = "w:gz") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as tar:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


def files_of(folder: Path, below: str = "") -> dict[str, bytes]:
    return {below + path.name: path.read_bytes() for path in folder.iterdir()}


def test_what_is_pushed_is_what_is_pulled(registry: Server, tmp_path: Path) -> None:
    package = make_package(tmp_path / "iris")
    uri = f"oci://{registry.host}/models/iris:1"
    first = push(uri, archive_of(package, tmp_path))
    assert first.new
    assert push(uri, archive_of(package, tmp_path)) == PushedArtifact(first.digest, new=False)
    assert digest_at(uri, tmp_path / "by-tag") == package_digest(package)
    by_digest = f"oci://{registry.host}/models/iris@{first.digest}"
    assert digest_at(by_digest, tmp_path / "by-digest", digest=package_digest(package)) == package_digest(package)


def test_a_tag_that_is_taken_is_kept_unless_told_otherwise(registry: Server, tmp_path: Path) -> None:
    uri = f"oci://{registry.host}/models/taken:1"
    push(uri, archive_of(make_package(tmp_path / "one"), tmp_path))
    other = make_package(tmp_path / "two", version="2")
    with pytest.raises(FileExistsError):
        push(uri, archive_of(other, tmp_path))
    push(uri, archive_of(other, tmp_path), force=True)
    assert digest_at(uri, tmp_path / "pulled") == package_digest(other)


def test_what_other_tools_push_is_read(registry: Server, tmp_path: Path) -> None:
    package = make_package(tmp_path / "package")
    raw = Raw(registry, "tools")
    files = files_of(package)
    as_files = [raw.blob(content, TAR, {TITLE: name}) for name, content in files.items()]
    folder = raw.blob(tar_of(files_of(package, "package/")), GZIPPED, {TITLE: "package", UNPACK: "true"})
    archive = raw.blob(archive_of(package, tmp_path).read_bytes(), "application/gzip", {TITLE: "iris-1.tar.gz"})
    whole = raw.blob(tar_of(files), GZIPPED)
    onnx, rest = ({k: v for k, v in files.items() if k.endswith(".onnx") is is_onnx} for is_onnx in (True, False))
    halves = [
        raw.blob(tar_of({**dict.fromkeys(onnx, b"old"), "gone": b""}), GZIPPED),
        raw.blob(tar_of(rest, "w"), TAR),
        raw.blob(tar_of({**onnx, ".wh.gone": b""}), "application/vnd.docker.image.rootfs.diff.tar.gzip"),
    ]
    raw.manifest("files", *as_files)
    raw.manifest("folder", folder)
    raw.manifest("archive", archive)
    raw.manifest("image", *halves)
    raw.manifest("docker", whole, kind=DOCKER_MANIFEST)
    raw.manifest("modelcar", raw.blob(tar_of(files_of(package, "models/")), GZIPPED))
    for tag in ("files", "folder", "archive", "image", "docker", "modelcar"):
        assert digest_at(f"{raw.uri}:{tag}", tmp_path / tag) == package_digest(package), tag


@pytest.mark.parametrize(("kind", "inner"), [(INDEX, MANIFEST), (DOCKER_LIST, DOCKER_MANIFEST)])
def test_an_index_leads_to_the_one_that_is_read_everywhere(
    kind: str, inner: str, registry: Server, tmp_path: Path
) -> None:
    raw = Raw(registry, f"index-{len(kind)}")
    platforms = {"arm64": make_package(tmp_path / "arm", version="2"), "amd64": make_package(tmp_path / "amd")}
    manifests = []
    for architecture, package in platforms.items():
        layer = raw.blob(tar_of(files_of(package)), GZIPPED)
        one = raw.manifest(architecture, layer, kind=inner)
        manifests.append({**one, "platform": {"os": "linux", "architecture": architecture}})
    raw.put("both", {"schemaVersion": 2, "mediaType": kind, "manifests": manifests})
    assert digest_at(f"{raw.uri}:both", tmp_path / "pulled") == package_digest(platforms["amd64"])


def test_what_is_no_package_is_refused(registry: Server, tmp_path: Path) -> None:
    raw = Raw(registry, "refused")
    raw.manifest("nothing")
    raw.manifest("other", raw.blob(b"x", "application/octet-stream", {TITLE: "notes.txt"}))
    raw.manifest("outside", raw.blob(b"x", TAR, {TITLE: "../../up"}))
    raw.manifest("link", raw.blob(link_tar(), GZIPPED))
    raw.manifest("bomb", raw.blob(tar_of({"zeros": bytes(3_000_000)}), GZIPPED))
    wanted = {
        "nothing": Reason.INVALID_PACKAGE,
        "other": Reason.INVALID_PACKAGE,
        "outside": Reason.UNSAFE_ARCHIVE,
        "link": Reason.UNSAFE_ARCHIVE,
        "bomb": Reason.PACKAGE_TOO_LARGE,
        "missing": Reason.SOURCE_NOT_FOUND,
    }
    # Tar may hold ten thousand names, for which room is left beside the limit.
    small = {"maxPackageBytes": 1000}
    found = {tag: refusal_of(f"{raw.uri}:{tag}", tmp_path / tag, limits=small).reason for tag in wanted}
    assert found == wanted


def link_tar() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        member = tarfile.TarInfo("model.yaml")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(member)
    return out.getvalue()


def test_bytes_that_were_changed_in_the_registry_are_refused(registry: Server, tmp_path: Path) -> None:
    uri = f"oci://{registry.host}/models/changed:1"
    push(uri, archive_of(make_package(tmp_path / "iris", weights=os.urandom(50_000)), tmp_path))
    with Registry(parse_uri(uri), Login(), Fetching()) as client:
        (layer,) = client.manifest("1").manifest.layers or ()
    digest = layer.digest.removeprefix("sha256:")
    stored = registry.folder / f"blobs/docker/registry/v2/blobs/sha256/{digest[:2]}/{digest}/data"
    stored.write_bytes(stored.read_bytes()[:-1] + b"!")
    assert refusal_of(uri, tmp_path / "pulled").reason is Reason.DIGEST_MISMATCH


def test_a_moved_tag_is_another_reference_and_the_old_digest_stays(registry: Server, tmp_path: Path) -> None:
    uri = f"oci://{registry.host}/models/moving:latest"
    one, two = make_package(tmp_path / "one"), make_package(tmp_path / "two", version="2")
    first = push(uri, archive_of(one, tmp_path))
    pinned = f"oci://{registry.host}/models/moving@{first.digest}"
    config = config_for(uri, tmp_path / "step")
    found = Resolved(digest=package_digest(one), name="iris", version="1", uri=pinned)
    assert run("sluice_runtime.resolve", config) == (0, found)
    known = config_for(uri, tmp_path / "again", known_uri=pinned)
    assert run("sluice_runtime.resolve", known) == (0, Resolved(digest="", name="", version="", uri=pinned))
    assert not (tmp_path / "again/models").exists(), "nothing was downloaded"
    second = push(uri, archive_of(two, tmp_path), force=True)
    code, word = run("sluice_runtime.resolve", known)
    assert (code, word) == (
        0,
        Resolved(
            digest=package_digest(two),
            name="iris",
            version="2",
            uri=f"oci://{registry.host}/models/moving@{second.digest}",
        ),
    )
    assert digest_at(pinned, tmp_path / "old") == package_digest(one)


def test_a_locked_registry_opens_to_those_it_knows(locked: Server, tmp_path: Path) -> None:
    uri = f"oci://{locked.host}/models/iris:1"
    package = make_package(tmp_path / "iris")
    push(uri, archive_of(package, tmp_path), Login(USER, PASSWORD))
    docker = {"auths": {locked.host: {"auth": base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()}}}
    for number, secret in enumerate(
        ({"username": USER, "password": PASSWORD}, {".dockerconfigjson": json.dumps(docker)})
    ):
        assert digest_at(uri, tmp_path / str(number), secret) == package_digest(package)
    for name, secret in {"none": {}, "wrong": {"username": USER, "password": "guess"}}.items():
        error = refusal_of(uri, tmp_path / name, secret)
        assert error.reason is Reason.SOURCE_FORBIDDEN
        assert "Secret" in error.message


def test_a_registry_with_a_token_service_is_asked_with_its_tokens(tmp_path: Path) -> None:
    package = make_package(tmp_path / "iris")
    with token_service(tmp_path / "tokens") as tokens, oci_registry(tmp_path / "oci", tokens.registry_auth) as server:
        uri = f"oci://{server.host}/models/iris:1"
        push(uri, archive_of(package, tmp_path), Login(USER, PASSWORD))
        # The registry names actions in any order.
        asked = {frozenset(scope.removeprefix("repository:models/iris:").split(",")) for scope, _ in tokens.asked}
        assert asked == {frozenset({"pull"}), frozenset({"pull", "push"})}
        tokens.asked.clear()
        assert digest_at(uri, tmp_path / "anonymous") == package_digest(package)
        assert tokens.asked == [("repository:models/iris:pull", "")], "one token is enough for one package"
        error = refusal_of(uri, tmp_path / "wrong", {"username": USER, "password": "guess"})
        assert error.reason is Reason.SOURCE_FORBIDDEN
        with pytest.raises(PackageError) as caught:
            push(f"oci://{server.host}/models/iris:2", archive_of(package, tmp_path))
        assert caught.value.reason is Reason.SOURCE_FORBIDDEN


def test_a_registry_that_is_killed_while_it_sends_costs_only_what_was_on_the_line(tmp_path: Path) -> None:
    size = 24_000_000
    package = make_package(tmp_path / "iris", weights=os.urandom(size))
    with oci_registry(tmp_path / "oci") as server:

        def restart() -> None:
            server.kill()
            server.start("/v2/")

        uri = f"oci://{server.host}/models/iris:1"
        push(uri, archive_of(package, tmp_path))
        faults = {size // 4: nothing, size // 2: restart, size * 3 // 4: nothing}
        with line_to(server.port, faults) as line:
            through = {"endpoint": f"http://127.0.0.1:{line.port}"}
            assert digest_at(uri, tmp_path / "pulled", store=through) == package_digest(package)
        assert line.cuts == len(faults)
        assert line.passed < size * 2, "what had come was not sent again"
