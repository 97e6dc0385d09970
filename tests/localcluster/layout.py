"""Where everything lives and which names, addresses and ports are ours.

Cleaning up safely needs one answer to "is this ours?". Every path, port and address range of the local
cluster is named here and nowhere else, so that the answer is a comparison with a constant.
"""

from __future__ import annotations

import os
from pathlib import Path

KUBERNETES_VERSION = "v1.35.4"

# In the repository (git-ignored): what people look at.
REPO = Path(__file__).resolve().parents[2]
VISIBLE = REPO / ".cluster"
KUBECONFIG = VISIBLE / "kubeconfig"
LOGS = VISIBLE / "logs"
BIN_LINKS = VISIBLE / "bin"
IMAGES_JSON = VISIBLE / "images.json"

# Outside the repository: a machine has one cluster at a time, whichever clone started it.
RUN = Path("/run/sluice-localcluster")
DATA = Path("/var/lib/sluice-localcluster")
LOCK = Path("/run/sluice-localcluster.lock")
RECORDS = RUN / "processes"
OWNER = DATA / "owner.json"
SNAPSHOT = DATA / "before-up.json"
PKI = DATA / "pki"
CONFIG = DATA / "config"
KUBELET_ROOT = DATA / "kubelet"
POD_LOGS = DATA / "pod-logs"
CONTAINERD_STATE = RUN / "containerd"
CONTAINERD_SOCKET = RUN / "containerd.sock"
BUILDAH_RUN = Path("/run/sluice-localcluster-buildah")

# Paths that Kubernetes or containerd create by fixed name; `down` removes those that `up` did not find.
FIXED_PATHS = (
    Path("/run/containerd"),
    Path("/var/lib/kubelet"),
    Path("/var/log/containers"),
    Path("/usr/libexec/kubernetes"),
    Path("/var/lib/cni"),
    Path("/etc/cni"),
)
# The CNI library keeps a copy of every pod's network result here, under the network's name.
CNI_RESULTS = Path("/var/lib/cni/results")
FIXED_POD_LOGS = Path("/var/log/containers")

# The network: addresses of the private ranges that neither Docker nor the usual clusters take.
BRIDGE = "sluice0"
POD_CIDR = "10.187.0.0/22"
GATEWAY = "10.187.0.1"
GATEWAY_PREFIX = 22
SERVICE_CIDR = "10.188.0.0/20"
SERVICE_IP = "10.188.0.1"
DOMAIN = "cluster.local"
NODE = "sluice"
CHAIN_PREFIXES = ("KUBE-", "CNI-")

# Ports on 127.0.0.1, except where the comment says otherwise.
ETCD_PORT = 12379
ETCD_PEER_PORT = 12380
APISERVER_PORT = 6443  # on the gateway address: pods and the host use the same one
CONTROLLER_MANAGER_PORT = 10257
SCHEDULER_PORT = 10259
KUBELET_PORT = 10250  # on the gateway address
KUBELET_HEALTH_PORT = 10248
PROXY_HEALTH_PORT = 10256
PROXY_METRICS_PORT = 10249
DNS_HEALTH_PORT = 18080
DNS_READY_PORT = 18181
METRICS_SERVER_PORT = 14443  # on the gateway address

APISERVER_URL = f"https://{GATEWAY}:{APISERVER_PORT}"
ETCD_URL = f"http://127.0.0.1:{ETCD_PORT}"


def cache() -> Path:
    """The folder for everything that is built once and survives `down` and fresh clones."""
    chosen = os.environ.get("SLUICE_CACHE")
    if chosen:
        return Path(chosen).resolve()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).resolve() / "sluice"


def containerd_root() -> Path:
    """containerd's images and snapshots: in the cache, so that a warm `up` imports nothing."""
    return cache() / "containerd"


def buildah_root() -> Path:
    """buildah's image layers: in the cache, so that a source change rebuilds one layer."""
    return cache() / "buildah"
