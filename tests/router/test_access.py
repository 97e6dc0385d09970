"""Who may ask, through a real Envoy: nobody without a permission reaches a model, by whatever way."""

import asyncio
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from aiohttp import web
from grpc_health.v1 import health_pb2, health_pb2_grpc

from router.harness import PATIENCE, V1, V2, Bench, Router, Upstream, eventually, traffic
from router.judge import FORBIDDEN, GOOD, WRONG, Judge, Pod, bearer, guarded
from router.load import steady, until
from router.test_grpc import SERVICE, ask, model
from sluice_operator.api.matching import Match
from sluice_operator.routing.base import Copied, Matched, Previewed, Traffic
from sluice_operator.routing.envoy_access_clusters import AUTHORIZER_STRANGERS

KUBERNETES = {"mode": "Kubernetes"}
INFER = "/v2/models/m/infer"


@pytest.fixture
def judge() -> Judge:
    return Judge()


@pytest.fixture
async def authorizer(bench: Bench, judge: Judge) -> Upstream:
    return await bench.upstream(handler=judge.handle)


@pytest.fixture
def pod() -> Pod:
    return Pod()


async def routed(bench: Bench, pod: Pod, wanted: Traffic, other: Pod | None = None, **more: Any) -> Router:
    upstreams = [await bench.upstream(handler=one.handle) for one in (pod, other or pod)]
    members = dict(zip((V1, V2), ((upstream,) for upstream in upstreams), strict=True))
    router = await bench.router(wanted, {name: members[name] for name in wanted.revisions}, **more)
    await router.apply(wanted)
    return router


async def raw(router: Router, request: bytes) -> int:
    """Status of a request that goes out exactly as it is written; 0 where the connection is closed instead."""
    reader, writer = await asyncio.open_connection("127.0.0.1", router.layout.endpoint_port)
    line = ""
    with suppress(ConnectionError):
        writer.write(request)
        line = (await reader.readline()).decode()
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
    found = re.match(r"HTTP/1\.1 (\d+)", line)
    return int(found[1]) if found else 0


def request(target: str, *headers: str, method: str = "POST", body: str = "{}") -> bytes:
    lines = (f"{method} {target} HTTP/1.1", "host: m", f"content-length: {len(body)}", "connection: close", *headers)
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode("latin-1")


async def said(router: Router, headers: dict[str, str] | None = None, path: str = INFER) -> tuple[int, str, Any]:
    """Status, error and headers of an answer."""
    async with router.http.post(router.url(path), data=b"{}", headers=headers or {}) as response:
        body = await response.json()
        return response.status, body.get("error", ""), response.headers


async def test_only_who_is_known_and_may_reaches_the_model(
    bench: Bench, judge: Judge, authorizer: Upstream, pod: Pod
) -> None:
    router = await routed(bench, pod, guarded(KUBERNETES, authorizer))
    status, error, headers = await said(router)
    assert (status, headers["www-authenticate"]) == (401, 'Bearer realm="sluice"')
    assert "a token is needed" in error
    assert judge.asked == []
    status, error, headers = await said(router, bearer(WRONG))
    assert (status, error) == (401, "the token is not known")
    assert headers["www-authenticate"] == 'Bearer realm="sluice", error="invalid_token"'
    assert (await said(router, bearer(FORBIDDEN)))[:2] == (403, judge_says())
    assert pod.seen == []
    assert (await said(router, bearer(GOOD)))[0] == 200
    ((path, seen),) = pod.seen
    assert (path, seen["x-sluice-caller"]) == (INFER, ["anna"])
    assert not {"authorization", "x-sluice-authorize", "x-sluice-claims", "x-sluice-max-age"} & seen.keys()
    asked = judge.asked[-1]
    assert (asked.method, asked.path, asked.body) == ("POST", f"/authorize{INFER}", b"")
    assert asked.question == {"mode": "Kubernetes", "namespace": "shop", "name": "m", "audiences": ["sluice.dev"]}


def judge_says() -> str:
    return "ben may not create modeldeployments/inference named m"


async def test_answers_are_remembered_and_one_that_was_taken_back_ends(
    bench: Bench, judge: Judge, authorizer: Upstream, pod: Pod
) -> None:
    judge.grants["other"] = "ben"
    router = await routed(bench, pod, guarded(KUBERNETES, authorizer))
    began = asyncio.get_running_loop().time()
    for _ in range(50):
        assert [(await said(router, bearer(token)))[0] for token in (GOOD, "other", WRONG)] == [200, 200, 401]
    assert [seen["x-sluice-caller"] for _, seen in pod.seen] == [["anna"], ["ben"]] * 50
    # An entry is renewed at half of its life, on a slow machine more than once.
    assert len(judge.asked) <= 3 * (1 + (asyncio.get_running_loop().time() - began) / 2)
    del judge.grants[GOOD]

    async def refused() -> bool:
        return (await said(router, bearer(GOOD)))[0] == 401

    await eventually(refused, "the end of a permission")
    assert (await said(router, bearer("other")))[0] == 200


BYPASSES = [
    *("/v2", "/v2/", "//v2//models/m/infer", "/./v2/models/m/infer", "/v2/./models/m/infer", "/V2/models/m/infer"),
    *("/v2%2fmodels/m/infer", "/%76%32/models/m/infer", "/v2/models/m/infer;a=b", "/v2/models/m/infer/."),
    *("/v2/health/../models/m/infer", "/v2/health/ready/../../models/m/infer", "/v2/health/ready/../ready/x"),
    *("/v2/health/ready/", "/v2/health/ready;/../../models/m/infer", "/v2/health/ready%2f..%2f..%2fmodels/m/infer"),
    *("/v2/health/ready%00", "/v2/health/readyx", "/v2/health/Ready", "/v2/health", "/v2/health/live/x"),
    *("/v2/health/ready/%2e%2e/%2e%2e/models/m/infer", "/v2\\models\\m\\infer", "/v2/health/ready\\..\\..\\models"),
    *("http://m/v2/models/m/infer", "http://m/v2/health/ready/../../models/m/infer", "//health/v2/models/m/infer"),
    *("/grpc.health.v1.Health/../inference.GRPCInferenceService/ModelInfer", "/grpc.health.v1.Health/Check/x"),
    *("/inference.GRPCInferenceService/ModelInfer", "/grpc.health.v1.Health/CheckX", "/grpc.health.v1.Health/"),
    *("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "/docs", "/openapi.json", "/metrics", "/v2/docs"),
    *("/v2/models/m", "/v2/models/m/stats", "/v2/models/m/versions/1/infer", "/v2/repository/index", "/answers", "/"),
    *(
        "/v2/health/ready?/../../models/m/infer",
        "/v2/models/m/infer?access_token=good-token",
        "*",
        "/v2/health/ready#/",
    ),
]
SMUGGLED = [
    *("x-sluice-caller: anna", "X-Sluice-Caller: anna", "x-sluice-unchecked: true", "x-sluice-claims: e30"),
    *("x-sluice-authorize: e30", "x-sluice-max-age: 5", "x-envoy-auth-failure-mode-allowed: true"),
    *("x-envoy-original-path: /v2/health/ready", "x-envoy-internal: true", "x-original-url: /v2/health/ready"),
    *(
        "x-http-method-override: GET",
        "connection: authorization",
        "authorization: Bearer ",
        "authorization: good-token",
    ),
    *("authorization: Basic good-token", f"proxy-authorization: Bearer {GOOD}", f"cookie: access_token={GOOD}"),
    f"authorization: Bearer {GOOD}\r\nauthorization: Bearer {GOOD}",
    f"authorization: Bearer {GOOD}, Bearer {GOOD}",
    f"authorization: Bearer {GOOD}\x80",
    f"authorization: Bearer {'x' * 20_000}",
    f"authorization : Bearer {GOOD}",
    "x-sluice-caller: anna\r\nx-sluice-unchecked: true\r\nx-sluice-claims: e30",
]


async def test_no_path_and_no_header_leads_past_the_check(
    bench: Bench, judge: Judge, authorizer: Upstream, pod: Pod
) -> None:
    router = await routed(bench, pod, guarded({**KUBERNETES, "onUnavailable": "Allow"}, authorizer))
    grpc_headers = ("content-type: application/grpc", "te: trailers")
    for path in BYPASSES:
        for method, more in (("POST", ()), ("GET", ()), ("POST", grpc_headers)):
            status = await raw(router, request(path, *more, method=method))
            open_to_all = method == "GET" and path.startswith("/v2/health/ready?")
            assert status in ({200} if open_to_all and not more else {0, 200, 400, 401, 404}), path
            if status == 200:
                # To gRPC a refusal is a 200 with a status of its own; health that is asked for over REST is health.
                assert more or path.startswith(("/v2/health/ready?", "/v2/health/ready#")), path
    for header in SMUGGLED:
        assert await raw(router, request(INFER, header)) in {0, 400, 401, 431}, header
    for method in ("HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "PRI", "get"):
        assert await raw(router, request("/v2/health/live", method=method)) in {0, 400, 401, 404, 405, 501}, method
    conflict = f"POST {INFER} HTTP/1.1\r\nhost: m\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
    hidden = f"POST {INFER} HTTP/1.1\r\nhost: m\r\nauthorization: Bearer {GOOD}\r\ncontent-length: 0\r\n\r\n"
    assert await raw(router, (conflict + hidden).encode()) in {0, 400, 401}
    assert [(path, seen) for path, seen in pod.seen if not path.startswith("/v2/health/")] == []
    assert judge.asked == []


async def test_what_a_caller_sends_in_the_routers_name_changes_nothing(
    bench: Bench, judge: Judge, authorizer: Upstream, pod: Pod
) -> None:
    router = await routed(bench, pod, guarded(KUBERNETES, authorizer))
    headers = {
        "X-Sluice-Caller": "root",
        "x-sluice-unchecked": "true",
        "x-sluice-claims": "e30",
        "x-sluice-authorize": "e30",
        "x-sluice-max-age": "1000",
        "x-sluice-anything": "1",
        "x-forwarded-for": "10.9.9.9",
    }
    assert (await said(router, headers | bearer(GOOD)))[0] == 200
    ((_, seen),) = pod.seen
    assert {name: value for name, value in seen.items() if name.startswith("x-sluice-")} == {
        "x-sluice-caller": ["anna"]
    }
    (asked,) = judge.asked
    assert asked.question["name"] == "m"
    invented, seen_by_router = asked.headers["x-forwarded-for"].split(",")
    assert invented == "10.9.9.9" != seen_by_router
    assert not {"x-sluice-caller", "x-sluice-claims", "x-sluice-unchecked"} & asked.headers.keys()


async def test_testers_the_preview_and_copies_need_a_permission_too(
    bench: Bench, authorizer: Upstream, pod: Pod
) -> None:
    canary = Pod()
    tester = Match.model_validate({"header": {"name": "x-tester", "value": "yes"}})
    wanted = guarded(
        KUBERNETES,
        authorizer,
        testers=Matched(V2, (tester,)),
        preview=Previewed(V2),
        mirror=Copied(V2, 100),
    )
    router = await routed(bench, pod, wanted, canary)
    ways: tuple[dict[str, str], ...] = (
        {},
        {"x-tester": "yes"},
        {"host": "m-preview.shop"},
        {"host": "m-preview", "x-tester": "yes"},
    )
    for way in ways:
        assert [(await said(router, {**way, **more}))[0] for more in ({}, bearer(WRONG), bearer(FORBIDDEN))] == [
            401,
            401,
            403,
        ]
    assert (pod.seen, canary.seen) == ([], [])
    for way in ways:
        assert (await said(router, {**way, **bearer(GOOD)}))[0] == 200
    await eventually(lambda: asyncio.sleep(0, len(canary.seen) == 4), "a copy, and three that came for the new version")
    for _, seen in (*pod.seen, *canary.seen):
        assert seen["x-sluice-caller"] == ["anna"]
        assert "authorization" not in seen


async def test_health_is_open_and_says_nothing_of_who_asks(
    bench: Bench, judge: Judge, authorizer: Upstream, pod: Pod
) -> None:
    router = await routed(bench, pod, guarded({**KUBERNETES, "rateLimit": {"requests": 1}}, authorizer))
    for _ in range(3):
        for path in ("/v2/health/live", "/v2/health/ready?x=1"):
            assert await raw(router, request(path, "authorization: Bearer x", method="GET", body="")) == 200
    assert [path for path, _ in pod.seen] == ["/v2/health/live"] * 3, (
        "the other one is answered before it is written down"
    )
    assert all("authorization" not in seen for _, seen in pod.seen)
    assert judge.asked == []


async def test_over_grpc_refusals_are_statuses_with_plain_words(
    bench: Bench, judge: Judge, authorizer: Upstream, tmp_path: Path
) -> None:
    wanted = guarded({**KUBERNETES, "rateLimit": {"requests": 2, "per": "1h"}}, authorizer, revisions=(V1,))
    async with model(tmp_path) as one:
        members = {V1: (("127.0.0.1", one.grpc_port or 0),)}
        router = await routed(bench, Pod(), wanted, grpc_members=members)
        channel: Any
        async with grpc.aio.insecure_channel(f"127.0.0.1:{router.layout.endpoint_port}") as channel:
            assert await refusal(channel, None) == (
                grpc.StatusCode.UNAUTHENTICATED,
                "a token is needed: Authorization: Bearer ...",
            )
            assert await refusal(channel, WRONG) == (grpc.StatusCode.UNAUTHENTICATED, "the token is not known")
            assert await refusal(channel, FORBIDDEN) == (grpc.StatusCode.PERMISSION_DENIED, judge_says())
            assert [(await asks(channel, GOOD)).model_name for _ in range(2)] == ["shop"] * 2
            often = (grpc.StatusCode.RESOURCE_EXHAUSTED, "this caller asks more often than is allowed")
            assert await refusal(channel, GOOD) == often
            answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
            for method in ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", f"/{SERVICE}/ServerMetadata"):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await channel.unary_unary(method)(b"")
                assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


def asks(channel: Any, token: str | None) -> Any:
    return ask(channel, metadata=[("authorization", f"Bearer {token}")] if token else [])


async def refusal(channel: Any, token: str | None) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await asks(channel, token)
    return caught.value.code(), caught.value.details() or ""


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


async def test_whoever_asks_too_often_waits_and_others_do_not(
    bench: Bench, judge: Judge, authorizer: Upstream, pod: Pod
) -> None:
    judge.grants |= {"other": "ben", "annas-second": "anna"}
    access = {**KUBERNETES, "rateLimit": {"requests": 5, "per": "1h", "burst": 7}}
    router = await routed(bench, pod, guarded(access, authorizer, routers=2))
    assert [(await said(router, bearer(GOOD)))[0] for _ in range(5)] == [200] * 4 + [429]
    status, error, headers = await said(router, bearer("annas-second"))
    assert (status, error) == (429, "this caller asks more often than is allowed")
    assert int(headers["retry-after"]) >= 1
    assert not [name for name in headers if name.lower().startswith("x-envoy")]
    assert (await said(router, bearer("other")))[0] == 200


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


RULE = {"entities": ["store_id"], "rule": "entities.store_id.all(s, s in claims.stores)", "maxRequestBytes": "4Ki"}


async def test_with_a_rule_every_request_is_asked_about_with_its_body_as_it_is(
    bench: Bench, judge: Judge, authorizer: Upstream, pod: Pod
) -> None:
    router = await routed(bench, pod, guarded({**KUBERNETES, "data": RULE}, authorizer))
    body = bytes(range(256)) * 8
    headers = {"content-type": "application/octet-stream", "content-encoding": "x-own"}
    headers |= {"inference-header-content-length": "17", "x-sluice-caller": "root"}
    for _ in range(2):
        async with bench.http.post(router.url(INFER + "?a=b"), data=body, headers=headers | bearer(GOOD)) as response:
            assert response.status == 200
    assert pod.bodies == [body, body]
    assert [seen["x-sluice-caller"] for _, seen in pod.seen] == [["anna"], ["anna"]]
    assert not [name for _, seen in pod.seen for name in seen if name in ("authorization", "x-sluice-authorize")]
    # Who it is, is remembered; what it asks for is asked about each time.
    known, first, second = judge.asked
    assert ("data" in known.question, known.body) == (False, b"")
    assert (first.method, first.path, first.body) == (second.method, second.path, second.body)
    assert (first.method, first.path, first.body) == ("POST", f"/authorize{INFER}?a=b", body)
    assert first.question["data"] == RULE | {"maxRequestBytes": 4096}
    assert {name: first.headers[name] for name in ("content-encoding", "inference-header-content-length")} == {
        "content-encoding": "x-own",
        "inference-header-content-length": "17",
    }
    assert "x-sluice-caller" not in first.headers
    asked = len(judge.asked)
    assert (await said(router))[0] == 401
    assert len(judge.asked) == asked, "nobody is asked about what is no token"
    assert (await said(router, bearer(FORBIDDEN)))[:2] == (403, judge_says())
    async with bench.http.post(router.url(INFER), data=b"x" * 5000, headers=bearer(GOOD)) as response:
        assert response.status == 413
        assert (await response.json())["error"]
    assert len(pod.seen) == 2


async def test_with_a_rule_an_authorizer_may_take_its_time(bench: Bench, judge: Judge, pod: Pod) -> None:
    async def slow(asked: web.Request) -> web.StreamResponse:
        answer = await judge.handle(asked)
        await asyncio.sleep(0.3)
        return answer

    authorizer = await bench.upstream(handler=slow)
    router = await routed(bench, pod, guarded({**KUBERNETES, "data": RULE}, authorizer))
    assert (await said(router, bearer(GOOD)))[0] == 200


async def test_with_a_rule_no_request_is_held_before_its_caller_is_known_and_may_ask(
    bench: Bench, judge: Judge, authorizer: Upstream, pod: Pod
) -> None:
    wanted = guarded({**KUBERNETES, "data": RULE, "rateLimit": {"requests": 2, "per": "1h"}}, authorizer, routers=2)
    router = await routed(bench, pod, wanted)
    begun = f"POST {INFER} HTTP/1.1\r\nhost: m\r\ncontent-length: 4000\r\nauthorization: Bearer %s\r\n\r\nxxx"
    assert (await said(router, bearer(GOOD)))[0] == 200
    asked = len(judge.asked)
    for token, status in ((WRONG, 401), (FORBIDDEN, 403), (GOOD, 429)):
        assert await asyncio.wait_for(raw(router, (begun % token).encode()), PATIENCE) == status
    assert len(judge.asked) == asked + 2, "who asks too often is not asked about"
    assert not [one for one in judge.asked[asked:] if "data" in one.question]
    assert len(pod.seen) == 1


async def test_with_a_rule_grpc_is_asked_about_and_streams_are_not_held(
    bench: Bench, judge: Judge, authorizer: Upstream, tmp_path: Path
) -> None:
    wanted = guarded({**KUBERNETES, "data": RULE}, authorizer, revisions=(V1,))
    channel: Any
    async with model(tmp_path) as one:
        router = await routed(bench, Pod(), wanted, grpc_members={V1: (("127.0.0.1", one.grpc_port or 0),)})
        async with grpc.aio.insecure_channel(f"127.0.0.1:{router.layout.endpoint_port}") as channel:
            assert (await asks(channel, GOOD)).model_name == "shop"
            assert b"FP32" in judge.asked[-1].body
            assert judge.asked[-1].headers["content-type"] == "application/grpc"
            stream = channel.stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
            call = stream(metadata=[("authorization", f"Bearer {GOOD}")])
            await call.write(b"\x3a\x00")  # field 7, list_services: ""
            assert SERVICE.encode() in await asyncio.wait_for(call.read(), 30)
            call.cancel()
            assert await refusal(channel, FORBIDDEN) == (grpc.StatusCode.PERMISSION_DENIED, judge_says())
            assert await refusal(channel, WRONG) == (grpc.StatusCode.UNAUTHENTICATED, "the token is not known")
            large = channel.unary_unary(f"/{SERVICE}/ModelInfer")
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await large(b"x" * 5000, metadata=[("authorization", f"Bearer {GOOD}")])
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_with_a_rule_and_no_authorizer_nobody_is_let_in(bench: Bench, pod: Pod) -> None:
    _, port = bench.refusing()
    router = await routed(bench, pod, guarded({**KUBERNETES, "data": RULE}, port))
    status, error, headers = await said(router, bearer(GOOD))
    assert (status, error) == (503, "whether this caller may ask cannot be checked now")
    assert headers["retry-after"] == "1"
    async with grpc.aio.insecure_channel(f"127.0.0.1:{router.layout.endpoint_port}") as channel:
        assert await refusal(channel, GOOD) == (grpc.StatusCode.UNAVAILABLE, error)
    assert pod.seen == []


async def test_who_may_ask_changes_without_a_restart_and_refuses_some_for_a_moment_at_most(
    bench: Bench, judge: Judge, authorizer: Upstream, pod: Pod
) -> None:
    router = await routed(bench, pod, traffic({V1: 100}, V1, V2))
    process = router.process
    async with steady(router, headers=bearer(GOOD)) as answers:
        for access in (KUBERNETES, {**KUBERNETES, "rateLimit": {"requests": 1_000_000}}, {**KUBERNETES, "data": RULE}):
            await until(answers, 20)
            await router.apply(guarded(access, authorizer))
            assert (await said(router))[0] == 401
        await until(answers, 20)
        await router.apply(traffic({V1: 100}, V1, V2))
        assert (await said(router))[0] == 200
    # Envoy takes over listeners and clusters one after the other; in between callers are asked to come again.
    assert {status for status, _ in answers.failed()} <= {503}
    assert (await said(router))[0] == 200
    assert router.process is process
    assert process
    assert process.returncode is None


async def test_connections_that_were_open_before_somebody_was_to_be_checked_end(
    bench: Bench, authorizer: Upstream, pod: Pod
) -> None:
    router = await routed(bench, pod, traffic({V1: 100}, V1, V2), drain_seconds=2)
    asking, idle = [await asyncio.open_connection("127.0.0.1", router.layout.endpoint_port) for _ in range(2)]
    kept = f"POST {INFER} HTTP/1.1\r\nhost: m\r\ncontent-length: 0\r\n\r\n".encode()
    for reader, writer in (asking, idle):
        writer.write(kept)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    await router.apply(guarded(KUBERNETES, authorizer))
    asking[1].write(kept)
    # The answer's headers say so already; an idle connection is cut when its time is over.
    assert b"connection: close" in await asyncio.wait_for(asking[0].read(), PATIENCE)
    await asyncio.wait_for(idle[0].read(), PATIENCE)
    for _, writer in (asking, idle):
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def test_tokens_are_in_no_log(bench: Bench, authorizer: Upstream, pod: Pod, tmp_path: Path) -> None:
    log = tmp_path.parent / f"{tmp_path.name}-envoy.log"
    wanted = guarded({**KUBERNETES, "onUnavailable": "Allow"}, authorizer)
    router = await routed(bench, pod, wanted, log=log)
    for token in (GOOD, WRONG, FORBIDDEN):
        await said(router, bearer(token))
    await authorizer.stop()
    assert (await said(router, bearer("unknown-token")))[0] == 200
    await router.stop()
    text = log.read_text()
    assert "callers are let in unchecked" in text
    assert not [token for token in (GOOD, WRONG, FORBIDDEN, "unknown-token") if token in text]
