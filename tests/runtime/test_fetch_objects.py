"""Object stores that misbehave: a real server that answers as S3 does, and as none should."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from obstore.store import S3Store

from runtime.models import fails_beyond_the_table
from runtime.webserver import WebServer, web_server
from sluice.config import Fetching, RuntimeConfig
from sluice.failures import PackageError, Reason
from sluice.package import write_package
from sluice.uri import parse_uri
from sluice_store.fetching import fetch_package
from sluice_store.objects import Bucket
from support.ports import free_port


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    (folder / "m.onnx").write_bytes(fails_beyond_the_table().SerializeToString())
    write_package(folder / "m.onnx", "shop", "3", folder / "shop.tar.gz")
    return folder / "shop.tar.gz"


@pytest.fixture
def web(archive: Path) -> Iterator[WebServer]:
    with web_server(archive) as server:
        yield server


@pytest.fixture(autouse=True)
def _without_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def config_for(endpoint: str, key: str, tmp_path: Path, **changes: Any) -> RuntimeConfig:
    settings: dict[str, Any] = {
        "name": "shop",
        "uri": f"s3://models/{key}",
        "package_dir": str(tmp_path / "models/package"),
        "credentials_dir": str(tmp_path / "secret"),
        "fetching": Fetching(attempts=6, backoff_seconds=0),
        "store": {"endpoint": endpoint},
    }
    return RuntimeConfig.model_validate({**settings, **changes})


@pytest.mark.parametrize("path", ["ranged", "cut-and-changed"])
def test_a_fault_that_passes_is_overcome(path: str, web: WebServer, tmp_path: Path) -> None:
    assert fetch_package(config_for(web.url, f"shop/{path}.tar.gz", tmp_path)).manifest.name == "shop"


@pytest.mark.parametrize(
    ("path", "reason", "requests"),
    [
        ("404", Reason.SOURCE_NOT_FOUND, 1),
        ("403", Reason.SOURCE_FORBIDDEN, 1),
        ("401", Reason.SOURCE_FORBIDDEN, 1),
        ("400", Reason.SOURCE_FORBIDDEN, 1),
        ("405", Reason.SOURCE_NOT_FOUND, 1),
        ("503", Reason.SOURCE_UNREACHABLE, 3),
        ("429", Reason.SOURCE_UNREACHABLE, 3),
        ("ever-changing", Reason.SOURCE_CHANGED, 4),
        ("to-metadata", Reason.ADDRESS_REFUSED, 1),
        ("to-cluster", Reason.ADDRESS_REFUSED, 1),
        ("to-loopback", Reason.SOURCE_UNREACHABLE, 3),
    ],
)
def test_each_fault_has_its_reason_and_only_transient_ones_are_retried(
    path: str, reason: Reason, requests: int, web: WebServer, tmp_path: Path
) -> None:
    few = Fetching(attempts=3, backoff_seconds=0)
    with pytest.raises(PackageError) as caught:
        fetch_package(config_for(web.url, f"shop/{path}.tar.gz", tmp_path, fetching=few))
    assert caught.value.reason is reason, caught.value
    assert web.seen[path.replace("-", "_")] == requests
    assert os.listdir(tmp_path / "models") == []


def test_a_store_that_falls_silent_is_given_up(web: WebServer, tmp_path: Path) -> None:
    fetching = Fetching(attempts=2, backoff_seconds=0, timeout_seconds=0.2)
    with pytest.raises(PackageError) as caught:
        fetch_package(config_for(web.url, "shop/silent.tar.gz", tmp_path, fetching=fetching))
    assert caught.value.reason is Reason.SOURCE_UNREACHABLE
    assert web.seen["silent"] == 2


def test_nobody_listening_is_unreachable(tmp_path: Path) -> None:
    few = Fetching(attempts=2, backoff_seconds=0)
    with pytest.raises(PackageError) as caught:
        fetch_package(config_for(f"http://127.0.0.1:{free_port()}", "shop/3", tmp_path, fetching=few))
    assert caught.value.reason is Reason.SOURCE_UNREACHABLE


def test_a_listing_that_says_the_same_again_and_again_ends(web: WebServer, tmp_path: Path) -> None:
    with pytest.raises(PackageError) as caught:
        fetch_package(config_for(web.url, "shop/3", tmp_path))
    assert caught.value.reason is Reason.UNSAFE_ARCHIVE, caught.value


def test_a_drip_is_seen_as_it_comes(web: WebServer) -> None:
    client = S3Store(
        "models", endpoint=web.url, skip_signature=True, region="us-east-1", client_options={"allow_http": True}
    )
    drops = Bucket(client, parse_uri("s3://models/shop"), Fetching()).opener("shop/drop-and-wait")
    with drops(0, None) as part:
        assert bytes(next(iter(part.chunks))) == b"x"
    web.released.set()


def test_a_package_comes_through_a_proxy(web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", web.url)
    monkeypatch.setenv("no_proxy", "10.0.0.0/8")
    # Nobody looks for this address but the proxy, which has the package itself.
    config = config_for("http://8.8.8.8:9000", "shop/cut-and-changed.tar.gz", tmp_path)
    assert fetch_package(config).manifest.name == "shop"
