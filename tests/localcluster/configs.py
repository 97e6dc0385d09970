"""Writes the configuration files of every component, from `layout` alone."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import yaml

from localcluster import layout
from localcluster.cachedir import write_atomically

USERS = ("kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "coredns", "metrics-server")
CNI_BIN = "/usr/lib/cni"


def write(sandbox_image: str) -> None:
    """Write all files; `sandbox_image` is the name of the pause image containerd is to use."""
    for user in USERS:
        save(f"{user}.kubeconfig", yaml.safe_dump(kubeconfig(user)), 0o600)
    save("containerd.toml", containerd(sandbox_image, snapshotter()))
    save("cni/10-sluice.conflist", json.dumps(cni(), indent=2))
    save("kubelet.yaml", yaml.safe_dump(kubelet()))
    save("kube-proxy.yaml", yaml.safe_dump(kube_proxy()))
    save("Corefile", corefile())
    # Pods reach no name server outside, so the host's own search domains must not reach them either.
    save("resolv.conf", f"nameserver {layout.GATEWAY}\n")


def publish_kubeconfig() -> None:
    """Write the administrator's kubeconfig for people and tests, self-contained."""
    write_atomically(layout.KUBECONFIG, yaml.safe_dump(kubeconfig("admin")), 0o600)


def save(name: str, text: str, mode: int = 0o644) -> None:
    write_atomically(layout.CONFIG / name, text, mode)


def kubeconfig(user: str) -> dict[str, Any]:
    """A kubeconfig that holds its certificates, so that it can be copied anywhere."""
    cluster = {"server": layout.APISERVER_URL, "certificate-authority-data": encoded("ca.crt")}
    login = {"client-certificate-data": encoded(f"{user}.crt"), "client-key-data": encoded(f"{user}.key")}
    context = {"cluster": "sluice", "user": user, "namespace": "default"}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "sluice", "cluster": cluster}],
        "users": [{"name": user, "user": login}],
        "contexts": [{"name": "sluice", "context": context}],
        "current-context": "sluice",
    }


def encoded(name: str) -> str:
    return base64.b64encode((layout.PKI / name).read_bytes()).decode()


def snapshotter() -> str:
    """overlayfs where the kernel has it; otherwise whole copies, which are slow but work everywhere."""
    return "overlayfs" if "\toverlay\n" in Path("/proc/filesystems").read_text() else "native"


def containerd(sandbox_image: str, snapshots: str) -> str:
    """containerd's configuration; every path it would otherwise choose by itself is turned to ours."""
    return f"""version = 2
root = "{layout.containerd_root()}"
state = "{layout.CONTAINERD_STATE}"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
]

[grpc]
  address = "{layout.CONTAINERD_SOCKET}"

[plugins."io.containerd.internal.v1.opt"]
  path = "{layout.RUN}/opt"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{sandbox_image}"
  # Lowering the score needs CAP_SYS_RESOURCE, which root in a container or a small VM may lack.
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  # Nothing on the way to a pod may depend on the host's policies.
  disable_apparmor = true

  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{snapshots}"
    default_runtime_name = "runc"

    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"

      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
        Root = "{layout.RUN}/runc"

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{CNI_BIN}"
    conf_dir = "{layout.CONFIG}/cni"
"""


def cni() -> dict[str, Any]:
    """Pods on one bridge; not masqueraded, so that they reach the host and each other and nothing outside."""
    ipam = {
        "type": "host-local",
        "dataDir": str(layout.RUN / "cni"),
        "ranges": [[{"subnet": layout.POD_CIDR, "gateway": layout.GATEWAY}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {"type": "bridge", "bridge": layout.BRIDGE, "isGateway": True, "ipMasq": False}
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True}
    return {
        "cniVersion": "1.0.0",
        "name": "sluice",
        "plugins": [{**bridge, "hairpinMode": True, "ipam": ipam}, portmap],
    }


def kubelet() -> dict[str, Any]:
    """The kubelet on a machine that is not the kubelet's own: it evicts, collects and reserves nothing."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": layout.GATEWAY,
        "port": layout.KUBELET_PORT,
        "healthzPort": layout.KUBELET_HEALTH_PORT,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(layout.PKI / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(layout.PKI / "kubelet-server.crt"),
        "tlsPrivateKeyFile": str(layout.PKI / "kubelet-server.key"),
        "clusterDomain": layout.DOMAIN,
        "clusterDNS": [layout.GATEWAY],
        "resolvConf": str(layout.CONFIG / "resolv.conf"),
        "containerRuntimeEndpoint": f"unix://{layout.CONTAINERD_SOCKET}",
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,
        "failSwapOn": False,
        "localStorageCapacityIsolation": False,
        "evictionHard": {"memory.available": "100Mi"},
        "imageGCHighThresholdPercent": 100,
        "podLogsDir": str(layout.POD_LOGS),
        "volumePluginDir": str(layout.DATA / "volume-plugins"),
        "maxPods": 250,
        # Quick deletions and rollouts matter more here than a calm API server.
        "syncFrequency": "30s",
        "nodeStatusUpdateFrequency": "5s",
        "serializeImagePulls": False,
        "registryPullQPS": 0,
        "eventRecordQPS": 0,
    }


def kube_proxy() -> dict[str, Any]:
    """kube-proxy; NodePorts answer on loopback and on the gateway, never to the outside."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "hostnameOverride": layout.NODE,
        "clientConnection": {"kubeconfig": str(layout.CONFIG / "kube-proxy.kubeconfig")},
        "clusterCIDR": layout.POD_CIDR,
        "healthzBindAddress": f"127.0.0.1:{layout.PROXY_HEALTH_PORT}",
        "metricsBindAddress": f"127.0.0.1:{layout.PROXY_METRICS_PORT}",
        "nodePortAddresses": ["127.0.0.0/8", f"{layout.GATEWAY}/32"],
        "iptables": {"localhostNodePorts": True},
        # The machine's connection tracking limits are not ours to change.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }


def corefile() -> str:
    """CoreDNS answers for the cluster; any other name does not exist, at once, as pods reach nothing outside.

    The time to live is kubeadm's: software that trusts it must fail here as it would in other clusters.
    """
    return f""".:53 {{
    bind {layout.GATEWAY}
    errors
    health 127.0.0.1:{layout.DNS_HEALTH_PORT} {{
        lameduck 0s
    }}
    ready 127.0.0.1:{layout.DNS_READY_PORT}
    kubernetes {layout.DOMAIN} in-addr.arpa {{
        kubeconfig {layout.CONFIG}/coredns.kubeconfig
        pods insecure
        ttl 30
    }}
    template ANY ANY . {{
        rcode NXDOMAIN
    }}
}}
"""
