"""Which revision the spec asks for.

A revision is named by the hash of everything that shapes its pods. What the spec leaves open (the digest behind a URI,
the default image) is decided once and then read back from the revision's record, so that the same spec always means the
same pods, also after an operator upgrade.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from sluice_operator.api import names
from sluice_operator.api.model import Signature
from sluice_operator.api.resource import ModelDeployment
from sluice_operator.api.runtime import Runtime
from sluice_operator.api.scalars import size_in_bytes
from sluice_operator.api.spec import ModelDeploymentSpec
from sluice_operator.api.status import Failure, Resolved
from sluice_operator.planning import features
from sluice_operator.planning.observed import Observed, RevisionRecord
from sluice_operator.planning.pod_template import with_pull_secrets


@dataclass(frozen=True)
class Target:
    """What the spec asks for. `record` is None while the URI has no digest yet; `refusal` says why it cannot be had."""

    spec_hash: str
    record: RevisionRecord | None = None
    refusal: Failure | None = None

    @property
    def revision(self) -> str | None:
        """The revision wanted, None while unresolved or refused."""
        return self.record.revision if self.record and not self.refusal else None


@dataclass(frozen=True)
class Defaults:
    """What the operator brings to a new revision where the spec says nothing: the image, the cluster's pull secrets,
    and whose signature the cluster demands.
    """

    image: str
    pull_secrets: Sequence[str] = ()
    signature: Signature | None = None


def spec_hash(spec: ModelDeploymentSpec) -> str:
    """Hash of the part of the spec that shapes pods. Defaults do not count: a field added later changes none."""
    shaping = {
        "model": spec.model.model_dump(mode="json", exclude_defaults=True, exclude={"poll"}),
        "runtime": spec.runtime.model_dump(mode="json", exclude_defaults=True),
    }
    if asked := features.lookup(spec):
        shaping["features"] = asked.model_dump(mode="json", exclude_defaults=True)
    return names.short_hash(shaping)


def make_record(resource: ModelDeployment, digest: str, defaults: Defaults, uri: str = "") -> RevisionRecord:
    """The record of a new revision of today's spec. `uri` is the immutable one behind the spec's, where that can move:
    what is fetched by it later is the same, wherever the reference has gone.
    """
    spec, model = resource.spec, resource.spec.model
    asked = model.credentials
    unnamed = RevisionRecord(
        revision="",
        spec_hash=spec_hash(spec),
        uri=uri or model.uri,
        digest=digest,
        image=spec.runtime.image or defaults.image,
        runtime=spec.runtime,
        credentials=asked.secret_ref.name if asked and asked.secret_ref else None,
        reference=model.uri if uri and uri != model.uri else "",
        endpoint=model.endpoint,
        max_bytes=size_in_bytes(model.max_size),
        service_account=asked.service_account_name if asked else None,
        signature=model.signature or defaults.signature,
        features=features.lookup(spec),
    )
    runtime = _with_pull_secrets(spec.runtime, defaults.pull_secrets)
    return replace(unnamed, revision=_name(unnamed), runtime=runtime)


def _name(record: RevisionRecord) -> str:
    """The hash of what shapes the pods: by whatever reference the package was found, it is the same package."""
    content = record.content()
    return names.short_hash({key: content[key] for key in content if key not in ("revision", "spec_hash", "reference")})


def _with_pull_secrets(runtime: Runtime, secrets: Sequence[str]) -> Runtime:
    """They say where an image may be had, not what runs: a revision keeps its name, and those that exist their pods."""
    return runtime.model_copy(update={"pod_template": with_pull_secrets(runtime.pod_template, secrets)})


def find_target(resource: ModelDeployment, observed: Observed, defaults: Defaults) -> Target:
    """The revision the spec asks for: a known one where its record still exists, else a new one, else unresolved.

    Of several revisions of one spec, whose reference has moved, it is the one that it was last resolved to.
    """
    wanted = spec_hash(resource.spec)
    if (blocked := resource.status.blocked) and blocked.instead and blocked.spec_hash == wanted:
        return _instead(wanted, blocked.instead, observed)
    resolved = resolved_for(resource, wanted)
    known = _known_record(_revisions_in_order(resource), observed, wanted, resolved)
    if known:
        return Target(wanted, known)
    if resource.spec.model.digest:
        return Target(wanted, make_record(resource, resource.spec.model.digest, defaults))
    if resolved is None:
        return Target(wanted)
    return Target(wanted, make_record(resource, resolved.digest, defaults, resolved.uri))


def _instead(wanted: str, revision: str, observed: Observed) -> Target:
    """The former revision that a person asked for instead of the spec's."""
    record = observed.records.get(revision)
    if record is not None:
        return Target(wanted, record)
    message = f"the record of {revision}, which was asked for, is gone: ask for another, retry or change the spec"
    return Target(wanted, refusal=Failure(reason="RevisionForgotten", message=message))


def _revisions_in_order(resource: ModelDeployment) -> Iterable[str]:
    status = resource.status
    yield from (live.revision for live in (status.stable, status.canary) if live)
    yield from (entry.revision for entry in status.history)


def _known_record(
    revisions: Iterable[str], observed: Observed, wanted: str, resolved: Resolved | None
) -> RevisionRecord | None:
    records = [record for revision in revisions if (record := observed.records.get(revision))]
    of_spec = (record for record in records if record.spec_hash == wanted)
    return next((record for record in of_spec if resolved is None or is_of(record, resolved)), None)


def is_of(record: RevisionRecord, resolved: Resolved) -> bool:
    """Whether a revision serves what a URI was resolved to."""
    return (record.uri, record.digest) == (resolved.uri, resolved.digest)


def resolved_for(resource: ModelDeployment, spec_hash: str) -> Resolved | None:
    """What the URI of the spec with this hash was resolved to last."""
    resolved = resource.status.resolved
    return resolved if resolved and resolved.spec_hash == spec_hash else None
