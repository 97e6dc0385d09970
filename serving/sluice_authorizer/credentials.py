"""How this process proves itself to the API server: the pod's service account, or a kubeconfig."""

from __future__ import annotations

import base64
import os
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class NoCredentials(Exception):  # noqa: N818 - a state, as `main` sees it
    """There are none; the message says where they were looked for, and nothing that was found there."""


@dataclass
class Credentials:
    """Where the API server is, whom to trust, and the token to show, read again when its file changes."""

    server: str
    context: ssl.SSLContext
    authorities: Path | None = None
    token_file: Path | None = None
    token: str = field(default="", repr=False)
    _token_changed: float = 0.0
    _authorities_changed: float = 0.0

    def headers(self) -> dict[str, str]:
        """What each request carries.

        Raises:
            OSError: the token cannot be read.
        """
        if self.token_file is not None:
            changed = self.token_file.stat().st_mtime
            if changed != self._token_changed:
                self.token, self._token_changed = self.token_file.read_text().strip(), changed
        return {"authorization": f"Bearer {self.token}"} if self.token else {}

    def trusts(self) -> ssl.SSLContext:
        """Whom to trust; another object when that has changed.

        Raises:
            OSError: the authorities cannot be read.
        """
        if self.authorities is not None:
            changed = self.authorities.stat().st_mtime
            if self._authorities_changed not in (0.0, changed):
                self.context = ssl.create_default_context(cafile=self.authorities)
            self._authorities_changed = changed
        return self.context


def of_service_account(folder: Path = ACCOUNT, environment: Mapping[str, str] = os.environ) -> Credentials:
    """Those that the kubelet puts into a pod.

    Raises:
        NoCredentials: this is no pod with a service account.
    """
    authorities = folder / "ca.crt"
    try:
        host, port = environment["KUBERNETES_SERVICE_HOST"], environment["KUBERNETES_SERVICE_PORT"]
        context = ssl.create_default_context(cafile=authorities)
    except (KeyError, OSError) as error:
        raise NoCredentials(
            f"this is no pod with a service account, and no --kubeconfig was given: {error!r}"
        ) from error
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    return Credentials(server, context, authorities, token_file=folder / "token")


def of_kubeconfig(path: Path) -> Credentials:
    """Those of a kubeconfig's current context, as far as it names tokens, certificates and their files.

    Raises:
        NoCredentials: the file is not there, or is no such kubeconfig.
    """
    try:
        return _current(path)
    except (OSError, LookupError, TypeError, ValueError, StopIteration, yaml.YAMLError) as error:
        # What the error says may be what is in the file.
        raise NoCredentials(f"{path} cannot be used as a kubeconfig ({type(error).__name__})") from error


def _current(path: Path) -> Credentials:
    config = yaml.safe_load(path.read_text())
    context = _named(config["contexts"], config["current-context"])["context"]
    cluster = _named(config["clusters"], context["cluster"])["cluster"]
    user = _named(config.get("users", []), context["user"])["user"]
    trust = _context_of(cluster, path.parent)
    if "client-certificate" in user or "client-certificate-data" in user:
        _prove(trust, user, path.parent)
    file = Path(path.parent, user["tokenFile"]) if "tokenFile" in user else None
    return Credentials(cluster["server"].rstrip("/"), trust, token_file=file, token=user.get("token", ""))


def _named(items: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(item for item in items if item["name"] == name)


def _context_of(cluster: Mapping[str, Any], folder: Path) -> ssl.SSLContext:
    authority = _content(cluster, "certificate-authority", folder)
    context = ssl.create_default_context(cadata=None if authority is None else authority.decode())
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _prove(context: ssl.SSLContext, user: Mapping[str, Any], folder: Path) -> None:
    certificate, key = (_content(user, name, folder) or b"" for name in ("client-certificate", "client-key"))
    # The library takes them from files alone.
    with tempfile.NamedTemporaryFile() as file:
        file.write(certificate + b"\n" + key)
        file.flush()
        context.load_cert_chain(file.name)


def _content(fields: Mapping[str, Any], name: str, folder: Path) -> bytes | None:
    if f"{name}-data" in fields:
        return base64.b64decode(fields[f"{name}-data"])
    return Path(folder, fields[name]).read_bytes() if name in fields else None
