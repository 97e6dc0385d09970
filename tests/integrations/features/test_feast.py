"""Lookups against Feast's own feature server, over SQLite and over Redis: its answers, its end and its return."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import pytest

from runtime.lookups import DEFAULTS, PATIENT, Source, asking, listed
from sluice_runtime.errors import Kind, RequestError
from support.feast import SERVICE, SQLITE, Feast, feast_server, minimal_repository, redis_server
from support.feature_store import Store

WRITTEN = "2026-11-22T10:00:00Z"
NOW = 1795341600.0
"""WRITTEN."""


@pytest.fixture(scope="module", params=["sqlite", "redis"])
def feast(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Feast]:
    folder = tmp_path_factory.mktemp(request.param)
    with contextlib.ExitStack() as stack:
        online_store = stack.enter_context(redis_server(folder)) if request.param == "redis" else SQLITE
        server = stack.enter_context(feast_server(minimal_repository(folder / "repository", online_store)))
        server.write(
            {
                "store_id": [1, 2, 3, 4],
                "event_timestamp": [WRITTEN, WRITTEN, "2026-11-15T10:00:00Z", WRITTEN],
                "size": [100.5, 80.0, 60.0, None],
                "staff": [3, 2, 1, 5],
                "city": ["Delft", "Gouda", "Breda", "Assen"],
                "is_open": [True, False, True, True],
                "margin": [0.1, 0.2, 0.3, 0.4],
            }
        )
        yield server


@contextlib.asynccontextmanager
async def looking_up(feast: Feast, **settings: Any) -> AsyncIterator[Source]:
    async with asking(Store(url=feast.url), service=SERVICE, now=lambda: NOW, **settings) as source:
        yield source


async def test_values_are_those_that_were_written(feast: Feast) -> None:
    async with looking_up(feast) as s:
        found = await s.find([2, 1, 2])
    assert listed(found) == {"size": [80.0, 100.5, 80.0], "staff": [2, 3, 2], "city": ["Gouda", "Delft", "Gouda"]}
    assert found.notes == ()


async def test_what_is_not_there_is_told_apart_from_what_is_null(feast: Feast) -> None:
    async with looking_up(feast) as s:
        with pytest.raises(RequestError, match="knows no store_id 42") as unknown:
            await s.find([1, 42])
        with pytest.raises(RequestError, match="'size' of store_id 4 has no value") as null:
            await s.find([4])
    assert (unknown.value.kind, null.value.kind) == (Kind.UNKNOWN, Kind.FEATURES)
    async with looking_up(feast, on_missing="Default") as s:
        found = await s.find([4, 42])
        assert listed(found) == {"size": [2.5, 2.5], "staff": [5, 1], "city": ["Assen", "nowhere"]}


async def test_ages_are_counted_though_the_store_does_not(feast: Feast) -> None:
    async with looking_up(feast, max_age=6 * 86400.0, on_missing="Default") as s:
        found = await s.find([3, 1])
        assert listed(found)["size"] == [2.5, 100.5]
        assert "size=default(stale:1)" in found.notes


@pytest.mark.parametrize("key", [2**63 - 1, -(2**63), 0])
async def test_any_key_may_be_asked_for(feast: Feast, key: int) -> None:
    async with looking_up(feast) as s:
        with pytest.raises(RequestError) as caught:
            await s.find([key])
    assert caught.value.kind is Kind.UNKNOWN


async def test_a_key_of_another_type_than_the_stores_harms_no_other(feast: Feast) -> None:
    async with looking_up(feast, timeout_seconds=10) as s:
        keys = ["1", "two", "3", "2"]
        found = await asyncio.gather(*(s.begin([key]) for key in keys), return_exceptions=True)
        assert [key for key, one in zip(keys, found, strict=True) if isinstance(one, Exception)] == ["two"]


async def test_a_service_that_is_not_there_is_an_error_of_the_store(feast: Feast) -> None:
    async with asking(Store(url=feast.url), service="nobody") as s:
        with pytest.raises(RequestError, match="status 404") as caught:
            await s.find([1])
    assert caught.value.kind is Kind.STORE


async def test_many_callers_share_calls(feast: Feast) -> None:
    predictions = 0

    async def caller(s: Source, number: int) -> None:
        nonlocal predictions
        for turn in range(40):
            key = 1 + (number + turn) % 2
            assert listed(await s.find([key]))["size"] == [{1: 100.5, 2: 80.0}[key]]
            predictions += 1

    async with looking_up(feast) as s:
        await asyncio.gather(*(caller(s, number) for number in range(16)))
        calls = s.counted("sluice_feature_store_calls_total", outcome="answered")
    assert calls <= predictions / 2


async def test_a_store_that_is_killed_under_load_and_comes_back_never_makes_an_answer_up(feast: Feast) -> None:
    truth = {
        1: {"size": [100.5], "staff": [3], "city": ["Delft"]},
        2: {"size": [80.0], "staff": [2], "city": ["Gouda"]},
    }
    ending = False
    answered: list[float] = []
    defaulted: list[float] = []

    async def caller(s: Source, number: int) -> None:
        key = 1 + number % 2
        while not ending:
            found = await s.find([key])
            (defaulted if found.notes else answered).append(time.monotonic())
            expected = {name: [value] for name, value in DEFAULTS.items()} if found.notes else truth[key]
            assert listed(found) == expected
            await asyncio.sleep(0.002)

    async def some(times: Sequence[float]) -> None:
        count = len(times)
        async with asyncio.timeout(PATIENT):
            while len(times) < count + 20:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)

    async with looking_up(feast, on_outage="Default", timeout_seconds=2) as s:
        callers = [asyncio.create_task(caller(s, number)) for number in range(8)]
        await some(answered)
        await asyncio.to_thread(feast.kill)
        await some(defaulted)
        await asyncio.to_thread(feast.begin)
        await some(answered)
        ending = True
        await asyncio.gather(*callers)
