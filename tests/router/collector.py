"""A small OpenTelemetry collector: takes spans by OTLP over HTTP, and keeps them."""

from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue


@dataclass(frozen=True)
class Seen:
    """One span: ids are hex, `parent` is empty for a root, `kind` is SpanKind's number."""

    name: str
    trace: str
    id: str
    parent: str
    kind: int
    attributes: dict[str, Any]
    resource: dict[str, Any]


@dataclass
class Collector:
    """`handle` is an upstream's handler."""

    spans: list[Seen] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        assert request.path == "/v1/traces"
        found = ExportTraceServiceRequest.FromString(await request.read())
        for part in found.resource_spans:
            resource = _attributes(part.resource.attributes)
            self.spans += [_seen(span, resource) for scope in part.scope_spans for span in scope.spans]
        return web.Response(content_type="application/x-protobuf")

    def named(self, name: str) -> list[Seen]:
        return [span for span in self.spans if span.name == name]


def _seen(span: Any, resource: dict[str, Any]) -> Seen:
    ids = (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex())
    return Seen(span.name, *ids, span.kind, _attributes(span.attributes), resource)


def _attributes(found: Any) -> dict[str, Any]:
    return {pair.key: _value(pair) for pair in found}


def _value(pair: KeyValue) -> Any:
    kind = pair.value.WhichOneof("value")
    return getattr(pair.value, kind) if kind else None
