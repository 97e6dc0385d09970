"""While nobody can be checked nobody is let in, but where it is allowed, and by no one's doing."""

from pathlib import Path
from typing import Any

import grpc
import pytest
from aiohttp import web

from router.asking import KUBERNETES, raw, refusal, request, routed, said
from router.harness import V1, V2, Bench, Router, eventually, traffic
from router.judge import GOOD, Pod, bearer, guarded
from sluice_operator.routing.base import Previewed
from sluice_operator.routing.envoy_access_clusters import AUTHORIZER_STRANGERS


async def test_without_the_authorizer_nobody_is_let_in_and_health_is_open(
    bench: Bench, pod: Pod, tmp_path: Path
) -> None:
    _, port = bench.refusing()
    router = await routed(bench, pod, guarded(KUBERNETES, port))
    status, error, headers = await said(router, bearer(GOOD))
    assert (status, error) == (503, "whether this caller may ask cannot be checked now")
    assert headers["retry-after"] == "1"
    assert (await said(router))[0] == 401
    assert await raw(router, request("/v2/health/live", method="GET", body="")) == 200
    assert [path for path, _ in pod.seen] == ["/v2/health/live"]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{router.layout.endpoint_port}") as channel:
        code, details = await refusal(channel, GOOD)
    assert (code, details) == (grpc.StatusCode.UNAVAILABLE, "whether this caller may ask cannot be checked now")

    async def counted() -> bool:
        return int((await router.stats()).get(f"cluster.{AUTHORIZER_STRANGERS}.upstream_cx_connect_fail", "0")) > 0

    await eventually(counted, "a failed connection to the authorizer, in the router's numbers")


async def test_allow_lets_the_unchecked_in_nameless_and_within_their_own_rate(bench: Bench, pod: Pod) -> None:
    _, port = bench.refusing()
    access = {**KUBERNETES, "onUnavailable": "Allow", "rateLimit": {"requests": 3, "per": "1h"}}
    router = await routed(bench, pod, guarded(access, port))
    assert (await said(router))[0] == 401
    statuses = [(await said(router, bearer(f"token-{number}")))[0] for number in range(5)]
    assert statuses == [200, 200, 200, 429, 429]
    for _, seen in pod.seen:
        assert not {name for name in seen if name.startswith("x-sluice-") or name == "authorization"}


async def test_allow_lets_nobody_in_for_an_answer_that_a_caller_may_have_brought_about(bench: Bench, pod: Pod) -> None:
    async def answers(asked: web.Request) -> web.StreamResponse:
        status, _, marked = asked.headers["authorization"].removeprefix("Bearer ").partition("-")
        return web.Response(status=int(status), headers={"x-sluice-unavailable": "true"} if marked else {})

    authorizer = await bench.upstream(handler=answers)
    router = await routed(bench, pod, guarded({**KUBERNETES, "onUnavailable": "Allow"}, authorizer))
    statuses = [(await said(router, bearer(token)))[0] for token in ("404", "408", "431", "500", "503", "503-marked")]
    assert statuses == [503] * 5 + [200]
    assert len(pod.seen) == 1


async def test_nobody_can_be_checked_and_nobody_is_let_in(bench: Bench, pod: Pod) -> None:
    wanted = guarded(KUBERNETES, None, closed="access.mode Kubernetes needs the authorizer", preview=Previewed(V2))
    router = await routed(bench, pod, wanted)
    for headers in ({}, bearer(GOOD), {"host": "m-preview"}, {"x-sluice-caller": "anna"}):
        assert (await said(router, headers))[:2] == (503, "access.mode Kubernetes needs the authorizer")
    assert await raw(router, request("/v2/health/live", method="GET", body="")) == 200
    assert [path for path, _ in pod.seen] == ["/v2/health/live"]


@pytest.mark.parametrize("access", [KUBERNETES, {**KUBERNETES, "onUnavailable": "Allow"}])
async def test_a_closed_door_refuses_by_itself_whatever_the_routes_say(
    bench: Bench, pod: Pod, access: dict[str, Any]
) -> None:
    closed, open_ = guarded(access, None, closed="nobody can be checked", revisions=(V1,)), traffic({V1: 100}, V1)
    router = await routed(bench, pod, closed)
    # Envoy reads its files one after another, and while a door opens or closes it has the routes of one state and the
    # filters of the other.
    version = router.write(open_, only="rds.yaml")
    await eventually(lambda: applies(router, "http.endpoint.rds.endpoint.version_text", version), "the open routes")
    smuggled = {"x-sluice-caller": "anna", "x-sluice-unchecked": "true"}
    for headers in ({}, bearer(GOOD), smuggled):
        status, error, said_with = await said(router, headers)
        assert (status, error, said_with["retry-after"]) == (503, "nobody can be checked", "5")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{router.layout.endpoint_port}") as channel:
        assert await refusal(channel, None) == (grpc.StatusCode.UNAVAILABLE, "nobody can be checked")
    assert pod.seen == []


async def applies(router: Router, stat: str, version: str) -> bool:
    return (await router.stats()).get(stat, "").strip('"') == version
