"""A web page asks a model that lets nobody in without a token: what browsers ask first is the gateway's to answer."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from e2e.specs import QUICK, ROUTER, RUNTIME
from integrations.gateway.envoy_gateway import GATEWAY, NAMESPACE, SERVICE
from support import samples
from support.client import run_client
from support.cluster import Cluster
from support.deployments import model_deployment, until_promoted
from support.kube import Kube, Object
from support.store import Store

SAMPLE = "gateway-api/front-end.yaml"
NAME = "store-revenue"
PROXY = f"http://{SERVICE}.{NAMESPACE}.svc.cluster.local"
ORIGIN = "https://shop.example.com"
KEYS = {"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "1", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}
ASK = """
import json, sys, urllib.error, urllib.request
method, url, headers = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
try:
    answer = urllib.request.urlopen(urllib.request.Request(url, method=method, headers=headers), timeout=30)
except urllib.error.HTTPError as refusal:
    answer = refusal
print(json.dumps([answer.status, {name.lower(): value for name, value in answer.headers.items()}]))
"""

PATIENCE = 60.0
Answer = tuple[int, dict[str, str]]
"""Status, and headers by their lower-case names."""

pytestmark = [pytest.mark.timeout(900), pytest.mark.usefixtures("gateway")]


def accepted(found: Object) -> bool:
    parents = (found.get("status") or {}).get("parents") or []
    return any(one["type"] == "Accepted" and one["status"] == "True" for each in parents for one in each["conditions"])


def until(ask: Callable[[], Answer], wanted: int) -> Answer:
    """The first answer with this status: a gateway's proxies follow a moment after its controller's word."""
    deadline = time.monotonic() + PATIENCE
    while (seen := ask())[0] != wanted and time.monotonic() < deadline:
        time.sleep(1)
    assert seen[0] == wanted, seen
    return seen


def test_a_page_is_told_that_it_may_ask_and_then_needs_a_token(kube: Kube, store: Store, cluster: Cluster) -> None:
    sample = {one["kind"]: one for one in samples.read(SAMPLE)}
    # Given the sample as it stands, which the API server takes
    path = str(samples.SAMPLES / SAMPLE)
    kube.run("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", path)
    # And its parts, at the gateway that is here, with keys that need no provider
    access = sample["ModelDeployment"]["spec"]["access"]
    del access["jwt"]["jwksUri"]
    access["jwt"]["jwks"] = json.dumps(KEYS)
    route = sample["HTTPRoute"]
    route["spec"]["parentRefs"] = [{"name": GATEWAY, "namespace": NAMESPACE}]
    spec: dict[str, Any] = {"runtime": RUNTIME, "router": ROUTER, "rollout": QUICK, "access": access}
    kube.apply(model_deployment(NAME, store.uri("v1.tar.gz"), **spec), route)
    client = run_client(kube, cluster.images["runtime"])
    until_promoted(kube, NAME)
    kube.until("httproute", route["metadata"]["name"], accepted)

    def ask(method: str, origin: str, **headers: str) -> Answer:
        sent = {"Host": route["spec"]["hostnames"][0], "Origin": origin, **headers}
        url = f"{PROXY}/v2/models/{NAME}"
        status, told = json.loads(client.kube.exec("client", "python3", "-c", ASK, method, url, json.dumps(sent)))
        return int(status), told

    wanted = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    # When a browser asks beforehand, for a page that may and for one that may not
    status, told = until(lambda: ask("OPTIONS", ORIGIN, **wanted), 200)
    # Then it needs no token, and only the first is told so
    assert told["access-control-allow-origin"] == ORIGIN
    assert "authorization" in told["access-control-allow-headers"].lower()
    assert "access-control-allow-origin" not in ask("OPTIONS", "https://elsewhere.example", **wanted)[1]
    # And the page itself does, and may read why it was refused
    status, told = ask("GET", ORIGIN)
    assert status == 401
    assert told["access-control-allow-origin"] == ORIGIN
