"""Who is to blame for features that could not be had: slice by slice, by what stable's calls of the store came to."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_operator.api.features import Features
from sluice_operator.api.status import ModelDeploymentStatus
from sluice_operator.planning.observed import Excuse
from sluice_operator.planning.outages import (
    SILENT_SECONDS,
    SLICE_SECONDS,
    TORN_AT_MOST,
    Calls,
    Outages,
    State,
    spread,
    state,
    untold,
    witness,
)

from .world import World, make_spec

STABLE, CANARY = "stable", "canary"
THERE = Calls(answered=9)
AWAY = Calls(refused=5, lost=4)
TORN = Calls(refused=2, answered=5, lost=4)
SILENT = Calls()
REFUSED = Calls(refused=10, lost=4)
FINE = Calls(answered=9)

STATES = {
    "all answered": (Calls(answered=3), State.there),
    "none answered": (Calls(lost=1), State.away),
    "statuses, which may be about the keys": (Calls(refused=4, useless=4), State.unknown),
    "none answered, and statuses": (Calls(lost=1, useless=4), State.away),
    "some answered": (Calls(answered=3, lost=1), State.torn),
    "one of many is lost": (Calls(refused=1, answered=50, lost=1), State.there),
    "a twentieth is lost": (Calls(answered=19, lost=1), State.torn),
    "few calls, because it waits": (Calls(refused=90, answered=200, lost=3), State.torn),
    "few calls, and defaults": (Calls(answered=200, lost=3, filled=90), State.torn),
    "one is lost, and keys that the store cannot have": (Calls(40, answered=200, lost=1, useless=40), State.there),
    "keys that the store cannot have": (Calls(answered=3, useless=40), State.there),
    "nothing asked": (Calls(), State.unknown),
    "refused without a call": (Calls(refused=7), State.unknown),
}


@pytest.mark.parametrize(("calls", "expected"), STATES.values(), ids=STATES)
def test_what_a_slice_says_of_the_store(calls: Calls, expected: State) -> None:
    assert state(calls) is expected


def walked(*slices: Calls, canary: Calls | None = None, seconds: float = SLICE_SECONDS) -> Outages:
    """Slices by what stable's calls came to; the canary is refused wherever stable says anything but that all is well.

    `canary`: what it meets in every slice instead.
    """
    outages = Outages(0.0)
    for number, said in enumerate(slices, 1):
        mine = canary or (FINE if said is THERE else REFUSED)
        outages.look(number * seconds, STABLE, {STABLE: said, CANARY: mine})
    return outages


WALKS = {
    "nothing happens": ((THERE,) * 4, Excuse()),
    "away": ((THERE, AWAY), Excuse(left_out=10, clouded=True)),
    "away from the first look on": ((AWAY, AWAY), Excuse(left_out=20, clouded=True)),
    "torn at both edges": ((THERE, TORN, AWAY, TORN), Excuse(left_out=10, doubtful=20, clouded=True)),
    "just back": ((THERE, AWAY, THERE), Excuse(left_out=10, clouded=True)),
    "back": ((THERE, AWAY, THERE, THERE), Excuse(left_out=10, clouded=True, over=True)),
    "a blip": ((THERE, TORN, THERE, THERE), Excuse(doubtful=10, clouded=True, over=True)),
}


@pytest.mark.parametrize(("slices", "expected"), WALKS.values(), ids=WALKS)
def test_a_canary_that_fares_as_the_store_does(slices: Any, expected: Excuse) -> None:
    assert walked(*slices).excuse(CANARY) == expected


BAD = {
    "its last slice is still in doubt": ((THERE,), Excuse(doubtful=10)),
    "then it is its own": ((THERE,) * 2, Excuse(doubtful=10)),
    "and stays so": ((THERE,) * 9, Excuse(doubtful=10)),
    "an outage makes its edges doubtful": ((THERE, THERE, AWAY), Excuse(left_out=10, doubtful=10, clouded=True)),
    "on both sides": ((THERE, AWAY, THERE), Excuse(left_out=10, doubtful=20, clouded=True)),
    "and what comes after is its own again": (
        (THERE, AWAY, THERE, THERE, THERE, THERE),
        Excuse(left_out=10, doubtful=30, clouded=True, over=True),
    ),
    "a store that is always torn is there": (
        (TORN,) * (TORN_AT_MOST + 6),
        Excuse(doubtful=10 * (TORN_AT_MOST + 2), clouded=True, over=True),
    ),
}


@pytest.mark.parametrize(("slices", "expected"), BAD.values(), ids=BAD)
def test_a_canary_whose_lookups_always_fail(slices: Any, expected: Excuse) -> None:
    assert walked(*slices, canary=REFUSED).excuse(CANARY) == expected


@pytest.mark.parametrize("slices", [(TORN, THERE), (TORN, TORN, THERE), (TORN, THERE, THERE)])
def test_a_store_that_is_torn_now_and_then_is_there(slices: Any) -> None:
    """Else nobody would ever be blamed or acquitted beside it."""
    long, longer = (walked(*slices * times, canary=REFUSED).excuse(CANARY) for times in (10, 30))
    assert long.doubtful == longer.doubtful < 10 * 3 * (TORN_AT_MOST + 1)


def test_one_lost_call_says_nothing_of_a_slice_nor_of_a_window() -> None:
    lossy = Calls(refused=1, answered=99, lost=1)
    assert walked(THERE, *(lossy,) * 4, canary=lossy).excuse(CANARY) == Excuse(doubtful=1), "its last slice"
    torn = walked(THERE, TORN, THERE, THERE, canary=lossy)
    assert torn.excuse(CANARY) == Excuse(doubtful=4, over=True), "times and answers tell as much as ever"


def test_where_stable_does_not_ask_all_is_in_doubt() -> None:
    outages = walked(*(SILENT,) * 4, canary=REFUSED)
    assert outages.excuse(CANARY) == Excuse(doubtful=10, clouded=True), "the slice goes on until it asks"
    calls = {STABLE: SILENT, CANARY: REFUSED}
    assert outages.look(SILENT_SECONDS, STABLE, calls)
    assert outages.excuse(CANARY) == Excuse(doubtful=10, clouded=True)


def test_a_slice_is_not_over_too_soon_nor_while_a_pod_is_silent() -> None:
    outages = Outages(100.0)
    calls = {STABLE: THERE, CANARY: FINE}
    assert not outages.look(100.0 + SLICE_SECONDS / 2, STABLE, calls)
    assert not outages.look(100.0 + 2 * SLICE_SECONDS, STABLE, calls, complete=False)
    assert outages.look(100.0 + 3 * SLICE_SECONDS, STABLE, calls)


def test_a_silent_pod_makes_nobody_wait_for_long_while_the_store_is_there() -> None:
    outages = Outages(0.0)
    for number in (1, 2, 3):
        calls = {STABLE: replace(THERE, answered=9 * number), CANARY: replace(REFUSED, refused=10 * number)}
        closed = outages.look(number * SILENT_SECONDS / 3, STABLE, calls, complete=False)
        assert closed is (number == 3)
    assert not outages.suspected
    outages.look(2 * SILENT_SECONDS, STABLE, {STABLE: THERE, CANARY: FINE}, complete=False)
    assert outages.excuse(CANARY) == Excuse()


@pytest.mark.parametrize("said", [AWAY, TORN, SILENT])
def test_what_a_silent_pod_has_to_tell_belongs_to_the_outage(said: Calls) -> None:
    outages = Outages(0.0)
    assert not outages.look(SILENT_SECONDS, STABLE, {STABLE: said, CANARY: FINE}, complete=False)
    assert outages.suspected
    then = Calls(said.refused, 1000 + said.answered, said.lost)
    assert not outages.look(2 * SILENT_SECONDS, STABLE, {STABLE: then, CANARY: FINE}, complete=False) or said is SILENT
    assert outages.suspected is (said is not SILENT), "a moment without it is little of a long slice"
    outages.open_window()
    outages.look(3 * SILENT_SECONDS, STABLE, {STABLE: replace(then, answered=2000), CANARY: FINE}, complete=False)
    assert not outages.suspected


SPREAD = {
    "all of them are the store's, and some were in flight": ((24940, 5000), 29940, 30000, (24990, 5010)),
    "pods were asked a moment later": ((100, 20), 120, 90, (75, 15)),
    "others are the version's own": ((50, 0), 100, 120, (60, 0)),
    "a pod has gone with what it had to tell": ((50, 0), 50, 75, (75, 0)),
    "pods that fail without a word": ((5, 5), 10, 1000, (10, 10)),
    "no pod tells of any": ((0, 0), 0, 60, (0, 0)),
    "no failures": ((0, 0), 0, 0, (0, 0)),
}


@pytest.mark.parametrize(("excuse", "told", "counted", "expected"), SPREAD.values(), ids=SPREAD)
def test_what_pods_tell_is_a_share_of_what_routers_count(excuse: Any, told: int, counted: int, expected: Any) -> None:
    found = spread(Excuse(left_out=excuse[0], doubtful=excuse[1], clouded=True), told, counted)
    assert found == Excuse(left_out=expected[0], doubtful=expected[1], clouded=True)


@given(parts=st.tuples(st.integers(0, 500), st.integers(0, 500), st.integers(0, 500)), counted=st.integers(0, 3000))
def test_no_more_is_excused_than_routers_count(parts: tuple[int, int, int], counted: int) -> None:
    left_out, doubtful, own = parts
    found = spread(Excuse(left_out, doubtful), sum(parts), counted)
    assert found.left_out >= 0
    assert found.doubtful >= 0
    assert found.left_out + found.doubtful <= max(counted, left_out + doubtful if not sum(parts) else 0)
    if not own and counted <= 2 * sum(parts) > 0:
        assert found.left_out + found.doubtful == counted


def test_what_no_pod_tells_may_be_the_stores_only_if_it_may_have_been_missed() -> None:
    known = Excuse(left_out=5)
    assert untold(known, 20, 50, suspected=True) == Excuse(left_out=5, doubtful=30, untold=True)
    assert untold(known, 20, 50, suspected=False) == known
    assert untold(known, 20, 15, suspected=True) == known


def test_stables_own_errors_are_left_out_as_well() -> None:
    assert walked(THERE, AWAY, AWAY).excuse(STABLE) == Excuse(left_out=10, clouded=True)


def test_answers_that_are_no_errors_cloud_the_window_too() -> None:
    """With `onOutage: Default` nobody is refused, and yet times and answers are not the model's."""
    outages = walked(THERE, AWAY, THERE, THERE, canary=Calls(lost=3))
    assert outages.excuse(CANARY) == Excuse(clouded=True, over=True)


def test_a_new_window_begins_without_a_past() -> None:
    outages = walked(THERE, AWAY, THERE, THERE)
    outages.look(4.5 * SLICE_SECONDS, STABLE, {STABLE: THERE, CANARY: REFUSED})
    outages.open_window()
    assert outages.excuse(CANARY) == Excuse()
    grown = {STABLE: THERE, CANARY: replace(REFUSED, refused=13)}
    assert outages.look(5 * SLICE_SECONDS, STABLE, grown)
    assert outages.excuse(CANARY) == Excuse(doubtful=3)
    outages.look(6 * SLICE_SECONDS, STABLE, {STABLE: THERE, CANARY: FINE})
    assert outages.excuse(CANARY) == Excuse()


SAID = st.sampled_from([THERE, AWAY, TORN, SILENT])


@given(said=st.lists(SAID, max_size=30))
def test_what_is_excused_is_never_more_than_what_failed(said: list[Calls]) -> None:
    outages = Outages(0.0)
    for number, calls in enumerate(said, 1):
        outages.look(number * SILENT_SECONDS, STABLE, {STABLE: calls, CANARY: REFUSED})
    found = outages.excuse(CANARY)
    assert found.left_out == 10 * said.count(AWAY)
    assert found.left_out + found.doubtful <= 10 * len(said)


@given(said=st.lists(st.sampled_from([THERE, Calls(answered=1, useless=9)]), min_size=2, max_size=30))
def test_a_store_that_answers_excuses_nobody(said: list[Calls]) -> None:
    assert walked(*said, canary=REFUSED).excuse(CANARY) == Excuse(doubtful=10), "the newest slice alone"


def features(url: str = "http://feast", service: str = "s") -> Features:
    return Features.model_validate(
        {
            "store": {"url": url},
            "service": service,
            "entities": [{"name": "row"}],
            "inputs": [{"feature": "f", "input": "x", "column": 0}],
        }
    )


WITNESSES = {
    "the same store": (features(), features(), True),
    "another service of the same store": (features(), features(service="t"), True),
    "another store": (features(), features("http://elsewhere"), False),
    "a stable without features": (None, features(), False),
    "a canary without features": (features(), None, False),
    "none at all": (None, None, False),
}


@pytest.mark.parametrize(("of_stable", "of_canary", "expected"), WITNESSES.values(), ids=WITNESSES)
def test_who_can_tell_how_the_canarys_store_is(of_stable: Any, of_canary: Any, expected: bool) -> None:
    world = World(make_spec()).settle().ask_version(2).settle()
    status: ModelDeploymentStatus = world.status
    assert status.stable
    assert status.canary
    for revision, wanted in ((status.stable.revision, of_stable), (status.canary.revision, of_canary)):
        world.records[revision] = replace(world.records[revision], features=wanted)
    assert witness(world.resource, world.records) == (status.stable.revision if expected else None)
    alone = world.resource.status.model_copy(update={"canary": None})
    assert witness(replace(world.resource, status=alone), world.records) is None
