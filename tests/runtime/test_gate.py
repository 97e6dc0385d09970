"""Object stores behind a proxy of the environment: what they lead to is checked all the same."""

import http.server
from pathlib import Path

import pytest

from runtime.answering import answering, sends
from sluice.config import Fetching, RuntimeConfig
from sluice.failures import PackageError, Reason
from sluice_store.fetching import fetch_package

PUBLIC = "8.8.8.8"
"""Never connected to: it is the proxy that is asked for it."""


class Proxy:
    """Keeps what it was asked, and answers each request so."""

    def __init__(self, status: int, location: str = "") -> None:
        self.status, self.location = status, location
        self.asked: list[tuple[str, str, str | None]] = []

    def __call__(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        self.asked.append((handler.command, handler.path, handler.headers.get("Proxy-Authorization")))
        handler.send_response(self.status)
        if self.location:
            handler.send_header("Location", self.location)
        handler.send_header("Content-Length", "0")
        handler.end_headers()


def refusal_of(endpoint: str, proxy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PackageError:
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, proxy)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    config = RuntimeConfig.model_validate(
        {
            "name": "shop",
            "uri": "s3://models/shop.tar.gz",
            "package_dir": str(tmp_path / "models/package"),
            "credentials_dir": str(tmp_path / "secret"),
            "fetching": Fetching(attempts=1),
            "store": {"endpoint": endpoint},
        }
    )
    with pytest.raises(PackageError) as caught:
        fetch_package(config)
    return caught.value


def test_a_redirect_to_where_no_proxy_is_asked_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside: list[str] = []

    def secret(handler: http.server.BaseHTTPRequestHandler) -> None:
        inside.append(handler.path)
        sends(b"secret")(handler)

    with answering(secret) as own:
        proxy = Proxy(302, f"{own}/secret")
        with answering(proxy) as url:
            error = refusal_of(f"http://{PUBLIC}", url, tmp_path, monkeypatch)
    assert error.reason is Reason.ADDRESS_REFUSED, error
    assert proxy.asked == [("GET", f"http://{PUBLIC}/models/shop.tar.gz", None)]
    assert inside == []


@pytest.mark.parametrize(
    ("endpoint", "asked"),
    [
        (f"http://{PUBLIC}:9000", ("GET", f"http://{PUBLIC}:9000/models/shop.tar.gz", "Basic YW5uOnBAdw==")),
        (f"https://{PUBLIC}", ("CONNECT", f"{PUBLIC}:443", "Basic YW5uOnBAdw==")),
    ],
)
def test_the_proxy_is_asked_with_its_own_password(
    endpoint: str, asked: tuple[str, str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Proxy(404)
    with answering(proxy) as url:
        refusal_of(endpoint, url.replace("//", "//ann:p%40w@"), tmp_path, monkeypatch)
    assert proxy.asked == [asked]


def test_a_proxy_that_cannot_be_spoken_to_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    error = refusal_of(f"http://{PUBLIC}", "socks5://127.0.0.1:1", tmp_path, monkeypatch)
    assert error.reason is Reason.INVALID_CONFIG
    assert "socks5" in error.message
