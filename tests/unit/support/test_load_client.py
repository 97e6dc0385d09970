"""The load client against a real server on the loopback: every request is written down, whatever becomes of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from support import load_client
from support.load import Request, parse_records

Handler = Callable[[int, asyncio.StreamWriter], Awaitable[bool]]
GOOD = json.dumps({"outputs": [{"data": [1]}, {"data": [0.25, 0.75]}]}).encode()


def answer(body: bytes, status: str = "200 OK", headers: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nX-Sluice-Revision: abc\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def read_request(reader: asyncio.StreamReader) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    _, headers = load_client.parse_head(head.replace(b"POST", b"HTTP/1.1 200", 1))
    await reader.readexactly(int(headers["content-length"]))


async def send(handler: Handler, count: int, connections: int = 1) -> None:
    """Send `count` requests to a server whose answers a handler writes; False from it closes the connection."""
    seen = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal seen
        try:
            keep = True
            while keep:
                await read_request(reader)
                seen += 1
                keep = await handler(seen, writer)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    config: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": server.sockets[0].getsockname()[1],
        "path": "/v2/models/m/infer",
        "connections": connections,
        "rate": 10_000,
        "timeout": 5,
        "max_requests": count,
        "max_seconds": 30,
        "bodies": [{"row": 0}, {"row": 1}],
    }
    async with server:
        await load_client.Load(config, "127.0.0.1").run()


def recorded(capsys: pytest.CaptureFixture[str]) -> list[Request]:
    """The requests that the client printed, after a check that no line is missing."""
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    requests = [request for line in lines for request in parse_records(line, lines[0]["began"])]
    assert [line["seq"] for line in lines] == list(range(len(lines)))
    assert lines[-1]["done"] == len(requests)
    return requests


async def always_good(_: int, writer: asyncio.StreamWriter) -> bool:
    writer.write(answer(GOOD))
    return True


async def test_every_request_is_recorded_with_its_revision_row_and_outputs(capsys: pytest.CaptureFixture[str]) -> None:
    await send(always_good, count=10, connections=4)
    requests = recorded(capsys)
    assert len(requests) == 10
    assert {request.revision for request in requests} == {"abc"}
    assert {request.outputs for request in requests} == {(1.0, 0.25, 0.75)}
    assert sorted(request.row for request in requests) == [0] * 5 + [1] * 5
    assert not any(request.failed for request in requests)


async def test_an_error_of_the_model_is_a_failed_request_of_the_revision_that_answered(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def failing(number: int, writer: asyncio.StreamWriter) -> bool:
        writer.write(answer(b'{"error": "no"}', "500 Internal Server Error") if number == 2 else answer(GOOD))
        return True

    await send(failing, count=3)
    requests = recorded(capsys)
    assert [request.failed for request in requests] == [False, True, False]
    assert (requests[1].status, requests[1].revision, requests[1].error) == (500, "abc", '{"error": "no"}')


async def test_a_connection_that_breaks_after_the_request_was_sent_is_a_failure_and_is_not_repaired(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def breaking(number: int, writer: asyncio.StreamWriter) -> bool:
        if number == 2:
            return False
        return await always_good(number, writer)

    await send(breaking, count=3)
    requests = recorded(capsys)
    assert [request.status for request in requests] == [200, 0, 200]
    assert "IncompleteReadError" in requests[1].error


async def test_a_connection_that_the_server_closes_after_an_answer_is_opened_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def closing(_: int, writer: asyncio.StreamWriter) -> bool:
        writer.write(answer(GOOD, headers="Connection: close\r\n"))
        await writer.drain()
        return False

    await send(closing, count=5)
    assert [request.status for request in recorded(capsys)] == [200] * 5


async def test_an_answer_that_is_no_prediction_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    async def nonsense(_: int, writer: asyncio.StreamWriter) -> bool:
        writer.write(answer(b'{"outputs": 1}'))
        return True

    await send(nonsense, count=1)
    (request,) = recorded(capsys)
    assert request.status == 200
    assert request.failed


def test_load_never_leaves_for_a_public_address() -> None:
    with pytest.raises(SystemExit, match="private addresses only"):
        load_client.private_address("192.0.43.8")
