"""The model repository extension, as far as a pod has one: the index of its only model. Nothing is loaded or unloaded
through the protocol: which model a pod serves is the operator's decision.
"""

from __future__ import annotations

import orjson

from sluice_runtime.errors import Kind, RequestError
from sluice_runtime.plane import Plane


def wants_ready_only(body: bytes) -> bool:
    """Whether an index request asks for ready models only; its body may be empty.

    Raises:
        RequestError: INVALID.
    """
    try:
        document = orjson.loads(body) if body.strip() else {}
    except orjson.JSONDecodeError as error:
        raise RequestError(Kind.INVALID, f"the body is no JSON: {error}") from error
    ready = document.get("ready", False) if isinstance(document, dict) else None
    if not isinstance(ready, bool):
        raise RequestError(Kind.INVALID, "the body must be a JSON object, and 'ready' true or false")
    return ready


def index(plane: Plane, ready_only: bool) -> list[dict[str, str]]:
    """One entry: name, version (empty while the model is being loaded), state and reason."""
    if plane.ready:
        version = plane.find(plane.name).version
        return [{"name": plane.name, "version": version, "state": "READY", "reason": ""}]
    reason = "the pod is stopping" if plane.draining else "the model is being loaded"
    unready = {"name": plane.name, "version": "", "state": "UNAVAILABLE", "reason": reason}
    return [] if ready_only else [unready]
