"""Wires the operator: watches feed the cache, every event only enqueues a key, the queue reconciles.

The framework (kopf) is used for its watches alone: handlers of raw events write nothing to any object, and retries,
deadlines and progress are the operator's own.
"""

import asyncio
import logging
import signal
import socket
import sys
import time
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from uuid import uuid4

import aiohttp
import kopf
from kopf._core.engines.peering import Identity
from kubernetes.aio.client import Configuration

from sluice_operator import health, logs, metrics, settings, watches
from sluice_operator.cluster.audit import Audit
from sluice_operator.cluster.cache import Cache, Key
from sluice_operator.cluster.client import Client, Json, load_configuration
from sluice_operator.cluster.cluster import Cluster
from sluice_operator.cluster.election import Alone, Election, Leadership
from sluice_operator.cluster.errors import ClusterError
from sluice_operator.cluster.kinds import MODEL_DEPLOYMENT, SECRET, Kind
from sluice_operator.cluster.onlooker import Onlooker
from sluice_operator.cluster.optional import Optional
from sluice_operator.cluster.outside import Outside
from sluice_operator.cluster.traffic import TrafficObserver
from sluice_operator.dashboard.sampler import Sampler
from sluice_operator.dashboard.series import Series
from sluice_operator.dashboard.server import Dashboard
from sluice_operator.dashboard.server import serve as serve_dashboard
from sluice_operator.settings import Settings
from sluice_operator.wiring import reconciler
from sluice_operator.workqueue import Progress, WorkQueue

log = logging.getLogger(__name__)

FINISH_SECONDS = 3.0
"""What a reconcile in flight gets at the end; with the watches' own end it stays below five seconds."""

RESTART_SECONDS = 1.0
"""Between two tries to begin watching."""

DEFINITION_SECONDS = 10.0
"""Between two looks whether the CRD is still there."""


def main() -> None:
    """Run until SIGTERM; exits with 1 where the watches ended by themselves."""
    chosen = settings.parse(sys.argv[1:])
    logs.setup(chosen.log_level, chosen.log_format)
    asyncio.run(Operator(chosen).run())


def now() -> datetime:
    """The operator's clock."""
    return datetime.now(UTC)


class Operator:
    """The parts, and the order in which they start and stop."""

    def __init__(self, chosen: Settings) -> None:
        self._settings = chosen

    async def run(self) -> None:
        """Start everything, wait for the end, stop in reverse."""
        async with AsyncExitStack() as stack:
            configuration = await load_configuration(self._settings.kubeconfig)
            self._leadership = self._elect(configuration, stack)
            client = Client(configuration, self._leadership.leads)
            stack.push_async_callback(client.close)
            self._http = await stack.enter_async_context(aiohttp.ClientSession())
            self._build(client)
            self._health = health.Health(self._vitals)
            server = health.serve(self._settings.metrics_port, self._health)
            stack.callback(server.shutdown)
            await self._open_dashboard(stack)
            await self._run_watches(configuration)

    def _elect(self, configuration: Configuration, stack: AsyncExitStack) -> Leadership:
        """The election, with connections of its own: renewals wait behind no other request."""
        if self._settings.lease is None:
            return Alone()
        client = Client(configuration)
        stack.push_async_callback(client.close)
        return Election(client, *self._settings.lease, identity=f"{socket.gethostname()}_{uuid4()}")

    def _build(self, client: Client) -> None:
        self._client = client
        self._cache = Cache()
        self._queue: WorkQueue | None = None
        self._sampler: Sampler | None = None
        self._optional = Optional(client.served, self._cache)
        self._audit = Audit(client, self._cache, self._settings.namespaces, self._enqueue, self._optional)
        self._started = time.monotonic()
        metrics.LEADER.set_function(lambda: float(self._leadership.leads()))

    def _new_queue(self) -> WorkQueue:
        """What a term of leadership works with. Nothing but the cache is older than the term."""
        outside = Outside(self._http, self._read_secret, self._settings.prometheus_url)
        traffic = TrafficObserver(self._http)
        cluster = Cluster(self._client, self._cache, traffic, outside, now, absent=self._optional.absent)
        return WorkQueue(reconciler(cluster, self._settings, now).reconcile, cluster.exists, self._settings.workers)

    async def _open_dashboard(self, stack: AsyncExitStack) -> None:
        """Where one is wanted. Leading or standing by: whoever is asked has seen the same."""
        if self._settings.dashboard is None:
            return
        onlooker, series = Onlooker(self._cache, TrafficObserver(self._http)), Series()
        self._sampler = Sampler(onlooker, series)
        runner = await serve_dashboard(Dashboard(onlooker, series, self._sampler), *self._settings.dashboard)
        stack.push_async_callback(runner.cleanup)

    async def _read_secret(self, namespace: str, name: str) -> Json:
        found = await self._client.get(SECRET, namespace, name)
        return found.get("data") or {}

    async def _run_watches(self, configuration: Configuration) -> None:
        """Run the framework until a signal comes, and the operator's own tasks beside it."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, stop.set)
        lasting = [self._audit.run, self._leadership.run, self._serve, self._health.beat, self._probe]
        if self._sampler is not None:
            lasting.append(self._sampler.run)
        own = [asyncio.create_task(part()) for part in lasting]
        watches = asyncio.create_task(self._watch(configuration, stop))
        ending = asyncio.create_task(stop.wait())
        await asyncio.wait([*own, watches, ending], return_when=asyncio.FIRST_COMPLETED)
        await self._stop(own, watches, stop)

    async def _stop(self, own: list[asyncio.Task[None]], watches: asyncio.Task[None], stop: asyncio.Event) -> None:
        asked = stop.is_set()
        log.info("stopping" if asked else "stopping because a part has ended by itself")
        if self._queue is not None:
            await self._queue.stop(FINISH_SECONDS)
        stop.set()
        ended = [task for task in own if task.done()]
        for task in own:
            task.cancel()
        await asyncio.gather(*own, return_exceptions=True)
        await self._leadership.release()
        await watches
        for task in ended:
            task.result()
        if not asked:
            raise SystemExit(1)

    async def _serve(self) -> None:
        """Reconcile while this operator leads, on a cache that is complete and not behind; otherwise stand by."""
        await self._audit.synced.wait()
        while True:
            await self._leadership.won()
            await self._audit.catch_up(self._leadership.leads)
            if self._leadership.leads():
                await self._lead(self._new_queue())

    async def _lead(self, queue: WorkQueue) -> None:
        self._queue = queue
        self._enqueue_all()
        queue.start()
        await self._leadership.lost()
        log.warning("this operator no longer leads")
        self._queue = None
        await queue.stop(0)

    def _enqueue(self, key: Key) -> None:
        if self._queue is not None:
            self._queue.add(key)

    def _enqueue_all(self) -> None:
        for key in sorted(self._cache.keys()):
            self._enqueue(key)

    async def _probe(self) -> None:
        def back() -> None:
            if self._queue is not None:
                self._queue.retry_failed()
            for kind in self._optional.watched():
                self._audit.ask(kind)

        await self._client.probe_forever(back)

    async def _watch(self, configuration: Configuration, stop: asyncio.Event) -> None:
        """Keep the framework running. Where it gives up (the CRD is deleted, a fault of its own) it starts anew."""
        while not stop.is_set():
            try:
                if await self._installed(stop):
                    await self._kinds_changed()
                    await self._watch_once(configuration, stop)
            except Exception as error:
                log.error("the watches ended and are started again: %s", error, exc_info=error)
                await _stops(stop, RESTART_SECONDS)

    async def _watch_once(self, configuration: Configuration, stop: asyncio.Event) -> None:
        over = asyncio.Event()
        ending = asyncio.create_task(self._until_over(stop, over))
        try:
            await self._run_framework(configuration, over, stop)
        finally:
            ending.cancel()
            over.set()  # the framework leaves a task behind that waits for it
        if ending.done():
            ending.result()

    async def _until_over(self, stop: asyncio.Event, over: asyncio.Event) -> None:
        """End one run of the framework: with the operator, when the definition is gone, or when kinds came or went.

        The framework ends by itself where a watch is told so, but a definition that goes while it looks around leaves
        it without a watch, waiting for ever.
        """
        try:
            while not await _stops(stop, DEFINITION_SECONDS):
                if await self._served() is False or await self._kinds_changed():
                    break
        finally:
            over.set()  # also where looking has failed: nobody looks any more

    async def _kinds_changed(self) -> bool:
        """Whether kinds came or went; what is possible is then another question for everybody."""
        changed = await self._optional.changed()
        if changed:
            self._enqueue_all()
        return changed

    async def _run_framework(self, configuration: Configuration, over: asyncio.Event, stop: asyncio.Event) -> None:
        kinds = self._optional.watched()
        tasks = await kopf.spawn_tasks(
            registry=watches.registry(configuration, kinds, self._take_in),
            settings=watches.settings(kinds),
            clusterwide=not self._settings.namespaces,
            namespaces=self._settings.namespaces,
            standalone=True,
            # Of no use without peering, but made from the user's name where none is given; a pod's uid has no name.
            identity=Identity("sluice"),
            stop_flag=over,
        )
        # The framework has put its own signal handlers in place of ours; the end is ours to order.
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, stop.set)
        await kopf.run_tasks(tasks, ignored=watches.NotItsOwn())

    async def _installed(self, stop: asyncio.Event) -> bool:
        """Wait for the CRD: the framework looks for kinds only once. False where the end came first."""
        told = False
        while not (served := await self._served()):
            if served is False and not told:
                log.warning("the CustomResourceDefinition %s is not installed", MODEL_DEPLOYMENT.plural)
                told = True
            if await _stops(stop, RESTART_SECONDS):
                return False
        return True

    async def _served(self) -> bool | None:
        """Whether the CRD is there, on the API server's own word; None while it says nothing."""
        try:
            return await self._client.served(MODEL_DEPLOYMENT)
        except ClusterError as error:
            log.debug("cannot ask for the CRD: %s", error)
            return None

    def _take_in(self, kind: Kind, event: str | None, obj: Json) -> None:
        """Feed the cache; enqueue whoever is concerned. Events without a type are of a listing."""
        if event is None:
            self._audit.ask(kind)
        changed = self._cache.drop(kind, obj) if event == "DELETED" else self._cache.put(kind, obj)
        for key in changed:
            self._enqueue(key)

    def _vitals(self, at: float) -> health.Vitals:
        return health.Vitals(
            at=at,
            started=self._started,
            synced=self._audit.synced.is_set(),
            late=tuple(sorted(kind.plural for kind in self._audit.late)),
            api_away=self._client.circuit.is_open,
            queue=self._queue.progress() if self._queue is not None else Progress(0, None, None, at),
            election=self._leadership.problem(),
        )


async def _stops(stop: asyncio.Event, seconds: float) -> bool:
    """Wait so long at most; True once the operator is to end."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
    return stop.is_set()
