"""Merging a user's partial pod template into the pods the operator builds, without lending the user its rights.

Whoever may create a ModelDeployment must not be able to start a pod that they could not start under the restricted pod
security standard. So the template is an allow-list: what is not known to be harmless is refused with the field's name.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import chain
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
_CONTAINER_LISTS = ("env", "envFrom", "volumeMounts")
_OUR_CONTAINERS = {"name", *_CONTAINER_LISTS}
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


@dataclass(frozen=True)
class Pods:
    """The pods that a template is for. `path`: the template's field; `ours`: containers that the operator makes;
    `end`: they are to end by themselves; `free_env`: what of our own variables is the user's to say, by its beginning.
    """

    path: str
    ours: tuple[str, ...]
    end: bool = False
    free_env: str | None = None


MODEL_PODS = Pods("podTemplate", (RUNTIME, FETCH))


def refusal(template: Mapping[str, Any], pods: Pods = MODEL_PODS) -> str | None:
    """Why the template cannot be had, naming the field; None where it can."""
    # What comes later may rely on what was found in order before.
    return next(chain(_misshapen(template, pods.path), _objections(template, pods)), None)


def _misshapen(template: Mapping[str, Any], path: str) -> Iterator[str]:
    """The schema leaves open what parts are made of; a null is a part that is not there."""
    metadata, spec = template.get("metadata"), template.get("spec")
    yield from _no_map(f"{path}.metadata", metadata)
    for kind in ("labels", "annotations"):
        yield from _no_map(f"{path}.metadata.{kind}", (metadata or {}).get(kind))
    yield from _no_map(f"{path}.spec", spec)
    for group in (*sorted(_POD_LISTS), "imagePullSecrets"):
        yield from _no_list(f"{path}.spec.{group}", (spec or {}).get(group))
    for group in ("containers", "initContainers"):
        for container in (spec or {}).get(group) or ():
            if not isinstance(container.get("name"), str):
                yield f"{path}.spec.{group}: each needs a name, which says what it is merged with"
            for part in _CONTAINER_LISTS:
                yield from _no_list(f"{path}.spec.{group}[{container.get('name')}].{part}", container.get(part))


def _no_map(path: str, value: Any) -> Iterable[str]:
    if value is not None and not isinstance(value, Mapping):
        yield f"{path} must be an object"


def _no_list(path: str, value: Any) -> Iterable[str]:
    if value is not None and not (isinstance(value, list) and all(isinstance(one, Mapping) for one in value)):
        yield f"{path} must be a list of objects"


def _objections(template: Mapping[str, Any], pods: Pods) -> Iterator[str]:
    spec, path = template.get("spec") or {}, pods.path
    yield from _unknown(path, template, {"metadata", "spec"})
    yield from _unknown(f"{path}.metadata", template.get("metadata") or {}, _METADATA)
    yield from _reserved_labels(path, template.get("metadata") or {})
    yield from _unknown(f"{path}.spec", spec, _POD_VALUES | _POD_LISTS)
    for group in ("containers", "initContainers"):
        for container in spec.get(group) or []:
            yield from _container_objections(f"{path}.spec.{group}", container, pods)
    yield from _endless(spec.get("containers") or [], pods)
    for volume in spec.get("volumes") or []:
        yield from _unknown(f"{path}.spec.volumes[{volume.get('name')}]", volume, _VOLUMES)


def _container_objections(path: str, container: Mapping[str, Any], pods: Pods) -> Iterable[str]:
    name = container.get("name")
    yield from _unknown(f"{path}[{name}]", container, _OUR_CONTAINERS if name in pods.ours else _SIDECAR)
    for variable in container.get("env") or []:
        called = str(variable.get("name", ""))
        free = pods.free_env is not None and called.startswith(pods.free_env)
        if called.startswith(RESERVED_ENV_PREFIX) and not free:
            yield f"{path}[{name}].env: names that begin with {RESERVED_ENV_PREFIX} belong to the operator"


def _endless(containers: Iterable[Mapping[str, Any]], pods: Pods) -> Iterable[str]:
    for container in containers:
        if pods.end and container.get("name") not in pods.ours:
            yield (
                f"{pods.path}.spec.containers[{container.get('name')}] is not allowed: a run ends when all of its "
                "containers have; make it one of initContainers with restartPolicy: Always"
            )


def _unknown(path: str, part: Mapping[str, Any], known: set[str]) -> Iterable[str]:
    for key in part:
        if key not in known:
            yield f"{path}.{key} is not allowed; allowed are {', '.join(sorted(known))}"


def _reserved_labels(path: str, metadata: Mapping[str, Any]) -> Iterable[str]:
    for kind in ("labels", "annotations"):
        for key in metadata.get(kind) or {}:
            if key.startswith(RESERVED_LABEL_DOMAINS):
                yield f"{path}.metadata.{kind}: {key} belongs to the operator"


def with_pull_secrets(template: Mapping[str, Any], secrets: Sequence[str]) -> dict[str, Any]:
    """The template with Secrets that images are pulled with, before its own."""
    if not secrets:
        return dict(template)
    own = template.get("spec") or {}
    known = [*({"name": name} for name in secrets), *(own.get("imagePullSecrets") or ())]
    merged = [entry for index, entry in enumerate(known) if entry not in known[:index]]
    return {**template, "spec": {**own, "imagePullSecrets": merged}}


def merge(pod: Mapping[str, Any], template: Mapping[str, Any]) -> dict[str, Any]:
    """The pod template (metadata, spec) with the user's parts merged: maps by key, containers and volumes by name."""
    merged = deepcopy(dict(pod))
    for key, values in (template.get("metadata") or {}).items():
        merged["metadata"][key] = {**(values or {}), **merged["metadata"].get(key, {})}
    given = {key: value for key, value in (template.get("spec") or {}).items() if value is not None}
    for key, value in given.items():
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
        for key in _CONTAINER_LISTS:
            if container.get(key):
                known[key] = [*known.get(key, []), *container[key]]
