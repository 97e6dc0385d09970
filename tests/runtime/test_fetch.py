"""The fetch and resolve steps against a real HTTP server."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.harness import run
from runtime.models import fails_beyond_the_table
from runtime.webserver import WebServer, web_server
from sluice.config import Fetching, RuntimeConfig
from sluice.digest import package_digest
from sluice.failures import Failure, PackageError, Reason, Resolved
from sluice.package import write_package
from sluice_store.fetching import fetch_package
from sluice_store.web import Web
from support.ports import free_port

PATIENT = Fetching(attempts=9, backoff_seconds=0)


@pytest.fixture(scope="module")
def digest_and_archive(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp("archive")
    (folder / "m.onnx").write_bytes(fails_beyond_the_table().SerializeToString())
    return write_package(folder / "m.onnx", "shop", "3", folder / "shop.tar.gz"), folder / "shop.tar.gz"


@pytest.fixture
def web(digest_and_archive: tuple[str, Path]) -> Iterator[WebServer]:
    with web_server(digest_and_archive[1]) as server:
        yield server


@pytest.fixture(autouse=True)
def _without_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def config_for(uri: str, tmp_path: Path, **changes: Any) -> RuntimeConfig:
    settings: dict[str, Any] = {
        "name": "shop",
        "uri": uri,
        "package_dir": str(tmp_path / "models/package"),
        "credentials_dir": str(tmp_path / "secret"),
        "termination_log": str(tmp_path / "log"),
        "fetching": Fetching(attempts=3, backoff_seconds=0),
    }
    return RuntimeConfig.model_validate({**settings, **changes})


def reason_of(config: RuntimeConfig) -> PackageError:
    with pytest.raises(PackageError) as caught:
        fetch_package(config)
    assert os.listdir(Path(config.package_dir).parent) == []
    return caught.value


def test_the_fetch_step_brings_the_package(
    web: WebServer, digest_and_archive: tuple[str, Path], tmp_path: Path
) -> None:
    config = config_for(f"{web.url}/ok.tar.gz", tmp_path, digest=digest_and_archive[0])
    told = Resolved(digest=digest_and_archive[0], name="shop", version="3")
    assert run("sluice_runtime.fetch", config) == (0, told)
    assert package_digest(Path(config.package_dir)) == digest_and_archive[0]
    assert run("sluice_runtime.fetch", config) == (0, told)
    assert web.seen["ok"] == 1, "a restarted step does nothing"


def test_the_resolve_step_names_the_digest(
    web: WebServer, digest_and_archive: tuple[str, Path], tmp_path: Path
) -> None:
    code, word = run("sluice_runtime.resolve", config_for(f"{web.url}/moved", tmp_path))
    assert code == 0
    assert word == Resolved(digest=digest_and_archive[0], name="shop", version="3")


def test_a_failed_step_exits_with_1_and_leaves_its_reason(web: WebServer, tmp_path: Path) -> None:
    wanted = "sha256:" + "0" * 64
    for module in ("sluice_runtime.fetch", "sluice_runtime.resolve"):
        code, word = run(module, config_for(f"{web.url}/ok", tmp_path, digest=wanted))
        assert code == 1
        assert isinstance(word, Failure)
        assert word.reason is Reason.DIGEST_MISMATCH
        assert wanted in word.message
    assert os.listdir(tmp_path / "models") == []


@pytest.mark.parametrize(
    ("path", "reason", "requests"),
    [
        ("404", Reason.SOURCE_NOT_FOUND, 1),
        ("410", Reason.SOURCE_NOT_FOUND, 1),
        ("403", Reason.SOURCE_FORBIDDEN, 1),
        ("401", Reason.SOURCE_FORBIDDEN, 1),
        ("private", Reason.SOURCE_FORBIDDEN, 1),
        ("500", Reason.SOURCE_UNREACHABLE, 3),
        ("429", Reason.SOURCE_UNREACHABLE, 3),
        ("cut", Reason.SOURCE_UNREACHABLE, 3),
        ("page", Reason.INVALID_PACKAGE, 1),
        ("claims-much", Reason.PACKAGE_TOO_LARGE, 1),
        ("circle", Reason.SOURCE_UNREACHABLE, 6),
        ("claims-more", Reason.SOURCE_UNREACHABLE, 3),
        ("ever-changing", Reason.SOURCE_CHANGED, 4),
        ("to-metadata", Reason.ADDRESS_REFUSED, 1),
        ("to-cluster", Reason.ADDRESS_REFUSED, 1),
        ("to-file", Reason.ADDRESS_REFUSED, 1),
        ("to-nonsense", Reason.SOURCE_UNREACHABLE, 3),
    ],
)
def test_each_fault_has_its_reason_and_only_transient_ones_are_retried(
    path: str, reason: Reason, requests: int, web: WebServer, tmp_path: Path
) -> None:
    error = reason_of(config_for(f"{web.url}/{path}", tmp_path))
    assert error.reason is reason
    assert web.seen[path.replace("-", "_")] == requests


@pytest.mark.parametrize("path", ["bad-once", "busy-once", "cut-once", "cut-often", "cut-and-changed", "moved"])
def test_a_fault_that_passes_is_overcome(path: str, web: WebServer, tmp_path: Path) -> None:
    config = config_for(f"{web.url}/{path}", tmp_path, fetching=PATIENT)
    assert fetch_package(config).manifest.name == "shop"


def test_a_download_goes_on_where_it_was_cut(
    web: WebServer, digest_and_archive: tuple[str, Path], tmp_path: Path
) -> None:
    config = config_for(f"{web.url}/cut-often", tmp_path, digest=digest_and_archive[0], fetching=PATIENT)
    fetch_package(config)
    piece = digest_and_archive[1].stat().st_size // 4 + 1
    assert web.ranges == [0, piece, 2 * piece, 3 * piece]


def test_a_redirect_does_not_reach_a_neighbour_by_another_name(web: WebServer, tmp_path: Path) -> None:
    """What is asked for is on an address of the network, and it points to one on loopback."""
    answers = {"store.example.com": ["127.0.0.1"], "localhost": ["127.0.0.2"]}
    with (
        Web(
            f"http://store.example.com:{web.server_port}/", Fetching(), resolve=lambda host, _: answers[host]
        ) as client,
        pytest.raises(PackageError) as caught,
        client.stream("GET", f"http://store.example.com:{web.server_port}/to-loopback"),
    ):
        pass
    assert caught.value.reason is Reason.ADDRESS_REFUSED


def test_a_connection_goes_to_the_address_that_was_checked(web: WebServer) -> None:
    url = f"http://store.example.com:{web.server_port}/ok"
    with Web(url, Fetching(), resolve=lambda host, _: ["127.0.0.1"]) as client:
        assert client.ask("GET", url).status_code == 200


def test_a_proxy_of_the_environment_is_asked(
    web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digest_and_archive: tuple[str, Path]
) -> None:
    monkeypatch.setenv("http_proxy", web.url)
    url = "http://no-such-host.example.com/ok"
    with Web(url, Fetching(), resolve=unknown) as client:
        assert client.ask("GET", url).content == digest_and_archive[1].read_bytes()


def unknown(host: str, _: int) -> list[str]:
    raise OSError(f"{host} is not known")


def test_a_server_that_falls_silent_is_given_up(web: WebServer, tmp_path: Path) -> None:
    fetching = Fetching(attempts=2, backoff_seconds=0, timeout_seconds=0.2)
    error = reason_of(config_for(f"{web.url}/silent", tmp_path, fetching=fetching))
    assert error.reason is Reason.SOURCE_UNREACHABLE
    assert web.seen["silent"] == 2


def test_an_endless_body_stops_at_the_limit(web: WebServer, tmp_path: Path) -> None:
    config = config_for(f"{web.url}/endless", tmp_path, limits={"maxPackageBytes": 1_000_000})
    assert reason_of(config).reason is Reason.PACKAGE_TOO_LARGE


def test_nobody_listening_is_unreachable(tmp_path: Path) -> None:
    error = reason_of(config_for(f"http://127.0.0.1:{free_port()}/x", tmp_path))
    assert error.reason is Reason.SOURCE_UNREACHABLE
    assert "check the address" in error.message


@pytest.mark.parametrize("keys", [{"token": "s3cret\n"}, {"username": "user", "password": "pass"}])
def test_credentials_come_from_the_mounted_secret(keys: dict[str, str], web: WebServer, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    for name, value in keys.items():
        (tmp_path / "secret" / name).write_text(value)
    assert fetch_package(config_for(f"{web.url}/private", tmp_path)).manifest.name == "shop"


def test_credentials_do_not_follow_a_redirect_to_another_server(
    digest_and_archive: tuple[str, Path], web: WebServer, tmp_path: Path
) -> None:

    with web_server(digest_and_archive[1]) as other:
        web.RequestHandlerClass.moved = lambda handler: handler.answer(302, b"", Location=f"{other.url}/ok")  # type: ignore[attr-defined]
        (tmp_path / "secret").mkdir()
        (tmp_path / "secret/token").write_text("s3cret")
        fetch_package(config_for(f"{web.url}/moved", tmp_path))
        assert web.authorization == ["Bearer s3cret"]
        assert other.authorization == [""]


def test_without_a_secret_nothing_is_sent(web: WebServer, tmp_path: Path) -> None:
    fetch_package(config_for(f"{web.url}/ok", tmp_path))
    assert web.authorization == [""]
