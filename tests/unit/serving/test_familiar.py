"""A head that came before is recognised by its bytes alone, and taken exactly as the parser would take it."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.config import Limits
from sluice_runtime.connection import Connection
from sluice_runtime.door import Door
from sluice_runtime.exchange import Exchange
from sluice_runtime.heads import Familiar, Head

HEAD = b"POST /v2/models/m/infer HTTP/1.1\r\nhost: m\r\nContent-Length: %d\r\naccept: */*\r\n\r\n"


def message(body: bytes, head: bytes = HEAD) -> bytes:
    return head % len(body) + body


class Caller(asyncio.Transport):
    """The other end of a connection: what it is told, and whether it was hung up on."""

    def __init__(self) -> None:
        super().__init__()
        self.told = b""
        self.closed = False

    def write(self, data: Any) -> None:
        self.told += bytes(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def can_write_eof(self) -> bool:
        return False

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


@dataclass
class Site:
    """Answers every complete request with its own body; the application is nobody."""

    taken: list[tuple[bytes, bytes, bytes]] = field(default_factory=list)
    heads: list[Head] = field(default_factory=list)

    def take(self, exchange: Exchange) -> bool:
        body = bytes(exchange.body())
        self.taken.append((exchange.head.method, exchange.head.target, body))
        self.heads.append(exchange.head)
        exchange.answer(200, b"", body)
        return True

    def connect(self, **limits: int) -> tuple[Connection, Caller]:
        async def app(scope: Any, receive: Any, send: Any) -> None: ...

        connection = Connection(Door(app, Limits(**limits), 75.0, take=self.take), {}, asyncio.new_event_loop())
        caller = Caller()
        connection.connection_made(caller)
        return connection, caller


def seen(*messages: bytes, **limits: int) -> tuple[list[tuple[bytes, bytes, bytes]], bytes, bool, int]:
    """What is taken, told and closed when these reads come one after the other, and how many heads were parsed."""
    site = Site()
    connection, caller = site.connect(**limits)
    for data in messages:
        connection.data_received(data)
    connection.loop.run_until_complete(asyncio.sleep(0))
    connection.loop.run_until_complete(asyncio.sleep(0))
    connection.loop.close()
    return site.taken, caller.told, caller.closed, len({id(head) for head in site.heads})


def test_a_head_is_parsed_once_however_long_the_bodies_are() -> None:
    bodies = [b"{}", b'{"a":1}', b"[]" * 5000, b"x"]
    taken, _, _, parsed = seen(*map(message, bodies))
    assert [body for _, _, body in taken] == bodies
    assert parsed == 1


@pytest.mark.parametrize(
    "other",
    [
        message(b"{}", HEAD.replace(b"host: m", b"host: n")),
        message(b"{}", HEAD.replace(b"/m/", b"/n/")),
        message(b"{}", HEAD.replace(b"accept: */*", b"accept: text")),
        message(b"{}", HEAD.replace(b"accept", b"transfer-encoding: chunked\r\naccept")),
        message(b"{}").replace(b": 2\r", b": +2\r"),
        message(b"{}").replace(b": 2\r", b": -2\r"),
        message(b"{}").replace(b": 2\r", b": 2 2\r"),
        message(b"{}").replace(b": 2\r", b": 0x2\r"),
        message(b"{}").replace(b": 2\r", b": \xb2\r"),
        message(b"{}").replace(b": 2\r", b": 00000000000000002\r"),
        message(b"{}").replace(b": 2\r", b": 3\r"),
        message(b"{}").replace(b": 2\r", b": 1\r"),
        message(b"{}").replace(b": 2\r", b": \r"),
        message(b"{}") + message(b"[]"),
        message(b"{}")[:-1],
        message(b"{}")[:40],
        message(b""),
        b"\r\n" + message(b"{}"),
    ],
)
def test_whatever_differs_is_taken_as_by_a_connection_that_has_seen_nothing(other: bytes) -> None:
    first = message(b"{}")
    before, after = seen(first), seen(first, other)
    fresh = seen(other)
    assert after[0] == before[0] + fresh[0]
    assert (after[1], after[2]) == (before[1] + fresh[1], fresh[2])


@given(data=st.data())
def test_no_change_of_a_byte_is_overlooked(data: st.DataObject) -> None:
    first = message(b'{"a":1}')
    at = data.draw(st.integers(0, len(first) - 1))
    other = first[:at] + data.draw(st.binary(max_size=3)) + first[at + data.draw(st.integers(0, 3)) :]
    test_whatever_differs_is_taken_as_by_a_connection_that_has_seen_nothing(other)


def test_a_familiar_head_is_no_way_around_the_limits() -> None:
    small, large = message(b"x"), message(b"x" * 200)
    assert seen(small, large, max_body_bytes=100)[1:3] == (
        seen(small, max_body_bytes=100)[1] + seen(large, max_body_bytes=100)[1],
        seen(large, max_body_bytes=100)[2],
    )


@pytest.mark.parametrize(
    "head",
    [
        b"POST / HTTP/1.1\r\nhost: m\r\ncontent-length:2\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: m\r\ncontent-length: 02\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: m\r\ncontent-length: 2\r\nx: " + b"y" * 5000 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: m\r\n\r\n\r\ncontent-length: 2\r\n\r\n",
    ],
)
def test_an_unusual_head_is_not_remembered(head: bytes) -> None:
    assert Familiar.of(head + b"{}", 2, Head(b"POST", b"/", "1.1", [], ("", 0), ("", 0), {})) is None
