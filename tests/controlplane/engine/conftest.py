"""The operator's I/O on a real API server, with a cache that is filled by listing."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from controlplane.apiserver import ApiServer
from controlplane.crd import definition
from sluice_operator import metrics
from sluice_operator.api.resource import ModelDeployment
from sluice_operator.cluster.audit import selector
from sluice_operator.cluster.cache import Cache
from sluice_operator.cluster.client import Client, load_configuration
from sluice_operator.cluster.cluster import Cluster
from sluice_operator.cluster.kinds import WATCHED
from sluice_operator.planning.comparison import Comparison
from sluice_operator.planning.observed import RouterPod, Window
from sluice_operator.planning.plan import Plan
from support.kube import Kube


class NoTraffic:
    """Routers that were never asked: there is no node for them to run on."""

    async def routers(self, pods: Sequence[tuple[str, str, bool]], revisions: Sequence[str]) -> tuple[RouterPod, ...]:
        assert not pods, "no pod can be ready here"
        return ()

    async def windows(
        self, key: Any, router_ips: Sequence[str] | None, model_pod_ips: Mapping[str, Sequence[str]], *_: Any
    ) -> Mapping[str, Window] | None:
        return None

    def open_window(self, key: Any) -> None:
        """Nothing to measure."""

    def forget(self, key: Any) -> None:
        """Nothing measured."""

    async def comparison(self, *_: Any) -> Comparison:
        raise AssertionError("no rollout gets so far that requests are copied")

    def forget_comparison(self, key: Any) -> None:
        """Nothing compared."""


class NobodyOutside:
    """No rollout gets so far that somebody is asked."""

    def answers(self, key: Any, namespace: str, questions: Sequence[Any]) -> Mapping[str, Any]:
        assert not questions
        return {}


@dataclass
class Workbench:
    """One namespace, seen through the operator's parts. `later` moves the operator's clock, in seconds."""

    kube: Kube
    client: Client
    cache: Cache = field(default_factory=Cache)
    later: float = 0.0
    cluster: Cluster = field(init=False)

    def __post_init__(self) -> None:
        self.cluster = Cluster(self.client, self.cache, NoTraffic(), NobodyOutside(), self.now)

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.later)

    async def look(self) -> None:
        """Fill the cache, as the watches would."""
        for kind in WATCHED:
            params = {"labelSelector": text} if (text := selector(kind)) else {}
            for obj in await self.client.list_all(kind, self.kube.namespace, params):
                self.cache.put(kind, obj)

    def create(self, name: str) -> None:
        """A ModelDeployment as a user makes it."""
        self.kube.apply(
            {
                "apiVersion": "sluice.dev/v1alpha1",
                "kind": "ModelDeployment",
                "metadata": {"name": name, "namespace": self.kube.namespace},
                "spec": {"model": {"uri": "http://store.example/m.tar.gz"}},
            }
        )

    async def resource(self, name: str) -> ModelDeployment:
        """The ModelDeployment as the cache holds it, made if it is not there."""
        await self.look()
        if self.cluster.get(self.kube.namespace, name) is None:
            self.create(name)
            await self.look()
        found = self.cluster.get(self.kube.namespace, name)
        assert found is not None
        return found

    async def writes_of(self, resource: ModelDeployment, plan: Plan) -> int:
        """How many writes it takes to carry a plan out."""
        before = writes()
        await self.cluster.apply(resource, plan)
        return int(writes() - before)


def writes() -> float:
    """All writes this process has made so far."""
    samples = (sample for family in metrics.API_WRITES.collect() for sample in family.samples)
    return sum(sample.value for sample in samples if sample.name.endswith("_total"))


@pytest.fixture(scope="session")
def kube(api_server: ApiServer) -> Iterator[Kube]:
    with api_server.namespace("cp") as connected:
        definition.install(connected)
        yield connected


@pytest.fixture
async def bench(api_server: ApiServer, kube: Kube) -> AsyncIterator[Workbench]:
    """A fresh namespace."""
    client = Client(await load_configuration(str(api_server.kubeconfig)))
    with api_server.namespace("cp") as fresh:
        yield Workbench(fresh, client)
    await client.close()
