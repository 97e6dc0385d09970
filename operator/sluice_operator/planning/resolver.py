"""Finding out, before any traffic, which bytes a URI stands for: the job, and what becomes of its answer."""

import re
from dataclasses import replace

from sluice.digest import DIGEST_PATTERN
from sluice.uri import parse_uri
from sluice_operator.api import names
from sluice_operator.api.base import Manifest
from sluice_operator.api.resource import ModelDeployment
from sluice_operator.api.scalars import seconds
from sluice_operator.api.status import Blocked, ModelDeploymentStatus, Resolved
from sluice_operator.planning.clock import stamp
from sluice_operator.planning.identity import Defaults, make_record
from sluice_operator.planning.observed import Problem, Resolver
from sluice_operator.planning.pod_template import merge
from sluice_operator.planning.situation import Situation, seconds_to_resolve
from sluice_operator.planning.workloads import base_pod_spec, fetch_container

CONTAINER = "resolve"
BACKSTOP_SECONDS = 60
"""How much longer than the readyDeadline the job may run. Ending it takes its pod away, and with it the reason why it
does not get on; so the plan gives it up first, and this bounds it while the operator is away."""
_SCHEDULING = ("affinity", "dnsConfig", "dnsPolicy", "hostAliases", "imagePullSecrets", "nodeSelector", "tolerations")


def job(owner: ModelDeployment, key: str, defaults: Defaults, known_uri: str = "", retries: int = 4) -> Manifest:
    """A Job in the pods' own surroundings: the same image, node selection and credentials as the model's pods.

    `key` is the end of its name, by which its answer is found; `known_uri` is where a reference stood before, which
    need not be fetched again.
    """
    record = make_record(owner, "", defaults)
    pod = {
        "metadata": {"labels": names.labels(owner.name, "resolver")},
        "spec": {
            **base_pod_spec(record),
            "restartPolicy": "Never",
            "containers": [fetch_container(owner.name, record, CONTAINER, "sluice_runtime.resolve", known_uri)],
        },
    }
    template_spec = record.runtime.pod_template.get("spec") or {}
    scheduling = {"spec": {key: template_spec[key] for key in _SCHEDULING if key in template_spec}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": names.metadata(owner, names.resolver(owner.name, key), "resolver"),
        "spec": {
            "backoffLimit": retries,
            "activeDeadlineSeconds": int(seconds(owner.spec.rollout.ready_deadline)) + BACKSTOP_SECONDS,
            "template": merge(pod, scheduling),
        },
    }


def resolve(s: Situation) -> ModelDeploymentStatus:
    """Take in what the job found, or that it will find nothing: then the spec is blocked."""
    state = s.observed.resolvers.get(s.target.spec_hash)
    if s.target.record or s.status.blocked or state is None:
        return s.status
    uri = s.resource.spec.model.uri
    state = checked(s, state)
    if state.state == "Succeeded":
        return s.update(resolved=found(s, state))
    late = seconds_to_resolve(s.resource, state, s.now) <= 0
    if state.state == "Failed" or late or (state.problem and state.problem.permanent):
        deadline = s.resource.spec.rollout.ready_deadline
        why = state.problem or Problem("NotResolvedInTime", f"{uri} was not resolved within readyDeadline {deadline}")
        blocked = Blocked(spec_hash=s.target.spec_hash, reason=why.reason, message=why.message, at=stamp(s.now))
        return s.update(blocked=blocked)
    return s.status


def checked(s: Situation, answer: Resolver, known_uri: str = "") -> Resolver:
    """The answer of a job, failed where it cannot be true: it comes from a pod whose image the spec may have named.

    A reference that still stands for `known_uri` needs no digest.
    """
    asked, uri = s.resource.spec.model.uri, answer.uri or s.resource.spec.model.uri
    if answer.state != "Succeeded" or (known_uri and uri == known_uri):
        return answer
    if _may_stand_for(asked, uri) and re.fullmatch(DIGEST_PATTERN, answer.digest):
        return answer
    message = (
        f"the resolver says that {asked} is {uri[:200]}, {answer.digest[:80] or 'without a digest'}: that cannot be"
    )
    return replace(answer, state="Failed", problem=Problem("ResolverFailed", message, permanent=True))


def _may_stand_for(asked: str, uri: str) -> bool:
    """Whether a reference can stand for an URI: the same place, and nothing that moves itself."""
    try:
        one, other = parse_uri(asked), parse_uri(uri)
    except ValueError:
        return False
    same = all(getattr(one, part) == getattr(other, part) for part in ("scheme", "location", "path", "folder"))
    return same and (not other.is_movable if one.is_movable else asked == uri)


def found(s: Situation, answer: Resolver) -> Resolved:
    """What a job that succeeded has found."""
    asked = s.resource.spec.model.uri
    uri = answer.uri or asked
    return Resolved(
        spec_hash=s.target.spec_hash,
        uri=uri,
        reference=asked if uri != asked else "",
        digest=answer.digest,
        version=answer.version,
        at=stamp(s.now),
    )
