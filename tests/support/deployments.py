"""ModelDeployments as the demo and the tests write them, and what they ask of one that runs."""

from __future__ import annotations

from typing import Any

from support.kube import Kube, Object, brief, is_true

KIND = "modeldeployments.sluice.dev"
READY_TIMEOUT = 180.0


def model_deployment(name: str, uri: str, digest: str | None = None, **spec: Any) -> Object:
    """A ModelDeployment; `spec` holds the parts beside `model`, in the form of the wire."""
    model = {"uri": uri} if digest is None else {"uri": uri, "digest": digest}
    return {
        "apiVersion": "sluice.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name},
        "spec": {"model": model, **spec},
    }


def promoted(found: Object) -> bool:
    """Whether the version in the spec carries all traffic and no rollout is under way."""
    return is_true(found, "Promoted") and is_true(found, "Ready") and "rollout" not in found["status"]


def stalled(found: Object) -> bool:
    """Whether the present spec was refused or taken back, for good."""
    return is_true(found, "Stalled") and "rollout" not in found["status"]


def stable(found: Object) -> str:
    """The revision that owns the traffic."""
    return str(found.get("status", {}).get("stable", {}).get("revision", ""))


def until_promoted(kube: Kube, name: str, timeout: float = READY_TIMEOUT) -> Object:
    """Wait until the version in the spec carries all traffic; give up at once if it never will."""
    found = kube.until(KIND, name, lambda seen: promoted(seen) or stalled(seen), timeout)
    assert promoted(found), f"not promoted: {brief(found['status'])}"
    return found


def until_stalled(kube: Kube, name: str, timeout: float = READY_TIMEOUT) -> Object:
    """Wait until the version in the spec is refused or taken back."""
    return kube.until(KIND, name, stalled, timeout)
