"""The head of an HTTP request: collected, as ASGI's scope, recognised when it comes again, without a foreign offer."""

from __future__ import annotations

import urllib.parse
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

import httptools

Scope = MutableMapping[str, Any]
Header = tuple[bytes, bytes]

_LENGTH = b"\r\ncontent-length: "
_LONGEST_FAMILIAR = 4096
"""Bytes; bounds what a connection makes the process remember."""
_MOST_DIGITS = 10

_ASGI = {"version": "3.0", "spec_version": "2.3"}


@dataclass(slots=True)
class Head:
    """The head of a request, as it came. `target` is the request target, `state` the application's own.

    `reading` is what the protocol made of it, kept for the next request with the same head.
    """

    method: bytes
    target: bytes
    version: str
    headers: list[Header]
    client: tuple[str, int]
    server: tuple[str, int]
    state: dict[str, Any]
    reading: object = None

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


class HeadReader:
    """The parser's callbacks that collect a head, once for each message."""

    def __init__(self) -> None:
        self._peer: Any = None
        self._local: Any = None
        self.on_message_begin()

    def on_message_begin(self) -> None:
        """A new request."""
        self._url = b""
        self._headers: list[Header] = []
        self._expects = False
        self._length = 0
        self._head_over = False

    def on_url(self, url: bytes) -> None:
        """A part of the request target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        if self._head_over:
            return
        name = name.lower()
        if name == b"expect":
            self._expects = value.lower() == b"100-continue"
        elif name == b"content-length":
            self._length = int(value)  # llhttp has checked it
        self._headers.append((name, value))


class Familiar:
    """A head that was parsed, so that the next one of its connection, if it differs in its length alone, need not be.

    Callers on a kept connection write the same head each time, and parsing it costs as much as a small model. Only
    equal bytes are recognised: whatever else comes is parsed.
    """

    __slots__ = ("_after", "_before", "head")

    def __init__(self, before: bytes, after: bytes, head: Head) -> None:
        self._before = before
        self._after = after
        self.head = head

    @classmethod
    def of(cls, message: bytes, length: int, head: Head) -> Familiar | None:
        """Of one whole message with a body of `length` bytes; None where its head says that in an unusual way."""
        size = len(message) - length
        lower = message[:size].lower() if size <= _LONGEST_FAMILIAR else b""
        if lower.count(_LENGTH) != 1 or lower.find(b"\r\n\r\n") != size - 4:
            return None
        start = lower.index(_LENGTH) + len(_LENGTH)
        end = lower.index(b"\r\n", start)
        if lower[start:end] != b"%d" % length:
            return None
        return cls(message[:start], message[end:size], head)

    def body(self, message: bytes) -> bytes | None:
        """The body of a message that came whole and alone behind this head; None for all others."""
        before, after = self._before, self._after
        if not message.startswith(before):
            return None
        end = message.find(b"\r", len(before), len(before) + _MOST_DIGITS)
        digits = message[len(before) : end]
        if end < 0 or not digits.isdigit() or not message.startswith(after, end):
            return None
        start = end + len(after)
        return message[start:] if len(message) - start == int(digits) else None


def without_offer(method: bytes, target: bytes, headers: list[Header]) -> bytes:
    """A head once more, as if no other protocol had been offered in it.

    Some clients offer HTTP/2 with their first request; llhttp then leaves the request's body to the new protocol,
    and HTTP/1.1 answers best by not taking the offer.
    """
    kept = [header for header in headers if header[0] not in (b"connection", b"upgrade")]
    lines = (b"%b %b HTTP/1.1" % (method, target), *(b"%b: %b" % header for header in kept), b"", b"")
    return b"\r\n".join(lines)
