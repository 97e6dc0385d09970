"""Two operators on one API server: one acts, and the other takes over, whatever becomes of the first.

How long that takes at most is tested in virtual time (`unit/operator/test_election.py`).
"""

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from controlplane.apiserver import ApiServer
from controlplane.engine.process import PATIENCE, Operator, at_rest, operator, until
from support.kube import Kube


@dataclass
class Pair:
    """Operators with one Lease, each in a process of its own."""

    kube: Kube
    leader: Operator
    standby: Operator
    made: int = 0

    def holder(self) -> str:
        """Who holds the Lease; empty once it was given back."""
        return str(self.kube.get("lease", "sluice")["spec"].get("holderIdentity") or "")

    def somebody_acts(self) -> None:
        """The children of a new ModelDeployment are made."""
        self.made += 1
        self.kube.apply(model(f"m{self.made}"))
        self.kube.until("configmap", f"m{self.made}-router", lambda found: True)


GIVEN_BACK = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "sluice"}, "spec": {}}


def model(name: str) -> dict[str, object]:
    uri, digest = "http://store.example/1.tar.gz", "sha256:" + "a" * 64
    kind = {"apiVersion": "sluice.dev/v1alpha1", "kind": "ModelDeployment"}
    return {**kind, "metadata": {"name": name}, "spec": {"model": {"uri": uri, "digest": digest}}}


@pytest.fixture
def pair(api_server: ApiServer, kube: Kube, tmp_path: Path) -> Iterator[Pair]:
    """One leads, the other stands by with a complete cache."""
    with api_server.namespace("ha") as own:
        own.apply(GIVEN_BACK)
        flags = (f"--namespaces={own.namespace}", f"--lease={own.namespace}/sluice")
        with (
            operator(api_server.kubeconfig, tmp_path / "one.log", *flags) as one,
            operator(api_server.kubeconfig, tmp_path / "other.log", *flags) as other,
        ):
            until(lambda: one.ready() and other.ready(), "both are ready")
            until(lambda: bool(leaders(one, other)), "one of them leads")
            leader, standby = (one, other) if leads(one) else (other, one)
            yield Pair(own, leader, standby)


def leads(one: Operator) -> bool:
    return one.metric("sluice_operator_leader") == 1


def leaders(*operators: Operator) -> list[Operator]:
    return [each for each in operators if leads(each)]


def test_the_standby_is_ready_and_writes_nothing(pair: Pair) -> None:
    pair.somebody_acts()
    at_rest(pair.leader)
    assert pair.standby.ask("/healthz") == (200, "ok")
    assert pair.standby.ask("/readyz") == (200, "ok")
    assert pair.standby.metric("sluice_operator_reconciles_total") == 0
    assert pair.standby.writes() == 0
    objects = "sluice_operator_cached_objects"
    until(lambda: pair.standby.metric(objects) == pair.leader.metric(objects), "both have seen the same")


def test_a_killed_leader_is_followed(pair: Pair) -> None:
    pair.leader.signal(signal.SIGKILL)
    pair.somebody_acts()
    assert leads(pair.standby)
    # What stands is at rest under the new leader, too.
    at_rest(pair.standby)


def test_a_leader_that_is_told_to_stop_gives_the_lease_back_before_it_ends(pair: Pair) -> None:
    held_by = pair.holder()
    pair.leader.signal(signal.SIGTERM)
    assert pair.leader.process.wait(PATIENCE) == 0
    assert pair.holder() != held_by
    pair.somebody_acts()
    assert leads(pair.standby)


def test_a_leader_that_was_frozen_writes_nothing_when_it_wakes_up(pair: Pair) -> None:
    before = pair.leader.writes()
    pair.leader.signal(signal.SIGSTOP)
    until(lambda: leads(pair.standby), "the second leads")
    pair.leader.signal(signal.SIGCONT)
    pair.somebody_acts()
    until(lambda: pair.leader.metric("sluice_operator_cached_objects") > 0, "the first answers again")
    assert leaders(pair.leader, pair.standby) == [pair.standby]
    assert pair.leader.writes() == before
    assert len(pair.leader.lines("no longer leads")) == 1
