"""The operator as it runs: what it watches, what it writes, and what an outage does to it."""

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from controlplane.crd import definition
from controlplane.engine.process import (
    PATIENCE,
    ControlPlane,
    Operator,
    at_rest,
    control_plane,
    install,
    operator,
    until,
)
from support.kube import Kube, KubectlError, condition
from support.ports import free_port

MODEL = {
    "apiVersion": "sluice.dev/v1alpha1",
    "kind": "ModelDeployment",
    "metadata": {"name": "one", "labels": {"team": "a"}},
    "spec": {"model": {"uri": "http://store.example/1.tar.gz", "digest": "sha256:" + "a" * 64}},
}


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with control_plane(tmp_path_factory.mktemp("plane")) as built:
        built.start()
        yield built


@pytest.fixture(scope="module")
def kube(plane: ControlPlane) -> Kube:
    return install(plane)


def test_a_resource_outside_its_namespaces_is_not_its_business(plane: ControlPlane, kube: Kube, tmp_path: Path) -> None:
    kube.apply(MODEL)
    elsewhere = plane.server.kube("elsewhere")
    elsewhere.create_namespace()
    elsewhere.apply(MODEL)
    with operator(plane.server.kubeconfig, tmp_path / "o.log", "--namespaces=shop") as only_shop:
        until(only_shop.ready, "the operator is ready")
        until(lambda: only_shop.metric("sluice_operator_reconciles_total") >= 1, "it has looked")
        at_rest(only_shop)
    assert children(elsewhere) == set()
    elsewhere.delete("mdep", "one")


@pytest.fixture(scope="module")
def dashboard() -> int:
    """The port of the operator's dashboard."""
    return free_port()


@pytest.fixture(scope="module")
def running(
    plane: ControlPlane, kube: Kube, dashboard: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Operator]:
    """An operator of all namespaces, and a ModelDeployment that it has brought as far as it goes without nodes."""
    kube.apply(MODEL)
    log = tmp_path_factory.mktemp("running") / "operator.log"
    with operator(plane.server.kubeconfig, log, f"--dashboard=127.0.0.1:{dashboard}") as started:
        until(started.ready, "the operator is ready")
        until(lambda: children(kube) == {"one-router", model_deployment(kube)}, "its Deployments are there")
        at_rest(started)
        yield started


def children(kube: Kube) -> set[str]:
    return {found["metadata"]["name"] for found in kube.select("deployment")}


def model_deployment(kube: Kube) -> str:
    return next((name for name in children(kube) if name != "one-router"), "")


def test_the_framework_leaves_no_mark_on_any_object(running: Operator, kube: Kube) -> None:
    metadata = kube.get("mdep", "one")["metadata"]
    assert "finalizers" not in metadata
    assert metadata["labels"] == {"team": "a"}
    assert set(metadata["annotations"]) <= {"kubectl.kubernetes.io/last-applied-configuration"}
    everything = kube.run("get", "mdep,deployment,service,configmap,event", "-o", "yaml")
    assert "kopf" not in everything


def test_a_deleted_child_comes_back(running: Operator, kube: Kube) -> None:
    kube.run("delete", "service", "one")
    kube.until("service", "one", lambda found: True)


def test_it_waits_for_an_api_server_and_a_definition_that_come_later(tmp_path: Path) -> None:
    with control_plane(tmp_path) as late, operator(late.server.kubeconfig, tmp_path / "operator.log") as early:
        until(lambda: early.ask("/healthz")[0] == 200, "it lives without an API server")
        assert early.ask("/readyz")[0] == 503
        late.start()
        until(lambda: bool(early.lines("is not installed")), "it says what is missing")
        assert early.ask("/readyz")[0] == 503
        kube = install(late)
        until(early.ready, "it is ready")
        assert len(early.lines("is not installed")) == 1
        # A definition that goes and comes back is served again.
        kube.run("delete", "crd", "modeldeployments.sluice.dev")
        until(lambda: len(early.lines("is not installed")) >= 2, "it says again what is missing")
        definition.install(kube)
        until(lambda: stored(kube, json.dumps(MODEL)), "the definition is served")
        kube.until("deployment", "one-router", lambda found: True)
        assert early.process.poll() is None


LAX = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}


def test_a_resource_that_makes_no_sense_is_told_once_and_stops_no_other(running: Operator, kube: Kube) -> None:
    # Given an object that another version's definition let in.
    lax = json.dumps([{"op": "replace", "path": "/spec/versions/0/schema", "value": LAX}])
    kube.run("patch", "crd", "modeldeployments.sluice.dev", "--type=json", "-p", lax)
    broken = json.dumps({**MODEL, "metadata": {"name": "broken"}, "spec": {}})
    until(lambda: stored(kube, broken), "the definition is lax")
    # Then its status says what is wrong, once, and the others are looked after.
    found = kube.until("mdep", "broken", lambda seen: condition(seen, "Stalled").get("status") == "True")
    assert condition(found, "Stalled")["reason"] == "SpecNotUnderstood"
    assert "spec.model: Field required" in condition(found, "Stalled")["message"]
    kube.run("delete", "service", "one")
    kube.until("service", "one", lambda found: True)
    assert not running.lines("reconcile failed")
    kube.delete("mdep", "broken")
    definition.install(kube)


def stored(kube: Kube, text: str) -> bool:
    try:
        kube.run("create", "-f", "-", stdin=text)
    except KubectlError:
        return False
    return True


def test_the_dashboard_shows_what_the_operator_sees(running: Operator, kube: Kube, dashboard: int) -> None:
    site = Operator(running.process, dashboard, running.log)
    until(lambda: [row["name"] for row in json.loads(site.ask("/api/models")[1])] == ["one"], "the list is complete")
    status, text = site.ask("/api/models/shop/one")
    assert status == 200
    assert json.loads(text)["status"]["url"] == kube.get("mdep", "one")["status"]["url"]
    assert "<title>Sluice</title>" in site.ask("/")[1]
    assert running.lines("dashboard") == []


def test_what_vanished_while_the_watch_was_away_is_noticed_and_made_again(
    plane: ControlPlane, running: Operator, kube: Kube
) -> None:
    # Given an operator that sleeps while its watches break and things go, and an API server that cannot replay it.
    gone = model_deployment(kube)
    running.signal(signal.SIGSTOP)
    restart(plane)
    kube.run("delete", "deployment", gone)
    restart(plane)
    # When it wakes up, its watches have to list again, and no listing says what is missing.
    running.signal(signal.SIGCONT)
    # Then it finds out, and makes it again.
    kube.until("deployment", gone, lambda found: True)
    assert running.metric("sluice_operator_cache_ghosts_total") >= 1


def restart(plane: ControlPlane) -> None:
    plane.stop()
    plane.start()


def test_an_outage_is_told_once_and_survived(plane: ControlPlane, running: Operator, kube: Kube) -> None:
    told, said = len(running.lines("does not answer")), len(running.lines(""))
    plane.stop()
    # A reconcile has to notice: the resource is looked at again because routers are polled, or by a probe.
    wait_out(running, seconds=5)
    assert running.process.poll() is None
    assert running.ask("/healthz") == (200, "ok")
    plane.start()
    kube.run("patch", "mdep", "one", "--type=merge", "-p", '{"spec": {"router": {"replicas": 3}}}')
    kube.until("deployment", "one-router", lambda found: found["spec"]["replicas"] == 3)
    assert len(running.lines("does not answer")) - told <= 1
    assert len(running.lines("")) - said < 60, running.log.read_text()
    kube.run("patch", "mdep", "one", "--type=merge", "-p", '{"spec": {"router": {"replicas": 2}}}')


def wait_out(running: Operator, seconds: float) -> None:
    """Let an outage last; nothing in the test depends on what fits into it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and running.process.poll() is None:
        time.sleep(0.2)


def test_it_stops_when_told_and_a_restart_writes_nothing(
    plane: ControlPlane, running: Operator, kube: Kube, tmp_path: Path
) -> None:
    at_rest(running)
    before = versions(kube)
    ends_well(running, signal.SIGTERM)
    with operator(plane.server.kubeconfig, tmp_path / "again.log") as again:
        until(again.ready, "the operator is ready again")
        until(lambda: again.metric("sluice_operator_reconciles_total") >= 1, "it has looked")
        assert at_rest(again) == 0
        ends_well(again, signal.SIGINT)
    assert versions(kube) == before


def ends_well(one: Operator, number: signal.Signals) -> None:
    one.signal(number)
    assert one.process.wait(PATIENCE) == 0
    assert one.lines("Traceback") == []


def versions(kube: Kube) -> dict[str, str]:
    kinds = "mdep,deployment,service,configmap,controllerrevision,pdb,hpa"
    return {
        f"{obj['kind']}/{obj['metadata']['name']}": obj["metadata"]["resourceVersion"] for obj in kube.select(kinds)
    }
