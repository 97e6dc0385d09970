"""Testers reach the canary at any weight, over both protocols; nobody else does."""

from typing import Any

import aiohttp
import grpc
import pytest

from router.harness import V1, V2, Bench, Router
from router.load import send
from router.test_grpc import SERVICE, model
from sluice_operator.api.matching import Match
from sluice_operator.routing.base import Matched, Traffic
from sluice_operator.routing.envoy_routes import REVISION_HEADER


def with_testers(*matches: dict[str, Any], weights: dict[str, int] | None = None) -> Traffic:
    """Traffic of the model `m` with testers on the second revision."""
    testers = Matched(V2, tuple(Match.model_validate(match) for match in matches))
    return Traffic("shop", "m", weights or {V1: 100}, (V1, V2), testers=testers)


async def answered_by(router: Router, **headers: str) -> str:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with aiohttp.ClientSession() as http, http.post(router.url(), data=b"{}", headers=named) as response:
        assert response.status == 200
        return response.headers[REVISION_HEADER]


async def routed(bench: Bench, wanted: Traffic) -> Router:
    router = await bench.router(wanted, {V1: (await bench.upstream(),), V2: (await bench.upstream(),)})
    await router.apply(wanted)
    return router


@pytest.mark.parametrize(
    ("match", "carried", "found"),
    [
        ({"header": {"name": "X-Tester", "value": "yes"}}, {"x_tester": "yes"}, True),
        ({"header": {"name": "x-tester", "value": "yes"}}, {"x_tester": "yes!"}, False),
        ({"header": {"name": "x-tester", "present": True}}, {"x_tester": "anything"}, True),
        ({"header": {"name": "x-tester", "present": True}}, {"x_other": "anything"}, False),
        ({"header": {"name": "x-user", "regex": "qa-[0-9]+"}}, {"x_user": "qa-17"}, True),
        ({"header": {"name": "x-user", "regex": "qa-[0-9]+"}}, {"x_user": "not-qa-17"}, False),
        ({"cookie": {"name": "tester", "value": "yes"}}, {"cookie": "a=b; tester=yes; c=d"}, True),
        ({"cookie": {"name": "tester", "value": "yes"}}, {"cookie": "a=tester=yes"}, False),
        ({"cookie": {"name": "tester", "present": True}}, {"cookie": "tester=1"}, True),
        ({"cookie": {"name": "tester", "present": True}}, {"cookie": "other=1"}, False),
        ({"header": {"name": "a", "value": "1"}, "cookie": {"name": "b", "value": "2"}}, {"a": "1"}, False),
        (
            {"header": {"name": "a", "value": "1"}, "cookie": {"name": "b", "value": "2"}},
            {"a": "1", "cookie": "b=2"},
            True,
        ),
    ],
)
async def test_a_match_finds_what_it_says_and_nothing_else(
    match: dict[str, Any], carried: dict[str, str], found: bool, bench: Bench
) -> None:
    router = await routed(bench, with_testers(match))
    assert await answered_by(router, **carried) == (V2 if found else V1)


async def test_any_of_several_matches_will_do_and_everybody_else_goes_by_weight(bench: Bench) -> None:
    header, cookie = {"header": {"name": "x-tester", "present": True}}, {"cookie": {"name": "tester", "value": "yes"}}
    router = await routed(bench, with_testers(header, cookie))
    assert await answered_by(router, x_tester="1") == V2
    assert await answered_by(router, cookie="tester=yes") == V2
    assert (await send(router, 200)).of(V1) == 200


async def test_the_largest_expression_that_the_resource_takes_is_taken_by_the_router(bench: Bench) -> None:
    widest = (r"\pL" * 42)[:128]
    router = await routed(bench, with_testers({"header": {"name": "x-user", "regex": widest}}))
    assert await answered_by(router, x_user="u") == V1


async def test_what_testers_see_is_counted_for_the_canary(bench: Bench) -> None:
    wanted = with_testers({"header": {"name": "x-tester", "present": True}})
    router = await bench.router(wanted, {V1: (await bench.upstream(),), V2: (await bench.upstream(status=500),)})
    await router.apply(wanted)
    async with router.http.post(router.url(), headers={"x-tester": "1"}) as response:
        assert response.status == 500
    stats = await router.stats()
    assert stats[f"cluster.{V2}.upstream_rq_5xx"] == "1"
    assert stats[f"cluster.{V1}.upstream_rq_completed"] == "0"


async def test_over_grpc_metadata_are_the_headers(bench: Bench, tmp_path: Any) -> None:
    async with model(tmp_path) as one, model(tmp_path) as two:
        grpc_members = {V1: (("127.0.0.1", one.grpc_port or 0),), V2: (("127.0.0.1", two.grpc_port or 0),)}
        wanted = with_testers({"header": {"name": "x-tester", "value": "yes"}})
        pods = {V1: (await bench.upstream(),), V2: (await bench.upstream(),)}
        router = await bench.router(wanted, pods, grpc_members=grpc_members)
        await router.apply(wanted)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{router.layout.endpoint_port}") as channel:
            for metadata, revision in (((("x-tester", "yes"),), V2), ((), V1)):
                call: Any = channel.unary_unary(f"/{SERVICE}/ServerLive")
                answer = call(b"", metadata=metadata, timeout=30)
                assert dict(await answer.initial_metadata())[REVISION_HEADER] == revision
                await answer
