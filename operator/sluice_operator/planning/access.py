"""Who may ask, as far as planning knows it: what routers need for it is there, and they do what the spec says."""

import json
from dataclasses import dataclass

from sluice_operator.api.access import Access, AccessMode
from sluice_operator.api.resource import ModelDeployment
from sluice_operator.planning.situation import Situation
from sluice_operator.routing.base import Authorizer, Guard


@dataclass(frozen=True)
class _Lack:
    reason: str
    message: str


def guard(resource: ModelDeployment, authorizer: Authorizer | None) -> Guard | None:
    """What the routers are told; None where everybody may ask, or a gateway says who may."""
    access, router = resource.spec.access, resource.spec.router
    if access.mode is AccessMode.none or router.gateway:
        return None
    lack = _lack(access, authorizer)
    return Guard(access, authorizer, router.replicas, closed=lack.message if lack else "")


def judge(s: Situation, unchanged: bool) -> tuple[bool, str, str]:
    """Whether callers are checked as the spec says, and why, in a word and in a sentence. `unchanged`: this was so
    before, for the same spec; whatever else is under way to the routers is no reason to doubt it.
    """
    access = s.resource.spec.access
    if lack := _lack(access, s.authorizer):
        return False, lack.reason, lack.message
    if not (s.verified or unchanged):
        return False, "ConfigPending", "not every router is seen to check callers as the spec says"
    return True, "Enforced", _said(access)


def _said(access: Access) -> str:
    if access.jwt:
        known = f"callers need a token of {access.jwt.issuer}"
    else:
        known = "callers need a token of the cluster and the right to create modeldeployments/inference of this name"
    return f"{known}, for the audience {' or '.join(access.audiences)}"


def _lack(access: Access, authorizer: Authorizer | None) -> _Lack | None:
    """What stands in the way; then nobody is let in."""
    if authorizer is None and (access.mode is AccessMode.kubernetes or access.data):
        asked = "access.data" if access.data else "access.mode Kubernetes"
        message = f"{asked} needs the authorizer: install the chart with authorizer.enabled=true"
        return _Lack("NoAuthorizer", message)
    if access.jwt and access.jwt.jwks and not _has_keys(access.jwt.jwks):
        return _Lack("KeysNotUnderstood", 'access.jwt.jwks must be a JWKS: {"keys": [{"kty": "RSA", ...}, ...]}')
    return None


def _has_keys(text: str) -> bool:
    """Whether a router would take it: it refuses a configuration without any key that it can read."""
    try:
        keys = json.loads(text)["keys"]
    except (ValueError, KeyError, TypeError):
        return False
    parts = {"RSA": ("n", "e"), "EC": ("x", "y"), "OKP": ("crv", "x")}
    found = [key for key in keys if isinstance(key, dict)] if isinstance(keys, list) else []
    return any(
        all(isinstance(key.get(part), str) for part in parts.get(str(key.get("kty")), ("kty?",))) for key in found
    )
