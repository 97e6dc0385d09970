"""Certificates as somebody else (cert-manager) would put them into a Secret."""

from __future__ import annotations

import hashlib
import ssl
import subprocess
from base64 import b64encode
from pathlib import Path
from typing import Any

FILES = ("tls.crt", "tls.key")


def certificate(folder: Path, name: str, days: int = 30) -> dict[str, bytes]:
    """A self-signed certificate for a host's name, and its key, by file name."""
    key, crt = folder / f"{name}.key", folder / f"{name}.crt"
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    named = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-days", str(days)]
    command = ["openssl", "req", "-x509", *curve, *named, "-keyout", str(key), "-out", str(crt)]
    subprocess.run(command, check=True, capture_output=True)
    return {"tls.crt": crt.read_bytes(), "tls.key": key.read_bytes()}


def secret(name: str, files: dict[str, bytes]) -> dict[str, Any]:
    """The Secret that holds them."""
    data = {key: b64encode(value).decode() for key, value in files.items()}
    return {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": {"name": name}, "data": data}


def fingerprint(files: dict[str, bytes]) -> str:
    """SHA-256 of the certificate."""
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(files["tls.crt"].decode())).hexdigest()


def trusting(files: dict[str, bytes]) -> ssl.SSLContext:
    """A caller that trusts this certificate alone, for the name it bears."""
    return ssl.create_default_context(cadata=files["tls.crt"].decode())
