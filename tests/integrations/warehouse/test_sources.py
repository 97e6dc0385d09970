"""The same rows from every kind of source: checked, in the online store, and in training data alike."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from integrations.warehouse.conftest import Online
from integrations.warehouse.rows import DAYS, FEATURES, NOW, STORES, definitions, known, view
from integrations.warehouse.sources import KINDS
from sluice_features.history import Features

NAMES = [feature["name"] for feature in FEATURES]


@pytest.fixture(scope="module", params=sorted(KINDS))
def features(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Features]:
    folder = tmp_path_factory.mktemp(request.param)
    with KINDS[request.param](folder, known()) as made:
        yield definitions(folder, {request.param: made.source}, [view(request.param, **made.asked)], made.environ)


def test_the_latest_rows_reach_the_online_store(features: Features, sqlite: Online) -> None:
    report = sqlite.bring(features)
    name = features.definitions.views[0].name
    told = report.views[0]
    assert (report.result, told.rows, told.entities, told.written) == ("Written", STORES * DAYS, STORES, STORES)
    assert told.newest == NOW
    today = known().filter(pc.equal(known()["at"], pa.scalar(NOW, pa.timestamp("us", "UTC"))))
    found = sqlite.values(name, today["store_id"].to_pylist())
    assert {feature: found[feature] for feature in NAMES} == {feature: today[feature].to_pylist() for feature in NAMES}


def test_training_is_given_what_was_known_on_each_day(features: Features) -> None:
    rows = known()
    later = pc.add(rows["at"], pa.scalar(timedelta(hours=1), pa.duration("us")))
    asked = pa.table({"event_timestamp": later, "store_id": rows["store_id"]})
    found = features.training_data(features.definitions.services[0].name, asked, now=NOW)
    assert {name: found[name].to_pylist() for name in NAMES} == {name: rows[name].to_pylist() for name in NAMES}


def test_a_window_bounds_what_is_written(features: Features, sqlite: Online) -> None:
    report = sqlite.bring(features, start=NOW - timedelta(days=3), end=NOW - timedelta(days=1))
    assert (report.views[0].rows, report.views[0].newest) == (STORES * 3, NOW - timedelta(days=1))
    sqlite.bring(features)


def test_only_the_rows_that_are_young_enough_are_read(features: Features, sqlite: Online, tmp_path: Path) -> None:
    document = features.definitions.model_dump(by_alias=True)
    document["views"][0]["maxAge"] = timedelta(days=1, hours=1)
    young = Features(type(features.definitions).model_validate(document), features.context)
    assert sqlite.bring(young).views[0].rows == STORES * 2
