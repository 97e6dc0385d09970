"""Specs that are well-formed and cannot be had: status says what to change, once, and what serves goes on serving."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from e2e.specs import QUICK, ROUTER, RUNTIME
from support.deployments import model_deployment, stable, until_promoted, until_stalled
from support.gitops import argo_health, kstatus
from support.kube import Kube, Object, condition, is_true
from support.store import Store

NAMES = ("first", "second", "third")
DEADLINE = {"readyDeadline": "8s"}
"""For what may come yet, as far as anybody can know; all else is refused as soon as it is seen."""
PATIENT_DEADLINE = {"readyDeadline": "14s"}
"""For what is tried again a few times, or waited for, before anybody says what is wrong."""
OTHER_DIGEST = "sha256:" + "0" * 64


def spec_of(uri: str, digest: str | None = None, **changes: Any) -> Object:
    spec: dict[str, Any] = {"runtime": RUNTIME, "router": ROUTER, "rollout": QUICK}
    return model_deployment(NAMES[0], uri, digest, **spec | changes)


def with_template(**pod: Any) -> dict[str, Any]:
    return {"runtime": {**RUNTIME, "podTemplate": {"spec": pod}}}


def named(name: str, wanted: Object) -> Object:
    return {**wanted, "metadata": {"name": name}}


@pytest.fixture(scope="module")
def all_serving(module_kube: Kube, store: Store) -> list[Object]:
    """A few ModelDeployments with v1, before anything impossible is asked for."""
    module_kube.apply(*(named(name, spec_of(store.uri("v1.tar.gz"))) for name in NAMES))
    return [until_promoted(module_kube, name) for name in NAMES]


@pytest.fixture(scope="module")
def serving(all_serving: list[Object]) -> Object:
    """One of them."""
    return all_serving[0]


Told = tuple[str, str, str, int]
"""Type, reason, name and count of an Event."""


def impossible(store: Store) -> dict[str, tuple[Object, str, str]]:
    """The impossible spec, the reason and a part of the message, by what is wrong."""
    good = store.uri("v2.tar.gz")
    soon, patience = QUICK | DEADLINE, QUICK | PATIENT_DEADLINE
    with_secret = spec_of(good, rollout=patience)
    with_secret["spec"]["model"]["credentials"] = {"secretRef": {"name": "no-such-secret"}}
    return {
        "missing Secret": (with_secret, "MountFailed", "no-such-secret"),
        "missing PersistentVolumeClaim": (
            spec_of("pvc://no-such-claim/model", rollout=soon),
            "Unschedulable",
            "no-such-claim",
        ),
        "no such file": (spec_of(store.uri("none.tar.gz")), "SourceNotFound", "404"),
        "no such host": (
            spec_of("http://no-such-host.invalid/v1.tar.gz", rollout=patience),
            "SourceUnreachable",
            "no-such-host",
        ),
        "another digest": (spec_of(good, OTHER_DIGEST), "DigestMismatch", OTHER_DIGEST),
        "archive that climbs out": (spec_of(store.uri("traversal.tar.gz")), "UnsafeArchive", "escaped"),
        "archive with a link": (spec_of(store.uri("link.tar.gz")), "UnsafeArchive", "secrets"),
        "no archive": (spec_of(store.uri("no-archive.tar.gz")), "InvalidPackage", ""),
        "corrupt model": (spec_of(store.uri("corrupt.tar.gz")), "ModelCorrupt", ""),
        "opset of the future": (spec_of(store.uri("opset.tar.gz")), "OpsetUnsupported", "99"),
        "no such node": (
            spec_of(good, rollout=soon, **with_template(nodeSelector={"pool": "none"})),
            "Unschedulable",
            "node",
        ),
        "no such image": (
            spec_of(good, rollout=soon, runtime={**RUNTIME, "image": "no-such-registry.invalid/none:1"}),
            "ImagePull",
            "no-such-registry.invalid/none:1",
        ),
    }


CASES = (
    "missing Secret",
    "missing PersistentVolumeClaim",
    "no such file",
    "no such host",
    "another digest",
    "archive that climbs out",
    "archive with a link",
    "no archive",
    "corrupt model",
    "opset of the future",
    "no such node",
    "no such image",
)


@dataclass(frozen=True)
class Asked:
    """What serves while an impossible spec is asked for: as it was before."""

    serving: Object
    pods: dict[str, int]
    told: list[Told]

    @property
    def name(self) -> str:
        return str(self.serving["metadata"]["name"])


class Asking:
    """Asks each ModelDeployment for one impossible spec after the other. Most of the time nothing happens but a
    deadline, so the next ones are asked for meanwhile.
    """

    def __init__(self, kube: Kube, store: Store, all_serving: list[Object]) -> None:
        self.kube, self.specs, self.all_serving = kube, impossible(store), all_serving
        self.asked: dict[str, Asked] = {}

    def of(self, case: str) -> Asked:
        place = CASES.index(case)
        for number in range(place, min(place + len(self.all_serving), len(CASES))):
            if CASES[number] not in self.asked:
                serving = self.all_serving[number % len(self.all_serving)]
                self.asked[CASES[number]] = self.ask(CASES[number], serving)
        return self.asked[case]

    def ask(self, case: str, serving: Object) -> Asked:
        name = serving["metadata"]["name"]
        before = Asked(serving, model_pods(self.kube, stable(serving), name), events_of(self.kube, name))
        self.kube.apply(named(name, self.specs[case][0]))
        return before


@pytest.fixture(scope="module")
def asking(module_kube: Kube, store: Store, all_serving: list[Object]) -> Asking:
    """Nothing is asked for yet."""
    return Asking(module_kube, store, all_serving)


@pytest.mark.parametrize("case", CASES)
def test_the_impossible_is_refused_with_a_reason_once_and_harms_nothing(
    case: str, asking: Asking, module_kube: Kube
) -> None:
    # When something impossible is asked of a ModelDeployment that serves v1
    asked, (_, reason, part) = asking.of(case), asking.specs[case]
    found = until_stalled(module_kube, asked.name, timeout=90)
    # Then status says why and what to change, an Event says it once, and v1's pods are the same as before
    assert condition(found, "Stalled")["reason"] == reason
    assert part in condition(found, "Stalled")["message"]
    assert found["status"]["reason"] == reason
    assert (argo_health(found), kstatus(found)) == ("Degraded", "Failed")
    assert warnings_since(module_kube, asked) == [reason]
    assert is_true(found, "Ready")
    assert stable(found) == stable(asked.serving)
    assert model_pods(module_kube, stable(found), asked.name) == asked.pods


def test_pods_that_a_quota_forbids_are_refused_with_a_reason(serving: Object, module_kube: Kube, store: Store) -> None:
    # Given a quota that is used up
    with quota_used_up(module_kube):
        # When another version is applied
        module_kube.apply(spec_of(store.uri("v3.tar.gz"), rollout=QUICK | DEADLINE))
        found = until_stalled(module_kube, NAMES[0], timeout=60)
    # Then status names the quota, and v1 serves
    assert condition(found, "Stalled")["reason"] == "QuotaExceeded"
    assert "full" in condition(found, "Stalled")["message"]
    assert is_true(found, "Ready")
    assert stable(found) == stable(serving)


def test_a_refused_spec_stays_refused_until_the_part_that_makes_pods_changes(
    serving: Object, module_kube: Kube, store: Store
) -> None:
    # Given a refused version
    module_kube.apply(spec_of(store.uri("no-archive.tar.gz")))
    refused = until_stalled(module_kube, NAMES[0])
    # When only its rollout changes, it stays refused
    module_kube.apply(spec_of(store.uri("no-archive.tar.gz"), rollout=QUICK | {"drainDelay": "2s"}))
    seen = until_stalled(module_kube, NAMES[0])
    assert seen["metadata"]["generation"] > refused["metadata"]["generation"]
    assert seen["status"]["blocked"] == refused["status"]["blocked"]
    # Then a corrected one is rolled out
    module_kube.apply(spec_of(store.uri("v4.tar.gz")))
    assert stable(until_promoted(module_kube, NAMES[0])) != stable(serving)


@contextmanager
def quota_used_up(kube: Kube) -> Iterator[None]:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "full"},
        "spec": {"hard": {"pods": "0"}},
    }
    kube.apply(quota)
    kube.until("resourcequota", "full", lambda found: "used" in found.get("status", {}))
    yield
    kube.delete("resourcequota", "full")


def model_pods(kube: Kube, revision: str, name: str) -> dict[str, int]:
    """Restarts by uid of a revision's pods."""
    pods = kube.select("pod", f"sluice.dev/revision={revision},sluice.dev/deployment={name}")
    return {
        pod["metadata"]["uid"]: sum(one["restartCount"] for one in pod["status"]["containerStatuses"]) for pod in pods
    }


def warnings_since(kube: Kube, asked: Asked) -> list[str]:
    """What was warned of since; Events are written after the status that they tell of."""
    news: list[str] = []
    deadline = time.monotonic() + 30
    while not news and time.monotonic() < deadline:
        told = events_of(kube, asked.name)
        news = [event[1] for event in told if event not in asked.told and event[0] == "Warning"]
        time.sleep(0 if news else 0.5)
    return news


def events_of(kube: Kube, name: str) -> list[Told]:
    """The ModelDeployment's Events; one that is told again differs in its count."""
    found = kube.select("events", fields=f"involvedObject.kind=ModelDeployment,involvedObject.name={name}")
    return [
        (event["type"], event["reason"], event["metadata"]["name"], event.get("series", event).get("count") or 1)
        for event in found
    ]
