"""What the router's two ports show, and what they hide."""

import asyncio
import re

import pytest
from aiohttp import web
from yarl import URL

from router.harness import V1, Bench, Router, eventually, traffic
from router.load import steady, until
from sluice_operator.routing.envoy_workload import drain_script


async def _serving(bench: Bench) -> Router:
    split = traffic({V1: 100})
    router = await bench.router(split, {V1: (await bench.upstream(),)})
    await router.apply(split)
    return router


@pytest.mark.parametrize("path", ["/", "/v1/models/m", "/v2x", "/metrics", "/v2/../metrics", "/%2e%2e/stats"])
async def test_paths_outside_v2_are_404_in_the_protocols_shape(bench: Bench, path: str) -> None:
    router = await _serving(bench)
    async with bench.http.get(URL(router.url(path), encoded=True)) as response:
        assert response.status == 404
        assert await response.json() == {"error": "only gRPC and paths under /v2 are served here"}


@pytest.mark.parametrize("path", ["/v2", "/v2/", "/v2/models/m/infer", "/v2?x=1", "//v2//models"])
async def test_paths_under_v2_reach_the_model(bench: Bench, path: str) -> None:
    router = await _serving(bench)
    async with bench.http.get(URL(router.url(path), encoded=True)) as response:
        assert response.status == 200
        assert response.headers["x-sluice-revision"] == V1


async def test_escaped_slashes_are_refused(bench: Bench) -> None:
    router = await _serving(bench)
    async with bench.http.get(URL(router.url("/v2%2Fmodels"), encoded=True)) as response:
        assert response.status == 400


async def test_while_nothing_is_ready_callers_are_told_to_come_back(bench: Bench) -> None:
    router = await bench.router(traffic({}), {})
    async with bench.http.get(router.url()) as response:
        assert response.status == 503
        assert response.headers["Retry-After"] == "5"
        assert await response.json() == {"error": "no version of m is ready"}


async def test_answers_do_not_speak_of_envoy(bench: Bench) -> None:
    router = await _serving(bench)
    for path in ("/v2", "/nowhere"):
        async with bench.http.get(router.url(path)) as response:
            assert not [name for name in response.headers if name.lower().startswith("x-envoy")]
            assert "envoy" not in response.headers.get("server", "")


async def test_a_model_speaks_of_its_inputs_and_cannot_forge_the_revision_that_answered(bench: Bench) -> None:
    async def forge(_: web.Request) -> web.StreamResponse:
        return web.Response(headers={"x-sluice-revision": "forged", "x-sluice-notes": "size=default(outage:1)"})

    router = await bench.router(traffic({V1: 100}), {V1: (await bench.upstream(handler=forge),)})
    await router.apply(traffic({V1: 100}))
    async with bench.http.get(router.url()) as response:
        assert response.headers.getall("x-sluice-revision") == [V1]
        assert response.headers["x-sluice-notes"] == "size=default(outage:1)", (
            "what a model says of its inputs is its own"
        )


@pytest.mark.parametrize("path", ["/ready", "/stats", "/stats/prometheus", "/clusters", "/clusters?format=json"])
async def test_the_read_only_port_shows_what_is_listed(bench: Bench, path: str) -> None:
    router = await _serving(bench)
    async with bench.http.get(router.read_only_url(path)) as response:
        assert response.status == 200


HIDDEN = [
    *("/", "/config_dump", "/quitquitquit", "/healthcheck/fail", "/drain_listeners", "/logging", "/server_info"),
    *("/stats/../config_dump", "/stats/%2e%2e/config_dump", "/ready/..;/config_dump", "/stats/recentlookups"),
    *("//config_dump", "/stats//../quitquitquit", "/ready%2f..%2fconfig_dump", "/ready\\..\\config_dump"),
    *("/stats;/../config_dump", "/ready#/../config_dump", "/STATS", "/stats/", "/clusters/x"),
]


@pytest.mark.parametrize("path", HIDDEN)
async def test_the_read_only_port_hides_the_rest(bench: Bench, path: str) -> None:
    router = await _serving(bench)
    for method in ("GET", "POST"):
        assert await _raw_status(router, method, path) in {400, 404}
    assert await _still_serves(router)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("path", ["/ready", "/stats", "/stats/prometheus", "/clusters"])
async def test_the_read_only_port_only_reads(bench: Bench, method: str, path: str) -> None:
    router = await _serving(bench)
    assert await _raw_status(router, method, path) == 405


async def test_http_2_without_tls_is_spoken_to_those_who_begin_with_it(bench: Bench) -> None:
    router = await _serving(bench)
    reader, writer = await asyncio.open_connection("127.0.0.1", router.layout.endpoint_port)
    empty_settings = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + empty_settings)
    frame = await reader.readexactly(9)
    writer.close()
    await writer.wait_closed()
    assert frame[3] == 4, "the first frame of an HTTP/2 server is SETTINGS (RFC 9113, 3.4)"


async def test_admin_is_not_on_the_network(bench: Bench) -> None:
    router = await _serving(bench)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.2", router.layout.admin_port)


async def test_a_leaving_router_hands_its_callers_over_without_cutting_one(bench: Bench) -> None:
    router = await _serving(bench)
    async with steady(router) as answers:
        await until(answers, 100)
        script = drain_script(router.layout.admin_port, propagation=1, drain=30)
        draining = await asyncio.create_subprocess_exec("bash", "-c", script, stdout=asyncio.subprocess.DEVNULL)
        await eventually(lambda: _closes(bench, router), "connections that are closed after their answer")
        await until(answers, 100)
    assert await draining.wait() == 0
    assert answers.failed() == {}


async def test_a_leaving_router_waits_for_the_request_under_way(bench: Bench) -> None:
    gate = asyncio.Event()

    async def slow(_: web.Request) -> web.StreamResponse:
        await gate.wait()
        return web.Response()

    pod = await bench.upstream(handler=slow)
    router = await bench.router(traffic({V1: 100}), {V1: (pod,)})
    await router.apply(traffic({V1: 100}))
    request = asyncio.create_task(bench.http.post(router.url(), data=b"{}"))
    await eventually(lambda: asyncio.sleep(0, pod.requests == 1), "the request at the pod")
    script = drain_script(router.layout.admin_port, propagation=0, drain=1000)
    draining = await asyncio.create_subprocess_exec("bash", "-c", script, stdout=asyncio.subprocess.DEVNULL)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(draining.wait()), 2)
    gate.set()
    assert (await request).status == 200
    assert await draining.wait() == 0


async def _closes(bench: Bench, router: Router) -> bool:
    async with bench.http.get(router.url()) as response:
        return response.headers.get("Connection") == "close"


async def _still_serves(router: Router) -> bool:
    return await _raw_status(router, "GET", "/ready") == 200


async def _raw_status(router: Router, method: str, path: str) -> int:
    """Status of a request whose path goes out exactly as it is written; clients tidy paths up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", router.layout.read_only_port)
    writer.write(f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
    line = (await reader.readline()).decode()
    writer.close()
    await writer.wait_closed()
    found = re.match(r"HTTP/1\.1 (\d+)", line)
    assert found, line
    return int(found[1])
