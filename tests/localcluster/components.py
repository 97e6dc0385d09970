"""The table of the cluster's components: how each is started and how it says that it is well."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from localcluster import build, layout
from localcluster.shell import succeeds

LOCAL = "127.0.0.1"


@dataclass(frozen=True)
class Component:
    """`argv` is made when needed, as it may build a program first; `well` answers within a few seconds."""

    name: str
    argv: Callable[[], list[str]]
    well: Callable[[], bool]
    env: dict[str, str] = field(default_factory=dict)
    patience: float = 60.0
    grace: float = 10.0

    @property
    def log(self) -> Path:
        return layout.LOGS / f"{self.name}.log"


def answers(url: str) -> bool:
    """Whether a health address answers 200; servers are asked with the administrator's certificate."""
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), *handlers(url))
        with opener.open(url, timeout=3) as reply:
            return bool(reply.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def handlers(url: str) -> list[urllib.request.BaseHandler]:
    if not url.startswith("https"):
        return []
    # Only health is asked here, and only of this machine: the components' self-made certificates will do.
    context = ssl._create_unverified_context()
    context.load_cert_chain(layout.PKI / "admin.crt", layout.PKI / "admin.key")
    return [urllib.request.HTTPSHandler(context=context)]


def pki(name: str) -> str:
    return str(layout.PKI / name)


def config(name: str) -> str:
    return str(layout.CONFIG / name)


def flags(**values: str | Path | int) -> list[str]:
    return [f"--{name.replace('_', '-')}={value}" for name, value in values.items()]


def etcd() -> list[str]:
    peer = f"http://{LOCAL}:{layout.ETCD_PEER_PORT}"
    return [
        "etcd",
        *flags(
            data_dir=layout.DATA / "etcd",
            quota_backend_bytes=2 * 1024**3,
            listen_client_urls=layout.ETCD_URL,
            advertise_client_urls=layout.ETCD_URL,
            listen_peer_urls=peer,
            initial_advertise_peer_urls=peer,
            initial_cluster=f"default={peer}",
        ),
    ]


def containerd() -> list[str]:
    return ["containerd", "--config", config("containerd.toml")]


def apiserver() -> list[str]:
    return [
        str(build.binary("kube-apiserver")),
        *flags(
            etcd_servers=layout.ETCD_URL,
            bind_address=layout.GATEWAY,
            advertise_address=layout.GATEWAY,
            secure_port=layout.APISERVER_PORT,
            service_cluster_ip_range=layout.SERVICE_CIDR,
            authorization_mode="Node,RBAC",
            enable_admission_plugins="NodeRestriction",
            allow_privileged="true",
            tls_cert_file=pki("apiserver.crt"),
            tls_private_key_file=pki("apiserver.key"),
            client_ca_file=pki("ca.crt"),
            kubelet_client_certificate=pki("apiserver-kubelet-client.crt"),
            kubelet_client_key=pki("apiserver-kubelet-client.key"),
            kubelet_certificate_authority=pki("ca.crt"),
            kubelet_preferred_address_types="InternalIP",
            service_account_issuer=f"https://kubernetes.default.svc.{layout.DOMAIN}",
            service_account_key_file=pki("service-accounts.pub"),
            service_account_signing_key_file=pki("service-accounts.key"),
            requestheader_client_ca_file=pki("front-proxy-ca.crt"),
            requestheader_allowed_names="front-proxy-client",
            requestheader_extra_headers_prefix="X-Remote-Extra-",
            requestheader_group_headers="X-Remote-Group",
            requestheader_username_headers="X-Remote-User",
            proxy_client_cert_file=pki("front-proxy-client.crt"),
            proxy_client_key_file=pki("front-proxy-client.key"),
            enable_aggregator_routing="true",
            # A restart in a test must not wait out long watches.
            shutdown_delay_duration="0s",
        ),
    ]


def controller_manager() -> list[str]:
    kubeconfig = config("kube-controller-manager.kubeconfig")
    return [
        str(build.binary("kube-controller-manager")),
        *flags(
            kubeconfig=kubeconfig,
            authentication_kubeconfig=kubeconfig,
            authorization_kubeconfig=kubeconfig,
            bind_address=LOCAL,
            secure_port=layout.CONTROLLER_MANAGER_PORT,
            use_service_account_credentials="true",
            service_account_private_key_file=pki("service-accounts.key"),
            root_ca_file=pki("ca.crt"),
            cluster_signing_cert_file=pki("ca.crt"),
            cluster_signing_key_file=pki("ca.key"),
            leader_elect="false",
        ),
    ]


def scheduler() -> list[str]:
    kubeconfig = config("kube-scheduler.kubeconfig")
    return [
        str(build.binary("kube-scheduler")),
        *flags(
            kubeconfig=kubeconfig,
            authentication_kubeconfig=kubeconfig,
            authorization_kubeconfig=kubeconfig,
            bind_address=LOCAL,
            secure_port=layout.SCHEDULER_PORT,
            leader_elect="false",
        ),
    ]


def kubelet() -> list[str]:
    return [
        str(build.binary("kubelet")),
        *flags(
            config=config("kubelet.yaml"),
            kubeconfig=config("kubelet.kubeconfig"),
            root_dir=layout.KUBELET_ROOT,
            cert_dir=layout.KUBELET_ROOT / "pki",
            hostname_override=layout.NODE,
            node_ip=layout.GATEWAY,
        ),
    ]


def kube_proxy() -> list[str]:
    return [str(build.binary("kube-proxy")), *flags(config=config("kube-proxy.yaml"))]


def coredns() -> list[str]:
    return [str(build.binary("coredns")), "-conf", config("Corefile")]


def metrics_server() -> list[str]:
    kubeconfig = config("metrics-server.kubeconfig")
    return [
        str(build.binary("metrics-server")),
        *flags(
            kubeconfig=kubeconfig,
            authentication_kubeconfig=kubeconfig,
            authorization_kubeconfig=kubeconfig,
            bind_address=layout.GATEWAY,
            secure_port=layout.METRICS_SERVER_PORT,
            tls_cert_file=pki("metrics-server-tls.crt"),
            tls_private_key_file=pki("metrics-server-tls.key"),
            kubelet_insecure_tls="true",
            kubelet_preferred_address_types="InternalIP",
            # The first must be the larger of the two.
            metric_resolution="10s",
            kubelet_request_timeout="5s",
        ),
    ]


def healthy(url: str) -> Callable[[], bool]:
    return lambda: answers(url)


def ctr(*words: str) -> list[str]:
    """A command line of containerd's own client, in the namespace of Kubernetes."""
    return ["ctr", "--address", str(layout.CONTAINERD_SOCKET), "--namespace", "k8s.io", *words]


# In the order of start; `down` goes the other way.
COMPONENTS = {
    component.name: component
    for component in (
        Component("etcd", etcd, healthy(f"{layout.ETCD_URL}/health")),
        Component("containerd", containerd, lambda: succeeds(*ctr("version"), timeout=5.0)),
        # Ending gracefully it would wait for its watches, which never end.
        Component("kube-apiserver", apiserver, healthy(f"{layout.APISERVER_URL}/readyz"), grace=2.0),
        Component(
            "kube-controller-manager",
            controller_manager,
            healthy(f"https://{LOCAL}:{layout.CONTROLLER_MANAGER_PORT}/healthz"),
        ),
        Component("kube-scheduler", scheduler, healthy(f"https://{LOCAL}:{layout.SCHEDULER_PORT}/healthz")),
        Component("kubelet", kubelet, healthy(f"http://{LOCAL}:{layout.KUBELET_HEALTH_PORT}/healthz")),
        Component("kube-proxy", kube_proxy, healthy(f"http://{LOCAL}:{layout.PROXY_HEALTH_PORT}/healthz")),
        Component("coredns", coredns, healthy(f"http://{LOCAL}:{layout.DNS_READY_PORT}/ready")),
        Component(
            "metrics-server",
            metrics_server,
            healthy(f"https://{layout.GATEWAY}:{layout.METRICS_SERVER_PORT}/livez"),
        ),
    )
}
