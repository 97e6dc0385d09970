"""A real Envoy, the real authorizer and a real API server: what RBAC and a rule say is what callers get."""

import json
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from controlplane.apiserver import ApiServer
from controlplane.authorizer.conftest import Shop, shop_of
from controlplane.authorizer.process import Authorizer, authorizer
from router.asking import INFER, refusal, routed, said
from router.harness import V1, Bench
from router.issuer import ISSUER, Issuer
from router.judge import Pod, bearer, guarded
from sluice_operator.routing.base import Traffic
from sluice_runtime.protocol.pb import open_inference_pb2 as pb

SERVICE = "inference.GRPCInferenceService"
RULE = "entities.store_id.all(s, s in [41, 42])"


@pytest.fixture(scope="module")
def shop(api_server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with shop_of(api_server, tmp_path_factory.mktemp("shop")) as found:
        yield found


@pytest.fixture(scope="module")
def running(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authorizer]:
    with authorizer(shop.kubeconfig, tmp_path_factory.mktemp("process") / "log") as process:
        yield process


def asked_of(shop: Shop, running: Authorizer, access: dict[str, Any]) -> Traffic:
    return guarded(access, running.port, revisions=(V1,), namespace=shop.kube.namespace)


def body(*stores: int, padding: int = 0) -> bytes:
    """A request about stores, with so many blanks behind it."""
    inputs = [{"name": "store_id", "datatype": "INT64", "shape": [len(stores)], "data": stores}]
    return json.dumps({"inputs": inputs}).encode() + b" " * padding


async def test_what_rbac_says_is_what_callers_get(bench: Bench, shop: Shop, running: Authorizer, pod: Pod) -> None:
    reviews = running.metric("sluice_authorizer_api_requests_total")
    router = await routed(bench, pod, asked_of(shop, running, {"mode": "Kubernetes"}))
    app, nobody = shop.token("app"), shop.token("nobody")
    assert (await said(router, bearer(shop.token("app", "--audience=other.example"))))[0] == 401
    assert (await said(router, bearer(f"{app}x")))[0] == 401
    status, error, _ = await said(router, bearer(nobody))
    assert status == 403
    assert "may not create modeldeployments/inference named 'm'" in error
    assert pod.seen == []
    for _ in range(20):
        assert (await said(router, bearer(app)))[0] == 200
    account = f"system:serviceaccount:{shop.kube.namespace}:app"
    assert [seen["x-sluice-caller"] for _, seen in pod.seen] == [[account]] * 20
    async with grpc.aio.insecure_channel(f"127.0.0.1:{router.layout.endpoint_port}") as channel:
        assert (await refusal(channel, nobody))[0] is grpc.StatusCode.PERMISSION_DENIED
    assert running.metric("sluice_authorizer_api_requests_total") - reviews <= 8, (
        "two accounts, known after the first time"
    )


async def test_a_rule_sees_what_the_model_would_see(bench: Bench, shop: Shop, running: Authorizer, pod: Pod) -> None:
    data = {"entities": ["store_id"], "rule": RULE, "maxRequestBytes": "2Ki"}
    router = await routed(bench, pod, asked_of(shop, running, {"mode": "Kubernetes", "data": data}))
    app = bearer(shop.token("app")) | {"content-type": "application/json"}

    async def asks(content: bytes, path: str = INFER, **headers: str) -> int:
        async with bench.http.post(router.url(path), data=content, headers=app | headers) as response:
            assert response.status == 200 or (await response.json())["error"]
            return response.status

    assert [await asks(body(42)), await asks(body(41, 42))] == [200, 200]
    assert [await asks(body(43)), await asks(body(42, 43)), await asks(b'{"inputs": []}')] == [403, 403, 403]
    assert await asks(body(42), "/v2/models/m/versions/1/infer") == 200
    assert await asks(body(42, padding=1900)) == 200
    refused = [await asks(body(42, padding=2048)), await asks(body(42, padding=100_000)), await asks(body(42)[:-1])]
    assert refused == [413, 413, 400]
    assert await asks(body(42) + body(43)) == 400
    assert await asks(body(42), **{"content-type": "text/plain"}) == 415
    assert [content for content in pod.bodies if b"43" in content] == []
    assert len(pod.seen) == 4
    async with bench.http.get(router.url("/v2/models/m"), headers=app) as response:
        assert response.status == 200


async def test_a_rule_over_an_issuers_claims_holds_for_grpc_too(
    bench: Bench, shop: Shop, running: Authorizer, pod: Pod
) -> None:
    issuer = Issuer()
    data = {"entities": ["store_id"], "rule": "entities.store_id.all(s, s in claims.stores)", "maxRequestBytes": "2Ki"}
    access = {"mode": "JWT", "jwt": {"issuer": ISSUER, "jwks": issuer.jwks}, "data": data}
    router = await routed(bench, pod, asked_of(shop, running, access))
    anna = bearer(issuer.token(stores=[42])) | {"content-type": "application/json"}
    for content, status in ((body(42), 200), (body(43), 403)):
        async with bench.http.post(router.url(INFER), data=content, headers=anna) as response:
            assert response.status == status
    channel: Any
    async with grpc.aio.insecure_channel(f"127.0.0.1:{router.layout.endpoint_port}") as channel:
        metadata = [("authorization", anna["Authorization"])]

        async def code(store: int, padding: int = 0) -> grpc.StatusCode:
            message = pb.ModelInferRequest(model_name="m", id="x" * padding)
            tensor = message.inputs.add(name="store_id", datatype="INT64", shape=[1])
            tensor.contents.int64_contents.append(store)
            call = channel.unary_unary(f"/{SERVICE}/ModelInfer")(message.SerializeToString(), metadata=metadata)
            found: grpc.StatusCode = await call.code()
            return found

        assert await code(43) is grpc.StatusCode.PERMISSION_DENIED
        assert await code(42, padding=4096) is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await code(42) is grpc.StatusCode.UNAVAILABLE, "it was let through, to a pod that speaks no gRPC"
