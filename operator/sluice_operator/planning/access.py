"""Who may ask, as far as planning knows it: what routers need for it is there, and they do what the spec says."""

from dataclasses import dataclass

from sluice_operator.api.access import Access, AccessMode
from sluice_operator.api.jwks import public_keys
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
    if s.verified or unchanged:
        return True, "Enforced", _said(access)
    if refusing := [pod.name for pod in s.observed.router.pods if pod.refused]:
        return (
            False,
            "ConfigRefused",
            f"{', '.join(refusing)} refused what it was told, and goes on as before: see its log",
        )
    return False, "ConfigPending", "not every router is seen to check callers as the spec says"


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
    if access.jwt and access.jwt.jwks and not public_keys(access.jwt.jwks):
        message = 'access.jwt.jwks must be a JWKS with a public key (RSA, EC or Ed25519): {"keys": [{"kty": ...}]}'
        return _Lack("KeysNotUnderstood", message)
    return None
