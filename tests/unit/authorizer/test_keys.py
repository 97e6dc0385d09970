"""The cluster's keys are read when they may be needed, and no faster, whatever callers send."""

import asyncio

from sluice_authorizer.keys import CONFIGURATION, KEY_SET, OLD_SECONDS, PAUSE_SECONDS, Keys
from sluice_authorizer.outcomes import Refusal
from sluice_authorizer.tokens import Looked
from unit.authorizer.parts import ISSUER, NOW, Answering, Clock, key_set, token

WANTED = ("sluice.dev",)


def readings(api: Answering) -> int:
    return sum(path == KEY_SET for path, _ in api.asked)


def cluster(*names: str) -> Answering:
    return Answering({CONFIGURATION: {"issuer": ISSUER}, KEY_SET: key_set(*names)})


async def test_the_first_token_waits_for_the_keys():
    api, clock = cluster("one"), Clock()
    keys = Keys(api, clock, Clock(NOW))
    found = await asyncio.gather(*(keys.look(token(), WANTED) for _ in range(20)))
    assert all(isinstance(one, Looked) and one.subject for one in found)
    assert readings(api) == 1


async def test_a_rotated_key_is_known_with_the_first_token_that_it_signed():
    api, clock = cluster("one"), Clock()
    keys = Keys(api, clock, Clock(NOW))
    await keys.look(token(), WANTED)
    api.answers[KEY_SET] = key_set("one", "two")
    clock.now += PAUSE_SECONDS
    found = await keys.look(token(key="two"), WANTED)
    assert isinstance(found, Looked)
    assert found.subject


async def test_a_flood_of_invented_keys_is_no_flood_of_readings():
    api, clock = cluster("one"), Clock()
    keys = Keys(api, clock, Clock(NOW))
    for number in range(200):
        clock.now += 0.1
        found = await keys.look(token(key="two", kid=f"invented-{number}"), WANTED)
        assert isinstance(found, Refusal)
        assert 0 < found.age <= PAUSE_SECONDS
    assert readings(api) <= 200 * 0.1 / PAUSE_SECONDS + 1


async def test_a_key_that_was_taken_away_is_forgotten():
    api, clock = cluster("one"), Clock()
    keys = Keys(api, clock, Clock(NOW))
    await keys.look(token(), WANTED)
    api.answers[KEY_SET] = key_set("two")
    clock.now += OLD_SECONDS + 1
    await keys.look(token(), WANTED)
    for _ in range(5):
        await asyncio.sleep(0)
    assert isinstance(await keys.look(token(), WANTED), Refusal)


async def test_known_keys_outlast_an_api_server_that_is_away():
    api, clock = cluster("one"), Clock()
    keys = Keys(api, clock, Clock(NOW))
    await keys.look(token(), WANTED)
    api.answers.clear()
    clock.now += 10 * OLD_SECONDS
    for _ in range(5):
        found = await keys.look(token(), WANTED)
        assert isinstance(found, Looked)
        assert found.subject


async def test_without_keys_every_token_is_of_another_form():
    api, clock = Answering(), Clock()
    keys = Keys(api, clock, Clock(NOW))
    for _ in range(10):
        found = await keys.look(token(), WANTED)
        assert isinstance(found, Looked)
        assert found.subject is None
    assert readings(api) == 1
