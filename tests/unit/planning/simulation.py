"""A cluster in memory behind the real reconciler, which may be stale, refuse a write, or see its operator die between
any two of them. What the routers apply is kept apart from what they were told.
"""

import copy
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from sluice.config import RuntimeConfig
from sluice_operator.api import names
from sluice_operator.api.base import Manifest
from sluice_operator.api.resource import ModelDeployment, Reported
from sluice_operator.api.status import ModelDeploymentStatus
from sluice_operator.cluster.errors import ClusterError, Conflict
from sluice_operator.cluster.kinds import APPLIED, kind_of
from sluice_operator.planning import comparing
from sluice_operator.planning.clock import stamp
from sluice_operator.planning.comparison import Comparison
from sluice_operator.planning.observed import (
    Observed,
    Problem,
    Resolver,
    RevisionRecord,
    RouterPod,
    RouterState,
    Window,
    Workload,
)
from sluice_operator.planning.plan import EventNote, Plan
from sluice_operator.reconcile import Reconciler

from .world import IMAGES, START, record_of

NAME, SPACE = "m", "shop"


class Killed(Exception):  # noqa: N818 - what the kubelet calls it
    """The operator's process is gone: nothing after this moment happens."""


@dataclass
class Pods:
    """A revision's Deployment."""

    wanted: int = 1
    ready: bool = True
    problem: Problem | None = None

    @property
    def available(self) -> int:
        return self.wanted if self.ready else 0


@dataclass
class Look:
    """A resolver's Job: what it knows before it asks, and what it found, once it has ended."""

    known: str
    since: str
    found: Resolver | None = None


@dataclass
class Config:
    """The routers' ConfigMap, or what one router applies of it."""

    version: str = ""
    weights: dict[str, int] = field(default_factory=dict)
    clusters: frozenset[str] = frozenset()


@dataclass
class Truth:
    """What is in the cluster, whatever anybody has seen of it."""

    spec: dict[str, Any]
    generation: int = 1
    version: int = 1
    status: dict[str, Any] = field(default_factory=dict)
    request: str = ""
    records: dict[str, RevisionRecord] = field(default_factory=dict)
    pods: dict[str, Pods] = field(default_factory=dict)
    jobs: dict[str, Look] = field(default_factory=dict)
    config: Config = field(default_factory=Config)
    routers: list[Config] = field(default_factory=lambda: [Config(), Config()])


class Simulation:
    """The truth, the operator's picture of it, and the operator. It is the `Cluster` of `reconcile`."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.truth = Truth(spec)
        self.seen = copy.deepcopy(self.truth)
        self.lagging = False
        self.routers_follow = True
        self.alias: int | None = 1
        self.registry_answers = True
        self.most_jobs = 0
        self.windows: dict[str, Window] | None = {}
        self.compared: Comparison | None = None
        self.now = START
        self.writes_left: int | None = None
        self.quiet = False
        self.raised: list[tuple[str, int]] = []
        self.elapsed = 0.0
        self.sent_until: dict[str, float] = {}
        self.cut_short: list[tuple[str, float]] = []
        self.events: list[EventNote] = []
        self.restart()

    # Events of the world.

    def restart(self) -> None:
        """A new operator, which knows nothing but the cluster."""
        self.reconciler = Reconciler(self, IMAGES, lambda: self.now)
        self.seen = copy.deepcopy(self.truth)

    def ask(self, **changes: Any) -> None:
        """A new spec."""
        if any(self.truth.spec.get(key) != value for key, value in changes.items()):
            self.truth.spec = {**self.truth.spec, **changes}
            self.truth.generation += 1
        self._changed()

    def request(self, **words: Any) -> None:
        """A person's request."""
        self.truth.request = json.dumps(words)
        self._changed()

    def pods_change(self, revision: str, **changes: Any) -> None:
        """Pods get ready, fall over, or break for good."""
        if revision in self.truth.pods:
            self.truth.pods[revision] = replace(self.truth.pods[revision], **changes)
        self._watches_tell()

    def lag(self, lagging: bool) -> None:
        """Whether the watches are behind."""
        self.lagging = lagging
        self._watches_tell()

    def router_follows(self, number: int) -> None:
        """One router applies what the ConfigMap holds."""
        self.truth.routers[number] = self.truth.config

    def pass_time(self, seconds: float) -> None:
        """Time goes on; where it is negative, somebody has set the operator's clock back and none has passed."""
        self.now += timedelta(seconds=seconds)
        self.elapsed += max(0.0, seconds)
        self._note_traffic()

    def _note_traffic(self) -> None:
        """Requests are on their way to all that a router sends them to."""
        for router in self.truth.routers:
            self.sent_until |= dict.fromkeys(router.weights, self.elapsed)

    def run(self, writes: int | None = None) -> bool:
        """One pass of the operator, which dies before write number `writes`, if it gets that far.

        True where the pass came to its end.
        """
        self.writes_left = writes
        try:
            _drive(self.reconciler.reconcile(SPACE, NAME))
        except Killed:
            self.restart()
            return False
        except ClusterError:
            # The work queue comes again; by then the watches have usually told.
            return False
        finally:
            self.writes_left = None
            self._note_traffic()
            if self.routers_follow:
                self.truth.routers = [self.truth.config for _ in self.truth.routers]
            if self.registry_answers:
                self.jobs_end()
        return True

    def jobs_end(self) -> None:
        """Every resolver asks what the alias stands for at this moment."""
        for look in self.truth.jobs.values():
            look.found = look.found or self._found(look)
        self._watches_tell()

    def _found(self, look: Look) -> Resolver:
        if self.alias is None:
            return Resolver("Failed", problem=Problem("SourceNotFound", "no alias", permanent=True), since=look.since)
        uri = f"models:/{NAME}/{self.alias}"
        digest = "" if uri == look.known else f"sha256:{self.alias:064x}"
        return Resolver("Succeeded", digest, uri=uri, since=look.since)

    def settle(self, passes: int = 60) -> None:
        """Run until nothing changes any more."""
        for _ in range(passes):
            before = copy.deepcopy(self.truth)
            if self.run() and self.truth == before:
                return
        raise AssertionError(f"did not settle: {self.truth.status}")

    @property
    def status(self) -> ModelDeploymentStatus:
        return ModelDeploymentStatus.model_validate(self.truth.status)

    # The operator's side: `reconcile.Cluster`.

    def get(self, namespace: str = SPACE, name: str = NAME) -> ModelDeployment:
        seen = self.seen
        metadata = {"namespace": namespace, "name": name, "uid": "uid-1", "resourceVersion": str(seen.version)}
        metadata["generation"] = seen.generation  # type: ignore[assignment]
        metadata["annotations"] = {"sluice.dev/request": seen.request} if seen.request else {}  # type: ignore[assignment]
        return ModelDeployment.parse({"metadata": metadata, "spec": seen.spec, "status": seen.status})

    async def observe(self, resource: ModelDeployment) -> Observed:
        seen = self.seen
        workloads = {rev: Workload(it.wanted, it.available, it.available, it.problem) for rev, it in seen.pods.items()}
        return Observed(
            records=dict(seen.records),
            workloads=workloads,
            router=RouterState(wanted=2, pods=tuple(self._routers()), weights=seen.config.weights),
            resolvers={key: it.found or Resolver("Running", since=it.since) for key, it in seen.jobs.items()},
            windows=self.windows,
            comparison=self.compared if comparing.copied(resource) else None,
        )

    def _routers(self) -> Iterator[RouterPod]:
        """Routers are asked, not watched: what they say is true now."""
        for number, applied in enumerate(self.truth.routers):
            healthy = {rev: it.available for rev, it in self.truth.pods.items() if rev in applied.clusters}
            yield RouterPod(f"r{number}", True, applied.version, healthy)

    async def dry_run(self, manifests: Sequence[Manifest]) -> None:
        """Everything is accepted."""

    async def write_status(self, resource: Reported, status: ModelDeploymentStatus) -> None:
        if status == resource.status:
            return
        self._spend()
        if resource.resource_version != str(self.truth.version):
            self._changed(refresh=True)
            raise Conflict("the resource has changed")
        self._note_raised(resource.status, status)
        self.truth.status = status.to_json()
        self.truth.version += 1
        self.seen.status, self.seen.version = copy.deepcopy(self.truth.status), self.truth.version
        self._tell_resource()

    async def apply(self, resource: ModelDeployment, plan: Plan) -> None:
        self.most_jobs = max(self.most_jobs, sum(manifest["kind"] == "Job" for manifest in plan.objects))
        for kind in APPLIED:
            for manifest in (one for one in plan.objects if kind_of(one) is kind):
                self._apply_one(manifest)
            if kind.kind == "Deployment":
                self._scale(plan)
        if plan.prune:
            self._prune(plan)

    async def record(self, resource: Reported, events: Sequence[EventNote]) -> None:
        self.events.extend(events)

    def _apply_one(self, manifest: Manifest) -> None:
        revision = manifest["metadata"]["labels"].get(names.REVISION, "")
        if manifest["kind"] == "ControllerRevision" and revision not in self.truth.records:
            self._spend()
            self.truth.records[revision] = record_of(manifest["data"])
        elif manifest["kind"] in ("ConfigMap", "HTTPRoute") and self.truth.config != (config := _config(manifest)):
            self._spend()
            self.truth.config = config
        elif manifest["kind"] == "Deployment" and revision and revision not in self.truth.pods:
            self._spend()
            self.truth.pods[revision] = Pods()
        elif manifest["kind"] == "Job" and (key := _key(manifest["metadata"]["name"])) not in self.truth.jobs:
            self._spend()
            self.truth.jobs[key] = Look(_known_to(manifest), stamp(self.now))
        self._own_writes_are_seen()

    def _scale(self, plan: Plan) -> None:
        for name, count in plan.scales.items():
            revision = name.removeprefix(f"{NAME}-")
            if revision in self.truth.pods and self.truth.pods[revision].wanted != count:
                self._spend()
                self.truth.pods[revision] = replace(self.truth.pods[revision], wanted=count)
        self._own_writes_are_seen()

    def _prune(self, plan: Plan) -> None:
        """Only what is in the cache is pruned; by kind, for a revision's Deployment and record share a name."""
        planned = {(manifest["kind"], manifest["metadata"]["name"]) for manifest in plan.objects}
        truth, seen = self.truth, self.seen
        for kind, held, known in (
            ("Deployment", truth.pods, seen.pods),
            ("ControllerRevision", truth.records, seen.records),
        ):
            for revision in [rev for rev in known if (kind, f"{NAME}-{rev}") not in planned and rev in held]:
                self._spend()
                del held[revision]
                if kind == "Deployment":
                    self._note_cut(revision)
        wanted = {_key(name) for kind, name in planned if kind == "Job"}
        for key in [key for key in seen.jobs if key not in wanted and key in truth.jobs]:
            self._spend()
            del truth.jobs[key]
        self._own_writes_are_seen()

    def _note_cut(self, revision: str) -> None:
        """Pods are gone: how long ago they could last have been sent a request."""
        if revision in self.sent_until:
            self.cut_short.append((revision, self.elapsed - self.sent_until[revision]))

    def _spend(self) -> None:
        if self.writes_left is not None:
            if self.writes_left <= 0:
                raise Killed
            self.writes_left -= 1

    def _changed(self, refresh: bool = False) -> None:
        """The resource changed: its version rises, and the watch tells, unless it lags."""
        if not refresh:
            self.truth.version += 1
        if refresh or not self.lagging:
            self._tell_resource()

    def _tell_resource(self) -> None:
        for name in ("spec", "generation", "version", "status", "request"):
            setattr(self.seen, name, copy.deepcopy(getattr(self.truth, name)))

    def _watches_tell(self) -> None:
        if not self.lagging:
            self.seen = copy.deepcopy(self.truth)

    def _own_writes_are_seen(self) -> None:
        """Every answer of a write goes into the cache; readiness comes by the watch."""
        lagging = self.lagging
        for revision, pods in self.truth.pods.items():
            before = self.seen.pods.get(revision)
            told = replace(before, wanted=pods.wanted) if before and lagging else pods
            self.seen.pods[revision] = replace(told)
        for revision in [rev for rev in self.seen.pods if rev not in self.truth.pods]:
            del self.seen.pods[revision]
        self.seen.records, self.seen.config = dict(self.truth.records), self.truth.config
        self.seen.jobs = {key: replace(self.seen.jobs.get(key, it)) for key, it in self.truth.jobs.items()}

    def _note_raised(self, before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> None:
        """Where a decision gives a canary more than before: it and the pods that the operator saw ready then."""
        was, now = before.rollout.weight if before.rollout else 0, after.rollout.weight if after.rollout else 0
        if after.canary and after.rollout and now > was:
            seen = self.seen.pods.get(after.canary.revision)
            self.raised.append((after.canary.revision, seen.available if seen else 0))


def _config(manifest: Manifest) -> Config:
    annotations = manifest["metadata"]["annotations"]
    known = _in_route(manifest["spec"]) if manifest["kind"] == "HTTPRoute" else _in_files(manifest["data"])
    return Config(annotations[names.CONFIG_VERSION], json.loads(annotations[names.WEIGHTS]), frozenset(known))


def _key(job: str) -> str:
    return job.rpartition("-")[2]


def _known_to(job: Manifest) -> str:
    (container,) = job["spec"]["template"]["spec"]["containers"]
    return RuntimeConfig.model_validate_json(container["env"][0]["value"]).known_uri or ""


def _in_files(data: Any) -> list[str]:
    return re.findall(r"^  name: '?([0-9a-f]{10})'?$", data["cds.yaml"], re.MULTILINE)


def _in_route(spec: Any) -> list[str]:
    return [ref["name"].removeprefix(f"{NAME}-") for ref in spec["rules"][0].get("backendRefs", [])]


def _drive(coroutine: Any) -> Any:
    """Run a coroutine that never waits for anything."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("the simulation never waits")
