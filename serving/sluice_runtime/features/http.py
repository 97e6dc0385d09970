"""One connection to the store: requests of HTTP/1.1 out, answers in, one at a time.

A bare protocol, because a lookup may add half a millisecond at most and is a part of every prediction: a call through
aiohttp's client takes 0.13 ms more of the event loop on an idle machine, and 0.3 ms on a busy one.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

import httptools

MAX_ANSWER_BYTES = 32 * 1024**2
MAX_HEAD_BYTES = 64 * 1024


class Answer(NamedTuple):
    """A whole answer."""

    status: int
    body: bytes


class BrokenError(Exception):
    """The connection gave no answer that can be used. `begun`: some of it had come."""

    def __init__(self, message: str, begun: bool) -> None:
        super().__init__(message)
        self.begun = begun


class TooLargeError(Exception):
    """An answer that is larger than any about features."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is, and what is asked of it."""

    host: str
    port: int
    tls: bool
    head: bytes

    @classmethod
    def of(cls, url: str, path: str) -> Address:
        """That of a path below a URL of http or https.

        Raises:
            ValueError: it is none.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
            raise ValueError("it must be like http://HOST:PORT, without a user and a query")
        if not parts.netloc.isascii() or not parts.path.isascii() or not f"{parts.netloc}{parts.path}".isprintable():
            raise ValueError("it has characters that no URL has")
        # As a resolver has it: no empty label, and none that is too long.
        parts.hostname.encode("idna")
        tls = parts.scheme == "https"
        target = f"{parts.path.rstrip('/')}{path}"
        if " " in target:
            raise ValueError("it has a blank")
        head = f"POST {target} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        return cls(parts.hostname, parts.port or (443 if tls else 80), tls, head.encode("ascii"))

    def request(self, headers: Mapping[str, str], body: bytes) -> bytes:
        """The bytes of a question in JSON."""
        own = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return b"%bContent-Type: application/json\r\nAccept: application/json\r\nAccept-Encoding: identity\r\n%b" % (
            self.head,
            b"User-Agent: sluice-runtime\r\n%bContent-Length: %d\r\n\r\n%b" % (own.encode("ascii"), len(body), body),
        )


class Connection(asyncio.Protocol):
    """To be made by `connect`. `free`: it may be asked."""

    def __init__(self) -> None:
        self.free = False
        self.used_at = 0.0
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Answer] | None = None
        self._parser: Any = None
        self._parts: list[bytes] = []
        self._size = 0
        self._head_size = 0
        self._begun = False

    def ask(self, request: bytes) -> asyncio.Future[Answer]:
        """Send a request; the future gets the answer, a BrokenError, or a TooLargeError."""
        self.free = False
        self._answer = asyncio.get_running_loop().create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._parts, self._size, self._head_size, self._begun = [], 0, 0, False
        cast("asyncio.Transport", self._transport).write(request)
        return self._answer

    def close(self) -> None:
        """Be gone at once, whatever is under way."""
        self.free = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the way out."""
        self._transport = cast("asyncio.Transport", transport)
        self.free = True

    def connection_lost(self, error: Exception | None) -> None:
        """Whoever waits will get no answer."""
        self.free = False
        self._fail(BrokenError(f"the connection was closed ({error})", self._begun))

    def data_received(self, data: bytes) -> None:
        """Read on."""
        if self._answer is None:
            # Nobody has asked.
            self.close()
            return
        self._begun = True
        if self._head_size >= 0:
            self._head_size += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(BrokenError(f"the answer is no HTTP ({error})", True))
        if self._head_size > MAX_HEAD_BYTES:
            self._fail(TooLargeError())

    def on_message_begin(self) -> None:
        """Called by the parser. A second answer to one question must not be taken for that to the next."""
        if self._answer is None:
            self.close()

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        self._head_size = -1

    def on_body(self, part: bytes) -> None:
        """Called by the parser."""
        self._size += len(part)
        if self._size > MAX_ANSWER_BYTES:
            self._fail(TooLargeError())
        else:
            self._parts.append(part)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        status, answer = self._parser.get_status_code(), self._answer
        if status < 200 or answer is None:
            return
        self._answer = None
        self.free = self._parser.should_keep_alive()
        if not answer.done():
            answer.set_result(Answer(status, b"".join(self._parts)))
        if not self.free:
            self.close()

    def _fail(self, error: Exception) -> None:
        answer, self._answer = self._answer, None
        if answer is None:
            return
        if not answer.done():
            answer.set_exception(error)
        self.close()


async def connect(address: Address, trusts: ssl.SSLContext | None) -> Connection:
    """A new connection.

    Raises:
        OSError: there is none, ssl.SSLError among them.
    """
    _, connection = await asyncio.get_running_loop().create_connection(
        Connection, address.host, address.port, ssl=trusts, server_hostname=address.host if trusts else None
    )
    return connection
