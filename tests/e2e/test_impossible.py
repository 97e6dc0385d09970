"""Specs that are well-formed and cannot be had: status says what to change, once, and what serves goes on serving."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from e2e.specs import QUICK, ROUTER, RUNTIME
from support.deployments import model_deployment, stable, until_promoted, until_stalled
from support.kube import Kube, Object, condition, is_true
from support.store import Store

NAME = "store-revenue"
DEADLINE = "8s"
PATIENT_DEADLINE = "14s"
"""For what is tried again a few times, or waited for, before anybody says what is wrong."""
OTHER_DIGEST = "sha256:" + "0" * 64


def spec_of(uri: str, digest: str | None = None, **changes: Any) -> Object:
    spec: dict[str, Any] = {"runtime": RUNTIME, "router": ROUTER, "rollout": QUICK | {"readyDeadline": DEADLINE}}
    return model_deployment(NAME, uri, digest, **spec | changes)


def with_template(**pod: Any) -> dict[str, Any]:
    return {"runtime": {**RUNTIME, "podTemplate": {"spec": pod}}}


@pytest.fixture(scope="module")
def serving(module_kube: Kube, store: Store) -> Object:
    """v1, before anything impossible is asked for."""
    module_kube.apply(spec_of(store.uri("v1.tar.gz")))
    return until_promoted(module_kube, NAME)


def impossible(store: Store) -> dict[str, tuple[Object, str, str]]:
    """The impossible spec, the reason and a part of the message, by what is wrong."""
    good = store.uri("v2.tar.gz")
    patience = QUICK | {"readyDeadline": PATIENT_DEADLINE}
    with_secret = spec_of(good, rollout=patience)
    with_secret["spec"]["model"]["credentials"] = {"secretRef": {"name": "no-such-secret"}}
    return {
        "missing Secret": (with_secret, "MountFailed", "no-such-secret"),
        "missing PersistentVolumeClaim": (spec_of("pvc://no-such-claim/model"), "Unschedulable", "no-such-claim"),
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
            spec_of(good, **with_template(nodeSelector={"pool": "none"})),
            "Unschedulable",
            "node",
        ),
        "no such image": (
            spec_of(good, runtime={**RUNTIME, "image": "no-such-registry.invalid/none:1"}),
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


@pytest.mark.parametrize("case", CASES)
def test_the_impossible_is_refused_with_a_reason_once_and_harms_nothing(
    case: str, serving: Object, module_kube: Kube, store: Store
) -> None:
    wanted, reason, part = impossible(store)[case]
    # Given v1, unharmed
    pods = model_pods(module_kube, stable(serving))
    told = events_of(module_kube)
    # When the impossible is applied
    module_kube.apply(wanted)
    found = until_stalled(module_kube, NAME, timeout=60)
    # Then status says why and what to change, an Event says it once, and v1's pods are the same as before
    assert condition(found, "Stalled")["reason"] == reason
    assert part in condition(found, "Stalled")["message"]
    assert found["status"]["reason"] == reason
    news = [event for event in events_of(module_kube) if event not in told and event[0] == "Warning"]
    assert [event[1] for event in news] == [reason]
    assert is_true(found, "Ready")
    assert stable(found) == stable(serving)
    assert model_pods(module_kube, stable(serving)) == pods


def test_pods_that_a_quota_forbids_are_refused_with_a_reason(serving: Object, module_kube: Kube, store: Store) -> None:
    # Given a quota that is used up
    with quota_used_up(module_kube):
        # When another version is applied
        module_kube.apply(spec_of(store.uri("v3.tar.gz")))
        found = until_stalled(module_kube, NAME, timeout=60)
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
    refused = until_stalled(module_kube, NAME)
    # When only its rollout changes, it stays refused
    module_kube.apply(spec_of(store.uri("no-archive.tar.gz"), rollout=QUICK | {"drainDelay": "2s"}))
    seen = until_stalled(module_kube, NAME)
    assert seen["metadata"]["generation"] > refused["metadata"]["generation"]
    assert seen["status"]["blocked"] == refused["status"]["blocked"]
    # Then a corrected one is rolled out
    module_kube.apply(spec_of(store.uri("v4.tar.gz")))
    assert stable(until_promoted(module_kube, NAME)) != stable(serving)


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


def model_pods(kube: Kube, revision: str) -> dict[str, int]:
    """Restarts by uid of a revision's pods."""
    pods = kube.select("pod", f"sluice.dev/revision={revision}")
    return {
        pod["metadata"]["uid"]: sum(one["restartCount"] for one in pod["status"]["containerStatuses"]) for pod in pods
    }


def events_of(kube: Kube) -> list[tuple[str, str, str, int]]:
    """Type, reason, name and count of the ModelDeployment's Events; one that is told again differs in its count."""
    found = kube.select("events", fields=f"involvedObject.kind=ModelDeployment,involvedObject.name={NAME}")
    return [
        (event["type"], event["reason"], event["metadata"]["name"], event.get("series", event).get("count") or 1)
        for event in found
    ]
