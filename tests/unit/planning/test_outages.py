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
    state,
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
    "refused by a gateway": (Calls(useless=4), State.away),
    "some answered": (Calls(answered=3, lost=1), State.torn),
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
