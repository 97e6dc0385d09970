"""An API server that errs, hangs or hangs up is asked no more than it can bear, and what it says is no yes."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from sluice_authorizer.apiserver import MOST_AT_ONCE, ApiServer, Crowded, Unavailable
from sluice_authorizer.credentials import Credentials
from unit.authorizer.parts import Clock

OK = b'HTTP/1.1 201 Created\r\ncontent-length: 15\r\n\r\n{"status": "s"}'
SECRET = "what-proves-the-authorizer"

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


def says(answer: bytes, hangs_up: bool = False) -> Answer:
    async def say(writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()
        if hangs_up:
            writer.close()

    return say


def failed(status: int, *headers: str) -> Answer:
    lines = [f"HTTP/1.1 {status} X", "content-length: 0", *headers, "", ""]
    return says("\r\n".join(lines).encode())


async def hangs(writer: asyncio.StreamWriter) -> None:
    del writer
    await asyncio.Event().wait()


@dataclass
class Troubled:
    """Gives its answers one after the other, the last one for good. `heads`: what it was asked."""

    answers: list[Answer]
    heads: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head)
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or b"0")
                await reader.readexactly(length)
                await (self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])(writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def asking(
    *answers: Answer, seconds: float = 30.0, place_seconds: float = 30.0
) -> AsyncIterator[tuple[ApiServer, Troubled, Clock]]:
    troubled, clock = Troubled(list(answers)), Clock()
    server = await asyncio.start_server(troubled.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    credentials = Credentials(f"http://127.0.0.1:{port}", ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), token=SECRET)
    api = ApiServer(credentials, clock, seconds, place_seconds)
    try:
        yield api, troubled, clock
    finally:
        await api.close()
        server.close()


async def refused(api: ApiServer, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(Unavailable) as told:
            await api.ask("POST", "/reviews", {"a": 1})
        assert SECRET not in str(told.value)


async def test_it_is_asked_with_the_authorizers_own_token() -> None:
    async with asking(says(OK)) as (api, troubled, _):
        assert await api.ask("POST", "/reviews", {"a": 1}) == {"status": "s"}
        assert b"authorization: bearer %b\r\n" % SECRET.encode() in troubled.heads[0].lower()


async def test_one_that_is_overloaded_has_the_peace_that_it_asks_for() -> None:
    async with asking(failed(429, "retry-after: 2"), says(OK)) as (api, troubled, clock):
        await refused(api, 100)
        assert len(troubled.heads) == 1
        clock.now += 2.0
        assert await api.ask("GET", "/", None)


@pytest.mark.parametrize("status", [403, 404, 429, 503])
async def test_keys_that_cannot_be_read_keep_nobody_from_asking(status: int) -> None:
    async with asking(*[failed(status, "retry-after: 3")] * 8, says(OK)) as (api, _, _):
        for _ in range(8):
            with pytest.raises(Unavailable):
                await api.ask("GET", "/openid/v1/jwks", None)
        assert await api.ask("POST", "/reviews", {"a": 1})


async def test_whoever_finds_no_place_has_not_asked_and_that_is_no_failure() -> None:
    all_asked = asyncio.Event()

    async def last(writer: asyncio.StreamWriter) -> None:
        all_asked.set()
        await hangs(writer)

    answers = [*[hangs] * (MOST_AT_ONCE - 1), last, says(OK)]
    async with asking(*answers, place_seconds=0.05) as (api, _, _):
        asked = [asyncio.create_task(api.ask("POST", "/reviews", {"a": 1})) for _ in range(MOST_AT_ONCE)]
        await all_asked.wait()
        for _ in range(5):
            with pytest.raises(Crowded):
                await api.ask("POST", "/reviews", {"a": 1})
        for one in asked:
            one.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        assert await api.ask("POST", "/reviews", {"a": 1})


@pytest.mark.parametrize("status", [500, 503, 504, 401, 403, 404])
async def test_failures_make_no_storm(status: int) -> None:
    async with asking(failed(status)) as (api, troubled, clock):
        for _ in range(100):
            await refused(api)
            clock.now += 0.1
        assert len(troubled.heads) <= 12


async def test_one_that_hangs_is_not_waited_for() -> None:
    async with asking(hangs, says(OK), seconds=0.2) as (api, troubled, _):
        await refused(api)
        assert len(troubled.heads) <= 1


async def test_a_kept_connection_that_was_closed_is_no_failure() -> None:
    async with asking(says(OK, hangs_up=True)) as (api, troubled, _):
        for _ in range(5):
            assert await api.ask("POST", "/reviews", {"a": 1})
        assert 5 <= len(troubled.heads) <= 10


async def test_one_that_always_hangs_up_is_asked_twice_and_no_more() -> None:
    async with asking(says(b"", hangs_up=True)) as (api, troubled, _):
        await refused(api)
        assert len(troubled.heads) == 2


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'{"status":', b"\xff"])
async def test_what_is_no_object_is_no_answer(body: bytes) -> None:
    async with asking(says(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))) as (api, _, _):
        await refused(api)


async def test_nobody_is_followed_elsewhere() -> None:
    async with asking(failed(307, "location: http://127.0.0.1:1/"), says(OK)) as (api, troubled, _):
        await refused(api)
        assert len(troubled.heads) == 1
