"""Tells people what happened, where they look for it: `kubectl describe mdep`. Planning sees to it that each
thing is told once, so events are only written here, never counted up.
"""

import hashlib
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from sluice_operator.api.resource import API_VERSION, KIND, Reported
from sluice_operator.cluster.client import Client, Json
from sluice_operator.cluster.errors import ClusterError
from sluice_operator.cluster.kinds import EVENT
from sluice_operator.planning.plan import EventNote

log = logging.getLogger(__name__)

COMPONENT = "sluice-operator"
MESSAGE_LIMIT = 1024
"""Bytes the API server accepts (core/v1 Event.message)."""


class Recorder:
    """Writes Events about ModelDeployments."""

    def __init__(self, client: Client, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._clock = clock

    async def record(self, resource: Reported, note: EventNote) -> None:
        """Write one Event. A failure is logged, never raised: what happened has happened, told or not."""
        event = _event(resource, note, self._clock())
        try:
            await self._client.create(EVENT, resource.namespace, event)
        except ClusterError as error:
            log.warning("event %s was not recorded: %s", note.reason, error)


def _event(resource: Reported, note: EventNote, now: datetime) -> Json:
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    unique = hashlib.sha256(f"{now.isoformat()} {note}".encode()).hexdigest()[:16]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{resource.name}.{unique}", "namespace": resource.namespace},
        "involvedObject": _reference(resource),
        "type": note.type,
        "reason": note.reason,
        "message": _cut(note.message),
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "count": 1,
    }


def _reference(resource: Reported) -> Mapping[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "namespace": resource.namespace,
        "name": resource.name,
        "uid": resource.uid,
        "resourceVersion": resource.resource_version,
    }


def _cut(message: str) -> str:
    encoded = message.encode()
    if len(encoded) <= MESSAGE_LIMIT:
        return message
    return encoded[: MESSAGE_LIMIT - 3].decode(errors="ignore") + "..."
