"""OpenTelemetry traces, when they are asked for: a span for each prediction, in the caller's trace.

They are configured as OpenTelemetry itself is, by the environment: `OTEL_TRACES_EXPORTER` names an exporter that is
installed (`otlp`, by `OTEL_EXPORTER_OTLP_PROTOCOL`; `console`), `OTEL_SERVICE_NAME` (else
the model's name, as in the router's spans), `OTEL_TRACES_SAMPLER` and the exporter's own variables do the rest.
Without the first nothing of OpenTelemetry is imported by this module, and nothing is measured.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from sluice.failures import PackageError, Reason
from sluice_runtime.exchange import Message
from sluice_runtime.heads import Scope

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span

TRACE = "sluice.trace"
"""Where an ASGI scope carries the prediction's `Trace`."""

EXPORTER_ENV = "OTEL_TRACES_EXPORTER"
_PROTOCOL_ENVS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_OTLP = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}
"""What the packages call themselves: `otlp` alone is no package's, but the protocol's, and HTTP is its default
(OpenTelemetry specification, OTLP exporter)."""

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
    found = entry_points(group="opentelemetry_traces_exporter", name=_package_name(name, environ))
    if not found:
        protocol = ", and ".join(f"{env} {environ[env]!r}" for env in _PROTOCOL_ENVS if environ.get(env))
        asked = f"{name!r}, and {protocol}" if protocol else f"{name!r}"
        message = f"{EXPORTER_ENV} is {asked}, but no installed package exports traces so"
        raise PackageError(Reason.INVALID_CONFIG, message)
    exporter: SpanExporter = next(iter(found)).load()()
    return exporter


def _package_name(name: str, environ: Mapping[str, str]) -> str:
    if name != "otlp":
        return name
    protocol = next((environ[env] for env in _PROTOCOL_ENVS if environ.get(env)), "http/protobuf")
    return _OTLP.get(protocol, protocol)


class Spans:
    """Makes spans of predictions with W3C trace context."""

    def __init__(self, exporter: SpanExporter, model: str, revision: str) -> None:
        from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

        self._attributes = {"sluice.model": model, "sluice.revision": revision}
        # What the environment says comes last, so it wins.
        resource = Resource.create({SERVICE_NAME: model}).merge(OTELResourceDetector().detect())
        self._provider: TracerProvider = TracerProvider(resource=resource)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("sluice_runtime")
        self._propagator = TraceContextTextMapPropagator()

    def start(self, headers: Iterable[tuple[bytes, bytes]], attributes: Mapping[str, str]) -> Span:
        """A span of a prediction that begins, in the trace that its headers name."""
        from opentelemetry.trace import SpanKind  # noqa: PLC0415

        carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
        return self._tracer.start_span(
            "infer", self._propagator.extract(carrier), SpanKind.SERVER, attributes={**self._attributes, **attributes}
        )

    def end(self, span: Span, attribute: str, status: int, failed: bool) -> None:
        """The prediction has ended with a status, which is the attribute's value."""
        from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415

        span.set_attribute(attribute, status)
        if failed:
            span.set_status(Status(StatusCode.ERROR))
        span.end()

    def part(self, span: Span, name: str, attributes: Mapping[str, str | int]) -> Span:
        """A span of something that a prediction waits for."""
        from opentelemetry.trace import SpanKind, set_span_in_context  # noqa: PLC0415

        told = {**self._attributes, **attributes}
        return self._tracer.start_span(name, set_span_in_context(span), SpanKind.INTERNAL, attributes=told)

    def close(self) -> None:
        """Let the last spans leave; takes 30 s at most, the SDK's own limit."""
        self._provider.shutdown()


@dataclass(frozen=True, slots=True)
class Trace:
    """A prediction's place in its trace."""

    spans: Spans
    span: Span

    def part(self, name: str, **attributes: str | int) -> Callable[[], None]:
        """Something begins that the prediction waits for; what is returned is called when it has ended."""
        return self.spans.part(self.span, name, {f"sluice.{key}": value for key, value in attributes.items()}).end


class Traced:
    """An ASGI application whose predictions are spans."""

    def __init__(self, app: Any, spans: Spans) -> None:
        self._app = app
        self._spans = spans

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI scope; the end of the process's life is when the last spans leave."""
        if scope["type"] == "http" and scope["path"].endswith("/infer"):
            await self._trace(scope, receive, send)
        else:
            await self._app(scope, receive, send)
            if scope["type"] == "lifespan":
                self._spans.close()

    async def _trace(self, scope: Scope, receive: Receive, send: Send) -> None:
        attributes = {"http.request.method": scope["method"], "url.path": scope["path"]}
        span, status = self._spans.start(scope["headers"], attributes), 500

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        scope[TRACE] = Trace(self._spans, span)
        try:
            await self._app(scope, receive, send_and_note)
        finally:
            self._spans.end(span, "http.response.status_code", status, status >= 500)
