"""Requests to an Envoy that lets in whom an authorizer knows, and what became of them."""

import asyncio
import re
from contextlib import suppress
from typing import Any

import grpc
import pytest

from router.harness import V1, V2, Bench, Router
from router.judge import Pod
from router.test_grpc import ask
from sluice_operator.routing.base import Traffic

KUBERNETES = {"mode": "Kubernetes"}
INFER = "/v2/models/m/infer"


async def routed(bench: Bench, pod: Pod, wanted: Traffic, other: Pod | None = None, **more: Any) -> Router:
    upstreams = [await bench.upstream(handler=one.handle) for one in (pod, other or pod)]
    members = dict(zip((V1, V2), ((upstream,) for upstream in upstreams), strict=True))
    router = await bench.router(wanted, {name: members[name] for name in wanted.revisions}, **more)
    await router.apply(wanted)
    return router


async def raw(router: Router, request: bytes) -> int:
    """Status of a request that goes out exactly as it is written; 0 where the connection is closed instead."""
    reader, writer = await asyncio.open_connection("127.0.0.1", router.layout.endpoint_port)
    line = ""
    with suppress(ConnectionError):
        writer.write(request)
        line = (await reader.readline()).decode()
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
    found = re.match(r"HTTP/1\.1 (\d+)", line)
    return int(found[1]) if found else 0


def request(target: str, *headers: str, method: str = "POST", body: str = "{}") -> bytes:
    lines = (f"{method} {target} HTTP/1.1", "host: m", f"content-length: {len(body)}", "connection: close", *headers)
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode("latin-1")


async def said(router: Router, headers: dict[str, str] | None = None, path: str = INFER) -> tuple[int, str, Any]:
    """Status, error and headers of an answer."""
    async with router.http.post(router.url(path), data=b"{}", headers=headers or {}) as response:
        body = await response.json()
        return response.status, body.get("error", ""), response.headers


def judge_says() -> str:
    return "ben may not create modeldeployments/inference named m"


def asks(channel: Any, token: str | None) -> Any:
    return ask(channel, metadata=[("authorization", f"Bearer {token}")] if token else [])


async def refusal(channel: Any, token: str | None) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await asks(channel, token)
    return caught.value.code(), caught.value.details() or ""


RULE = {"entities": ["store_id"], "rule": "entities.store_id.all(s, s in claims.stores)", "maxRequestBytes": "4Ki"}
