"""What somebody who only looks sees of the cluster: resources from the cache, and what their pods did since last time.

It has windows of its own, so that looking never shifts the windows on which a canary is judged.
"""

from collections.abc import Iterable, Mapping, Set
from typing import Any

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

    def keys(self) -> Set[tuple[str, str]]:
        """Every ModelDeployment in the cache, as (namespace, name)."""
        return self._cache.keys()

    def version(self, namespace: str, name: str) -> str:
        """The resource version last seen; empty where there is none."""
        body = self._body(namespace, name)
        return str(body["metadata"].get("resourceVersion", "")) if body else ""

    def find(self, namespace: str, name: str) -> Reported | None:
        """One resource; without its spec where that cannot be read."""
        body = self._body(namespace, name)
        if body is None:
            return None
        try:
            return ModelDeployment.parse(dict(body))
        except SpecNotUnderstoodError as error:
            return error.resource

    def rolling_out(self) -> Iterable[tuple[str, str]]:
        """Those with a rollout under way, told from raw status: parsing all of them would hold the loop."""
        bodies = ((key, self._body(*key)) for key in self.keys())
        return [key for key, body in bodies if body and (body.get("status") or {}).get("rollout")]

    async def sample(self, resource: ModelDeployment) -> Mapping[str, Window] | None:
        """What each revision did since the last call for this resource; None the first time, and without an answer."""
        key = Key(resource.namespace, resource.name)
        seen = observe.gather(self._cache, key, {})
        pods = {revision: observe.model_ips(seen, revision) for revision in observe.workloads(seen)}
        windows = await self._traffic.windows(key, observe.router_ips(seen), pods)
        self._traffic.open_window(key)
        return windows

    def forget(self, namespace: str, name: str) -> None:
        """Nobody looks at this resource any more."""
        self._traffic.forget(Key(namespace, name))

    def _body(self, namespace: str, name: str) -> Mapping[str, Any] | None:
        return self._cache.get(MODEL_DEPLOYMENT, namespace, name)
