"""The two doors of the router: the endpoint that applications call (lds.yaml), and the read-only one (bootstrap)."""

from sluice_operator.routing.base import Traffic
from sluice_operator.routing.envoy_access import filters as access_filters
from sluice_operator.routing.envoy_access import manager as access_manager
from sluice_operator.routing.envoy_access_clusters import settings, verifier_socket
from sluice_operator.routing.envoy_layout import Layout
from sluice_operator.routing.envoy_proto import V2_ERRORS, Json, address, extension, from_file
from sluice_operator.routing.envoy_routes import ROUTES
from sluice_operator.routing.envoy_tls import transport_socket
from sluice_operator.routing.envoy_tracing import spans
from sluice_operator.routing.envoy_verifier import verifier

ADMIN_CLUSTER = "admin"
READABLE = ("/ready", "/stats", "/stats/prometheus", "/clusters")

STREAM_BUFFER_BYTES = 1 << 20
"""How much of a request is kept to send it again elsewhere. Longer bodies stream through and are tried once."""


def endpoint_listeners(layout: Layout, traffic: Traffic) -> list[Json]:
    """HTTP/1.1 and HTTP/2, without TLS and with it; the split by rds.yaml. Before them whoever judges their callers."""
    manager, doors = _endpoint(layout, traffic) | spans(traffic), traffic.doors
    plain = _listener("endpoint", address("0.0.0.0", layout.endpoint_port), manager)
    tls = _listener("endpoint-tls", address("0.0.0.0", layout.tls_port), manager)
    tls["filter_chains"][0]["transport_socket"] = transport_socket(layout)
    return [
        *_verifiers(layout, traffic),
        *(listener for listener, open_ in ((plain, doors.http), (tls, doors.https)) if open_),
    ]


def _verifiers(layout: Layout, traffic: Traffic) -> list[Json]:
    guard, manager = traffic.guard, verifier(traffic)
    if guard is None or manager is None:
        return []
    return [_listener(f"verifier-{settings(guard.access)}", verifier_socket(guard.access, layout), manager)]


def _endpoint(layout: Layout, traffic: Traffic) -> Json:
    return _connection_manager("endpoint", *access_filters(traffic), _grpc_stats()) | {
        "rds": {"route_config_name": ROUTES, "config_source": from_file(layout.config_dir, "rds.yaml")},
        "common_http_protocol_options": {"idle_timeout": "3600s"},
        "request_headers_timeout": "30s",
        "stream_idle_timeout": "300s",
        "preserve_external_request_id": True,
        "local_reply_config": V2_ERRORS,
        **access_manager(traffic),
    }


def read_only_listener(layout: Layout) -> Json:
    """What the operator and the kubelet may read of the admin port: four exact paths, GET only.

    Queries are let through: on these paths they only choose what is shown and how.
    """
    routes = [*(_readable(path) for path in READABLE), *(_wrong_method(path) for path in READABLE), _hidden()]
    manager = _connection_manager("read-only") | {
        "route_config": {
            "name": "read-only",
            "virtual_hosts": [{"name": "read-only", "domains": ["*"], "routes": routes}],
        },
        "stream_idle_timeout": "10s",
    }
    return _listener("read-only", address("0.0.0.0", layout.read_only_port), manager)


def _listener(name: str, where: Json, manager: Json) -> Json:
    kind = "filters.network.http_connection_manager.v3.HttpConnectionManager"
    http = extension("envoy.filters.network.http_connection_manager", kind, **manager)
    return {
        "name": name,
        "address": where,
        "per_connection_buffer_limit_bytes": STREAM_BUFFER_BYTES,
        "filter_chains": [{"filters": [http]}],
    }


def _grpc_stats() -> Json:
    """Counts gRPC answers by status for each cluster: every one of them is a 200 to HTTP."""
    return extension("envoy.filters.http.grpc_stats", "filters.http.grpc_stats.v3.FilterConfig")


def _connection_manager(name: str, *filters: Json) -> Json:
    """What both doors share: paths in one spelling, no word about Envoy, and no caller that steers its retries.

    Nobody counts as internal, so `x-envoy-*` request headers are removed from every request.
    """
    router = extension("envoy.filters.http.router", "filters.http.router.v3.Router", suppress_envoy_headers=True)
    return {
        "stat_prefix": name,
        "codec_type": "AUTO",
        "use_remote_address": True,
        # An empty list would mean the private networks, where every caller in a cluster comes from.
        "internal_address_config": {"cidr_ranges": [{"address_prefix": "255.255.255.255", "prefix_len": 32}]},
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "server_header_transformation": "PASS_THROUGH",
        "http_filters": [*filters, router],
    }


def _readable(path: str) -> Json:
    method = {"name": ":method", "string_match": {"exact": "GET"}}
    return {
        "match": {"path": path, "headers": [method]},
        "route": {"cluster": ADMIN_CLUSTER, "timeout": "5s"},
    }


def _wrong_method(path: str) -> Json:
    return {"match": {"path": path}, "direct_response": {"status": 405}}


def _hidden() -> Json:
    return {"match": {"prefix": "/"}, "direct_response": {"status": 404}}
