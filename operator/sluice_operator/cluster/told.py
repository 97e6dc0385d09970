"""Asks the Events of an object why it does not get on, where its status is silent.

A pod that waits for a missing Secret says only ContainerCreating, and a Job whose pods are refused says nothing at
all. Events are read on demand, one object at a time and seldom, because watching all of them would cost more than
everything else the operator does.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sluice_operator.cluster.client import Client, Json
from sluice_operator.cluster.kinds import EVENT

AGAIN = timedelta(seconds=10)
TELLING = frozenset({"FailedMount", "FailedAttachVolume", "FailedCreate", "FailedCreatePodSandBox"})
"""Reasons of events that explain silence: of the kubelet about a pod, of the Job controller about a Job."""


class Told:
    """Latest warnings by object uid, at most one read per object in 10 s."""

    def __init__(self, client: Client, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._clock = clock
        self._answers: dict[str, tuple[datetime, str]] = {}

    async def warnings(self, objects: Iterable[Any]) -> dict[str, str]:
        """The latest telling warning by uid; objects without one are left out."""
        now = self._clock()
        self._answers = {uid: said for uid, said in self._answers.items() if now - said[0] < 30 * AGAIN}
        found = {obj["metadata"]["uid"]: await self._warning(obj, now) for obj in objects}
        return {uid: message for uid, message in found.items() if message}

    async def _warning(self, obj: Mapping[str, Any], now: datetime) -> str:
        uid = obj["metadata"]["uid"]
        asked, message = self._answers.get(uid, (None, ""))
        if asked is not None and now - asked < AGAIN:
            return message
        selector = f"involvedObject.uid={uid},type=Warning"
        events = await self._client.list_all(EVENT, obj["metadata"]["namespace"], {"fieldSelector": selector})
        telling = [event for event in events if event.get("reason") in TELLING]
        latest = max(telling, key=_last_seen, default={})
        self._answers[uid] = (now, str(latest.get("message", "")))
        return self._answers[uid][1]


def _last_seen(event: Json) -> str:
    series = event.get("series") or {}
    return str(series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime") or "")
