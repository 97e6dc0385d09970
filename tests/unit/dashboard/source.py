"""A source of resources and measurements that a test fills."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sluice_operator.api.resource import ModelDeployment, Reported
from sluice_operator.api.spec import ModelDeploymentSpec
from sluice_operator.api.status import ModelDeploymentStatus
from sluice_operator.planning.observed import Window

STABLE = {"revision": "aaaa", "specHash": "s1", "uri": "http://store/1.tar.gz"}
CANARY = {"revision": "bbbb", "specHash": "s2", "uri": "http://store/2.tar.gz"}
ROLLOUT = {"phase": "Stepping", "startedAt": "2026-01-01T00:00:00Z", "verifiedWeight": 25}


def resource(name: str = "shop", **status: object) -> ModelDeployment:
    """A ModelDeployment with a stable version, and whatever else its status is to say."""
    spec = ModelDeploymentSpec.model_validate({"model": {"uri": "http://store/1.tar.gz"}})
    found = ModelDeploymentStatus.model_validate({"stable": STABLE, **status})
    return ModelDeployment("team", name, "uid", 1, "1", found, spec)


@dataclass
class Fake:
    """`did` is what each revision did between two looks."""

    resources: dict[tuple[str, str], Reported] = field(default_factory=dict)
    did: Mapping[str, Window] | None = field(default_factory=dict)
    sampled: list[str] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)

    def put(self, *resources: ModelDeployment) -> None:
        self.resources.update({(one.namespace, one.name): one for one in resources})

    def versions(self) -> Mapping[tuple[str, str], int]:
        return {key: int(one.resource_version) for key, one in self.resources.items()}

    def find(self, namespace: str, name: str) -> Reported | None:
        return self.resources.get((namespace, name))

    def rolling_out(self) -> Iterable[tuple[str, str]]:
        return [key for key, one in self.resources.items() if one.status.rollout]

    async def sample(self, resource: ModelDeployment) -> Mapping[str, Window] | None:
        self.sampled.append(resource.name)
        return self.did

    def forget(self, namespace: str, name: str) -> None:
        self.forgotten.append(name)
