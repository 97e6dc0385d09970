"""Asks routers and runtimes what really happens: which configuration is applied, who is healthy, how requests end.

No metrics server stands between: the answers are as fresh as the look, and a rollout needs nothing else installed.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import aiohttp
from yarl import URL

from sluice_operator.cluster import prometheus_text, router_stats
from sluice_operator.cluster.answers import AnswerObserver
from sluice_operator.cluster.increments import Increments
from sluice_operator.planning import outages
from sluice_operator.planning.observed import RouterPod, Window
from sluice_operator.planning.outages import Calls, Outages
from sluice_operator.routing.envoy_bootstrap import UPTIME_LAG_SECONDS
from sluice_operator.routing.envoy_layout import READ_ONLY_PORT, RUNTIME_PORT

logger = logging.getLogger(__name__)

_TIMEOUT = aiohttp.ClientTimeout(total=1)

Key = Hashable
Stats = TypeVar("Stats")


@dataclass
class _Measured:
    """The open window of one ModelDeployment. `store` counts within a slice of `outages`, and of the pods that come the
    same ones as `failures`.
    """

    answers: Increments[str]
    latency: Increments[float]
    failures: Increments[str]
    store: Increments[str]
    outages: Outages

    @classmethod
    def at(cls, now: float) -> "_Measured":
        """Opened now."""
        return cls(Increments(now), Increments(now), Increments(now), Increments(now), Outages(now))

    def reopen(self, now: float) -> None:
        """Start again from the last look."""
        for increments in (self.answers, self.latency, self.failures):
            increments.reopen(now)
        self.store.opened_at = now
        self.outages.open_window()


class TrafficObserver:
    """Polls pods over HTTP. A pod that does not answer within a second is a fault of the measurement, never an
    exception. `clock` gives Unix time in seconds.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        router_port: int = READ_ONLY_PORT,
        runtime_port: int = RUNTIME_PORT,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._http = http
        self._router_port = router_port
        self._runtime_port = runtime_port
        self._clock = clock
        self._measured: dict[Key, _Measured] = {}
        self._answers = AnswerObserver(http, runtime_port)
        self.comparison = self._answers.comparison
        self.forget_comparison = self._answers.forget

    async def routers(self, pods: Sequence[tuple[str, str, bool]], revisions: Sequence[str]) -> tuple[RouterPod, ...]:
        """What each router (name, IP, ready) applies, and the members it holds healthy of each revision."""
        found = await asyncio.gather(*(self._router(ip) for _, ip, _ in pods))
        return tuple(
            RouterPod(name, ready, stats.version, stats.healthy(revisions), stats.certificate, stats.refused)
            if stats
            else RouterPod(name, ready)
            for (name, _, ready), stats in zip(pods, found, strict=True)
        )

    async def windows(
        self,
        key: Key,
        router_ips: Sequence[str] | None,
        model_pod_ips: Mapping[str, Sequence[str]],
        witness: str | None = None,
    ) -> Mapping[str, Window] | None:
        """What each revision did since the window of `key` opened; the first call opens it.

        Empty on that call, None while a router does not answer. A revision of which a pod does not answer has the
        latency None this time: the slow pods would be the ones that are missing. Without routers that could be asked
        (None) the runtimes count the errors, and each of them has to answer. `witness`: the revision whose calls tell
        whether the feature store is there.
        """
        now = self._clock()
        pods = [(revision, ip) for revision, ips in model_pod_ips.items() for ip in ips]
        # A router is asked before the pods whose refusals are to explain its errors.
        routers = await asyncio.gather(*(self._router(ip) for ip in router_ips or ()))
        runtimes = await asyncio.gather(*(self._runtime(ip) for _, ip in pods))
        counting = runtimes if router_ips is None else routers
        complete = bool(counting) and None not in counting
        first_look = key not in self._measured
        if first_look and not complete:
            return None
        measured = self._measured.setdefault(key, _Measured.at(now))
        _add_routers(measured.answers, router_ips or (), routers, now)
        _add_runtimes(measured, pods, runtimes)
        silent = {revision for (revision, _), stats in zip(pods, runtimes, strict=True) if stats is None}
        if witness is not None:
            _hear(measured, witness, model_pod_ips, not silent, now)
        if first_look:
            self.open_window(key)
        if not complete:
            return None
        if first_look:
            return {}
        window = _window_of_runtimes if router_ips is None else _window
        found = {revision: window(measured, revision, revision not in silent) for revision in model_pod_ips}
        if witness is None:
            return found
        return {name: _excused(measured, name, seen, name not in silent) for name, seen in found.items()}

    def open_window(self, key: Key) -> None:
        """Open a new window from the last look; without one, the next call of `windows` opens it."""
        self._answers.open_window(key)
        if measured := self._measured.get(key):
            measured.reopen(self._clock())

    def forget(self, key: Key) -> None:
        """Drop what is known of a ModelDeployment that is gone or rolls nothing out."""
        self._measured.pop(key, None)

    async def _router(self, ip: str) -> router_stats.RouterStats | None:
        return await self._scrape(ip, self._router_port, "/stats", router_stats.parse)

    async def _runtime(self, ip: str) -> prometheus_text.RuntimeStats | None:
        return await self._scrape(ip, self._runtime_port, "/metrics", prometheus_text.parse)

    async def _scrape(self, ip: str, port: int, path: str, parse: Callable[[str], Stats]) -> Stats | None:
        url = URL.build(scheme="http", host=ip, port=port, path=path)
        try:
            async with self._http.get(url, timeout=_TIMEOUT, raise_for_status=True) as response:
                return parse(await response.text())
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            logger.info("no answer from %s: %s", url, error or type(error).__name__)
            return None


def _add_routers(
    answers: Increments[str], ips: Sequence[str], found: Sequence[router_stats.RouterStats | None], now: float
) -> None:
    for ip, stats in zip(ips, found, strict=True):
        if stats is not None:
            answers.add(ip, stats.answers(), started_at=now - stats.uptime - UPTIME_LAG_SECONDS)


def _add_runtimes(
    measured: _Measured,
    pods: Sequence[tuple[str, str]],
    found: Sequence[prometheus_text.RuntimeStats | None],
) -> None:
    for (revision, ip), stats in zip(pods, found, strict=True):
        if stats is not None:
            measured.latency.add(ip, {revision: stats.latency}, stats.started_at)
            measured.failures.add(ip, {revision: {router_stats.ERRORS: stats.errors}}, stats.started_at)
            measured.store.add(ip, {revision: stats.store}, stats.started_at)


def _hear(measured: _Measured, witness: str, revisions: Iterable[str], complete: bool, now: float) -> None:
    """Tell apart what the store is to blame for; where a slice is over, count for the next one."""
    grown = {revision: measured.store.sums(revision) for revision in revisions}
    calls = {revision: _calls(sums) for revision, sums in grown.items()}
    if measured.outages.look(now, witness, calls, complete):
        measured.store.clear()


def _calls(sums: Mapping[str, float]) -> Calls:
    count = {name: int(value) for name, value in sums.items()}
    return Calls(
        refused=count.get(prometheus_text.REFUSED, 0),
        answered=count.get(prometheus_text.ANSWERED, 0),
        lost=count.get(prometheus_text.LOST, 0),
        useless=count.get(prometheus_text.USELESS, 0),
        # Answers name other things, too, and a request may have many rows.
        filled=min(count.get(prometheus_text.NOTED, 0), count.get(prometheus_text.FILLED, 0)),
    )


def _excused(measured: _Measured, revision: str, seen: Window, answered: bool) -> Window:
    """Every pod's failures and refusals come from one and the same answer of it; routers have told theirs before."""
    excuse = measured.outages.excuse(revision)
    told = int(measured.failures.sums(revision).get(router_stats.ERRORS, 0))
    if answered:
        return replace(seen, excuse=outages.spread(excuse, told, seen.errors))
    return replace(seen, excuse=outages.untold(excuse, told, seen.errors, measured.outages.suspected))


def _window(measured: _Measured, revision: str, with_latency: bool) -> Window:
    answers = measured.answers.sums(revision)
    latency = measured.latency.sums(revision) if with_latency else None
    requests = int(answers.get(router_stats.REQUESTS, 0))
    # To a router, a copy of a gRPC call always ends with a 200; only the runtime knows its status.
    failed = measured.failures.sums(revision).get(router_stats.ERRORS, 0)
    return Window(
        requests=requests,
        errors=max(int(answers.get(router_stats.ERRORS, 0)), min(requests, int(failed))),
        latency=None if latency is None else dict(sorted(latency.items())),
    )


def _window_of_runtimes(measured: _Measured, revision: str, answered: bool) -> Window:
    """What the pods say alone: a request that no pod has got is in none of it. Each has answered, or there is none."""
    latency = measured.latency.sums(revision)
    requests = int(max(latency.values(), default=0))
    errors = int(measured.failures.sums(revision).get(router_stats.ERRORS, 0))
    return Window(requests=requests, errors=min(requests, errors), latency=dict(sorted(latency.items())))
