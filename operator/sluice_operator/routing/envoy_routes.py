"""The split itself (rds.yaml): which revision answers a request, and what is said when none can."""

from sluice.comparison import MARK
from sluice_operator.api import names
from sluice_operator.routing.base import Traffic
from sluice_operator.routing.envoy_access import REMOVED, opened, streaming
from sluice_operator.routing.envoy_clusters import CALLERS, GRPC_SUFFIX
from sluice_operator.routing.envoy_matching import carries
from sluice_operator.routing.envoy_proto import Json, extension
from sluice_operator.routing.envoy_sticky import by_user

ROUTES = "endpoint"
REVISION_HEADER = "x-sluice-revision"
RETRY_AFTER_SECONDS = 5

_V2: Json = {"path_separated_prefix": "/v2"}
_GRPC: Json = {
    "safe_regex": {"regex": r"/(inference\.GRPCInferenceService|grpc\.(health|reflection)\.[A-Za-z0-9.]+)/[A-Za-z]+"},
    "grpc": {},
}
"""The protocol's gRPC service, and health and reflection, with which tools find their way."""

_DOORS = ((_V2, ""), (_GRPC, GRPC_SUFFIX))

_GET: Json = {"headers": [{"name": ":method", "string_match": {"exact": "GET"}}]}
_HEALTH = (
    ({"path": "/v2/health/live", **_GET}, ""),
    ({"path": "/v2/health/ready", **_GET}, ""),
    ({"safe_regex": {"regex": r"/grpc\.health\.v1\.Health/(Check|Watch)"}, "grpc": {}}, GRPC_SUFFIX),
)
"""What needs no permission: these say whether the model is ready, and no more."""

_REFLECTION = ({"safe_regex": {"regex": r"/grpc\.reflection\.[A-Za-z0-9.]+/[A-Za-z]+"}, "grpc": {}}, GRPC_SUFFIX)
"""A stream that lasts for as long as a tool likes."""


def _doors(traffic: Traffic) -> list[tuple[Json, str, Json]]:
    """What a request must look like, the suffix of the clusters that take it, and what its routes say beside that."""
    plain: list[tuple[Json, str, Json]] = [(match, suffix, {}) for match, suffix in _DOORS]
    if traffic.guard is None:
        return plain
    health = [(match, suffix, opened(traffic)) for match, suffix in _HEALTH]
    if traffic.guard.closed:
        return health
    return [*health, *([(*_REFLECTION, stream)] if (stream := streaming(traffic)) else []), *plain]


def _rest(traffic: Traffic) -> Json:
    """The route of whatever has no door."""
    closed = traffic.guard.closed if traffic.guard else ""
    return _refusing({"prefix": "/"}, closed) if closed else _unknown_path()


def route_configuration(traffic: Traffic) -> Json:
    """`/v2` and gRPC go to the revisions by weight, drawn anew for every request; nothing else exists."""
    served = [{**route, **more} for match, suffix, more in _doors(traffic) for route in _door(traffic, match, suffix)]
    everything = {"name": traffic.name, "domains": ["*"], "routes": [*served, _rest(traffic)]}
    return {
        "name": ROUTES,
        # Refusing a route whose cluster is not yet there would leave it refused: the file does not change again.
        "validate_clusters": False,
        "virtual_hosts": [everything, *_preview(traffic)],
        "request_headers_to_remove": [MARK, *(REMOVED if traffic.guard else ())],
        # In this order: what callers send goes first, what a route adds stays.
        "most_specific_header_mutations_wins": True,
        **({"ignore_port_in_host_matching": True} if traffic.preview else {}),
    }


def _preview(traffic: Traffic) -> list[Json]:
    """The preview's Service leads to the same routers: a request is told by the name it was sent to."""
    if traffic.preview is None:
        return []
    name, revision = names.preview(traffic.name), traffic.preview.revision
    none = f"no new version of {traffic.name} is there to preview"
    routes = [
        {**(_to(revision, match, suffix) if revision else _refusing(match, none)), **more}
        for match, suffix, more in _doors(traffic)
    ]
    return [{"name": name, "domains": [name, f"{name}.*"], "routes": [*routes, _rest(traffic)]}]


def _door(traffic: Traffic, match: Json, suffix: str) -> list[Json]:
    """The routes of one protocol; the first that matches counts."""
    if not traffic.weights:
        return [_refusing(match, f"no version of {traffic.name} is ready")]
    split = _split(traffic, match, suffix)
    return [*_testers(traffic, match, suffix), *(by_user(split, traffic.sticky) if traffic.sticky else [split])]


def _testers(traffic: Traffic, match: Json, suffix: str) -> list[Json]:
    if traffic.testers is None:
        return []
    revision = traffic.testers.revision
    return [_to(revision, {**match, **carries(tester)}, suffix) for tester in traffic.testers.matches]


def _to(revision: str, match: Json, suffix: str) -> Json:
    return {
        "match": match,
        "route": {"cluster": revision + suffix, **_forwarding()},
        "response_headers_to_add": [_header(REVISION_HEADER, revision)],
    }


def _split(traffic: Traffic, match: Json, suffix: str) -> Json:
    weighted = [_weighted(revision, suffix, weight) for revision, weight in sorted(traffic.weights.items()) if weight]
    action = {"weighted_clusters": {"clusters": weighted}, **_forwarding(), **_copying(traffic, suffix)}
    return {"match": match, "route": action, **_marking(traffic)}


def _marking(traffic: Traffic) -> Json:
    """A request and its copy get the same id, by which their answers are found again."""
    return {"request_headers_to_add": [_header(MARK, "%UNIQUE_ID%")]} if traffic.mirror else {}


def _forwarding() -> Json:
    # The runtime owns the deadline. A stream on which nothing moves ends by the listener's idle time.
    return {"timeout": "0s", "priority": CALLERS, "retry_policy": _retry_unsent()}


def _copying(traffic: Traffic, suffix: str) -> Json:
    if traffic.mirror is None:
        return {}
    fraction = {"default_value": {"numerator": traffic.mirror.percent, "denominator": "HUNDRED"}}
    return {"request_mirror_policies": [{"cluster": traffic.mirror.revision + suffix, "runtime_fraction": fraction}]}


def _weighted(revision: str, suffix: str, weight: int) -> Json:
    named = [_header(REVISION_HEADER, revision)]
    return {"name": revision + suffix, "weight": weight, "response_headers_to_add": named}


def _retry_unsent() -> Json:
    """Tries another pod only where no pod has seen the request.

    A request that kills a model must not be carried to the next pod, and an answer is never asked for twice.
    """
    return {
        "retry_on": "connect-failure,refused-stream,reset-before-request",
        "num_retries": 3,
        "retry_back_off": {"base_interval": "0.005s", "max_interval": "0.1s"},
        "retry_host_predicate": [
            extension(
                "envoy.retry_host_predicates.previous_hosts",
                "retry.host.previous_hosts.v3.PreviousHostsPredicate",
            )
        ],
        # A pod that refuses connections has the fewest requests and is drawn again and again: with one of two, five
        # draws found nobody else for every fifth retry.
        "host_selection_retry_max_attempts": 30,
    }


def _refusing(match: Json, text: str) -> Json:
    return {
        "match": match,
        "direct_response": _says(503, text),
        "response_headers_to_add": [_header("retry-after", str(RETRY_AFTER_SECONDS))],
    }


def _unknown_path() -> Json:
    return {"match": {"prefix": "/"}, "direct_response": _says(404, "only gRPC and paths under /v2 are served here")}


def _says(status: int, text: str) -> Json:
    """The listener's local replies put the text into the protocol's error shape."""
    return {"status": status, "body": {"inline_string": text}}


def _header(name: str, value: str) -> Json:
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
