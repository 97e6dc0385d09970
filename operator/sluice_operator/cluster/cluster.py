"""The cluster as reconciling sees it: read from memory, write what differs, tell people. Joins this package's parts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol

from sluice_operator.api.base import Manifest
from sluice_operator.api.resource import API_VERSION, KIND, ModelDeployment, Reported
from sluice_operator.api.status import ModelDeploymentStatus
from sluice_operator.cluster import observe, problems
from sluice_operator.cluster.apply import Applier
from sluice_operator.cluster.cache import Cache, Key
from sluice_operator.cluster.client import Client
from sluice_operator.cluster.errors import Gone
from sluice_operator.cluster.events import Recorder
from sluice_operator.cluster.gateway import GatewayObserver
from sluice_operator.cluster.kinds import MODEL_DEPLOYMENT
from sluice_operator.cluster.observe import Seen
from sluice_operator.cluster.told import Told
from sluice_operator.planning import comparing, outages, questions
from sluice_operator.planning.comparison import Comparison, Tolerance
from sluice_operator.planning.observed import Answer, Observed, RouterPod, RouterState, Window
from sluice_operator.planning.plan import EventNote, Plan
from sluice_operator.planning.questions import Question
from sluice_operator.planning.situation import HELD


class Traffic(Protocol):
    """Asks routers and runtimes over HTTP; see `cluster.traffic`."""

    async def routers(self, pods: Sequence[tuple[str, str, bool]], revisions: Sequence[str]) -> tuple[RouterPod, ...]:
        """What each router pod (name, IP, ready) applies."""

    async def windows(
        self,
        key: Key,
        router_ips: Sequence[str] | None,
        model_pod_ips: Mapping[str, Sequence[str]],
        witness: str | None = None,
    ) -> Mapping[str, Window] | None:
        """What each revision did since the window of `key` opened; without routers to ask, by the pods' word alone."""

    def open_window(self, key: Key) -> None:
        """Open a new window."""

    def forget(self, key: Key) -> None:
        """Drop the window."""

    async def comparison(
        self, key: Key, versions: tuple[str, str], pod_ips: Mapping[str, Sequence[str]], tolerance: Tolerance
    ) -> Comparison:
        """What stable and canary said to the same requests."""

    def forget_comparison(self, key: Key) -> None:
        """Drop what they said."""


class Outside(Protocol):
    """Asks services outside of the cluster; see `cluster.outside`."""

    def answers(self, key: Key, namespace: str, questions: Sequence[Question]) -> Mapping[str, Answer]:
        """What is answered by now, by question; never waits."""


class Cluster:
    """All reads and writes of a pass. Raises the errors of `cluster.errors`, nothing else."""

    def __init__(
        self,
        client: Client,
        cache: Cache,
        traffic: Traffic,
        outside: Outside,
        clock: Callable[[], datetime],
        *,
        absent: Callable[[], frozenset[str]] = frozenset,
    ) -> None:
        self._client = client
        self._cache = cache
        self._traffic = traffic
        self._outside = outside
        self._clock = clock
        self._absent = absent
        self._gateway = GatewayObserver()
        self._told = Told(client, clock)
        self._applier = Applier(client, cache)
        self._recorder = Recorder(client, clock)

    def exists(self, key: Key) -> bool:
        """Whether the ModelDeployment is in the cache."""
        return self._cache.get(MODEL_DEPLOYMENT, *key) is not None

    def get(self, namespace: str, name: str) -> ModelDeployment | None:
        """The resource as last seen, None where it is gone or going; raises SpecNotUnderstoodError."""
        body = self._cache.get(MODEL_DEPLOYMENT, namespace, name)
        if body is None or body["metadata"].get("deletionTimestamp"):
            # While it goes, its children belong to the garbage collector; bringing them back would fight it.
            self._traffic.forget(Key(namespace, name))
            self._gateway.forget(Key(namespace, name))
            self._traffic.forget_comparison(Key(namespace, name))
            self._outside.answers(Key(namespace, name), namespace, ())
            return None
        return ModelDeployment.parse(dict(body))

    async def observe(self, resource: ModelDeployment) -> Observed:
        """Everything about it that the cluster shows."""
        key = Key(resource.namespace, resource.name)
        silent = observe.silent(self._cache, key, self._clock())
        seen = observe.gather(self._cache, key, await self._told.warnings(silent))
        records, workloads = observe.records(seen), observe.workloads(seen)
        comparison = await self._comparison(resource, key, seen)
        windows = await self._windows(resource, key, seen, sorted(workloads), outages.witness(resource, records))
        return Observed(
            records=records,
            workloads=workloads,
            router=await self._router(resource, seen, sorted(workloads)),
            absent=self._absent(),
            resolvers=observe.resolvers(seen),
            materialization=observe.materialization(seen),
            windows=with_pairs(windows, resource, comparison),
            comparison=comparison,
            answers=self._outside.answers(key, key.namespace, questions.due(resource, self._clock())),
        )

    async def dry_run(self, manifests: Sequence[Manifest]) -> None:
        """Raises Refused where the API server would not take a manifest."""
        await self._applier.dry_run(manifests)

    async def write_status(self, resource: Reported, status: ModelDeploymentStatus) -> None:
        """Write status if it differs; raises Conflict where the resource has changed since it was read."""
        if status == resource.status:
            return
        try:
            answer = await self._client.replace(
                MODEL_DEPLOYMENT, resource.namespace, resource.name, _status_body(resource, status), "status"
            )
        except Gone:
            if stale := self._cache.get(MODEL_DEPLOYMENT, resource.namespace, resource.name):
                self._cache.drop(MODEL_DEPLOYMENT, stale)
            raise
        self._cache.put(MODEL_DEPLOYMENT, answer)

    async def apply(self, resource: ModelDeployment, plan: Plan) -> None:
        """Make objects, replicas and router hints true; raises Refused, Conflict, Unavailable."""
        await self._applier.apply(resource, plan)
        if plan.new_window:
            self._traffic.open_window(Key(resource.namespace, resource.name))

    async def record(self, resource: Reported, events: Sequence[EventNote]) -> None:
        """Tell a person."""
        for note in events:
            await self._recorder.record(resource, note)

    async def _router(self, resource: ModelDeployment, seen: Seen, revisions: Sequence[str]) -> RouterState:
        if resource.spec.router.gateway:
            return self._gateway.look(resource, seen, self._clock())
        deployment = observe.router_deployment(seen)
        pods = observe.router_pods(seen)
        reachable = [pod for pod in pods if problems.ready(pod) and observe.ip(pod)]
        asked = await self._traffic.routers([(_name(pod), observe.ip(pod), True) for pod in reachable], revisions)
        others = tuple(RouterPod(_name(pod), ready=False) for pod in pods if pod not in reachable)
        return RouterState(
            wanted=int(deployment["spec"].get("replicas", 1)) if deployment else 0,
            pods=(*asked, *others),
            weights=observe.weights(seen),
            problem=observe.router_problem(seen),
            former=bool(seen.routes),
        )

    async def _windows(
        self, resource: ModelDeployment, key: Key, seen: Seen, revisions: Sequence[str], witness: str | None
    ) -> Mapping[str, Window] | None:
        """Measurements, where a canary is being judged."""
        rollout = resource.status.rollout
        if rollout is None or rollout.phase not in HELD or resource.spec.rollout.analysis is None:
            self._traffic.forget(key)
            return None
        pods = {revision: observe.model_ips(seen, revision) for revision in revisions}
        return await self._traffic.windows(key, observe.routers_asked(resource, seen), pods, witness)

    async def _comparison(self, resource: ModelDeployment, key: Key, seen: Seen) -> Comparison | None:
        """What both versions say to the same requests, while these are copied."""
        status, mirror = resource.status, resource.spec.rollout.mirror
        if not (comparing.copied(resource) and status.stable and status.canary and mirror):
            self._traffic.forget_comparison(key)
            return None
        versions = (status.stable.revision, status.canary.revision)
        pods = {revision: observe.model_ips(seen, revision) for revision in versions}
        tolerance = Tolerance(mirror.compare.relative_tolerance, mirror.compare.absolute_tolerance)
        return await self._traffic.comparison(key, versions, pods, tolerance)


def with_pairs(
    windows: Mapping[str, Window] | None, resource: ModelDeployment, comparison: Comparison | None
) -> Mapping[str, Window] | None:
    """The windows, with what was compared in the canary's, if that could be read from all pods."""
    canary = resource.status.canary
    window = windows.get(canary.revision) if windows and canary else None
    if not (windows and canary and window and comparison and comparison.complete):
        return windows
    return {**windows, canary.revision: replace(window, pairs=comparison.pairs, different=comparison.different)}


def _name(pod: Mapping[str, Any]) -> str:
    return str(pod["metadata"]["name"])


def _status_body(resource: Reported, status: ModelDeploymentStatus) -> dict[str, Any]:
    metadata = {
        "namespace": resource.namespace,
        "name": resource.name,
        "uid": resource.uid,
        "resourceVersion": resource.resource_version,
    }
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "status": status.to_json()}
