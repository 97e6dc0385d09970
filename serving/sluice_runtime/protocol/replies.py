"""How a runtime's answer leaves over ASGI, and how one learns that nobody waits for it any longer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from sluice_runtime.errors import STATUS, Kind, RequestError
from sluice_runtime.protocol.codec import encode_error

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Header = tuple[bytes, bytes]

JSON = (b"content-type", b"application/json")
NOTES = b"x-sluice-notes"
"""What was filled in or flagged in a request that was answered."""

_RETRY = (b"retry-after", b"1")
_CLOSE = (b"connection", b"close")


def notes_header(notes: str) -> tuple[Header, ...]:
    """The header that tells them, if there are any."""
    return ((NOTES, notes.encode()),) if notes else ()


async def finished_or_gone(future: asyncio.Future[Any], receive: Receive) -> None:
    """Wait for a prediction, or for the caller to leave."""
    gone = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait((future, gone), return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def send_body(send: Send, status: int, body: bytes, kind: Header = JSON, extra: tuple[Header, ...] = ()) -> None:
    """Send a whole answer."""
    headers = [kind, (b"content-length", b"%d" % len(body)), *extra]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def send_error(send: Send, error: RequestError, allow: str = "") -> None:
    """Send an error; `allow`: the method that would have been right."""
    extra = error_headers(error, allow)
    if error.kind is Kind.TOO_LARGE:
        # The rest of the body is still on its way; reading it to its end would defeat the limit.
        extra = (_CLOSE,)
    await send_body(send, STATUS[error.kind], encode_error(error.message), extra=extra)


def error_headers(error: RequestError, allow: str) -> tuple[Header, ...]:
    """What an error's answer says beside its body."""
    if STATUS[error.kind] == 503:
        return (_RETRY,)
    if error.kind is Kind.NOT_ALLOWED:
        return ((b"allow", allow.encode()),)
    return ()
