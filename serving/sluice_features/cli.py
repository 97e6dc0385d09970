"""What the commands about features do: from chosen options to the text they print."""

from __future__ import annotations

import argparse
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from pydantic import ValidationError

from sluice.failures import Failure, Reason, write_termination
from sluice.telling import fault, warn
from sluice_features.definitions import Store
from sluice_features.errors import FeaturesError, invalid
from sluice_features.history import Features, load
from sluice_features.materialize import Run, check, materialize
from sluice_features.online import OnlineStore
from sluice_features.render import render
from sluice_features.report import Report
from sluice_features.sources.reading import Context
from sluice_features.sources.spark import render_jobs

_TOKEN = "FEATURE_STORE_TOKEN"  # noqa: S105 the name of a variable


def run(chosen: argparse.Namespace) -> int:
    """Run the chosen command. Returns 0, or the status of what is at fault with one line on stderr that says it."""
    try:
        with _ended_as_by_ctrl_c():
            print(_COMMANDS[chosen.part](chosen))  # noqa: T201 the command's answer
    except FeaturesError as error:
        return _fault(chosen, error.failure)
    except (FileNotFoundError, PermissionError, ValueError, pa.ArrowException) as error:
        return _fault(chosen, Failure(reason=Reason.FEATURES_INVALID, message=str(error)))
    except OSError as error:
        return _fault(chosen, Failure(reason=Reason.FEATURES_UNAVAILABLE, message=str(error)))
    except KeyboardInterrupt:
        return 130
    return 0


@contextmanager
def _ended_as_by_ctrl_c() -> Iterator[None]:
    """A pod's end stops the command at once, and what it keeps on disk is taken away. A pod's first process would not
    even hear of it otherwise.
    """
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def only_check(chosen: argparse.Namespace) -> str:
    """Check views; the answer is what they hold."""
    return _concluded(chosen, check(_run(chosen, load(chosen.definitions))))


def bring(chosen: argparse.Namespace) -> str:
    """Bring views into the online store; the answer is how many rows of each."""
    features = load(chosen.definitions)
    wanted, context = with_credentials(_store(features, chosen.store), features.context, chosen.store_credentials)
    with OnlineStore(wanted, context) as store:
        return _concluded(chosen, materialize(_run(chosen, features), store))


def join(chosen: argparse.Namespace) -> str:
    """Join features to rows; the answer is where they are."""
    asked = chosen.entities
    if not asked.exists():
        raise invalid(f"--entities: there is no file {asked}")
    if not chosen.output.parent.is_dir():
        raise invalid(f"--output {chosen.output}: there is no folder {chosen.output.parent}")
    read = pyarrow.csv.read_csv if asked.suffix == ".csv" else pyarrow.parquet.read_table
    joined = load(chosen.definitions).training_data(chosen.service, read(asked), timestamp=chosen.timestamp)
    pyarrow.parquet.write_table(joined, chosen.output)
    return f"{chosen.output}: {joined.num_rows} rows, {joined.num_columns} columns"


def write_repository(chosen: argparse.Namespace) -> str:
    """Write Feast's repository and Spark's jobs; the answer is their paths."""
    if chosen.output.exists() and not chosen.output.is_dir():
        raise invalid(f"{chosen.output} is a file; --output is a folder")
    features = load(chosen.definitions)
    written = render(features.definitions, chosen.output)
    written += render_jobs(features.definitions, features.context.folder, chosen.output)
    return "\n".join(map(str, written))


def _run(chosen: argparse.Namespace, features: Features) -> Run:
    start, end = _time(chosen.start), _time(chosen.end)
    if start and end and start >= end:
        raise invalid(f"--start {chosen.start} is not before --end {chosen.end}")
    if chosen.report is not None and not chosen.report.parent.is_dir():
        raise invalid(f"--report {chosen.report}: there is no folder {chosen.report.parent}")
    return Run(
        features.definitions,
        features.context,
        now=datetime.now(UTC),
        views=chosen.view,
        start=start,
        end=end,
        say=warn,
    )


def _store(features: Features, url: str | None) -> Store:
    known = features.definitions.store
    if url is None:
        if known is None:
            raise invalid("there is no store: say which by store.url or --store")
        return known
    try:
        return Store.model_validate((known.model_dump() if known else {}) | {"url": url})
    except ValidationError as error:
        # It may hold a password, and is not shown.
        raise invalid(
            "--store is the http(s) URL of a feature server, such as http://feast.shop.svc:6566, without user or query"
        ) from error


def with_credentials(store: Store, context: Context, folder: Path | None) -> tuple[Store, Context]:
    """The store as whoever has this folder sees it: by its `token` and its `ca.crt`, where it holds them."""
    if folder is None:
        return store, context
    token, ca = folder / "token", folder / "ca.crt"
    if token.is_file():
        store = store.model_copy(update={"token": f"${{{_TOKEN}}}"})
        context = replace(context, secrets=context.secrets.knowing(_TOKEN, token.read_text(encoding="utf-8").strip()))
    return store.model_copy(update={"ca": str(ca)}) if ca.is_file() else store, context


def _concluded(chosen: argparse.Namespace, report: Report) -> str:
    """Leave the report where it was asked for.

    Raises:
        FeaturesError: the data broke a rule, or not all was written.
    """
    if chosen.report is not None:
        chosen.report.write_text(report.model_dump_json(by_alias=True, indent=2) + "\n", encoding="utf-8")
    for view in report.views:
        for note in view.notes:
            warn(f"{view.view}: {note}")
    if report.reason is not None:
        raise FeaturesError(report.reason, report.message)
    return "\n".join(f"{view}, {view.written} written" if view.written else str(view) for view in report.views)


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise invalid(f"{text!r} is no time; write 2026-01-31 or 2026-01-31T06:00:00Z") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _fault(chosen: argparse.Namespace, failure: Failure) -> int:
    log: Path | None = getattr(chosen, "termination_log", None)
    if log is not None:
        write_termination(log, failure)
    return fault(failure.message, failure.reason.status)


_COMMANDS: Mapping[str, Callable[[argparse.Namespace], str]] = {
    "check": only_check,
    "materialize": bring,
    "history": join,
    "render": write_repository,
}
