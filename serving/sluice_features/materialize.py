"""THE PATH from a source to the online store: read -> check all of it -> only then write -> look whether it is there.

A view that breaks a rule keeps every view of the run from being written: services read several of them together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa

from sluice.failures import Reason
from sluice_features import checks
from sluice_features.definitions import EVENT_TIMESTAMP, Definitions, View
from sluice_features.errors import FeaturesError, invalid
from sluice_features.online import OnlineStore, differences
from sluice_features.report import Report, ViewReport, Violation
from sluice_features.sending import send
from sluice_features.sources.opening import opened
from sluice_features.sources.reading import Context, Window, earlier, quoted
from sluice_features.staging import Stage, Staged, choose_latest, extra_columns, kept, stage_view, staging

LOOKED_AT = 100
"""Keys of each view that are asked for again after the write, beside one of each batch: a store may lose whole ones."""


@dataclass(frozen=True)
class Run:
    """What to read. `now` is aware of its zone; `start` and `end` bound the rows' times."""

    definitions: Definitions
    context: Context
    now: datetime
    views: Sequence[str] = ()
    start: datetime | None = None
    end: datetime | None = None
    say: Callable[[str], None] = field(default=lambda _: None)

    def window(self, view: View) -> Window:
        """From `start`, or from where a row would be too old to count, to `end`."""
        return Window(self.start or earlier(self.end or self.now, view.max_age), self.end)


def check(run: Run) -> Report:
    """Read the views and hold them against the rules; raises as `materialize` does."""
    with _checked(run) as (report, _):
        return report


def materialize(run: Run, store: OnlineStore) -> Report:
    """Bring the latest row of each key into the online store.

    Data that break a rule are no error but a report: `Refused`. What goes wrong while rows are written is one, too:
    `Failed`, since it has to say how many there are.

    Raises:
        FeaturesError: the definitions, a source or the store are at fault, and nothing was written.
    """
    with _checked(run) as (report, staged):
        if report.violations:
            report.message = f"Nothing was written, the old values stay: {report.message}"
            return report
        for one in staged:
            _expected(one, store)
        try:
            # The rows' own place may fail half-way, too.
            with kept():
                for one, told in zip(staged, report.views, strict=True):
                    _write(one, told, store, run)
        except KeyboardInterrupt:
            run.say(f"stopped. {_how_far(report)}")
            raise
        except FeaturesError as error:
            report.result, report.reason, report.message = (
                "Failed",
                error.reason,
                f"{error.message}. {_how_far(report)}",
            )
            return report
        report.result, report.message = "Written", f"{report.written} rows"
        return report


@contextmanager
def _checked(run: Run) -> Iterator[tuple[Report, list[Staged]]]:
    report = Report(at=run.now)
    with staging() as stage:
        staged = [_read(run, view, stage, report) for view in run.definitions.selected(run.views)]
        if report.violations:
            report.result, report.reason = "Refused", Reason.FEATURES_REFUSED
            # What matters most comes first: a pod's last word may be cut.
            report.message = "; ".join(map(str, report.violations))
        yield report, [one for one in staged if one is not None]


def _read(run: Run, view: View, stage: Stage, report: Report) -> Staged | None:
    told = ViewReport(view=view.name, source=view.source)
    report.views.append(told)
    with opened(run.definitions, view, run.context) as reading:
        told.violations += _extra(view, extra_columns(view, reading), told.notes)
        staged = stage_view(run.definitions, view, reading, run.window(view), stage)
    if not isinstance(staged, Staged):
        told.violations += staged
        return None
    told.entities = choose_latest(staged)
    told.rows, told.newest = checks.count(staged), checks.newest(staged)
    told.violations += checks.check(staged, run.now)
    run.say(str(told))
    return staged


def _extra(view: View, extra: list[str], notes: list[str]) -> list[Violation]:
    if not extra:
        return []
    message = f"the source has columns that no feature names: {', '.join(extra)}"
    if view.extra_columns == "Refuse":
        return [Violation(view=view.name, column="", rule="extraColumns", message=message)]
    notes.append(message)
    return []


def _expected(staged: Staged, store: OnlineStore) -> None:
    names = list(staged.shape.keys)
    row = staged.stage.rows(f"SELECT {staged.keys} FROM {staged.latest} LIMIT 1")  # noqa: S608 names are quoted
    if row:
        store.expect(staged.view.name, list(staged.shape.features), dict(zip(names, row[0], strict=True)))


def _write(staged: Staged, told: ViewReport, store: OnlineStore, run: Run) -> None:
    with_values = next(staged.stage.batches(f"{_selection(staged)} WHERE {staged.has_values} LIMIT 1", 1), None)
    if with_values is None:
        return

    def write(batch: pa.RecordBatch) -> None:
        store.write(staged.view.name, _never_empty(batch, with_values, list(staged.shape.features)))

    looked_at: list[pa.RecordBatch] = []

    def ended(batch: pa.RecordBatch, error: BaseException | None) -> None:
        if error is not None:
            told.doubtful += batch.num_rows
            return
        told.written += batch.num_rows
        # Copies: a slice would keep all of the batch.
        looked_at.append(batch.take(pa.array(range(1 if looked_at else min(LOOKED_AT, batch.num_rows)))))
        run.say(f"{staged.view.name}: {told.written} of {told.entities} keys written")

    ordered = f"{_selection(staged)} ORDER BY {staged.keys}"
    send(staged.stage.batches(ordered, store.batch), write, ended, store.concurrency)
    for some in pa.Table.from_batches(looked_at).combine_chunks().to_batches(LOOKED_AT):
        _look(staged, some, store)


def _selection(staged: Staged) -> str:
    """Rows as they are written: the features in their own types, and the time by Feast's name."""
    features = (
        f"CAST({quoted(name)} AS {datatype.duckdb}) AS {quoted(name)}"
        for name, datatype in staged.shape.features.items()
    )
    moment = f"{quoted(staged.view.timestamp)} AS {EVENT_TIMESTAMP}"
    return f"SELECT {staged.keys}, {', '.join(features)}, {moment} FROM {staged.latest}"  # noqa: S608 names are quoted


def _never_empty(batch: pa.RecordBatch, with_values: pa.RecordBatch, features: list[str]) -> pa.RecordBatch:
    if any(batch.column(name).null_count < batch.num_rows for name in features):
        return batch
    return pa.concat_batches([batch, with_values.cast(batch.schema)])


def _look(staged: Staged, rows: pa.RecordBatch, store: OnlineStore) -> None:
    keys: dict[str, list[Any]] = {name: rows.column(name).to_pylist() for name in staged.shape.keys}
    features = list(staged.shape.features)
    if wrong := differences(rows, features, store.read(staged.view.name, features, keys)):
        raise invalid(
            f"the online store holds other values of view {staged.view.name} than were written, such as {wrong[0]}: it "
            "keeps rows of the same or a later time; set `skip_dedup: true` of its Redis, or write rows of a later time"
            + ("; or it loses writes that come at once: set store.concurrency: 1" if store.concurrency > 1 else "")
        )


def _how_far(report: Report) -> str:
    done = ", ".join(f"{view.written} of {view.entities} keys of {view.view}" for view in report.views)
    doubtful = sum(view.doubtful for view in report.views)
    perhaps = f", and perhaps some of {doubtful} whose write failed" if doubtful else ""
    return f"Written were {done}{perhaps}; the others keep their old values. Running it again writes all of them"
