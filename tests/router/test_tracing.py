"""Traces through a real Envoy and a real runtime to a collector, and what becomes of requests where there is none."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from aiohttp import web

from router.collector import Collector, Seen
from router.dns import Rcode
from router.harness import V1, Bench, Router, Upstream, eventually, traffic
from router.load import steady, until
from runtime.harness import Running, config_for, package_of, serving
from runtime.models import trained
from runtime.raw import BODY, PATH
from runtime.test_protocol_grpc import RAW, X, tensor
from sluice_operator.routing.base import Tracing, Traffic
from sluice_runtime.protocol.pb import open_inference_pb2 as pb
from support.ports import free_port

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED, NOT_SAMPLED = f"00-{TRACE}-{CALLER}-01", f"00-{TRACE}-{CALLER}-00"
SERVER, CLIENT = 2, 3
"""SpanKind of opentelemetry.proto.trace.v1."""


def traced(port: int, percent: float = 100.0) -> Traffic:
    return replace(traffic({V1: 100}), name="shop", tracing=Tracing("127.0.0.1", port, percent))


@pytest.fixture
def collector() -> Collector:
    return Collector()


@pytest.fixture
async def address(bench: Bench, collector: Collector) -> Upstream:
    return await bench.upstream(handler=collector.handle)


@pytest.fixture
def runtime(tmp_path: Path, address: Upstream) -> Iterator[Running]:
    environ = {
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{address.port}",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    package = package_of(trained(), tmp_path / "model")
    with serving(config_for(package, revision=V1, drain_seconds=0), **environ) as running:
        yield running


async def routed(bench: Bench, pod: Upstream | Running, wanted: Traffic, folder: Path) -> Router:
    http, over_grpc = _ports(pod)
    members, grpc_members = {V1: (("127.0.0.1", http),)}, {V1: (("127.0.0.1", over_grpc),)}
    router = await bench.router(wanted, members, grpc_members=grpc_members, folder=folder)
    await router.apply(wanted)
    return router


def _ports(pod: Upstream | Running) -> tuple[int, int]:
    """An upstream that is only asked over HTTP stands for itself."""
    if isinstance(pod, Upstream):
        return pod.port, pod.port
    return pod.config.port, pod.config.grpc_port or 0


async def ask(bench: Bench, router: Router, **headers: str) -> None:
    async with bench.http.post(router.url(PATH), data=BODY, headers=headers) as response:
        assert response.status == 200, await response.text()


async def spans(collector: Collector, name: str, count: int) -> list[Seen]:
    async def there() -> bool:
        return len(collector.named(name)) >= count

    await eventually(there, f"{count} spans {name!r}")
    return collector.named(name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "router").mkdir()
    return tmp_path / "router"


async def test_a_request_is_one_trace_from_its_caller_to_the_model(
    bench: Bench, folder: Path, collector: Collector, address: Upstream, runtime: Running
) -> None:
    router = await routed(bench, runtime, traced(address.port), folder)
    await ask(bench, router, traceparent=SAMPLED)

    (routing,) = await spans(collector, "route", 1)
    (sending,) = await spans(collector, "route to pod", 1)
    (inferring,) = await spans(collector, "infer", 1)
    assert [span.trace for span in (routing, sending, inferring)] == [TRACE] * 3
    assert [span.parent for span in (routing, sending, inferring)] == [CALLER, routing.id, sending.id]
    assert [span.kind for span in (routing, sending, inferring)] == [SERVER, CLIENT, SERVER]
    assert {(span.attributes["sluice.model"], span.attributes["sluice.revision"]) for span in (routing, sending)} == {
        ("shop", V1)
    }
    assert (inferring.attributes["sluice.model"], inferring.attributes["sluice.revision"]) == ("shop", V1)
    assert (routing.resource["service.name"], routing.resource["k8s.namespace.name"]) == ("shop", "shop")
    assert inferring.resource["service.name"] == "shop"


async def test_a_call_over_grpc_is_in_its_callers_trace(
    bench: Bench, folder: Path, collector: Collector, address: Upstream, runtime: Running
) -> None:
    router = await routed(bench, runtime, traced(address.port), folder)
    request = pb.ModelInferRequest(model_name="shop", inputs=[tensor(*X)], raw_input_contents=RAW)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{router.layout.endpoint_port}") as channel:
        infer: Any = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer", pb.ModelInferRequest.SerializeToString
        )
        await infer(request, metadata=(("traceparent", SAMPLED),))
    (inferring,) = await spans(collector, "infer", 1)
    (sending,) = await spans(collector, "route to pod", 1)
    (routing,) = await spans(collector, "route", 1)
    assert [span.parent for span in (routing, sending, inferring)] == [CALLER, routing.id, sending.id]
    assert routing.attributes["sluice.revision"] == V1


async def test_a_caller_that_wants_no_trace_gets_none(
    bench: Bench, folder: Path, collector: Collector, address: Upstream, runtime: Running
) -> None:
    router = await routed(bench, runtime, traced(address.port), folder)
    await ask(bench, router, traceparent=NOT_SAMPLED)
    await ask(bench, router, traceparent=SAMPLED)
    assert len(await spans(collector, "infer", 1)) == 1
    assert len(await spans(collector, "route", 1)) == 1


async def test_callers_without_a_trace_are_traced_as_often_as_asked(
    bench: Bench, folder: Path, collector: Collector, address: Upstream
) -> None:
    pod = await bench.upstream()
    router = await routed(bench, pod, traced(address.port, percent=0.0), folder)
    for _ in range(20):
        await ask(bench, router)
    await router.apply(traced(address.port, percent=100.0))
    connection = await bench.client()
    async with connection.post(router.url(PATH), data=BODY) as response:
        assert response.status == 200
    (routing,) = await spans(collector, "route", 1)
    assert routing.parent == ""


@pytest.mark.parametrize("request_id", ["r-1", "8b6f0a0e-0d4c-4f5e-9d0a-6f5a4a1f2c3d"])
async def test_a_callers_request_id_stays_what_it_is(
    bench: Bench, folder: Path, collector: Collector, address: Upstream, request_id: str
) -> None:
    """By default Envoy writes into a UUID whether it traces, and traces no request with any other id."""
    seen: list[str] = []

    async def note(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers["x-request-id"])
        return web.Response()

    pod = await bench.upstream(handler=note)
    router = await routed(bench, pod, traced(address.port), folder)
    await ask(bench, router, **{"x-request-id": request_id})
    assert seen == [request_id]
    assert len(await spans(collector, "route", 1)) == 1


async def test_traces_come_and_go_under_load_without_a_restart(
    bench: Bench, folder: Path, collector: Collector, address: Upstream
) -> None:
    pod = await bench.upstream()
    router = await routed(bench, pod, traffic({V1: 100}), folder)
    async with steady(router) as answers:
        for wanted in (traced(address.port), traffic({V1: 100}), traced(address.port)):
            await until(answers, 100)
            await router.apply(wanted)
        await until(answers, 100)
        await spans(collector, "route", 1)
    assert answers.failed() == {}


async def test_a_collector_that_is_not_there_harms_no_request(bench: Bench, folder: Path) -> None:
    pod = await bench.upstream()
    router = await routed(bench, pod, traced(free_port()), folder)
    await _serves(router)


async def test_a_collector_that_hangs_harms_no_request(bench: Bench, folder: Path) -> None:
    never = asyncio.Event()

    async def hang(_: web.Request) -> web.StreamResponse:
        await never.wait()
        return web.Response()

    hanging, pod = await bench.upstream(handler=hang), await bench.upstream()
    router = await routed(bench, pod, traced(hanging.port), folder)
    await _serves(router)
    assert hanging.requests > 0
    never.set()


async def test_a_collector_nobody_knows_the_name_of_harms_no_request(bench: Bench, folder: Path) -> None:
    dns = await bench.dns()
    dns.rcode = Rcode.name_error
    pod = await bench.upstream()
    wanted = replace(traffic({V1: 100}), tracing=Tracing("nobody.invalid", 4318, 100.0))
    router = await bench.router(wanted, {V1: (pod,)}, resolvers=(dns.address,), folder=folder)
    await router.apply(wanted)
    await _serves(router)
    assert dns.questions > 0


async def _serves(router: Router) -> None:
    async with steady(router) as answers:
        await until(answers, 1000)
    assert answers.failed() == {}
