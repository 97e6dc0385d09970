"""A real Envoy and small upstreams on loopback, steered the way a pod's is: by a folder the kubelet would swap."""

import asyncio
import json
import os
import shutil
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from router.dns import Dns
from sluice_operator.cluster.traffic import TrafficObserver
from sluice_operator.planning.observed import RouterPod
from sluice_operator.routing import envoy_config
from sluice_operator.routing.base import Traffic
from sluice_operator.routing.envoy_layout import Address, Layout
from sluice_operator.routing.envoy_workload import DRAIN_SECONDS, draining
from support.ports import free_port

ENVOY = Path(sys.executable).parent / "envoy"
V1, V2 = "0123456789", "abcdef0123"
PATIENCE = 30.0
"""Seconds until something that should happen within one or two is given up."""

PROMPT = json.dumps(
    {
        "layered_runtime": {
            "layers": [{"name": "prompt", "static_layer": {"tracing": {"opentelemetry": {"flush_interval_ms": 100}}}}]
        }
    }
)
"""Added to the configuration: by default a few spans are kept back for 5 s."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def traffic(weights: Mapping[str, int], *revisions: str) -> Traffic:
    """Traffic of the model `m`; the known revisions are the weighted ones unless named."""
    return Traffic("shop", "m", weights, revisions or tuple(weights))


async def eventually(happens: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait for something that needs no more than a moment; fails with `what` when it does not come."""
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while not await happens():
        assert asyncio.get_running_loop().time() < deadline, f"waited in vain for {what}"
        await asyncio.sleep(0.05)


@dataclass
class Upstream:
    """One model pod: answers every request by `handler`, and counts them. Whether it is `ready` is asked all the time
    and counts for nothing.
    """

    status: int = 200
    ready: bool = True
    handler: Handler | None = None
    requests: int = 0
    bytes: int = 0
    host: str = "127.0.0.1"
    port: int = 0
    _runner: web.AppRunner | None = None

    async def start(self) -> Address:
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, keepalive_timeout=75, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, self.port or free_port())
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self.host, self.port

    async def stop(self) -> None:
        assert self._runner
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/ready"):
            return web.Response(status=200 if self.ready else 503)
        self.requests += 1
        if self.handler:
            return await self.handler(request)
        self.bytes += len(await request.read())
        return web.json_response({"path": request.path}, status=self.status)


@dataclass
class Router:
    """An Envoy process and its folder."""

    folder: Path
    members: dict[str, tuple[Address, ...]]
    http: aiohttp.ClientSession
    resolvers: tuple[Address, ...] = ()
    grpc_members: dict[str, tuple[Address, ...]] = field(default_factory=dict)
    refusing: set[Address] = field(default_factory=set)
    log: Path | None = None
    drain_seconds: int = DRAIN_SECONDS
    layout: Layout = field(init=False)
    process: asyncio.subprocess.Process | None = None
    _generation: int = 0

    def __post_init__(self) -> None:
        self.layout = Layout(
            endpoint_port=free_port(),
            tls_port=free_port(),
            tls_dir=str(self.folder.parent / f"{self.folder.name}-tls"),
            admin_port=free_port(),
            read_only_port=free_port(),
            config_dir=str(self.folder),
            members=lambda _, revision: self.members[revision],
            # Pods that are only asked over HTTP stand for themselves, so that they count as members.
            grpc_members=lambda _, revision: self.grpc_members.get(revision, self.members[revision]),
            resolvers=self.resolvers,
        )

    def url(self, path: str = "/v2/models/m") -> str:
        return f"http://127.0.0.1:{self.layout.endpoint_port}{path}"

    def read_only_url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.layout.read_only_port}{path}"

    def write(self, wanted: Traffic, only: str | None = None) -> str:
        """Swap the folder's content as the kubelet does, and say the version it now holds. `only`: all but this file
        stays as it was.
        """
        self._generation += 1
        data = self.folder / f"..{self._generation}"
        data.mkdir()
        for name, text in envoy_config.files(wanted, self.layout).items():
            (data / name).write_text(text if only in (None, name) else (self.folder / name).read_text())
            if not (self.folder / name).is_symlink():
                (self.folder / name).symlink_to(f"..data/{name}")
        temporary = self.folder / "..data_tmp"
        temporary.symlink_to(data.name)
        os.replace(temporary, self.folder / "..data")
        shutil.rmtree(self.folder / f"..{self._generation - 1}", ignore_errors=True)
        return envoy_config.version(wanted, self.layout)

    async def apply(self, wanted: Traffic) -> None:
        """Write and wait until this router reports it, with all members of every revision that can be reached.

        Each address of a cluster is resolved by itself, and Envoy serves as soon as the first is known and was asked.
        """
        version = self.write(wanted)

        async def applied() -> bool:
            seen = await self.observe(wanted.revisions)
            if seen.config_version != version:
                return False
            return all(seen.healthy.get(name, 0) >= self._reachable(name) for name in wanted.revisions)

        await eventually(applied, f"version {version}")

    def _reachable(self, revision: str) -> int:
        return sum(member not in self.refusing for member in self.members[revision])

    async def observe(self, revisions: tuple[str, ...] = ()) -> RouterPod:
        (seen,) = await self.observer().routers([("router", "127.0.0.1", True)], revisions)
        return seen

    def observer(self) -> TrafficObserver:
        return TrafficObserver(self.http, router_port=self.layout.read_only_port)

    async def stats(self) -> dict[str, str]:
        async with self.http.get(self.read_only_url("/stats")) as response:
            lines = (await response.text()).splitlines()
        return dict(line.split(": ", 1) for line in lines)

    async def start(self) -> None:
        bootstrap = str(self.folder / "bootstrap.yaml")
        logs = ("--log-level", "info", "--log-path", str(self.log)) if self.log else ("--log-level", "error")
        arguments = ("-c", bootstrap, "--concurrency", "1", "--disable-hot-restart", *draining(self.drain_seconds))
        self.process = await asyncio.create_subprocess_exec(ENVOY, *arguments, *logs, "--config-yaml", PROMPT)

        async def ready() -> bool:
            try:
                async with self.http.get(self.read_only_url("/ready")) as response:
                    return response.status == 200
            except aiohttp.ClientConnectionError:
                return False

        await eventually(ready, "a ready Envoy")

    async def stop(self) -> None:
        if self.process and self.process.returncode is None:
            self.process.terminate()
            await self.process.wait()


class Bench:
    """Starts upstreams and one router, and takes them down."""

    def __init__(self, folder: Path, stack: AsyncExitStack, http: aiohttp.ClientSession) -> None:
        self._folder = folder
        self._stack = stack
        self._refusing: set[Address] = set()
        self.http = http

    async def upstream(self, **settings: Any) -> Upstream:
        upstream = Upstream(**settings)
        await upstream.start()
        self._stack.push_async_callback(upstream.stop)
        return upstream

    async def site(self, app: web.Application, context: ssl.SSLContext) -> int:
        """The port of a web server over TLS."""
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        port = free_port()
        await web.TCPSite(runner, "127.0.0.1", port, ssl_context=context).start()
        return port

    def refusing(self) -> Address:
        """An address that refuses connections for as long as the bench lasts: bound, so nobody else gets its port."""
        taken = self._stack.enter_context(socket.socket())
        taken.bind(("127.0.0.1", 0))
        address = "127.0.0.1", int(taken.getsockname()[1])
        self._refusing.add(address)
        return address

    async def client(self) -> aiohttp.ClientSession:
        """A client that keeps no cookies of its own accord."""
        return await self._stack.enter_async_context(aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()))

    async def dns(self) -> Dns:
        dns = Dns()
        await dns.start()
        self._stack.callback(dns.stop)
        return dns

    async def router(
        self,
        wanted: Traffic,
        members: Mapping[str, tuple[Upstream | Address, ...]],
        resolvers: tuple[Address, ...] = (),
        grpc_members: Mapping[str, tuple[Address, ...]] | None = None,
        *,
        folder: Path | None = None,
        **more: Any,
    ) -> Router:
        addresses = {name: _addresses(found) for name, found in members.items()}
        grpc_addresses = dict(grpc_members or {})
        router = Router(folder or self._folder, addresses, self.http, resolvers, grpc_addresses, self._refusing, **more)
        router.write(wanted)
        await router.start()
        self._stack.push_async_callback(router.stop)
        return router


def _addresses(members: tuple[Upstream | Address, ...]) -> tuple[Address, ...]:
    return tuple(("127.0.0.1", found.port) if isinstance(found, Upstream) else found for found in members)


@asynccontextmanager
async def bench(folder: Path) -> AsyncIterator[Bench]:
    """Everything started through the bench ends with it, the router first."""
    async with AsyncExitStack() as stack:
        connector = aiohttp.TCPConnector(limit=0)
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        yield Bench(folder, stack, http)
