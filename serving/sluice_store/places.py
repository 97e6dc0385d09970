"""A store as `sluice push` and `sluice list` name it: s3://models, file:///srv/models, oci://registry/team."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from obstore.store import LocalStore, ObjectStore

from sluice.config import Fetching
from sluice.uri import OBJECT_SCHEMES, parse_uri
from sluice_store.object_clients import object_client
from sluice_store.secret import Secret

WRITABLE = (*OBJECT_SCHEMES, "file", "oci")

_READ_ONLY = {
    "http": "a web server takes no packages; push where it serves from",
    "https": "a web server takes no packages; push where it serves from",
    "pvc": "a claim is reached in its cluster alone; mount the volume, and push to file:///PATH",
    "hf": "push with: huggingface-cli upload ORGANIZATION/NAME PACKAGE-FOLDER",
    "models": 'register with MLflow: mlflow.log_artifacts(PACKAGE_FOLDER, "package"), then mlflow.register_model',
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where packages lie: `store` holds them below `prefix` (without slashes around it); `text` is its URI."""

    text: str
    scheme: str
    store: ObjectStore
    prefix: str

    def key(self, *parts: str) -> str:
        """The key of something below the prefix."""
        return "/".join([*([self.prefix] if self.prefix else []), *parts])

    def uri(self, key: str) -> str:
        """The URI of a key, as spec.model.uri takes it."""
        return f"{self.text}/{key.removeprefix(self.prefix).lstrip('/')}"


def open_place(text: str, endpoint: str | None, *, new: bool = False) -> Place:
    """Open an object store or a folder; `new`: a folder may have to be made. Credentials are the environment's.

    Raises:
        ValueError: `text` names no such store; the message says what to write.
        PackageError: the endpoint is none.
    """
    text = text.rstrip("/")
    if text.endswith(":"):
        raise ValueError(f"{text}// names no bucket or folder; write s3://BUCKET, gs://, az:// or file:///FOLDER")
    uri = parse_uri(f"{text}/x")
    if uri.scheme == "file":
        return Place(text, "file", LocalStore(uri.path.removesuffix("/x"), mkdir=new), "")
    client = object_client(
        uri, endpoint or os.environ.get(_ENDPOINTS[uri.scheme]), _ENVIRONMENT, Fetching(), retries=_RETRIES
    )
    return Place(text, uri.scheme, client, uri.path.removesuffix("x").rstrip("/"))


def check_writable(text: str) -> str:
    """The scheme of a store that packages can be pushed to.

    Raises:
        ValueError: it cannot be pushed to; the message says what to do instead.
    """
    scheme = text.partition(":")[0]
    if scheme not in WRITABLE:
        known = ", ".join(f"{name}://" for name in WRITABLE)
        raise ValueError(f"{text}: {_READ_ONLY.get(scheme, f'no known store; use one of {known}')}")
    return scheme


_ENDPOINTS = {"s3": "AWS_ENDPOINT_URL", "gs": "GOOGLE_BASE_URL", "az": "AZURE_STORAGE_ENDPOINT"}
"""Variables that name another server than the provider's, where --endpoint does not."""

_RETRIES = 4

_ENVIRONMENT = Secret(Path("/nonexistent"))
"""No Secret is mounted where a person works: the environment's variables are asked, then the machine's identity."""
