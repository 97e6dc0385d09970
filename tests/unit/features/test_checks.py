"""Each rule, by one row that breaks it; and what is no breach."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from sluice_features.materialize import Run, check
from sluice_features.normalising import NormalisingError
from sluice_features.report import Report
from sluice_features.sources.postgres import whole_numbers
from unit.features.shop import FEATURES, NOW, rows, shop


def checked(folder: Path, columns: Any, *, start: Any = None, end: Any = None, **changes: Any) -> Report:
    features = shop(folder, columns, **changes)
    return check(Run(features.definitions, features.context, NOW, start=start, end=end))


def size(**rule: Any) -> dict[str, Any]:
    return {"features": [{"name": "size", "datatype": "FP32", **rule}]}


def exact(**rule: Any) -> dict[str, Any]:
    return {"features": [{"name": "size", "datatype": "FP64", **rule}]}


def staff(**rule: Any) -> dict[str, Any]:
    return {"features": [FEATURES[0], {"name": "staff", "datatype": "INT64", **rule}]}


def without(name: str) -> Any:
    return {key: values for key, values in rows().items() if key != name}


CITY = {"features": [{"name": "city", "datatype": "BYTES", "categories": ["Utrecht", "Ut'recht"]}]}
HUGE = [1e308, -1e308, 1e308, -1e308]
NEAR = [float(number % 10) for number in range(100)]


@pytest.mark.parametrize(
    ("columns", "changes", "told"),
    [
        (without("size"), {}, ("missing", "size", None)),
        (without("at"), {}, ("missing", "at", None)),
        (rows(store_id=[1, None, 3]), {}, ("missing", "store_id", 1)),
        (rows(at=[NOW, None, NOW]), {}, ("missing", "at", 1)),
        (rows(size=[1.0, None, float("nan")]), {}, ("nullable", "size", 2)),
        (rows(city=["a", "", None]), {"features": [{"name": "city", "datatype": "BYTES"}]}, ("nullable", "city", 2)),
        (rows(staff=[1, None, None]), staff(nullable=True, maxMissing=0.5), ("maxMissing", "staff", 2)),
        (rows(size=[1.0, -2.0, 3.0]), size(minimum=0), ("minimum", "size", 1)),
        (rows(size=[1.0, 2.0, 300.0]), size(maximum=100), ("maximum", "size", 1)),
        (rows(city=["Utrecht", "Ut'recht", "Delft"]), CITY, ("categories", "city", 1)),
        (rows(size=[1.0, float("inf"), 1e39]), {}, ("type", "size", 2)),
        (rows(size=pa.array(["1", "2", "3"])), {}, ("type", "size", None)),
        (rows(city=pa.array([1, 2, 3])), {}, ("type", "city", None)),
        (rows(at=pa.array(["2026-01-01"] * 3)), {}, ("type", "at", None)),
        (rows(staff=pa.array([1.0, 2.5, None])), {}, ("type", "staff", 1)),
        (rows(staff=[1, 2**53 + 1, None]), {}, ("type", "staff", 1)),
        (rows(staff=pa.array([1.0, 2.0**53, 3.0])), {}, ("type", "staff", 1)),
        (rows(store_id=pa.array([1.0, 2.0, 2.0**53])), {}, ("type", "store_id", None)),
        (rows(store_id=pa.array([1.0, 2.0, 2.0**24], pa.float32())), {}, ("type", "store_id", None)),
        (rows(store_id=pa.array([1.0, 2.5, 3.0])), {}, ("type", "store_id", None)),
        (rows(staff=pa.array([1, 2, 2**63], pa.uint64())), {}, ("type", "staff", None)),
        (rows(staff=[1, 2**31, 3]), {"features": [{"name": "staff", "datatype": "INT32"}]}, ("type", "staff", 1)),
        (rows(at=[NOW, NOW + timedelta(hours=1), NOW]), {}, ("future", "at", 1)),
        (rows(store_id=[1, 1, 2], at=[NOW] * 3), {}, ("duplicates", "at", 1)),
        (rows(store_id=[1, 1, 2], at=[NOW] * 3, written=[NOW] * 3), {"created": "written"}, ("duplicates", "at", 1)),
        (rows(), {"minRows": 4}, ("minRows", "", None)),
        (rows(at=[NOW - timedelta(days=3)] * 3), {"fresh": "2d"}, ("fresh", "at", None)),
        (rows(at=[NOW - timedelta(days=3)] * 3), {"maxAge": "2d"}, ("minRows", "", None)),
        (rows(staff=[None] * 3), {"features": [FEATURES[1]]}, ("empty", "", 3)),
        (rows(), {"features": [FEATURES[0]], "extraColumns": "Refuse"}, ("extraColumns", "", None)),
        (rows(size=[0.3, 0.1 + 0.2, 0.2]), exact(maximum=0.3), ("maximum", "size", 1)),
        (rows(100, size=[*NEAR[:-2], 1e300, -1e300]), exact(outliers={"method": "zscore"}), ("outliers", "size", 2)),
        (rows(100, size=[*NEAR[:-2], 1000.0, -1000.0]), size(outliers={}), ("outliers", "size", 2)),
        (rows(100, size=[*NEAR[:-2], 1000.0, 1000.0]), size(outliers={"method": "zscore"}), ("outliers", "size", 2)),
    ],
)  # fmt: skip
def test_what_breaks_a_rule_is_told(columns: Any, changes: Any, told: Any, tmp_path: Path) -> None:
    report = checked(tmp_path, columns, **changes)
    assert report.result == "Refused"
    assert [(one.rule, one.column, one.rows) for one in report.violations] == [told]
    assert report.message == str(report.violations[0])  # a check writes nothing anyway


@pytest.mark.parametrize(
    ("columns", "changes"),
    [
        (rows(), {}),
        (rows(staff=pa.array([1.0, 2.0, None])), {}),
        (rows(staff=pa.array([1, 2, 3], pa.int8())), {}),
        (rows(staff=[1, 2**53 + 1, 3]), staff()),
        (rows(store_id=pa.array([1.0, 2.0, 2.0**53 - 1])), {}),
        (rows(store_id=pa.array([10**18 + 1, 10**18 + 3, 1], pa.decimal128(38, 0))), {}),
        (rows(size=pa.array([1, 2, 3], pa.int16())), {}),
        (rows(size=pa.array([1, 2, 3], pa.decimal128(9, 2))), {}),
        (rows(city=pa.array(["a", "b", None]).dictionary_encode()), {}),
        (rows(at=pa.array([20_000, 20_001, 20_002], pa.date32())), {}),
        (rows(at=[NOW + timedelta(seconds=50)] * 3), {}),
        (rows(store_id=[1, 1, 2], at=[NOW] * 3, written=[NOW, NOW - timedelta(1), NOW]), {"created": "written"}),
        (rows(size=[0.0, 100.0, 50.0]), size(minimum=0, maximum=100)),
        (rows(staff=[1, None, 2]), staff(nullable=True, maxMissing=0.34)),
        (rows(staff=[None, None, 2]), staff(nullable=True, minimum=2, categories=[2])),
        (rows(100, size=[*NEAR[:-1], 1000.0]), size(outliers={})),
        (rows(size=[5.0] * 3), size(outliers={"method": "zscore", "share": 0})),
        (rows(), {"minRows": 3, "fresh": "1h"}),
        (rows(0), {"minRows": 0}),
        (rows(size=pa.array([0.05, 0.1, 0.2], pa.float32())), size(minimum=0.05, maximum=0.2)),
        (rows(size=pa.array([0.7, 0.1, 0.2], pa.float32())), size(categories=[0.1, 0.2, 0.7])),
        (rows(size=[0.7, 0.1, 0.2]), size(categories=[0.1, 0.2, 0.7], minimum=-1e300, maximum=1e300)),
        (rows(size=[0.3, 0.1 + 0.2, 0.7]), exact(minimum=0.3, maximum=0.7)),
        (rows(4, size=HUGE), exact(outliers={"method": "iqr"})),
        (rows(4, size=HUGE), exact(outliers={"method": "zscore"})),
        (rows(4, size=[0.0] * 4), exact(outliers={"method": "zscore"})),
    ],
)
def test_what_breaks_none_passes(columns: Any, changes: Any, tmp_path: Path) -> None:
    report = checked(tmp_path, columns, **changes)
    assert report.violations == []
    assert report.result == "Checked"


def test_a_breach_is_told_with_rows_that_break_it(tmp_path: Path) -> None:
    [violation] = checked(tmp_path, rows(size=[1.0, -2.0, 3.0]), **size(minimum=0)).violations
    assert str(violation) == (
        "stores.size: a value is below 0 [minimum] (1 of 3 rows), such as store_id=2, at=2026-03-01 11:00:00, size=-2.0"
    )


def test_a_decimal_of_postgresql_stays_the_whole_number_it_is() -> None:
    given = [Decimal("1000000000000000001"), None, Decimal("1000000000000000003.00"), Decimal(-(2**63))]
    assert whole_numbers("key", given) == [10**18 + 1, None, 10**18 + 3, -(2**63)]


@pytest.mark.parametrize("given", ["1.5", "NaN", "Infinity", "1e30", "9223372036854775808"])
def test_a_decimal_that_is_no_such_number_is_told(given: str) -> None:
    with pytest.raises(NormalisingError, match="is no whole number that fits INT64"):
        whole_numbers("key", [Decimal(1), Decimal(given)])


def test_columns_that_nobody_asked_for_are_told(tmp_path: Path) -> None:
    report = checked(tmp_path, rows(), features=[FEATURES[0]])
    assert report.views[0].notes == ["the source has columns that no feature names: city, staff"]


def test_rows_outside_of_the_window_are_not_read(tmp_path: Path) -> None:
    report = checked(tmp_path, rows(5), start=NOW - timedelta(hours=3), end=NOW - timedelta(hours=1))
    assert report.views[0].rows == 3


def test_a_report_counts_rows_and_keys(tmp_path: Path) -> None:
    [view] = checked(tmp_path, rows(5, store_id=[1, 2, 2, 2, 1])).views
    assert (view.rows, view.entities, view.newest, view.written) == (5, 2, NOW, 0)
