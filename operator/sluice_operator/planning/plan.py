"""What one reconcile pass decided: the whole answer, written down before anything is done."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from sluice_operator.api.base import Manifest
from sluice_operator.api.status import ModelDeploymentStatus


@dataclass(frozen=True)
class EventNote:
    """An Event for a person, told once."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True)
class Plan:
    """`objects` is every child that should exist (owned others are pruned); `scales` are replica counts by Deployment
    name that go through /scale; `router_version` is what router pods should be told they run (so that the kubelet
    syncs their ConfigMap); `new_window` opens a new analysis window; `dry_run` must be accepted by the API server
    before status is written; without `prune` leftovers stay (a record that should be there is not).
    `requeue_after` is in seconds.
    """

    status: ModelDeploymentStatus
    objects: tuple[Manifest, ...] = ()
    scales: Mapping[str, int] = field(default_factory=dict)
    router_version: str = ""
    events: tuple[EventNote, ...] = ()
    requeue_after: float | None = None
    new_window: bool = False
    dry_run: tuple[Manifest, ...] = ()
    prune: bool = True
