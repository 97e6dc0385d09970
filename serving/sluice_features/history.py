"""What was known of an entity at a moment: features for training, joined by time.

For each row that asks, of a view the latest row of its key is taken whose time is not after the asked moment, and not
older than `maxAge`; of several rows of the same time the one written last. It is taken as a whole: a value that is
missing in it is missing, as it would have been online. So no value comes from after the moment, and training sees
what the online store would have answered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from sluice.failures import Reason
from sluice_features import checks
from sluice_features.datatypes import Datatype, fits, is_time
from sluice_features.definitions import EVENT_TIMESTAMP, Definitions, Feature, View, read_definitions
from sluice_features.errors import FeaturesError, invalid
from sluice_features.normalising import as_moments, as_whole
from sluice_features.report import Violation
from sluice_features.secrets import Secrets
from sluice_features.sources.opening import opened
from sluice_features.sources.reading import Context, Window, earlier, quoted
from sluice_features.staging import Stage, Staged, stage_view, staging

ASKED = "sluice_asked"
_ROW, _AT = "sluice_row", "sluice_at"


class Features:
    """The features of one `features.yaml`, as training asks for them."""

    def __init__(self, definitions: Definitions, context: Context) -> None:
        self.definitions, self.context = definitions, context

    def training_data(
        self, service: str, entities: pa.Table, *, timestamp: str = EVENT_TIMESTAMP, now: datetime | None = None
    ) -> pa.Table:
        """The table with a service's features beside its columns, its rows in their order.

        `entities`: the service's keys, and in the column `timestamp` the moment at which each row asks (UTC where it
        names no zone). What was not known is null. The sources' rows are checked as they are before they are served;
        `now`, aware of its zone, is the time that none of them may be later than.

        Raises:
            FeaturesError: FeaturesInvalid where service, keys or time do not fit, FeaturesRefused where rows break a
                rule, FeaturesUnavailable where a source does not answer.
        """
        chosen = self.definitions.chosen(self.definitions.service(service))
        views = list({view.name: view for view, _ in chosen}.values())
        asked = self._asked(entities, timestamp, views, [feature for _, feature in chosen])
        with staging() as stage:
            stage.load(ASKED, asked.schema, iter(asked.to_batches()))
            moments = _bounds(asked)
            found = {
                view.name: self._joined(view, _of_view(chosen, view), stage, moments, now or datetime.now(UTC))
                for view in views
            }
        result = entities
        for view, feature in chosen:
            result = result.append_column(feature.name, found[view.name].column(feature.name))
        return result

    def _asked(self, entities: pa.Table, timestamp: str, views: list[View], features: list[Feature]) -> pa.Table:
        """Keys and moments of the rows that ask, in one form, and numbered."""
        keys = {name: datatype for view in views for name, datatype in self.definitions.keys(view)}
        if missing := [name for name in (*keys, timestamp) if name not in entities.column_names]:
            raise invalid(f"the rows that ask for features have no column {', '.join(missing)}")
        if taken := [feature.name for feature in features if feature.name in entities.column_names]:
            raise invalid(f"the rows that ask for features have columns of the features' names: {', '.join(taken)}")
        moments = entities.column(timestamp)
        if not is_time(moments.type) or moments.null_count:
            raise invalid(f"column {timestamp} holds the moment of each row: time stamps, none of them missing")
        for name, datatype in keys.items():
            if not fits(entities.column(name).type, datatype):
                raise invalid(f"column {name} is {entities.column(name).type}, and the key is {datatype.feast}")
        columns = {_ROW: pa.array(range(entities.num_rows), pa.int64()), _AT: as_moments(moments.combine_chunks())}
        wide = {name: _keys(name, entities.column(name), datatype) for name, datatype in keys.items()}
        return pa.table(columns | wide)

    def _joined(
        self,
        view: View,
        features: list[Feature],
        stage: Stage,
        moments: tuple[datetime | None, datetime | None],
        now: datetime,
    ) -> pa.Table:
        window = Window(earlier(moments[0], view.max_age), moments[1])
        with opened(self.definitions, view, self.context) as reading:
            staged = stage_view(self.definitions, view, reading, window, stage)
        if not isinstance(staged, Staged):
            raise _refused(staged)
        if found := list(checks.check_rows(staged, now)):
            raise _refused(found)
        columns = ", ".join(_column(view, feature) for feature in features)
        sql = f"SELECT {columns} FROM ({_as_of(view, staged)}) ORDER BY {_ROW}"  # noqa: S608 names are quoted
        schema = pa.schema([(feature.name, feature.type.arrow) for feature in features])
        return pa.Table.from_batches((batch.cast(schema) for batch in stage.batches(sql, 65_536)), schema)


def load(path: str | Path, environ: Mapping[str, str] | None = None) -> Features:
    """The features of a `features.yaml`; raises FeaturesError as `read_definitions` does."""
    path = Path(path)
    return Features(read_definitions(path), Context(path.absolute().parent, Secrets(environ)))


def _keys(name: str, values: pa.ChunkedArray, datatype: Datatype) -> pa.ChunkedArray:
    try:
        return as_whole(values, datatype.wide) if datatype.family == "integer" else values.cast(datatype.wide)
    except pa.ArrowException as error:
        raise invalid(f"column {name} holds what is no key: {error}") from error


def _of_view(chosen: Iterable[tuple[View, Feature]], view: View) -> list[Feature]:
    return [feature for other, feature in chosen if other.name == view.name]


def _bounds(asked: pa.Table) -> tuple[datetime | None, datetime | None]:
    """The first and the last moment that is asked for; None where nobody asks."""
    bounds = pc.min_max(asked.column(_AT))
    first, last = (None if bound is None else bound.replace(tzinfo=UTC) for bound in bounds.as_py().values())
    return first, last


def _as_of(view: View, staged: Staged) -> str:
    """Each asking row with the row of the view that was known at its time."""
    same = " AND ".join(f"a.{quoted(key)} = r.{quoted(key)}" for key in staged.shape.keys)
    known = f"r.{quoted(view.timestamp)} <= a.{_AT}"
    row = f"a.{_ROW}, a.{_AT}, r.* EXCLUDE ({staged.keys})"
    if view.known_from == "created":
        # Two times bound a row, and a join by time knows one: all rows of the key are looked at.
        latest = ", ".join(f"r.{quoted(moment)} DESC NULLS LAST" for moment in staged.shape.moments)
        return (
            f"SELECT {row} FROM {ASKED} AS a LEFT JOIN {staged.table} AS r "  # noqa: S608 names are quoted
            f"ON {same} AND {known} AND r.{quoted(str(view.created))} <= a.{_AT} "
            f"QUALIFY row_number() OVER (PARTITION BY a.{_ROW} ORDER BY {latest}) = 1"
        )
    last = f"PARTITION BY {staged.keys}, {quoted(view.timestamp)} ORDER BY {staged.order}"
    rows = f"SELECT * FROM {staged.table} QUALIFY row_number() OVER ({last}) = 1"  # noqa: S608 names are quoted
    return f"SELECT {row} FROM {ASKED} AS a ASOF LEFT JOIN ({rows}) AS r ON {same} AND {known}"  # noqa: S608


def _column(view: View, feature: Feature) -> str:
    value = f"CAST({quoted(feature.name)} AS {feature.type.duckdb})"
    if view.max_age is not None:
        age = f"{_AT} - {quoted(view.timestamp)}"
        microseconds = view.max_age // view.max_age.resolution
        value = f"CASE WHEN {age} <= to_microseconds({microseconds}) THEN {value} END"
    return f"{value} AS {quoted(feature.name)}"


def _refused(violations: list[Violation]) -> FeaturesError:
    return FeaturesError(Reason.FEATURES_REFUSED, "; ".join(map(str, violations)))
