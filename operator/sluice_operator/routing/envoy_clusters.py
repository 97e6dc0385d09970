"""Envoy's view of a revision's pods (cds.yaml): how they are found, chosen, given up and tried again."""

from sluice_operator.routing.base import Traffic
from sluice_operator.routing.envoy_layout import Layout
from sluice_operator.routing.envoy_proto import Json, address, extension, load_assignment, typed

RUNTIME_KEEP_ALIVE_SECONDS = 75
"""How long the runtime keeps an idle connection. The router gives one up earlier, so that it never sends a request
on a connection that the runtime is closing."""

UPSTREAM_IDLE_SECONDS = 60
MANY = 65536
COPIES_MOST = 256
"""Circuit breakers bound a fleet that calls strangers. Here the runtime bounds its own queue and says 503, and
Envoy's default of 3 concurrent retries would turn one dying pod into failed requests. Copies alone are bounded: those
that a hanging canary does not answer would otherwise fill the router's memory."""


CALLERS = "HIGH"
"""The priority of requests that somebody waits for. They share no bound and no connection with copies."""

GRPC_SUFFIX = "-grpc"
"""gRPC needs HTTP/2 on a port of its own, so a revision has a second cluster: `<revision>-grpc`."""


def clusters(traffic: Traffic, layout: Layout) -> list[Json]:
    """Two clusters for each known revision, in a fixed order: named by its hash, and with the suffix for gRPC."""
    revisions = sorted(set(traffic.revisions))
    http = [_http(traffic, name, layout) for name in revisions]
    return [*http, *(_grpc(traffic, name, layout) for name in revisions)]


def _http(traffic: Traffic, revision: str, layout: Layout) -> Json:
    members = load_assignment(revision, layout.members(traffic, revision))
    return _cluster(traffic, members, _http_1(), layout)


def _grpc(traffic: Traffic, revision: str, layout: Layout) -> Json:
    """The same pods; each is asked for its health on the port of its other protocol."""
    members = load_assignment(revision + GRPC_SUFFIX, layout.grpc_members(traffic, revision))
    pods = members["endpoints"][0]["lb_endpoints"]
    for pod, (_, port) in zip(pods, layout.members(traffic, revision), strict=True):
        pod["endpoint"]["health_check_config"] = {"port_value": port}
    return _cluster(traffic, members, _http_2(), layout)


def _cluster(traffic: Traffic, members: Json, protocol: Json, layout: Layout) -> Json:
    return {
        "name": members["cluster_name"],
        "cluster_type": _dns(layout),
        "connect_timeout": "1s",
        "lb_policy": "LEAST_REQUEST",
        # By default workers hear up to a second later that a member was ejected or is no longer ready, and go on
        # sending it requests.
        "common_lb_config": {"update_merge_window": "0s"},
        "load_assignment": members,
        "health_checks": [_readiness(traffic.name)],
        "circuit_breakers": {"thresholds": [_copies(), _callers()]},
        "outlier_detection": _eject_unreachable(),
        "typed_extension_protocol_options": {_HTTP_OPTIONS: protocol},
    }


_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def _dns(layout: Layout) -> Json:
    """Members are the addresses of a headless Service, asked for every second. An address that DNS names no more is
    kept for as long as the pod says that it is ready.
    """
    return extension(
        "envoy.clusters.dns",
        "clusters.dns.v3.DnsCluster",
        dns_refresh_rate="1s",
        dns_failure_refresh_rate={"base_interval": "1s", "max_interval": "2s"},
        dns_jitter="0.1s",
        respect_dns_ttl=False,
        # A pod of a dual-stack cluster has two addresses and must not count twice.
        dns_lookup_family="V4_PREFERRED",
        typed_dns_resolver_config=resolver(layout),
    )


def _readiness(model: str) -> Json:
    """Asks each pod whether it serves the model: the same question as the kubelet's.

    DNS forgets a pod as soon as it is told to go, though it serves on for half a minute. Where all pods of a revision
    are on their way out at once (a drained node, a canary with a single pod), its requests would be refused until the
    first new pod is ready. So whoever says that it is ready stays a member: a pod that goes says no before it stops,
    and an address that another pod owns by now answers nothing, or does not know the model. Where fewer than half of
    the members say yes Envoy asks all of them: pods that are too busy to answer are not a reason to refuse requests.
    """
    return {
        "timeout": "2s",
        "interval": "1s",
        # Envoy asks pods without traffic once a minute by default: a canary would wait for its first step.
        "no_traffic_interval": "1s",
        "interval_jitter_percent": 10,
        # A "no" counts at once. These count silences, and refused connections.
        "unhealthy_threshold": 2,
        "healthy_threshold": 1,
        "http_health_check": {"path": f"/v2/models/{model}/ready", "codec_client_type": "HTTP1"},
    }


def bystander(name: str, host: str, port: int, layout: Layout, *, refresh: int, retry: int) -> Json:
    """A server beside the model's pods, looked up every `refresh` seconds, and again after `retry` where that failed.

    Nothing waits for it: a router starts, and answers, whether or not it is there.
    """
    return {
        "name": name,
        "cluster_type": extension(
            "envoy.clusters.dns",
            "clusters.dns.v3.DnsCluster",
            dns_refresh_rate=f"{refresh}s",
            dns_failure_refresh_rate={"base_interval": f"{retry}s", "max_interval": f"{refresh}s"},
            respect_dns_ttl=False,
            dns_lookup_family="V4_PREFERRED",
            typed_dns_resolver_config=resolver(layout),
        ),
        "connect_timeout": "1s",
        "wait_for_warm_on_init": False,
        "load_assignment": load_assignment(name, ((host, port),)),
    }


def resolver(layout: Layout) -> Json:
    """Who is asked for names.

    c-ares waits 5 s for a lost packet by default; a new source port now and then leaves a dead DNS server behind.
    """
    chosen = {"resolvers": [address(*found) for found in layout.resolvers]} if layout.resolvers else {}
    return extension(
        "envoy.network.dns_resolver.cares",
        "network.dns_resolver.cares.v3.CaresDnsResolverConfig",
        query_timeout_seconds=1,
        query_tries=3,
        udp_max_queries=100,
        **chosen,
    )


def _callers() -> Json:
    return {"priority": CALLERS, **_at_most(MANY)}


def _copies() -> Json:
    """What no route gives a priority to: only Envoy's own copies."""
    return {"priority": "DEFAULT", **_at_most(COPIES_MOST)}


def _at_most(count: int) -> Json:
    return {"max_connections": count, "max_pending_requests": count, "max_requests": count, "max_retries": count}


def _eject_unreachable() -> Json:
    """Ejects a pod that cannot be reached, and never one for what it answers.

    A canary that answers 500 must keep its share, or the split bends and the canary looks better than it is. Split
    counting keeps answers out of the local-origin count; every other detector is switched off.
    """
    return {
        "split_external_local_origin_errors": True,
        "consecutive_local_origin_failure": 3,
        "enforcing_consecutive_local_origin_failure": 100,
        "enforcing_consecutive_5xx": 0,
        "enforcing_consecutive_gateway_failure": 0,
        "enforcing_success_rate": 0,
        "enforcing_local_origin_success_rate": 0,
        "enforcing_failure_percentage": 0,
        "enforcing_failure_percentage_local_origin": 0,
        "interval": "1s",
        "base_ejection_time": "5s",
        "max_ejection_time": "30s",
        "max_ejection_percent": 50,
    }


def _http_1() -> Json:
    return _speaks({"http_protocol_options": {}})


def _http_2() -> Json:
    return _speaks({"http2_protocol_options": {}})


def _speaks(protocol: Json) -> Json:
    return typed(
        f"type.googleapis.com/{_HTTP_OPTIONS}",
        common_http_protocol_options={"idle_timeout": f"{UPSTREAM_IDLE_SECONDS}s"},
        explicit_http_config=protocol,
    )
