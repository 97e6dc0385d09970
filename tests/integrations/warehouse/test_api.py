"""What an API may not do: lead elsewhere, change its types, go in circles."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from integrations.warehouse.rows import NOW, definitions, known, view
from integrations.warehouse.sources import Api, pages
from sluice.failures import Reason
from sluice_features.errors import FeaturesError
from sluice_features.materialize import Run, check
from sluice_features.report import Report

WRONG, AWAY = Reason.FEATURES_INVALID, Reason.FEATURES_UNAVAILABLE
Answer = Callable[[str, Any], tuple[int, dict[str, str], bytes]]


def checked(folder: Path, answer: Answer, token: str = "of-the-api", **changes: Any) -> Report:
    with Api(answer) as api:
        source = {
            "url": f"{api.url}/stores",
            "headers": {"Authorization": "Bearer ${TOKEN}"},
            "rows": "data.items",
            "next": "next",
            "fields": {"size": "size.m2"},
            **changes,
        }
        features = definitions(folder, {"api": {"http": source}}, [view("api")], {"TOKEN": token})
        return check(Run(features.definitions, features.context, NOW))


def changed(number: int, change: Callable[[dict[str, Any]], Any]) -> Answer:
    """The API, with page `number` changed."""
    seen, whole = [-1], pages(known())

    def answer(path: str, headers: Any) -> tuple[int, dict[str, str], bytes]:
        seen[0] += 1
        status, more, body = whole(path, headers)
        page = json.loads(body)
        if seen[0] == number:
            change(page)
        return status, more, json.dumps(page).encode()

    return answer


def always(status: int, body: bytes = b"", **headers: str) -> Answer:
    return lambda path, sent: (status, headers, body)


@pytest.mark.parametrize(
    ("answer", "reason", "words"),
    [
        (changed(0, lambda page: page.update(next="http://192.0.2.1/stores")), WRONG, "another server's"),
        (changed(1, lambda page: page.update(next="/stores")), WRONG, "or was read before"),
        (changed(1, lambda page: page.update(data=7)), WRONG, "no list of objects at data.items"),
        (always(302, Location="http://192.0.2.1/"), WRONG, "answered 302; check the source's url"),
        (always(404), WRONG, "answered 404"),
        (always(200, b"no gzip at all", **{"Content-Encoding": "gzip"}), AWAY, "does not answer"),
        (changed(0, lambda page: page.update(next="http://a:port/")), WRONG, "is no URL"),
        (always(200, b"<html>"), WRONG, "answers no JSON"),
        (always(200, b"[]"), WRONG, "no list of objects"),
        (always(503, b"of-the-api is down"), AWAY, r"answered 503: \$\{TOKEN\} is down"),
    ],
)  # fmt: skip
def test_what_an_api_may_not_do(answer: Answer, reason: Reason, words: str, tmp_path: Path) -> None:
    with pytest.raises(FeaturesError, match=words) as raised:
        checked(tmp_path, answer)
    assert raised.value.reason is reason


@pytest.mark.parametrize(
    ("change", "column"),
    [
        (lambda row: row.update(city=7), "city"),
        (lambda row: row.update(size={"m2": "7"}), "size"),
        (lambda row: row.update(is_open=1), "is_open"),
        (lambda row: row.update(staff=1.5), "staff"),
        (lambda row: row.update(margin=True), "margin"),
        (lambda row: row.update(at="yesterday"), "at"),
        (lambda row: row.update(store_id="7"), "store_id"),
    ],
)
@pytest.mark.parametrize("page", [0, 2])
def test_a_type_that_changes_on_any_page_is_told(page: int, change: Any, column: str, tmp_path: Path) -> None:
    report = checked(tmp_path, changed(page, lambda found: change(found["data"]["items"][3])))
    assert [(one.column, one.rule) for one in report.violations] == [(column, "type")]


def test_a_field_that_is_nowhere_is_missing(tmp_path: Path) -> None:
    report = checked(tmp_path, pages(known()), fields={})
    assert [(one.column, one.rule) for one in report.violations] == [("size", "type")]
    report = checked(tmp_path, pages(known()), fields={"size": "size.other"})
    assert [(one.column, one.rule) for one in report.violations] == [("size", "missing")]


def test_an_api_that_fails_for_a_while_is_asked_again(tmp_path: Path) -> None:
    seen, whole = [0], pages(known())

    def answer(path: str, headers: Any) -> tuple[int, dict[str, str], bytes]:
        seen[0] += 1
        return whole(path, headers) if seen[0] % 2 == 0 else (500, {}, b"")

    assert checked(tmp_path, answer).views[0].rows == known().num_rows


def test_more_pages_than_agreed_are_not_read(tmp_path: Path) -> None:
    with pytest.raises(FeaturesError, match="more than 2 pages; raise maxPages"):
        checked(tmp_path, pages(known()), maxPages=2)
