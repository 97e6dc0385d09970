"""`sluice train --as-job`: the same command as a Kubernetes Job, to be applied, committed or made a CronJob of.

Code and small data travel in a ConfigMap, so that the tools image serves for every model; larger data are in a claim,
or with the code in an image of one's own. The pod meets the restricted pod security standard and has no cluster rights.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from sluice.failures import FOR_GOOD, WRONG_COMMAND
from sluice_training.errors import TrainingError

FOLDER = "/training"
OUTPUT = "/tmp/package.tar.gz"  # noqa: S108 the container's own emptyDir
"""Lost with the pod."""

CLAIM = "/data"
MAX_BYTES = 900_000
"""Of a ConfigMap, of which Kubernetes takes a mebibyte with its names."""

COPIED_BYTES = 256 * 1024
"""Of an object, of which kubectl keeps a copy in an annotation where it does not apply on the server's side."""

KEPT_SECONDS = 24 * 3600
"""A finished job and its log are kept for so long."""

_RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
_USER = 65532
_FAILURES = {
    "rules": [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]},
        # Class, data and options are the same at the second try.
        {
            "action": "FailJob",
            "onExitCodes": {"containerName": "train", "operator": "In", "values": [WRONG_COMMAND, FOR_GOOD]},
        },
    ]
}
"""A node that is drained is no failure; what fails for good is not tried again."""

_LIMITS = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "4Gi"}}


def manifests(chosen: argparse.Namespace, name: str, code: Mapping[str, bytes]) -> str:
    """The Job, and the ConfigMap with its files where they are in no image. `code`: by relative path.

    Raises:
        TrainingError: the options do not go together, or the files are too large.
    """
    if not chosen.image:
        raise TrainingError("--as-job needs --image: the tools image, or one of yours with code and data in it")
    if not (chosen.push or chosen.register):
        raise TrainingError("--as-job needs --push or --register: what a job leaves in its pod is lost with it")
    files = {} if chosen.image_folder else dict(_files(chosen, code))
    command = _command(chosen)
    mark = hashlib.sha256(json.dumps([command, chosen.image]).encode())
    for path, content in sorted(files.items()):
        mark.update(path.encode() + b"\0" + content)
    called = f"{_label(name)}-train-{mark.hexdigest()[:8]}"
    documents = [_config_map(called, files)] if files else []
    documents.append(_job(chosen, called, command, files))
    for document in documents:
        document["metadata"] |= {"namespace": chosen.namespace} if chosen.namespace else {}
    return "---\n".join(yaml.dump(document, Dumper=_Readable, sort_keys=False, width=110) for document in documents)


def applying(printed: str) -> str:
    """How to apply what `manifests` made, for the person who sees it."""
    largest = max(map(len, printed.split("---\n")))
    why = f"; without --server-side kubectl refuses {largest} bytes" if largest > COPIED_BYTES else ""
    return f"apply it by piping this into: kubectl apply --server-side -f -{why}"


def is_claimed(path: Path | None) -> bool:
    """Whether a file is in the claim, where nobody looks before the job does."""
    return str(path).startswith(f"{CLAIM}/")


class _Readable(yaml.SafeDumper):
    """Writes text of several lines as such."""

    def represent_str(self, text: str) -> yaml.ScalarNode:
        """As yaml.SafeDumper has it."""
        return self.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Readable.add_representer(str, _Readable.represent_str)


def _files(chosen: argparse.Namespace, code: Mapping[str, bytes]) -> Iterator[tuple[str, bytes]]:
    yield from code.items()
    size = sum(map(len, code.values()))
    for path in (*chosen.data, chosen.features, chosen.lock, chosen.previous):
        if path is None or is_claimed(path):
            continue
        if path.is_absolute() or ".." in path.parts:
            raise TrainingError(f"{path} must lie below the current folder, or in the --claim, below {CLAIM}")
        if not path.is_file():
            raise TrainingError(f"there is no file {path}; paths are from {Path.cwd()}")
        content = path.read_bytes()
        size += len(content)
        if size > MAX_BYTES:
            raise TrainingError(f"{path} and the rest are more than {MAX_BYTES} bytes; put data into a --claim, "
                                "or code and data into an image (--image-folder)")  # fmt: skip
        yield path.as_posix(), content


def _command(chosen: argparse.Namespace) -> list[str]:
    """The options as they were chosen, for another place."""
    words = ["sluice", "train", chosen.model, f"--output={OUTPUT}"]
    words += [f"--data={path}" for path in chosen.data]
    words += [f"--key={key}" for key in chosen.key]
    for option in ("features", "service", "timestamp", "seed", "test_share", "search", "previous", "lock",
                   "model_version", "push", "endpoint", "register", "name", "alias"):  # fmt: skip
        value = getattr(chosen, option)
        words += [] if value is None else [f"--{option.replace('_', '-')}={value}"]
    return words


def _config_map(name: str, files: Mapping[str, bytes]) -> dict[str, Any]:
    held: dict[str, dict[str, str]] = {"data": {}, "binaryData": {}}
    for path, content in files.items():
        try:
            held["data"][_key(path)] = content.decode()
        except UnicodeDecodeError:  # Parquet, an archive
            held["binaryData"][_key(path)] = base64.b64encode(content).decode()
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name},
        "immutable": True,
        **{kind: values for kind, values in held.items() if values},
    }


def _job(chosen: argparse.Namespace, name: str, command: list[str], files: Mapping[str, bytes]) -> dict[str, Any]:
    pod = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {"runAsNonRoot": True, "runAsUser": _USER, "runAsGroup": _USER, "fsGroup": _USER},
        "containers": [_container(chosen, command, bool(files))],
        "volumes": [{"name": "tmp", "emptyDir": {}}, *_volumes(chosen, name, files)],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {
            "backoffLimit": 1,
            "podFailurePolicy": _FAILURES,
            "ttlSecondsAfterFinished": KEPT_SECONDS,
            "template": {"spec": pod},
        },
    }


def _container(chosen: argparse.Namespace, command: list[str], mounted: bool) -> dict[str, Any]:
    mounts = [{"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108 the container's own emptyDir
    mounts += [{"name": "files", "mountPath": FOLDER}] if mounted else []
    mounts += [{"name": "data", "mountPath": CLAIM}] if chosen.claim else []
    secrets = {"envFrom": [{"secretRef": {"name": chosen.secret}}]} if chosen.secret else {}
    return {
        "name": "train",
        "image": chosen.image,
        "command": command,
        "workingDir": chosen.image_folder or FOLDER,
        **secrets,
        # What went wrong is the last line, and is then told of the pod.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": _LIMITS,
        "securityContext": _RESTRICTED,
        "volumeMounts": mounts,
    }


def _volumes(chosen: argparse.Namespace, name: str, files: Mapping[str, bytes]) -> Iterator[dict[str, Any]]:
    if files:
        items = [{"key": _key(path), "path": path} for path in files]
        yield {"name": "files", "configMap": {"name": name, "items": items}}
    if chosen.claim:
        yield {"name": "data", "persistentVolumeClaim": {"claimName": chosen.claim, "readOnly": True}}


def _key(path: str) -> str:
    """A key of a ConfigMap; a path's beginning keeps keys apart that look alike without slashes."""
    plain = re.sub(r"[^-._A-Za-z0-9]", "_", path)
    return plain if plain == path else f"{hashlib.sha256(path.encode()).hexdigest()[:8]}-{Path(plain).name}"


def _label(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "model"
