"""The router's four files as text: deterministic, so that the same traffic always has the same version."""

from collections.abc import Iterable

import yaml

from sluice_operator.api.names import short_hash
from sluice_operator.routing.base import Traffic
from sluice_operator.routing.envoy_access_clusters import access_clusters
from sluice_operator.routing.envoy_bootstrap import bootstrap
from sluice_operator.routing.envoy_clusters import clusters
from sluice_operator.routing.envoy_layout import POD, Layout
from sluice_operator.routing.envoy_listeners import endpoint_listeners
from sluice_operator.routing.envoy_proto import Json, typed
from sluice_operator.routing.envoy_routes import route_configuration
from sluice_operator.routing.envoy_tls import secret
from sluice_operator.routing.envoy_tracing import collector

_CLUSTER = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
_LISTENER = "type.googleapis.com/envoy.config.listener.v3.Listener"
_CERTIFICATE = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
_ROUTES = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"


def files(traffic: Traffic, layout: Layout = POD) -> dict[str, str]:
    """Text by file name. The three files of the split carry its version, which Envoy reports once it applies them."""
    split = _split(traffic, layout)
    version_info = short_hash(split)
    responses = {name: {"version_info": version_info, "resources": found} for name, found in split.items()}
    return {"bootstrap.yaml": _text(bootstrap(layout))} | {name: _text(body) for name, body in responses.items()}


def version(traffic: Traffic, layout: Layout = POD) -> str:
    """Hash of everything that Envoy reloads; the bootstrap, which it reads once, is not part of it."""
    return short_hash(_split(traffic, layout))


def bootstrap_version(layout: Layout = POD) -> str:
    """Hash of what a router reads only at its start."""
    return short_hash(bootstrap(layout))


def _split(traffic: Traffic, layout: Layout) -> dict[str, list[Json]]:
    beside = [*_collectors(traffic, layout), *access_clusters(traffic, layout)]
    split = {
        "cds.yaml": _resources(_CLUSTER, [*clusters(traffic, layout), *beside]),
        "lds.yaml": _resources(_LISTENER, endpoint_listeners(layout, traffic)),
        "rds.yaml": _resources(_ROUTES, [route_configuration(traffic)]),
    }
    return split | ({"sds.yaml": _resources(_CERTIFICATE, [secret(layout)])} if traffic.doors.https else {})


def _collectors(traffic: Traffic, layout: Layout) -> list[Json]:
    return [collector(traffic.tracing, layout)] if traffic.tracing else []


def _resources(type_url: str, bodies: Iterable[Json]) -> list[Json]:
    return [typed(type_url, **body) for body in bodies]


class _Dumper(yaml.CSafeDumper):
    """Repeats what occurs twice; an alias would tie parts of a file that only happen to be equal."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _text(body: Json) -> str:
    return yaml.dump(body, Dumper=_Dumper, sort_keys=False, width=120)
