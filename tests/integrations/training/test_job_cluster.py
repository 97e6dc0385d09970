"""On the cluster a Job trains, under the restricted pod security standard, and registers what a pod can fetch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from integrations.registries.fetching import digest_at
from integrations.registries.servers import Server, mlflow_server
from integrations.training.desks import desk, sluice
from localcluster import images, layout
from support.cluster import Cluster
from support.kube import Kube, Object, condition

pytestmark = pytest.mark.timeout(1800)  # the first run on a machine builds the image of the tools

PATIENCE = 600.0
"""For a pod and what it imports, on a machine that does other things too."""

RESTRICTED = "pod-security.kubernetes.io/enforce=restricted"


@pytest.fixture
def mlflow(cluster: Cluster, tmp_path: Path) -> Iterator[Server]:
    """A registry where pods reach this machine."""
    assert cluster.local, "pods of another cluster may not reach this machine"
    with mlflow_server(tmp_path / "server", layout.GATEWAY) as server:
        yield server


def printed(place: Path, *words: object) -> list[Object]:
    """The objects that the command prints, with less of the machine than a person would ask for."""
    image = images.ensure_images(images.ON_DEMAND)["tools"]
    done = sluice(place, "train", "model:Revenue", "--data", "shops.csv", "--as-job", "--image", image, *words)
    assert done.returncode == 0, done.stderr
    objects: list[Object] = list(yaml.safe_load_all(done.stdout))
    (container,) = objects[-1]["spec"]["template"]["spec"]["containers"]
    container["resources"] = {"requests": {"cpu": "50m", "memory": "256Mi"}, "limits": {"memory": "2Gi"}}
    return objects


def is_so(job: Object, kind: str) -> bool:
    """Whether a job's condition is True; Kubernetes says of none of them which generation it speaks of."""
    return bool(condition(job, kind).get("status") == "True")


def ended(job: Object) -> bool:
    return is_so(job, "Complete") or is_so(job, "Failed")


def test_a_job_trains_and_registers(kube: Kube, mlflow: Server, tmp_path: Path) -> None:
    # Given a namespace that lets restricted pods in alone
    kube.run("label", "namespace", kube.namespace, RESTRICTED, "--overwrite")
    # When the printed Job is applied
    objects = printed(desk(tmp_path / "desk"), "--register", mlflow.url, "--alias", "champion", "--search", 2)
    kube.apply(*objects)
    # Then it ends well, and the alias stands for the package that its log tells of
    name = objects[-1]["metadata"]["name"]
    job = kube.until("job", name, ended, PATIENCE)
    log = kube.run("logs", f"job/{name}")
    assert is_so(job, "Complete"), log
    digest = yaml.safe_load(log[log.index("model:\n") :])["model"]["digest"]
    assert digest_at("models:/revenue@champion", tmp_path / "fetched", store={"endpoint": mlflow.url}) == digest


def test_a_job_that_fails_says_why_in_its_pod(kube: Kube, mlflow: Server, tmp_path: Path) -> None:
    place = desk(tmp_path / "desk")
    (place / "shops.csv").write_text("shop,size,staff,city\n1,2,3,Assen\n")
    objects = printed(place, "--register", mlflow.url)
    objects[-1]["spec"]["backoffLimit"] = 0
    kube.apply(*objects)
    name = objects[-1]["metadata"]["name"]
    assert is_so(kube.until("job", name, ended, PATIENCE), "Failed")
    (pod,) = kube.select("pod", f"batch.kubernetes.io/job-name={name}")
    (status,) = pod["status"]["containerStatuses"]
    assert "the data has no column 'revenue', which is to be target" in status["state"]["terminated"]["message"]
