"""Writes rows into Feast's online store through its feature server, and looks whether they are there.

A write is a batch of whole rows; the server keeps one row of a key for each view. So to write a batch again changes
nothing, and what was cut in the middle is completed by running it again.

What Feast 0.67 does in silence is not trusted: an unknown view is found before the first write; a batch in which all
values are missing would be dropped, so a row with values goes along; and what was written is asked for again, because
Redis keeps a row whose time is the same or later than that of the new one.
"""

from __future__ import annotations

import math
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx
import pyarrow as pa

from sluice_features.definitions import EVENT_TIMESTAMP, Store
from sluice_features.errors import invalid, unavailable
from sluice_features.sources.reading import Context

ATTEMPTS = 5
BACKOFF_SECONDS = 0.5
_MOMENT = "%Y-%m-%dT%H:%M:%S.%fZ"
_FEASTS_OWN = "feast.errors"
"""In answers by which Feast itself refuses, as it does what it does not know."""

_ABSENT = "NOT_FOUND"
_TRY_AGAIN = frozenset({408, 425, 429})


class OnlineStore:
    """A feature server, which several threads may ask. `pause` waits so many seconds between attempts; `transport`: in
    place of the network; `batch`, `concurrency`: how it is to be written to.
    """

    def __init__(
        self,
        store: Store,
        context: Context,
        *,
        pause: Callable[[float], None] = time.sleep,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._secrets, self._pause = context.secrets, pause
        self.batch, self.concurrency = store.batch, store.concurrency
        self._url = store.url.rstrip("/")
        token = None if store.token is None else self._secrets.filled(store.token)
        verify = ssl.create_default_context()
        if store.ca is not None:
            verify.load_verify_locations(context.place(store.ca))
        self._client = httpx.Client(
            headers={} if token is None else {"Authorization": f"Bearer {token}"},
            timeout=store.timeout.total_seconds(),
            # A service of the cluster's: no proxy of the environment's is asked for it.
            trust_env=False,
            verify=verify,
            transport=transport,
        )

    def __enter__(self) -> OnlineStore:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def expect(self, view: str, features: Sequence[str], keys: Mapping[str, Any]) -> None:
        """Make sure that the server knows a view as we do; `keys`: of any row.

        Raises:
            FeaturesError: FeaturesInvalid where it does not, FeaturesUnavailable where it does not answer.
        """
        try:
            self.read(view, features, {name: [value] for name, value in keys.items()})
        except _RefusedError as error:
            raise invalid(
                f"the feature server does not know view {view} as it is here ({error.message}); "
                "run `sluice features render` and `feast apply`"
            ) from error

    def write(self, view: str, rows: pa.RecordBatch) -> None:
        """Put rows into the online store: keys, features, and `event_timestamp`.

        Raises:
            FeaturesError: FeaturesUnavailable after ATTEMPTS, FeaturesInvalid where it never will.
        """
        columns = {name: _as_json(rows.column(name)) for name in rows.schema.names}
        try:
            self._ask("/write-to-online-store", {"feature_view_name": view, "df": columns})
        except _RefusedError as error:
            raise unavailable(f"the feature server failed: {error.message}") from error

    def read(self, view: str, features: Sequence[str], keys: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
        """What the online store holds: by feature, one (value, seconds since 1970) a row; None: it has nothing."""
        wanted = [f"{view}:{name}" for name in features]
        response = self._ask("/get-online-features", {"features": wanted, "entities": dict(keys)})
        try:
            answer = response.json()
            names, results = answer["metadata"]["feature_names"], answer["results"]
            found = {name: list(_cells(result)) for name, result in zip(names, results, strict=True)}
            return {name: found[name] for name in features}
        except (KeyError, TypeError, ValueError) as error:
            raise invalid(f"{self._url} is no feature server of Feast's: its answer has another form") from error

    def _ask(self, path: str, body: Mapping[str, Any]) -> httpx.Response:
        for attempt in range(ATTEMPTS):
            last = attempt == ATTEMPTS - 1
            try:
                return self._once(path, body)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                if last:
                    words = self._secrets.scrubbed(error) or type(error).__name__
                    raise unavailable(
                        f"{self._url} does not answer ({words}); check store.url and the server"
                    ) from error
            except _RefusedError as error:
                if last or not error.again:
                    raise
            self._pause(BACKOFF_SECONDS * 2**attempt)
        raise AssertionError("the last attempt returns or raises")

    def _once(self, path: str, body: Mapping[str, Any]) -> httpx.Response:
        response = self._client.post(self._url + path, json=body)
        status = response.status_code
        if status in (401, 403):
            raise invalid(f"{self._url}{path} answered {status}; check store.token and what its owner may do in Feast")
        words = self._secrets.scrubbed(response.text)[:300]
        if status >= 500 or status in _TRY_AGAIN:
            raise _RefusedError(f"it answered {status}: {words}")
        if _FEASTS_OWN in response.text:
            raise _RefusedError(f"it answered {status}: {words}", again=False)
        if status != 200:
            raise invalid(f"{self._url}{path} answered {status}: {words}; check store.url")
        return response


class _RefusedError(Exception):
    """The server failed: it is overloaded, or cannot do this. `again`: its status does not tell which."""

    def __init__(self, message: str, *, again: bool = True) -> None:
        super().__init__(message)
        self.message, self.again = message, again


def differences(rows: pa.RecordBatch, features: Sequence[str], found: Mapping[str, list[Any]]) -> list[str]:
    """Values that the store does not hold as they were written: `size: 5.0, and not 4.0`."""
    moments = [int(moment.replace(tzinfo=UTC).timestamp()) for moment in rows.column(EVENT_TIMESTAMP).to_pylist()]
    told = []
    for name in features:
        for written, kept, moment in zip(rows.column(name).to_pylist(), found[name], moments, strict=True):
            if kept is None or kept[1] != moment or not _equal(written, kept[0]):
                told.append(f"{name}: {None if kept is None else kept[0]!r}, and not {written!r}")
    return told


def _equal(written: Any, kept: Any) -> bool:
    if written is None or kept is None:
        return written is kept
    if isinstance(written, float):
        # FP32 travels as the shortest decimal of its FP64.
        return math.isclose(written, kept, rel_tol=1e-6)
    return bool(written == kept)


def _cells(result: Mapping[str, Any]) -> Any:
    for value, status, moment in zip(result["values"], result["statuses"], result["event_timestamps"], strict=True):
        seconds = int(datetime.fromisoformat(moment).timestamp())
        yield None if status == _ABSENT else (value, seconds)


def _as_json(values: pa.Array) -> list[Any]:
    listed = values.to_pylist()
    if pa.types.is_timestamp(values.type):
        # All of them with microseconds: Feast takes the first one's form for that of all.
        return [moment.strftime(_MOMENT) for moment in listed]
    return list(listed)
