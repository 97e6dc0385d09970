"""Where the story is told: a namespace with a package store, a ModelDeployment that serves v1, and load on it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console

from demo.live import LiveTable
from demo.models import Version
from support.cluster import Cluster, own_namespace
from support.deployments import KIND, model_deployment, until_promoted
from support.history import History
from support.kube import Kube
from support.load import Load, Request
from support.store import Store, run_store

NAMESPACE = "sluice-demo"
NAME = "breast-cancer"
RATE = 400.0
"""Requests a second. Enough for 2,000 in each step, few enough for two cores that also run the whole cluster."""

SPEC: Mapping[str, Any] = {
    # Small requests, so that stable, canary and what is still draining fit on a machine with two cores.
    "runtime": {"resources": {"requests": {"cpu": "50m", "memory": "160Mi"}, "limits": {"memory": "512Mi"}}},
    "scaling": {"minReplicas": 2},
    "rollout": {
        "steps": [{"weight": 10, "hold": "8s"}, {"weight": 50, "hold": "8s"}],
        "readyDeadline": "2m",
        "drainDelay": "3s",
        "analysis": {
            "interval": "1s",
            "minRequests": 50,
            "failureLimit": 1,
            "checks": [{"metric": "errorRate", "max": 0.01}, {"metric": "latencyP99", "max": 0.5}],
        },
    },
}


@dataclass
class Chapter:
    """A part of the story: the requests made in it, and what it has to say for the report."""

    title: str
    first: int
    last: int | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    def requests(self, everything: list[Request]) -> list[Request]:
        """Its share of all requests."""
        return everything[self.first : self.last]


@dataclass
class Stage:
    """All that the chapters play with."""

    cluster: Cluster
    kube: Kube
    versions: Mapping[str, Version]
    store: Store
    load: Load
    history: History
    console: Console
    chapters: dict[str, Chapter] = field(default_factory=dict)

    def apply(self, version: str) -> None:
        """Write a version into the ModelDeployment's spec, as a person or a pipeline does."""
        apply_version(self.kube, self.store, self.versions[version])

    @contextmanager
    def chapter(self, key: str, title: str) -> Iterator[Chapter]:
        """Announce a part of the story and count the requests made in it."""
        self.console.rule(title)
        began = time.monotonic()
        current = self.chapters[key] = Chapter(title, first=len(self.load.snapshot()))
        yield current
        # What was answered in this chapter reaches the log a moment later: a second of load lies between chapters.
        self.load.wait_for(int(RATE), since=len(self.load.snapshot()))
        current.last = len(self.load.snapshot())
        current.facts["seconds"] = round(time.monotonic() - began, 1)
        self.console.print(f"{current.facts} after {current.last - current.first} requests")


def apply_version(kube: Kube, store: Store, version: Version) -> None:
    kube.apply(model_deployment(NAME, store.uri(version.file), version.said_digest, **SPEC))


@contextmanager
def open_stage(
    cluster: Cluster, versions: Mapping[str, Version], console: Console, live: bool, keep: bool
) -> Iterator[Stage]:
    """Serve v1 and put load on it; on leaving, take everything away again unless it is to be kept."""
    with own_namespace(cluster, NAMESPACE, keep) as kube:
        files = {version.file: version.package.archive for version in versions.values()}
        store = run_store(kube, cluster.images["runtime"], files)
        serve_first(kube, store, versions["v1"], console)
        load = Load(kube, cluster.images["runtime"], NAME, RATE)
        with History(kube, NAME) as history, load:
            table = LiveTable(load, history, {store.uri(one.file): name for name, one in versions.items()})
            with table.shown(console) if live else nullcontext():
                yield Stage(cluster, kube, versions, store, load, history, console)


def serve_first(kube: Kube, store: Store, version: Version, console: Console) -> None:
    console.print("applying v1 and waiting with kubectl wait --for=condition=Ready")
    began = time.monotonic()
    apply_version(kube, store, version)
    kube.wait(f"{KIND}/{NAME}", "condition=Ready")
    console.print(f"ready after {time.monotonic() - began:.1f} s")
    until_promoted(kube, NAME)
