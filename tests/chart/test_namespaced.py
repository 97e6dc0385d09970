"""A release without any right in the cluster: its operator serves the namespaces it was given, and nothing else."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from chart import render
from controlplane.apiserver import ApiServer
from controlplane.crd import definition
from controlplane.engine.process import Operator, at_rest, operator, until
from support.deployments import model_deployment
from support.kube import Kube

DIGEST = "sha256:" + "a" * 64


@dataclass
class Namespaced:
    """A release in `home`, of an operator that serves `served` and is to leave `foreign` alone."""

    home: Kube
    served: list[Kube]
    foreign: Kube
    running: Operator


@pytest.fixture(scope="module")
def namespaced(api_server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Namespaced]:
    folder = tmp_path_factory.mktemp("namespaced")
    with ExitStack() as stack:
        home, first, second, foreign = (
            stack.enter_context(api_server.namespace(name)) for name in ("home", "first", "second", "foreign")
        )
        definition.install(home)
        install(home, (first, second))
        credentials = api_server.credentials(folder, home.run("create", "token", "sluice").strip())
        flags = (f"--namespaces={first.namespace},{second.namespace}", f"--lease={home.namespace}/sluice")
        running = stack.enter_context(operator(credentials, folder / "operator.log", *flags))
        until(running.ready, "the operator is ready")
        yield Namespaced(home, [first, second], foreign, running)


def install(home: Kube, served: tuple[Kube, ...]) -> None:
    names = ",".join(kube.namespace for kube in served)
    values = f"rbac.scope=Namespaced,crds.install=false,authorizer.enabled=false,watchNamespaces={{{names}}}"
    place = (f"--kubeconfig={home.kubeconfig}", f"--namespace={home.namespace}")
    render.helm("install", "sluice", str(render.CHART), *place, f"--set={values}")


def routers(kube: Kube) -> list[str]:
    return [found["metadata"]["name"] for found in kube.select("deployment") if "router" in found["metadata"]["name"]]


def test_it_serves_the_namespaces_it_was_given_and_nothing_else(namespaced: Namespaced) -> None:
    for kube in (namespaced.foreign, *namespaced.served):
        kube.apply(model_deployment("m", "https://store.example/m.tar.gz", DIGEST))
    for kube in namespaced.served:
        kube.until("poddisruptionbudget", "m-router", lambda found: True)
        kube.until("deployment", "m-router", lambda found: found["spec"]["replicas"] == 2)
    at_rest(namespaced.running)
    assert routers(namespaced.foreign) == []
    assert namespaced.foreign.get("mdep", "m").get("status") is None


def test_it_asks_for_nothing_that_it_may_not(namespaced: Namespaced) -> None:
    at_rest(namespaced.running)
    assert namespaced.running.lines("orbidden") == []
    assert namespaced.running.metric("sluice_operator_api_errors_total") == 0
    assert namespaced.running.metric("sluice_operator_leader") == 1


def test_nothing_of_the_release_lies_in_the_cluster(namespaced: Namespaced) -> None:
    words = ("get", "clusterroles,clusterrolebindings", "--output=yaml")
    assert namespaced.home.namespace not in namespaced.home.run(*words)
