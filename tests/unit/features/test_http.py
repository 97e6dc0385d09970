"""An API's pages: what one lacks another may have, and a server that asks for time is given it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from sluice.failures import Reason
from sluice_features.datatypes import DATATYPES
from sluice_features.definitions import Definitions
from sluice_features.errors import FeaturesError
from sluice_features.report import Violation
from sluice_features.secrets import Secrets
from sluice_features.sources.http import ATTEMPTS, HttpReading
from sluice_features.sources.reading import Context, Window
from sluice_features.staging import Staged, stage_view, staging
from unit.features.shop import document

FEATURES = [{"name": "size", "datatype": "FP64", "nullable": True}, {"name": "staff", "datatype": "INT64"}]
SOURCE = {"url": "http://api/1", "rows": "rows", "next": "next", "headers": {"Authorization": "${TOKEN}"}}
TYPES = {"store_id": DATATYPES["INT64"], "at": None, "size": DATATYPES["FP64"], "staff": DATATYPES["INT64"]}
ROW = {"store_id": 1, "at": "2026-01-01", "staff": 3}


def reading(answer: Callable[[httpx.Request], httpx.Response], pauses: list[float] | None = None) -> HttpReading:
    source = shop().sources["files"].http
    assert source
    secrets = Secrets({"TOKEN": "of-the-api"})
    secrets.filled("${TOKEN}")
    client = httpx.Client(transport=httpx.MockTransport(answer))
    return HttpReading(source, TYPES, client, Context(Path(), secrets), (pauses if pauses is not None else []).append)


def shop() -> Definitions:
    return Definitions.model_validate(document(features=FEATURES) | {"sources": {"files": {"http": SOURCE}}})


def pages(*listed: list[dict[str, Any]]) -> Callable[[httpx.Request], httpx.Response]:
    def answer(request: httpx.Request) -> httpx.Response:
        number = int(request.url.path.strip("/"))
        following = f"/{number + 1}" if number < len(listed) else None
        return httpx.Response(200, json={"rows": listed[number - 1], "next": following})

    return answer


def sizes(*listed: list[dict[str, Any]]) -> list[float | None] | list[Violation]:
    """What is read of these pages, or what breaks a rule by its mere type."""
    definitions = shop()
    with staging() as stage:
        staged = stage_view(definitions, definitions.views[0], reading(pages(*listed)), Window(), stage)
        if not isinstance(staged, Staged):
            return staged
        return [size for (size,) in stage.rows(f"SELECT size FROM {staged.table} ORDER BY store_id")]


def test_what_the_first_page_lacks_may_come_on_another() -> None:
    assert sizes([ROW], [ROW | {"store_id": 2, "size": 5.0}]) == [None, 5.0]
    assert sizes([], [ROW | {"size": 5.0}]) == [5.0]
    assert sizes([]) == []


def test_what_no_page_has_is_missing() -> None:
    [told] = sizes([ROW], [ROW | {"store_id": 2}])
    assert isinstance(told, Violation)
    assert (told.column, told.rule, told.message) == ("size", "missing", "the source has no such column")
    [told] = sizes([{"store_id": 1, "at": "2026-01-01"}])
    assert "the source has no such column, nor staff" in str(told)


@pytest.mark.parametrize(
    ("header", "waited"),
    [
        ({}, [0.5, 1.0, 2.0, 4.0]),
        ({"Retry-After": "3"}, [3.0, 3.0, 3.0, 4.0]),
        ({"Retry-After": "86400"}, [60.0] * 4),
        ({"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}, [0.5, 1.0, 2.0, 4.0]),
        ({"Retry-After": "soon"}, [0.5, 1.0, 2.0, 4.0]),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_asks_for_time_is_given_it(status: int, header: dict[str, str], waited: list[float]) -> None:
    pauses: list[float] = []
    with pytest.raises(FeaturesError, match=f"answered {status}") as raised:
        reading(lambda request: httpx.Response(status, headers=header), pauses)
    assert raised.value.reason is Reason.FEATURES_UNAVAILABLE
    assert pauses == waited
    assert len(pauses) == ATTEMPTS - 1


def test_what_a_server_refuses_is_not_asked_again() -> None:
    pauses: list[float] = []
    with pytest.raises(FeaturesError, match="answered 404"):
        reading(lambda request: httpx.Response(404), pauses)
    assert pauses == []


@pytest.mark.parametrize("before", range(185, 201))
def test_no_part_of_a_secret_is_left_where_an_answer_is_cut(before: int) -> None:
    with pytest.raises(FeaturesError) as raised:
        reading(lambda request: httpx.Response(503, text="x" * before + "of-the-api is down"))
    assert "of-" not in raised.value.message
