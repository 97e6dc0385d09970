"""Nobody reaches a model past the check: by no path, no header and no other way in."""

import asyncio
from contextlib import suppress
from pathlib import Path

from router.asking import INFER, KUBERNETES, raw, request, routed, said
from router.harness import PATIENCE, V1, V2, Bench, Upstream, eventually, traffic
from router.judge import FORBIDDEN, GOOD, WRONG, Judge, Pod, bearer, guarded
from sluice_operator.api.matching import Match
from sluice_operator.routing.base import Copied, Matched, Previewed

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
