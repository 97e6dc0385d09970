"""Merging a user's partial pod template into the pods the operator builds, without lending the user its rights.

Whoever may create a ModelDeployment must not be able to start a pod that they could not start under the restricted pod
security standard. So the template is an allow-list: what is not known to be harmless is refused with the field's name.
"""

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from typing import Any

RUNTIME = "runtime"
FETCH = "fetch"
RESERVED_ENV_PREFIX = "SLUICE_"
RESERVED_LABEL_DOMAINS = ("sluice.dev/", "app.kubernetes.io/")

_METADATA = {"labels", "annotations"}
_POD_VALUES = {
    "affinity",
    "dnsConfig",
    "dnsPolicy",
    "hostAliases",
    "imagePullSecrets",
    "nodeSelector",
    "priorityClassName",
    "runtimeClassName",
    "schedulerName",
    "terminationGracePeriodSeconds",
    "tolerations",
    "topologySpreadConstraints",
}
_POD_LISTS = {"containers", "initContainers", "volumes"}
_OUR_CONTAINERS = {"name", "env", "envFrom", "volumeMounts"}
_SIDECAR = _OUR_CONTAINERS | {
    "args",
    "command",
    "image",
    "imagePullPolicy",
    "lifecycle",
    "livenessProbe",
    "ports",
    "readinessProbe",
    "resources",
    "restartPolicy",
    "startupProbe",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "workingDir",
}
_VOLUMES = {"name", "configMap", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "secret"}

RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
"""Security context of every container; meets the restricted pod security standard."""


def refusal(template: Mapping[str, Any]) -> str | None:
    """Why the template cannot be had, naming the field; None where it can."""
    return next(_objections(template), None)


def _objections(template: Mapping[str, Any]) -> Iterator[str]:
    spec = template.get("spec") or {}
    yield from _unknown("podTemplate", template, {"metadata", "spec"})
    yield from _unknown("podTemplate.metadata", template.get("metadata") or {}, _METADATA)
    yield from _reserved_labels(template.get("metadata") or {})
    yield from _unknown("podTemplate.spec", spec, _POD_VALUES | _POD_LISTS)
    for group in ("containers", "initContainers"):
        for container in spec.get(group) or []:
            yield from _container_objections(f"podTemplate.spec.{group}", container)
    for volume in spec.get("volumes") or []:
        yield from _unknown(f"podTemplate.spec.volumes[{volume.get('name')}]", volume, _VOLUMES)


def _container_objections(path: str, container: Mapping[str, Any]) -> Iterable[str]:
    name = container.get("name")
    ours = name in (RUNTIME, FETCH)
    yield from _unknown(f"{path}[{name}]", container, _OUR_CONTAINERS if ours else _SIDECAR)
    for variable in container.get("env") or []:
        if str(variable.get("name", "")).startswith(RESERVED_ENV_PREFIX):
            yield f"{path}[{name}].env: names that begin with {RESERVED_ENV_PREFIX} belong to the operator"


def _unknown(path: str, part: Mapping[str, Any], known: set[str]) -> Iterable[str]:
    for key in part:
        if key not in known:
            yield f"{path}.{key} is not allowed; allowed are {', '.join(sorted(known))}"


def _reserved_labels(metadata: Mapping[str, Any]) -> Iterable[str]:
    for kind in ("labels", "annotations"):
        for key in metadata.get(kind) or {}:
            if key.startswith(RESERVED_LABEL_DOMAINS):
                yield f"podTemplate.metadata.{kind}: {key} belongs to the operator"


def merge(pod: Mapping[str, Any], template: Mapping[str, Any]) -> dict[str, Any]:
    """The pod template (metadata, spec) with the user's parts merged: maps by key, containers and volumes by name."""
    merged = deepcopy(dict(pod))
    for key, values in (template.get("metadata") or {}).items():
        merged["metadata"][key] = {**values, **merged["metadata"].get(key, {})}
    for key, value in (template.get("spec") or {}).items():
        if key in ("containers", "initContainers"):
            _merge_containers(merged["spec"].setdefault(key, []), value)
        elif key == "volumes":
            merged["spec"]["volumes"] = [*merged["spec"].get("volumes", []), *value]
        else:
            merged["spec"][key] = value
    return merged


def _merge_containers(ours: list[dict[str, Any]], theirs: Iterable[Mapping[str, Any]]) -> None:
    by_name = {container["name"]: container for container in ours}
    for container in theirs:
        known = by_name.get(container.get("name", ""))
        if known is None:
            ours.append({**container, "securityContext": RESTRICTED})
            continue
        for key in ("env", "envFrom", "volumeMounts"):
            if container.get(key):
                known[key] = [*known.get(key, []), *container[key]]
