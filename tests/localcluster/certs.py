"""The cluster's certificate authority and every certificate signed by it, made with the openssl program.

The cluster must start before any Python package is installed, so no certificate library is used.
Elliptic-curve keys keep this below a second.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from localcluster import layout
from localcluster.shell import run

DAYS = "3650"


@dataclass(frozen=True)
class Certificate:
    """A certificate to sign: `group` becomes the Kubernetes group, `names` the addresses it is valid for."""

    file: str
    user: str
    group: str = ""
    names: tuple[str, ...] = ()
    authority: str = "ca"

    @property
    def subject(self) -> str:
        return (f"/O={self.group}" if self.group else "") + f"/CN={self.user}"

    @property
    def extensions(self) -> str:
        lines = ["basicConstraints=CA:FALSE", "keyUsage=digitalSignature"]
        lines.append(f"extendedKeyUsage={'serverAuth' if self.names else 'clientAuth'}")
        if self.names:
            lines.append("subjectAltName=" + ",".join(subject_name(name) for name in self.names))
        return "\n".join(lines) + "\n"


APISERVER_NAMES = (
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    f"kubernetes.default.svc.{layout.DOMAIN}",
    "localhost",
    "127.0.0.1",
    layout.GATEWAY,
    layout.SERVICE_IP,
)
METRICS_NAMES = ("metrics-server", "metrics-server.kube-system", "metrics-server.kube-system.svc")

CERTIFICATES = (
    Certificate("apiserver", "kube-apiserver", names=APISERVER_NAMES),
    Certificate("kubelet-server", layout.NODE, names=(layout.NODE, layout.GATEWAY, "127.0.0.1")),
    Certificate("metrics-server-tls", "metrics-server", names=METRICS_NAMES),
    Certificate("apiserver-kubelet-client", "kube-apiserver-kubelet-client", group="system:masters"),
    Certificate("front-proxy-client", "front-proxy-client", authority="front-proxy-ca"),
    Certificate("admin", "kubernetes-admin", group="system:masters"),
    Certificate("kube-controller-manager", "system:kube-controller-manager"),
    Certificate("kube-scheduler", "system:kube-scheduler"),
    Certificate("kubelet", f"system:node:{layout.NODE}", group="system:nodes"),
    Certificate("kube-proxy", "system:kube-proxy", group="system:node-proxier"),
    Certificate("coredns", "system:coredns"),
    Certificate("metrics-server", "system:metrics-server"),
)


def ensure() -> None:
    """Make all keys and certificates unless they are there; they appear together or not at all."""
    if layout.PKI.exists():
        return
    unfinished = layout.PKI.with_name("pki.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True, mode=0o700)
    for authority in ("ca", "front-proxy-ca"):
        self_sign(unfinished, authority)
    for certificate in CERTIFICATES:
        sign(unfinished, certificate)
    private, public = unfinished / "service-accounts.key", unfinished / "service-accounts.pub"
    new_key(private)
    run("openssl", "ec", "-in", private, "-pubout", "-out", public)
    unfinished.rename(layout.PKI)


def new_key(path: Path) -> None:
    run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", path)
    path.chmod(0o600)


def self_sign(folder: Path, name: str) -> None:
    key, target = folder / f"{name}.key", folder / f"{name}.crt"
    new_key(key)
    request = ("-subj", f"/CN=sluice-localcluster-{name}", "-days", DAYS)
    usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign,digitalSignature")
    run("openssl", "req", "-x509", "-new", "-key", key, *request, *usage, "-out", target)


def sign(folder: Path, certificate: Certificate) -> None:
    key, request = folder / f"{certificate.file}.key", folder / f"{certificate.file}.csr"
    extensions = folder / f"{certificate.file}.ext"
    issuer = folder / certificate.authority
    authority = ("-CA", f"{issuer}.crt", "-CAkey", f"{issuer}.key")
    new_key(key)
    run("openssl", "req", "-new", "-key", key, "-subj", certificate.subject, "-out", request)
    extensions.write_text(certificate.extensions)
    target = folder / f"{certificate.file}.crt"
    signing = ("-CAcreateserial", "-days", DAYS, "-extfile", extensions)
    run("openssl", "x509", "-req", "-in", request, *authority, *signing, "-out", target)
    request.unlink()
    extensions.unlink()


def subject_name(name: str) -> str:
    """An entry of subjectAltName: addresses and host names are written differently."""
    return f"IP:{name}" if name.replace(".", "").isdigit() else f"DNS:{name}"
