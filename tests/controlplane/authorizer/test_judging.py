"""Rules in a process of their own: one that takes too much ends it, is refused, and harms nobody else."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from sluice_authorizer.judging import STOPPED, Judging
from sluice_authorizer.outcomes import Refusal, Why
from sluice_authorizer.rules import written

STORES = "entities.store_id.all(s, s in claims.stores)"
VALUES = {"store_id": [7] * 4096}
LONG = "entities.store_id.all(s, " + " && ".join(["!claims.t.matches('.*.*.*.*=.*x')"] * 40) + ")"
LARGE = "entities.store_id.map(s, entities.store_id + entities.store_id).size() > 0"


@pytest.fixture
async def judging() -> AsyncIterator[Judging]:
    made = Judging()
    yield made
    await made.close()


async def ask(judging: Judging, rule: str, namespace: str = "shop", **claims: Any) -> Refusal | None:
    line = written(rule, claims, VALUES)
    assert isinstance(line, bytes)
    return await judging(namespace, line)


async def test_only_what_is_true_is_true(judging: Judging) -> None:
    assert await ask(judging, STORES, stores=[7]) is None
    for rule in (STORES, "false", "1", "claims.x", "1 +"):
        found = await ask(judging, rule, stores=[8])
        assert found is not None
        assert found.why is Why.DATA
        assert found is not STOPPED
    assert await ask(judging, STORES, stores=[7]) is None


@pytest.mark.parametrize("rule", [LONG, LARGE])
async def test_a_rule_that_takes_too_much_is_refused_and_the_next_one_is_answered(judging: Judging, rule: str) -> None:
    for _ in range(2):
        assert await ask(judging, rule, t="ab" * 8000) is STOPPED
        assert await ask(judging, STORES, stores=[7]) is None


async def test_others_have_their_turn_between_those_of_one_namespace(judging: Judging) -> None:
    ended: list[str] = []

    async def asked(namespace: str, rule: str) -> None:
        await ask(judging, rule, namespace, stores=[7], t="ab" * 7000)
        ended.append(namespace)

    many = [asyncio.create_task(asked("greedy", LARGE)) for _ in range(6)]
    await asyncio.sleep(0)
    await asked("shop", STORES)
    assert ended.count("greedy") <= 1
    await asyncio.gather(*many)


async def test_the_answer_of_one_who_is_gone_is_nobody_elses(judging: Judging) -> None:
    await ask(judging, "true")
    for steps in range(8):
        gone = asyncio.create_task(ask(judging, "true"))
        for _ in range(steps):
            await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        assert await ask(judging, "false") is not None
