"""A token service, as registries on the internet have one: who asks with the right password gets a signed token."""

from __future__ import annotations

import base64
import contextlib
import datetime
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt

from integrations.registries.servers import PASSWORD, USER
from support.tls import certificate

ISSUER, SERVICE = "the tests' token service", "the tests' registry"
LIFETIME = datetime.timedelta(minutes=5)


class TokenService(http.server.ThreadingHTTPServer):
    """Signs what it grants with the key of the one certificate that the registry trusts. Who says nothing may pull."""

    daemon_threads = False

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/token"
        self.files = certificate(folder, "tokens.test")
        self.trusted = folder / "tokens.test.crt"
        self.asked: list[tuple[str, str]] = []

    @property
    def registry_auth(self) -> dict[str, Any]:
        """The section of the registry's configuration."""
        trusted = {"issuer": ISSUER, "rootcertbundle": str(self.trusted)}
        return {"token": {"realm": self.url, "service": SERVICE, **trusted}}

    def token(self, scope: str, *, known: bool) -> str:
        """A token for what of `scope` is granted."""
        kind, name, actions = scope.split(":")
        granted = [action for action in actions.split(",") if known or action == "pull"]
        now = datetime.datetime.now(datetime.UTC)
        claims = {
            "iss": ISSUER,
            "aud": SERVICE,
            "sub": USER if known else "",
            "iat": now,
            "nbf": now - LIFETIME,
            "exp": now + LIFETIME,
            "jti": str(len(self.asked)),
            "access": [{"type": kind, "name": name, "actions": granted}],
        }
        pem = self.files["tls.crt"].decode()
        chain = "".join(line for line in pem.splitlines() if not line.startswith("-"))
        return jwt.encode(claims, self.files["tls.key"], "ES256", headers={"x5c": [chain]})


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: TokenService

    def do_GET(self) -> None:
        asked = {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}
        said = self.headers.get("Authorization", "")
        self.server.asked.append((asked["scope"], said))
        known = said == "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if said and not known:
            self._answer(401, {"details": "wrong password"})
        else:
            assert asked["service"] == SERVICE
            token = self.server.token(asked["scope"], known=known)
            self._answer(200, {"token": token, "expires_in": int(LIFETIME.total_seconds())})

    def _answer(self, status: int, document: dict[str, Any]) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Silence."""


@contextlib.contextmanager
def token_service(folder: Path) -> Iterator[TokenService]:
    """A token service on loopback, gone afterwards."""
    folder.mkdir(parents=True)
    with TokenService(folder) as service:
        thread = threading.Thread(target=service.serve_forever)
        thread.start()
        try:
            yield service
        finally:
            service.shutdown()
            thread.join()
