"""A namespace with callers in it, and the authorizer's own account, on a real API server."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from controlplane.apiserver import ApiServer
from controlplane.authorizer.process import Authorizer, authorizer, until
from sluice_authorizer.reviews import ACCESS_REVIEWS
from support.kube import Kube, Object

RBAC = "rbac.authorization.k8s.io/v1"


@dataclass(frozen=True)
class Shop:
    """A namespace in which `app` may use the model `m`, and `nobody` may not."""

    kube: Kube
    kubeconfig: Path
    """The authorizer's."""

    def token(self, account: str, *flags: str) -> str:
        """A token for callers, unless a flag says otherwise."""
        wanted = flags or ("--audience=sluice.dev",)
        return self.kube.run("create", "token", account, *wanted).strip()

    def grant(self, account: str, name: str) -> None:
        """Let an account use a model, by ordinary RBAC, of which the API server learns a moment later."""
        self.kube.apply(*granted(account, name))
        until(lambda: self.may(account, name), f"{account} may use {name}")

    def take_back(self, account: str, name: str) -> None:
        self.kube.run("delete", "rolebinding", f"{account}-{name}")
        until(lambda: not self.may(account, name), f"{account} may not use {name}")

    def may(self, account: str, name: str) -> bool:
        """What the API server itself thinks."""
        attributes = {"namespace": self.kube.namespace, "name": name, "verb": "create", "group": "sluice.dev"}
        attributes |= {"resource": "modeldeployments", "subresource": "inference"}
        user = f"system:serviceaccount:{self.kube.namespace}:{account}"
        review = {"spec": {"user": user, "resourceAttributes": attributes}}
        answer = self.kube.run("create", "--raw", ACCESS_REVIEWS, "-f", "-", stdin=json.dumps(review))
        return bool(json.loads(answer)["status"]["allowed"])


def granted(account: str, name: str) -> tuple[Object, Object]:
    resource = {"apiGroups": ["sluice.dev"], "resources": ["modeldeployments/inference"], "resourceNames": [name]}
    metadata = {"name": f"{account}-{name}"}
    role = {"apiVersion": RBAC, "kind": "Role", "metadata": metadata, "rules": [{**resource, "verbs": ["create"]}]}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": metadata["name"]}
    subjects = [{"kind": "ServiceAccount", "name": account}]
    return role, {
        "apiVersion": RBAC,
        "kind": "RoleBinding",
        "metadata": metadata,
        "roleRef": reference,
        "subjects": subjects,
    }


@contextmanager
def shop_of(api_server: ApiServer, folder: Path) -> Iterator[Shop]:
    """A shop on this server; the authorizer's credentials are written into `folder`."""
    (own := folder / "credentials").mkdir()
    with api_server.namespace("authorizer") as kube:
        for account in ("authorizer", "app", "nobody", "comes-and-goes"):
            kube.run("create", "serviceaccount", account)
        # What the chart gives it: both reviews. The keys are open to every account.
        kube.run(
            *("create", "clusterrolebinding", f"{kube.namespace}-authorizer", "--clusterrole=system:auth-delegator"),
            f"--serviceaccount={kube.namespace}:authorizer",
        )
        found = Shop(kube, api_server.credentials(own, kube.run("create", "token", "authorizer").strip()))
        found.grant("app", "m")
        yield found


@pytest.fixture(scope="session")
def shop(api_server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with shop_of(api_server, tmp_path_factory.mktemp("authorizer")) as found:
        yield found


@pytest.fixture(scope="session")
def running(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authorizer]:
    with authorizer(shop.kubeconfig, tmp_path_factory.mktemp("process") / "log") as process:
        yield process
