"""Who may ask is what RBAC says, from the switch in the spec to the grant that is taken back."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

from e2e.specs import QUICK, ROUTER, RUNTIME
from support import samples
from support.client import Client
from support.cluster import Cluster
from support.deployments import KIND, model_deployment, until_promoted
from support.kube import Kube, Object, is_true
from support.store import Store

SAMPLE = "access-kubernetes.yaml"
NAME = "store-revenue"
CALLER, STRANGER = "shop-app", "stranger"
REVOKED_SECONDS = 30.0
"""What the product promises; about half of it is what it takes."""
PATIENCE = 60.0
GRPC_CALL = """
import json, sys, grpc
codes = []
with grpc.insecure_channel(sys.argv[1]) as channel:
    metadata_of = channel.unary_unary("/inference.GRPCInferenceService/ServerMetadata")
    for sent in json.loads(sys.argv[2]):
        try:
            metadata_of(b"", metadata=list(sent.items()), timeout=30, wait_for_ready=True)
            codes.append("OK")
        except grpc.RpcError as refusal:
            codes.append(refusal.code().name)
print(json.dumps(codes))
"""


class Callers:
    """Asks the model from a pod that has no rights, with tokens that are handed to it."""

    def __init__(self, kube: Kube, client: Client) -> None:
        self._kube, self._client = kube, client
        self._host = f"{NAME}.{kube.namespace}.svc"

    def token(self, account: str, *audience: str) -> str:
        return self._kube.run("create", "token", account, *(f"--audience={one}" for one in audience)).strip()

    def rest(self, *headers: dict[str, str]) -> list[int]:
        answers = self._client.ask_each(f"http://{self._host}/v2/models/{NAME}", headers)
        assert all("error" in answer.json for answer in answers if answer.status != 200)
        return [answer.status for answer in answers]

    def grpc(self, *headers: dict[str, str]) -> list[str]:
        words = ("python3", "-c", GRPC_CALL, f"{self._host}:80", json.dumps(headers))
        codes: list[str] = json.loads(self._client.kube.exec("client", *words))
        return codes

    def until(self, statuses: Sequence[int], *headers: dict[str, str]) -> float:
        """Seconds until these are the answers."""
        began, seen = time.monotonic(), [0]
        while (waited := time.monotonic() - began) < PATIENCE:
            if (seen := self.rest(*headers)) == list(statuses):
                return waited
        raise AssertionError(f"{seen} instead of {statuses}, for {PATIENCE:.0f} s")


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def pods(kube: Kube) -> set[str]:
    """Which pods run for the model, each by what never comes again."""
    return {pod["metadata"]["uid"] for pod in kube.select("pods", f"sluice.dev/deployment={NAME}")}


def test_who_may_ask_is_what_rbac_says(kube: Kube, store: Store, client: Client, cluster: Cluster) -> None:
    callers, sample = Callers(kube, client), {one["kind"]: one for one in samples.read(SAMPLE)}
    # Given a model that everybody may ask, and an account that may ask it when that matters, and one that may not
    serve(kube, store)
    until_promoted(kube, NAME)
    grant(kube, sample)
    tokens = [callers.token(CALLER, "sluice.dev"), callers.token(STRANGER, "sluice.dev"), callers.token(CALLER)]
    granted, stranger, elsewhere = (bearer(token) for token in tokens)
    assert callers.rest({}) == [200]
    before = pods(kube)
    # When its spec says who may ask
    serve(kube, store, access=sample["ModelDeployment"]["spec"]["access"])
    callers.until([401], {})
    # Then a token is needed, of an account with the right, made for this and not for the API server
    assert callers.rest(granted, stranger, elsewhere, {}) == [200, 403, 401, 401]
    assert callers.grpc(granted, stranger, elsewhere, {}) == [
        "OK",
        "PERMISSION_DENIED",
        "UNAUTHENTICATED",
        "UNAUTHENTICATED",
    ]
    kube.until(KIND, NAME, lambda found: is_true(found, "AccessReady"))
    # When the right is taken back, then it is gone before long, for both protocols
    kube.delete("rolebinding", sample["RoleBinding"]["metadata"]["name"])
    assert callers.until([403], granted) < REVOKED_SECONDS
    assert callers.grpc(granted) == ["PERMISSION_DENIED"]
    # And no pod was replaced for any of it, and nobody wrote a token down
    assert pods(kube) == before
    logs = kube.run("logs", f"--selector=sluice.dev/deployment={NAME}", "--all-containers", "--tail=-1")
    logs += cluster.system.run("logs", "--selector=app.kubernetes.io/instance=sluice", "--tail=-1")
    assert logs
    assert [token for token in tokens if token in logs] == []


def serve(kube: Kube, store: Store, **spec: Any) -> None:
    kube.apply(model_deployment(NAME, store.uri("v1.tar.gz"), runtime=RUNTIME, router=ROUTER, rollout=QUICK, **spec))


def grant(kube: Kube, sample: dict[str, Object]) -> None:
    """The sample's own Role, binding and account, and an account that nobody has heard of."""
    binding = sample["RoleBinding"]
    binding["subjects"][0]["namespace"] = kube.namespace
    stranger = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": STRANGER}}
    kube.apply(sample["Role"], binding, sample["ServiceAccount"], stranger)
