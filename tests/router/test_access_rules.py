"""With a rule about its data, each request is asked about with its body, and held only for who may ask."""

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest
from aiohttp import web

from router.asking import INFER, KUBERNETES, RULE, asks, judge_says, raw, refusal, routed, said
from router.harness import PATIENCE, V1, Bench, Upstream
from router.judge import FORBIDDEN, GOOD, WRONG, Judge, Pod, bearer, guarded
from router.test_grpc import SERVICE, model


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
