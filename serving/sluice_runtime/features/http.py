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

from sluice_runtime.running import Receiver

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
        # None that says what is so in any case: each costs Feast's server 15 us.
        return b"%bContent-Type: application/json\r\n%bContent-Length: %d\r\n\r\n%b" % (
            self.head,
            own.encode("ascii"),
            len(body),
            body,
        )


class Connection(asyncio.Protocol):
    """To be made by `connect`. `free`: it may be asked."""

    def __init__(self) -> None:
        self.free = False
        self.used_at = 0.0
        self._transport: asyncio.Transport | None = None
        self._asker: Receiver[Answer] | None = None
        self._parser: Any = None
        self._parts: list[bytes] = []
        self._size = 0
        self._head_size = 0
        self._begun = False
        self._whole: Answer | None = None
        self._lasting = False

    def ask(self, request: bytes, asker: Receiver[Answer]) -> None:
        """Send a request; the asker gets the answer, a BrokenError, or a TooLargeError, and no task is woken for it."""
        self.free = False
        self._asker = asker
        self._parser = httptools.HttpResponseParser(self)
        self._parts, self._size, self._head_size, self._begun = [], 0, 0, False
        cast("asyncio.Transport", self._transport).write(request)

    def close(self) -> None:
        """Be gone at once; whoever asked is told nothing."""
        self.free = False
        self._asker = self._whole = None
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
        if self._asker is None:
            # Nobody has asked.
            self.close()
            return
        self._begun = True
        if self._head_size >= 0:
            self._head_size += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._lasting = False
            if self._whole is None:
                self._fail(BrokenError(f"the answer is no HTTP ({error})", True))
        if self._head_size > MAX_HEAD_BYTES:
            self._fail(TooLargeError())
        if self._whole is not None:
            self._deliver(self._whole)

    def on_message_begin(self) -> None:
        """Called by the parser. A second answer to one question must not be taken for that to the next."""
        self._lasting &= self._whole is None

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
        """Called by the parser, whose callbacks are no place to go on from."""
        status = self._parser.get_status_code()
        if status >= 200 and self._whole is None:
            self._whole = Answer(status, b"".join(self._parts))
            self._lasting = self._parser.should_keep_alive()

    def _deliver(self, answer: Answer) -> None:
        asker, self._asker, self._whole = self._asker, None, None
        if self._lasting:
            self.free = True
        else:
            self.close()
        if asker is not None and not asker.done():
            asker.set_result(answer)

    def _fail(self, error: BrokenError | TooLargeError) -> None:
        asker = self._asker
        if asker is None:
            return
        self.close()
        if not asker.done():
            asker.set_exception(error)


async def connect(address: Address, trusts: ssl.SSLContext | None) -> Connection:
    """A new connection.

    Raises:
        OSError: there is none, ssl.SSLError among them.
    """
    _, connection = await asyncio.get_running_loop().create_connection(
        Connection, address.host, address.port, ssl=trusts, server_hostname=address.host if trusts else None
    )
    return connection
