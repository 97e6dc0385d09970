"""What goes on around a model that serves: a certificate is renewed, a node is drained, the leader is killed."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from e2e.specs import QUICK, ROUTER, RUNTIME
from support import operators, tls
from support.cluster import Cluster
from support.deployments import KIND, model_deployment, until_promoted
from support.kube import Kube, KubectlError, is_true
from support.pods import python_pod, with_files
from support.store import Store

NAME = "m"
SECRET = "m-tls"
TAKEOVER_SECONDS = 15.0
HEARD = 10.0
"""What a busy machine may add until the test sees it."""
ENDPOINT = {"tls": {"secretRef": {"name": SECRET}}, "http": "Disabled"}
SCRIPT = Path(tls.__file__).with_name("tls_client.py")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, bytes]]:
    """Two, one after the other."""
    return [tls.certificate(tmp_path_factory.mktemp("tls"), "m.life.svc") for _ in range(2)]


@pytest.fixture(scope="module")
def served(cluster: Cluster, module_kube: Kube, store: Store, certificates: Any) -> Kube:
    """A model with two pods behind TLS alone, and a pod that can ask."""
    pod = python_pod("asker", cluster.images["runtime"], ["-c", "import signal; signal.pause()"])
    module_kube.apply(*with_files(pod, {"tls_client.py": SCRIPT.read_text()}))
    apply(module_kube, store, "v1")
    # Without its Secret it serves nobody, and says so.
    module_kube.until(KIND, NAME, lambda found: any(c["reason"] == "CertificateMissing" for c in conditions(found)))
    module_kube.apply(tls.secret(SECRET, certificates[0]))
    hint(module_kube, "first")
    until_promoted(module_kube, NAME)
    module_kube.until(KIND, NAME, lambda found: is_true(found, "TLSReady"))
    module_kube.wait("pod/asker", "condition=Ready")
    return module_kube


def apply(kube: Kube, store: Store, version: str) -> None:
    spec: dict[str, Any] = {"runtime": RUNTIME, "router": ROUTER, "rollout": QUICK, "endpoint": ENDPOINT}
    kube.apply(model_deployment(NAME, store.uri(f"{version}.tar.gz"), **spec, scaling={"replicas": 2}))


def conditions(found: Any) -> list[Any]:
    return list(found.get("status", {}).get("conditions", []))


def hint(kube: Kube, word: str) -> None:
    """Makes the kubelet bring a changed Secret at once, which it otherwise does within a minute or so."""
    selector = "--selector=app.kubernetes.io/component=router"
    kube.run("annotate", "pod", selector, f"sluice.dev/test={word}", "--overwrite")


def test_a_certificate_is_renewed_without_a_failed_request(served: Kube, certificates: Any) -> None:
    host, path = f"{NAME}.{served.namespace}.svc", f"/v2/models/{NAME}"
    words = ("exec", "asker", "--", "python3", "/files/tls_client.py", host, path, str(len(certificates)))
    with served.streaming(*words) as asking:
        assert asking.stdout
        assert asking.stdout.readline() == "asked\n"
        served.apply(tls.secret(SECRET, certificates[1]))
        hint(served, "second")
        seen = json.loads(asking.stdout.readline())
    assert seen["failures"] == []
    assert seen["certificates"] == [tls.fingerprint(files) for files in certificates]


def test_a_drain_takes_one_pod_at_a_time(served: Kube) -> None:
    pods = served.select("pod", "app.kubernetes.io/component=model")
    first, second = (pod["metadata"]["name"] for pod in pods)
    evict(served, first)
    with pytest.raises(KubectlError, match="disruption budget"):
        evict(served, second)
    served.until(KIND, NAME, lambda found: found["status"].get("readyReplicas") == 2)


def evict(kube: Kube, pod: str) -> None:
    metadata = {"name": pod, "namespace": kube.namespace}
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
    path = f"/api/v1/namespaces/{kube.namespace}/pods/{pod}/eviction"
    kube.run("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))


def test_another_operator_acts_soon_after_the_leader_was_killed(served: Kube, cluster: Cluster, store: Store) -> None:
    killed = operators.leader(cluster.system)
    began = time.monotonic()
    cluster.system.run("delete", "pod", killed, "--grace-period=0", "--force", "--wait=false")
    apply(served, store, "v2")
    lease = cluster.system.until("lease", operators.LEASE, lambda found: operators.holder(found) not in ("", killed))
    assert time.monotonic() - began < TAKEOVER_SECONDS + HEARD, operators.holder(lease)
    until_promoted(served, NAME)
