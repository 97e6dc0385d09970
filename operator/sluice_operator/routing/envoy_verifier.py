"""Who judges an issuer's tokens (mode JWT): a listener of the router's own that nobody outside its pod reaches.

The script that knows callers asks it like the authorizer, about tokens that it does not know, and remembers its answer
for seconds. Envoy's own memory of verified tokens (`jwt_cache_config`) believes a token until it expires, also after
its key was withdrawn; and to check a signature for each request takes more time than all the rest of a permission.
"""

import json

from sluice_operator.api.access import Access, Jwt
from sluice_operator.api.jwks import public_keys
from sluice_operator.routing.base import Traffic
from sluice_operator.routing.envoy_access_answers import verdicts
from sluice_operator.routing.envoy_access_clusters import KEYS, QUESTION, settings
from sluice_operator.routing.envoy_lua import lua
from sluice_operator.routing.envoy_proto import Json, duration, extension

CLAIMS = "x-sluice-claims"

_SKEW_SECONDS = 30
_FAILED_REFETCH_SECONDS = 5
_NO_ANSWER = {"match": {"prefix": "/"}, "direct_response": {"status": 503}}


def verifier(traffic: Traffic) -> Json | None:
    """What the connection manager of the verifier's listener does; None where nothing is verified."""
    guard = traffic.guard
    if guard is None or guard.closed or guard.access.jwt is None:
        return None
    access, jwt = guard.access, guard.access.jwt
    return {
        "stat_prefix": "verifier",
        "codec_type": "HTTP1",
        "local_reply_config": verdicts(),
        "route_config": {
            "name": "verifier",
            "virtual_hosts": [{"name": "verifier", "domains": ["*"], "routes": [_NO_ANSWER]}],
        },
        "http_filters": [
            extension("verifier.jwt", "filters.http.jwt_authn.v3.JwtAuthentication", **_authentication(access, jwt)),
            _claims(access, jwt),
            extension("envoy.filters.http.router", "filters.http.router.v3.Router"),
        ],
    }


def _claims(access: Access, jwt: Jwt) -> Json:
    required = [claim.to_json() for claim in jwt.required_claims]
    kind, config = lua(
        "envoy_claims.lua",
        question=settings(access),
        required=required,
        caller=jwt.caller_claim,
        skew=_SKEW_SECONDS,
    )
    return extension("verifier.claims", f"filters.http.{kind}", **config)


def _authentication(access: Access, jwt: Jwt) -> Json:
    """Signature, issuer, audience and time of the token in the one header where it belongs."""
    provider = {
        "issuer": jwt.issuer,
        "audiences": access.audiences,
        "require_expiration": True,
        "clock_skew_seconds": _SKEW_SECONDS,
        "from_headers": [{"name": "Authorization", "value_prefix": "Bearer "}],
        **({"forward_payload_header": CLAIMS} if access.data else {}),
        "payload_in_metadata": "claims",
        **({"local_jwks": {"inline_string": _keys(jwt.jwks)}} if jwt.jwks else {"remote_jwks": _remote(jwt)}),
    }
    # What asks about other settings is told nothing: neither by this filter nor by the script behind it.
    asked = {"name": QUESTION, "string_match": {"exact": settings(access)}}
    rule = {"match": {"prefix": "/", "headers": [asked]}, "requires": {"provider_name": "issuer"}}
    return {"providers": {"issuer": provider}, "rules": [rule]}


def _keys(text: str) -> str:
    return json.dumps({"keys": public_keys(text)})


def _remote(jwt: Jwt) -> Json:
    """Fetched ahead of need: neither a router's start nor a request waits for the issuer."""
    return {
        "http_uri": {"uri": jwt.jwks_uri, "cluster": KEYS, "timeout": "5s"},
        "cache_duration": duration(jwt.cache_duration),
        "async_fetch": {"fast_listener": True, "failed_refetch_duration": f"{_FAILED_REFETCH_SECONDS}s"},
    }
