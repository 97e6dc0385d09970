"""Users who stay on one version, without anything being remembered about them.

What a user is known by is hashed, and the hash instead of a random number chooses among the weights. Every router comes
to the same choice; a weight is a share of the users, not only of the requests; while weights rise a user moves at most
once, to the canary; where the canary is taken back its users are stable's at once.
"""

from sluice_operator.api.matching import Sticky, StickyCookie
from sluice_operator.api.scalars import seconds
from sluice_operator.routing.envoy_proto import Json

REQUEST_ID = "x-request-id"
_SAFE_IN_COOKIES = {"safe_regex": {"regex": "[A-Za-z0-9_-]+"}}


def by_user(route: Json, sticky: Sticky) -> list[Json]:
    """The routes that take the place of a route with weights; the first that matches counts."""
    if sticky.cookie is None:
        return [_hashed(route, {"header": {"header_name": str(sticky.header).lower()}})]
    return [_known(route, sticky.cookie), _new(route, sticky.cookie), route]


def _known(route: Json, cookie: StickyCookie) -> Json:
    matches = {**route["match"], "cookies": [{"name": cookie.name, "string_match": {"safe_regex": {"regex": ".+"}}}]}
    return {**_hashed(route, {"cookie": {"name": cookie.name}}), "match": matches}


def _new(route: Json, cookie: StickyCookie) -> Json:
    """A request's own id, which Envoy makes where there is none, becomes the cookie: hashed alike now and later."""
    matches = {**route["match"], "headers": [{"name": REQUEST_ID, "string_match": _SAFE_IN_COOKIES}]}
    kept = f"Path=/; Max-Age={int(seconds(cookie.ttl))}; HttpOnly; SameSite=Lax"
    given = {"key": "set-cookie", "value": f"{cookie.name}=%REQ({REQUEST_ID})%; {kept}"}
    return {
        **_hashed(route, {"header": {"header_name": REQUEST_ID}}),
        "match": matches,
        "response_headers_to_add": [{"header": given, "append_action": "APPEND_IF_EXISTS_OR_ADD"}],
    }


def _hashed(route: Json, policy: Json) -> Json:
    action = route["route"]
    weighted = {**action["weighted_clusters"], "use_hash_policy": True}
    return {**route, "route": {**action, "weighted_clusters": weighted, "hash_policy": [policy]}}
