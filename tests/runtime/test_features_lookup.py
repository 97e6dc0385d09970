"""Lookups against a server that answers as Feast does: what callers get, and how many calls the store sees."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime.lookups import DATATYPES, DEFAULTS, NOW, PATIENT, ROW, Gate, asking, listed, until
from sluice_runtime.errors import Kind, RequestError
from sluice_runtime.features.gathering import LANES, MOST_PARTS
from sluice_runtime.features.source import MOST_ENTITIES, Fetched
from support.feature_store import TIME, Call, Store, feature_store
from support.tls import certificate


async def test_features_come_in_the_datatypes_of_the_inputs_and_in_the_order_of_the_rows() -> None:
    async with feature_store(rows={1: ROW, 2: {"size": 7, "staff": 4.0, "city": "Gouda"}}) as store, asking(store) as s:
        found = await s.find([2, 1, 2])
        assert listed(found) == {"size": [7.0, 100.5, 7.0], "staff": [4, 3, 4], "city": ["Gouda", "Delft", "Gouda"]}
        assert [found.values[name].dtype for name in DATATYPES] == [np.float32, np.int64, np.object_]
        assert found.notes == ()
        assert store.asked == [[2, 1]]


async def test_only_what_is_wanted_is_given_and_may_be_at_fault() -> None:
    async with feature_store(rows={1: {**ROW, "city": None}}) as store, asking(store) as s:
        assert listed(await s.find([1], ["staff"])) == {"staff": [3]}
        with pytest.raises(RequestError, match="'city' of store_id 1 has no value") as caught:
            await s.find([1], ["staff", "city"])
    assert caught.value.kind is Kind.FEATURES


@pytest.mark.parametrize("row", [None, {"size": "large"}, {"size": None}])
async def test_what_the_request_says_itself_is_not_asked_for_and_decides_nothing(row: Any) -> None:
    rows = {1: ROW, 2: {**ROW, "city": None}, 3: row}
    async with feature_store(rows=rows) as store, asking(store) as s:
        loop = asyncio.get_running_loop()
        for keys in ([1, 2, 3], [1, 2, 1]):
            receiver: asyncio.Future[Fetched] = loop.create_future()
            wanted = {"size": np.array([True, True, False]), "city": np.array([True, False, False])}
            s.lookup({"store_id": np.array(keys)}, wanted, 3, loop.time() + PATIENT, receiver)
            found = await receiver
            assert found.values["size"].tolist()[:2] == [100.5, 100.5]
            assert found.values["city"].tolist()[0] == "Delft"
            assert [len(values) for values in found.values.values()] == [3, 3]
            assert found.notes == ()
        assert store.asked == [[1, 2], [1, 2]]


async def test_lookups_while_the_store_is_busy_share_a_call_and_equal_keys_are_asked_for_once() -> None:
    async with feature_store(rows=dict.fromkeys(range(40), ROW)) as store, asking(store) as s:
        store.manner = gate = Gate(store)
        lone = s.begin([0])
        await until(lambda: len(store.calls) == 1)
        other = s.begin([1])
        await until(lambda: len(store.calls) == LANES)
        gathered = [s.begin([key % 20]) for key in range(40)]
        await asyncio.sleep(0.05)
        assert len(store.calls) == LANES, "more calls are under way than may be"
        gate.open.set()
        found = await asyncio.gather(lone, other, *gathered)
        assert all(listed(one)["size"] == [100.5] for one in found)
        assert store.asked == [[0], [1], list(range(2, 20))]
        assert s.counted("sluice_feature_keys_total", source="store") == 20
        assert s.counted("sluice_feature_keys_total", source="shared") == 22


async def test_a_cached_row_answers_at_once_for_as_long_as_it_may_and_no_longer() -> None:
    time = [1000.0]
    async with (
        feature_store(rows={1: ROW}) as store,
        asking(store, clock=lambda: time[0], cache_seconds=5) as s,
    ):
        await s.find([1])
        store.rows[1] = {**ROW, "size": 1.0}
        time[0] += 4.9
        assert s.begin([1]).done()
        assert listed(await s.find([1]))["size"] == [100.5]
        time[0] += 0.2
        assert listed(await s.find([1]))["size"] == [1.0]
        assert store.asked == [[1], [1]]


async def test_a_cached_row_gets_too_old_like_any_other() -> None:
    time = [NOW + 9.0]
    async with (
        feature_store(rows={1: ROW}) as store,
        asking(store, now=lambda: time[0], cache_seconds=3600, max_age=10.0) as s,
    ):
        await s.find([1])
        time[0] = NOW + 10.0
        with pytest.raises(RequestError, match="'size' of store_id 1 has a value that is too old"):
            await s.find([1])


async def test_an_entity_of_which_the_store_knows_nothing_is_named() -> None:
    async with feature_store(rows={1: ROW}) as store, asking(store) as s:
        with pytest.raises(RequestError, match="knows no store_id 42") as caught:
            await s.find([1, 42])
    assert caught.value.kind is Kind.UNKNOWN


async def test_defaults_are_told() -> None:
    old = ("2026-11-01T00:00:00Z",)
    row = {**ROW, "size": None, "staff": (3, *old)}
    async with feature_store(rows={1: row}) as store, asking(store, on_missing="Default", max_age=3600.0) as s:
        found = await s.find([1])
        assert listed(found) == {"size": [2.5], "staff": [1], "city": ["Delft"]}
        assert found.notes == ("size=default(missing:1)", "staff=default(stale:1)")
        found = await s.find([42])
        assert listed(found) == {name: [value] for name, value in DEFAULTS.items()}
        assert found.notes == tuple(f"{name}=default(missing:1)" for name in DATATYPES)
        assert s.counted("sluice_feature_defaults_total", feature="size", reason="missing") == 2
        assert s.counted("sluice_feature_lookups_total", outcome="noted") == 2


async def test_a_value_of_another_type_is_no_default_but_an_error() -> None:
    rows = {1: {**ROW, "staff": 2.5}, 2: {**ROW, "size": "large"}}
    async with feature_store(rows=rows) as store, asking(store, on_missing="Default", on_outage="Default") as s:
        with pytest.raises(RequestError, match="'staff' of store_id 1 is no whole number") as caught:
            await s.find([1])
        assert caught.value.kind is Kind.FEATURES
        with pytest.raises(RequestError, match="'size' of store_id 2 is a text"):
            await s.find([2])


async def test_one_key_that_the_store_cannot_have_harms_no_other() -> None:
    async with feature_store(rows=dict.fromkeys(range(16), ROW)) as store, asking(store) as s:

        async def strict(call: Call) -> None:
            if 13 in call.keys:
                await call.send(b'"invalid literal"', "500 Internal Server Error")
            else:
                await store.answer(call)

        store.manner = strict
        found = await asyncio.gather(*(s.begin([key]) for key in range(16)), return_exceptions=True)
        assert [key for key, one in enumerate(found) if isinstance(one, Exception)] == [13]
        assert isinstance(found[13], RequestError)
        assert found[13].kind is Kind.STORE


async def test_a_store_that_refuses_everything_is_not_asked_twice_for_each_key() -> None:
    async with feature_store() as store, asking(store) as s:

        async def broken(call: Call) -> None:
            await call.send(b'"no redis"', "500 Internal Server Error")

        store.manner = broken
        found = await asyncio.gather(*(s.begin([key]) for key in range(256)), return_exceptions=True)
        assert all(isinstance(one, RequestError) and one.kind is Kind.STORE for one in found)
        first_and_whole = 2
        assert len(store.calls) <= MOST_PARTS + first_and_whole


async def test_who_leaves_is_not_told_and_what_nobody_wants_is_not_asked_for() -> None:
    async with feature_store(rows=dict.fromkeys(range(9), ROW)) as store, asking(store) as s:
        store.manner = gate = Gate(store)
        under_way = []
        for key in range(LANES):
            under_way.append(s.begin([key]))
            await until(lambda: len(store.calls) == len(under_way))
        loop = asyncio.get_running_loop()
        gone: asyncio.Future[Fetched] = loop.create_future()
        lookup = s.lookup({"store_id": np.array([8])}, {"size": None}, 1, loop.time() + PATIENT, gone)
        stays = s.begin([7])
        assert lookup is not None
        lookup.forget()
        gate.open.set()
        await asyncio.gather(*under_way, stays)
        assert not gone.done()
        assert store.asked[LANES:] == [[7]]


async def test_a_request_that_has_no_time_left_ends() -> None:
    async with feature_store(rows={1: ROW}) as store, asking(store) as s:
        store.manner = Gate(store)
        loop = asyncio.get_running_loop()
        receiver: asyncio.Future[Fetched] = loop.create_future()
        s.lookup({"store_id": np.array([1])}, {"size": None}, 1, loop.time() + 0.01, receiver)
        with pytest.raises(RequestError) as caught:
            await asyncio.wait_for(receiver, PATIENT)
    assert caught.value.kind is Kind.STORE_DEADLINE


@pytest.mark.parametrize(
    ("keys", "message"),
    [(list(range(MOST_ENTITIES + 1)), "4096 entities at most"), (["x" * 1025], "longer than any")],
)
async def test_what_no_store_should_be_asked_is_refused(keys: list[Any], message: str) -> None:
    async with feature_store() as store, asking(store) as s:
        with pytest.raises(RequestError, match=message) as caught:
            await s.find(keys)
        assert caught.value.kind is Kind.INVALID
        assert store.calls == []


async def test_a_large_request_is_asked_for_in_parts() -> None:
    async with feature_store(rows=dict.fromkeys(range(600), ROW)) as store, asking(store) as s:
        found = await s.find(list(range(600)))
        assert len(found.values["size"]) == 600
        assert [len(keys) for keys in store.asked] == [256, 256, 88]


async def test_the_token_is_shown_and_read_again_when_it_changes(tmp_path: Path) -> None:
    async with feature_store(rows={1: ROW}) as store, asking(store, credentials_dir=str(tmp_path)) as s:
        for token in ("first", "second-one"):
            (tmp_path / "token").write_text(token + "\n")
            await s.find([1])
        (tmp_path / "token").unlink()
        await s.find([1])
        assert [call.headers.get("authorization") for call in store.calls] == [
            "Bearer first",
            "Bearer second-one",
            None,
        ]


async def test_a_store_is_trusted_by_its_ca_alone(tmp_path: Path) -> None:
    for name in ("localhost", "other"):
        certificate(tmp_path, name)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "localhost.crt", tmp_path / "localhost.key")
    store = Store(rows={1: ROW})
    await store.start(context)
    store.url = store.url.replace("127.0.0.1", "localhost")
    try:
        (tmp_path / "ca.crt").write_bytes((tmp_path / "other.crt").read_bytes())
        async with asking(store, credentials_dir=str(tmp_path)) as s:
            with pytest.raises(RequestError, match="cannot be reached"):
                await s.find([1])
            (tmp_path / "ca.crt").write_bytes((tmp_path / "localhost.crt").read_bytes() + b"\n")
            assert listed(await s.find([1]))["size"] == [100.5]
    finally:
        await store.stop()


async def test_times_are_what_features_are_as_old_as() -> None:
    rows = {1: {**ROW, "size": (1.0, "2026-11-22T09:59:00.250Z")}, 2: ROW, 3: {**ROW, "size": (1.0, TIME)}}
    async with feature_store(rows=rows) as store, asking(store, max_age=30.0, on_missing="Default") as s:
        found = await s.find([1, 2, 3])
        assert listed(found)["size"] == [2.5, 100.5, 1.0]
        assert found.notes == ("size=default(stale:1)",)
