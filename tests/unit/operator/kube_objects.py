"""Objects as the API server returns them, cut to what the operator reads."""

import json
from typing import Any

MANAGED = {"app.kubernetes.io/managed-by": "sluice"}


def metadata(
    name: str, *, version: int = 1, owner: str | None = None, labels: dict[str, str] | None = None, **more: Any
) -> dict[str, Any]:
    own = {} if owner is None else {"sluice.dev/deployment": owner}
    return {
        "namespace": "shop",
        "name": name,
        "uid": f"uid-{name}",
        "resourceVersion": str(version),
        "labels": {**MANAGED, **own, **(labels or {})},
        **more,
    }


def controlled_by(name: str, uid: str, kind: str = "ModelDeployment") -> list[Any]:
    return [{"apiVersion": "x", "kind": kind, "name": name, "uid": uid, "controller": True}]


def condition(
    kind: str, status: str, reason: str = "", message: str = "", since: str = "2026-01-01T00:00:00Z"
) -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": since}


def waiting(reason: str, message: str = "", **more: Any) -> dict[str, Any]:
    return {"state": {"waiting": {"reason": reason, "message": message}}, **more}


def terminated(exit_code: int = 1, message: str = "", reason: str = "Error") -> dict[str, Any]:
    return {"terminated": {"exitCode": exit_code, "message": message, "reason": reason}}


def word(reason: str, message: str = "said so") -> str:
    return json.dumps({"reason": reason, "message": message})


def container(name: str, state: Any, image: str = "img") -> dict[str, Any]:
    return {"name": name, "image": image, "ready": False, "restartCount": 0, **state}


def pod(
    name: str = "p", *, init: Any = (), main: Any = (), ready: bool = False, conditions: Any = (), **more: Any
) -> dict[str, Any]:
    status = {
        "conditions": [condition("Ready", str(ready)), *conditions],
        "initContainerStatuses": list(init),
        "containerStatuses": list(main),
    }
    return {"metadata": metadata(name, **more), "status": status}
