"""What is written, when nothing is, and what is said when the store fails half-way."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pyarrow as pa
import pytest

from sluice.failures import Reason
from sluice_features.definitions import Store
from sluice_features.errors import FeaturesError
from sluice_features.history import Features
from sluice_features.materialize import Run, materialize
from sluice_features.online import ATTEMPTS, OnlineStore
from sluice_features.report import Report
from sluice_features.secrets import Secrets
from sluice_features.sources.reading import Context
from unit.features.shop import FEATURES, NOW, rows, shop


class FakeFeast:
    """Feast's feature server as far as it is used: one view by `store_id`."""

    def __init__(self) -> None:
        self.kept: dict[int, dict[str, Any]] = {}
        self.writes: list[dict[str, list[Any]]] = []
        # Fails the requests for which it returns an answer.
        self.fault: Callable[[httpx.Request], httpx.Response | None] = lambda _: None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if fault := self.fault(request):
            return fault
        body = json.loads(request.content)
        if request.url.path == "/write-to-online-store":
            self._write(body["df"])
            return httpx.Response(200, text="null")
        return httpx.Response(200, json=self._read(body))

    def _write(self, columns: dict[str, list[Any]]) -> None:
        self.writes.append(columns)
        for values in zip(*columns.values(), strict=True):
            row = dict(zip(columns, values, strict=True))
            self.kept[row["store_id"]] = row

    def _read(self, body: dict[str, Any]) -> Any:
        names = [reference.split(":")[1] for reference in body["features"]]
        found = [self.kept.get(key) for key in body["entities"]["store_id"]]
        results = [
            {
                "values": [row and row[name] for row in found],
                "statuses": ["NOT_FOUND" if row is None else "PRESENT" for row in found],
                "event_timestamps": [_seconds(row["event_timestamp"]) if row else _seconds() for row in found],
            }
            for name in names
        ]
        return {"metadata": {"feature_names": names}, "results": results}


def _seconds(moment: str = "1970-01-01T00:00:00Z") -> str:
    return datetime.fromisoformat(moment).strftime("%Y-%m-%dT%H:%M:%SZ")


def bring(features: Features, feast: FakeFeast, pauses: list[float] | None = None) -> Report:
    definition = features.definitions.store
    assert definition is not None
    pauses, transport = [] if pauses is None else pauses, httpx.MockTransport(feast)
    with OnlineStore(definition, features.context, pause=pauses.append, transport=transport) as store:
        return materialize(Run(features.definitions, features.context, NOW), store)


def test_the_latest_row_of_each_key_is_written_in_batches(tmp_path: Path) -> None:
    feast = FakeFeast()
    report = bring(shop(tmp_path, rows(5, store_id=[3, 1, 2, 1, 3], staff=[None, 1, 2, 3, 4])), feast)
    assert (report.result, report.written, report.views[0].entities) == ("Written", 3, 3)
    assert [batch["store_id"] for batch in feast.writes] == [[1, 2], [3]]
    assert feast.kept[3] == {
        "store_id": 3,
        "size": 100.0,
        "staff": None,
        "city": "Utrecht",
        "event_timestamp": "2026-03-01T12:00:00.000000Z",
    }


def test_of_rows_of_the_same_time_the_one_written_last_counts(tmp_path: Path) -> None:
    feast = FakeFeast()
    times: dict[str, Any] = {
        "store_id": [1, 1, 1],
        "at": [NOW] * 3,
        "written": [NOW - timedelta(hours=hours) for hours in (2, 1, 3)],
    }
    bring(shop(tmp_path, rows(**times), created="written"), feast)
    assert feast.kept[1]["size"] == 101.0


def test_a_batch_without_values_takes_one_with_values_along(tmp_path: Path) -> None:
    """Feast drops a write in which everything is missing: the old values would stay, and nobody would know."""
    feast = FakeFeast()
    sparse = [{**feature, "nullable": True} for feature in FEATURES]
    columns = rows(store_id=[1, 2, 3], size=[None, None, 7.0], staff=[None] * 3, city=[""] * 3)
    assert bring(shop(tmp_path, columns, features=sparse), feast).result == "Written"
    assert [batch["store_id"] for batch in feast.writes] == [[1, 2, 3], [3]]


def test_data_that_break_a_rule_reach_no_store(tmp_path: Path) -> None:
    feast = FakeFeast()
    report = bring(shop(tmp_path, rows(size=[1.0, None, 2.0])), feast)
    assert (report.result, report.reason, report.written) == ("Refused", Reason.FEATURES_REFUSED, 0)
    assert report.message.startswith("Nothing was written, the old values stay: ")
    assert feast.writes == []


def failing(path: str, answer: httpx.Response | Exception, after: int, times: int) -> Any:
    seen = [0]

    def fault(request: httpx.Request) -> httpx.Response | None:
        if request.url.path != path:
            return None
        seen[0] += 1
        if not after < seen[0] <= after + times:
            return None
        if isinstance(answer, Exception):
            raise answer
        return answer

    return fault


WRITE, READ = "/write-to-online-store", "/get-online-features"


@pytest.mark.parametrize("answer", [httpx.Response(500, text="busy"), httpx.Response(429), httpx.ReadError("cut")])
def test_a_write_that_fails_for_a_while_is_tried_again(answer: Any, tmp_path: Path) -> None:
    feast, pauses = FakeFeast(), list[float]()
    feast.fault = failing(WRITE, answer, after=1, times=ATTEMPTS - 1)
    assert bring(shop(tmp_path, rows()), feast, pauses).result == "Written"
    assert pauses == [0.5, 1.0, 2.0, 4.0]
    assert sorted(feast.kept) == [1, 2, 3]


@pytest.mark.parametrize("answer", [httpx.Response(500, text="no space"), httpx.ConnectError("no space")])
def test_a_write_that_fails_says_how_far_it_came_and_is_completed_by_the_next(answer: Any, tmp_path: Path) -> None:
    feast, features = FakeFeast(), shop(tmp_path, rows())
    feast.fault = failing(WRITE, answer, after=1, times=ATTEMPTS)
    report = bring(features, feast)
    assert (report.result, report.reason, report.written) == ("Failed", Reason.FEATURES_UNAVAILABLE, 2)
    assert "no space" in report.message
    told = (
        "Written were 2 of 3 keys of stores, and perhaps some of 1 whose write failed; the others keep their old values"
    )
    assert told in report.message
    assert bring(features, feast).result == "Written"
    assert sorted(feast.kept) == [1, 2, 3]


def test_of_several_writes_at_once_one_that_fails_fails_the_run_and_what_is_written_is_told(tmp_path: Path) -> None:
    feast, features = FakeFeast(), shop(tmp_path, rows(40))
    features = concurrent(features, 4)

    def fault(request: httpx.Request) -> httpx.Response | None:
        written = json.loads(request.content).get("df", {}).get("store_id", [])
        return httpx.Response(500, text="no space") if 1 in written else None

    feast.fault = fault
    report = bring(features, feast)
    assert (report.result, report.reason) == ("Failed", Reason.FEATURES_UNAVAILABLE)
    assert report.written == len(feast.kept) < 40
    assert (
        f"Written were {report.written} of 40 keys of stores, and perhaps some of 2 whose write failed"
        in report.message
    )
    feast.fault = lambda _: None
    assert bring(features, feast).result == "Written"
    assert sorted(feast.kept) == list(range(1, 41))


def test_what_was_written_before_the_disk_was_full_is_told(tmp_path: Path) -> None:
    features, feast = shop(tmp_path, rows(4)), FakeFeast()
    definition = features.definitions.store
    assert definition is not None

    class Full(OnlineStore):
        def write(self, view: str, rows: pa.RecordBatch) -> None:
            super().write(view, rows)
            raise duckdb.IOException("IO Error: No space left on device")

    with Full(definition, features.context, transport=httpx.MockTransport(feast)) as store:
        report = materialize(Run(features.definitions, features.context, NOW), store)
    assert (report.result, report.reason) == ("Failed", Reason.FEATURES_UNAVAILABLE)
    assert "No space left on device. Written were 0 of 4 keys of stores, and perhaps some of 2" in report.message


def concurrent(features: Features, most: int) -> Features:
    definition = features.definitions.store
    assert definition is not None
    changed = definition.model_copy(update={"concurrency": most})
    return Features(features.definitions.model_copy(update={"store": changed}), features.context)


@pytest.mark.parametrize(
    ("answer", "reason", "words"),
    [
        (httpx.Response(401), Reason.FEATURES_INVALID, "answered 401; check store.token"),
        (httpx.Response(404), Reason.FEATURES_INVALID, "answered 404"),
        (httpx.Response(200, json={"a": 1}), Reason.FEATURES_INVALID, "no feature server"),
        (httpx.Response(200, text="<html>"), Reason.FEATURES_INVALID, "no feature server"),
        (httpx.Response(302, headers={"location": "http://x"}), Reason.FEATURES_INVALID, "answered 302"),
        (httpx.Response(404, text='{"module": "feast.errors"}'), Reason.FEATURES_INVALID, "`feast apply`"),
        (httpx.Response(500, text="'stores'"), Reason.FEATURES_INVALID, "`feast apply`"),
        (httpx.ConnectError("refused"), Reason.FEATURES_UNAVAILABLE, "does not answer"),
    ],
)
def test_a_store_that_cannot_take_the_rows_is_found_before_the_first_write(
    answer: Any, reason: Reason, words: str, tmp_path: Path
) -> None:
    feast = FakeFeast()
    feast.fault = failing(READ, answer, after=0, times=ATTEMPTS)
    with pytest.raises(FeaturesError, match=words) as raised:
        bring(shop(tmp_path, rows()), feast)
    assert raised.value.reason is reason
    assert feast.writes == []


@pytest.mark.parametrize("before", range(285, 301))
def test_no_part_of_a_token_is_left_where_an_answer_is_cut(before: int, tmp_path: Path) -> None:
    store = Store(url="http://feast.test", token="${TOKEN}")
    transport = httpx.MockTransport(lambda _: httpx.Response(500, text="x" * before + "of-the-store is unknown"))
    context = Context(tmp_path, Secrets({"TOKEN": "of-the-store"}))
    with (
        OnlineStore(store, context, pause=lambda _: None, transport=transport) as feast,
        pytest.raises(FeaturesError) as raised,
    ):
        feast.expect("stores", ["size"], {"store_id": 1})
    assert "of-" not in raised.value.message


def test_values_that_the_store_did_not_take_are_told(tmp_path: Path) -> None:
    class Keeps(FakeFeast):
        """As Redis does: a row of the same time stays."""

        def _write(self, columns: dict[str, list[Any]]) -> None:
            kept = dict(self.kept)
            super()._write(columns)
            self.kept |= kept

    feast = Keeps()
    assert bring(shop(tmp_path, rows()), feast).result == "Written"
    report = bring(shop(tmp_path, rows(size=[5.0, 101.0, 102.0])), feast)
    assert (report.result, report.reason) == ("Failed", Reason.FEATURES_INVALID)
    assert "such as size: 100.0, and not 5.0" in report.message
    assert "skip_dedup: true" in report.message


def test_a_write_that_the_store_took_and_lost_is_found_wherever_it_was(tmp_path: Path) -> None:
    """Feast over SQLite does so with writes that come at once."""

    class Loses(FakeFeast):
        def _write(self, columns: dict[str, list[Any]]) -> None:
            if 299 not in columns["store_id"]:
                super()._write(columns)

    report = bring(concurrent(shop(tmp_path, rows(300)), 4), Loses())
    assert (report.result, report.reason) == ("Failed", Reason.FEATURES_INVALID)
    assert "such as size: None, and not 398.0" in report.message
    assert "set store.concurrency: 1" in report.message


def test_one_view_that_breaks_a_rule_keeps_the_others_from_being_written(tmp_path: Path) -> None:
    features = shop(tmp_path, rows())
    document = features.definitions.model_dump(by_alias=True)
    document["views"] = [document["views"][0], {**document["views"][0], "name": "other", "minRows": 9}]
    definitions = type(features.definitions).model_validate(document)
    feast = FakeFeast()
    report = bring(Features(definitions, features.context), feast)
    assert (report.result, feast.writes) == ("Refused", [])


def test_nothing_to_write_is_nothing_written(tmp_path: Path) -> None:
    feast = FakeFeast()
    report = bring(shop(tmp_path, rows(0), minRows=0), feast)
    assert (report.result, report.written, feast.writes) == ("Written", 0, [])


def test_keys_of_text_and_of_several_columns_are_written(tmp_path: Path) -> None:
    features = shop(tmp_path, rows(chain=pa.array(["b", "a", "a"])))
    document = features.definitions.model_dump(by_alias=True)
    document["entities"] = [{"name": "store_id"}, {"name": "chain", "datatype": "BYTES"}]
    document["views"][0]["entities"] = ["chain", "store_id"]
    definitions = type(features.definitions).model_validate(document)
    feast = FakeFeast()
    bring(Features(definitions, features.context), feast)
    assert [batch["chain"] for batch in feast.writes] == [["a", "a"], ["b"]]
