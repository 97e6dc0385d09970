"""Copies of requests: the canary gets them and is judged by them; callers notice nothing, whatever becomes of them."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
from aiohttp import web

from router.harness import V1, V2, Bench, Router, Upstream, eventually
from router.load import send, steady, until
from router.test_grpc import GUILTY, ask, model
from sluice.comparison import MARK
from sluice_operator.routing.base import Copied, Traffic
from sluice_operator.routing.envoy_clusters import COPIES_MOST
from sluice_runtime.answers import Answers
from support.stats import binomial_interval


def mirrored(percent: int = 100) -> Traffic:
    """Traffic of the model `m`, all of it answered by the first revision and copied to the second."""
    return Traffic("shop", "m", {V1: 100}, (V1, V2), mirror=Copied(V2, percent))


async def routed(bench: Bench, canary: Upstream, percent: int = 100) -> tuple[Router, Upstream]:
    stable = await bench.upstream()
    router = await bench.router(mirrored(percent), {V1: (stable,), V2: (canary,)})
    await router.apply(mirrored(percent))
    return router, stable


async def counted(router: Router, name: str, least: int) -> None:
    async def enough() -> bool:
        return int((await router.stats()).get(f"cluster.{V2}.{name}", "0")) >= least

    await eventually(enough, f"{name} of {least}")


async def test_every_request_is_copied_and_answered_by_stable_alone(bench: Bench) -> None:
    canary = await bench.upstream(status=500)
    router, stable = await routed(bench, canary)
    answers = await send(router, 200)
    assert answers.counts == {(200, V1): 200}
    await counted(router, "upstream_rq_completed", 200)
    assert (stable.requests, canary.requests) == (200, 200)
    assert canary.bytes == stable.bytes, "a copy has the whole body"


async def test_what_becomes_of_the_copies_is_counted_for_the_canary(bench: Bench) -> None:
    router, _ = await routed(bench, await bench.upstream(status=500))
    await send(router, 50)
    await counted(router, "upstream_rq_5xx", 50)
    stats = await router.stats()
    assert stats[f"cluster.{V1}.upstream_rq_completed"] == "50"
    assert f"cluster.{V1}.upstream_rq_5xx" not in stats


async def test_a_share_of_the_requests_is_copied(bench: Bench) -> None:
    canary = await bench.upstream()
    router, _ = await routed(bench, canary, percent=30)
    await send(router, 1000)
    low, high = binomial_interval(1000, 0.3)
    assert low <= canary.requests <= high


async def hangs(_: web.Request) -> web.StreamResponse:
    await asyncio.sleep(3600)
    raise AssertionError("nobody waits that long")


async def breaks(request: web.Request) -> web.StreamResponse:
    assert request.transport
    request.transport.abort()
    return web.Response()


@pytest.mark.parametrize("fate", [hangs, breaks])
async def test_callers_notice_nothing_of_a_canary_that_does_not_answer(
    fate: Callable[[web.Request], Awaitable[web.StreamResponse]], bench: Bench
) -> None:
    router, stable = await routed(bench, await bench.upstream(handler=fate))
    began = time.monotonic()
    async with steady(router, connections=8) as answers:
        await until(answers, 3 * COPIES_MOST)
    assert answers.failed() == {}
    assert answers.of(V1) == answers.total == stable.requests
    assert time.monotonic() - began < 30, "nobody waited for the canary"
    assert int((await router.stats())[f"cluster.{V2}.upstream_rq_active"]) <= COPIES_MOST


async def test_callers_notice_nothing_of_a_canary_whose_pods_are_gone(bench: Bench) -> None:
    canary = await bench.upstream()
    router, _ = await routed(bench, canary)
    async with steady(router) as answers:
        await until(answers, 100)
        await canary.stop()
        await until(answers, 300)
        await canary.start()
    assert answers.failed() == {}
    assert answers.of(V1) == answers.total


def remembers(marks: list[str | None]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Answers, and notes the marks of the requests."""

    async def answer(request: web.Request) -> web.StreamResponse:
        marks.append(request.headers.get(MARK))
        return web.Response()

    return answer


async def test_a_request_and_its_copy_have_the_same_mark_which_is_never_the_callers(bench: Bench) -> None:
    originals: list[str | None] = []
    copies: list[str | None] = []
    stable = await bench.upstream(handler=remembers(originals))
    canary = await bench.upstream(handler=remembers(copies))
    router = await bench.router(mirrored(), {V1: (stable,), V2: (canary,)})
    await router.apply(mirrored())
    for _ in range(20):
        async with bench.http.get(router.url(), headers={MARK: "mine"}) as answer:
            assert answer.status == 200

    async def copied() -> bool:
        return len(copies) == 20

    await eventually(copied, "the copies")
    assert None not in originals
    assert "mine" not in originals
    assert len(set(originals)) == 20
    assert sorted(map(str, copies)) == sorted(map(str, originals))


async def test_where_nothing_is_copied_nothing_is_marked(bench: Bench) -> None:
    marks: list[str | None] = []
    split = Traffic("shop", "m", {V1: 100}, (V1,))
    router = await bench.router(split, {V1: (await bench.upstream(handler=remembers(marks)),)})
    await router.apply(split)
    async with bench.http.get(router.url(), headers={MARK: "mine"}) as answer:
        assert answer.status == 200
    assert marks == [None]


async def test_grpc_calls_are_copied_and_answered_by_stable_alone(bench: Bench, tmp_path: Any) -> None:
    originals, copies = Answers(), Answers()
    async with model(tmp_path, originals) as one, model(tmp_path, copies) as two:
        grpc_members = {V1: (("127.0.0.1", one.grpc_port or 0),), V2: (("127.0.0.1", two.grpc_port or 0),)}
        pods = {V1: (await bench.upstream(),), V2: (await bench.upstream(),)}
        router = await bench.router(mirrored(), pods, grpc_members=grpc_members)
        await router.apply(mirrored())
        async with grpc.aio.insecure_channel(f"127.0.0.1:{router.layout.endpoint_port}") as channel:
            for value, code in ((1.0, grpc.StatusCode.OK), (GUILTY, grpc.StatusCode.INTERNAL)):
                call = ask(channel, value)
                assert dict(await call.initial_metadata()).get("x-sluice-revision", V1) == V1
                assert await call.code() is code

        async def copied() -> bool:
            return (await router.stats())[f"cluster.{V2}-grpc.upstream_rq_completed"] == "2"

        await eventually(copied, "two copies")
    told = [{answer["id"]: answer.get("error") for answer in side.after(0)} for side in (originals, copies)]
    assert told[0] == told[1], "what the runtimes remember can be joined"
    assert list(told[0].values()) == [None, 500]
