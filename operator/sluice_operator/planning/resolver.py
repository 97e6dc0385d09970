"""Finding out, before any traffic, which bytes a URI stands for: the job, and what becomes of its answer."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

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
from sluice_operator.planning.pod_template import FETCH, merge
from sluice_operator.planning.situation import Situation, seconds_to_resolve
from sluice_operator.planning.workloads import base_pod_spec, fetch_container

CONTAINER = "resolve"
BACKSTOP_SECONDS = 60
"""How much longer than the readyDeadline the job may run. Ending it takes its pod away, and with it the reason why it
does not get on; so the plan gives it up first, and this bounds it while the operator is away."""
_SCHEDULING = ("affinity", "dnsConfig", "dnsPolicy", "hostAliases", "imagePullSecrets", "nodeSelector", "tolerations")


def job(owner: ModelDeployment, key: str, defaults: Defaults, known_uri: str = "", retries: int = 4) -> Manifest:
    """A Job in the surroundings of the step that fetches: its image, nodes, credentials and the pod template's parts.

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
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": names.metadata(owner, names.resolver(owner.name, key), "resolver"),
        "spec": {
            "backoffLimit": retries,
            "activeDeadlineSeconds": int(seconds(owner.spec.rollout.ready_deadline)) + BACKSTOP_SECONDS,
            "template": merge(pod, _of_fetching(record.runtime.pod_template)),
        },
    }


def _of_fetching(template: Mapping[str, Any]) -> dict[str, Any]:
    """What of the user's pod template concerns the step that fetches, for a pod that does nothing else.

    A proxy, a store's account or a cloud's webhook (which goes by labels) must find the resolver as it finds the pods.
    """
    spec = template.get("spec") or {}
    steps = [step for step in spec.get("initContainers") or () if step.get("name") == FETCH]
    mounted = {mount.get("name") for step in steps for mount in step.get("volumeMounts") or ()}
    return {
        "metadata": template.get("metadata") or {},
        "spec": {
            **{key: spec[key] for key in _SCHEDULING if key in spec},
            "containers": [{**step, "name": CONTAINER} for step in steps],
            "volumes": [volume for volume in spec.get("volumes") or () if volume.get("name") in mounted],
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
