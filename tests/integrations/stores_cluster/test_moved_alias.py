"""An alias in a real MLflow registry is moved: on the cluster its version becomes a canary within the poll interval,
also where the operators are killed as they look, and takes over as any version does.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.specs import QUICK, ROUTER, RUNTIME
from e2e.zoo import Zoo
from integrations.registries.servers import Server, mlflow_server
from integrations.registries.test_mlflow import point, register
from localcluster import layout
from sluice.cli import main
from support import operators
from support.cluster import Cluster
from support.deployments import KIND, model_deployment, until_promoted
from support.kube import Kube, Object, condition, is_true

NAME = "store-revenue"
ALIAS, POLL_SECONDS = "champion", 10
URI = f"models:/{NAME}@{ALIAS}"
LOOK_SECONDS = 60.0
"""For a look that is begun anew by another operator, and its pod, on a machine that does other things too."""


@pytest.fixture
def mlflow(cluster: Cluster, zoo: Zoo, tmp_path: Path) -> Iterator[Server]:
    """A registry where pods reach this machine, with two versions of a package and an alias of the first."""
    assert cluster.local, "pods of another cluster may not reach this machine"
    with mlflow_server(tmp_path / "server", layout.GATEWAY) as server:
        archives = []
        for name in ("v1", "v2"):
            archives.append(tmp_path / f"{name}.tar.gz")
            archives[-1].write_bytes(zoo.built[name].archive)
        assert register(server, NAME, *(f"archive:{archive}" for archive in archives)) == ["1", "2"]
        point(server, NAME, ALIAS, "1")
        yield server


def following(server: Server) -> Object:
    rollout: dict[str, Any] = QUICK | {"steps": [{"weight": 50, "pause": True}]}
    asked = model_deployment(NAME, URI, runtime=RUNTIME, router=ROUTER, rollout=rollout)
    asked["spec"]["model"] |= {"endpoint": server.url, "poll": f"{POLL_SECONDS}s"}
    return asked


def say(capsys: pytest.CaptureFixture[str], what: str) -> None:
    """Times of a run, which no claim of the test rests on."""
    with capsys.disabled():
        print(f"\nfrom the moved alias: {what}")


def looking(found: Object) -> bool:
    return bool(found.get("status", {}).get("poll", {}).get("running"))


def of_version(found: Object, role: str, version: str) -> bool:
    return bool(found.get("status", {}).get(role, {}).get("uri") == f"models:/{NAME}/{version}")


def waits_for_a_person(found: Object) -> bool:
    return "pause" in found.get("status", {}).get("rollout", {})


def test_a_moved_alias_becomes_a_canary_and_is_promoted(
    kube: Kube, cluster: Cluster, mlflow: Server, zoo: Zoo, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given the version that an alias stands for, looked at a few times
    kube.apply(following(mlflow))
    first = until_promoted(kube, NAME)
    assert of_version(first, "stable", "1")
    assert first["status"]["stable"]["digest"] == zoo.built["v1"].digest
    assert (first["status"]["resolved"]["reference"], is_true(first, "ReferenceFollowed")) == (URI, True)
    kube.until(KIND, NAME, looking)
    at_rest = kube.until(KIND, NAME, lambda found: not looking(found))
    assert is_true(at_rest, "Promoted")
    # When the alias is moved, and every operator is killed as it looks
    point(mlflow, NAME, ALIAS, "2")
    moved = time.monotonic()
    kube.until(KIND, NAME, looking)
    system = cluster.system
    system.run("delete", "pod", f"--selector={operators.OPERATOR}", "--grace-period=0", "--force", "--wait=false")
    # Then the version it stands for now is a canary at its step, and a pod of stable that starts is still of the first
    found = kube.until(KIND, NAME, lambda found: of_version(found, "canary", "2"), POLL_SECONDS + LOOK_SECONDS)
    say(capsys, f"{time.monotonic() - moved:.1f} s to a canary, with both operators killed")
    assert found["status"]["rollout"]["requestedBy"] == URI
    kube.until(KIND, NAME, waits_for_a_person)
    say(capsys, f"{time.monotonic() - moved:.1f} s to its step")
    of_stable = f"sluice.dev/deployment={NAME},sluice.dev/revision={first['status']['stable']['revision']}"
    kube.run("delete", "pod", f"--selector={of_stable}", "--grace-period=1")
    kube.until_all("pod", of_stable, lambda pods: all(condition(pod, "Ready").get("status") == "True" for pod in pods))
    # And it is promoted by a person; status says which version it is, and nothing is left of the looks
    assert main(["promote", NAME, "--namespace", kube.namespace, "--kubeconfig", kube.kubeconfig]) == 0
    second = kube.until(KIND, NAME, lambda found: of_version(found, "stable", "2") and is_true(found, "Promoted"))
    say(capsys, f"{time.monotonic() - moved:.1f} s to its promotion, by a person")
    told = second["status"]["stable"]
    assert (told["digest"], told["reference"]) == (zoo.built["v2"].digest, URI)
    assert main(["status", NAME, "--namespace", kube.namespace, "--kubeconfig", kube.kubeconfig]) == 0
    assert f"models:/{NAME}/2" in capsys.readouterr().out
    kube.until(KIND, NAME, lambda found: not looking(found))
    assert len(kube.select("job")) <= 1


def test_a_moved_alias_is_seen_with_the_next_look(
    kube: Kube, mlflow: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    kube.apply(following(mlflow))
    until_promoted(kube, NAME)
    kube.until(KIND, NAME, looking)
    kube.until(KIND, NAME, lambda found: not looking(found))
    point(mlflow, NAME, ALIAS, "2")
    moved = time.monotonic()
    kube.until(KIND, NAME, lambda found: of_version(found, "canary", "2"), POLL_SECONDS + LOOK_SECONDS)
    say(capsys, f"{time.monotonic() - moved:.1f} s to a canary")
