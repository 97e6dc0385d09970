"""What a real Envoy does when pods fail: it hides those it cannot reach, and never what a model answers."""

import io

import pytest
from aiohttp import web

from router.harness import V1, V2, Bench, Upstream, traffic
from router.load import send
from support.stats import binomial_interval


async def test_a_canary_that_answers_500_keeps_its_share(bench: Bench) -> None:
    split = traffic({V1: 50, V2: 50})
    bad = (await bench.upstream(status=500), await bench.upstream(status=503))
    router = await bench.router(split, {V1: (await bench.upstream(),), V2: bad})
    await router.apply(split)
    answers = await send(router, 2000)
    low, high = binomial_interval(2000, 0.5)
    assert low <= answers.of(V2) <= high
    assert {status for status, revision in answers.counts if revision == V2} == {500, 503}
    assert sum(upstream.requests for upstream in bad) == answers.of(V2)
    assert (await router.stats())[f"cluster.{V2}.outlier_detection.ejections_enforced_total"] == "0"


async def test_a_pod_that_cannot_be_reached_costs_no_request(bench: Bench) -> None:
    split = traffic({V1: 100})
    alive, dead = await bench.upstream(), bench.refusing()
    router = await bench.router(split, {V1: (alive, dead)})
    await router.apply(split)
    answers = await send(router, 500)
    assert answers.failed() == {}
    assert alive.requests == 500


async def test_a_request_that_kills_a_pod_is_not_carried_to_the_next(bench: Bench) -> None:
    async def die(request: web.Request) -> web.StreamResponse:
        assert request.transport
        request.transport.abort()
        return web.Response()

    split = traffic({V1: 100})
    pods = (await bench.upstream(handler=die), await bench.upstream(handler=die))
    router = await bench.router(split, {V1: pods})
    await router.apply(split)
    answers = await send(router, 1)
    assert answers.counts == {(503, V1): 1}
    assert sum(pod.requests for pod in pods) == 1


async def test_a_caller_cannot_make_the_router_retry(bench: Bench) -> None:
    split = traffic({V1: 100})
    pod = await bench.upstream(status=503)
    router = await bench.router(split, {V1: (pod,)})
    await router.apply(split)
    steering = {
        "x-envoy-retry-on": "5xx,gateway-error",
        "x-envoy-max-retries": "5",
        "x-envoy-upstream-rq-timeout-ms": "1",
    }
    async with bench.http.post(router.url(), data=b"{}", headers=steering) as response:
        assert response.status == 503
    assert pod.requests == 1


@pytest.mark.parametrize("size", [0, 100_000, 8 << 20])
async def test_bodies_of_any_size_pass(bench: Bench, size: int) -> None:
    split = traffic({V1: 100})
    pod = await bench.upstream()
    router = await bench.router(split, {V1: (pod,)})
    await router.apply(split)
    async with bench.http.post(router.url(), data=io.BytesIO(b"x" * size)) as response:
        assert response.status == 200
    assert pod.bytes == size


async def test_windows_count_each_request_once_with_what_its_caller_got(bench: Bench) -> None:
    split = traffic({V1: 50, V2: 50})
    dead = bench.refusing()
    stable, canary = (await bench.upstream(), dead), (await bench.upstream(status=500),)
    router = await bench.router(split, {V1: stable, V2: canary})
    await router.apply(split)
    observer = router.observer()
    models: dict[str, list[str]] = {V1: [], V2: []}
    await send(router, 20)
    assert await observer.windows("k", ["127.0.0.1"], models) == {}
    answers = await send(router, 400)
    windows = await observer.windows("k", ["127.0.0.1"], models)
    assert windows
    assert (windows[V1].requests, windows[V1].errors) == (answers.of(V1), 0)
    assert (windows[V2].requests, windows[V2].errors) == (answers.of(V2), answers.of(V2))


@pytest.mark.parametrize("members", ["none", "unreachable"])
async def test_errors_that_the_router_itself_answers_count(bench: Bench, members: str) -> None:
    split = traffic({V1: 100})
    router = await bench.router(split, {V1: () if members == "none" else (bench.refusing(),)})
    observer = router.observer()
    await observer.windows("k", ["127.0.0.1"], {V1: []})
    answers = await send(router, 30)
    windows = await observer.windows("k", ["127.0.0.1"], {V1: []})
    assert answers.counts == {(503, V1): 30}
    assert windows
    assert (windows[V1].requests, windows[V1].errors) == (30, 30)


async def test_a_restarted_router_loses_what_it_counted_and_adds_nothing_twice(bench: Bench) -> None:
    split = traffic({V1: 100})
    pod: Upstream = await bench.upstream()
    router = await bench.router(split, {V1: (pod,)})
    await router.apply(split)
    observer = router.observer()
    await send(router, 50)
    await observer.windows("k", ["127.0.0.1"], {V1: []})
    await send(router, 10)
    await observer.windows("k", ["127.0.0.1"], {V1: []})
    await router.stop()
    await router.start()
    await router.apply(split)
    await send(router, 7)
    windows = await observer.windows("k", ["127.0.0.1"], {V1: []})
    assert windows
    assert windows[V1].requests == 17
