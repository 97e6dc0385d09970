"""Looks at what routers and runtimes report while somebody would want to see it: during a rollout, and when watched."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from sluice_operator.api.resource import ModelDeployment, Reported
from sluice_operator.dashboard.series import Sample, Series, point
from sluice_operator.planning.observed import Window
from sluice_operator.planning.traffic import live_revisions

log = logging.getLogger(__name__)

SECONDS = 5.0
WATCHED_SECONDS = 30.0
"""How long a model counts as watched after somebody asked for it."""
AT_ONCE = 8

Key = tuple[str, str]


class Source(Protocol):
    """Where resources and measurements come from; see `cluster.onlooker`."""

    def versions(self) -> Mapping[Key, int]:
        """Every resource, with a number that changes whenever the resource does."""

    def find(self, namespace: str, name: str) -> Reported | None:
        """One resource; without its spec where that cannot be read."""

    def rolling_out(self) -> Iterable[Key]:
        """Those with a rollout under way."""

    async def sample(self, resource: ModelDeployment) -> Mapping[str, Window] | None:
        """What each revision did since the last call for this resource; None the first time, and without an answer."""

    def forget(self, namespace: str, name: str) -> None:
        """This resource is not sampled any more."""


class Sampler:
    """Fills the series. `clock` gives Unix time in seconds."""

    def __init__(self, source: Source, series: Series, clock: Callable[[], float] = time.time) -> None:
        self._source = source
        self._series = series
        self._clock = clock
        self._watched: dict[Key, float] = {}
        self._sampled: set[Key] = set()

    def watch(self, key: Key) -> None:
        """Somebody looks at this model."""
        self._watched[key] = self._clock()

    async def run(self) -> None:
        """Sample for ever. A look that fails is logged; the plots have a gap then, and nothing else suffers."""
        while True:
            try:
                await self.look()
            except Exception as error:
                log.warning("the dashboard's plots miss a sample: %s", error, exc_info=error)
            await asyncio.sleep(SECONDS)

    async def look(self) -> None:
        """One sample of every model worth it."""
        now = self._clock()
        self._watched = {key: at for key, at in self._watched.items() if now - at < WATCHED_SECONDS}
        known = self._source.versions().keys()
        chosen = known & {*self._watched, *self._source.rolling_out()}
        for key in self._sampled - chosen:
            self._source.forget(*key)
        self._sampled &= chosen
        self._series.keep_only(known)
        limit = asyncio.Semaphore(AT_ONCE)
        await asyncio.gather(*(self._sample(key, limit) for key in chosen))

    async def _sample(self, key: Key, limit: asyncio.Semaphore) -> None:
        resource = self._source.find(*key)
        if not isinstance(resource, ModelDeployment):
            return
        async with limit:
            windows = await self._source.sample(resource)
        last, now = self._series.last(key), self._clock()
        seconds = now - last.time if last and key in self._sampled else None
        self._sampled.add(key)
        points = {rev: point(share, (windows or {}).get(rev), seconds) for rev, share in _shares(resource).items()}
        self._series.add(key, Sample(now, points))


def _shares(resource: ModelDeployment) -> dict[str, int]:
    """Verified percent of the requests, of every revision with pods."""
    status = resource.status
    carried = status.rollout.verified_weight if status.rollout else 0
    shares = dict.fromkeys(live_revisions(status), 0)
    if status.canary:
        shares[status.canary.revision] = carried
    if status.stable:
        shares[status.stable.revision] = 100 - carried
    return shares
