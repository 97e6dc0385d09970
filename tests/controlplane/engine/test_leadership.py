"""Two operators on one API server: one acts, and the other takes over, whatever becomes of the first."""

import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from controlplane.apiserver import ApiServer
from controlplane.engine.process import Operator, at_rest, operator, until
from support.kube import Kube

TAKEOVER_SECONDS = 15.0
HANDOVER_SECONDS = 3.0
HEARD = 2.0
"""What the API server and this test may add on a busy machine to what the operator itself takes."""


@dataclass
class Pair:
    """Operators with one Lease, each in a process of its own."""

    kube: Kube
    one: Operator
    other: Operator
    made: int = 0

    def leaders(self) -> list[Operator]:
        return [each for each in (self.one, self.other) if each.metric("sluice_operator_leader") == 1]

    def follows(self, leader: Operator) -> bool:
        return leader in self.leaders()

    def acts(self) -> float:
        """Seconds until somebody has made the children of a new ModelDeployment."""
        began = time.monotonic()
        self.made += 1
        self.kube.apply(model(f"m{self.made}"))
        self.kube.until("configmap", f"m{self.made}-router", lambda found: True)
        return time.monotonic() - began


GIVEN_BACK = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "sluice"}, "spec": {}}


def model(name: str) -> dict[str, object]:
    uri, digest = "http://store.example/1.tar.gz", "sha256:" + "a" * 64
    kind = {"apiVersion": "sluice.dev/v1alpha1", "kind": "ModelDeployment"}
    return {**kind, "metadata": {"name": name}, "spec": {"model": {"uri": uri, "digest": digest}}}


@pytest.fixture
def pair(api_server: ApiServer, kube: Kube, tmp_path: Path) -> Iterator[Pair]:
    """The first leads, the second stands by with a complete cache."""
    with api_server.namespace("ha") as own:
        own.apply(GIVEN_BACK)
        flags = (f"--namespaces={own.namespace}", f"--lease={own.namespace}/sluice")
        with operator(api_server.kubeconfig, tmp_path / "one.log", *flags) as one:
            until(lambda: one.metric("sluice_operator_leader") == 1, "the first leads")
            with operator(api_server.kubeconfig, tmp_path / "other.log", *flags) as other:
                until(other.ready, "the second stands by")
                found = Pair(own, one, other)
                assert found.leaders() == [one]
                yield found


def test_the_standby_is_ready_and_writes_nothing(pair: Pair) -> None:
    pair.acts()
    at_rest(pair.one)
    assert pair.other.ask("/healthz") == (200, "ok")
    assert pair.other.ask("/readyz") == (200, "ok")
    assert pair.other.metric("sluice_operator_reconciles_total") == 0
    assert pair.other.writes() == 0
    assert pair.other.metric("sluice_operator_cached_objects") == pair.one.metric("sluice_operator_cached_objects")


def test_a_killed_leader_is_followed_within_15_seconds(pair: Pair) -> None:
    pair.one.signal(signal.SIGKILL)
    assert pair.acts() < TAKEOVER_SECONDS
    assert pair.leaders() == [pair.other]
    # What stands is at rest under the new leader, too.
    at_rest(pair.other)


def test_a_leader_that_is_told_to_stop_hands_over_within_3_seconds(pair: Pair) -> None:
    pair.one.signal(signal.SIGTERM)
    assert pair.acts() < HANDOVER_SECONDS + HEARD
    assert pair.one.process.wait(30) == 0
    assert pair.leaders() == [pair.other]


def test_a_leader_that_was_frozen_writes_nothing_when_it_wakes_up(pair: Pair) -> None:
    before = pair.one.writes()
    pair.one.signal(signal.SIGSTOP)
    until(lambda: pair.other.metric("sluice_operator_leader") == 1, "the second leads")
    pair.one.signal(signal.SIGCONT)
    pair.acts()
    until(lambda: pair.one.metric("sluice_operator_cached_objects") > 0, "the first answers again")
    assert pair.leaders() == [pair.other]
    assert pair.one.writes() == before
    assert len(pair.one.lines("no longer leads")) == 1
