"""The caller's token is taken in one form only, and kept in none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_authorizer.bearer import LONGEST_TOKEN, read_token, token_key
from sluice_authorizer.outcomes import Refusal, Why


@pytest.mark.parametrize("scheme", [b"Bearer ", b"bearer ", b"BEARER ", b"bEaReR   "])
def test_the_scheme_comes_in_any_case(scheme):
    assert read_token([scheme + b"abc.DEF-_~+/1=="]) == b"abc.DEF-_~+/1=="


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"Bearer",
        b"Bearer ",
        b"Bearer\ta",
        b"Bearer a b",
        b"Bearer a,Bearer b",
        b"Bearer a, b",
        b"Bearer a\x00",
        b"Bearer a\r\nx: y",
        b"Bearer \xc3\xa4",
        b"Bearer =",
        b"Bearer a=b",
        b"Basic YTpi",
        b"Token a",
        b"Bearer: a",
        b'"Bearer a"',
        b"a",
        b"BearerX a",
    ],
)
def test_anything_else_is_no_token(header):
    found = read_token([header])
    assert isinstance(found, Refusal)
    assert found.why is Why.WRONG_TOKEN


def test_none_and_two_are_refused():
    none, two = read_token([]), read_token([b"Bearer a", b"Bearer a"])
    assert isinstance(none, Refusal)
    assert none.why is Why.NO_TOKEN
    assert isinstance(two, Refusal)
    assert two.why is Why.WRONG_TOKEN


def test_a_token_has_a_longest_length():
    assert read_token([b"Bearer " + b"a" * LONGEST_TOKEN]) == b"a" * LONGEST_TOKEN
    assert isinstance(read_token([b"Bearer " + b"a" * (LONGEST_TOKEN + 20)]), Refusal)


@given(st.lists(st.binary(max_size=100), max_size=3))
def test_a_refusal_never_repeats_what_came(headers):
    found = read_token(headers)
    if isinstance(found, Refusal):
        assert not any(len(header) > 12 and header.decode("latin-1") in found.text for header in headers)


def test_a_token_for_other_audiences_is_another_one():
    keys = {token_key(b"t", ("a", "b")), token_key(b"t", ("ab",)), token_key(b"t", ("a",)), token_key(b"bt", ("a",))}
    assert len(keys) == 4
