"""What a cluster demands of every new version: a digest, a signature, a store that is allowed.

A demand that is made later takes nothing away: revisions that exist serve on, and can be returned to.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import unquote

from sluice_operator.api.model import KeyRef, PublicKey, Signature
from sluice_operator.api.resource import ModelDeployment
from sluice_operator.api.status import Failure
from sluice_operator.planning.identity import Target
from sluice_operator.planning.observed import Observed
from sluice_operator.planning.traffic import live_revisions

VIOLATION = "PolicyViolation"


@dataclass(frozen=True)
class Policy:
    """`public_key` names a Secret, in each model's namespace, with the only key that counts; empty: the spec names who
    must have signed. `allowed_stores` are beginnings of URIs; empty: all.
    """

    require_digest: bool = False
    require_signature: bool = False
    public_key: str = ""
    allowed_stores: tuple[str, ...] = ()


NO_DEMANDS = Policy()


def signature(policy: Policy) -> Signature | None:
    """Who must have signed a package whose spec does not say."""
    if not policy.require_signature or not policy.public_key:
        return None
    return Signature(public_key=PublicKey(secret_ref=KeyRef(name=policy.public_key)))


def refusal(resource: ModelDeployment, target: Target, observed: Observed, policy: Policy) -> Failure | None:
    """Why a new revision cannot be had; None for one that exists."""
    record = target.record
    if record and (record.revision in observed.records or record.revision in live_revisions(resource.status)):
        return None
    message = next(_objections(resource, target, policy), None)
    return Failure(reason=VIOLATION, message=message) if message else None


def _objections(resource: ModelDeployment, target: Target, policy: Policy) -> Iterator[str]:
    model = resource.spec.model
    if policy.require_digest and model.poll:
        yield (
            "this cluster demands a digest, and spec.model.poll follows a reference to packages that nobody has named: "
            "replace it by spec.model.digest"
        )
    if policy.require_digest and model.digest is None:
        yield "this cluster demands spec.model.digest: write what `sluice inspect` prints for the package"
    yield from _unsigned(model.signature, policy)
    yield from _elsewhere(resource, target, policy.allowed_stores)


def _unsigned(asked: Signature | None, policy: Policy) -> Iterator[str]:
    if not policy.require_signature:
        return
    demanded = signature(policy)
    if demanded is None and asked is None:
        yield "this cluster demands signed packages: say in spec.model.signature who must have signed this one"
    if demanded is not None and asked not in (None, demanded):
        key = policy.public_key
        yield f"this cluster checks signatures with the key in the Secret {key}: leave spec.model.signature out"


def _elsewhere(resource: ModelDeployment, target: Target, allowed: tuple[str, ...]) -> Iterator[str]:
    model = resource.spec.model
    places = {"spec.model.uri": model.uri, "spec.model.endpoint": model.endpoint}
    if target.record:
        places["what spec.model.uri stands for"] = target.record.uri
    for field, place in places.items():
        if place and allowed and not any(_within(place, beginning) for beginning in allowed):
            yield f"{field} ({place}) is none of the stores that this cluster allows: {', '.join(allowed)}"
    # A container's name says nothing about whose account it is in: that is the word of a Secret, or the environment's.
    if allowed and model.uri.startswith("az://") and not model.endpoint:
        yield (
            "this cluster allows some stores alone, and az:// does not say whose account it is: write the "
            "account's address (https://ACCOUNT.blob.core.windows.net) in spec.model.endpoint, and let it be among "
            f"those allowed: {', '.join(allowed)}"
        )


def _within(place: str, beginning: str) -> bool:
    """Whether a URI is beneath a beginning: a whole part of it, so that s3://team does not open s3://team-b."""
    if ".." in PurePosixPath(unquote(place)).parts or not place.startswith(beginning):
        return False
    rest, host_alone = place.removeprefix(beginning), "://" in beginning and "/" not in beginning.partition("://")[2]
    # A colon begins a tag, or another port of the host.
    return not rest or beginning.endswith(("/", "@")) or rest[0] in ("/@" if host_alone else "/@:")
