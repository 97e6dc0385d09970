"""Floods of tokens, right ones and wrong ones, push nobody out, stay within bounds and use up their sender's budget."""

from __future__ import annotations

import pytest

from unit.routing.lua import GOOD, NOBODY, OTHER, WRONG, Answer, Envoy, granted, kubernetes, refused


def test_a_flood_of_wrong_tokens_pushes_no_right_one_out_and_stays_within_bounds() -> None:
    envoy = kubernetes()
    envoy.authorizer = {GOOD: granted("anna")}
    envoy.request(GOOD)
    tokens = [f"Bearer {number}{'x' * 1000}" for number in range(10_000)]
    envoy.authorizer |= dict.fromkeys(tokens, refused(401))
    for token in tokens:
        envoy.request(token)
    asked = len(envoy.asked)
    assert envoy.request(GOOD).caller == "anna"
    assert len(envoy.asked) == asked
    kib = envoy.lua.eval("(function() collectgarbage() return collectgarbage('count') end)()")
    assert kib < 10 * 1024, "two generations of at most 2 MiB of tokens, and what stands beside them"


def test_many_right_tokens_stay_within_bounds() -> None:
    envoy = kubernetes()
    tokens = [f"Bearer {number}" for number in range(20_000)]
    envoy.authorizer = dict.fromkeys(tokens, granted("anna"))
    for token in tokens:
        envoy.request(token)
    asked = len(envoy.asked)
    again = sum(envoy.request(token).caller == "anna" and len(envoy.asked) == asked for token in tokens[-4096:])
    assert again == 4096
    envoy.request(tokens[0])
    assert len(envoy.asked) == asked + 1


def wrong(envoy: Envoy, count: int, answer: Answer) -> list[int]:
    """Statuses of so many new tokens, all answered so, at once."""
    tokens = [f"Bearer {len(envoy.asked)}.{number}" for number in range(count)]
    envoy.authorizer |= dict.fromkeys(tokens, answer)
    return [envoy.request(token).status for token in tokens]


@pytest.mark.parametrize("status", [401, 403, 429])
def test_an_address_has_a_budget_of_refusals_and_a_right_token_goes_on(status: int) -> None:
    envoy = kubernetes(allow=True)
    envoy.authorizer = {GOOD: granted("anna"), OTHER: granted("ben")}
    envoy.request(GOOD)
    assert wrong(envoy, 45, refused(status)) == [status] * 40 + [429] * 5
    asked = len(envoy.asked)
    said = envoy.request(OTHER)
    assert (said.status, said.answer and said.answer["retry-after"]) == (429, "1")
    assert "x-sluice-unchecked" not in said.headers
    assert len(envoy.asked) == asked
    # What was right before is asked about, also when it is not believed any more.
    for step in (0, 2500, 5000):
        envoy.now += step
        wrong(envoy, 200, refused(status))
        assert envoy.request(GOOD).caller == "anna"
    envoy.source = "10.0.0.2"
    assert envoy.request(OTHER).caller == "ben"


def test_a_budget_fills_by_20_refusals_a_second() -> None:
    envoy = kubernetes()
    assert wrong(envoy, 60, refused(401)).count(401) == 40
    envoy.now += 1000
    assert wrong(envoy, 60, refused(401)).count(401) == 20
    envoy.now += 3_600_000
    assert wrong(envoy, 60, refused(401)).count(401) == 40


def test_a_refusal_that_is_remembered_is_charged_once_and_right_tokens_never() -> None:
    envoy = kubernetes()
    envoy.authorizer = {WRONG: refused(401), **{f"Bearer {number}": granted("anna") for number in range(100)}}
    assert {envoy.request(WRONG).status for _ in range(100)} == {401}
    assert {envoy.request(f"Bearer {number}").status for number in range(100)} == {200}
    assert wrong(envoy, 60, refused(401)).count(401) == 39


@pytest.mark.parametrize("step", [-1, -5_000, -3_600_000])
def test_a_clock_that_is_set_back_keeps_nobody_out_for_longer_than_two_seconds(step: int) -> None:
    envoy = kubernetes()
    wrong(envoy, 60, refused(401))
    envoy.now += step
    postponed = 0
    for number in range(100):
        envoy.authorizer = {f"Bearer {number}": granted("anna")}
        envoy.now += 100
        postponed += envoy.request(f"Bearer {number}").status == 429
    assert postponed <= 21


@pytest.mark.parametrize("answer", [NOBODY, refused(503, None), (refused(401)[0], "Jwks remote fetch is failed")])
def test_what_says_nothing_of_a_token_is_charged_to_nobody_and_not_remembered(answer: Answer) -> None:
    envoy = kubernetes()
    assert len(set(wrong(envoy, 100, answer))) == 1
    envoy.authorizer = {"Bearer 0.0": granted("anna")}
    assert envoy.request("Bearer 0.0").caller == "anna"
