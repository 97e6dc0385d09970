"""Filling the feature store on a schedule: the CronJob, and what status says of its runs.

It serves nobody: whatever becomes of it, traffic, revisions and the rest of the plan are as without it.
"""

from typing import Any

from sluice.failures import FOR_GOOD, WRONG_COMMAND
from sluice_operator.api import names
from sluice_operator.api.base import Manifest
from sluice_operator.api.features import Features, Materialization
from sluice_operator.api.resource import ModelDeployment
from sluice_operator.api.scalars import seconds
from sluice_operator.api.status import ConditionStatus, FeaturesStatus
from sluice_operator.planning import features, pod_template
from sluice_operator.planning.observed import Problem, Run
from sluice_operator.planning.situation import Situation

CONTAINER = "materialize"
DEFINITIONS_MOUNT = "/etc/sluice/features"
REFUSED = "MaterializationRefused"
"""Reason of a CronJob that the API server does not take."""
PODS = pod_template.Pods("features.materialization.podTemplate", (CONTAINER,), end=True, free_env="SLUICE_FEATURES_")
FAILURES = {
    "rules": [
        # A node that is drained is no failure of the run's.
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]},
        # Data that break a rule break it again: to try once more would only ask the warehouse once more.
        {
            "action": "FailJob",
            "onExitCodes": {"containerName": CONTAINER, "operator": "In", "values": [WRONG_COMMAND, FOR_GOOD]},
        },
    ]
}


def asked(owner: ModelDeployment) -> Materialization | None:
    """How the spec wants the store filled; None where somebody else does it."""
    return owner.spec.features.materialization if owner.spec.features else None


def objects(owner: ModelDeployment, image: str, pull_secrets: tuple[str, ...]) -> tuple[Manifest, ...]:
    """The CronJob; none where none is asked for, it cannot be had as it is asked for, or there is no image to run."""
    store, wanted = owner.spec.features, asked(owner)
    if store is None or wanted is None or not image or pod_template.refusal(wanted.pod_template, PODS):
        return ()
    labels = names.labels(owner.name, "features")
    pod = {"metadata": {"labels": labels}, "spec": _pod(store, wanted, image)}
    job = {
        "backoffLimit": wanted.backoff_limit,
        "activeDeadlineSeconds": int(seconds(wanted.deadline)),
        "podFailurePolicy": FAILURES,
        "template": pod_template.merge(pod, pod_template.with_pull_secrets(wanted.pod_template, pull_secrets)),
    }
    manifest = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": names.metadata(owner, names.features(owner.name), "features"),
        "spec": {
            "schedule": wanted.schedule,
            **_when(wanted),
            "suspend": wanted.suspend,
            # One at a time: two would write rows of different ages over each other.
            "concurrencyPolicy": "Forbid",
            "successfulJobsHistoryLimit": wanted.successful_jobs_history_limit,
            "failedJobsHistoryLimit": wanted.failed_jobs_history_limit,
            "jobTemplate": {"metadata": {"labels": labels}, "spec": job},
        },
    }
    return (manifest,)


def _when(wanted: Materialization) -> dict[str, Any]:
    """What of the schedule is left to the cluster where it is not said."""
    zone = {"timeZone": wanted.time_zone} if wanted.time_zone else {}
    late = wanted.starting_deadline
    return zone | ({"startingDeadlineSeconds": int(seconds(late))} if late else {})


def _pod(store: Features, wanted: Materialization, image: str) -> dict[str, Any]:
    """As hardened as model pods: no cluster rights, no privileges, nothing writable but /tmp."""
    definitions = wanted.definitions.config_map_ref
    identity = {"serviceAccountName": wanted.service_account_name} if wanted.service_account_name else {}
    item = {"key": definitions.key, "path": definitions.key}
    return {
        **identity,
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532},
        "containers": [_container(store, wanted, image)],
        "volumes": [
            {"name": "definitions", "configMap": {"name": definitions.name, "items": [item]}},
            {"name": "tmp", "emptyDir": {}},
            *features.volumes(store),
        ],
    }


def _container(store: Features, wanted: Materialization, image: str) -> dict[str, Any]:
    return {
        "name": CONTAINER,
        "image": image,
        "command": _command(store, wanted),
        "envFrom": [{"secretRef": {"name": wanted.credentials.secret_ref.name}}] if wanted.credentials else [],
        "resources": wanted.resources.to_json(),
        "securityContext": pod_template.RESTRICTED,
        "volumeMounts": [
            {"name": "definitions", "mountPath": DEFINITIONS_MOUNT, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 the container's own emptyDir
            *features.mounts(store),
        ],
    }


def _command(store: Features, wanted: Materialization) -> list[str]:
    """The store is the one that pods ask: what is written elsewhere would help nobody here."""
    file = f"{DEFINITIONS_MOUNT}/{wanted.definitions.config_map_ref.key}"
    views = [f"--view={view}" for view in wanted.views or ()]
    shown = [f"--store-credentials={mount['mountPath']}" for mount in features.mounts(store)]
    options = [f"--store={store.store.url}", *shown, *views, "--termination-log=/dev/termination-log"]
    return ["sluice", "features", "materialize", file, *options]


def told(s: Situation) -> FeaturesStatus | None:
    """What status says of the runs: what was known, and what the cluster shows by now, which forgets its jobs."""
    if asked(s.resource) is None:
        return None
    known, seen = s.status.features or FeaturesStatus(), s.observed.materialization
    succeeded, failed = (_last(seen.runs, state) for state in ("Succeeded", "Failed"))
    success = max(known.last_success or "", succeeded.ended if succeeded else "") or None
    scheduled = max(known.last_scheduled or "", seen.scheduled) or None
    after = known.model_copy(update={"last_scheduled": scheduled, "last_success": success})
    if failed is None or failed.ended <= (known.last_failure or ""):
        return after
    why = failed.problem or Problem("JobFailed", f"{failed.name} failed")
    return after.model_copy(update={"last_failure": failed.ended, "reason": why.reason, "message": why.message})


def _last(runs: tuple[Run, ...], state: str) -> Run | None:
    return max((run for run in runs if run.state == state), key=lambda run: run.ended, default=None)


def failing(status: FeaturesStatus) -> bool:
    """Whether the last run that ended failed."""
    return (status.last_failure or "") > (status.last_success or "")


def judge(s: Situation, status: FeaturesStatus) -> tuple[ConditionStatus, str, str]:
    """Whether the store holds what the last run should have written, and why, in a word and in a sentence."""
    refused, running = s.observed.refused, s.observed.materialization.runs[-1:]
    kept = _complete(status)
    if not s.has_tools:
        return "False", "ToolsImageMissing", f"this operator has no image for it: set images.tools of its chart; {kept}"
    wanted = asked(s.resource)
    if wanted and (objection := pod_template.refusal(wanted.pod_template, PODS)):
        return "False", "PodTemplateRefused", f"{objection}; no run is begun until it is changed; {kept}"
    if refused and refused.reason == REFUSED:
        return "False", REFUSED, f"{refused.message}; {kept}"
    if running and running[0].state == "Running" and running[0].problem:
        problem = running[0].problem
        return "False", problem.reason, f"{running[0].name} does not get on: {problem.message}; {kept}"
    if failing(status):
        return "False", status.reason, f"the run that ended at {status.last_failure} failed: {status.message}; {kept}"
    return _calm(s, status)


def _complete(status: FeaturesStatus) -> str:
    """When all was written last: a run that fails may have written some of it, and its own words say whether."""
    if status.last_success:
        return f"the last run that wrote everything ended at {status.last_success}"
    return "no run has written everything yet"


def _calm(s: Situation, status: FeaturesStatus) -> tuple[ConditionStatus, str, str]:
    wanted = asked(s.resource)
    suspended = bool(wanted and wanted.suspend)
    held = "; suspended: no further run is begun" if suspended else ""
    if status.last_success:
        return "True", "Suspended" if suspended else "Materialized", f"written at {status.last_success}{held}"
    if suspended:
        return "Unknown", "Suspended", "no run has written everything yet, and suspended: no run is begun"
    return "Unknown", "NotYetRun", f"the first run is due by the schedule {wanted.schedule if wanted else ''}"
