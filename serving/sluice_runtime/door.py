"""The bounds that all HTTP connections of a process share, and what is said to those that cross them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import orjson
from uvicorn.server import ServerState

from sluice.config import Limits
from sluice_runtime.errors import INTERNAL
from sluice_runtime.exchange import Exchange, Message
from sluice_runtime.heads import Scope

App = Callable[[Scope, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]


class Refusal(Enum):
    """What a connection refuses by itself: the metrics' reason, the HTTP status, and what the caller reads."""

    MALFORMED = ("malformed", 400, "Bad Request", "this is no valid HTTP request")
    SLOW = ("slow_client", 408, "Request Timeout", "the request took too long to arrive")
    BODY = ("too_large", 413, "Content Too Large", "the request is larger than this server takes")
    HEAD = ("headers", 431, "Request Header Fields Too Large", "the request's headers are too large")
    CRASHED = ("internal", 500, "Internal Server Error", INTERNAL)
    CONNECTIONS = ("connections", 503, "Service Unavailable", "too many connections; try again later")
    MEMORY = ("memory", 503, "Service Unavailable", "too many bytes are waiting; try again later")

    def __init__(self, reason: str, status: int, phrase: str, message: str) -> None:
        self.reason = reason
        self.status = status
        retry = "retry-after: 1\r\n" if status == 503 else ""
        body = orjson.dumps({"error": message})
        head = f"HTTP/1.1 {status} {phrase}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
        self.answer = f"{head}{retry}connection: close\r\n\r\n".encode() + body


@dataclass(eq=False)
class Door:
    """What the connections share. `refused` is told the reason of a refusal, `exchanged` what was answered."""

    app: App
    limits: Limits
    idle_seconds: float
    state: ServerState = field(default_factory=ServerState)
    take: Callable[[Exchange], bool] = lambda exchange: False
    """Answers a complete request without ASGI, or says that it does not."""
    awaits: Callable[[Exchange], int | None] = lambda exchange: None
    """Where in the body of a request that `take` will answer raw tensors begin; None: the application gets it."""
    refused: Callable[[str], None] = lambda reason: None
    exchanged: Callable[[Exchange], None] | None = None
    buffered: int = 0
    """Bytes of requests not yet answered and of answers not yet read."""
    _common: bytes = b""
    _common_of: Any = None

    def common_headers(self) -> bytes:
        """Uvicorn's headers of every answer (the date, each second a new list), encoded once a second."""
        if self._common_of is not self.state.default_headers:
            self._common_of = self.state.default_headers
            self._common = b"".join(b"%b: %b\r\n" % header for header in self._common_of)
        return self._common

    def sweep(self, now: float) -> None:
        """Cut what is idle, slow or stalled; called about once a second with the loop's time."""
        for connection in tuple(self.state.connections):
            connection.sweep(now)  # type: ignore[union-attr]  # every connection of this server is a Connection
