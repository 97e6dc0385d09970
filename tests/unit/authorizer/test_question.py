"""The router's own words: read strictly, because what is not understood may be a restriction."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_authorizer.asked import Asked, read_asked
from sluice_authorizer.outcomes import Refusal, Why
from sluice_authorizer.question import Mode, read_question
from sluice_operator.api.access import Access
from sluice_operator.routing.base import Traffic
from sluice_operator.routing.envoy_access import question as rendered
from unit.authorizer.parts import asked, question


def test_everything_that_is_asked_is_read():
    found = read_question(
        question(audiences=["a", "b"], data={"entities": ["store_id"], "rule": "true", "maxRequestBytes": 5})
    )
    assert found is not None
    assert (found.mode, found.namespace, found.name, found.audiences) == (Mode.KUBERNETES, "shop", "m", ("a", "b"))
    assert found.data is not None
    assert (found.data.entities, found.data.rule, found.data.max_request_bytes) == (("store_id",), "true", 5)


@pytest.mark.parametrize("data", [None, {"entities": ["store_id"], "rule": "true", "maxRequestBytes": "2Mi"}])
def test_what_the_operator_writes_into_routers_is_understood(data):
    access = Access.model_validate({"mode": "Kubernetes", "audiences": ["a", "b"], "data": data})
    found = read_question(rendered(Traffic("shop", "m"), access, access.data).encode())
    assert found is not None
    assert (found.mode, found.namespace, found.name, found.audiences) == (Mode.KUBERNETES, "shop", "m", ("a", "b"))
    assert (found.data is None) == (data is None)
    assert found.data is None or found.data.max_request_bytes == 2 * 1024**2


@pytest.mark.parametrize(
    "changed",
    [
        {"mode": "None"},
        {"namespace": ""},
        {"name": 5},
        {"audiences": []},
        {"audiences": "sluice.dev"},
        {"audiences": [""]},
        {"data": {"entities": ["a"], "rule": ""}},
        {"data": {"entities": ["a"], "rule": "true", "alsoOnly": "tuesdays"}},
        {"data": {"entities": ["a"], "rule": "true" + " " * 4096}},
        {"onlyFrom": "10.0.0.0/8"},
        {"onUnavailable": "Allow"},
    ],
)
def test_what_is_not_understood_is_no_question(changed):
    assert read_question(question(**changed)) is None


@pytest.mark.parametrize("header", [b"", b"{}", b"!!!!", b"e30", base64.b64encode(b"[]"), b"a" * 10_000, b"\xff\xfe"])
def test_what_is_no_question_is_refused(header):
    assert read_question(header) is None


@given(st.binary(max_size=200))
def test_no_bytes_are_too_strange(header):
    read_question(header)


def test_two_questions_are_none():
    headers = [(b"x-sluice-authorize", question()), (b"x-sluice-authorize", question(name="other"))]
    found = read_asked("POST", b"/authorize/v2", headers, "peer")
    assert isinstance(found, Refusal)
    assert found.why is Why.QUESTION


def test_the_source_is_what_the_router_added_and_not_what_the_caller_invented():
    assert asked(source=b"1.1.1.1, 2.2.2.2,10.0.0.9").source == "10.0.0.9"
    without = read_asked("POST", b"/authorize/v2", [(b"x-sluice-authorize", question())], "10.1.1.1")
    assert isinstance(without, Asked)
    assert without.source == "10.1.1.1"


def test_the_path_is_the_callers_without_its_query():
    assert asked(path=b"/v2/models/m/infer?x=/v2").path == b"/v2/models/m/infer"


@pytest.mark.parametrize(
    "claims", [b"", b"!", b"bnVsbA", base64.b64encode(b"[1]"), base64.b64encode(b'{"a":'), b"\xff"]
)
def test_claims_that_cannot_be_read_are_none(claims):
    found = asked(headers={b"x-sluice-claims": claims}).claims
    assert isinstance(found, Refusal)


def test_claims_are_what_the_router_has_verified():
    claims = base64.urlsafe_b64encode(json.dumps({"sub": "ann", "n": "ÿ?"}).encode()).rstrip(b"=")
    assert asked(headers={b"x-sluice-claims": claims}).claims == {"sub": "ann", "n": "ÿ?"}
