"""One client for each object store: who asks, where, and as whom.

A Secret comes first. Without one the pod's workload identity is used, which clouds hand in through the environment
(and Google through its metadata server). Without that the store is asked as anyone may. The identity of the node that a
pod happens to run on is never borrowed: it belongs to the cluster, not to the model.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, S3Store

from sluice.config import Fetching
from sluice.failures import PackageError, Reason
from sluice.uri import ModelUri
from sluice_store.secret import Secret

if TYPE_CHECKING:
    from obstore.store import ClientConfig

DEFAULT_REGION = "us-east-1"
"""What S3-compatible servers that know no regions expect to be signed for."""

_WHOLE_REQUEST = timedelta(days=1)
"""The library bounds a whole request by 30 s; here it is silence that is bounded, and by another setting."""

_AWS_IDENTITIES = (
    ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    ("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN"),
    ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",),
    ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
)
"""Variables that are an identity together. The first of each says that one is meant."""

_GOOGLE_IDENTITY = ("GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_KEY", "GOOGLE_APPLICATION_CREDENTIALS")
_GOOGLE_METADATA = "metadata.google.internal"
_AZURE_FEDERATED = ("AZURE_FEDERATED_TOKEN_FILE", "AZURE_CLIENT_ID", "AZURE_TENANT_ID")
_AZURE_IDENTITIES = (
    ("AZURE_STORAGE_ACCOUNT_KEY",),
    ("AZURE_STORAGE_SAS_TOKEN",),
    ("AZURE_CLIENT_SECRET", "AZURE_CLIENT_ID", "AZURE_TENANT_ID"),
    _AZURE_FEDERATED,
)

ObjectClient = S3Store | GCSStore | AzureStore


def object_client(
    uri: ModelUri,
    endpoint: str | None,
    secret: Secret,
    fetching: Fetching,
    *,
    proxy: str | None = None,
    retries: int = 0,
    environ: Mapping[str, str] = os.environ,
) -> ObjectClient:
    """The client for a URI's bucket or container; nothing is asked yet.

    `proxy`: URL of the proxy that all requests take, None for what the environment says. `retries`: how often the
    library tries a request again; not at all where `transfer` does, which counts progress in place of minutes.

    Raises:
        PackageError: InvalidConfig or SourceForbidden, where the settings or the Secret cannot be right.
    """
    makers: dict[str, Callable[..., ObjectClient]] = {"s3": _s3, "gs": _gcs, "az": _azure}
    common = {
        "client_options": _client_options(endpoint, secret, fetching, proxy),
        "retry_config": {"max_retries": retries},
    }
    try:
        return makers[uri.scheme](uri.location, endpoint, secret, environ, common)
    except (BaseError, ValueError, TypeError) as error:
        # Its own words may quote what is in the Secret.
        message = (
            f"the client of {uri.scheme}://{uri.location} refuses its settings; check the Secret's keys and values"
        )
        raise PackageError(Reason.SOURCE_FORBIDDEN, message) from error


def _client_options(endpoint: str | None, secret: Secret, fetching: Fetching, proxy: str | None) -> ClientConfig:
    silence = timedelta(seconds=fetching.timeout_seconds)
    options: ClientConfig = {
        "connect_timeout": silence,
        "read_timeout": silence,
        "timeout": _WHOLE_REQUEST,
        "allow_http": (endpoint or "").startswith("http://"),
        "user_agent": "sluice",
    }
    if secret.ca is not None:
        options["root_certificate"] = secret.ca.read_bytes()
    if proxy is not None:
        options["proxy_url"] = proxy
        # The gate ends a connection after its answer; one that is used again just then would look like a cut.
        options["pool_max_idle_per_host"] = "0"
    return options


def _s3(
    bucket: str, endpoint: str | None, secret: Secret, environ: Mapping[str, str], common: dict[str, Any]
) -> S3Store:
    given = _given(
        access_key_id=secret.get("accessKeyId", "AWS_ACCESS_KEY_ID"),
        secret_access_key=secret.get("secretAccessKey", "AWS_SECRET_ACCESS_KEY"),
        session_token=secret.get("sessionToken", "AWS_SESSION_TOKEN"),
    )
    if given and not {"access_key_id", "secret_access_key"} <= given.keys():
        raise _half(
            "the Secret of spec.model.credentials must hold accessKeyId and secretAccessKey, or neither of them"
        )
    region = secret.get("region", "AWS_REGION", "AWS_DEFAULT_REGION")
    if region is None and not any(environ.get(name) for name in ("AWS_REGION", "AWS_DEFAULT_REGION")):
        region = DEFAULT_REGION
    if not given and not _has_identity(environ, _AWS_IDENTITIES):
        given["skip_signature"] = True
    return S3Store(bucket, **common, **given, **_given(endpoint=endpoint, region=region))


def _gcs(
    bucket: str, endpoint: str | None, secret: Secret, environ: Mapping[str, str], common: dict[str, Any]
) -> GCSStore:
    given = _given(
        service_account_key=secret.get("serviceAccount.json", "GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_KEY"),
        bearer_token=secret.get("token"),
    )
    if not given and not any(map(environ.get, _GOOGLE_IDENTITY)) and (endpoint is not None or not _on_google()):
        given["skip_signature"] = True
    return GCSStore(bucket, **common, **given, **_given(base_url=endpoint))


def _azure(
    container: str, endpoint: str | None, secret: Secret, environ: Mapping[str, str], common: dict[str, Any]
) -> AzureStore:
    given = _given(
        account_key=secret.get("accountKey", "AZURE_STORAGE_ACCOUNT_KEY"),
        sas_key=secret.get("sasToken", "AZURE_STORAGE_SAS_TOKEN"),
        client_id=secret.get("clientId", "AZURE_CLIENT_ID"),
        client_secret=secret.get("clientSecret", "AZURE_CLIENT_SECRET"),
        tenant_id=secret.get("tenantId", "AZURE_TENANT_ID"),
    )
    if given and not _is_whole_azure(given, environ):
        needed = "accountKey, sasToken, or all of clientId, clientSecret and tenantId"
        raise _half(f"the Secret of spec.model.credentials must hold {needed}")
    account = secret.get("accountName", "AZURE_STORAGE_ACCOUNT_NAME") or environ.get("AZURE_STORAGE_ACCOUNT_NAME")
    account = account or _account_in(endpoint)
    if account is None:
        where = "accountName in the Secret of spec.model.credentials, AZURE_STORAGE_ACCOUNT_NAME at a terminal"
        message = f"the storage account is not known; name it ({where})"
        raise PackageError(Reason.INVALID_CONFIG, message)
    if not given and not _has_identity(environ, _AZURE_IDENTITIES):
        given["skip_signature"] = True
    return AzureStore(
        container,
        account_name=account,
        **common,
        **given,
        **_given(endpoint=endpoint),
    )


def _given(**values: str | None) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _is_whole_azure(given: Mapping[str, Any], environ: Mapping[str, str]) -> bool:
    if "account_key" in given or "sas_key" in given or {"client_id", "client_secret", "tenant_id"} <= given.keys():
        return True
    # A Secret may say as which client the pod's federated token is used.
    ours = {"AZURE_CLIENT_ID": given.get("client_id"), "AZURE_TENANT_ID": given.get("tenant_id")}
    return "client_secret" not in given and all(ours.get(name) or environ.get(name) for name in _AZURE_FEDERATED)


def _has_identity(environ: Mapping[str, str], identities: tuple[tuple[str, ...], ...]) -> bool:
    """True where the environment holds one of these, False where it means none; raises as `_half` tells."""
    if any(all(map(environ.get, names)) for names in identities):
        return True
    for names in identities:
        if environ.get(names[0]):
            raise _half(f"the variable {names[0]} needs {' and '.join(names[1:])} beside it")
    return False


def _half(why: str) -> PackageError:
    """With less than a whole identity the library would go on to ask for that of the node."""
    return PackageError(Reason.SOURCE_FORBIDDEN, f"the credentials name nobody: {why}")


def _on_google() -> bool:
    """Google hands workload identity out through a name that only its own clusters know."""
    try:
        socket.getaddrinfo(_GOOGLE_METADATA, 80)
    except OSError:
        return False
    return True


def _account_in(endpoint: str | None) -> str | None:
    """The account of https://ACCOUNT.blob.core.windows.net or http://HOST/ACCOUNT, as emulators write it."""
    parts = urlsplit(endpoint or "")
    host, path = parts.hostname or "", parts.path.strip("/")
    if path and "/" not in path:
        return path
    return host.partition(".")[0] if ".blob." in host else None
