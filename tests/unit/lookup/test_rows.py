"""Answers of Feast, recorded and made up, and what is read out of them."""

import json
import math
from typing import Any

import pytest

from sluice.contract import Entity, Feature, FeatureReferences
from sluice.manifest import Datatype
from sluice_runtime.features.rows import SKEW_SECONDS, AnswerError, Reader, Row
from support.feature_store import NO_TIME
from support.feature_store import TIME as TEXT
from unit.lookup.recorded import REDIS, SQLITE, TIME

DATATYPES = {"size": Datatype.FP32, "staff": Datatype.INT64, "city": Datatype.BYTES}


def reader(max_age: float | None = None) -> Reader:
    features = tuple(Feature(name=name, max_age_seconds=max_age) for name in DATATYPES)
    references = FeatureReferences(service="s", entities=(Entity(name="store_id"),), features=features)
    return Reader(references, DATATYPES)


def one(body: dict[str, Any], **settings: Any) -> Row:
    return reader(**settings).read(json.dumps(body).encode(), [(1,)], TIME)[0]


def answer(time: Any = "2026-11-22T10:00:00Z", status: str = "PRESENT", **values: Any) -> dict[str, Any]:
    row = {"store_id": 1, "size": 1.5, "staff": 3, "city": "A", **values}
    results = [{"values": [value], "statuses": [status], "event_timestamps": [time]} for value in row.values()]
    return {"results": results, "metadata": {"feature_names": list(row)}}


@pytest.mark.parametrize("body", [SQLITE, REDIS], ids=["sqlite", "redis"])
def test_what_feast_answered_is_understood(body: bytes) -> None:
    nulls, there, absent = reader().read(body, [(2,), (1,), (42,)], TIME)
    assert there.values == (1.5, 3, "A")
    assert there.plain_until == math.inf
    assert nulls.values == (None, 4, None)
    assert absent.values == (None, None, None)
    assert (nulls.known, there.known, absent.known) == (True, True, False)
    assert (nulls.held, there.held, absent.held) == ((True,) * 3, (True,) * 3, (False,) * 3)
    assert nulls.plain_until == absent.plain_until == -math.inf


@pytest.mark.parametrize(
    ("time", "until"),
    [
        ("2026-11-22T10:00:00Z", TIME + 60),
        ("2026-11-22T10:00:00.500Z", TIME + 60.5),
        ("2026-11-22T09:59:59.123456789Z", TIME + 59.123456),
        ("2026-11-22T11:00:00+01:00", TIME + 60),
        ("2026-11-22T10:00:00", TIME + 60),
        ("2026-11-22T10:04:59Z", TIME + 299 + 60),
        ("2026-11-22T10:05:01Z", -math.inf),
        ("1970-01-01T00:00:00Z", -math.inf),
        (None, -math.inf),
    ],
)
def test_a_value_is_young_enough_for_its_age_from_its_own_time(time: Any, until: float) -> None:
    assert SKEW_SECONDS == 300
    assert one(answer(time), max_age=60.0).until == pytest.approx((until,) * 3)


def test_a_store_that_says_that_a_value_is_too_old_is_believed() -> None:
    assert one(answer(status="OUTSIDE_MAX_AGE")).until == (-math.inf,) * 3


def test_a_value_that_is_said_not_to_be_there_is_not() -> None:
    assert one(answer(status="NULL_VALUE")).values == (None,) * 3
    assert one(answer(status="NULL_VALUE")).known
    assert not one(answer(status="NOT_FOUND")).known


@pytest.mark.parametrize(("status", "time"), [("NOT_FOUND", TEXT), ("NULL_VALUE", None), ("PRESENT", NO_TIME)])
def test_that_one_view_knows_an_entity_says_nothing_of_another(status: str, time: Any) -> None:
    body = answer()
    body["results"][1] = {"values": [None], "statuses": [status], "event_timestamps": [time]}
    row = one(body)
    assert row.known
    assert row.held == (False, True, True)


def test_an_answer_without_times_has_values_of_no_known_age() -> None:
    body = answer()
    for result in body["results"]:
        del result["event_timestamps"]
    assert one(body).until == (math.inf,) * 3
    assert one(body, max_age=60.0).until == (-math.inf,) * 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda body: body.pop("metadata"), "another form"),
        (lambda body: body["results"].pop(), "as many results"),
        (
            lambda body: body["metadata"].update(feature_names=["store_id", "size", "staff", "town"]),
            "no feature 'city'",
        ),
        (lambda body: body["results"][1].update(values=[1, 2]), "1 rows"),
        (lambda body: body["results"][1].update(values=7), "1 rows"),
        (lambda body: body["results"][1].update(statuses=[]), "1 rows"),
        (lambda body: body["results"][1].update(statuses=["FINE"]), "a status"),
        (lambda body: body["results"][1].update(statuses=[[]]), "another form"),
        (lambda body: body["results"][1].update(event_timestamps=["soon"]), "a time"),
        (lambda body: body["results"][1].update(event_timestamps=[12]), "a time"),
        (lambda body: body["results"][0].update(values=[2]), "other keys"),
        (lambda body: body["results"].__setitem__(1, None), "another form"),
        (lambda body: body.update(results={}), "as many results"),
    ],
)
def test_an_answer_of_another_form_is_none(change: Any, message: str) -> None:
    body = answer()
    change(body)
    with pytest.raises(AnswerError, match=message):
        one(body, max_age=1.0)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"3", b'"text"', b'{"results": 1, "metadata": 2}'])
def test_what_is_no_answer_is_none(body: bytes) -> None:
    with pytest.raises(AnswerError):
        reader().read(body, [(1,)], TIME)
