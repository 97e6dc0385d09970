"""Features for training are what was known at each row's time, under the names of the model's inputs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from sluice.contract import Entity, Feature, FeatureReferences
from sluice.model import Model
from sluice_training.data import canonical
from sluice_training.errors import TrainingError
from sluice_training.joining import joined

START = datetime(2026, 1, 1, tzinfo=UTC)
DEFINITIONS = """\
project: retail
entities: [{name: shop, datatype: INT64}]
sources: {warehouse: {parquet: {tables: facts.parquet}}}
views:
  - name: facts
    source: warehouse
    entities: [shop]
    timestamp: at
    maxAge: 7d
    features: [{name: floor, datatype: FP64}, {name: kind, datatype: BYTES}]
services:
  - {name: shops, features: ["facts:*"]}
"""


class Plain(Model):
    """Leaves it to the definitions."""

    name, target = "plain", "revenue"


class Naming(Plain):
    """Takes one of the features, for an input of another name."""

    def features(self) -> FeatureReferences:
        places = (Feature(name="floor", input="size", default=10.0),)
        return FeatureReferences(service="shops", entities=(Entity(name="shop"),), features=places)


class Elsewhere(Plain):
    """Names a service that nobody has."""

    def features(self) -> FeatureReferences:
        return Naming().features().model_copy(update={"service": "other"})


@pytest.fixture
def definitions(tmp_path: Path) -> Path:
    days = [START, START + timedelta(days=2), START]
    facts = {"shop": [1, 1, 2], "at": days, "floor": [10.0, 12.0, 20.0], "kind": ["old", "new", "old"]}
    pa.parquet.write_table(pa.table(facts), tmp_path / "facts.parquet")
    (tmp_path / "features.yaml").write_text(DEFINITIONS)
    return tmp_path / "features.yaml"


def rows(**more: list[object]) -> pa.Table:
    """Shop 1 before and after its floor grew, shop 2 in time and too late."""
    hours = [24, 72, 24, 24 * 30]
    asked = {"shop": [1, 1, 2, 2], "when": [START + timedelta(hours=h) for h in hours], "revenue": [1.0, 2.0, 3.0, 4.0]}
    return canonical(pa.table({**asked, **more}))


def test_the_definitions_say_where_features_go_if_the_class_does_not(definitions: Path) -> None:
    table, references = joined(Plain, rows(), definitions, "shops", "when")
    assert table.column("floor").to_pylist() == [10.0, 12.0, 20.0, None]
    assert table.column("kind").to_pylist() == ["old", "new", "old", None]
    week = timedelta(days=7).total_seconds()
    assert references == FeatureReferences(
        service="shops",
        entities=(Entity(name="shop"),),
        features=(Feature(name="floor", max_age_seconds=week), Feature(name="kind", max_age_seconds=week)),
    )


def test_a_class_takes_what_it_names_where_it_wants_it(definitions: Path) -> None:
    table, references = joined(Naming, rows(), definitions, None, "when")
    assert table.column_names == ["shop", "when", "revenue", "size"]
    assert table.column("size").to_pylist() == [10.0, 12.0, 20.0, None]
    assert references == Naming().features()


@pytest.mark.parametrize(
    ("kind", "service", "timestamp", "message"),
    [
        (Plain, "shops", None, "--features needs --timestamp"),
        (Plain, None, "when", "names no feature service; say which one with --service"),
        (Plain, "absent", "when", "no service is called absent; there are: shops"),
        (Naming, "absent", "when", "names the service 'shops', and --service 'absent'"),
        (Elsewhere, None, "when", "no service is called other"),
        (Plain, "shops", "absent", "have no column absent"),
    ],
)
def test_what_does_not_go_together_is_told(
    definitions: Path, kind: type[Model], service: str | None, timestamp: str | None, message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        joined(kind, rows(), definitions, service, timestamp)


def test_a_column_that_a_feature_is_to_fill_must_not_be_there(definitions: Path) -> None:
    with pytest.raises(TrainingError, match="a column 'size' already"):
        joined(Naming, rows(size=[1.0] * 4), definitions, None, "when")
