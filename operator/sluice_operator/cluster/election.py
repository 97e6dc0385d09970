"""Sees to it that of several operators one acts: the holder of a Lease.

Nobody's wall clock is believed. A standby counts the seconds since it last *saw* the Lease change, by its own clock;
the leader counts from before it *asked* for the renewal, and stops to act `LEASE_SECONDS - ACT_SECONDS` before anybody
may take over. So clocks that jump, an API server that hangs and a process that was frozen never make two act at once.

The election of `kubernetes.aio` is not used: it reads the wall clock, bounds no request, cannot give the Lease back,
and goes on to act while a renewal hangs.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Protocol

from sluice_operator.cluster.errors import ClusterError, Gone, Refused
from sluice_operator.cluster.kinds import LEASE, Kind

log = logging.getLogger(__name__)

Json = dict[str, Any]

LEASE_SECONDS = 10
"""How long the others wait after the last renewal they saw."""
ACT_SECONDS = 7.0
"""How long the leader acts after the last renewal that succeeded, counted from before it was asked for."""
RENEW_SECONDS = 2.0
LOOK_SECONDS = 1.0
ATTEMPT_SECONDS = 2.5
RELEASE_SECONDS = 1.0

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Runs on while the machine is suspended, where there is such a clock: the others' clocks run on, too."""


def uptime() -> float:
    """Seconds of a clock that nobody sets."""
    return time.clock_gettime(_CLOCK)


class Leadership(Protocol):
    """Whether this process may act."""

    def leads(self) -> bool:
        """Whether it may act now; asked before every write."""

    def problem(self) -> str:
        """Why it cannot take part, empty where it can."""

    async def run(self) -> None:
        """Take part; never returns."""

    async def won(self) -> None:
        """Return while it may act."""

    async def lost(self) -> None:
        """Return when it may act no more."""

    async def release(self) -> None:
        """Let another take over at once; to be called after `run` has ended."""


class Alone:
    """There is one operator, and it always acts."""

    def leads(self) -> bool:
        """It does."""
        return True

    def problem(self) -> str:
        """None."""
        return ""

    async def run(self) -> None:
        """Nothing is to be done."""
        await asyncio.Event().wait()

    async def won(self) -> None:
        """From the beginning."""

    async def lost(self) -> None:
        """Never."""
        await asyncio.Event().wait()

    async def release(self) -> None:
        """Nobody waits."""


class Leases(Protocol):
    """The API server; see `cluster.client`."""

    async def get(self, kind: Kind, namespace: str, name: str) -> Json:
        """Raises Gone."""

    async def create(self, kind: Kind, namespace: str, body: Json) -> Json:
        """Raises Conflict where it exists."""

    async def replace(self, kind: Kind, namespace: str, name: str, body: Json) -> Json:
        """Raises Conflict where it has changed since it was read."""


class Election:
    """Takes and renews the Lease `namespace`/`name` for `identity`, which no other process may bear."""

    def __init__(
        self, leases: Leases, namespace: str, name: str, identity: str, clock: Callable[[], float] = uptime
    ) -> None:
        self._leases = leases
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._clock = clock
        self._until = 0.0
        self._seen: tuple[Any, ...] | None = None
        self._seen_at = 0.0
        self._problem = ""
        self._changed = asyncio.Event()

    def leads(self) -> bool:
        """Whether the last renewal is recent enough to act."""
        return self._clock() < self._until

    def problem(self) -> str:
        """What the API server refused."""
        return self._problem

    async def run(self) -> None:
        """Look, take, renew; for ever."""
        while True:
            done = await self._attempt()
            await asyncio.sleep(RENEW_SECONDS if done and self.leads() else LOOK_SECONDS)

    async def won(self) -> None:
        """Return while this process leads."""
        while not self.leads():
            await self._changed.wait()
            self._changed.clear()

    async def lost(self) -> None:
        """Return when this process no longer leads, at the deadline at the latest."""
        while (left := self._until - self._clock()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._changed.wait()
            self._changed.clear()

    async def release(self) -> None:
        """Give the Lease back; where that fails, the others wait until it has expired."""
        held, self._until = self.leads(), 0.0
        if not held:
            return
        try:
            async with asyncio.timeout(RELEASE_SECONDS):
                live = await self._leases.get(LEASE, self._namespace, self._name)
                if _spec(live).get("holderIdentity") == self._identity:
                    await self._leases.replace(LEASE, self._namespace, self._name, self._released(live))
        except (TimeoutError, ClusterError) as error:
            log.info("the lease was not given back: %r", error)

    async def _attempt(self) -> bool:
        """Try once; whether the API server answered as hoped."""
        try:
            async with asyncio.timeout(ATTEMPT_SECONDS):
                await self._take_or_renew()
        except Refused as error:
            if not self._problem:
                log.error("cannot take part in the election: %s", error)
            self._problem = f"cannot take part in the election: {error}"
            return False
        except (TimeoutError, ClusterError) as error:
            log.debug("the lease was not renewed: %r", error)
            return False
        self._problem = ""
        return True

    async def _take_or_renew(self) -> None:
        asked = self._clock()
        live = await self._read()
        if not self._free(live):
            self._lead_until(0.0)
            return
        if live is None:
            await self._leases.create(LEASE, self._namespace, self._held({}))
        else:
            await self._leases.replace(LEASE, self._namespace, self._name, self._held(live))
        self._lead_until(asked + ACT_SECONDS)

    async def _read(self) -> Json | None:
        try:
            return await self._leases.get(LEASE, self._namespace, self._name)
        except Gone:
            return None

    def _free(self, live: Mapping[str, Any] | None) -> bool:
        """Whether it is ours, was given back, or has not changed for its whole duration.

        One that is not there has to stay so just as long: whoever deleted it did not end its holder, and an operator
        of a version that knew no Lease goes only once this one is ready.
        """
        spec = _spec(live or {})
        holder = spec.get("holderIdentity")
        ours = self.leads() if live is None else not holder or holder == self._identity
        if ours:
            return True
        seen = (holder, spec.get("renewTime"), spec.get("leaseTransitions"))
        if seen != self._seen:
            self._seen, self._seen_at = seen, self._clock()
        return self._clock() - self._seen_at > (spec.get("leaseDurationSeconds") or LEASE_SECONDS)

    def _lead_until(self, until: float) -> None:
        if until and not self.leads():
            log.info("this operator leads")
        self._until = until
        self._changed.set()

    def _held(self, live: Mapping[str, Any]) -> Json:
        """The Lease as ours. Its times are for people: no operator reads them."""
        spec, now = _spec(live), _stamp()
        ours = spec.get("holderIdentity") == self._identity
        return self._body(
            live,
            {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": LEASE_SECONDS,
                "acquireTime": spec.get("acquireTime", now) if ours else now,
                "renewTime": now,
                "leaseTransitions": int(spec.get("leaseTransitions") or 0) + (not ours),
            },
        )

    def _released(self, live: Mapping[str, Any]) -> Json:
        return self._body(live, {key: value for key, value in _spec(live).items() if key != "holderIdentity"})

    def _body(self, live: Mapping[str, Any], spec: Mapping[str, Any]) -> Json:
        metadata = live.get("metadata") or {"namespace": self._namespace, "name": self._name}
        return {"apiVersion": LEASE.api_version, "kind": LEASE.kind, "metadata": metadata, "spec": spec}


def _spec(live: Mapping[str, Any]) -> Mapping[str, Any]:
    return live.get("spec") or {}


def _stamp() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
