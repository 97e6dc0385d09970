"""A Kubernetes API server with nothing behind it: no controllers, no nodes, and no operator that interferes.

What is refused, defaulted, admitted or kept is the API server's own doing. Asked of one that belongs to the tests
alone, the answers do not depend on what else runs on a cluster, and it is there after a few seconds.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any
from uuid import uuid4

from localcluster import build, certs, packages, processes
from localcluster.errors import ClusterError
from localcluster.shell import tail
from support.kube import Kube, KubectlError
from support.ports import free_port

HOST = "127.0.0.1"
START_SECONDS = 60.0
END_SECONDS = 20.0


@dataclass(frozen=True)
class ApiServer:
    """A server that answers, and a kubeconfig of its administrator."""

    kubeconfig: Path

    def credentials(self, folder: Path, token: str) -> Path:
        """A kubeconfig of somebody else, written into `folder`."""
        config = json.loads(self.kubeconfig.read_text())
        config["users"][0]["user"] = {"token": token}
        return keep(folder / "kubeconfig", config)

    def kube(self, namespace: str) -> Kube:
        """kubectl in a namespace, which need not exist yet."""
        return Kube(str(self.kubeconfig), namespace, str(build.binary("kubectl")))

    @contextmanager
    def namespace(self, purpose: str, labels: dict[str, str] | None = None) -> Iterator[Kube]:
        """kubectl in a new namespace; without controllers it stays until the server goes."""
        kube = self.kube(f"sluice-{purpose}-{uuid4().hex[:6]}")
        kube.create_namespace(labels)
        yield kube


@contextmanager
def running(folder: Path) -> Iterator[ApiServer]:
    """Start etcd and the API server with all their files in `folder`; both are ended on leaving."""
    packages.ensure()
    store, peer, port = (free_port() for _ in range(3))
    token = token_hex(16)
    (folder / "tokens.csv").write_text(f'{token},administrator,1,"system:masters"\n')
    certs.new_key(folder / "service-accounts.key")
    server = ApiServer(write_kubeconfig(folder, port, token))
    with ExitStack() as stack:
        logs = [folder / "etcd.log", folder / "apiserver.log"]
        etcd = stack.enter_context(process(etcd_command(folder, store, peer), logs[0]))
        api = stack.enter_context(process(apiserver_command(folder, store, port), logs[1]))
        ready = processes.wait(lambda: dead(etcd, api) or answers(server), START_SECONDS, pause=0.2)
        if not ready or dead(etcd, api):
            raise ClusterError("\n".join(f"{log.name}:\n{tail(log.read_text(errors='replace'))}" for log in logs))
        yield server


def etcd_command(folder: Path, client: int, peer: int) -> list[str]:
    client_url, peer_url = f"http://{HOST}:{client}", f"http://{HOST}:{peer}"
    return [
        "etcd",
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={client_url}",
        f"--advertise-client-urls={client_url}",
        f"--listen-peer-urls={peer_url}",
        f"--initial-advertise-peer-urls={peer_url}",
        f"--initial-cluster=default={peer_url}",
    ]


def apiserver_command(folder: Path, store: int, port: int) -> list[str]:
    key = folder / "service-accounts.key"
    return [
        str(build.binary("kube-apiserver")),
        f"--etcd-servers=http://{HOST}:{store}",
        f"--bind-address={HOST}",
        f"--advertise-address={HOST}",
        f"--secure-port={port}",
        # A certificate of its own making; nobody else knows the port or the token.
        f"--cert-dir={folder / 'certs'}",
        f"--token-auth-file={folder / 'tokens.csv'}",
        "--authorization-mode=RBAC",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}",
        "--service-cluster-ip-range=10.189.0.0/24",
        # Its controller would have to make an account in each namespace before a pod is admitted.
        "--disable-admission-plugins=ServiceAccount",
        "--endpoint-reconciler-type=none",
    ]


def write_kubeconfig(folder: Path, port: int, token: str) -> Path:
    cluster = {"server": f"https://{HOST}:{port}", "insecure-skip-tls-verify": True}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "administrator", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "administrator"}}],
        "current-context": "test",
    }
    return keep(folder / "kubeconfig", config)


def keep(path: Path, config: Mapping[str, Any]) -> Path:
    path.write_text(json.dumps(config))
    path.chmod(0o600)
    return path


@contextmanager
def process(command: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program that runs until it is told to end, and is killed where it does not."""
    # Even where the tests are killed, nothing of them is left running.
    bound = ["setpriv", "--pdeathsig", "KILL", *command]
    with log.open("wb") as output, subprocess.Popen(bound, stdout=output, stderr=subprocess.STDOUT) as running:
        try:
            yield running
        finally:
            running.terminate()
            try:
                running.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                running.kill()


def dead(*started: subprocess.Popen[bytes]) -> bool:
    return any(one.poll() is not None for one in started)


def answers(server: ApiServer) -> bool:
    try:
        return server.kube("default").raw("/readyz") == "ok"
    except KubectlError:
        return False
