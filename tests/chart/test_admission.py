"""The API server's own judgement of the chart's pods: the restricted pod security standard, enforced."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from chart import render
from controlplane.apiserver import ApiServer
from support.kube import Kube, KubectlError
from unit.planning.test_materialization import cron_job, world


@pytest.fixture(scope="module")
def kube(api_server: ApiServer) -> Iterator[Kube]:
    """A namespace that admits restricted pods only."""
    with api_server.namespace("chart", {"pod-security.kubernetes.io/enforce": "restricted"}) as connected:
        yield connected


def rendered(kube: Kube) -> list[dict[str, Any]]:
    return [found for found in yaml.safe_load_all(render.template(namespace=kube.namespace)) if found]


def pods(kube: Kube) -> list[dict[str, Any]]:
    templates = [one["spec"]["template"] for one in rendered(kube) if one["kind"] == "Deployment"]
    named = ({**template, "metadata": {**template["metadata"], "name": "one"}} for template in templates)
    return [{"apiVersion": "v1", "kind": "Pod", **template} for template in named]


def try_create(kube: Kube, manifest: Mapping[str, Any]) -> None:
    kube.run("create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=json.dumps(manifest))


def test_every_pod_meets_the_restricted_standard(kube: Kube) -> None:
    for pod in pods(kube):
        try_create(kube, pod)


def test_the_standard_is_really_enforced_there(kube: Kube) -> None:
    for pod in pods(kube):
        pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
        with pytest.raises(KubectlError, match="violates PodSecurity"):
            try_create(kube, pod)


def test_every_object_of_the_chart_is_accepted_under_strict_validation(kube: Kube) -> None:
    for manifest in rendered(kube):
        words = ("apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f", "-")
        kube.run(*words, stdin=json.dumps(manifest))


def test_the_job_that_fills_a_feature_store_is_accepted_and_its_pod_meets_the_standard(kube: Kube) -> None:
    store = {"url": "http://feast", "credentials": {"secretRef": {"name": "feast"}}}
    found = world(
        store=store, credentials={"secretRef": {"name": "warehouse"}}, timeZone="Europe/Amsterdam", views=["stores"]
    )
    job = cron_job(found)
    try_create(kube, {**job, "metadata": {**job["metadata"], "namespace": kube.namespace}})
    template = job["spec"]["jobTemplate"]["spec"]["template"]
    try_create(kube, {"apiVersion": "v1", "kind": "Pod", **template, "metadata": {"name": "one"}})
