"""gRPC through a real Envoy, to the runtime's own gRPC server: split, counted, refused and handed on."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import CollectorRegistry

from router.harness import V1, V2, Bench, Router, eventually, traffic
from runtime.harness import config_for
from sluice.config import RuntimeConfig
from sluice.manifest import Datatype
from sluice_operator.planning.observed import RouterPod
from sluice_runtime.answers import Answers
from sluice_runtime.batching import Batcher
from sluice_runtime.door import Door
from sluice_runtime.metrics import Metrics
from sluice_runtime.plane import Model, Plane
from sluice_runtime.protocol.calls import Site
from sluice_runtime.protocol.grpc import GrpcServer
from sluice_runtime.protocol.pb import open_inference_pb2 as pb
from sluice_runtime.signature import Signature
from support.stats import binomial_interval
from unit.serving.fakes import FakeRunner, spec

SERVICE = "inference.GRPCInferenceService"
GUILTY = 13.0


@asynccontextmanager
async def model(folder: Any, answers: Answers | None = None) -> AsyncIterator[RuntimeConfig]:
    """A model that doubles `x`, behind the runtime's gRPC server; fails for 13."""
    config = config_for(folder)
    plane = Plane("shop", Metrics("shop", "", CollectorRegistry()))
    plane.answers = answers or plane.answers
    batcher = Batcher(FakeRunner(GUILTY), max_rows=1, max_queue=100)
    plane.serve(
        Model("shop", "3", Signature((spec("x", Datatype.FP32, 1),), (spec("x", Datatype.FP32, 1),), False), batcher)
    )
    server = GrpcServer(Site(plane, Door(_no_app, config.limits, 75)), config)
    await server.start()
    yield config
    server.close()
    batcher.close()


async def _no_app(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("gRPC asks no application")


@asynccontextmanager
async def routed(bench: Bench, folder: Any, weights: dict[str, int]) -> AsyncIterator[tuple[Router, grpc.aio.Channel]]:
    async with model(folder) as one, model(folder) as two:
        grpc_members = {V1: (("127.0.0.1", one.grpc_port or 0),), V2: (("127.0.0.1", two.grpc_port or 0),)}
        pods = {V1: (await bench.upstream(),), V2: (await bench.upstream(),)}
        router = await bench.router(traffic(weights, V1, V2), pods, grpc_members=grpc_members)
        await router.apply(traffic(weights, V1, V2))
        async with grpc.aio.insecure_channel(f"127.0.0.1:{router.layout.endpoint_port}") as channel:
            yield router, channel


def ask(channel: Any, value: float = 1.0, metadata: Sequence[tuple[str, str]] = ()) -> Any:
    request = pb.ModelInferRequest(model_name="shop", raw_input_contents=[np.float32(value).tobytes()])
    request.inputs.add(name="x", datatype="FP32", shape=[1])
    call: Any = channel.unary_unary(
        f"/{SERVICE}/ModelInfer", lambda message: message.SerializeToString(), pb.ModelInferResponse.FromString
    )
    return call(request, timeout=30, metadata=metadata)


async def test_the_split_is_exact_per_request_on_one_connection(bench: Bench, tmp_path: Any) -> None:
    async with routed(bench, tmp_path, {V1: 80, V2: 20}) as (_, channel):
        found: Counter[str] = Counter()
        for _ in range(1000):
            call = ask(channel)
            found[dict(await call.initial_metadata())["x-sluice-revision"]] += 1
            assert np.frombuffer((await call).raw_output_contents[0], np.float32) == [2.0]
    low, high = binomial_interval(1000, 0.2)
    assert low <= found[V2] <= high
    assert found.total() == 1000


async def test_a_models_failures_are_counted_as_errors_of_its_revision(bench: Bench, tmp_path: Any) -> None:
    async with routed(bench, tmp_path, {V1: 100}) as (router, channel):
        codes = [await ask(channel, value).code() for value in (1.0, GUILTY, 1.0, GUILTY)]
        assert codes == [grpc.StatusCode.OK, grpc.StatusCode.INTERNAL] * 2

        async def counted() -> bool:
            stats = await router.stats()
            names = (f"cluster.{V1}-grpc.upstream_rq_completed", f"cluster.{V1}-grpc.grpc.13")
            return [stats.get(name) for name in names] == ["4", "2"]

        await eventually(counted, "four answers, two of them errors")
        seen: RouterPod = await router.observe((V1, V2))
        assert seen.healthy == {V1: 1, V2: 1}


async def test_health_and_reflection_pass(bench: Bench, tmp_path: Any) -> None:
    channel: Any
    async with routed(bench, tmp_path, {V1: 100}) as (_, channel):
        answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        stream: Any = channel.stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
        call = stream(iter([b"\x3a\x00"]))  # field 7, list_services: ""
        assert SERVICE.encode() in await call.read()
        call.cancel()


@pytest.mark.parametrize("method", ["/other.Service/Method", "/inference.GRPCInferenceServiceX/ModelInfer"])
async def test_other_services_are_unimplemented(method: str, bench: Bench, tmp_path: Any) -> None:
    channel: Any
    async with routed(bench, tmp_path, {V1: 100}) as (_, channel):
        unary: Any = channel.unary_unary(method)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await unary(b"")
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_while_nothing_is_ready_callers_are_told_that_it_is_unavailable(bench: Bench) -> None:
    router = await bench.router(traffic({}), {})
    async with grpc.aio.insecure_channel(f"127.0.0.1:{router.layout.endpoint_port}") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ask(channel)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "no version of m is ready" in str(caught.value.details())


async def test_a_pod_that_cannot_be_reached_costs_no_request(bench: Bench, tmp_path: Any) -> None:
    async with model(tmp_path) as alive:
        members = (("127.0.0.1", alive.grpc_port or 0), bench.refusing())
        pods = {V1: (await bench.upstream(), await bench.upstream())}
        router = await bench.router(traffic({V1: 100}), pods, grpc_members={V1: members})
        await router.apply(traffic({V1: 100}))
        async with grpc.aio.insecure_channel(f"127.0.0.1:{router.layout.endpoint_port}") as channel:
            for _ in range(50):
                await ask(channel)
        # It says that it is ready, on its other port, and is given up all the same.
        assert int((await router.stats())[f"cluster.{V1}-grpc.outlier_detection.ejections_enforced_total"]) >= 1
