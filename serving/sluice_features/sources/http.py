"""A JSON API as a source: page after page, each an Arrow batch of its own.

JSON has no times: those of a view come as text of ISO 8601 (UTC where it names no zone) or as seconds since 1970. A
value of another kind than the definitions say is a change of type, on whatever page it stands.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pyarrow as pa

from sluice_features.datatypes import Datatype
from sluice_features.definitions import Definitions, View
from sluice_features.errors import invalid, unavailable
from sluice_features.normalising import EXACT, NormalisingError
from sluice_features.sources.reading import Context, Window
from sluice_features.sources.types import Http
from sluice_store.web import retry_after

ATTEMPTS = 5
BACKOFF_SECONDS = 0.5
MAX_RETRY_AFTER_SECONDS = 60.0
MAX_PAGE_BYTES = 64 * 1024**2
MOST_WORDS = 200
"""Letters of a server's answer that are told."""

_TRY_AGAIN = frozenset({408, 425, 429})
_MOMENT = pa.timestamp("us", "UTC")
_KINDS: Mapping[str, tuple[type, ...]] = {
    "boolean": (bool,),
    "integer": (int, float),
    "real": (int, float),
    "text": (str,),
}


class HttpReading:
    """The pages of an API. The first one is read to see what columns there are."""

    def __init__(
        self,
        source: Http,
        types: Mapping[str, Datatype | None],
        client: httpx.Client,
        context: Context,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """`types`: of the view's columns; None: a time. `pause` waits so many seconds between attempts."""
        self._source, self._types, self._client, self._context, self._pause = source, types, client, context, pause
        self._url = self._address(context.secrets.filled(source.url))
        self._first = self._page(self._url)
        used = {source.fields.get(name, name).split(".")[0] for name in types}
        # Whether an object has a field that this page's lack is known at the end.
        self.schema: Mapping[str, pa.DataType] = {
            name: pa.null() for row in self._rows(self._first)[:1] for name in row if name not in used
        } | {name: _arrow(kind) for name, kind in types.items()}

    def batches(self, columns: tuple[str, ...], timestamp: str, window: Window) -> Iterator[pa.RecordBatch]:
        """A batch for each page; an API knows of no window.

        Raises:
            NormalisingError: a value is of another type, or no row of any page has a column.
        """
        schema = pa.schema([(name, self.schema[name]) for name in columns])
        absent, count = list(columns), 0
        for page in self._pages():
            rows = self._rows(page)
            count += len(rows)
            absent = [name for name in absent if not any(self._has(row, name) for row in rows)]
            arrays = [self._array(rows, field.name, field.type) for field in schema]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)
        if count and absent:
            others = f", nor {', '.join(absent[1:])}" if absent[1:] else ""
            raise NormalisingError(absent[0], f"the source has no such column{others}", "missing")

    def _array(self, rows: list[Any], name: str, kind: pa.DataType) -> pa.Array:
        path, datatype = self._source.fields.get(name, name), self._types[name]
        convert = _moment if datatype is None else _checked(datatype)
        try:
            return pa.array([convert(_at(row, path)) for row in rows], kind)
        except (ValueError, OverflowError, pa.ArrowException) as error:
            raise NormalisingError(name, " ".join(str(error).split())) from error

    def _has(self, row: Any, name: str) -> bool:
        return _at(row, self._source.fields.get(name, name), default=...) is not ...

    def _pages(self) -> Iterator[Any]:
        page, seen = self._first, {self._url}
        while True:
            yield page
            following = _at(page, self._source.next) if self._source.next else None
            if not following:
                return
            url = self._address(str(self._url.join(self._address(str(following)))))
            # Its headers, with their credentials, are for the API alone.
            if (url.scheme, url.host, url.port) != (self._url.scheme, self._url.host, self._url.port) or url in seen:
                raise invalid(
                    f"{self._shown(url)} is named as the next page; it is another server's, or was read before"
                )
            if len(seen) >= self._source.max_pages:
                raise invalid(f"{self._shown(self._url)} has more than {self._source.max_pages} pages; raise maxPages")
            seen.add(url)
            page = self._page(url)

    def _rows(self, page: Any) -> list[Any]:
        rows = _at(page, self._source.rows) if self._source.rows else page
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            where = f"at {self._source.rows}" if self._source.rows else "in its answer"
            raise invalid(f"{self._shown(self._url)} has no list of objects {where}; check `rows` of the source")
        return rows

    def _page(self, url: httpx.URL) -> Any:
        for attempt in range(ATTEMPTS):
            asked = 0.0
            try:
                status, body, asked = self._get(url)
                if status < 500 and status not in _TRY_AGAIN:
                    break
                words = f"answered {status}: {self._scrubbed(body.decode(errors='replace'))}"
            except httpx.HTTPError as error:
                words = f"does not answer ({self._scrubbed(str(error)) or type(error).__name__})"
            if attempt == ATTEMPTS - 1:
                raise unavailable(f"{self._shown(url)} {words}")
            self._pause(max(BACKOFF_SECONDS * 2**attempt, min(asked, MAX_RETRY_AFTER_SECONDS)))
        if status != 200:
            raise invalid(f"{self._shown(url)} answered {status}; check the source's url and headers")
        try:
            return json.loads(body)
        except ValueError as error:
            raise invalid(f"{self._shown(url)} answers no JSON") from error

    def _get(self, url: httpx.URL) -> tuple[int, bytes, float]:
        """Status, body, and the seconds for which the server asks to be left alone."""
        with self._client.stream("GET", url) as response:
            body = bytearray()
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > MAX_PAGE_BYTES:
                    raise invalid(f"{self._shown(url)} answers more than {MAX_PAGE_BYTES} bytes; ask for smaller pages")
            return response.status_code, bytes(body), retry_after(response.headers.get("retry-after")) or 0.0

    def _address(self, text: str) -> httpx.URL:
        try:
            return httpx.URL(text)
        except httpx.InvalidURL as error:
            raise invalid(f"{self._context.secrets.scrubbed(text.partition('?')[0])} is no URL: {error}") from error

    def _scrubbed(self, words: str) -> str:
        # Cut last: half of a secret would not be known again.
        return self._context.secrets.scrubbed(words)[:MOST_WORDS]

    def _shown(self, url: httpx.URL) -> str:
        """As it may stand in logs: what is behind the question mark is often a password."""
        return self._context.secrets.scrubbed(str(url).partition("?")[0])


@contextmanager
def open_http(source: Http, definitions: Definitions, view: View, context: Context) -> Iterator[HttpReading]:
    """A view's rows in an API. Proxies come from the environment, as for most programs; redirects are not followed.

    Raises:
        FeaturesError: FeaturesInvalid for another answer than 200 and what was agreed, FeaturesUnavailable for none.
    """
    headers = {name: context.secrets.filled(value) for name, value in source.headers.items()}
    times: dict[str, Datatype | None] = dict.fromkeys(name for name in (view.timestamp, view.created) if name)
    types = dict(definitions.keys(view)) | times | {feature.name: feature.type for feature in view.features}
    with httpx.Client(headers=headers, timeout=source.timeout.total_seconds()) as client:
        yield HttpReading(source, types, client, context)


def _arrow(kind: Datatype | None) -> pa.DataType:
    return _MOMENT if kind is None else kind.wide


def _checked(datatype: Datatype) -> Any:
    kinds = _KINDS[datatype.family]

    def convert(value: Any) -> Any:
        wrong = not isinstance(value, kinds) or (isinstance(value, bool) and datatype.family != "boolean")
        if value is not None and wrong:
            raise ValueError(f"the source gives {json.dumps(value)[:80]}, and the definitions say {datatype.feast}")
        if isinstance(value, float) and datatype.family == "integer":
            return _whole(value)
        return value

    return convert


def _whole(value: float) -> int:
    # Some write 3.0; Arrow would make 1 of 1.5.
    if not value.is_integer():
        raise ValueError(f"the source gives {value}, which is no whole number")
    if abs(value) >= EXACT:
        raise ValueError(f"the source gives {value}, which may have been rounded; give it as an integer")
    return int(value)


def _moment(value: Any) -> datetime | None:
    if value is None:
        return None
    if isinstance(value, str):
        moment = datetime.fromisoformat(value)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return datetime.fromtimestamp(value, UTC)
    raise ValueError(f"the source gives {json.dumps(value)[:80]}, and a time is needed")


def _at(value: Any, path: str, default: Any = None) -> Any:
    """What lies at `data.items` in nested objects."""
    for part in path.split("."):
        if not isinstance(value, dict) or part not in value:
            return default
        value = value[part]
    return value
