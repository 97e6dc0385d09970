"""Rules are true, or no: whatever else they come to."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_authorizer.entities import MOST_VALUES
from sluice_authorizer.outcomes import Refusal, Why
from sluice_authorizer.rules import judge, written

STORES = "entities.store_id.all(s, s in claims.stores)"


def nested(levels: int) -> Any:
    found: Any = 1
    for _ in range(levels):
        found = [found]
    return found


@pytest.mark.parametrize(
    ("rule", "claims", "values", "holds"),
    [
        (STORES, {"stores": [42, 43]}, [42, 43], True),
        (STORES, {"stores": [42, 43]}, [42, 44], False),
        (STORES, {"stores": ["42"]}, ["42"], True),
        (STORES, {"stores": ["42"]}, [42], False),
        (STORES, {"stores": [42]}, [42.0], True),
        (STORES, {"stores": [42]}, [42.5], False),
        (STORES, {"stores": [1]}, [True], False),
        (STORES, {"stores": [42]}, [float("nan")], False),
        (STORES, {}, [42], False),
        (STORES, {"stores": "42"}, [42], False),
        (STORES, {"stores": [2**64 - 1]}, [2**64 - 1], True),
        (STORES, {"stores": [-1]}, [2**64 - 1], False),
        (STORES, {"stores": [2**64]}, [2**64], False),
        ("size(entities.store_id) < 3", {}, [1, 2], True),
        ("claims.sub.startsWith('ann@')", {"sub": "ann@shop"}, [], True),
        ("claims.nested.deep[1] == 'b'", {"nested": {"deep": ["a", "b"]}}, [], True),
        ("has(claims.admin) && claims.admin", {"admin": True}, [], True),
        ("has(claims.admin) && claims.admin", {"admin": "yes"}, [], False),
        ("claims.admin", {"admin": 1}, [], False),
        ("true", {}, [], True),
        ("false", {}, [], False),
        ("1", {}, [], False),
        ("null", {}, [], False),
        ("", {}, [], False),
        ("true &&", {}, [], False),
        ("unknown == 1", {}, [], False),
        ("1 / 0 == 1", {}, [], False),
    ],
)
def test_only_what_is_true_is_true(rule, claims, values, holds):
    found = judge(rule, claims, {"store_id": values})
    assert (found is None) is holds
    assert found is None or found.why is Why.DATA


def test_a_rule_that_goes_through_too_much_is_given_up():
    deep = "entities.store_id.all(a, entities.store_id.all(b, entities.store_id.all(c, a + b + c > 0)))"
    found = judge(deep, {}, {"store_id": [1] * MOST_VALUES})
    assert isinstance(found, Refusal)
    assert "cannot be evaluated" in found.text


@pytest.mark.parametrize("function", ["replace('a', 'aaaaaaaaaa')", "lowerAscii()", "split('')", "format([])"])
def test_there_is_no_function_that_makes_long_texts_of_short_ones(function):
    found = judge(f"claims.sub.{function} != null", {"sub": "a"}, {})
    assert found is not None
    assert "undeclared reference" in found.text


def test_a_long_list_is_no_reason():
    assert judge(STORES, {"stores": [7]}, {"store_id": [7] * MOST_VALUES}) is None


@pytest.mark.parametrize("value", [1, 2**64, 1.0, 1e300, math.inf, True, None, "1", "\ud800", "\n", [[1], {"a": 1.5}]])
def test_no_value_becomes_another_on_its_way(value):
    line = written("true", {"a": value}, {"store_id": [value]})
    assert isinstance(line, bytes)
    assert line.count(b"\n") == 1
    _, claims, entities = json.loads(line)
    assert repr((claims, entities)) == repr(({"a": value}, {"store_id": [value]}))


@pytest.mark.parametrize(
    ("claims", "values", "reason"),
    [
        ({"groups": ["g" * 20] * 1000}, [], "bytes of claims"),
        ({}, ["v" * 1000] * 1000, "bytes of values"),
        ({"deep": nested(100_000)}, [], "cannot be read"),
    ],
)
def test_a_rule_is_not_asked_about_too_much(claims, values, reason):
    found = written("true", claims, {"store_id": values})
    assert isinstance(found, Refusal)
    assert found.why is Why.DATA
    assert reason in found.text


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES, st.lists(st.integers() | st.floats() | st.text(max_size=8) | st.none(), max_size=5))
def test_no_claim_and_no_value_is_too_strange(stores, values):
    found = judge(STORES, {"stores": stores}, {"store_id": values})
    assert found is not None or not values or isinstance(stores, list | dict)
