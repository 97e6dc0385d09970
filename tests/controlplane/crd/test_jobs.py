"""The API server takes the jobs that are planned and printed, with all that a user may add to them."""

import argparse
from typing import Any

import yaml

from controlplane.crd.definition import try_apply
from controlplane.crd.refused import materialized
from sluice_operator.api.resource import ModelDeployment
from sluice_operator.api.spec import ModelDeploymentSpec
from sluice_operator.api.status import ModelDeploymentStatus
from sluice_operator.planning import materialization
from sluice_training import commands, job
from support.kube import Kube

OWN: dict[str, Any] = {
    "volumes": [{"name": "lake", "persistentVolumeClaim": {"claimName": "lake", "readOnly": True}}],
    "containers": [{"name": "materialize", "volumeMounts": [{"name": "lake", "mountPath": "/lake"}]}],
    "initContainers": [{"name": "proxy", "image": "proxy:1", "restartPolicy": "Always"}],
    "tolerations": [{"key": "batch", "operator": "Exists"}],
}


def test_the_job_that_fills_a_store(kube: Kube) -> None:
    asked = materialized("@daily", startingDeadline="10m", backoffLimit=5, podTemplate={"spec": OWN})
    spec = ModelDeploymentSpec.model_validate({"model": {"uri": "https://models.example/1.tar.gz"}, **asked})
    owner = ModelDeployment(kube.namespace, "m", "uid-1", 1, "1", ModelDeploymentStatus(), spec)
    (wanted,) = materialization.objects(owner, "tools:1", ("mirror",))
    answer = try_apply(kube, wanted)
    assert answer.accepted, answer.text


def test_the_job_that_trains(kube: Kube) -> None:
    parser = argparse.ArgumentParser()
    commands.add(parser.add_subparsers())
    words = ["train", "model:Iris", "--as-job", "--image", "tools:1", "--push", "s3://models"]
    printed = job.manifests(parser.parse_args(words), "iris", {"model.py": b"class Iris: ..."})
    for document in yaml.safe_load_all(printed):
        answer = try_apply(kube, document)
        assert answer.accepted, answer.text
