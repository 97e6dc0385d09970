"""Tables: what Kubernetes shows of a pod, and the one thing a person is told."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sluice_operator.cluster import problems
from sluice_operator.planning.observed import Problem
from unit.operator.kube_objects import condition, container, pod, terminated, waiting, word

BACKOFF = "CrashLoopBackOff"


def crashed(name: str, times: Any, ended: Any) -> Any:
    return container(name, waiting(BACKOFF, "back-off", restartCount=times, lastState=ended))


def unschedulable(message: Any) -> Any:
    return condition("PodScheduled", "False", "Unschedulable", message)


TABLE = {
    "a pod that is on its way has no problem": (
        pod(main=[container("runtime", waiting("ContainerCreating"))]),
        None,
    ),
    "a ready pod has no problem, whatever it had before": (
        pod(ready=True, main=[container("runtime", {"ready": True, "lastState": terminated(137, reason="OOMKilled")})]),
        None,
    ),
    "a pod that goes away has no problem": (
        pod(deletionTimestamp="2026-01-01T00:00:00Z", main=[container("runtime", {"state": terminated(1)})]),
        None,
    ),
    "an init container that ended well is no problem": (
        pod(init=[container("fetch", {"state": terminated(0), "lastState": terminated(1, word("NoSpace"))})]),
        None,
    ),
    "the fetcher's last word is told": (
        pod(init=[container("fetch", {"state": terminated(1, word("DigestMismatch", "sha256:a is not sha256:b"))})]),
        Problem("DigestMismatch", "sha256:a is not sha256:b", permanent=True),
    ),
    "the fetcher's last word counts while it waits for its next try": (
        pod(init=[crashed("fetch", 1, terminated(1, word("SourceNotFound", "404 at http://x")))]),
        Problem("SourceNotFound", "404 at http://x", permanent=True),
    ),
    "the fetcher's last word counts while it tries again": (
        pod(init=[container("fetch", {"state": {"running": {}}, "lastState": terminated(1, word("SourceNotFound"))})]),
        Problem("SourceNotFound", "said so", permanent=True),
    ),
    "a store that cannot be reached may come back, however often it was tried": (
        pod(init=[crashed("fetch", 9, terminated(1, word("SourceUnreachable", "no route")))]),
        Problem("SourceUnreachable", "no route"),
    ),
    "the runtime's last word is told": (
        pod(main=[crashed("runtime", 1, terminated(1, word("OpsetUnsupported", "opset 99")))]),
        Problem("OpsetUnsupported", "opset 99", permanent=True),
    ),
    "one crash may pass": (
        pod(main=[container("runtime", {"state": terminated(139, ""), "restartCount": 1})]),
        Problem("Crashed", "container runtime exited (code 139, 1 restarts)"),
    ),
    "a crash loop does not pass, and its last words are told": (
        pod(main=[crashed("runtime", 3, terminated(1, "Traceback\n  ValueError: boom"))]),
        Problem(
            "CrashLoop",
            "container runtime exited (code 1, 3 restarts): Traceback ValueError: boom",
            permanent=True,
        ),
    ),
    "too little memory is said in words": (
        pod(main=[crashed("runtime", 4, terminated(137, "", "OOMKilled"))]),
        Problem(
            "CrashLoop",
            "container runtime was killed for using more memory than its limit (code 137, 4 restarts)",
            permanent=True,
        ),
    ),
    "an internal error that repeats is a crash loop": (
        pod(main=[crashed("runtime", 3, terminated(1, word("InternalError", "KeyError: 'x'")))]),
        Problem("CrashLoop", "container runtime exited (code 1, 3 restarts): KeyError: 'x'", permanent=True),
    ),
    "an image that cannot be pulled may be pushed yet": (
        pod(main=[container("runtime", waiting("ImagePullBackOff", "not found"), image="reg/x:1")]),
        Problem("ImagePull", "container runtime cannot pull reg/x:1: not found"),
    ),
    "an image name that is no name stays none": (
        pod(main=[container("runtime", waiting("InvalidImageName", 'couldn\'t parse "A B"'))]),
        Problem("InvalidImageName", 'container runtime: couldn\'t parse "A B"', permanent=True),
    ),
    "a missing Secret in an environment is a configuration error": (
        pod(main=[container("runtime", waiting("CreateContainerConfigError", 'secret "s" not found'))]),
        Problem("ConfigError", 'container runtime: secret "s" not found'),
    ),
    "the scheduler's message is told, which covers a missing claim": (
        pod(conditions=[unschedulable('persistentvolumeclaim "models" not found')]),
        Problem("Unschedulable", 'persistentvolumeclaim "models" not found'),
    ),
}


@pytest.mark.parametrize(("seen", "told"), TABLE.values(), ids=TABLE)
def test_a_pods_problem(seen: Any, told: Any) -> None:
    assert problems.pod_problem(seen) == told


def test_a_mount_that_fails_is_told_from_the_pods_events() -> None:
    stuck = pod(main=[container("runtime", waiting("ContainerCreating"))])
    found = problems.pod_problem(stuck, {"uid-p": 'MountVolume.SetUp failed: secret "s" not found'})
    assert found == Problem("MountFailed", 'MountVolume.SetUp failed: secret "s" not found')


def test_messages_are_bounded() -> None:
    seen = pod(conditions=[unschedulable("x" * 4000)])
    found = problems.pod_problem(seen)
    assert found is not None
    assert len(found.message) == problems.MESSAGE_LIMIT


def test_among_pods_what_cannot_pass_wins() -> None:
    pods = [
        pod("a", conditions=[unschedulable("no room")]),
        pod("b", init=[container("fetch", {"state": terminated(1, word("ModelCorrupt", "bad bytes"))})]),
        pod("c", main=[container("runtime", waiting("ErrImagePull", "denied"))]),
    ]
    assert problems.workload_problem(pods, None, {}) == Problem("ModelCorrupt", "bad bytes", permanent=True)


def test_among_passing_problems_the_version_tells_more_than_the_place() -> None:
    pods = [
        pod("a", conditions=[unschedulable("no room")]),
        pod("b", init=[container("fetch", {"state": terminated(1, word("SourceUnreachable", "no route"))})]),
    ]
    assert problems.workload_problem(pods, None, {}) == Problem("SourceUnreachable", "no route")


REFUSALS = {
    'pods "x" is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2': "QuotaExceeded",
    'pods "x" is forbidden: violates PodSecurity "restricted:latest": privileged': "PodRefused",
}


@pytest.mark.parametrize(("message", "reason"), REFUSALS.items())
def test_pods_that_were_refused_are_told_from_the_deployment(message: Any, reason: Any) -> None:
    deployment = {"status": {"conditions": [condition("ReplicaFailure", "True", "FailedCreate", message)]}}
    assert problems.workload_problem([], deployment, {}) == Problem(reason, message)


def test_a_refusal_that_is_over_is_no_problem() -> None:
    deployment = {"status": {"conditions": [condition("ReplicaFailure", "False")]}}
    assert problems.workload_problem([], deployment, {}) is None


NOW = datetime(2026, 1, 1, tzinfo=UTC)


def scheduled(seconds_ago: Any) -> Any:
    since = (NOW - timedelta(seconds=seconds_ago)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return condition("PodScheduled", "True", since=since)


STUCK = {
    "creating for long": (10, [], [waiting("ContainerCreating")], True),
    "creating for a moment": (2, [], [waiting("ContainerCreating")], False),
    "an init container that cannot start": (10, [waiting("PodInitializing")], [waiting("PodInitializing")], True),
    "an init container that runs": (10, [{"state": {"running": {}}}], [waiting("PodInitializing")], False),
    "an init container that failed": (
        10,
        [waiting(BACKOFF, lastState=terminated(1))],
        [waiting("PodInitializing")],
        False,
    ),
    "a container that runs": (10, [], [{"state": {"running": {}}}], False),
}


@pytest.mark.parametrize(("age", "init", "main", "is_stuck"), STUCK.values(), ids=STUCK)
def test_events_are_asked_only_where_a_pod_is_stuck_in_silence(age: Any, init: Any, main: Any, is_stuck: Any) -> None:
    seen = pod(
        conditions=[scheduled(age)],
        init=[container("fetch", state) for state in init],
        main=[container("runtime", state) for state in main],
    )
    assert problems.stuck(seen, NOW) is is_stuck
