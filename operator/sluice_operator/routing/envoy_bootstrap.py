"""What Envoy reads once at its start (bootstrap.yaml): the same for every split, so that a split restarts nothing."""

from sluice_operator.routing.envoy_layout import Layout
from sluice_operator.routing.envoy_listeners import ADMIN_CLUSTER, read_only_listener
from sluice_operator.routing.envoy_proto import Json, address, from_file, loopback_cluster

_KEPT_STATS = (
    r"^cluster\.[0-9a-f]{10}(-grpc)?\.(retry\.)?upstream_rq_(completed|total|[0-9]xx|retry|pending_overflow|rx_reset|active)$",
    r"^cluster\.[0-9a-f]{10}(-grpc)?\.(membership_(healthy|total)|update_(success|failure|empty)|upstream_cx_connect_fail)$",
    r"^cluster\.[0-9a-f]{10}-grpc\.grpc\.[0-9]+$",
    r"^cluster\.[0-9a-f]{10}(-grpc)?\.outlier_detection\.ejections_(active|enforced_total)$",
    r"^(cluster_manager\.cds|listener_manager\.lds|http\.endpoint\.rds\.endpoint)\.(version_text|update_rejected)$",
    r"^http\.endpoint\.downstream_(rq_(total|active|[0-9]xx)|cx_(total|active))$",
    r"^sds\.endpoint\.key_rotation_failed$",
    r"^listener\..*\.ssl\.certificate\.endpoint\.expiration_unix_time_seconds$",
    r"^server\.(live|state|uptime|memory_allocated|memory_heap_size)$",
)
"""Envoy keeps hundreds of counters for each cluster; these are the ones that someone reads."""

_REGEX_PROGRAM_MOST = 50_000
"""Envoy refuses a configuration with a regular expression of more than 100 instructions by default, and a class such
as `\\w` takes dozens. The resource's own rules bound what may be written; RE2 is linear in the text."""

_RUNTIME = {"name": "static", "static_layer": {"re2": {"max_program_size": {"error_level": _REGEX_PROGRAM_MOST}}}}

UPTIME_LAG_SECONDS = 1
"""How old `server.uptime` may be: Envoy refreshes it with each flush of its stats, every 5 s by default."""


def bootstrap(layout: Layout) -> Json:
    """Admin on loopback, everything that changes from files, and the read-only listener."""
    return {
        "node": {"id": "router", "cluster": "sluice"},
        "admin": {"address": address("127.0.0.1", layout.admin_port)},
        "dynamic_resources": {
            "cds_config": from_file(layout.config_dir, "cds.yaml"),
            "lds_config": from_file(layout.config_dir, "lds.yaml"),
        },
        "static_resources": {
            "listeners": [read_only_listener(layout)],
            "clusters": [loopback_cluster(ADMIN_CLUSTER, layout.admin_port)],
        },
        "layered_runtime": {"layers": [_RUNTIME]},
        "stats_flush_interval": f"{UPTIME_LAG_SECONDS}s",
        "stats_config": {"stats_matcher": {"inclusion_list": {"patterns": [_regex(kept) for kept in _KEPT_STATS]}}},
    }


def _regex(pattern: str) -> Json:
    return {"safe_regex": {"regex": pattern}}
