"""What somebody who only looks sees of the cluster: resources from the cache, and what their pods did since last time.

It has windows of its own, so that looking never shifts the windows on which a canary is judged.
"""

from collections.abc import Iterable, Mapping

from sluice_operator.api.resource import ModelDeployment, Reported, SpecNotUnderstoodError
from sluice_operator.cluster import observe
from sluice_operator.cluster.cache import Cache, Key
from sluice_operator.cluster.cluster import Traffic
from sluice_operator.cluster.kinds import MODEL_DEPLOYMENT
from sluice_operator.planning.observed import Window


class Onlooker:
    """Reads and changes nothing. `traffic` must be nobody else's."""

    def __init__(self, cache: Cache, traffic: Traffic) -> None:
        self._cache = cache
        self._traffic = traffic
        self._rollouts: dict[tuple[str, str], tuple[int, bool]] = {}

    def versions(self) -> Mapping[tuple[str, str], int]:
        """The resource version of every ModelDeployment in the cache, by (namespace, name)."""
        return self._cache.versions(MODEL_DEPLOYMENT)

    def find(self, namespace: str, name: str) -> Reported | None:
        """One resource; without its spec where that cannot be read."""
        body = self._cache.get(MODEL_DEPLOYMENT, namespace, name)
        if body is None:
            return None
        try:
            return ModelDeployment.parse(dict(body))
        except SpecNotUnderstoodError as error:
            return error.resource

    def rolling_out(self) -> Iterable[tuple[str, str]]:
        """Those with a rollout under way. A status is read once: reading thousands each time would hold the loop."""
        self._rollouts = {key: self._rollout(key, version) for key, version in self.versions().items()}
        return [key for key, (_, under_way) in self._rollouts.items() if under_way]

    async def sample(self, resource: ModelDeployment) -> Mapping[str, Window] | None:
        """What each revision did since the last call for this resource; None the first time, and without an answer."""
        key = Key(resource.namespace, resource.name)
        seen = observe.gather(self._cache, key, {})
        pods = {revision: observe.model_ips(seen, revision) for revision in observe.workloads(seen)}
        windows = await self._traffic.windows(key, observe.routers_asked(resource, seen), pods)
        self._traffic.open_window(key)
        return windows

    def forget(self, namespace: str, name: str) -> None:
        """Nobody looks at this resource any more."""
        self._traffic.forget(Key(namespace, name))

    def _rollout(self, key: tuple[str, str], version: int) -> tuple[int, bool]:
        known = self._rollouts.get(key)
        if known is not None and known[0] == version:
            return known
        body = self._cache.get(MODEL_DEPLOYMENT, *key) or {}
        return version, bool((body.get("status") or {}).get("rollout"))
