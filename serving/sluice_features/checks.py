"""What must hold of rows before any is written: one pass of counts in SQL, then examples of what broke a rule."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sluice_features.definitions import Feature, Outliers
from sluice_features.normalising import EXACT
from sluice_features.report import Violation
from sluice_features.sources.reading import quoted
from sluice_features.staging import Staged

EXAMPLES = 3

CLOCK_SKEW = timedelta(minutes=1)
"""How far a warehouse's clock may be ahead of ours."""

LARGEST_FP32 = 3.4028234663852886e38

LARGEST_SQUARED = 1e140
"""Of so many numbers as there may ever be, each of at most this, the squares add up to a FP64."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition that no row may meet. `allowed`: the share of rows that may, all the same."""

    column: str
    name: str
    message: str
    broken: str
    allowed: float = 0.0


def check(staged: Staged, now: datetime) -> Iterator[Violation]:
    """All that does not hold of what is to be served: rows of which the latest were chosen. `now` knows its zone."""
    view, total = staged.view, count(staged)
    if total < view.min_rows:
        message = f"{total} rows were read, and at least {view.min_rows} are expected"
        yield Violation(view=view.name, column="", rule="minRows", message=message)
    yield from check_rows(staged, now)
    yield from _not_fresh(staged, now)
    yield from _empty(staged, total)


def check_rows(staged: Staged, now: datetime) -> Iterator[Violation]:
    """What does not hold of rows, however many there are of whatever time."""
    total = count(staged)
    rules = [*_rules_of_rows(staged, now), *_rules_of_features(staged)]
    for rule, rows in zip(rules, _counts(staged, rules), strict=True):
        if rows > rule.allowed * total:
            yield _violation(staged, rule, rows, total)
    yield from _repeated(staged, total)


def newest(staged: Staged) -> datetime | None:
    """The latest moment of the rows."""
    found = staged.stage.rows(f"SELECT max({quoted(staged.view.timestamp)}) FROM {staged.table}")[0][0]  # noqa: S608
    return None if found is None else found.replace(tzinfo=UTC)


def count(staged: Staged) -> int:
    """How many rows there are."""
    return int(staged.stage.rows(f"SELECT count(*) FROM {staged.table}")[0][0])  # noqa: S608


def _counts(staged: Staged, rules: list[Rule]) -> list[int]:
    wanted = ", ".join(f"count(*) FILTER (WHERE {rule.broken})" for rule in rules)
    return list(staged.stage.rows(f"SELECT {wanted} FROM {staged.table}")[0])  # noqa: S608


def _violation(staged: Staged, rule: Rule, rows: int, total: int) -> Violation:
    examples = _examples(staged, rule.column, f"FROM {staged.table} WHERE {rule.broken}")
    return Violation(
        view=staged.view.name,
        column=rule.column,
        rule=rule.name,
        message=rule.message,
        rows=rows,
        of=total,
        examples=examples,
    )


def _examples(staged: Staged, column: str, which: str) -> list[str]:
    names = list(dict.fromkeys([*staged.shape.keys, staged.view.timestamp, column]))
    found = staged.stage.rows(f"SELECT {', '.join(map(quoted, names))} {which} ORDER BY ALL LIMIT {EXAMPLES}")
    return [", ".join(f"{name}={_told(value)}" for name, value in zip(names, row, strict=True)) for row in found]


def _told(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    text = "null" if value is None else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _rules_of_rows(staged: Staged, now: datetime) -> Iterator[Rule]:
    for key in staged.shape.keys:
        yield Rule(key, "missing", "a row has no key", f"{quoted(key)} IS NULL")
    for moment in staged.shape.moments:
        yield Rule(moment, "missing", "a row has no time", f"{quoted(moment)} IS NULL")
        latest = _literal(now + CLOCK_SKEW)
        yield Rule(
            moment, "future", f"a time is later than now, {now:%Y-%m-%d %H:%M} UTC", f"{quoted(moment)} > {latest}"
        )


def _rules_of_features(staged: Staged) -> Iterator[Rule]:
    for key, datatype in staged.shape.keys.items():
        if datatype.feast == "Int32":
            yield Rule(key, "type", "it does not fit INT32", _beyond(quoted(key), 2**31))
    for feature in staged.view.features:
        yield from _of_missing(feature)
        yield from _of_type(feature, staged)
        yield from _of_values(feature)
        if feature.outliers is not None:
            yield from _of_outliers(feature, feature.outliers, staged)


def _of_missing(feature: Feature) -> Iterator[Rule]:
    broken = f"{quoted(feature.name)} IS NULL"
    if not feature.nullable:
        yield Rule(feature.name, "nullable", "a value is missing", broken)
    elif feature.max_missing < 1.0:
        message = f"more than {feature.max_missing:.2%} of the values are missing"
        yield Rule(feature.name, "maxMissing", message, broken, allowed=feature.max_missing)


def _of_type(feature: Feature, staged: Staged) -> Iterator[Rule]:
    name, column = feature.name, quoted(feature.name)
    if feature.datatype in ("FP32", "FP64"):
        limit = f" OR abs({column}) > {LARGEST_FP32!r}" if feature.datatype == "FP32" else ""
        yield Rule(name, "type", f"a value is no number of {feature.datatype}", f"isinf({column}){limit}")
    if feature.type.family != "integer":
        return
    if name in staged.shape.reals:
        broken = f"isinf({column}) OR {column} <> trunc({column})"
        yield Rule(name, "type", "a value is no whole number", broken)
    if feature.datatype == "INT32":
        yield Rule(name, "type", "a value does not fit INT32", _beyond(column, 2**31))
    elif name in staged.shape.reals:
        message = (
            "a value from 2**53 on, which the source gives as a real, may have been rounded; give it as an integer"
        )
        yield Rule(name, "type", message, f"abs({column}) >= {EXACT}")
    elif feature.nullable:
        # Feast's server reads JSON columns that have gaps as FP64.
        message = "a value beyond 2**53 is not kept exactly where others are missing; make it BYTES"
        yield Rule(name, "type", message, f"{column} > {EXACT} OR {column} < -{EXACT}")


def _of_values(feature: Feature) -> Iterator[Rule]:
    name, column = feature.name, quoted(feature.name)
    if feature.datatype == "FP32":
        # As it is served; what does not fit breaks another rule, and is null here.
        column = f"TRY_CAST({column} AS FLOAT)"
    if feature.minimum is not None:
        broken = f"{column} < {_of_the_type(feature, feature.minimum)}"
        yield Rule(name, "minimum", f"a value is below {feature.minimum:g}", broken)
    if feature.maximum is not None:
        broken = f"{column} > {_of_the_type(feature, feature.maximum)}"
        yield Rule(name, "maximum", f"a value is above {feature.maximum:g}", broken)
    if feature.categories is not None:
        listed = ", ".join(_of_the_type(feature, value) for value in feature.categories)
        yield Rule(name, "categories", "a value is none of the categories", f"{column} NOT IN ({listed})")


def _of_outliers(feature: Feature, outliers: Outliers, staged: Staged) -> Iterator[Rule]:
    bounds = _fences(feature, outliers, staged) if outliers.method == "iqr" else _deviations(feature, outliers, staged)
    if bounds is None:
        return
    # A fence beyond the largest number is one that no number passes.
    low, high = (max(-sys.float_info.max, min(sys.float_info.max, bound)) for bound in bounds)
    column = quoted(feature.name)
    message = f"more than {outliers.share:.2%} of the values lie outside of {low:g} to {high:g} ({outliers.method})"
    broken = f"{column} < {low!r} OR {column} > {high!r}"
    yield Rule(feature.name, "outliers", message, broken, allowed=outliers.share)


def _fences(feature: Feature, outliers: Outliers, staged: Staged) -> tuple[float, float] | None:
    """Tukey's fences. The quartiles are exact: two sorts on disk, where an estimate would differ from run to run."""
    column = quoted(feature.name)
    present = f"FROM {staged.table} WHERE {column} IS NOT NULL AND NOT isinf({column}::DOUBLE)"
    present_rows = int(staged.stage.rows(f"SELECT count(*) {present}")[0][0])
    if present_rows == 0:
        return None
    quartiles = [
        float(
            staged.stage.rows(f"SELECT {column} {present} ORDER BY 1 LIMIT 1 OFFSET {int(share * (present_rows - 1))}")[
                0
            ][0]
        )
        for share in (0.25, 0.75)
    ]
    reach = outliers.factor * (quartiles[1] - quartiles[0])
    return quartiles[0] - reach, quartiles[1] + reach


def _deviations(feature: Feature, outliers: Outliers, staged: Staged) -> tuple[float, float] | None:
    column = f"{quoted(feature.name)}::DOUBLE"
    present = f"FROM {staged.table} WHERE {column} IS NOT NULL AND NOT isinf({column})"
    largest = staged.stage.rows(f"SELECT max(abs({column})) {present}")[0][0]
    if largest is None:
        return None
    # The sum of their squares must be a number, too.
    scale = largest if largest > LARGEST_SQUARED else 1.0
    scaled = f"{column} / CAST('{scale!r}' AS DOUBLE)"
    mean, deviation = staged.stage.rows(f"SELECT avg({scaled}), stddev_pop({scaled}) {present}")[0]
    reach = outliers.factor * deviation
    return scale * (mean - reach), scale * (mean + reach)


def _repeated(staged: Staged, total: int) -> Iterator[Violation]:
    moments = ", ".join(map(quoted, staged.shape.moments))
    groups = f"SELECT {staged.keys}, {moments}, count(*) AS sluice_times FROM {staged.table} GROUP BY ALL"  # noqa: S608
    repeated = f"FROM ({groups}) WHERE sluice_times > 1"
    surplus = staged.stage.rows(f"SELECT coalesce(sum(sluice_times - 1), 0)::BIGINT {repeated}")[0][0]
    if surplus:
        hint = "" if staged.view.created else "; name the column that says which was written last as `created`"
        yield Violation(
            view=staged.view.name,
            column=staged.view.timestamp,
            rule="duplicates",
            message=f"a key has several rows of the same time{hint}",
            rows=surplus,
            of=total,
            examples=_examples(staged, staged.view.timestamp, repeated),
        )


def _not_fresh(staged: Staged, now: datetime) -> Iterator[Violation]:
    latest, fresh = newest(staged), staged.view.fresh
    if fresh is not None and latest is not None and now - latest > fresh:
        message = f"the newest row is of {latest:%Y-%m-%d %H:%M} UTC, and must not be older than {fresh}"
        yield Violation(view=staged.view.name, column=staged.view.timestamp, rule="fresh", message=message)


def _empty(staged: Staged, total: int) -> Iterator[Violation]:
    """Feast drops a write in which every value is missing, and says that all is well."""
    if total and not staged.stage.rows(f"SELECT 1 FROM {staged.latest} WHERE {staged.has_values} LIMIT 1"):  # noqa: S608
        message = "no key's latest row has a value of any feature"
        yield Violation(view=staged.view.name, column="", rule="empty", message=message, rows=total, of=total)


def _beyond(column: str, limit: int) -> str:
    return f"{column} >= {limit} OR {column} < -{limit}"


def _of_the_type(feature: Feature, value: Any) -> str:
    """A value as the feature holds it: 0.1 is another number as FP32 than as FP64."""
    if feature.type.family != "real":
        return _literal(value)
    limit = LARGEST_FP32 if feature.datatype == "FP32" else sys.float_info.max
    # As text: DuckDB takes a number for a decimal first, and rounds twice.
    return f"CAST('{max(-limit, min(limit, float(value)))!r}' AS {feature.type.duckdb})"


def _literal(value: Any) -> str:
    if isinstance(value, datetime):
        return f"TIMESTAMP '{value.astimezone(UTC).replace(tzinfo=None).isoformat(sep=' ')}'"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return str(value).upper() if isinstance(value, bool) else repr(value)
