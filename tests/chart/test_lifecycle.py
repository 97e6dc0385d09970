"""Installing, upgrading and removing the chart on a real API server, with a model there all the while."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from chart import render
from controlplane.apiserver import ApiServer
from sluice_operator.api import crd
from support.kube import Kube, KubectlError

URI = "https://models.example/kept-1.tar.gz"
MODEL = {
    "apiVersion": "sluice.dev/v1alpha1",
    "kind": "ModelDeployment",
    "metadata": {"name": "kept"},
    "spec": {"model": {"uri": URI}},
}

MAY = (
    ("list", "modeldeployments.sluice.dev", ""),
    ("update", "modeldeployments.sluice.dev", "status"),
    ("update", "modeldeployments.sluice.dev", "finalizers"),
    ("patch", "deployments.apps", ""),
    ("patch", "deployments.apps", "scale"),
    ("patch", "pods", ""),
    ("create", "events", ""),
)
MAY_NOT = (
    ("update", "modeldeployments.sluice.dev", ""),
    ("patch", "modeldeployments.sluice.dev", ""),
    ("get", "secrets", ""),
    ("create", "pods", ""),
    ("create", "pods", "exec"),
    ("delete", "pods", ""),
    ("create", "serviceaccounts", "token"),
    ("create", "clusterrolebindings.rbac.authorization.k8s.io", ""),
)


class Release:
    """The chart as a release in a namespace of its own."""

    def __init__(self, kube: Kube) -> None:
        self.kube = kube
        self._flags = (f"--kubeconfig={kube.kubeconfig}", f"--namespace={kube.namespace}")

    def install(self, chart: Path = render.CHART, *options: str) -> None:
        # Other tests may have left a definition that belongs to no release.
        render.helm("upgrade", "--install", "--take-ownership", "sluice", str(chart), *self._flags, *options)

    def uninstall(self) -> str:
        return render.helm("uninstall", "sluice", *self._flags)

    def may(
        self, verb: str, resource: str, subresource: str, namespace: str = "default", account: str = "sluice"
    ) -> bool:
        """Whether the account, the operator's unless another is named, may do that, as the API server sees it."""
        account = f"--as=system:serviceaccount:{self.kube.namespace}:{account}"
        try:
            words = ("auth", "can-i", verb, resource, f"--subresource={subresource}", account)
            return self.kube.within(namespace).run(*words).strip() == "yes"
        except KubectlError:
            return False


@pytest.fixture(scope="module")
def installed(api_server: ApiServer) -> Iterator[Release]:
    with api_server.namespace("release") as kube:
        release = Release(kube)
        release.install()
        yield release
        release.uninstall()


@pytest.fixture
def release(installed: Release) -> Iterator[Release]:
    """The release as the chart's defaults make it, whatever a test does to it."""
    yield installed
    installed.install()


def changed_chart(folder: Path) -> Path:
    """The chart of a later version, with a new column in the definition."""
    chart = folder / "sluice"
    shutil.copytree(render.CHART, chart)
    copy = chart / "files" / f"{crd.CRD_NAME}.yaml"
    copy.write_text(copy.read_text().replace("name: Weight", "name: Share"))
    return chart


def columns(kube: Kube) -> list[str]:
    (version,) = kube.get("crd", crd.CRD_NAME)["spec"]["versions"]
    return [column["name"] for column in version["additionalPrinterColumns"]]


def test_an_upgrade_of_the_chart_upgrades_the_definition(release: Release, tmp_path: Path) -> None:
    assert "Weight" in columns(release.kube)
    release.install(changed_chart(tmp_path))
    assert "Share" in columns(release.kube)
    assert "Weight" not in columns(release.kube)


def test_models_outlive_the_release(release: Release) -> None:
    release.kube.apply(MODEL)
    assert crd.CRD_NAME in release.uninstall()
    assert release.kube.get("mdep", "kept")["spec"]["model"]["uri"] == URI
    release.install()
    assert release.kube.get("mdep", "kept")["spec"]["model"]["uri"] == URI


@pytest.mark.parametrize(("verb", "resource", "subresource"), MAY)
def test_the_operator_may(installed: Release, verb: str, resource: str, subresource: str) -> None:
    assert installed.may(verb, resource, subresource)


@pytest.mark.parametrize(
    "resource", ["tokenreviews.authentication.k8s.io", "subjectaccessreviews.authorization.k8s.io"]
)
def test_the_authorizer_may_ask_who_somebody_is_and_what_they_may(installed: Release, resource: str) -> None:
    assert installed.may("create", resource, "", account="sluice-authorizer")
    assert not installed.may("create", resource, ""), "an operator needs neither"


@pytest.mark.parametrize("resource", ["secrets", "pods", "modeldeployments.sluice.dev"])
def test_the_authorizer_may_look_at_nothing(installed: Release, resource: str) -> None:
    assert not installed.may("get", resource, "", account="sluice-authorizer")


@pytest.mark.parametrize(("verb", "resource", "subresource"), MAY_NOT)
def test_the_operator_may_not(installed: Release, verb: str, resource: str, subresource: str) -> None:
    assert not installed.may(verb, resource, subresource)


def test_with_chosen_namespaces_the_operator_may_nothing_elsewhere(release: Release) -> None:
    release.install(render.CHART, f"--set=watchNamespaces={{{release.kube.namespace}}}")
    assert release.may("list", "pods", "", namespace=release.kube.namespace)
    assert not release.may("list", "pods", "", namespace="kube-system")
