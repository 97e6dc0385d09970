"""Finding out, once and before any traffic, which bytes a URI stands for: the job, and what becomes of its answer."""

from collections.abc import Sequence

from sluice_operator.api import names
from sluice_operator.api.base import Manifest
from sluice_operator.api.resource import ModelDeployment
from sluice_operator.api.scalars import seconds
from sluice_operator.api.status import Blocked, ModelDeploymentStatus, Resolved
from sluice_operator.planning.clock import stamp
from sluice_operator.planning.identity import make_record
from sluice_operator.planning.observed import Problem
from sluice_operator.planning.pod_template import merge
from sluice_operator.planning.situation import Situation, seconds_to_resolve
from sluice_operator.planning.workloads import base_pod_spec, fetch_container

CONTAINER = "resolve"
BACKSTOP_SECONDS = 60
"""How much longer than the readyDeadline the job may run. Ending it takes its pod away, and with it the reason why it
does not get on; so the plan gives it up first, and this bounds it while the operator is away."""
_SCHEDULING = ("affinity", "dnsConfig", "dnsPolicy", "hostAliases", "imagePullSecrets", "nodeSelector", "tolerations")


def job(owner: ModelDeployment, spec_hash: str, default_image: str, pull_secrets: Sequence[str] = ()) -> Manifest:
    """A Job in the pods' own surroundings: the same image, node selection and credentials as the model's pods."""
    record = make_record(owner, "", default_image, pull_secrets)
    pod = {
        "metadata": {"labels": names.labels(owner.name, "resolver")},
        "spec": {
            **base_pod_spec(record),
            "restartPolicy": "Never",
            "containers": [fetch_container(owner.name, record, CONTAINER, "sluice_runtime.resolve")],
        },
    }
    template_spec = record.runtime.pod_template.get("spec") or {}
    scheduling = {"spec": {key: template_spec[key] for key in _SCHEDULING if key in template_spec}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": names.metadata(owner, names.resolver(owner.name, spec_hash), "resolver"),
        "spec": {
            "backoffLimit": 4,
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
    if state.state == "Succeeded":
        found = Resolved(spec_hash=s.target.spec_hash, uri=uri, digest=state.digest, version=state.version)
        return s.update(resolved=found)
    late = seconds_to_resolve(s.resource, state, s.now) <= 0
    if state.state == "Failed" or late or (state.problem and state.problem.permanent):
        deadline = s.resource.spec.rollout.ready_deadline
        why = state.problem or Problem("NotResolvedInTime", f"{uri} was not resolved within readyDeadline {deadline}")
        blocked = Blocked(spec_hash=s.target.spec_hash, reason=why.reason, message=why.message, at=stamp(s.now))
        return s.update(blocked=blocked)
    return s.status
