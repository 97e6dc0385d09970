"""Which of the kinds that a cluster may lack it has: Gateway API's are there only where somebody has installed them.

The framework looks for kinds once, when its watches begin; so they are asked for before, and now and then after that.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable

from sluice_operator.cluster.cache import Cache
from sluice_operator.cluster.errors import ClusterError
from sluice_operator.cluster.kinds import ENDPOINT_SLICE, HTTP_ROUTE, ROUTES, WATCHED, Kind

log = logging.getLogger(__name__)


class Optional:
    """What is there of them, by what `served` answers. `known` is set once it has answered."""

    def __init__(self, served: Callable[[Kind], Awaitable[bool]], cache: Cache) -> None:
        self._served = served
        self._cache = cache
        self._routes: tuple[Kind, ...] = ()
        self.known = asyncio.Event()

    def watched(self) -> tuple[Kind, ...]:
        """Every kind that the cache holds. Who can reach a revision is of interest to gateways alone."""
        return (*WATCHED, *self._routes, *((ENDPOINT_SLICE,) if HTTP_ROUTE in self._routes else ()))

    def absent(self) -> frozenset[str]:
        """The kinds that are not there."""
        return frozenset(kind.kind for kind in ROUTES if kind not in self._routes)

    async def changed(self) -> bool:
        """Ask again; whether something came or went. An API server that says nothing has changed nothing."""
        try:
            routes = tuple([kind for kind in ROUTES if await self._served(kind)])
        except ClusterError as error:
            log.debug("cannot ask for the kinds of Gateway API: %s", error)
            return False
        first, before = not self.known.is_set(), self.watched()
        self._routes = routes
        self.known.set()
        self._forget(kind for kind in before if kind not in self.watched())
        return first or before != self.watched()

    def _forget(self, gone: Iterable[Kind]) -> None:
        """Objects of a kind go with it, and nobody tells."""
        for kind in gone:
            for (namespace, name), at in self._cache.versions(kind).items():
                self._cache.drop_at(kind, namespace, name, at)
