"""Which revision the spec asks for.

A revision is named by the hash of everything that shapes its pods. What the spec leaves open (the digest behind a URI,
the default image) is decided once and then read back from the revision's record, so that the same spec always means the
same pods, also after an operator upgrade.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from sluice_operator.api import names
from sluice_operator.api.resource import ModelDeployment
from sluice_operator.api.runtime import Runtime
from sluice_operator.api.spec import ModelDeploymentSpec
from sluice_operator.api.status import Failure
from sluice_operator.planning.observed import Observed, RevisionRecord


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


def spec_hash(spec: ModelDeploymentSpec) -> str:
    """Hash of the part of the spec that shapes pods. Defaults do not count: a field added later changes none."""
    shaping = {
        "model": spec.model.model_dump(mode="json", exclude_defaults=True),
        "runtime": spec.runtime.model_dump(mode="json", exclude_defaults=True),
    }
    return names.short_hash(shaping)


def make_record(
    resource: ModelDeployment, digest: str, default_image: str, pull_secrets: Sequence[str] = ()
) -> RevisionRecord:
    """The record of a new revision of today's spec. `pull_secrets` are the cluster's; a spec's own come beside them."""
    spec = resource.spec
    credentials = spec.model.credentials.secret_ref.name if spec.model.credentials else None
    unnamed = RevisionRecord(
        revision="",
        spec_hash=spec_hash(spec),
        uri=spec.model.uri,
        digest=digest,
        image=spec.runtime.image or default_image,
        runtime=spec.runtime,
        credentials=credentials,
    )
    content = asdict(unnamed) | {"runtime": spec.runtime.model_dump(mode="json", exclude_defaults=True)}
    del content["revision"], content["spec_hash"]
    runtime = _with_pull_secrets(spec.runtime, pull_secrets)
    return RevisionRecord(**(asdict(unnamed) | {"revision": names.short_hash(content), "runtime": runtime}))


def _with_pull_secrets(runtime: Runtime, secrets: Sequence[str]) -> Runtime:
    """They say where an image may be had, not what runs: a revision keeps its name, and those that exist their pods."""
    if not secrets:
        return runtime
    own = runtime.pod_template.get("spec") or {}
    known = [*({"name": name} for name in secrets), *(own.get("imagePullSecrets") or ())]
    merged = [entry for index, entry in enumerate(known) if entry not in known[:index]]
    template = {**runtime.pod_template, "spec": {**own, "imagePullSecrets": merged}}
    return runtime.model_copy(update={"pod_template": template})


def find_target(
    resource: ModelDeployment, observed: Observed, default_image: str, pull_secrets: Sequence[str] = ()
) -> Target:
    """The revision the spec asks for: a known one where its record still exists, else a new one, else unresolved."""
    wanted = spec_hash(resource.spec)
    if (blocked := resource.status.blocked) and blocked.instead and blocked.spec_hash == wanted:
        return _instead(wanted, blocked.instead, observed)
    known = _known_record(_revisions_in_order(resource), observed, wanted)
    if known:
        return Target(wanted, known)
    digest = resource.spec.model.digest or _resolved_digest(resource, wanted)
    if digest is None:
        return Target(wanted)
    return Target(wanted, make_record(resource, digest, default_image, pull_secrets))


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


def _known_record(revisions: Iterable[str], observed: Observed, wanted: str) -> RevisionRecord | None:
    records = (observed.records.get(revision) for revision in revisions)
    return next((record for record in records if record and record.spec_hash == wanted), None)


def _resolved_digest(resource: ModelDeployment, wanted: str) -> str | None:
    resolved = resource.status.resolved
    return resolved.digest if resolved and resolved.spec_hash == wanted else None
