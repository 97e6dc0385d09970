"""The life of a model pod's process: load, warm up, serve, drain.

The server listens from the start, so that liveness answers while a large model loads; readiness follows the model.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sluice.config import RuntimeConfig
from sluice.failures import PackageError, Reason
from sluice.manifest import Manifest
from sluice.package import open_package
from sluice_runtime.batching import Batcher
from sluice_runtime.cpu import allowed_cpus, cpu_quota, cpu_request, usable_threads
from sluice_runtime.intake.wiring import check_contract, take_in
from sluice_runtime.metrics import Metrics
from sluice_runtime.plane import Model, Plane
from sluice_runtime.preprocessing.environment import check_environment
from sluice_runtime.preprocessing.predictor import load_code
from sluice_runtime.protocol.card import encode_card
from sluice_runtime.replay import read_sample
from sluice_runtime.sessions import Predictor, Rows, load_session, made_up, row_independent, warm_up
from sluice_runtime.step import unforeseen

if TYPE_CHECKING:
    from sluice_runtime.features.source import FeatureSource

log = logging.getLogger(__name__)


BATCH_BYTES = 4 * 1024**2
"""Of inputs in one batch on the CPU. What a graph computes in between is many times as large (20 times for MobileNetV2)
and stays with the pod once it was needed, and rows of this size gain nothing from each other there. On other processors
they do, and their memory is not the pod's."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A session that is ready to serve. `max_rows` is 1 when its rows must not share a run.

    `max_bytes`: inputs that share a run hold no more; a single request may. `bounded`: the shapes of its inputs tell
    what a run costs, and it can be stopped: Python code, for one, cannot.
    """

    session: Predictor
    manifest: Manifest
    max_rows: int
    max_bytes: float
    bounded: bool
    card: bytes = b""


class Runtime:
    """Owns the data plane and the model's loading. One of `on_ready` and `on_failure` is called once, on the loop.

    `now`: seconds since 1970, the time of requests.
    """

    def __init__(
        self, config: RuntimeConfig, metrics: Metrics | None = None, now: Callable[[], float] = time.time
    ) -> None:
        self.config = config
        self._now = now
        self.metrics = metrics or Metrics(config.name, config.revision)
        self.plane = Plane(config.name, self.metrics)
        self.failure: PackageError | None = None
        self.on_failure: Callable[[], None] = lambda: None
        self.on_ready: Callable[[], None] = lambda: None
        self._loading: asyncio.Task[None] | None = None
        self._batcher: Batcher | None = None
        self._features: FeatureSource | None = None

    async def start(self) -> None:
        """Begin to load the model; returns at once."""
        self._loading = asyncio.create_task(self._load())

    async def stop(self) -> None:
        """Let go of the model after the last request was answered."""
        if self._loading is not None:
            self._loading.cancel()
        if self._features is not None:
            self._features.stop()
        if self._batcher is not None:
            self._batcher.close()

    async def _load(self) -> None:
        started = time.perf_counter()
        try:
            self._serve(await asyncio.to_thread(load, self.config))
            self.metrics.loaded(time.perf_counter() - started)
            self.on_ready()
        except PackageError as error:
            self._fail(error)
        except Exception as error:
            log.exception("the model could not be loaded")
            self._fail(unforeseen(error))

    def _serve(self, loaded: Loaded) -> None:
        limits = self.config.limits
        self._batcher = Batcher(
            loaded.session,
            max_rows=loaded.max_rows,
            max_queue=limits.max_queue,
            max_bytes=loaded.max_bytes,
            max_delay=self.config.batching.max_delay_seconds,
            max_wait=limits.max_wait_seconds,
            deadline=limits.deadline_seconds,
            bounded=loaded.bounded,
            observe=self.metrics.observe_run,
            observe_wait=self.metrics.observe_wait,
        )
        manifest, signature = loaded.manifest, loaded.session.signature
        intake, self._features = take_in(self.config, manifest, signature, self.metrics, self._now)
        model = Model(self.config.name, manifest.version, signature, self._batcher, intake, self._features, loaded.card)
        self.plane.serve(model)
        log.info("serving %s version %s, up to %d rows a run", model.name, model.version, loaded.max_rows)

    def _fail(self, error: PackageError) -> None:
        self.failure = error
        self.on_failure()


def load(config: RuntimeConfig) -> Loaded:
    """Open, load and warm up the package in `config.package_dir`. Takes as long as the model is large.

    Raises:
        PackageError: why it cannot be served.
    """
    folder = Path(config.package_dir)
    if not folder.is_dir():
        raise PackageError(Reason.INVALID_PACKAGE, f"{folder} is not there; the fetch step must run first")
    package = open_package(folder, config.digest)
    quota, request = cpu_quota(), cpu_request()
    threads = config.threads or usable_threads(quota, request, allowed_cpus())
    alone = quota is None and request is None  # nobody else is meant to use the CPUs on which a thread waits
    has_code = package.manifest.preprocessing is not None
    if has_code:
        check_environment(package, config.environment_file)
    graph = load_session(package, threads, spinning=alone and threads > 1, providers=config.providers)
    session: Predictor = load_code(package, graph) if has_code else graph
    check_contract(config, package.manifest, session.signature)
    max_bytes = math.inf if config.providers else BATCH_BYTES
    sample = read_sample(package)
    # Training's rows reach what made-up ones do not, and these may tell where training's happen to be alike.
    trials = (made_up(session), *([] if sample is None else [sample.repeated(session.signature.batchable)]))
    independent = _independent(session, trials)
    max_rows = _shared_rows(session, config.batching.max_size, max_bytes) if independent else 1
    warm_up(session, max_rows, trials[-1])
    if sample is not None:
        # A graph may well be asked for something of a batch; what code does to a row never depends on others.
        sample.replay(session, alone=independent or (has_code and session.signature.batchable))
    log.info("loaded %s with %d threads", package.digest, threads)
    bounded = session.signature.bounded and not has_code
    return Loaded(session, package.manifest, max_rows, max_bytes, bounded, encode_card(package))


def _independent(session: Predictor, trials: Sequence[Rows]) -> bool:
    if not session.signature.batchable:
        return False
    if all(row_independent(session, rows_of) for rows_of in trials):
        return True
    log.warning("the rows of a batch influence each other in this graph; every request runs alone")
    return False


def _shared_rows(session: Predictor, max_size: int, max_bytes: float) -> int:
    return int(max(1, min(max_size, max_bytes // (session.signature.row_bytes or 1))))
