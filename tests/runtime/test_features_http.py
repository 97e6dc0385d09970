"""What a server of HTTP/1.1 may do, and what it may not: the connection to the feature store."""

import asyncio
from pathlib import Path

import pytest

from runtime.lookups import ROW, asking, listed, until
from sluice.failures import PackageError, Reason
from sluice_runtime.errors import RequestError
from sluice_runtime.features.http import MAX_HEAD_BYTES, Address
from support.feature_store import Call, feature_store

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


async def test_an_answer_may_come_in_chunks_after_an_interim_one_and_byte_by_byte() -> None:
    async with feature_store(rows={1: ROW}) as store, asking(store) as s:

        async def slowly(call: Call) -> None:
            body = store.body(call.keys)
            parts = [body[:7], body[7:]]
            chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
            whole = (
                b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"transfer-encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
            )
            for place in range(len(whole)):
                call.writer.write(whole[place : place + 1])
                await call.writer.drain()
                await asyncio.sleep(0)

        store.manner = slowly
        assert listed(await s.find([1]))["size"] == [100.5]
        assert listed(await s.find([1]))["size"] == [100.5]
        assert store.connections == 1


async def test_a_server_that_closes_after_each_answer_is_asked_anew() -> None:
    async with feature_store(rows={1: ROW}) as store, asking(store) as s:

        async def closing(call: Call) -> None:
            await call.send(store.body(call.keys), headers="connection: close\r\n")
            call.writer.close()

        store.manner = closing
        for _ in range(3):
            assert listed(await s.find([1]))["size"] == [100.5]
        assert store.connections == 3


async def test_a_second_answer_to_one_question_is_not_taken_for_that_to_the_next() -> None:
    async with feature_store(rows={1: ROW, 2: {**ROW, "size": 2.0}}) as store, asking(store) as s:

        async def twice(call: Call) -> None:
            body = store.body([1])
            await call.send(body + HEAD + b"content-length: %d\r\n\r\n" % len(body) + body, length=len(body))

        store.manner = twice
        assert listed(await s.find([1]))["size"] == [100.5]
        store.manner = None
        assert listed(await s.find([2]))["size"] == [2.0]
        assert store.connections == 2


async def test_words_that_nobody_asked_for_end_the_connection() -> None:
    async with feature_store(rows={1: ROW}) as store, asking(store) as s:
        await s.find([1])
        first = store.calls[0].writer
        first.write(HEAD + b"content-length: 0\r\n\r\n")
        await until(first.transport.is_closing)
        assert listed(await s.find([1]))["size"] == [100.5]
        assert store.connections == 2


async def test_a_head_without_end_is_given_up() -> None:
    async with feature_store(rows={1: ROW}) as store, asking(store) as s:

        async def talk(call: Call) -> None:
            call.writer.write(HEAD)
            for number in range(MAX_HEAD_BYTES // 64):
                call.writer.write(b"x-%d: %s\r\n" % (number, b"y" * 64))
                await call.writer.drain()
            await asyncio.Event().wait()

        store.manner = talk
        with pytest.raises(RequestError, match="too large"):
            await s.find([1])


@pytest.mark.parametrize("token", ["two\nlines", "bell\x07", "ünicode"])
async def test_a_token_that_no_header_carries_is_not_sent(token: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(token)
    async with feature_store(rows={1: ROW}) as store, asking(store, credentials_dir=str(tmp_path)) as s:
        with pytest.raises(RequestError, match="cannot be asked"):
            await s.find([1])
        assert store.connections == 0
        (tmp_path / "token").write_text("fine")
        assert listed(await s.find([1]))["size"] == [100.5]


@pytest.mark.parametrize(
    ("url", "host", "port", "tls", "line"),
    [
        ("http://feast:6566", "feast", 6566, False, b"POST /x HTTP/1.1\r\nHost: feast:6566\r\n"),
        ("http://feast", "feast", 80, False, b"POST /x HTTP/1.1\r\nHost: feast\r\n"),
        ("https://feast/store/", "feast", 443, True, b"POST /store/x HTTP/1.1\r\nHost: feast\r\n"),
        ("http://[::1]:80", "::1", 80, False, b"POST /x HTTP/1.1\r\nHost: [::1]:80\r\n"),
    ],
)
def test_a_url_is_where_a_server_is(url: str, host: str, port: int, tls: bool, line: bytes) -> None:
    assert Address.of(url, "/x") == Address(host, port, tls, line)


@pytest.mark.parametrize(
    "url",
    [
        *("http://", "http://user@feast", "http://feast?x=1", "http://feast/a b", "http://feäst", "http://feast:99999"),
        *("http://a..b", f"http://{'a' * 64}.b"),
    ],
)
async def test_a_url_that_is_none_is_refused_with_the_settings(url: str) -> None:
    async with feature_store() as store:
        store.url = url
        with pytest.raises(PackageError) as caught:
            async with asking(store):
                raise AssertionError("it was taken")
    assert caught.value.reason is Reason.INVALID_CONFIG
