"""The head of an HTTP request: as ASGI's scope, and without the offer of another protocol."""

from __future__ import annotations

import urllib.parse
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

import httptools

Scope = MutableMapping[str, Any]
Header = tuple[bytes, bytes]

_ASGI = {"version": "3.0", "spec_version": "2.3"}


@dataclass(slots=True)
class Head:
    """The head of a request, as it came. `target` is the request target, `state` the application's own."""

    method: bytes
    target: bytes
    version: str
    headers: list[Header]
    client: tuple[str, int]
    server: tuple[str, int]
    state: dict[str, Any]

    def scope(self) -> Scope:
        """The head as ASGI's scope."""
        target = self.target
        if not target.startswith(b"/"):
            parsed = httptools.parse_url(target)
            target = (parsed.path or b"/") + (b"?" + parsed.query if parsed.query else b"")
        raw_path, _, query = target.partition(b"?")
        path = raw_path.decode("latin-1")
        return {
            "type": "http",
            "asgi": _ASGI,
            "http_version": self.version,
            "method": self.method.decode("ascii"),
            "scheme": "http",
            "path": urllib.parse.unquote(path) if "%" in path else path,
            "raw_path": raw_path,
            "query_string": query,
            "root_path": "",
            "headers": self.headers,
            "client": self.client,
            "server": self.server,
            "state": self.state.copy(),
        }


def without_offer(method: bytes, target: bytes, headers: list[Header]) -> bytes:
    """A head once more, as if no other protocol had been offered in it.

    Some clients offer HTTP/2 with their first request; llhttp then leaves the request's body to the new protocol,
    and HTTP/1.1 answers best by not taking the offer.
    """
    kept = [header for header in headers if header[0] not in (b"connection", b"upgrade")]
    lines = (b"%b %b HTTP/1.1" % (method, target), *(b"%b: %b" % header for header in kept), b"", b"")
    return b"\r\n".join(lines)
