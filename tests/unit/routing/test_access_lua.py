"""What the routers' script makes of a request and of the authorizer's answer, and how long it remembers that."""

from __future__ import annotations

import pytest

from unit.routing.lua import GOOD, MALFORMED, NOBODY, OTHER, OVERLOADED, WRONG, Answer, granted, kubernetes, refused


@pytest.mark.parametrize("authorization", MALFORMED)
def test_what_is_no_token_is_refused_without_asking_anybody(authorization: str | None) -> None:
    envoy = kubernetes(allow=True)
    said = envoy.request(authorization)
    assert (said.status, said.caller, envoy.asked) == (401, None, [])
    assert said.answer == {":status": "401", "www-authenticate": 'Bearer realm="sluice"'}
    assert "x-sluice-unchecked" not in said.headers


@pytest.mark.parametrize(
    "authorization", ["Bearer good", "bearer good", f"BEARER{' ' * 8}good", "Bearer a.b-c_d~e+f/g=="]
)
def test_whatever_has_the_form_of_a_token_is_asked_about(authorization: str) -> None:
    envoy = kubernetes()
    envoy.authorizer = {authorization: granted("anna")}
    assert envoy.request(authorization).caller == "anna"


def test_the_authorizer_is_told_the_request_the_token_and_the_question() -> None:
    envoy = kubernetes()
    envoy.authorizer = {GOOD: granted("anna")}
    envoy.request(GOOD, "/v2/models/m/infer?x=1", **{"x-forwarded-for": "10.0.0.1", "x-other": "1"})
    assert envoy.asked == [
        (
            "strangers",
            {
                ":method": "POST",
                ":path": "/authorize/v2/models/m/infer?x=1",
                ":authority": "authorizer:8080",
                "authorization": GOOD,
                "x-sluice-authorize": "q",
                "x-forwarded-for": "10.0.0.1",
            },
        )
    ]


def test_an_answer_is_remembered_for_its_own_token_alone() -> None:
    envoy = kubernetes()
    envoy.authorizer = {GOOD: granted("anna"), OTHER: granted("ben"), WRONG: refused(403)}
    for _ in range(3):
        assert [envoy.request(GOOD).caller, envoy.request(OTHER).caller] == ["anna", "ben"]
        said = envoy.request(WRONG)
        assert (said.status, said.text, said.caller) == (403, "said with 403", None)
    assert len(envoy.asked) == 3


@pytest.mark.parametrize(("age", "believed"), [(2, 1999), (5, 4999), (1000, 4999), (0.25, 249)])
def test_no_answer_is_believed_longer_than_the_authorizer_says_and_never_longer_than_5_s(
    age: float, believed: int
) -> None:
    envoy = kubernetes()
    envoy.authorizer = {GOOD: granted("anna", age)}
    envoy.request(GOOD)
    envoy.authorizer = {}
    envoy.now += believed
    assert envoy.request(GOOD).caller == "anna"
    envoy.now += 1
    assert envoy.request(GOOD).status == 503


@pytest.mark.parametrize("step", [-1, -10_000, -100_000_000])
def test_a_clock_that_is_set_back_makes_nothing_younger(step: int) -> None:
    envoy = kubernetes()
    envoy.authorizer = {GOOD: granted("anna")}
    envoy.request(GOOD)
    envoy.authorizer = {GOOD: refused(403)}
    envoy.now += step
    assert envoy.request(GOOD).status == 403


def test_a_permission_that_was_taken_back_ends_in_time_and_a_new_one_begins_in_half_of_it() -> None:
    envoy = kubernetes()
    envoy.authorizer = {GOOD: granted("anna")}
    envoy.request(GOOD)
    envoy.authorizer = {GOOD: refused(403)}
    envoy.now += 5000
    assert envoy.request(GOOD).status == 403
    envoy.authorizer = {GOOD: granted("anna")}
    envoy.now += 2499
    assert envoy.request(GOOD).status == 403
    envoy.now += 1
    assert envoy.request(GOOD).caller == "anna"


def test_at_half_of_its_life_one_request_renews_an_entry() -> None:
    envoy = kubernetes()
    envoy.authorizer = {GOOD: granted("anna")}
    envoy.request(GOOD)
    envoy.now += 2500
    for _ in range(5):
        assert envoy.request(GOOD).caller == "anna"
    assert [cluster for cluster, _ in envoy.asked] == ["strangers", "known"]


@pytest.mark.parametrize("trouble", [NOBODY, OVERLOADED, refused(429, None), ({":status": "500"}, "")])
def test_while_the_authorizer_has_no_answer_what_is_known_counts_to_its_end(trouble: Answer) -> None:
    envoy = kubernetes(allow=True)
    envoy.authorizer = {GOOD: granted("anna")}
    envoy.request(GOOD)
    envoy.authorizer = {GOOD: trouble}
    envoy.now += 4999
    said = envoy.request(GOOD)
    assert (said.caller, said.headers.get("x-sluice-unchecked")) == ("anna", None)


@pytest.mark.parametrize(
    "answer",
    [
        NOBODY,
        OVERLOADED,
        ({":status": "503", "retry-after": "1", "x-sluice-max-age": "5"}, "later"),
        ({":status": "500", "x-sluice-caller": "anna", "x-sluice-max-age": "5"}, ""),
        ({":status": "404"}, ""),
        ({":status": "204", "x-sluice-caller": "anna"}, ""),
        ({":status": "200", "x-sluice-max-age": "5"}, "no name"),
        ({":status": "200", "x-sluice-caller": "", "x-sluice-max-age": "5"}, ""),
    ],
)
def test_what_is_no_answer_lets_nobody_in_and_is_not_remembered(answer: Answer) -> None:
    envoy = kubernetes()
    envoy.authorizer = {GOOD: answer}
    said = envoy.request(GOOD)
    assert (said.status, said.caller, said.answer and said.answer["retry-after"]) == (503, None, "1")
    envoy.authorizer = {GOOD: granted("anna")}
    assert envoy.request(GOOD).caller == "anna"


def test_nobody_answering_is_asked_twice_and_one_who_says_later_once() -> None:
    envoy = kubernetes()
    envoy.request(GOOD)
    assert len(envoy.asked) == 2
    envoy.authorizer = {OTHER: refused(503, None, **{"retry-after": "1"})}
    envoy.request(OTHER)
    assert len(envoy.asked) == 3


def test_allow_lets_the_unchecked_in_says_so_and_refuses_whom_the_authorizer_refuses() -> None:
    envoy = kubernetes(allow=True)
    envoy.authorizer = {WRONG: refused(401), OTHER: refused(429, None)}
    said = envoy.request(GOOD)
    assert (said.answer, said.caller, said.headers["x-sluice-unchecked"]) == (None, None, "true")
    assert [envoy.request(WRONG).status, envoy.request(OTHER).status] == [401, 429]
    for _ in range(10):
        envoy.request(GOOD)
    assert envoy.warnings == 1
    envoy.now += 1000
    envoy.request(GOOD)
    assert envoy.warnings == 2


@pytest.mark.parametrize(
    ("answer", "let_in"),
    [
        *((refused(status, None), False) for status in (204, 302, 404, 408, 431, 500, 502, 503, 504)),
        *((refused(503, None, **{name: "1"}), False) for name in ("retry-after", "x-sluice-max-age")),
        (({":status": "502"}, ""), False),
        (refused(503, None, **{"x-sluice-unavailable": "true", "retry-after": "1"}), True),
        (({":status": "504"}, "upstream request timeout"), True),
        (NOBODY, True),
    ],
)
def test_the_unchecked_are_let_in_only_while_nobody_could_check_them(answer: Answer, let_in: bool) -> None:
    envoy = kubernetes(allow=True)
    envoy.authorizer = {GOOD: answer}
    said = envoy.request(GOOD)
    assert (said.status, "x-sluice-unchecked" in said.headers) == ((200, True) if let_in else (503, False))


def test_a_flood_lets_nobody_in_even_where_the_unchecked_are_allowed() -> None:
    envoy = kubernetes(allow=True)
    envoy.authorizer = {GOOD: OVERLOADED}
    assert envoy.request(GOOD).status == 503


def test_a_refusal_that_may_not_be_remembered_is_not_and_ends_the_permission() -> None:
    envoy = kubernetes()
    envoy.authorizer = {GOOD: granted("anna")}
    envoy.request(GOOD)
    envoy.authorizer = {GOOD: refused(403, None)}
    envoy.now += 2500
    assert envoy.request(GOOD).status == 403
    envoy.authorizer = {}
    assert envoy.request(GOOD).status == 503


def test_a_refusal_says_what_the_authorizer_said() -> None:
    envoy = kubernetes()
    envoy.authorizer = {WRONG: refused(401, 5, **{"www-authenticate": "Bearer error=x", "x-secret": "no"})}
    for _ in range(2):
        said = envoy.request(WRONG)
        assert said.answer == {":status": "401", "www-authenticate": "Bearer error=x"}
