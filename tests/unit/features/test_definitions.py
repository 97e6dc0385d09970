"""A features.yaml that cannot work is refused in one line that names the field."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from sluice_features.definitions import Definitions, read_definitions
from sluice_features.durations import parse_duration
from sluice_features.errors import FeaturesError
from unit.features.shop import FEATURES, document


def changed(**changes: Any) -> dict[str, Any]:
    return document() | changes


def test_definitions_are_read(tmp_path: Path) -> None:
    (tmp_path / "features.yaml").write_text(yaml.safe_dump(document(maxAge="7d", fresh="36h")))
    read = read_definitions(tmp_path / "features.yaml")
    assert read.views[0].max_age == timedelta(days=7)
    assert read.views[0].fresh == timedelta(hours=36)
    assert [feature.name for _, feature in read.chosen(read.service("store-revenue"))] == ["size", "staff", "city"]


def with_headers(headers: dict[str, str]) -> dict[str, Any]:
    return changed(sources={"files": {"http": {"url": "http://api/stores", "headers": headers}}})


def test_headers_may_hold_credentials_by_their_variables_and_all_else_as_it_is() -> None:
    headers = {"Authorization": "Bearer ${TOKEN}", "Accept": "application/json"}
    read = Definitions.model_validate(with_headers(headers))
    assert read.sources["files"].http
    assert read.sources["files"].http.headers == headers


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (document(source="other"), "view stores: no source is called other"),
        (document(entities=["shop_id"]), "view stores: no entity is called shop_id"),
        (document(query="SELECT 1", table="data"), "give a query or a table"),
        (document(table="other"), "view stores: its source has no table other"),
        (document(maxAge="1 week"), "views.0.maxAge: '1 week' is no duration; write 7d"),
        (document(maxAge=7), "views.0.maxAge: 7 is no duration; write 7d"),
        (document(maxAge="0s"), "a duration is more than 0"),
        (document(maxAge="99999999999d"), "longer than a hundred years"),
        (document(knownFrom="created"), "knownFrom: created needs the column"),
        (document(features=[*FEATURES, FEATURES[0]]), "columns repeat: size"),
        (document(features=[{"name": "Store_ID", "datatype": "FP32"}]), "columns repeat: store_id"),
        (document(features=[{"name": "event_timestamp", "datatype": "FP32"}]), "Feast's name of a row's time"),
        (document(features=[{"name": "sluice_row", "datatype": "FP32"}]), "are taken"),
        (document(features=[{"name": "a b", "datatype": "FP32"}]), "views.0.features.0.name"),
        (document(features=[{"name": "size", "datatype": "FP16"}]), "views.0.features.0.datatype"),
        (document(features=[{"name": "size", "datatype": "FP32", "min": 1}]), "features.0.min: Extra inputs"),
        (document(features=[{"name": "c", "datatype": "BYTES", "minimum": 1}]), "are for numbers"),
        (document(features=[{"name": "c", "datatype": "BYTES", "categories": [1]}]), "categories are values of BYTES"),
        (document(features=[{"name": "c", "datatype": "INT64", "categories": [True]}]), "values of INT64"),
        (document(features=[{"name": "c", "datatype": "FP32", "maxMissing": 0.1}]), "maxMissing is for nullable"),
        (document(features=[{"name": "c", "datatype": "FP32", "minimum": 2, "maximum": 1}]), "minimum is larger"),
        (changed(services=[{"name": "s", "features": ["stores:other"]}]), "service s: there is no stores:other"),
        (changed(services=[{"name": "s", "features": ["stores:*", "stores:size"]}]), "features repeat: size"),
        (changed(sources={"files": {"parquet": {"tables": "a"}, "duckdb": {"path": "b"}}}), "give one of postgres"),
        (changed(sources={"files": {}}), "give one of postgres"),
        (changed(sources={"files": {"duckdb": {"path": "b"}}}), "view stores: give a query or a table"),
        (changed(sources={"files": {"spark": {"output": "b"}}}), "a Spark source needs a query"),
        (changed(sources={"files": {"parquet": {"tables": {"a": "a", "b": "b"}}}}), "its source has several tables"),
        (changed(sources={"files": {"postgres": {"dsn": "postgresql://me:secret@db/shop"}}}), "write ${NAME}"),
        (changed(sources={"files": {"postgres": {"dsn": "host=db password=secret"}}}), "write ${NAME}"),
        (changed(store={"url": "http://feast", "token": "secret"}), "store.token"),
        (changed(store={"url": "feast:6566"}), "store.url"),
        (changed(store={"url": "http://admin:secret@feast:6566"}), "store.url"),
        (changed(store={"url": "http://secret@feast:6566"}), "store.url"),
        (changed(store={"url": "http://feast:6566?token=secret"}), "store.url"),
        (with_headers({"authorization": "Bearer secret"}), "write ${NAME} in header authorization"),
        (with_headers({"X-Api-Key": "secret"}), "write ${NAME} in header X-Api-Key"),
        (with_headers({"Cookie": "session=secret"}), "write ${NAME} in header Cookie"),
        ({}, "project: Field required"),
        ([], "features.yaml: document: must be a mapping of fields"),
        (None, "features.yaml: document: must be a mapping of fields"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused(given: Any, words: str, tmp_path: Path) -> None:
    (tmp_path / "features.yaml").write_text(yaml.safe_dump(given))
    with pytest.raises(FeaturesError) as raised:
        read_definitions(tmp_path / "features.yaml")
    assert words in raised.value.message
    assert "secret" not in raised.value.message
    assert "\n" not in raised.value.message


@pytest.mark.parametrize("text", ["a: [", "\0", "- !!python/object:os.system {}"])
def test_what_is_no_yaml_is_told_in_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "features.yaml").write_text(text)
    with pytest.raises(FeaturesError, match=r"^features.yaml is no YAML: [^\n]*$"):
        read_definitions(tmp_path / "features.yaml")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FeaturesError, match=r"none.yaml cannot be read: No such file"):
        read_definitions(tmp_path / "none.yaml")


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("1h30m", 5400), ("0.5d", 43200), ("7d", 604800)])
def test_durations(text: str, seconds: int) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "dsn", ["${WAREHOUSE}", "postgresql://me:${PASSWORD}@db/shop", "host=db password=${PASSWORD}", "postgresql:///shop"]
)
def test_credentials_by_name_are_fine(dsn: str) -> None:
    given = changed(sources={"files": {"postgres": {"dsn": dsn}}})
    given["views"][0]["table"] = "public.stores"
    assert Definitions.model_validate(given)


def test_the_definitions_of_the_sample_are_read(tmp_path: Path) -> None:
    sample = Path(__file__).parents[3] / "manifests" / "samples" / "features.yaml"
    _, found, _ = yaml.safe_load_all(sample.read_text())
    (tmp_path / "features.yaml").write_text(found["data"]["features.yaml"])
    read = read_definitions(tmp_path / "features.yaml")
    assert [feature.name for _, feature in read.chosen(read.service("store_revenue"))] == ["size", "employees"]


def test_a_view_that_does_not_fit_is_all_that_is_told(tmp_path: Path) -> None:
    (tmp_path / "features.yaml").write_text(yaml.safe_dump(document(maxAge="1 week")))
    with pytest.raises(FeaturesError) as raised:
        read_definitions(tmp_path / "features.yaml")
    assert raised.value.message == "features.yaml: views.0.maxAge: '1 week' is no duration; write 7d, 12h, 1h30m or 90s"
