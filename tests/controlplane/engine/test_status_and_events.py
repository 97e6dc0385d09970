"""Status is guarded by the version it was decided on; people read what happened where they look for it."""

import json
from typing import Any

import pytest

from controlplane.engine import children
from controlplane.engine.conftest import Workbench, writes
from sluice_operator.api.status import Condition, ModelDeploymentStatus
from sluice_operator.cluster.errors import Conflict, Gone
from sluice_operator.planning.observed import Problem
from sluice_operator.planning.plan import EventNote


def status(message: str) -> ModelDeploymentStatus:
    ready = Condition(
        type="Ready",
        status="False",
        observed_generation=1,
        last_transition_time="2026-01-01T00:00:00.000000Z",
        reason="Starting",
        message=message,
    )
    return ModelDeploymentStatus(observed_generation=1, reason="Starting", conditions=[ready])


async def test_status_is_written_and_known_at_once(bench: Workbench) -> None:
    resource = await bench.resource("one")
    await bench.cluster.write_status(resource, status("a"))
    held = bench.cluster.get(bench.kube.namespace, "one")
    assert held is not None
    assert held.status == status("a")
    assert bench.kube.get("mdep", "one")["status"]["conditions"][0]["message"] == "a"


async def test_the_same_status_is_not_written(bench: Workbench) -> None:
    await bench.cluster.write_status(await bench.resource("one"), status("a"))
    before = writes()
    await bench.cluster.write_status(await bench.resource("one"), status("a"))
    assert writes() == before


async def test_a_decision_on_a_stale_picture_is_a_conflict(bench: Workbench) -> None:
    stale = await bench.resource("one")
    bench.kube.run("patch", "mdep", "one", "--type=merge", "-p", '{"spec": {"model": {"uri": "http://b/2.tar"}}}')
    with pytest.raises(Conflict):
        await bench.cluster.write_status(stale, status("a"))
    assert "status" not in bench.kube.get("mdep", "one")


async def test_status_of_a_resource_that_is_gone_ends_the_matter(bench: Workbench) -> None:
    resource = await bench.resource("one")
    bench.kube.delete("mdep", "one")
    with pytest.raises(Gone):
        await bench.cluster.write_status(resource, status("a"))
    assert bench.cluster.get(bench.kube.namespace, "one") is None


async def test_a_resource_that_is_being_deleted_is_left_to_the_garbage_collector(bench: Workbench) -> None:
    await bench.resource("one")
    bench.kube.run("patch", "mdep", "one", "--type=merge", "-p", '{"metadata": {"finalizers": ["example.com/hold"]}}')
    bench.kube.run("delete", "mdep", "one", "--wait=false")
    await bench.look()
    assert bench.cluster.get(bench.kube.namespace, "one") is None


async def test_events_show_in_describe(bench: Workbench) -> None:
    resource = await bench.resource("one")
    notes = [EventNote("Normal", "RolloutStarted", "abc is started"), EventNote("Warning", "TooLong", "x" * 5000)]
    await bench.cluster.record(resource, notes)
    described = bench.kube.run("describe", "mdep", "one")
    assert "abc is started" in described
    assert "RolloutStarted" in described
    assert "sluice-operator" in described
    assert "TooLong" in described


async def test_the_same_thing_may_be_told_twice_in_one_pass(bench: Workbench) -> None:
    resource = await bench.resource("one")
    note = EventNote("Normal", "Scaled", "again")
    await bench.cluster.record(resource, [note, note])
    assert len(bench.kube.select("event", fields="reason=Scaled")) == 2


async def test_an_event_that_cannot_be_told_stops_nothing(bench: Workbench, caplog: pytest.LogCaptureFixture) -> None:
    resource = await bench.resource("one")
    bench.kube.run("delete", "namespace", bench.kube.namespace, "--wait=false")
    await bench.cluster.record(resource, [EventNote("Normal", "Late", "too late")])
    assert "event Late was not recorded" in caplog.text


def silent_pod(resource: Any) -> dict[str, Any]:
    labels = children.deployment(resource)["metadata"]["labels"]
    spec = {"containers": [{"name": "runtime", "image": "img"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": labels}, "spec": spec}


async def test_a_missing_secret_is_told_from_the_events_of_a_pod_that_says_nothing(bench: Workbench) -> None:
    resource = await bench.resource("one")
    await bench.cluster.apply(resource, children.plan(children.deployment(resource)))
    bench.kube.apply(silent_pod(resource))
    set_creating(bench)
    pod = bench.kube.get("pod", "p")
    bench.kube.apply(failed_mount(bench.kube.namespace, pod["metadata"]["uid"]))
    await bench.look()

    at_once = await bench.cluster.observe(resource)
    assert at_once.workloads["abc"].problem is None
    bench.later = 6.0
    a_while_later = await bench.cluster.observe(resource)
    assert a_while_later.workloads["abc"].problem == Problem("MountFailed", 'secret "s" not found')


def set_creating(bench: Workbench) -> None:
    """What the kubelet writes of a pod whose volumes it cannot mount."""
    since = bench.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    waiting = {"state": {"waiting": {"reason": "ContainerCreating"}}, "lastState": {}}
    shown = {
        "conditions": [{"type": "PodScheduled", "status": "True", "lastTransitionTime": since}],
        "containerStatuses": [
            {"name": "runtime", "image": "img", "imageID": "", "ready": False, "restartCount": 0, **waiting}
        ],
    }
    bench.kube.run("patch", "pod", "p", "--subresource=status", "--type=merge", "-p", json.dumps({"status": shown}))


def failed_mount(namespace: str, uid: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "p.1", "namespace": namespace},
        "involvedObject": {"apiVersion": "v1", "kind": "Pod", "namespace": namespace, "name": "p", "uid": uid},
        "type": "Warning",
        "reason": "FailedMount",
        "message": 'secret "s" not found',
        "lastTimestamp": "2026-01-01T00:00:00Z",
    }
