"""Proves that the cache holds what the API server has, by asking it, instead of trusting the watch.

At the start nothing may be planned from a half-filled cache: work begins when every kind was listed and the cache
held all of it. Later, a watch that was away too long lists again, and a listing cannot say what is missing: objects
deleted meanwhile would stay for ever. So each audit lists names and versions only, drops what is gone, and notices a
watch that has silently stopped.
"""

import asyncio
import itertools
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress

from sluice_operator import metrics
from sluice_operator.api.names import MANAGED_BY
from sluice_operator.cluster.cache import Cache, Key
from sluice_operator.cluster.client import Client, Listing
from sluice_operator.cluster.errors import ClusterError
from sluice_operator.cluster.kinds import MODEL_DEPLOYMENT, Kind
from sluice_operator.cluster.optional import Optional

log = logging.getLogger(__name__)

EVERY_SECONDS = 300.0
SYNC_POLL_SECONDS = 0.1
SYNC_POLLS = 30
LATE_SECONDS = 30.0
"""A watch that has not shown within this time what a listing showed has stopped."""


def selector(kind: Kind) -> str:
    """Label selector that the watch of a kind uses; ModelDeployments are seen whatever their labels."""
    return "" if kind is MODEL_DEPLOYMENT else f"{MANAGED_BY}=sluice"


class Audit:
    """Compares cache and API server. `synced` is set once the cache was complete; `late` names watches that stopped."""

    def __init__(
        self,
        client: Client,
        cache: Cache,
        namespaces: Iterable[str],
        changed: Callable[[Key], None],
        optional: Optional,
    ) -> None:
        self._client = client
        self._cache = cache
        self._optional = optional
        self._namespaces: list[str | None] = list(namespaces) or [None]
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._asked: set[Kind] = set()
        self._wake = asyncio.Event()
        self.synced = asyncio.Event()
        self.late: set[Kind] = set()

    def ask(self, kind: Kind) -> None:
        """A watch of this kind has listed again: look for what vanished."""
        if self.synced.is_set():
            self._asked.add(kind)
            self._wake.set()

    async def run(self) -> None:
        """Wait until the cache is complete, then audit now and then, and when asked; never returns."""
        await self._sync()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(EVERY_SECONDS):
                    await self._wake.wait()
                    # The framework is still handing out what it listed.
                    await asyncio.sleep(1.0)
            self._wake.clear()
            kinds, self._asked = self._asked or set(self._optional.watched()), set()
            for kind in kinds:
                await self._check(kind)

    async def catch_up(self, wanted: Callable[[], bool]) -> None:
        """Wait until the cache holds what the API server has now, for as long as that is `wanted`.

        An operator that takes over plans on what its predecessor wrote last. A watch that does not show it is late.
        """
        for kind in self._optional.watched():
            for tries in itertools.count():
                if not wanted() or await self._arrived(kind):
                    break
                if tries * SYNC_POLL_SECONDS * SYNC_POLLS > LATE_SECONDS:
                    self.late.add(kind)

    async def _sync(self) -> None:
        await self._optional.known.wait()
        for kind in self._optional.watched():
            while not await self._arrived(kind):
                log.debug("%s have not all arrived yet", kind.plural)
        log.info("the cache is complete: %d ModelDeployments", len(self._cache.keys()))
        self.synced.set()

    async def _arrived(self, kind: Kind) -> bool:
        """Whether everything of this kind arrives soon. What goes meanwhile never will: then it is listed again."""
        try:
            listings = await self._list(kind)
        except ClusterError as error:
            log.debug("cannot list %s: %s", kind.plural, error)
            await asyncio.sleep(SYNC_POLL_SECONDS)
            return False
        for _ in range(SYNC_POLLS):
            if not self._missing(kind, listings):
                return True
            await asyncio.sleep(SYNC_POLL_SECONDS)
        return False

    async def _check(self, kind: Kind) -> None:
        try:
            listings = await self._list(kind)
        except ClusterError as error:
            log.debug("cannot audit %s: %s", kind.plural, error)
            return
        for namespace, listing in zip(self._namespaces, listings, strict=True):
            self._drop_ghosts(kind, namespace, listing)
        # Being behind is normal for a moment. What was listed now must have arrived a while later.
        self._loop.call_later(LATE_SECONDS, self._judge, kind, listings)

    def _judge(self, kind: Kind, listings: list[Listing]) -> None:
        if missing := self._missing(kind, listings):
            log.error("the watch of %s has stopped: it never showed %s", kind.plural, ", ".join(missing[:5]))
            self.late.add(kind)
        else:
            self.late.discard(kind)

    def _drop_ghosts(self, kind: Kind, namespace: str | None, listing: Listing) -> None:
        held = self._cache.versions(kind)
        known = {place for place, seen in held.items() if seen <= listing.at and namespace in (None, place[0])}
        for place in known - set(listing.versions):
            log.info("%s %s/%s went while the watch was away", kind.kind, *place)
            metrics.GHOSTS.labels(kind.kind).inc()
            for key in self._cache.drop_at(kind, *place, held[place]):
                self._changed(key)

    def _missing(self, kind: Kind, listings: list[Listing]) -> list[str]:
        """Names that the cache has not seen at the listed version."""
        seen = ((place, at) for listing in listings for place, at in listing.versions.items())
        return [place[1] for place, at in seen if not self._cache.knows(kind, *place, at)]

    async def _list(self, kind: Kind) -> list[Listing]:
        params = {"labelSelector": text} if (text := selector(kind)) else {}
        return [await self._client.list_versions(kind, ns, params) for ns in self._namespaces]
