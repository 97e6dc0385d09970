"""OpenTelemetry traces, when they are asked for: a span for each prediction, in the caller's trace.

They are configured as OpenTelemetry itself is, by the environment: `OTEL_TRACES_EXPORTER` names an exporter that is
installed (`otlp`, `console`), `OTEL_SERVICE_NAME`, `OTEL_TRACES_SAMPLER` and the exporter's own variables do the rest.
Without the first nothing of OpenTelemetry is imported by this module, and nothing is measured.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from sluice.failures import PackageError, Reason
from sluice_runtime.exchange import Message, Scope

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

EXPORTER_ENV = "OTEL_TRACES_EXPORTER"

Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def exporter_from(environ: Mapping[str, str] = os.environ) -> SpanExporter | None:
    """The exporter the environment names, or None.

    Raises:
        PackageError: InvalidConfig when no installed package brings it.
    """
    name = environ.get(EXPORTER_ENV, "none").strip()
    if name in ("", "none"):
        return None
    found = entry_points(group="opentelemetry_traces_exporter", name=name)
    if not found:
        message = f"{EXPORTER_ENV} is {name!r}, but no installed package exports traces under that name"
        raise PackageError(Reason.INVALID_CONFIG, message)
    exporter: SpanExporter = next(iter(found)).load()()
    return exporter


class Traced:
    """An ASGI application whose predictions are spans with W3C trace context."""

    def __init__(self, app: Any, exporter: SpanExporter, model: str, revision: str) -> None:
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

        self._app = app
        self._attributes = {"sluice.model": model, "sluice.revision": revision}
        self._provider: TracerProvider = TracerProvider()
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("sluice_runtime")
        self._propagator = TraceContextTextMapPropagator()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI scope; the end of the process's life is when the last spans leave."""
        if scope["type"] == "http" and scope["path"].endswith("/infer"):
            await self._trace(scope, receive, send)
        else:
            await self._app(scope, receive, send)
            if scope["type"] == "lifespan":
                self._provider.shutdown()

    async def _trace(self, scope: Scope, receive: Receive, send: Send) -> None:
        from opentelemetry.trace import SpanKind, Status, StatusCode  # noqa: PLC0415

        carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        attributes = {**self._attributes, "http.request.method": scope["method"], "url.path": scope["path"]}
        with self._tracer.start_as_current_span(
            "infer", self._propagator.extract(carrier), SpanKind.SERVER, attributes=attributes
        ) as span:

            async def send_and_note(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                    if message["status"] >= 500:
                        span.set_status(Status(StatusCode.ERROR))
                await send(message)

            await self._app(scope, receive, send_and_note)
