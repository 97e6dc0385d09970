"""The bounded past behind the plots."""

import math

import pytest

from sluice_operator.dashboard.sampler import WATCHED_SECONDS, Sampler
from sluice_operator.dashboard.series import Point, Sample, Series, point
from sluice_operator.planning.observed import Window

from .source import CANARY, ROLLOUT, Fake, resource

KEY = ("team", "shop")


def test_a_point_says_how_often_how_well_and_how_fast():
    window = Window(requests=50, errors=5, latency={0.001: 50.0, 0.002: 100.0, math.inf: 100.0})
    assert point(25, window, 5.0) == Point(25, rate=10.0, error_rate=0.1, p50=0.001, p99=0.00198)


@pytest.mark.parametrize(("window", "seconds"), [(None, 5.0), (Window(requests=9), None)])
def test_what_was_not_measured_is_no_zero(window, seconds):
    assert point(25, window, seconds) == Point(25)


def test_no_request_is_a_rate_of_zero_and_no_error_rate():
    assert point(0, Window(), 5.0) == Point(0, rate=0.0)


def test_the_oldest_samples_and_the_model_left_alone_for_longest_are_forgotten():
    series = Series(samples=3, models=2)
    for moment in range(5):
        series.add(KEY, Sample(moment, {}))
    assert [sample.time for sample in series.of(KEY)] == [2, 3, 4]
    assert [sample.time for sample in series.of(KEY, after=3)] == [4]
    series.add(("team", "b"), Sample(5, {}))
    series.add(("team", "c"), Sample(6, {}))
    assert series.of(KEY) == []
    series.keep_only([("team", "c")])
    assert series.last(("team", "b")) is None


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_only_rollouts_and_what_somebody_watches_are_sampled():
    clock, source, series = Clock(), Fake(), Series()
    source.put(resource(), resource("rolling", canary=CANARY, rollout=ROLLOUT), resource("idle"))
    sampler = Sampler(source, series, clock)
    sampler.watch(KEY)
    await sampler.look()
    assert sorted(source.sampled) == ["rolling", "shop"]
    clock.now += WATCHED_SECONDS
    await sampler.look()
    assert source.sampled[2:] == ["rolling"]
    assert source.forgotten == ["shop"]


async def test_a_rollout_becomes_a_curve_by_revision():
    clock, source, series = Clock(), Fake(), Series()
    source.put(resource("shop", canary=CANARY, rollout=ROLLOUT))
    sampler = Sampler(source, series, clock)
    await sampler.look()
    clock.now += 5
    source.did = {"aaaa": Window(requests=75), "bbbb": Window(requests=25, errors=5)}
    await sampler.look()
    first, second = series.of(KEY)
    assert first.points == {"aaaa": Point(75), "bbbb": Point(25)}
    assert second.points == {
        "aaaa": Point(75, rate=15.0, error_rate=0.0),
        "bbbb": Point(25, rate=5.0, error_rate=0.2),
    }


async def test_what_lies_before_a_pause_is_no_rate():
    clock, source, series = Clock(), Fake(), Series()
    source.put(resource())
    sampler = Sampler(source, series, clock)
    sampler.watch(KEY)
    await sampler.look()
    clock.now += 10 * WATCHED_SECONDS
    await sampler.look()
    sampler.watch(KEY)
    source.did = {"aaaa": Window(requests=10_000)}
    await sampler.look()
    assert series.of(KEY)[-1].points["aaaa"].rate is None
