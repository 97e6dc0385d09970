"""A small world that carries plans out, so that whole rollouts can be walked in memory, pass by pass."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import TypeAdapter

from sluice_operator.api import names
from sluice_operator.api.resource import ModelDeployment
from sluice_operator.api.spec import ModelDeploymentSpec
from sluice_operator.api.status import ModelDeploymentStatus
from sluice_operator.planning import comparing
from sluice_operator.planning.comparison import Comparison
from sluice_operator.planning.observed import (
    Answer,
    Materialization,
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
from sluice_operator.planning.planner import Images, plan
from sluice_operator.planning.policy import NO_DEMANDS, Policy

IMAGES = Images(runtime="runtime:1", router="envoy:1")
START = datetime(2026, 1, 1, tzinfo=UTC)
_RECORD = TypeAdapter(RevisionRecord)
DIGEST = "sha256:" + "0" * 64


def make_spec(uri: str = "http://store/m-1.tar.gz", **changes: Any) -> dict[str, Any]:
    """A spec on the wire; `digest` is set, so that nothing needs resolving unless it is removed."""
    model = {"uri": uri, "digest": DIGEST}
    return {
        "model": model,
        "rollout": {"steps": [{"weight": 10, "hold": "10s"}, {"weight": 50, "hold": "10s"}]},
    } | changes


@dataclass
class World:
    """`ready` says whether a revision's pods get ready, `problems` what ails them, `windows` what they answer."""

    spec: dict[str, Any]
    status: ModelDeploymentStatus = field(default_factory=ModelDeploymentStatus)
    now: datetime = START
    generation: int = 1
    records: dict[str, RevisionRecord] = field(default_factory=dict)
    wanted: dict[str, int] = field(default_factory=dict)
    ready: dict[str, bool] = field(default_factory=dict)
    problems: dict[str, Problem] = field(default_factory=dict)
    resolvers: dict[str, Resolver] = field(default_factory=dict)
    windows: dict[str, Window] | None = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    comparison: Comparison | None = None
    weights: dict[str, int] = field(default_factory=dict)
    router_version: str = ""
    router_knows: set[str] = field(default_factory=set)
    routers: int = 2
    former: bool = False
    absent: frozenset[str] = frozenset()
    materialization: Materialization = field(default_factory=Materialization)
    refused: Problem | None = None
    images: Images = IMAGES
    routers_follow: bool = True
    routers_refuse: bool = False
    objects: tuple[Any, ...] = ()
    events: list[EventNote] = field(default_factory=list)
    writes: int = 0
    request: str = ""
    demands: Policy = NO_DEMANDS

    @property
    def resource(self) -> ModelDeployment:
        spec = ModelDeploymentSpec.model_validate(self.spec)
        return ModelDeployment(
            "shop", "m", "uid-1", self.generation, "1", self.status, spec, request=self.request, manager="argocd"
        )

    def observe(self) -> Observed:
        workloads = {rev: self._workload(rev) for rev in self.wanted}
        healthy = {rev: pods.available for rev, pods in workloads.items() if rev in self.router_knows}
        pods = tuple(
            RouterPod(f"r{i}", True, self.router_version, healthy, refused=self.routers_refuse)
            for i in range(self.routers)
        )
        return Observed(
            records=dict(self.records),
            workloads=workloads,
            router=RouterState(wanted=2, pods=pods, weights=self.weights, former=self.former),
            resolvers=self.resolvers,
            windows=self.windows,
            comparison=self.comparison if comparing.copied(self.resource) else None,
            answers=self.answers,
            absent=self.absent,
            materialization=self.materialization,
            refused=self.refused,
        )

    def _workload(self, revision: str) -> Workload:
        count = self.wanted[revision]
        ready = count if self.ready.get(revision, True) else 0
        return Workload(wanted=count, ready=ready, available=ready, problem=self.problems.get(revision))

    def think(self) -> Plan:
        return plan(self.resource, self.observe(), self.now, self.images, demands=self.demands)

    def run(self) -> Plan:
        """One pass; what it decided is carried out."""
        decided = self.think()
        self.writes += decided.status != self.status
        self.status = ModelDeploymentStatus.model_validate(decided.status.to_json())
        self.carry_out(decided)
        return decided

    def carry_out(self, decided: Plan) -> None:
        self.events.extend(decided.events)
        self.objects = decided.objects
        self.records = {m["data"]["revision"]: record_of(m["data"]) for m in self.of_kind("ControllerRevision")}
        live = [m["metadata"]["labels"][names.REVISION] for m in self.of_kind("Deployment") if _is_model(m)]
        scales = {name.removeprefix("m-"): count for name, count in decided.scales.items()}
        self.wanted = {rev: scales.get(rev, self.wanted.get(rev, 1)) for rev in live}
        if self.routers_follow:
            self.router_version = decided.router_version
            self.router_knows = set(live)
            self.weights = _weights([*self.of_kind("ConfigMap"), *self.of_kind("HTTPRoute")])

    def of_kind(self, kind: str) -> list[Any]:
        return [manifest for manifest in self.objects if manifest["kind"] == kind]

    def settle(self, passes: int = 30) -> "World":
        """Run until a pass changes nothing."""
        for _ in range(passes):
            before = self.status
            self.run()
            if self.status == before:
                return self
        raise AssertionError(f"did not settle: {self.status}")

    def wait(self, seconds: float) -> "World":
        self.now += timedelta(seconds=seconds)
        return self.settle()

    def ask(self, **changes: Any) -> "World":
        """A new spec."""
        self.spec = {**self.spec, **changes}
        self.generation += 1
        return self

    def ask_version(self, number: int) -> "World":
        return self.ask(model={"uri": f"http://store/m-{number}.tar.gz", "digest": DIGEST})

    def please(self, action: str, **more: Any) -> "World":
        """A person asks; the answer is in status.requests."""
        self.request = json.dumps({"id": f"{action}-{self.now.timestamp()}", "action": action, **more})
        return self

    def condition(self, kind: str) -> Any:
        return next(condition for condition in self.status.conditions if condition.type == kind)


def _is_model(manifest: Any) -> bool:
    return bool(manifest["metadata"]["labels"][names.COMPONENT] == "model")


def record_of(data: Any) -> RevisionRecord:
    """What a ControllerRevision holds."""
    return _RECORD.validate_python(data)


def _weights(told: list[Any]) -> dict[str, int]:
    """What the router is told; nothing where there is no such kind of router."""
    texts = (manifest["metadata"]["annotations"][names.WEIGHTS] for manifest in told)
    loaded: dict[str, int] = json.loads(next(texts, "{}"))
    return loaded
