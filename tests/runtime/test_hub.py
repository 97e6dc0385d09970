"""Packages in model repositories: a server that answers as the Hugging Face Hub does."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.hub import Hub, hugging_face
from sluice.config import Fetching, RuntimeConfig
from sluice.digest import package_digest, package_files
from sluice.failures import PackageError, Reason, Resolved, parse_termination
from sluice.uri import parse_uri
from sluice_runtime.resolve import resolve
from sluice_store.fetching import fetch_package
from sluice_store.references import resolve_reference
from unit.store.packages import make_package


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with hugging_face() as server:
        yield server


def package_of(tmp_path: Path, version: str = "1", size: int = 5000) -> tuple[str, dict[str, bytes]]:
    folder = make_package(tmp_path / f"package-{version}", version=version, weights=os.urandom(size))
    return package_digest(folder), {name: (folder / name).read_bytes() for name in package_files(folder)}


def config_for(hub: Hub, uri: str, tmp_path: Path, **changes: Any) -> RuntimeConfig:
    settings: dict[str, Any] = {
        "name": "iris",
        "uri": uri,
        "package_dir": str(tmp_path / "models/package"),
        "credentials_dir": str(tmp_path / "secret"),
        "fetching": Fetching(attempts=2, backoff_seconds=0),
        "store": {"endpoint": hub.url},
    }
    return RuntimeConfig.model_validate({**settings, **changes})


def refusal_of(config: RuntimeConfig) -> PackageError:
    with pytest.raises(PackageError) as caught:
        fetch_package(config)
    return caught.value


def test_the_package_is_what_the_repository_holds_and_git_does_not(hub: Hub, tmp_path: Path) -> None:
    digest, files = package_of(tmp_path)
    hub.repository("org/iris").commit({**files, ".huggingface/x": b"1"})
    assert fetch_package(config_for(hub, "hf://org/iris", tmp_path)).digest == digest


def test_a_folder_of_a_repository_can_be_a_package(hub: Hub, tmp_path: Path) -> None:
    digest, files = package_of(tmp_path)
    below = {f"exports/a b/{name}": content for name, content in files.items()}
    commit = hub.repository("org/iris").commit({**below, "pytorch_model.bin": b"of no interest"}, "v1.0")
    uri = "hf://models/org/iris@v1.0/exports/a%20b"
    config = config_for(hub, uri, tmp_path)
    assert fetch_package(config).digest == digest
    pinned = resolve_reference(parse_uri(uri), config)
    assert pinned.text == f"hf://org/iris@{commit}/exports/a%20b"
    assert not pinned.is_movable
    assert fetch_package(config_for(hub, pinned.text, tmp_path / "pinned")).digest == digest


def test_a_branch_moves_and_its_commits_stay(hub: Hub, tmp_path: Path) -> None:
    (old, files), (_, newer) = package_of(tmp_path), package_of(tmp_path, "2")
    repository = hub.repository("org/iris")
    repository.commit(files)
    config = config_for(hub, "hf://org/iris@main", tmp_path)
    before = resolve_reference(parse_uri(config.uri), config)
    assert resolve_reference(before, config) is before
    repository.commit(newer)
    assert resolve_reference(parse_uri(config.uri), config) != before
    assert fetch_package(config_for(hub, before.text, tmp_path)).digest == old


def test_the_resolve_step_downloads_only_what_has_moved(hub: Hub, tmp_path: Path) -> None:
    (old, files), (new, newer) = package_of(tmp_path), package_of(tmp_path, "2")
    repository, log = hub.repository("org/iris"), tmp_path / "log"
    first = f"hf://org/iris@{repository.commit(files)}"
    config = config_for(hub, "hf://org/iris", tmp_path, termination_log=str(log))
    resolve(config)
    assert parse_termination(log.read_text()) == Resolved(digest=old, name="iris", version="1", uri=first)
    known = config_for(hub, "hf://org/iris", tmp_path / "poll", termination_log=str(log), known_uri=first)
    hub.front.seen.clear()
    resolve(known)
    assert parse_termination(log.read_text()) == Resolved(digest="", name="", version="", uri=first)
    assert len(hub.front.seen) == 1
    second = f"hf://org/iris@{repository.commit(newer)}"
    resolve(known)
    assert parse_termination(log.read_text()) == Resolved(digest=new, name="iris", version="2", uri=second)
    resolve(config_for(hub, first, tmp_path / "pinned", termination_log=str(log)))
    assert parse_termination(log.read_text()) == Resolved(digest=old, name="iris", version="1")


def test_a_token_is_for_the_hub_alone(hub: Hub, tmp_path: Path) -> None:
    digest, files = package_of(tmp_path)
    hub.repository("org/closed", token="hf_s3cret").commit(files)
    config = config_for(hub, "hf://org/closed", tmp_path)
    error = refusal_of(config)
    assert error.reason is Reason.SOURCE_NOT_FOUND
    assert "token" in error.message
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/token").write_text("hf_s3cret\n")
    assert fetch_package(config).digest == digest
    assert {said for _, said in hub.front.seen[1:]} == {"Bearer hf_s3cret"}
    assert {said for _, said in hub.cdn.seen} == {""}


def test_a_large_file_goes_on_at_another_place_of_the_network(hub: Hub, tmp_path: Path) -> None:
    digest, files = package_of(tmp_path, size=1_000_000)
    hub.repository("org/iris").commit(files)
    hub.cdn.cuts = 3
    assert fetch_package(config_for(hub, "hf://org/iris", tmp_path)).digest == digest
    assert len(hub.cdn.seen) == 4


def test_other_bytes_than_the_hub_promises_are_refused(hub: Hub, tmp_path: Path) -> None:
    _, files = package_of(tmp_path)
    commit = hub.repository("org/iris").commit(files)
    large = next(told["lfs"]["sha256"] for told in hub.described("org/iris", commit)["siblings"] if "lfs" in told)
    hub.delivery[large] = bytes(5000)
    error = refusal_of(config_for(hub, "hf://org/iris", tmp_path))
    assert error.reason is Reason.DIGEST_MISMATCH
    assert "s3cret" not in error.message


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"model.yaml": b"m"}, Reason.INVALID_PACKAGE),
        ({"deeper/model.yaml": b"m", "deeper/model.onnx": b"o"}, Reason.INVALID_PACKAGE),
        ({"model.yaml": b"m", "model.onnx": b"o", "../up": b""}, Reason.UNSAFE_ARCHIVE),
        ({"model.yaml": b"m", "model.onnx": b"o", "/up": b""}, Reason.UNSAFE_ARCHIVE),
        ({"model.yaml": b"m", "model.onnx": b"o", "a/./b": b""}, Reason.UNSAFE_ARCHIVE),
        ({"model.yaml": b"m", "model.onnx": bytes(20_000)}, Reason.PACKAGE_TOO_LARGE),
    ],
)
def test_what_is_no_package_is_not_downloaded(
    files: dict[str, bytes], reason: Reason, hub: Hub, tmp_path: Path
) -> None:
    hub.repository("org/iris").commit(files)
    error = refusal_of(config_for(hub, "hf://org/iris", tmp_path, limits={"maxPackageBytes": 10_000}))
    assert error.reason is reason
    assert len(hub.front.seen) == 1


@pytest.mark.parametrize("uri", ["hf://org/none", "hf://org/iris@none"])
def test_what_is_not_there_is_named(uri: str, hub: Hub, tmp_path: Path) -> None:
    hub.repository("org/iris").commit({"a": b"1"})
    error = refusal_of(config_for(hub, uri, tmp_path))
    assert error.reason is Reason.SOURCE_NOT_FOUND
    assert uri.removeprefix("hf://") in error.message
