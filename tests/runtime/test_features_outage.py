"""A feature store that is away, hangs, drips, lies or comes back: an error or a told default, never a wrong answer."""

import asyncio
import gzip
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from runtime.lookups import DEFAULTS, PATIENT, ROW, asking, listed, until
from sluice_runtime.errors import Kind, RequestError
from sluice_runtime.features import store as asked
from sluice_runtime.features.circuit import FAILURES_BEFORE_PAUSE
from sluice_runtime.features.http import MAX_ANSWER_BYTES
from sluice_runtime.features.source import Fetched
from support.feature_store import Call, Store, feature_store

Manner = Callable[[Store, Call], Awaitable[None]]


async def cut(store: Store, call: Call) -> None:
    body = store.body(call.keys)
    await call.send(body[: len(body) // 2], length=len(body))
    call.writer.transport.abort()


async def hang_up(store: Store, call: Call) -> None:
    call.writer.transport.abort()


async def no_json(store: Store, call: Call) -> None:
    await call.send(b"<html>please log in</html>")


async def no_object(store: Store, call: Call) -> None:
    await call.send(b"[]")


async def fewer_rows(store: Store, call: Call) -> None:
    await call.send(store.body(call.keys[:-1]))


async def more_rows(store: Store, call: Call) -> None:
    await call.send(store.body([*call.keys, 1]))


async def other_keys(store: Store, call: Call) -> None:
    await call.send(store.body([key + 1 for key in call.keys]))


async def other_features(store: Store, call: Call) -> None:
    await call.send(store.body(call.keys).replace(b'"size"', b'"width"'))


async def compressed(store: Store, call: Call) -> None:
    await call.send(gzip.compress(store.body(call.keys)), headers="content-encoding: gzip\r\n")


async def elsewhere(store: Store, call: Call) -> None:
    await call.send(b"", "307 Temporary Redirect", f"location: {store.url}/get-online-features\r\n")


async def forbidden(store: Store, call: Call) -> None:
    await call.send(b'"no"', "403 Forbidden")


async def other_protocol(store: Store, call: Call) -> None:
    call.writer.write(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n")
    await call.writer.drain()


async def no_http(store: Store, call: Call) -> None:
    call.writer.write(b"\x15\x03\x01\x00\x02\x02\x28")
    await call.writer.drain()
    call.writer.transport.abort()


async def much(store: Store, call: Call) -> None:
    await call.send(b" " * 1024, length=MAX_ANSWER_BYTES + 1025)
    for _ in range(MAX_ANSWER_BYTES // 1024**2 + 1):
        call.writer.write(b" " * 1024**2)
        await call.writer.drain()


MANNERS = [
    *(cut, hang_up, no_json, no_object, fewer_rows, more_rows, other_keys, other_features),
    *(compressed, elsewhere, forbidden, other_protocol, no_http, much),
]


@pytest.mark.parametrize("manner", MANNERS, ids=lambda manner: manner.__name__)
async def test_an_answer_that_is_none_is_an_outage(manner: Manner) -> None:
    async with feature_store(rows={1: ROW, 2: ROW}) as store:
        store.manner = lambda call: manner(store, call)
        async with asking(store) as s:
            with pytest.raises(RequestError) as caught:
                await s.find([1])
            assert caught.value.kind is Kind.STORE
        async with asking(store, on_outage="Default") as s:
            found = await s.find([1])
            assert listed(found) == {name: [value] for name, value in DEFAULTS.items()}
            assert found.notes == tuple(f"{name}=default(outage:1)" for name in DEFAULTS)
            store.manner = None
            assert (await s.find([2])).notes == ()


async def test_a_store_that_hangs_costs_one_timeout_and_then_nothing() -> None:
    async with feature_store(rows={1: ROW}) as store, asking(store, timeout_seconds=0.05) as s:
        never = asyncio.Event()

        async def hang(call: Call) -> None:
            await never.wait()

        store.manner = hang
        for key in range(FAILURES_BEFORE_PAUSE):
            with pytest.raises(RequestError, match=r"did not answer within 0\.05 s"):
                await s.find([key])
        at_once = []
        # The machine may pause for longer than the circuit does; then the next one is the one that tries.
        for key in range(100):
            receiver = s.begin([key])
            if receiver.done():
                at_once.append(str(receiver.exception()))
            with pytest.raises(RequestError):
                await receiver
        assert len(at_once) > 50
        assert "did not answer a moment ago" in at_once[0]
        never.set()


async def test_an_answer_that_drips_is_given_up() -> None:
    async with feature_store(rows={1: ROW}) as store, asking(store, timeout_seconds=0.1) as s:
        dripping = []

        async def drip(call: Call) -> None:
            await call.send(b"{", length=100_000)
            while not call.writer.transport.is_closing():
                dripping.append(call)
                call.writer.write(b" ")
                await asyncio.sleep(0.01)

        store.manner = drip
        with pytest.raises(RequestError, match="did not answer within"):
            await s.find([1])
        await until(dripping[-1].writer.transport.is_closing)


async def test_a_store_that_comes_back_is_noticed() -> None:
    async with feature_store(rows={1: ROW}) as store, asking(store, on_outage="Default") as s:
        assert (await s.find([1])).notes == ()
        await store.stop()
        for _ in range(2 * FAILURES_BEFORE_PAUSE):
            assert "size=default(outage:1)" in (await s.find([1])).notes
        await store.start()
        async with asyncio.timeout(PATIENT):
            while (found := await s.find([1])).notes:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.02)
        assert listed(found)["size"] == [100.5]


async def test_a_kept_connection_that_was_closed_is_tried_once_more_and_a_new_one_is_not() -> None:
    async with feature_store(rows={1: ROW}) as store, asking(store) as s:
        await s.find([1])
        kept = store.calls[-1].connection

        async def closes_kept_ones(call: Call) -> None:
            if call.connection == kept:
                call.writer.transport.abort()
            else:
                await store.answer(call)

        store.manner = closes_kept_ones
        assert (await s.find([1])).notes == ()
        assert len(store.calls) == 3

        async def closes_all(call: Call) -> None:
            call.writer.transport.abort()

        store.manner = closes_all
        with pytest.raises(RequestError, match="broke its answer off"):
            await s.find([1])
        assert len(store.calls) == 5, "the kept connection, and one new one"
        with pytest.raises(RequestError, match="broke its answer off"):
            await s.find([1])
        assert len(store.calls) == 6


async def test_an_outage_harms_nobody_whose_row_is_remembered() -> None:
    async with feature_store(rows={1: ROW}) as store, asking(store, cache_seconds=3600) as s:
        await s.find([1])
        await store.stop()
        for _ in range(2 * FAILURES_BEFORE_PAUSE):
            with pytest.raises(RequestError):
                await s.find([2])
        assert listed(await s.find([1]))["size"] == [100.5]


async def test_a_runtime_that_stops_leaves_no_lookup_and_no_connection() -> None:
    async with feature_store(rows={1: ROW}) as store:
        never = asyncio.Event()

        async def hang(call: Call) -> None:
            await never.wait()

        waiting: list[asyncio.Future[Fetched]] = []
        async with asking(store) as s:
            store.manner = hang
            waiting = [s.begin([key]) for key in range(3)]
            await until(lambda: store.calls)
            waiting += [s.begin([key]) for key in range(3, 9)]
        assert all(one.done() and isinstance(one.exception(), RequestError) for one in waiting)
        never.set()
        await until(lambda: all(call.writer.transport.is_closing() for call in store.calls))


async def test_a_mixture_of_failures_never_gives_anything_but_the_truth_or_a_told_default() -> None:
    rows = {key: {"size": float(key), "staff": key, "city": f"city {key}"} for key in range(1, 400)}
    async with feature_store(rows=rows) as store, asking(store, on_outage="Default", timeout_seconds=0.05) as s:
        released = asyncio.Event()

        async def moody(call: Call) -> None:
            mood = len(store.calls) % 7
            if mood == 5:
                await released.wait()
            await [store.answer, lambda call: cut(store, call), lambda call: other_keys(store, call)][
                {2: 1, 4: 2}.get(mood, 0)
            ](call)

        store.manner = moody
        told = 0
        for start in range(1, 390, 8):
            keys = list(range(start, start + 8))
            found = await asyncio.gather(*(s.find([key]) for key in keys))
            for key, one in zip(keys, found, strict=True):
                told += bool(one.notes)
                truth = {"size": [float(key)], "staff": [key], "city": [f"city {key}"]}
                assert listed(one) == ({name: [value] for name, value in DEFAULTS.items()} if one.notes else truth)
        assert told
        released.set()


async def test_what_nobody_thought_of_is_told_now_and_then_and_the_store_is_left_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with feature_store(rows={1: ROW}) as store, asking(store) as s:
        for _ in range(FAILURES_BEFORE_PAUSE):
            with pytest.raises(RequestError, match="cannot be asked"):
                # No request carries half a character; JSON cannot either.
                await s.find(["\ud800"])
        assert s.counted("sluice_feature_store_calls_total", outcome="invalid") == FAILURES_BEFORE_PAUSE
        assert s.counted("sluice_feature_store_calls_total", outcome="answered") == 0
        assert store.calls == []
    assert caplog.text.count("Traceback") == 1


@pytest.mark.parametrize(
    ("status", "outcome"), [("503 Service Unavailable", "away"), ("500 Internal Server Error", "status")]
)
async def test_a_gateways_word_is_not_told_as_the_stores(status: str, outcome: str) -> None:
    async with feature_store(rows={1: ROW}) as store, asking(store) as s:
        store.manner = lambda call: call.send(b'"no"', status)
        with pytest.raises(RequestError):
            await s.find([1])
        assert s.counted("sluice_feature_store_calls_total", outcome=outcome) == 1


async def test_authorities_that_cannot_be_read_are_no_fault_of_the_token(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "ca.crt").write_text("nonsense")
    store = Store(rows={1: ROW}, url="https://localhost:1")
    async with asking(store, credentials_dir=str(tmp_path)) as s:
        with pytest.raises(RequestError, match="cannot be reached"):
            await s.find([1])
    assert "token" not in caplog.text


async def test_an_outage_is_in_the_log_now_and_then_and_a_token_never_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "token").write_text("s3cret")
    async with feature_store(rows={1: ROW}) as store, asking(store, credentials_dir=str(tmp_path)) as s:
        store.manner = lambda call: forbidden(store, call)
        for _ in range(5):
            with pytest.raises(RequestError) as caught:
                await s.find([1])
            assert '"no"' not in caught.value.message, "the store's words are not for callers"
        await store.stop()
        with pytest.raises(RequestError):
            await s.find([1])
    told = [record.getMessage() for record in caplog.records if record.name == asked.__name__]
    assert told[0] == (
        '1 calls of the feature store failed; the latest: the feature store answers with status 403: "no"'
    )
    assert len(told) < 6, "each call is told"
    assert "s3cret" not in caplog.text
