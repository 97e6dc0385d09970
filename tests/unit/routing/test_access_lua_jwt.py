"""What a token says of its caller, as the routers' script has it: claims, a name, and for how long."""

from __future__ import annotations

from typing import Any

import pytest

from unit.routing.lua import GOOD, OTHER, granted, jwt, kubernetes

SALES = {"claim": "dept", "values": ["sales", "ops"]}


@pytest.mark.parametrize(
    ("claims", "required"),
    [
        ({"dept": "sales"}, SALES),
        ({"dept": ["legal", "ops"]}, SALES),
        ({"scope": "read infer"}, {"claim": "scope", "values": ["infer"]}),
        ({"realm": {"roles": ["infer"]}}, {"claim": "realm.roles", "values": ["infer"]}),
        ({"https://shop.example/dept": "sales"}, {"claim": "https://shop.example/dept", "values": ["sales"]}),
        ({"level": 3.0}, {"claim": "level", "values": ["3"]}),
        ({"staff": True}, {"claim": "staff", "values": ["true"]}),
    ],
)
def test_a_claim_is_one_of_its_values_or_holds_one(claims: dict[str, Any], required: dict[str, Any]) -> None:
    said = jwt({"sub": "anna", **claims}, "sub", required)
    assert (said.status, said.caller) == (200, "anna")


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"dept": ""},
        {"dept": "sale"},
        {"dept": "sales ops"},
        {"dept": "SALES"},
        {"dept": []},
        {"dept": {"sales": True}},
        {"dept": [["sales"]]},
        {"dept": True},
    ],
)
def test_a_token_without_what_is_needed_is_refused(claims: dict[str, Any]) -> None:
    said = jwt({"sub": "anna", **claims}, "sub", SALES)
    assert (said.status, said.caller) == (403, None)
    assert "dept" in said.text


def test_every_required_claim_is_needed() -> None:
    level = {"claim": "level", "values": ["3"]}
    assert jwt({"sub": "anna", "dept": "sales"}, "sub", SALES, level).status == 403
    assert jwt({"sub": "anna", "dept": "sales", "level": "3"}, "sub", SALES, level).caller == "anna"


@pytest.mark.parametrize(
    ("claims", "claim", "caller"),
    [
        ({"sub": "anna"}, "sub", "anna"),
        ({"email": "a+b@shop.example"}, "email", "a%2Bb@shop.example"),
        ({"sub": "Zoë\r\nx: y"}, "sub", "Zo%C3%AB%0D%0Ax:%20y"),
        ({"sub": 42.0}, "sub", "42"),
        ({"user": {"name": "anna"}}, "user.name", "anna"),
    ],
)
def test_the_caller_is_named_in_the_characters_of_a_header(claims: dict[str, Any], claim: str, caller: str) -> None:
    assert jwt(claims, claim).caller == caller


@pytest.mark.parametrize("claims", [{}, {"sub": ""}, {"sub": ["anna"]}, {"sub": 1e300}, {"sub": "x" * 257}])
def test_who_has_no_name_is_not_let_in(claims: dict[str, Any]) -> None:
    said = jwt(claims)
    assert (said.status, said.caller) == (403, None)


@pytest.mark.parametrize(("expires", "age"), [(1900.0, "5.000"), (973.5, "3.500"), (970.0, "0.000"), (969.0, "0.000")])
def test_a_verdict_is_believed_for_seconds_and_never_longer_than_the_token_lives(expires: float, age: str) -> None:
    said = jwt({"sub": "anna", "exp": expires})
    assert said.answer == {
        ":status": "200",
        "x-sluice-caller": "anna",
        "x-sluice-claims": "e30",
        "x-sluice-max-age": age,
    }


def test_a_verifier_has_no_answer_to_a_question_about_other_settings() -> None:
    said = jwt({"sub": "anna"}, question="other")
    assert (said.answer, said.caller) == (None, None)


def test_the_claims_of_a_caller_are_remembered_with_its_name() -> None:
    envoy = kubernetes()
    answer, text = granted("anna")
    envoy.authorizer = {GOOD: (answer | {"x-sluice-claims": "e30"}, text), OTHER: granted("ben")}
    for _ in range(2):
        assert [envoy.request(token).headers.get("x-sluice-claims") for token in (GOOD, OTHER)] == ["e30", None]
