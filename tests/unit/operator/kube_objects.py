"""Objects as the API server returns them, cut to what the operator reads."""

import json

MANAGED = {"app.kubernetes.io/managed-by": "sluice"}


def metadata(name, *, version=1, owner=None, labels=None, **more):
    own = {} if owner is None else {"sluice.dev/deployment": owner}
    return {
        "namespace": "shop",
        "name": name,
        "uid": f"uid-{name}",
        "resourceVersion": str(version),
        "labels": {**MANAGED, **own, **(labels or {})},
        **more,
    }


def controlled_by(name, uid, kind="ModelDeployment"):
    return [{"apiVersion": "x", "kind": kind, "name": name, "uid": uid, "controller": True}]


def condition(kind, status, reason="", message="", since="2026-01-01T00:00:00Z"):
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": since}


def waiting(reason, message="", **more):
    return {"state": {"waiting": {"reason": reason, "message": message}}, **more}


def terminated(exit_code=1, message="", reason="Error"):
    return {"terminated": {"exitCode": exit_code, "message": message, "reason": reason}}


def word(reason, message="said so"):
    return json.dumps({"reason": reason, "message": message})


def container(name, state, image="img"):
    return {"name": name, "image": image, "ready": False, "restartCount": 0, **state}


def pod(name="p", *, init=(), main=(), ready=False, conditions=(), **more):
    status = {
        "conditions": [condition("Ready", str(ready)), *conditions],
        "initContainerStatuses": list(init),
        "containerStatuses": list(main),
    }
    return {"metadata": metadata(name, **more), "status": status}
