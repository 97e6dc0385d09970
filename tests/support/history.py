"""What status said, in order, and the periods in which a weight was in force: claims on traffic rest on both."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from support.deployments import KIND
from support.kube import Kube, Object

Status = dict[str, Any]
LONGEST = 3600.0


@dataclass(frozen=True)
class Period:
    """A decided weight: when it was decided, seen on every router, and replaced. Unix seconds of the operator's clock;
    `verified` is None if it never was, `until` None while it lasts."""

    canary: str
    weight: int
    decided: float
    verified: float | None = None
    until: float | None = None

    @property
    def seconds_to_verify(self) -> float | None:
        """From decision to verification."""
        return None if self.verified is None else self.verified - self.decided


class History:
    """Follows a ModelDeployment and keeps every status it shows. Use as a context manager."""

    def __init__(self, kube: Kube, name: str) -> None:
        self.kube, self.name = kube, name
        self.statuses: list[Status] = []
        self._leaving = threading.Event()
        self._follower = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> History:
        self._follower.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.set()

    @property
    def latest(self) -> Status:
        """The last status seen; empty before the first."""
        return self.statuses[-1] if self.statuses else {}

    def periods(self) -> list[Period]:
        """The weights decided so far."""
        return weight_periods(self.statuses[:])

    def uris(self) -> dict[str, str]:
        """Where each revision that status ever named came from."""
        return {found["revision"]: found["uri"] for status in self.statuses[:] for found in named_revisions(status)}

    def _follow(self) -> None:
        watch = self.kube.watch(KIND, fields=f"metadata.name={self.name}")
        for seen in watch.states(time.monotonic() + LONGEST):
            if self._leaving.is_set():
                return
            self._take(seen.get(self.name, {}))

    def _take(self, found: Object) -> None:
        status = found.get("status")
        if status and status != self.latest:
            self.statuses.append(status)


def named_revisions(status: Status) -> Iterable[Status]:
    """The revisions a status names, with their URIs."""
    yield from (status[role] for role in ("stable", "canary") if role in status)
    yield from status.get("history", [])


def weight_periods(statuses: Iterable[Status]) -> list[Period]:
    """The periods of a sequence of statuses, in order of decision."""
    periods: list[Period] = []
    for status in statuses:
        rollout = status.get("rollout", {})
        if "weightSetAt" in rollout:
            opened = _opened(status, rollout)
            if not periods or opened.decided != periods[-1].decided:
                periods = [*_closed(periods, opened.decided), opened]
            elif periods[-1].verified is None:
                periods[-1] = opened
        elif periods and periods[-1].weight == 0 and periods[-1].verified is None:
            periods[-1] = replace(periods[-1], verified=_taken_back(status, periods[-1].canary))
    return periods


def _opened(status: Status, rollout: Status) -> Period:
    decided, held = unix(rollout["weightSetAt"]), rollout.get("holdStartedAt")
    verified = unix(held) if held and unix(held) >= decided else None
    return Period(status["canary"]["revision"], rollout.get("weight", 0), decided, verified)


def _closed(periods: list[Period], until: float) -> list[Period]:
    return [*periods[:-1], replace(periods[-1], until=until)] if periods else []


def _taken_back(status: Status, revision: str) -> float | None:
    """When a revision was seen to get nothing any more: its drain counts from then."""
    since = [entry.get("since") for entry in status.get("draining", []) if entry["revision"] == revision]
    return unix(since[0]) if since and since[0] else None


def unix(stamp: str) -> float:
    """Unix seconds of a timestamp of status."""
    return datetime.fromisoformat(stamp).timestamp()
