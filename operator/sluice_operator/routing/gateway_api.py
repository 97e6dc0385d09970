"""A gateway of the cluster as the router: an HTTPRoute, and a GRPCRoute where gRPC has names of its own.

Only what the standard channel of Gateway API knows is written, so that any gateway can do it. The order of rules means
nothing there: a tester's rule wins because it matches more headers on the same path.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from sluice.comparison import MARK
from sluice_operator.api import names
from sluice_operator.api.base import Manifest
from sluice_operator.api.matching import Match
from sluice_operator.api.names import short_hash
from sluice_operator.api.resource import ModelDeployment
from sluice_operator.routing.base import Attached, Parent, Traffic
from sluice_operator.routing.envoy_layout import RUNTIME_GRPC_PORT, RUNTIME_PORT
from sluice_operator.routing.envoy_routes import REVISION_HEADER
from sluice_operator.routing.gateway_matching import carries

API_VERSION = "gateway.networking.k8s.io/v1"
HTTP_ROUTE = "HTTPRoute"
GRPC_ROUTE = "GRPCRoute"

Json = dict[str, Any]

_V2: tuple[Json, ...] = ({"path": {"type": "PathPrefix", "value": "/v2"}},)
_SERVICES = (
    "inference.GRPCInferenceService",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
)
_UNMARKED: Json = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": [MARK]}}
"""No gateway can mark a request and its copy alike, and what callers send under that name is none of the runtime's."""

_GRPC: tuple[Json, ...] = tuple({"method": {"type": "Exact", "service": service}} for service in _SERVICES)


def manifests(owner: ModelDeployment, traffic: Traffic, image: str) -> tuple[Manifest, ...]:
    """The routes. The weights stand beside them, so that a lost status can be rebuilt; `image` is not needed."""
    annotations = names.decided(traffic.weights, version(traffic))
    metadata = {**names.metadata(owner, names.route(owner.name), "router"), "annotations": annotations}
    return tuple(
        {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}
        for kind, spec in _specs(traffic).items()
    )


def version(traffic: Traffic) -> str:
    """Hash of what the routes say."""
    return short_hash(_specs(traffic))


def scales(owner: ModelDeployment) -> Mapping[str, int]:
    """Nothing: a gateway's pods are not the model's."""
    return {}


def _specs(traffic: Traffic) -> dict[str, Json]:
    """By kind of route. Raises ValueError for traffic that no gateway carries."""
    gateway = traffic.gateway
    if gateway is None or traffic.sticky or traffic.preview or traffic.doors.https:
        raise ValueError(f"no gateway can do this: {traffic}")
    specs = {HTTP_ROUTE: _spec(gateway, gateway.hostnames, list(_rules(traffic, gateway, _V2, RUNTIME_PORT)))}
    if gateway.grpc_hostnames:
        rules = list(_rules(traffic, gateway, _GRPC, RUNTIME_GRPC_PORT))
        specs[GRPC_ROUTE] = _spec(gateway, gateway.grpc_hostnames, rules)
    return specs


def _spec(gateway: Attached, hostnames: tuple[str, ...], rules: list[Json]) -> Json:
    named = {"hostnames": list(hostnames)} if hostnames else {}
    return {"parentRefs": [_parent(parent) for parent in gateway.parents], **named, "rules": rules}


def _parent(parent: Parent) -> Json:
    return {
        "name": parent.name,
        **({"namespace": parent.namespace} if parent.namespace else {}),
        **({"sectionName": parent.section} if parent.section else {}),
    }


def _rules(traffic: Traffic, gateway: Attached, doors: tuple[Json, ...], port: int) -> Iterator[Json]:
    """The split always comes first: gateways name by its place what they make of a rule, and would make it anew."""
    # A revision without weight is named all the same: the gateway says whether it can be reached before it has to be.
    shares = {revision: traffic.weights.get(revision, 0) for revision in traffic.revisions}
    refs = [_backend(traffic, gateway, revision, port, weight) for revision, weight in sorted(shares.items())]
    filters = [_UNMARKED, *_copying(traffic, port)]
    yield {"matches": list(doors), "filters": filters, **({"backendRefs": refs} if refs else {})}
    if traffic.testers and traffic.weights:
        matches = [_match(door, tester) for tester in traffic.testers.matches for door in doors]
        refs = [_backend(traffic, gateway, traffic.testers.revision, port, 1)]
        yield {"matches": matches, "filters": [_UNMARKED], "backendRefs": refs}


def _match(door: Json, tester: Match) -> Json:
    return {**door, "headers": carries(tester)}


def _copying(traffic: Traffic, port: int) -> list[Json]:
    if traffic.mirror is None or not traffic.weights:
        return []
    mirror: Json = {"backendRef": _service(traffic, traffic.mirror.revision, port)}
    # All of them is what is done without a number, and a gateway need not know numbers.
    part = {} if traffic.mirror.percent == 100 else {"percent": traffic.mirror.percent}
    return [{"type": "RequestMirror", "requestMirror": {**mirror, **part}}]


def _backend(traffic: Traffic, gateway: Attached, revision: str, port: int, weight: int) -> Json:
    said = {"set": [{"name": REVISION_HEADER, "value": revision}]}
    named = {"filters": [{"type": "ResponseHeaderModifier", "responseHeaderModifier": said}]} if gateway.named else {}
    return {**_service(traffic, revision, port), "weight": weight, **named}


def _service(traffic: Traffic, revision: str, port: int) -> Json:
    return {"name": names.model(traffic.name, revision), "port": port}
