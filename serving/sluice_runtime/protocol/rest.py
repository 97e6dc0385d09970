"""The Open Inference Protocol V2 over HTTP, in JSON or with binary tensors, as a raw ASGI application.

Raw, because the layers of a web framework cost several times what a small model costs.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from sluice import __version__
from sluice.config import Limits
from sluice_runtime.answers import HEADER as MARK
from sluice_runtime.errors import Kind, RequestError, for_caller
from sluice_runtime.plane import InferResponse, Plane
from sluice_runtime.protocol import openapi
from sluice_runtime.protocol.card import card_of
from sluice_runtime.protocol.codec import Form, decode_request, encode_metadata, encode_response
from sluice_runtime.protocol.compression import IDENTITY, decompress
from sluice_runtime.protocol.longlists import LONG_JSON_BYTES, decode_long
from sluice_runtime.protocol.replies import (
    JSON,
    Header,
    Receive,
    Scope,
    Send,
    finished_or_gone,
    notes_header,
    send_body,
    send_error,
)
from sluice_runtime.protocol.repository import index, wants_ready_only
from sluice_runtime.tracing import TRACE

log = logging.getLogger(__name__)

EXTENSIONS = ["binary_tensor_data", "model_repository"]
"""Of the Open Inference Protocol; `model_repository` in its read-only part, the index."""

_HTML = (b"content-type", b"text/html; charset=utf-8")
_BINARY = (b"content-type", b"application/octet-stream")
_JSON_BYTES = b"inference-header-content-length"
_TIMEOUT = b"x-request-timeout"
_READ = frozenset((b"content-length", b"content-encoding", _JSON_BYTES, _TIMEOUT, MARK))


class Wishes(NamedTuple):
    """What headers say: how the body is packed, where its JSON ends, seconds the caller waits, the router's mark."""

    encoding: bytes
    json_bytes: int | None
    timeout: float | None
    mark: bytes | None = None


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
        elif parts == ["repository", "index"]:
            await self._list(scope, receive, send)
        else:
            await self._describe(parts, scope["method"], send)

    async def _describe(self, parts: list[str], method: str, send: Send) -> None:
        try:
            _require(method, "GET")
            status, body = self._document(parts)
        except RequestError as error:
            await send_error(send, error, allow="GET")
            return
        await send_body(send, status, body, _HTML if parts == ["docs"] else JSON)

    async def _list(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The model repository extension's index: a pod has one model."""
        try:
            _require(scope["method"], "POST")
            body, _ = await self._read_body(scope, receive)
            models = index(self._plane, wants_ready_only(body))
        except RequestError as error:
            await send_error(send, error, allow="POST")
            return
        await send_body(send, 200, orjson.dumps(models))

    def _document(self, parts: list[str]) -> tuple[int, bytes]:
        """Status and body of everything that can be read."""
        if not parts:
            return 200, orjson.dumps({"name": "sluice", "version": __version__, "extensions": EXTENSIONS})
        if parts == ["health", "live"]:
            return 200, orjson.dumps({"live": True})
        if parts == ["health", "ready"]:
            return _readiness({"ready": self._plane.ready})
        if parts == ["docs"]:
            return 200, openapi.page()
        if parts == ["docs", "openapi.json"]:
            return 200, openapi.document(self._plane.find(self._plane.name))
        name, version, action = _model_path(parts)
        if name is None or action not in (None, "ready", "card"):
            raise RequestError(Kind.UNKNOWN, f"no such path: /v2/{'/'.join(parts)}")
        if action is None:
            return 200, encode_metadata(self._plane.find(name, version))
        if action == "card":
            return 200, card_of(self._plane.find(name, version))
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
        response: InferResponse | None = None
        try:
            _require(scope["method"], "POST")
            response, form = await self._predict(name, version, scope, receive)
            body, json_bytes = await _encode(response, form)
            kind = None
            notes = notes_header(response.notes)
            if json_bytes is None:
                await send_body(send, 200, body, extra=notes)
            else:
                await send_body(send, 200, body, _BINARY, ((_JSON_BYTES, b"%d" % json_bytes), *notes))
        except RequestError as error:
            kind = error.kind
            if kind is not Kind.ABANDONED:
                await send_error(send, error, allow="POST")
        except Exception as error:
            log.exception("a request failed inside the runtime")
            await send_error(send, for_caller(error))
        finally:
            self._plane.record(started, kind)
            if mark := dict(scope["headers"]).get(MARK):
                self._plane.note(mark, kind, response)

    async def _predict(
        self, name: str, version: str | None, scope: Scope, receive: Receive
    ) -> tuple[InferResponse, Form]:
        model = self._plane.find(name, version)
        self._plane.admit(model)
        body, wishes = await self._read_body(scope, receive)
        if (wishes.json_bytes or len(body)) > LONG_JSON_BYTES:
            decoded = await asyncio.to_thread(decode_long, body, model, wishes.json_bytes, wishes.timeout)
        else:
            decoded = decode_request(body, model, wishes.json_bytes, wishes.timeout)
        request, form = decoded
        request.trace = scope.get(TRACE)
        work = self._plane.submit(model, request)
        if model.lookup is not None or not model.batcher.inline:
            await finished_or_gone(work.future, receive)
            if not work.future.done():
                self._plane.forget(model, work)
                raise RequestError(Kind.ABANDONED, "the caller is gone")
        outputs = await work.future
        return InferResponse(model, request.id, dict(zip(work.outputs, outputs, strict=True)), request.notes), form

    async def _read_body(self, scope: Scope, receive: Receive) -> tuple[bytes, Wishes]:
        """The plain body, and what the headers say."""
        wishes = self.read_headers(scope["headers"])
        body = await self._receive_body(receive)
        if wishes.encoding != IDENTITY:
            body = await decompress(body, wishes.encoding, self._max_body)
        return body, wishes

    async def _receive_body(self, receive: Receive) -> bytes:
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

    def read_headers(self, headers: list[Header]) -> Wishes:
        """What the headers of an inference request say.

        Raises:
            RequestError: INVALID, or TOO_LARGE for a declared length beyond the limit.
        """
        encoding, json_bytes, timeout, mark = IDENTITY, None, None, None
        for name, value in headers:
            if name not in _READ:
                continue
            if name == b"content-length":
                self._check_size(int(value))
            elif name == b"content-encoding":
                encoding = value.strip().lower()
            elif name == _JSON_BYTES:
                if not value.isdigit():
                    raise RequestError(Kind.INVALID, "Inference-Header-Content-Length must be a number of bytes")
                json_bytes = int(value)
            elif name == _TIMEOUT:
                timeout = _seconds(value)
            elif name == MARK:
                mark = value
        return Wishes(encoding, json_bytes, timeout, mark)

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


def _seconds(value: bytes) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise RequestError(Kind.INVALID, "X-Request-Timeout must be a number of seconds above 0")
    return seconds


def _require(method: str, allowed: str) -> None:
    if method != allowed:
        raise RequestError(Kind.NOT_ALLOWED, f"method {method} is not allowed here; use {allowed}")


def _readiness(body: Mapping[str, Any]) -> tuple[int, bytes]:
    return 200 if body["ready"] else 503, orjson.dumps(body)


async def _encode(response: InferResponse, form: Form) -> tuple[bytes, int | None]:
    numbers = sum(tensor.nbytes for name, tensor in response.outputs.items() if not form.is_binary(name))
    if numbers <= LONG_JSON_BYTES:
        return encode_response(response, form)
    return await asyncio.to_thread(encode_response, response, form)
