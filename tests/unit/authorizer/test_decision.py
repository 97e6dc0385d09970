"""THE PATH of a decision: what is remembered, for how long, what is asked, and that no way through it is open."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from sluice_authorizer.apiserver import Crowded
from sluice_authorizer.asked import Asked
from sluice_authorizer.decision import HARD_SECONDS, MOST_NO, ROUTER_SECONDS, SOFT_SECONDS, Decider
from sluice_authorizer.outcomes import Decision, Grant, Refusal, User, Why
from sluice_authorizer.reviews import REFUSED_SECONDS
from sluice_authorizer.tokens import Looked, wrong
from unit.authorizer.parts import NOW, Asking, Clock, Looking, asked, judge_here, user

APP = "system:serviceaccount:shop:app"
BODY = b'{"inputs":[{"name":"store_id","datatype":"INT64","shape":[1],"data":[42]}]}'
JSON = {b"content-type": b"application/json"}


def rule(text: str) -> dict[str, Any]:
    return {"entities": ["store_id"], "rule": text}


@dataclass
class House:
    """A decider and everything around it. Ann may use m."""

    clock: Clock = field(default_factory=Clock)
    wall: Clock = field(default_factory=lambda: Clock(NOW))
    looks: Looking = field(default_factory=Looking)
    asks: Asking = field(default_factory=lambda: Asking({b"secret": user()}, {("ann", "m")}))

    def __post_init__(self) -> None:
        self.decider = Decider(self.looks, self.asks, self.clock, self.wall, judge_here)

    async def decide(self, one: Asked | None = None, body: bytes = BODY) -> Decision:
        """As the door does it."""
        one = one or asked()
        known = self.decider.at_once(one)
        return known if known is not None else await self.decider.decide(one, _reads(body))

    def later(self, seconds: float) -> None:
        self.clock.now += seconds
        self.wall.now += seconds


def _reads(body: bytes) -> Callable[[], Awaitable[bytes | Refusal]]:
    async def read() -> bytes | Refusal:
        return body

    return read


async def turns() -> None:
    """Let the tasks of the background come to their end."""
    for _ in range(10):
        await asyncio.sleep(0)


def why(found: Decision) -> Why:
    assert isinstance(found, Refusal), found
    return found.why


def said(found: Decision) -> Grant:
    assert isinstance(found, Grant), found
    return found


async def test_who_may_is_let_in_and_remembered():
    house = House()
    assert said(await house.decide()) == Grant("ann", ROUTER_SECONDS)
    for _ in range(10):
        assert said(house.decider.at_once(asked()) or wrong("unknown")).caller == "ann"
    assert len(house.asks.identified) == len(house.asks.permitted) == 1


async def test_who_may_not_is_refused():
    house = House()
    assert why(await house.decide(asked(None))) is Why.NO_TOKEN
    assert why(await house.decide(asked(b"invented"))) is Why.WRONG_TOKEN
    assert why(await house.decide(asked(name="other"))) is Why.DENIED


async def test_a_grant_is_for_one_name_in_one_namespace_and_a_token_for_one_audience():
    house = House()
    await house.decide()
    for other in ({"name": "other"}, {"namespace": "other"}, {"audiences": ["other"]}):
        assert house.decider.at_once(asked(**other)) is None


async def test_many_who_wait_are_one_question():
    house = House()
    found = await asyncio.gather(*(house.decide() for _ in range(100)))
    assert all(said(one).caller == "ann" for one in found)
    assert len(house.asks.identified) == len(house.asks.permitted) == 1
    assert house.decider.under_way == 0


async def test_what_is_used_is_asked_for_anew_before_it_is_too_old():
    house = House()
    for _ in range(100):
        said(await house.decide())
        house.later(1.0)
        await turns()
    assert 100 / SOFT_SECONDS - 1 <= len(house.asks.identified) <= 100 / SOFT_SECONDS + 1


async def test_nothing_but_use_keeps_anything_alive():
    house = House()
    await house.decide()
    for _ in range(100):
        house.later(1.0)
        await turns()
    assert len(house.asks.identified) == 1
    assert house.decider.at_once(asked()) is None


@pytest.mark.parametrize("taken", ["grant", "token"])
async def test_what_was_taken_back_opens_nothing_after_its_time(taken):
    house = House()
    await house.decide()
    (house.asks.grants if taken == "grant" else house.asks.users).clear()
    believed, gone = 0.0, 0.0
    while gone < 60:
        found = await house.decide()
        await turns()
        if isinstance(found, Grant):
            # A router may go on for as long as it is told.
            believed = gone + found.max_age
        house.later(0.5)
        gone += 0.5
    assert believed <= HARD_SECONDS


async def test_a_router_is_never_told_more_than_is_left():
    house = House()
    await house.decide()
    house.asks.away = True
    house.later(HARD_SECONDS - 1.5)
    assert said(await house.decide()).max_age == pytest.approx(1.5)


async def test_while_the_api_server_is_away_what_is_known_serves_to_its_end_and_no_longer():
    house = House()
    await house.decide()
    house.asks.away = True
    house.later(HARD_SECONDS - 0.1)
    said(await house.decide())
    await turns()
    house.later(0.2)
    assert why(await house.decide()) is Why.UNAVAILABLE
    house.asks.away = False
    said(await house.decide())


async def test_that_nobody_could_check_is_not_remembered():
    house = House()
    house.asks.away = True
    found = await house.decide()
    assert why(found) is Why.UNAVAILABLE
    assert isinstance(found, Refusal)
    assert found.age == 0
    house.asks.away = False
    said(await house.decide())


async def test_a_crowd_is_no_sign_that_nobody_can_check():
    class Crowd(Asking):
        async def identify(self, *_: Any) -> User | Refusal:
            raise Crowded

    assert why(await House(asks=Crowd()).decide()) is Why.BUSY


async def test_a_no_is_remembered_but_not_for_long():
    house = House(asks=Asking({b"secret": user()}))
    assert why(await house.decide()) is Why.DENIED
    house.asks.grants.add(("ann", "m"))
    waited = 0.0
    while isinstance(found := await house.decide(), Refusal):
        assert 0 < found.age <= min(ROUTER_SECONDS, REFUSED_SECONDS - waited) + 1e-9
        house.later(0.25)
        waited += 0.25
    assert waited <= REFUSED_SECONDS
    assert len(house.asks.permitted) == 2


async def test_one_wrong_token_is_one_review():
    house = House()
    for _ in range(200):
        assert why(await house.decide(asked(b"invented"))) is Why.WRONG_TOKEN
    assert len(house.asks.identified) == 1


async def test_a_token_that_is_known_to_be_wrong_is_no_review():
    tokens = [b"forged-%d" % number for number in range(1000)]
    house = House(looks=Looking(dict.fromkeys(tokens, wrong("forged"))))
    for one in tokens:
        assert why(await house.decide(asked(one))) is Why.WRONG_TOKEN
    assert not house.asks.identified


async def test_a_flood_of_tokens_of_another_form_is_not_passed_on():
    house = House()
    found = [await house.decide(asked(b"opaque-%d" % number)) for number in range(1000)]
    assert len(house.asks.identified) <= 10
    assert {why(one) for one in found} == {Why.WRONG_TOKEN, Why.BUSY}
    assert said(await house.decide(asked(source=b"10.9.9.9"))).caller == "ann"


async def test_one_who_is_known_is_asked_about_anew_in_the_midst_of_a_flood():
    house = House()
    await house.decide()
    for second in range(30):
        for number in range(50):
            await house.decide(asked(b"opaque-%d-%d" % (second, number)))
        said(await house.decide())
        await turns()
        house.later(1.0)


async def test_who_comes_back_in_the_midst_of_a_flood_is_let_in():
    house = House()
    await house.decide()
    house.later(10 * HARD_SECONDS)
    for source in range(100):
        await house.decide(asked(b"opaque-%d" % source, source=b"10.0.1.%d" % source))
    assert why(await house.decide(asked(b"another", source=b"10.0.2.1"))) is Why.BUSY
    said(await house.decide())


async def test_who_comes_back_with_what_was_taken_back_is_a_stranger():
    house = House()
    await house.decide()
    house.asks.users.clear()
    house.later(HARD_SECONDS)
    assert why(await house.decide()) is Why.WRONG_TOKEN
    house.later(REFUSED_SECONDS)
    for source in range(100):
        await house.decide(asked(b"opaque-%d" % source, source=b"10.0.1.%d" % source))
    assert why(await house.decide()) is Why.BUSY


async def test_a_flood_drives_nobody_out():
    house = House()
    await house.decide()
    for number in range(MOST_NO + 10):
        house.decider.refusals.put(number, wrong("flood"), house.clock.now, 10.0, 10.0)
    assert len(house.decider.refusals) == MOST_NO
    said(house.decider.at_once(asked()) or wrong("forgotten"))


async def test_accounts_of_the_cluster_have_a_budget_each():
    house = House()
    for account in ("a", "b"):
        house.looks.found |= {f"{account}{number}".encode(): Looked(account, NOW + 600) for number in range(100)}
    for number in range(100):
        await house.decide(asked(b"a%d" % number))
    assert 0 < len(house.asks.identified) <= 50
    assert why(await house.decide(asked(b"b1"))) is Why.WRONG_TOKEN


async def test_a_token_that_is_remembered_does_not_outlive_itself():
    house = House(asks=Asking({b"secret": user(expires=NOW + 7)}, {("ann", "m")}))
    assert said(await house.decide()).max_age == ROUTER_SECONDS
    house.later(4.0)
    assert said(await house.decide()).max_age == pytest.approx(3.0)
    house.looks.found[b"secret"] = wrong("expired")
    house.later(3.0)
    assert why(await house.decide()) is Why.WRONG_TOKEN


async def test_a_token_that_ran_out_while_it_was_checked_is_not_called_unchecked():
    house = House(asks=Asking({b"secret": user(expires=NOW - 1)}, {("ann", "m")}))
    assert why(await house.decide()) is Why.BUSY


async def test_a_step_of_the_wall_clock_keeps_nothing_alive():
    house = House()
    await house.decide()
    house.wall.now -= 86_400
    house.clock.now += HARD_SECONDS
    assert house.decider.at_once(asked()) is None


async def test_a_token_that_turns_wrong_loses_what_it_had():
    house = House()
    await house.decide()
    house.asks.users.clear()
    house.later(SOFT_SECONDS)
    said(await house.decide())
    await turns()
    assert why(await house.decide()) is Why.WRONG_TOKEN


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("entities.store_id.all(s, s == 42)", True),
        ("entities.store_id.all(s, s == 43)", False),
        ("claims.username == 'ann' && 'sellers' in claims.groups", True),
        ("entities.store_id.all(s, s in claims.stores)", False),
        ("entities.store_id", False),
        ("1 +", False),
    ],
)
async def test_a_rule_decides_about_data(text, allowed):
    found = await House().decide(asked(headers=JSON, data=rule(text)))
    assert isinstance(found, Grant) is allowed
    assert not isinstance(found, Grant) or found.max_age == 0
    assert not isinstance(found, Refusal) or (found.why is Why.DATA and found.age == 0)


async def test_a_rule_is_not_asked_where_no_data_is():
    found = await House().decide(asked(method="GET", path=b"/v2/models/m", data=rule("false")))
    assert said(found).max_age == ROUTER_SECONDS


async def test_a_rule_lets_nobody_in_whom_nobody_knows():
    for one in (asked(None, data=rule("true")), asked(b"invented", data=rule("true"))):
        assert why(await House().decide(one)) in (Why.NO_TOKEN, Why.WRONG_TOKEN)
    assert why(await House().decide(asked(name="other", data=rule("true")))) is Why.DENIED


@pytest.mark.parametrize("path", [b"/v2/models/m/%69nfer", b"//v2/models/m/infer", b"/v3/m", b"/metrics", b""])
async def test_where_a_rule_decides_no_other_path_is_open(path):
    assert why(await House().decide(asked(path=path, data=rule("true")))) is Why.PATH


def claimed(**claims: Any) -> dict[bytes, bytes]:
    return {**JSON, b"x-sluice-claims": base64.urlsafe_b64encode(json.dumps(claims).encode())}


@pytest.mark.parametrize(("stores", "allowed"), [([42], True), ([43], False), ("42", False), (None, False)])
async def test_claims_of_a_token_that_the_router_has_verified(stores, allowed):
    house = House()
    one = asked(
        None,
        headers=claimed(sub="ann", stores=stores),
        mode="JWT",
        data=rule("entities.store_id.all(s, s in claims.stores)"),
    )
    found = await house.decide(one)
    assert isinstance(found, Grant) is allowed
    assert not house.asks.identified


async def test_claims_without_a_router_that_verified_them_are_none():
    one = asked(None, mode="JWT", data=rule("true"))
    assert why(await House().decide(one)) is Why.NO_TOKEN
    expired = asked(None, headers=claimed(sub="ann", exp=NOW - 1), mode="JWT", data=rule("true"))
    assert why(await House().decide(expired)) is Why.WRONG_TOKEN


async def test_a_body_that_does_not_come_is_no_permission():
    house = House()

    async def read() -> bytes | Refusal:
        return Refusal(Why.TOO_LARGE, "too large")

    assert why(await house.decider.decide(asked(data=rule("true")), read)) is Why.TOO_LARGE


async def test_no_refusal_repeats_the_token():
    house = House()
    secret = b"a-token-that-nobody-may-read"
    house.asks.users[secret] = user()
    for one in (asked(secret, name="other"), asked(b"x" + secret), asked(secret, data=rule("1 +"))):
        found = await house.decide(one)
        assert isinstance(found, Refusal)
        assert secret.decode() not in found.text
    kept = (house.decider.users, house.decider.grants, house.decider.refusals)
    assert all(len(one) for one in kept)
    assert not any(secret.decode() in repr(vars(one)) for one in kept)


def test_a_refusal_is_a_value():
    assert replace(wrong("a"), age=1.0) == Refusal(Why.WRONG_TOKEN, "a", 1.0)
