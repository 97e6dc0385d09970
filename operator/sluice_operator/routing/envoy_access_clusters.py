"""Whom routers ask about callers (cds.yaml): the authorizer or themselves, and the server of an issuer's keys."""

from urllib.parse import urlsplit

from sluice_operator.api.access import Access
from sluice_operator.api.names import short_hash
from sluice_operator.routing.base import Authorizer, Guard, Traffic
from sluice_operator.routing.envoy_clusters import MANY, bystander
from sluice_operator.routing.envoy_layout import Layout
from sluice_operator.routing.envoy_proto import Json, extension

AUTHORIZER = short_hash("authorizer")
"""Asked about callers that were let in before. A router shows the numbers of clusters that are named like revisions,
and what it shows it reads once at its start; so these are named so."""

AUTHORIZER_STRANGERS = short_hash("authorizer of strangers")
"""The same, asked about all others over connections of their own: a flood of unknown tokens waits behind itself."""

VERIFIER = short_hash("verifier")
"""The router's own listener that judges an issuer's tokens."""

KEYS = short_hash("keys")
"""The issuer's keys."""

QUESTION = "x-sluice-authorize"
"""The header in which they are told what is asked."""

_KNOWN_CONNECTIONS = 64
_STRANGERS_CONNECTIONS = 8
_STRANGERS_WAITING = 512
_VERIFIER_CONNECTIONS = 8
_SYSTEM_CAS = "/etc/ssl/certs/ca-certificates.crt"
"""Where Debian, Ubuntu, Alpine and distroless images keep the public CAs."""


def access_clusters(traffic: Traffic, layout: Layout) -> list[Json]:
    """Clusters that the filters ask."""
    guard = traffic.guard
    if guard is None or guard.closed:
        return []
    return [*_authorizers(guard, layout), *_verifiers(guard, layout), *_keys(guard, layout)]


def settings(access: Access) -> str:
    """Tells what is verified from what was before a change: a router takes over its files one after the other."""
    return short_hash([access.audiences, access.jwt and access.jwt.to_json(), access.data is not None])


def verifier_socket(access: Access, layout: Layout) -> Json:
    """A core.v3.Address without a file or a port: nobody outside the router's pod reaches it. Other settings have
    another one, so that no connection from before leads to what was verified before.
    """
    return {"pipe": {"path": f"@sluice-verifier-{layout.endpoint_port}-{settings(access)}"}}


def _verifiers(guard: Guard, layout: Layout) -> list[Json]:
    if guard.access.jwt is None:
        return []
    member = {"endpoint": {"address": verifier_socket(guard.access, layout)}}
    members = {"cluster_name": VERIFIER, "endpoints": [{"lb_endpoints": [member]}]}
    cluster = {"name": VERIFIER, "type": "STATIC", "connect_timeout": "1s", "load_assignment": members}
    return [cluster | _bounds(_VERIFIER_CONNECTIONS, MANY)]


def _authorizers(guard: Guard, layout: Layout) -> list[Json]:
    access, found = guard.access, guard.authorizer
    if found is None or (access.jwt and access.data is None):
        return []
    known = _authorizer(AUTHORIZER, found, _KNOWN_CONNECTIONS, MANY, layout)
    if access.jwt:
        return [known]
    return [known, _authorizer(AUTHORIZER_STRANGERS, found, _STRANGERS_CONNECTIONS, _STRANGERS_WAITING, layout)]


def _authorizer(name: str, found: Authorizer, connections: int, waiting: int, layout: Layout) -> Json:
    return _asked(name, found.host, found.port, layout) | _bounds(connections, waiting)


def _bounds(connections: int, waiting: int) -> Json:
    bounds = {"max_connections": connections, "max_pending_requests": waiting, "max_requests": MANY}
    return {"circuit_breakers": {"thresholds": [bounds]}}


def _keys(guard: Guard, layout: Layout) -> list[Json]:
    jwt = guard.access.jwt
    if jwt is None or jwt.jwks_uri is None:
        return []
    uri = urlsplit(jwt.jwks_uri)
    secure, host = uri.scheme == "https", uri.hostname or ""
    cluster = _asked(KEYS, host, uri.port or (443 if secure else 80), layout)
    return [cluster | ({"transport_socket": _tls(host, jwt.ca_bundle)} if secure else {})]


def _tls(host: str, bundle: str | None) -> Json:
    named = {"san_type": "IP_ADDRESS" if _is_ip(host) else "DNS", "matcher": {"exact": host}}
    trusted = {"inline_string": bundle} if bundle else {"filename": _SYSTEM_CAS}
    return extension(
        "envoy.transport_sockets.tls",
        "transport_sockets.tls.v3.UpstreamTlsContext",
        **({} if _is_ip(host) else {"sni": host}),
        common_tls_context={
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
            "validation_context": {"trusted_ca": trusted, "match_typed_subject_alt_names": [named]},
        },
    )


def _is_ip(host: str) -> bool:
    return host.replace(".", "").isdigit()


def _asked(name: str, host: str, port: int, layout: Layout) -> Json:
    """While it is away a router answers that nobody can be checked."""
    return bystander(name, host, port, layout, refresh=5, retry=1)
