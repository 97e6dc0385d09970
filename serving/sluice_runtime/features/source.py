"""THE PATH of a lookup: cache -> gather -> ask the store -> policy -> receiver.

What a request leaves out is asked for by the entities that it names. Requests share calls, rows are remembered as long
as the deployment allows, and an entity asked for by many at once is asked for once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sluice.config import FeatureLookup
from sluice.contract import FeatureReferences
from sluice.manifest import Datatype
from sluice_runtime.errors import Kind, RequestError
from sluice_runtime.features.cache import Cache
from sluice_runtime.features.client import Client, StoreError
from sluice_runtime.features.credentials import Credentials
from sluice_runtime.features.gathering import Gathering
from sluice_runtime.features.metrics import FeatureMetrics
from sluice_runtime.features.policy import Fetched, Policy, Wanted, united
from sluice_runtime.features.rows import Key, Reader, Row
from sluice_runtime.features.store import Store
from sluice_runtime.running import Receiver
from sluice_runtime.signature import Tensors

__all__ = ["FeatureSource", "Fetched", "Lookup"]

MOST_ENTITIES = 4096
"""Different ones in one request."""

_LONGEST_KEY = 1024
_LARGEST_KEY = 2**63 - 1
"""Feast's keys are 64 bits with a sign."""

_NOBODY: Key = ()

_ROWS_OF_A_CALL = (16, 256)
_VALUES_OF_A_CALL = 20_000
"""Reading these takes about 5 ms of the event loop."""


class FeatureSource:
    """The features of one model. To be made and used within one running event loop; the store need not be there.

    `datatypes`: of the inputs that the features go to. `nullable`: features whose place may be NaN or empty text.
    `clock`: monotonic seconds, for the cache; `now`: seconds since 1970, for ages.
    """

    def __init__(
        self,
        lookup: FeatureLookup,
        references: FeatureReferences,
        datatypes: Mapping[str, Datatype],
        metrics: FeatureMetrics,
        *,
        nullable: Collection[str] = (),
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.metrics = metrics
        self.policy = Policy(lookup, references, datatypes, nullable, metrics.default)
        self.now = now
        self._names = tuple(entity.name for entity in references.entities)
        self._cache = Cache(lookup.cache_seconds, lookup.cache_entries)
        self._clock = clock
        folder = Path(lookup.credentials_dir) if lookup.credentials_dir else None
        client = Client(lookup.url, references, Credentials(folder), lookup.timeout_seconds)
        self._store = Store(client, Reader(references, datatypes), self._cache, metrics, clock=clock, now=now)
        least, most = _ROWS_OF_A_CALL
        most_keys = max(least, min(most, _VALUES_OF_A_CALL // len(references.features)))
        self._gathering = Gathering(self._store.ask, seconds=lookup.timeout_seconds, most_keys=most_keys)

    def stop(self) -> None:
        """Close everything; lookups that still wait end with an error."""
        self._gathering.close()
        self._store.close()
        self.metrics.close()

    def lookup(
        self, entities: Tensors, wanted: Wanted, rows: int, deadline: float, receiver: Receiver[Fetched]
    ) -> Lookup | None:
        """Find the wanted features of entities, by the names of the keys, one a row, each where it is wanted.

        The receiver is called once, on the loop: before this returns where nothing has to be asked. What is returned
        otherwise can be forgotten. `deadline`: by the event loop's clock.
        """
        if rows == 0:
            receiver.set_result(self.policy.fetched((), {}, dict.fromkeys(wanted), 0.0))
            return None
        try:
            keys = self._keys(entities, united(wanted.values()))
            lookup = Lookup(self, self._gathering, keys=keys, wanted=wanted, deadline=deadline, receiver=receiver)
            lookup.begin(self._cache.get, self._clock())
        except RequestError as error:
            receiver.set_exception(error)
            return None
        return None if lookup.finished else lookup

    def _keys(self, entities: Tensors, wanted: NDArray[np.bool_] | None) -> list[Key]:
        """One a row; of rows in which nothing is wanted, which may have any or none, that of nobody."""
        columns = [(entities[name] if wanted is None else entities[name][wanted]).tolist() for name in self._names]
        for name, column in zip(self._names, columns, strict=True):
            for value in column:
                if len(value) > _LONGEST_KEY if isinstance(value, str) else value > _LARGEST_KEY:
                    raise RequestError(Kind.INVALID, f"a key in {name!r} is longer than any that a feature store has")
        keys: Iterator[Key] = zip(*columns, strict=True)
        return list(keys) if wanted is None else [next(keys) if here else _NOBODY for here in wanted.tolist()]


class Lookup:
    """One request's wait for its features."""

    def __init__(
        self,
        source: FeatureSource,
        gathering: Gathering,
        *,
        keys: Sequence[Key],
        wanted: Wanted,
        deadline: float,
        receiver: Receiver[Fetched],
    ) -> None:
        self.finished = False
        self._source = source
        self._gathering = gathering
        self._keys = keys
        self._wanted = wanted
        self._deadline = deadline
        self._receiver = receiver
        self._found: dict[Key, Row | StoreError] = {}
        self._missing: set[Key] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._started = time.perf_counter()

    def begin(self, kept: Callable[[Key, float], Row | None], now: float) -> None:
        """Answer from the cache, or wait for the store.

        Raises:
            RequestError: INVALID, for more entities than one request may ask for.
        """
        missing: list[Key] = []
        for key in dict.fromkeys(self._keys):
            if key is _NOBODY:
                continue
            row = kept(key, now)
            if row is None:
                missing.append(key)
            else:
                self._found[key] = row
        if len(missing) > MOST_ENTITIES:
            raise RequestError(Kind.INVALID, f"a request asks for {MOST_ENTITIES} entities at most")
        cached, new = len(self._found), sum(not self._gathering.joins(key) for key in missing)
        refusal = self._gathering.refusal(new) if new else None
        if refusal is None and missing:
            self._wait(missing)
        # What is counted can wait until the store has been asked.
        self._source.metrics.keys("cache", cached)
        self._source.metrics.keys("shared", len(missing) - new)
        if refusal is not None:
            self._found.update(dict.fromkeys(missing, refusal))
        if not self._missing:
            self._finish()

    def forget(self) -> None:
        """The caller is gone."""
        if self.finished:
            return
        self._end()
        self._source.metrics.lookup("abandoned", time.perf_counter() - self._started)
        self._gathering.leave([*self._missing], self)

    def landed(self, key: Key, found: Row | StoreError) -> None:
        """Take one of the rows."""
        if self.finished:
            return
        self._found[key] = found
        self._missing.discard(key)
        if not self._missing:
            self._finish()

    def _wait(self, missing: Sequence[Key]) -> None:
        self._missing = set(missing)
        self._gathering.join(missing, self)
        # The loop's clock has whole milliseconds; one more makes sure that the deadline has passed.
        self._timer = asyncio.get_running_loop().call_at(self._deadline + 0.001, self._late)

    def _late(self) -> None:
        self._gathering.leave([*self._missing], self)
        self._give(RequestError(Kind.STORE_DEADLINE, "no features within the time given"), "deadline")

    def _finish(self) -> None:
        try:
            fetched = self._source.policy.fetched(self._keys, self._found, self._wanted, self._source.now())
        except RequestError as error:
            self._give(error, "unknown" if error.kind is Kind.UNKNOWN else "failed")
        else:
            self._give(fetched, "noted" if fetched.notes else "found")

    def _give(self, outcome: Fetched | RequestError, word: str) -> None:
        self._end()
        self._source.metrics.lookup(word, time.perf_counter() - self._started)
        if self._receiver.done():
            return
        if isinstance(outcome, RequestError):
            self._receiver.set_exception(outcome)
        else:
            self._receiver.set_result(outcome)

    def _end(self) -> None:
        self.finished = True
        if self._timer is not None:
            self._timer.cancel()
