"""When to look again: the nearest deadline, or a short poll where only asking can tell (routers)."""

from collections.abc import Iterable

from sluice_operator.api.scalars import seconds
from sluice_operator.api.status import Phase
from sluice_operator.planning import comparing, outages, polling
from sluice_operator.planning.clock import seconds_since
from sluice_operator.planning.situation import (
    HELD,
    Situation,
    hold_seconds,
    next_weight,
    seconds_to_measurement,
    seconds_to_resolve,
    seconds_to_window,
    window_is_open,
)
from sluice_operator.planning.tls import lacking

ROUTER_POLL = 0.3
"""Routers do not call back: while something they should show is not seen yet, they are asked this often, in seconds."""
GATE_POLL = 1.0
SLOW_POLL = 5.0


def requeue_after(s: Situation) -> float | None:
    """Seconds until the next look; None where only a change in the cluster can bring news."""
    groups = (_rollout_times, _resolver_times, _poll_times, _drain_times, _router_times, _features_times)
    times = [max(0.05, time) for group in groups for time in group(s)]
    return min(times, default=None)


def _rollout_times(s: Situation) -> Iterable[float]:
    rollout = s.status.rollout
    if rollout is None:
        return
    gates = any(gate.answer != "Confirmed" for gate in rollout.gates)
    holds = rollout.phase in HELD and rollout.weight == next_weight(s.resource)
    if holds and rollout.hold_started_at is not None:
        held = seconds_since(rollout.hold_started_at, s.now)
        left = hold_seconds(s.resource) - held
        yield from (left,) if left > 0 else ()
        if gates:
            yield GATE_POLL
        if s.resource.spec.rollout.analysis:
            yield from _measuring_times(s)
        elif rollout.pause is None and not gates:
            yield left
        if (noting := comparing.seconds_to_note(s)) is not None:
            yield noting
        return
    # Pods report themselves; their members in the routers and applied weights have to be asked for.
    pods_wait = rollout.phase is Phase.starting and (s.canary_pods.available == 0 or rollout.pause is not None)
    yield SLOW_POLL if pods_wait else GATE_POLL if gates else ROUTER_POLL
    # The first version may take longer than the deadline: what has passed is no time to wake at.
    if rollout.waiting_since is not None and (left := _seconds_to_be_ready(s, rollout.waiting_since)) > 0:
        yield left


def _measuring_times(s: Situation) -> Iterable[float]:
    """The next window, the next measurement; one that is due and not made awaits an answer from outside."""
    if not window_is_open(s.resource):
        yield seconds_to_window(s.resource, s.now)
    left = seconds_to_measurement(s.resource, s.now)
    yield left if left > 0 else ROUTER_POLL
    if outages.witness(s.resource, s.observed.records):
        yield outages.LOOK_SECONDS


def _seconds_to_be_ready(s: Situation, waiting_since: str) -> float:
    return seconds(s.resource.spec.rollout.ready_deadline) - seconds_since(waiting_since, s.now)


def _resolver_times(s: Situation) -> Iterable[float]:
    resolver = s.observed.resolvers.get(s.target.spec_hash)
    if s.target.record is None and s.status.blocked is None and resolver and resolver.state == "Running":
        # A pod that cannot mount says so in no event of its own that is watched: it has to be looked at.
        yield min(SLOW_POLL, seconds_to_resolve(s.resource, resolver, s.now))


def _poll_times(s: Situation) -> Iterable[float]:
    if (left := polling.wake_in(s)) is not None:
        yield left


def _drain_times(s: Situation) -> Iterable[float]:
    delay = seconds(s.resource.spec.rollout.drain_delay)
    for entry in s.status.draining:
        if entry.since is not None:
            yield delay - seconds_since(entry.since, s.now)


def _router_times(s: Situation) -> Iterable[float]:
    """At rest a router that has not applied the newest configuration, or lacks a certificate, is asked again."""
    behind = not s.verified or lacking(s)
    if s.status.rollout is None and behind and any(pod.ready for pod in s.observed.router.pods):
        yield SLOW_POLL


def _features_times(s: Situation) -> Iterable[float]:
    """A run whose pod cannot start says nothing by itself."""
    if any(run.state == "Running" for run in s.observed.materialization.runs):
        yield SLOW_POLL
