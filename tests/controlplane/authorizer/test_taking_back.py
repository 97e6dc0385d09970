"""What is taken back, and what is given, takes effect within its bound: the API server is real, the clock is not."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from controlplane.authorizer.conftest import Shop
from controlplane.authorizer.process import question
from sluice_authorizer.apiserver import ApiServer, Asks, Json
from sluice_authorizer.asked import Asked, read_asked
from sluice_authorizer.credentials import of_kubeconfig
from sluice_authorizer.decision import HARD_SECONDS, Decider
from sluice_authorizer.keys import Keys
from sluice_authorizer.outcomes import Decision, Grant, Refusal, Why
from sluice_authorizer.reviews import REFUSED_SECONDS, Reviews
from unit.authorizer.parts import Clock, judge_here

ACCOUNT = "comes-and-goes"


@dataclass
class Counting:
    api: Asks
    count: int = 0

    async def ask(self, method: str, path: str, body: Json | None) -> Json:
        self.count += 1
        return await self.api.ask(method, path, body)


@dataclass
class House:
    decider: Decider
    clock: Clock
    asked: Asked
    counting: Counting

    async def decide(self) -> Decision:
        async def read() -> bytes | Refusal:
            return b""

        known = self.decider.at_once(self.asked)
        return known or await self.decider.decide(self.asked, read)


@pytest.fixture
async def house(shop: Shop) -> AsyncIterator[House]:
    clock = Clock()
    api = ApiServer(of_kubeconfig(shop.kubeconfig), time.monotonic)
    counting = Counting(api)
    decider = Decider(Keys(counting, clock, time.time), Reviews(counting), clock, time.time, judge_here)
    token = shop.token(ACCOUNT).encode()
    headers = [
        (b"x-sluice-authorize", question(shop.kube.namespace).encode()),
        (b"authorization", b"Bearer " + token),
    ]
    asked = read_asked("POST", b"/authorize/v2/models/m/infer", headers, "10.0.0.1")
    assert isinstance(asked, Asked)
    yield House(decider, clock, asked, counting)
    await api.close()


async def test_a_grant_comes_and_goes(shop: Shop, house: House) -> None:
    refused = await house.decide()
    assert isinstance(refused, Refusal)
    assert refused.why is Why.DENIED
    shop.grant(ACCOUNT, "m")
    house.clock.now += REFUSED_SECONDS
    assert isinstance(await house.decide(), Grant)
    shop.take_back(ACCOUNT, "m")
    house.clock.now += HARD_SECONDS
    again = await house.decide()
    assert isinstance(again, Refusal)
    assert again.why is Why.DENIED


async def test_a_known_caller_costs_two_questions_in_each_time(shop: Shop, house: House) -> None:
    await house.decide()
    asked = house.counting.count
    for _ in range(1000):
        await house.decide()
    assert house.counting.count == asked
