"""What every source gives: which columns it has, then batches of those that are wanted; and the SQL they share."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from sluice_features.errors import FeaturesError, invalid, unavailable
from sluice_features.secrets import Secrets

# As Arrow, as Delta's library, and as most servers say it.
_REFUSED = re.compile(r"ACCESS_DENIED|Permission denied|\b40[13]\b")

_PLAIN = "%Y-%m-%d %H:%M:%S.%f"
_MOMENT = f"{_PLAIN}+00"

BATCH_VALUES = 1_000_000
MOST_ROWS, FEWEST_ROWS = 65_536, 1_024


def batch_rows(columns: int) -> int:
    """How many rows are in memory at a time: so many that they hold BATCH_VALUES."""
    return min(MOST_ROWS, max(FEWEST_ROWS, BATCH_VALUES // columns))


@dataclass(frozen=True, slots=True)
class Window:
    """The moments that are read: from `start` to `end`, both included; None: open."""

    start: datetime | None = None
    end: datetime | None = None

    def condition(self, column: str, *, zone: bool = True) -> str:
        """As SQL about a column, in a session whose time zone is UTC. `zone`: the column may have one."""
        kind = "TIMESTAMPTZ" if zone else "TIMESTAMP"
        bounds = [(sign, bound.astimezone(UTC)) for sign, bound in ((">=", self.start), ("<=", self.end)) if bound]
        told = (f"{column} {sign} {kind} '{bound:{_MOMENT if zone else _PLAIN}}'" for sign, bound in bounds)
        return " AND ".join(told)


def earlier(moment: datetime | None, age: timedelta | None) -> datetime | None:
    """So much earlier; None where there is no such time, or no bound."""
    if moment is None or age is None:
        return None
    try:
        return moment - age
    except OverflowError:
        return None


@dataclass(frozen=True, slots=True)
class Context:
    """Where definitions lie, and what they may know of the environment."""

    folder: Path
    secrets: Secrets

    def place(self, text: str) -> str:
        """A path that begins at the definitions' folder, or a URI as it is; variables are filled in."""
        filled = self.secrets.filled(text)
        return filled if "://" in filled else str(self.folder / filled)


def unreadable(place: str, error: Exception, context: Context) -> FeaturesError:
    """What to tell of a library's error about a place: whether it refuses, or may answer the next time."""
    told = f"{context.secrets.scrubbed(place)} cannot be read: {context.secrets.scrubbed(error)}"
    if _REFUSED.search(str(error)):
        return invalid(f"{told}; check the credentials in the environment, and what they may do")
    return unavailable(told)


class Reading(Protocol):
    """A view's rows in its source, while the source is open."""

    @property
    def schema(self) -> Mapping[str, pa.DataType]:
        """The columns that the source gives, those that nobody wants among them."""

    def batches(self, columns: tuple[str, ...], timestamp: str, window: Window) -> Iterator[pa.RecordBatch]:
        """Rows of these columns. `window` may be heeded, to read less; whoever reads holds rows against it again."""


def quoted(name: str) -> str:
    """An identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'


def selection(query: str | None, table: str | None) -> str:
    """What a view reads, as something that can stand behind FROM. The query's own last comment ends with its line."""
    if query is not None:
        return f"({query.strip().rstrip(';')}\n) AS sluice_rows"
    return ".".join(quoted(part) for part in (table or "").split("."))


def statement(chosen: str, columns: tuple[str, ...], condition: str) -> str:
    """The SQL that reads columns of a selection."""
    where = f" WHERE {condition}" if condition else ""
    return f"SELECT {', '.join(map(quoted, columns))} FROM {chosen}{where}"  # noqa: S608 names are quoted, the query is the user's own
