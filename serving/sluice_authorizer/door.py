"""HTTP in and out: a router's question becomes a decision, and a decision an answer. Translation only.

What is known is answered without ASGI, by the same short way as a model pod's predictions.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from urllib.parse import quote

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest

from sluice_authorizer.asked import PREFIX, Asked, read_asked
from sluice_authorizer.decision import Decider
from sluice_authorizer.metrics import Metrics
from sluice_authorizer.outcomes import Decision, Refusal, Why
from sluice_runtime.exchange import Exchange, Message
from sluice_runtime.heads import Header, Scope

log = logging.getLogger(__name__)

LONGEST_CALLER = 256
"""Bytes, percent-encoded."""

_LITTLE_BYTES = 64 * 1024
_BELOW = PREFIX + b"/"
_TEXT = (b"content-type", b"text/plain; charset=utf-8")
_RETRY = (b"retry-after", b"1")
_CLOSE = (b"connection", b"close")
_UNAVAILABLE = (b"x-sluice-unavailable", b"true")
"""What a router that may let callers in unchecked goes by, and no status: those a caller can bring about."""
_CHALLENGES = {
    Why.NO_TOKEN: (b"www-authenticate", b'Bearer realm="sluice"'),
    Why.WRONG_TOKEN: (b"www-authenticate", b'Bearer realm="sluice", error="invalid_token"'),
}
_INTERNAL = Refusal(Why.BUSY, "internal error of the authorizer")

Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Body:
    """The body of a request, of which no more is read than is asked for."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._over = False

    async def read(self, most_bytes: int) -> bytes | Refusal:
        """All of it, or why not."""
        chunks: list[bytes] = []
        size = 0
        while not self._over:
            message = await self._receive()
            if message["type"] != "http.request":
                return Refusal(Why.BODY, "the request ended before its body")
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            self._over = not message.get("more_body")
            if size > most_bytes:
                return Refusal(Why.TOO_LARGE, f"the body is larger than {most_bytes} bytes")
        return b"".join(chunks)

    async def is_over(self) -> bool:
        """Whether nothing of it is left, but for a little that is read now."""
        return self._over or not isinstance(await self.read(_LITTLE_BYTES), Refusal)


class Entrance:
    """The routers' question below `/authorize`; `/livez`, `/readyz` and `/metrics` for those who run it."""

    def __init__(self, decider: Decider, metrics: Metrics, clock: Callable[[], float]) -> None:
        self._decider = decider
        self._metrics = metrics
        self._clock = clock
        self.ready = False
        self.leaving = False

    def take(self, exchange: Exchange) -> bool:
        """Answer a complete request with what is known; False leaves it to the application."""
        head = exchange.head
        if not head.target.startswith(_BELOW):
            return False
        began = self._clock()
        asked = read_asked(head.method.decode("latin-1"), head.target, head.headers, _peer(head.client))
        decision = asked if isinstance(asked, Refusal) else self._decider.at_once(asked)
        if decision is None:
            return False
        self._metrics.decided(decision, self._clock() - began)
        status, headers, body = answer_of(decision)
        encoded = b"".join(b"%b: %b\r\n" % header for header in headers)
        exchange.answer(status, encoded, b"" if head.method == b"HEAD" else body)
        return True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI: everything that takes longer."""
        if scope["type"] != "http":
            return
        target: bytes = scope["raw_path"]
        body = Body(receive)
        if target.startswith(_BELOW):
            status, headers, text = answer_of(await self._decision(scope, body))
        else:
            status, headers, text = self._about_itself(scope["path"])
        if not await body.is_over():
            # What is left of it would be taken for the next question.
            headers.append(_CLOSE)
        headers.append((b"content-length", b"%d" % len(text)))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": text})

    async def _decision(self, scope: Scope, body: Body) -> Decision:
        began = self._clock()
        asked = read_asked(scope["method"], scope["raw_path"], scope["headers"], _peer(scope.get("client")))
        decision = asked if isinstance(asked, Refusal) else await self._decided(asked, body)
        self._metrics.decided(decision, self._clock() - began)
        return decision

    async def _decided(self, asked: Asked, body: Body) -> Decision:
        most = asked.question.data.max_request_bytes if asked.question.data is not None else 0
        try:
            return await self._decider.decide(asked, partial(body.read, most))
        except Exception:
            # Whatever went wrong is no permission, and no sign that nobody can check.
            log.exception("a decision failed inside the authorizer")
            return _INTERNAL

    def _about_itself(self, path: str) -> tuple[int, list[Header], bytes]:
        if path == "/livez":
            return 200, [_TEXT], b"ok"
        if path == "/readyz":
            return (200, [_TEXT], b"ok") if self.ready and not self.leaving else (503, [_TEXT, _RETRY], b"not ready")
        if path == "/metrics":
            return 200, [(b"content-type", CONTENT_TYPE_LATEST.encode())], generate_latest(REGISTRY)
        return 404, [_TEXT], b"no such path"


def answer_of(decision: Decision) -> tuple[int, list[Header], bytes]:
    """Status, headers and body of a decision."""
    if not isinstance(decision, Refusal):
        headers = [(b"x-sluice-caller", _caller(decision.caller))] if decision.caller else []
        return 200, [*headers, (b"x-sluice-max-age", _age(decision.max_age))], b""
    why = decision.why
    headers = [_TEXT]
    if why in _CHALLENGES:
        headers.append(_CHALLENGES[why])
    if why.status in (429, 503):
        headers.append(_RETRY)
    if why is Why.UNAVAILABLE:
        headers.append(_UNAVAILABLE)
    if decision.age > 0:
        headers.append((b"x-sluice-max-age", _age(decision.age)))
    return why.status, headers, decision.text.encode("utf-8", "replace")


def _caller(name: str) -> bytes:
    """The name in the characters of a header. A longer one is cut between two of them."""
    encoded = quote(name, safe=":/@.-_~")
    if len(encoded) > LONGEST_CALLER:
        encoded = encoded[:LONGEST_CALLER]
        start = encoded.rfind("%", LONGEST_CALLER - 2)
        encoded = encoded if start < 0 else encoded[:start]
    return encoded.encode()


def _age(seconds: float) -> bytes:
    """Rounded down: a millisecond too long would be too long."""
    return b"%.3f" % (math.floor(seconds * 1000) / 1000)


def _peer(client: Any) -> str:
    return str(client[0]) if client else ""
