"""From raw objects in the cache to plain values."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from sluice_operator.api.runtime import Runtime
from sluice_operator.cluster import observe
from sluice_operator.cluster.cache import Cache, Key
from sluice_operator.cluster.kinds import AUTOSCALER, CONFIG_MAP, CONTROLLER_REVISION, CRON_JOB, DEPLOYMENT, JOB, POD
from sluice_operator.planning.observed import (
    Autoscaler,
    Materialization,
    Problem,
    Resolver,
    RevisionRecord,
    Run,
    Workload,
)
from unit.operator.kube_objects import condition, container, metadata, pod, terminated, waiting, word

KEY = Key("shop", "one")
DIGEST = "sha256:" + "a" * 64
RESOLVED = json.dumps({"digest": DIGEST, "name": "m", "version": "1"})
BEHIND = json.dumps({"digest": DIGEST, "name": "m", "version": "1", "uri": "models:/m/3"})
STAYS = json.dumps({"digest": "", "name": "", "version": "", "uri": "models:/m/3"})


def labelled(component: Any, revision: Any = None) -> Any:
    labels = {"app.kubernetes.io/component": component}
    return labels if revision is None else {**labels, "sluice.dev/revision": revision}


def seen(*objects: Any, warnings: Any = None) -> Any:
    cache = Cache()
    for kind, obj in objects:
        cache.put(kind, obj)
    return observe.gather(cache, KEY, warnings or {})


def deployment(revision: Any = "abc", replicas: Any = 3, **status: Any) -> Any:
    return {
        "metadata": metadata(f"one-{revision}", owner="one", labels=labelled("model", revision)),
        "spec": {"replicas": replicas},
        "status": status,
    }


def model_pod(name: str, revision: Any = "abc", **more: Any) -> Any:
    return pod(name, owner="one", labels=labelled("model", revision), **more)


def test_a_workload_is_what_its_deployment_reports() -> None:
    found = observe.workloads(seen((DEPLOYMENT, deployment(readyReplicas=2, availableReplicas=1))))
    assert found == {"abc": Workload(wanted=3, ready=2, available=1)}


def test_what_the_card_says_in_short_is_the_word_of_the_step_that_fetched() -> None:
    said = json.dumps(
        {"digest": DIGEST, "name": "m", "version": "1", "card": {"owner": "pricing", "metrics": "r2=0.9"}}
    )
    fetched = model_pod("m", init=[container("fetch", {"state": terminated(0, said, "Completed")})], ready=True)
    found = observe.workloads(seen((DEPLOYMENT, deployment()), (POD, fetched)))["abc"]
    assert (found.model_version, found.card) == ("1", {"owner": "pricing", "metrics": "r2=0.9"})


def test_a_deployment_that_has_reported_nothing_yet_has_no_pods() -> None:
    assert observe.workloads(seen((DEPLOYMENT, deployment()))) == {"abc": Workload(wanted=3, ready=0, available=0)}


def test_each_revision_has_its_own_problem() -> None:
    bad = [container("fetch", {"state": terminated(1, word("DigestMismatch", "not it"))})]
    found = observe.workloads(
        seen(
            (DEPLOYMENT, deployment("abc")),
            (DEPLOYMENT, deployment("bad")),
            (POD, model_pod("p1", "abc", ready=True)),
            (POD, model_pod("p2", "bad", init=bad)),
        )
    )
    assert found["abc"].problem is None
    assert found["bad"].problem == Problem("DigestMismatch", "not it", permanent=True)


AUTOSCALERS = {
    "active": (condition("ScalingActive", "True", "ValidMetricFound", "ok"), True),
    "not active": (condition("ScalingActive", "False", "FailedGetResourceMetric", "no metrics"), False),
    "unknown": (condition("ScalingActive", "Unknown"), None),
}


@pytest.mark.parametrize(("said", "active"), AUTOSCALERS.values(), ids=AUTOSCALERS)
def test_an_autoscaler_says_whether_it_works(said: Any, active: Any) -> None:
    hpa = {
        "metadata": metadata("one-abc", owner="one", labels=labelled("model", "abc")),
        "status": {"desiredReplicas": 4, "conditions": [said]},
    }
    found = observe.workloads(seen((DEPLOYMENT, deployment()), (AUTOSCALER, hpa)))
    assert found["abc"].autoscaler == Autoscaler(4, active, said["reason"], said["message"])


def test_a_new_autoscaler_says_nothing_yet() -> None:
    hpa = {"metadata": metadata("one-abc", owner="one")}
    found = observe.workloads(seen((DEPLOYMENT, deployment()), (AUTOSCALER, hpa)))
    assert found["abc"].autoscaler == Autoscaler(0, None)


def revision(name: str = "one-abc", **data: Any) -> Any:
    record = {"revision": "abc", "spec_hash": "s", "uri": "http://x", "digest": DIGEST, "image": "i", "runtime": {}}
    return {"metadata": metadata(name, owner="one"), "data": {**record, **data}}


def test_a_revision_is_read_from_its_record() -> None:
    found = observe.records(seen((CONTROLLER_REVISION, revision())))
    assert found == {"abc": RevisionRecord("abc", "s", "http://x", DIGEST, "i", Runtime())}


def test_a_record_that_does_not_parse_is_told_and_left_out(caplog: pytest.LogCaptureFixture) -> None:
    broken = revision("one-bad", revision=None)
    assert set(observe.records(seen((CONTROLLER_REVISION, revision()), (CONTROLLER_REVISION, broken)))) == {"abc"}
    assert "one-bad is no revision" in caplog.text


def router_config(**annotations: Any) -> Any:
    return {"metadata": metadata("one-router", owner="one", annotations=annotations), "data": {}}


@pytest.mark.parametrize(
    ("annotations", "weights"),
    [({"sluice.dev/weights": '{"abc": 90, "def": 10}'}, {"abc": 90, "def": 10}), ({}, {})],
)
def test_the_weights_decided_last_are_read_from_the_routers_configuration(annotations: Any, weights: Any) -> None:
    assert observe.weights(seen((CONFIG_MAP, router_config(**annotations)))) == weights


def test_weights_that_do_not_parse_are_told(caplog: pytest.LogCaptureFixture) -> None:
    assert observe.weights(seen((CONFIG_MAP, router_config(**{"sluice.dev/weights": "90/10"})))) == {}
    assert "is no weights" in caplog.text


def test_router_pods_that_go_away_do_not_count() -> None:
    stays = pod("r1", owner="one", labels=labelled("router"), ready=True)
    leaves = pod("r2", owner="one", labels=labelled("router"), deletionTimestamp="2026-01-01T00:00:00Z")
    found = observe.router_pods(seen((POD, stays), (POD, leaves), (POD, model_pod("m"))))
    assert [obj["metadata"]["name"] for obj in found] == ["r1"]


def job(*conditions: Any, **more: Any) -> Any:
    return {
        "metadata": metadata("one-resolve-h1", owner="one", creationTimestamp="2026-01-01T00:00:00Z", **more),
        "status": {"conditions": list(conditions)},
    }


def job_pod(state: Any, **more: Any) -> Any:
    owner = [{"kind": "Job", "name": "one-resolve-h1", "uid": "uid-one-resolve-h1", "controller": True}]
    return pod("jp", owner="one", ownerReferences=owner, main=[container("resolve", state)], **more)


COMPLETE = condition("Complete", "True")
FAILED = condition("Failed", "True", "BackoffLimitExceeded", "Job has reached the specified backoff limit")

RESOLVERS = {
    "runs": ([(JOB, job()), (POD, job_pod({"state": {"running": {}}}))], Resolver("Running")),
    "has the digest, though the Job does not know yet": (
        [(JOB, job()), (POD, job_pod({"state": terminated(0, RESOLVED, "Completed")}))],
        Resolver("Succeeded", DIGEST, version="1"),
    ),
    "has the digest": (
        [(JOB, job(COMPLETE)), (POD, job_pod({"state": terminated(0, RESOLVED, "Completed")}))],
        Resolver("Succeeded", DIGEST, version="1"),
    ),
    "found the version behind an alias": (
        [(JOB, job()), (POD, job_pod({"state": terminated(0, BEHIND, "Completed")}))],
        Resolver("Succeeded", DIGEST, version="1", uri="models:/m/3"),
    ),
    "found the alias where it was": (
        [(JOB, job()), (POD, job_pod({"state": terminated(0, STAYS, "Completed")}))],
        Resolver("Succeeded", uri="models:/m/3"),
    ),
    "tries again": (
        [(JOB, job()), (POD, job_pod({"state": terminated(1, word("SourceUnreachable", "no route"))}))],
        Resolver("Running", problem=Problem("SourceUnreachable", "no route")),
    ),
    "failed with a word": (
        [(JOB, job(FAILED)), (POD, job_pod({"state": terminated(1, word("SourceNotFound", "404"))}))],
        Resolver("Failed", problem=Problem("SourceNotFound", "404", permanent=True)),
    ),
    "failed without a word": (
        [(JOB, job(FAILED))],
        Resolver(
            "Failed",
            problem=Problem(
                "ResolverFailed", "the resolver ended (Failed): Job has reached the specified backoff limit"
            ),
        ),
    ),
    "succeeded but its pod is gone": (
        [(JOB, job(COMPLETE))],
        Resolver(
            "Failed",
            problem=Problem(
                "ResolverFailed", "the resolver ended (Complete): its pod is gone before its result was read"
            ),
        ),
    ),
    "succeeded, but its pod's last word has not arrived yet": (
        [(JOB, job(COMPLETE)), (POD, job_pod({"state": {"running": {}}}))],
        Resolver("Running"),
    ),
    "cannot be scheduled": (
        [
            (JOB, job()),
            (POD, job_pod(waiting(""), conditions=[condition("PodScheduled", "False", "Unschedulable", "no claim")])),
        ],
        Resolver("Running", problem=Problem("Unschedulable", "no claim")),
    ),
}


@pytest.mark.parametrize(("objects", "resolver"), RESOLVERS.values(), ids=RESOLVERS)
def test_a_resolver(objects: Any, resolver: Any) -> None:
    assert observe.resolvers(seen(*objects)) == {"h1": replace(resolver, since="2026-01-01T00:00:00Z")}


def test_a_resolver_whose_pod_is_refused_is_told_from_events() -> None:
    message = 'pods "x" is forbidden: exceeded quota: q'
    found = observe.resolvers(seen((JOB, job()), warnings={"uid-one-resolve-h1": message}))
    assert found["h1"].problem == Problem("QuotaExceeded", message)


@pytest.mark.parametrize(("second", "asked"), [(3, []), (10, ["one-resolve-h1"])])
def test_a_job_without_a_pod_is_asked_about_only_after_a_while(second: Any, asked: Any) -> None:
    cache = Cache()
    cache.put(JOB, job())
    silent = observe.silent(cache, KEY, datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC))
    assert [obj["metadata"]["name"] for obj in silent] == asked


T4, T5 = "2026-01-01T04:00:00Z", "2026-01-01T05:00:00Z"


def filling(*conditions: Any) -> Any:
    """A job that fills the feature store."""
    labels = labelled("features")
    about = metadata("one-features-1", owner="one", labels=labels, creationTimestamp="2026-01-01T03:00:00Z")
    return {"metadata": about, "status": {"conditions": list(conditions)}}


def filling_pod(name: str, state: Any, created: str) -> Any:
    owner = [{"kind": "Job", "name": "one-features-1", "uid": "uid-one-features-1", "controller": True}]
    main = [container("materialize", state)]
    return pod(name, owner="one", ownerReferences=owner, main=main, creationTimestamp=created)


def ended(kind: str, at: str) -> Any:
    return condition(kind, "True", "", "Job was active longer than specified deadline", at)


REFUSED = {"state": terminated(1, word("FeaturesRefused", "3 rows below 0"))}
AWAY = {"state": terminated(1, word("FeaturesUnavailable", "no route"))}
RAN: dict[str, tuple[list[Any], Run]] = {
    "runs": (
        [(JOB, filling()), (POD, filling_pod("a", {"state": {"running": {}}}, T4))],
        Run("one-features-1", "Running", "2026-01-01T03:00:00Z"),
    ),
    "wrote": (
        [(JOB, filling(ended("Complete", T5))), (POD, filling_pod("a", {"state": terminated(0)}, T4))],
        Run("one-features-1", "Succeeded", "2026-01-01T03:00:00Z", T5),
    ),
    "wrote, and its pod is gone": (
        [(JOB, filling(ended("Complete", T5)))],
        Run("one-features-1", "Succeeded", "2026-01-01T03:00:00Z", T5),
    ),
    "wrote at the second try": (
        [
            (JOB, filling(ended("Complete", T5))),
            (POD, filling_pod("a", AWAY, T4)),
            (POD, filling_pod("b", {"state": terminated(0)}, T5)),
        ],
        Run("one-features-1", "Succeeded", "2026-01-01T03:00:00Z", T5),
    ),
    "failed in its last pod's words": (
        [
            (JOB, filling(ended("FailureTarget", T4), ended("Failed", T5))),
            (POD, filling_pod("a", AWAY, T4)),
            (POD, filling_pod("b", REFUSED, T5)),
        ],
        Run(
            "one-features-1",
            "Failed",
            "2026-01-01T03:00:00Z",
            T5,
            Problem("FeaturesRefused", "3 rows below 0", permanent=True),
        ),
    ),
    "is about to have failed": (
        [(JOB, filling(ended("FailureTarget", T4))), (POD, filling_pod("a", AWAY, T4))],
        Run("one-features-1", "Running", "2026-01-01T03:00:00Z", problem=Problem("FeaturesUnavailable", "no route")),
    ),
    "took too long, and its pod was taken away": (
        [(JOB, filling(ended("Failed", T5)))],
        Run(
            "one-features-1",
            "Failed",
            "2026-01-01T03:00:00Z",
            T5,
            Problem("JobFailed", "the job ended (Failed): Job was active longer than specified deadline"),
        ),
    ),
}


@pytest.mark.parametrize(("objects", "expected"), RAN.values(), ids=RAN)
def test_what_became_of_a_job_that_fills_the_feature_store(objects: Any, expected: Any) -> None:
    assert observe.materialization(seen(*objects)) == Materialization(runs=(expected,))
    assert observe.resolvers(seen(*objects)) == {}


def test_when_it_was_due_is_the_cron_jobs_word() -> None:
    cron = {"metadata": metadata("one-features", owner="one"), "status": {"lastScheduleTime": T4}}
    assert observe.materialization(seen((CRON_JOB, cron))) == Materialization(scheduled=T4)
