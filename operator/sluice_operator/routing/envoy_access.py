"""Who may ask, in the endpoint's filters (lds.yaml): a chain in front of everything that answers.

Each mode names the caller (`x-sluice-caller`, which nobody else can set), and behind it stands a gate that lets in only
who is named: what fails or errs in front of it, or is left out, ends in a refusal. Only routes that are open say so.
Listeners are files that Envoy reloads: a change of who may ask restarts no router.
"""

import base64
import json
import math

from sluice_operator.api.access import Access, DataRule, OnUnavailable, RateLimit, byte_count
from sluice_operator.routing.base import Authorizer, Guard, Traffic
from sluice_operator.routing.envoy_access_answers import answers
from sluice_operator.routing.envoy_access_clusters import (
    AUTHORIZER,
    AUTHORIZER_STRANGERS,
    QUESTION,
    VERIFIER,
    settings,
)
from sluice_operator.routing.envoy_lua import lua
from sluice_operator.routing.envoy_proto import Json, duration, extension, typed
from sluice_operator.routing.envoy_verifier import CLAIMS

CALLER = "x-sluice-caller"
UNCHECKED = "x-sluice-unchecked"
"""Set where a caller is let in unchecked."""

JUDGED = "x-sluice-max-age"
"""Comes with every yes of the authorizer's, and with nothing else."""

REMOVED = ("authorization", CLAIMS, QUESTION, UNCHECKED, JUDGED)
"""What pods never see."""

_CALLER, _DATA, _GATE, _RATE = (f"access.{part}" for part in ("caller", "data", "gate", "rate"))
_HTTP = "filters.http"
_CALLERS_COUNTED = 10_000
"""The rates of so many callers are kept; whoever was quiet for longest is forgotten."""
_RULE_TIMEOUT = "5s"
# Envoy takes the longest back-off for the time of each try, too.
_SOON = {"retry_back_off": {"base_interval": "0.005s", "max_interval": _RULE_TIMEOUT}}
_SENT_ALONG = (
    *("authorization", "content-type", "content-encoding", "grpc-encoding", "te", "inference-header-content-length"),
    *("content-length", "x-forwarded-for", "x-request-id", CLAIMS),
)
_TOKENS = ("envoy_bearer.lua", "envoy_memory.lua", "envoy_refusals.lua")
_FOR_DATA = ("envoy_statuses.lua",)
_REFUSAL_HEADERS = ("www-authenticate", "retry-after")


def filters(traffic: Traffic) -> list[Json]:
    """The chain, to stand before all other filters."""
    guard = traffic.guard
    chain = _chain(traffic, guard) if guard else []
    return [extension(name, f"{_HTTP}.{kind}", **config) for name, (kind, config) in chain]


def manager(traffic: Traffic) -> Json:
    """The connection manager's part: nobody speaks for the router, and its answers suit each protocol."""
    guard = traffic.guard
    if guard is None:
        return {}
    foreign = {"remove_on_match": {"key_matcher": {"prefix": "x-sluice-"}}}
    mutation = extension(
        "envoy.http.early_header_mutation.header_mutation",
        "http.early_header_mutation.header_mutation.v3.HeaderMutation",
        mutations=[foreign],
    )
    return {
        "early_header_mutation_extensions": [mutation],
        "local_reply_config": answers(guard, CALLER, UNCHECKED),
    }


def opened(traffic: Traffic) -> Json:
    """A route's part that needs no permission."""
    guard = traffic.guard
    if guard is None:
        return {}
    off = typed("type.googleapis.com/envoy.config.route.v3.FilterConfig", disabled=True)
    return {"typed_per_filter_config": {name: off for name, _ in _chain(traffic, guard)}}


def streaming(traffic: Traffic) -> Json:
    """A route's part whose requests may never end: they are checked without being held."""
    guard = traffic.guard
    if guard is None or guard.access.data is None:
        return {}
    kind = f"{_HTTP}.ext_authz.v3.ExtAuthzPerRoute"
    config = typed(
        f"type.googleapis.com/envoy.extensions.{kind}", check_settings={"disable_request_body_buffering": True}
    )
    return {"typed_per_filter_config": {_DATA: config}}


_Kind = tuple[str, Json]
"""A filter's type, and its configuration."""


def _chain(traffic: Traffic, guard: Guard) -> list[tuple[str, _Kind]]:
    access = guard.access
    if guard.closed:
        # Nobody is named. Without a gate all would be let in while routes and filters change one after the other.
        return [(_GATE, _gate(access))]
    chain: list[tuple[str, _Kind]] = [(_CALLER, _caller(traffic, guard))]
    if access.rate_limit:
        chain += [(_RATE, _rate(access.rate_limit, guard.routers, access.on_unavailable is OnUnavailable.allow))]
    if access.data:
        # Last, as it holds whole requests: of callers who may ask at all, and no oftener than they may.
        chain += [(_DATA, _asks_about_data(traffic, guard, access.data))]
    return [*chain, (_GATE, _gate(access))]


def _caller(traffic: Traffic, guard: Guard) -> _Kind:
    files = (*_TOKENS, "envoy_authorizer.lua", *(_FOR_DATA if guard.access.data else ()))
    allow = guard.access.on_unavailable is OnUnavailable.allow
    return lua(*files, **_asked(traffic, guard), allow=allow)


def _asked(traffic: Traffic, guard: Guard) -> Json:
    """Who is asked about a token, and what."""
    if guard.access.jwt:
        return {"question": settings(guard.access), "authority": VERIFIER, "known": VERIFIER, "strangers": VERIFIER}
    return {
        "question": question(traffic, guard.access),
        "authority": _authority(guard.authorizer),
        "known": AUTHORIZER,
        "strangers": AUTHORIZER_STRANGERS,
    }


def question(traffic: Traffic, access: Access, data: DataRule | None = None) -> str:
    """What the authorizer is asked about a caller, with `data` about a request; it knows nothing else of a model."""
    asked: Json = {
        "mode": access.mode.value,
        "namespace": traffic.namespace,
        "name": traffic.name,
        "audiences": access.audiences,
    }
    if data:
        most = byte_count(data.max_request_bytes)
        asked["data"] = {"entities": data.entities, "rule": data.rule, "maxRequestBytes": most}
    text = json.dumps(asked, sort_keys=True, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode()


def _authority(authorizer: Authorizer | None) -> str:
    return f"{authorizer.host}:{authorizer.port}" if authorizer else ""


def _asks_about_data(traffic: Traffic, guard: Guard, data: DataRule) -> _Kind:
    """Every request is asked about, with its body: what it asks for is never the same twice."""
    asked = {"key": QUESTION, "value": question(traffic, guard.access, data)}
    service = {
        "server_uri": {
            "uri": f"http://{_authority(guard.authorizer)}",
            "cluster": AUTHORIZER,
            "timeout": _RULE_TIMEOUT,
        },
        "path_prefix": "/authorize",
        "authorization_request": {"headers_to_add": [asked]},
        "authorization_response": {
            "allowed_upstream_headers": _exactly((JUDGED,)),
            "allowed_client_headers": _exactly(_REFUSAL_HEADERS),
        },
        "retry_policy": {"retry_on": "connect-failure,refused-stream,reset-before-request", "num_retries": 1, **_SOON},
    }
    return "ext_authz.v3.ExtAuthz", {
        "http_service": service,
        "allowed_headers": _exactly(_SENT_ALONG),
        "with_request_body": {
            # Envoy may cut off what is longer, where it comes at once: the authorizer refuses the byte too many.
            "max_request_bytes": byte_count(data.max_request_bytes) + 1,
            "allow_partial_message": False,
            "pack_as_bytes": True,
        },
        "status_on_error": {"code": "ServiceUnavailable"},
        # What the authorizer refuses counts as nothing that a model answered.
        "charge_cluster_response_stats": False,
    }


def _exactly(names: tuple[str, ...]) -> Json:
    return {"patterns": [{"exact": name} for name in names]}


def _gate(access: Access) -> _Kind:
    """Lets in who is named (and judged, where there is a rule) and, where that is wanted, who could not be checked.

    A filter in front that goes on where it should not is no way in: to Envoy's own "nobody answers", put in gRPC's
    words, `ext_authz` says yes, because the status of HTTP is 200.
    """
    passes = {"named": [CALLER, *([JUDGED] if access.data else [])]}
    passes |= {"unchecked": [UNCHECKED]} if access.on_unavailable is OnUnavailable.allow else {}
    policies = {
        policy: {
            "permissions": [{"any": True}],
            "principals": [{"and_ids": {"ids": [{"header": {"name": name, "present_match": True}} for name in names]}}],
        }
        for policy, names in passes.items()
    }
    return "rbac.v3.RBAC", {"rules": {"action": "ALLOW", "policies": policies}}


def _rate(limit: RateLimit, routers: int, allow: bool) -> _Kind:
    """A bucket for each caller, kept by this router alone: it gives its share. The unchecked are told by address."""
    bucket = {
        "max_tokens": math.ceil((limit.burst or limit.requests) / routers),
        "tokens_per_fill": math.ceil(limit.requests / routers),
        "fill_interval": duration(limit.per),
    }
    by_caller = {"request_headers": {"header_name": CALLER, "descriptor_key": "caller"}}
    by_address: tuple[Json, ...] = (
        {"request_headers": {"header_name": UNCHECKED, "descriptor_key": "unchecked"}},
        {"remote_address": {}},
    )
    counted: list[tuple[tuple[Json, ...], tuple[str, ...]]] = [((by_caller,), ("caller",))]
    counted += [(by_address, ("unchecked", "remote_address"))] if allow else []
    return "local_ratelimit.v3.LocalRateLimit", {
        "stat_prefix": "rate",
        # Counts for nobody, and has to be there.
        "token_bucket": {"max_tokens": 4_000_000_000, "tokens_per_fill": 4_000_000_000, "fill_interval": "1s"},
        "filter_enabled": _always("rate_enabled"),
        "filter_enforced": _always("rate_enforced"),
        "rate_limits": [{"actions": list(actions)} for actions, _ in counted],
        "descriptors": [{"entries": [{"key": key} for key in keys], "token_bucket": bucket} for _, keys in counted],
        "max_dynamic_descriptors": _CALLERS_COUNTED,
        "always_consume_default_token_bucket": False,
        "enable_retry_after_header": True,
        "rate_limited_as_resource_exhausted": True,
    }


def _always(key: str) -> Json:
    return {"runtime_key": key, "default_value": {"numerator": 100, "denominator": "HUNDRED"}}
