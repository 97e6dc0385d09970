"""The Open Inference Protocol V2 over HTTP with JSON, as a raw ASGI application.

Raw, because the layers of a web framework cost several times what a small model costs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

import orjson

from sluice import __version__
from sluice.config import Limits
from sluice_runtime.errors import STATUS, Kind, RequestError
from sluice_runtime.plane import InferResponse, Plane
from sluice_runtime.protocol.codec import decode_request, encode_error, encode_metadata, encode_response

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_JSON = (b"content-type", b"application/json")
_RETRY = (b"retry-after", b"1")
_CLOSE = (b"connection", b"close")


class Rest:
    """ASGI application for every path from `/v2` down. Errors always have the protocol's own shape."""

    def __init__(self, plane: Plane, limits: Limits) -> None:
        self._plane = plane
        self._max_body = limits.max_body_bytes
        self._infer_path = f"/v2/models/{plane.name}/infer"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        path: str = scope["path"]
        if path == self._infer_path:
            await self._infer(self._plane.name, None, scope, receive, send)
            return
        parts = path.rstrip("/").split("/")[2:]
        name, version, action = _model_path(parts)
        if action == "infer" and name is not None:
            await self._infer(name, version, scope, receive, send)
        else:
            await self._describe(parts, scope["method"], send)

    async def _describe(self, parts: list[str], method: str, send: Send) -> None:
        try:
            _require(method, "GET")
            status, body = self._document(parts)
        except RequestError as error:
            await _send_error(send, error, allow="GET")
            return
        await _send(send, status, body)

    def _document(self, parts: list[str]) -> tuple[int, bytes]:
        """Status and body of everything that can be read."""
        if not parts:
            return 200, orjson.dumps({"name": "sluice", "version": __version__, "extensions": []})
        if parts == ["health", "live"]:
            return 200, orjson.dumps({"live": True})
        if parts == ["health", "ready"]:
            return _readiness({"ready": self._plane.ready})
        name, version, action = _model_path(parts)
        if name is None or action not in (None, "ready"):
            raise RequestError(Kind.UNKNOWN, f"no such path: /v2/{'/'.join(parts)}")
        if action is None:
            return 200, encode_metadata(self._plane.find(name, version))
        return self._model_ready(name, version)

    def _model_ready(self, name: str, version: str | None) -> tuple[int, bytes]:
        try:
            self._plane.find(name, version)
        except RequestError as error:
            if error.kind is not Kind.NOT_READY:
                raise
        return _readiness({"name": name, "ready": self._plane.ready})

    async def _infer(self, name: str, version: str | None, scope: Scope, receive: Receive, send: Send) -> None:
        started = self._plane.begin()
        kind: Kind | None = Kind.FAILED
        try:
            _require(scope["method"], "POST")
            body = encode_response(await self._predict(name, version, scope, receive))
            kind = None
            await _send(send, 200, body)
        except RequestError as error:
            kind = error.kind
            if kind is not Kind.ABANDONED:
                await _send_error(send, error, allow="POST")
        except Exception:
            log.exception("a request failed inside the runtime")
            await _send_error(send, RequestError(Kind.FAILED, "internal error of the runtime"))
        finally:
            self._plane.record(started, kind)

    async def _predict(self, name: str, version: str | None, scope: Scope, receive: Receive) -> InferResponse:
        model = self._plane.find(name, version)
        self._plane.admit(model)
        request = decode_request(await self._read_body(scope, receive), model)
        work = self._plane.submit(model, request)
        if not model.batcher.inline:
            await _finished_or_gone(work.future, receive)
            if not work.future.done():
                model.batcher.drop(work, RequestError(Kind.ABANDONED, "the caller is gone"))
        outputs = await work.future
        return InferResponse(model, request.id, dict(zip(work.outputs, outputs, strict=True)))

    async def _read_body(self, scope: Scope, receive: Receive) -> bytes:
        self._check_headers(scope["headers"])
        message = await receive()
        body: bytes = message.get("body", b"")
        if not message.get("more_body") and message["type"] == "http.request":
            self._check_size(len(body))
            return body
        chunks = [body]
        size = len(body)
        while message["type"] == "http.request" and message.get("more_body"):
            self._check_size(size)
            message = await receive()
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
        if message["type"] == "http.disconnect":
            raise RequestError(Kind.ABANDONED, "the caller is gone")
        self._check_size(size)
        return b"".join(chunks)

    def _check_headers(self, headers: list[tuple[bytes, bytes]]) -> None:
        for name, value in headers:
            if name == b"content-length":
                self._check_size(int(value))
            elif name == b"content-encoding" and value.lower() != b"identity":
                raise RequestError(Kind.INVALID, "compressed request bodies are not accepted")
            elif name == b"inference-header-content-length":
                raise RequestError(Kind.INVALID, "the binary tensor extension is not served; send JSON tensors")

    def _check_size(self, size: int) -> None:
        if size > self._max_body:
            raise RequestError(Kind.TOO_LARGE, f"the body is larger than {self._max_body} bytes")


def _model_path(parts: list[str]) -> tuple[str | None, str | None, str | None]:
    """Name, version and action of `models/{name}[/versions/{version}][/{action}]`; no name when it is no such path."""
    if len(parts) < 2 or parts[0] != "models":
        return None, None, None
    name, rest = parts[1], parts[2:]
    version = None
    if len(rest) >= 2 and rest[0] == "versions":
        version, rest = rest[1], rest[2:]
    if len(rest) > 1:
        return None, None, None
    return name, version, rest[0] if rest else None


def _require(method: str, allowed: str) -> None:
    if method != allowed:
        raise RequestError(Kind.NOT_ALLOWED, f"method {method} is not allowed here; use {allowed}")


def _readiness(body: Mapping[str, Any]) -> tuple[int, bytes]:
    return 200 if body["ready"] else 503, orjson.dumps(body)


async def _finished_or_gone(future: asyncio.Future[Any], receive: Receive) -> None:
    """Wait for a prediction, or for the caller to leave."""
    gone = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait((future, gone), return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send(send: Send, status: int, body: bytes, extra: tuple[tuple[bytes, bytes], ...] = ()) -> None:
    headers = [_JSON, (b"content-length", b"%d" % len(body)), *extra]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _send_error(send: Send, error: RequestError, allow: str = "") -> None:
    extra: tuple[tuple[bytes, bytes], ...] = ()
    if STATUS[error.kind] == 503:
        extra = (_RETRY,)
    elif error.kind is Kind.TOO_LARGE:
        # The rest of the body is still on its way; reading it to its end would defeat the limit.
        extra = (_CLOSE,)
    elif error.kind is Kind.NOT_ALLOWED:
        extra = ((b"allow", allow.encode()),)
    await _send(send, STATUS[error.kind], encode_error(error.message), extra)
