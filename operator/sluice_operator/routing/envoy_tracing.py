"""Spans of requests, sent to an OpenTelemetry collector: what listeners (lds.yaml) and clusters (cds.yaml) say of it.

Both are files that Envoy reloads, so that switching traces on or off restarts no router. OTLP travels over HTTP, as it
does from the runtime: one address of a collector serves both.
"""

from sluice_operator.routing.base import Tracing, Traffic
from sluice_operator.routing.envoy_clusters import bystander
from sluice_operator.routing.envoy_layout import Layout
from sluice_operator.routing.envoy_proto import Json, extension, typed
from sluice_operator.routing.envoy_routes import REVISION_HEADER

COLLECTOR = "otlp-collector"
"""The collector's cluster; no revision is called so."""

_PATH = "/v1/traces"
"""Where a collector takes traces (OTLP specification, OTLP/HTTP request)."""

_SPAN = "route"
_SAMPLERS = "tracers.opentelemetry.samplers.v3"


def spans(traffic: Traffic) -> Json:
    """The connection manager's part: a span for each request, and one for each time it was sent to a pod.

    A caller that sends `traceparent` has decided whether its request is traced; the percentage is for all others.
    """
    tracing = traffic.tracing
    if tracing is None:
        return {}
    return {
        "tracing": {
            "spawn_upstream_span": True,
            "operation": _SPAN,
            "upstream_operation": f"{_SPAN} to pod",
            "custom_tags": [
                {"tag": "sluice.model", "literal": {"value": traffic.name}},
                {"tag": "sluice.revision", "value": f"%RESP({REVISION_HEADER})%"},
            ],
            "provider": {"name": "envoy.tracers.opentelemetry", "typed_config": _tracer(traffic, tracing)},
        },
        "request_id_extension": {"typed_config": _request_ids()},
    }


def _tracer(traffic: Traffic, tracing: Tracing) -> Json:
    uri = f"http://{tracing.host}:{tracing.port}{_PATH}"
    namespace = extension(
        "envoy.tracers.opentelemetry.resource_detectors.static_config",
        "tracers.opentelemetry.resource_detectors.v3.StaticConfigResourceDetectorConfig",
        attributes={"k8s.namespace.name": traffic.namespace},
    )
    return typed(
        "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
        http_service={"http_uri": {"uri": uri, "cluster": COLLECTOR, "timeout": "5s"}},
        service_name=traffic.name,
        resource_detectors=[namespace],
        sampler=_sampler(tracing.percent),
    )


def _sampler(percent: float) -> Json:
    fraction = {"numerator": round(percent * 10_000), "denominator": "MILLION"}
    return extension(
        "envoy.tracers.opentelemetry.samplers.parent_based",
        f"{_SAMPLERS}.ParentBasedSamplerConfig",
        wrapped_sampler=extension(
            "envoy.tracers.opentelemetry.samplers.trace_id_ratio_based",
            f"{_SAMPLERS}.TraceIdRatioBasedSamplerConfig",
            sampling_percentage=fraction,
        ),
    )


def _request_ids() -> Json:
    """The sampler alone decides. Envoy itself would go by `x-request-id`, write what it decided into it, and trace no
    caller whose id is no UUID.
    """
    return typed(
        "type.googleapis.com/envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig",
        pack_trace_reason=False,
        use_request_id_for_trace_sampling=False,
    )


def collector(tracing: Tracing, layout: Layout) -> Json:
    """The collector's cluster."""
    return bystander(COLLECTOR, tracing.host, tracing.port, layout, refresh=30, retry=5)
