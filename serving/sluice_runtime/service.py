"""BentoML wiring only: its service carries lifecycle, probes, metrics and packaging; `/v2` goes past its IO layer.

`Service` lives in a private module of BentoML. The version is pinned and a contract test covers what is used here.
"""

from __future__ import annotations

from typing import Any

from sluice_runtime.chassis import lighten

lighten()  # before BentoML is imported

import bentoml  # noqa: E402
from _bentoml_sdk import Service  # noqa: E402
from bentoml._internal.configuration.containers import BentoMLContainer  # noqa: E402
from bentoml._internal.server.metrics.prometheus import PrometheusClient  # noqa: E402

from sluice.comparison import PATH as ANSWERS_PATH  # noqa: E402
from sluice_runtime.protocol import digests  # noqa: E402
from sluice_runtime.protocol.direct import Direct  # noqa: E402
from sluice_runtime.protocol.replies import Message, Receive, Scope, Send  # noqa: E402
from sluice_runtime.protocol.rest import Rest  # noqa: E402
from sluice_runtime.runtime import Runtime  # noqa: E402

_CONFIG: dict[str, Any] = {"workers": 1, "logging": {"access": {"enabled": False}}}
"""One process a pod; probes and scrapes are not worth a line in the log."""


class ModelService(Service[Any]):  # type: ignore[misc]  # BentoML is untyped
    """A BentoML service whose ASGI application answers `/v2*` by the runtime and all else by BentoML."""

    runtime: Runtime

    def to_asgi(self, is_main: bool = True) -> Gate:
        """BentoML's application with the protocol's raw path in front."""
        # BentoML's metrics come from files of several processes unless it is told that there is one.
        BentoMLContainer.metrics_client.set(PrometheusClient(multiproc=False))
        return Gate(super().to_asgi(is_main=is_main), self.runtime)


class Gate:
    """Sends a request to the protocol or to BentoML, and asks callers to leave politely while the pod drains."""

    def __init__(self, chassis: Any, runtime: Runtime) -> None:
        self._chassis = chassis
        self._plane = runtime.plane
        self._rest = Rest(runtime.plane, runtime.config.limits)
        direct = Direct(runtime.plane, self._rest)
        self.take, self.awaits = direct.take, direct.awaits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI scope."""
        if scope["type"] == "http":
            if self._plane.draining:
                send = _closing(send)
            path: str = scope["path"]
            if path.startswith("/v2/") or path == "/v2":
                await self._rest(scope, receive, send)
                return
            if path == ANSWERS_PATH:
                await digests.tell(self._plane.answers, scope, send)
                return
            if path in ("/docs", "/docs/"):
                await _redirect(send, b"/v2/docs")
                return
        await self._chassis(scope, receive, send)


def build_service(runtime: Runtime) -> ModelService:
    """The BentoML service around a runtime."""

    class ModelServer:
        """Serves one model package over the Open Inference Protocol."""

        @bentoml.on_startup  # type: ignore[untyped-decorator]
        async def start(self) -> None:
            await runtime.start()

        @bentoml.on_shutdown  # type: ignore[untyped-decorator]
        async def stop(self) -> None:
            await runtime.stop()

        async def __is_ready__(self) -> bool:
            return runtime.plane.ready

    service: ModelService = bentoml.service(ModelServer, name="sluice", service_class=ModelService, **_CONFIG)
    service.runtime = runtime
    return service


async def _redirect(send: Send, location: bytes) -> None:
    headers = [(b"location", location), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 307, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def _closing(send: Send) -> Send:
    async def send_and_close(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
        await send(message)

    return send_and_close
