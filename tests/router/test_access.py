"""Who may ask, through a real Envoy: nobody without a permission reaches a model, by whatever way."""

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from router.asking import INFER, KUBERNETES, RULE, asks, judge_says, raw, refusal, request, routed, said
from router.harness import V1, V2, Bench, Upstream, eventually, traffic
from router.judge import FORBIDDEN, GOOD, WRONG, Judge, Pod, bearer, guarded
from router.load import steady, until
from router.test_grpc import SERVICE, model


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
