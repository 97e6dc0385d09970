"""Who asks an object store, and where: nothing here is asked."""

from pathlib import Path
from typing import Any

import pytest

from sluice.config import Fetching
from sluice.failures import PackageError, Reason
from sluice.uri import parse_uri
from sluice_store.object_clients import object_client
from sluice_store.secret import Secret

OWN = "http://minio.models.svc:9000"
FEDERATED = {"AZURE_FEDERATED_TOKEN_FILE": "/var/run/token", "AZURE_CLIENT_ID": "c", "AZURE_TENANT_ID": "t"}


@pytest.fixture
def secret(tmp_path: Path) -> Secret:
    (tmp_path / "secret").mkdir()
    return Secret(tmp_path / "secret")


def write(secret: Secret, keys: dict[str, str]) -> None:
    for key, value in keys.items():
        (secret.folder / key).write_text(value)


def config(uri: str, secret: Secret, endpoint: str | None = OWN, **environ: str) -> dict[str, Any]:
    client = object_client(parse_uri(uri), endpoint, secret, Fetching(), environ=environ)
    found: dict[str, Any] = dict(client.config)
    return found


@pytest.mark.parametrize("uri", ["s3://models/k", "gs://models/k"])
def test_where_nobody_is_named_the_store_is_asked_as_anyone_may(uri: str, secret: Secret) -> None:
    assert config(uri, secret)["skip_signature"] == "true"


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"accessKeyId": "a", "secretAccessKey": "s\n"}, {"access_key_id": "a", "secret_access_key": "s"}),
        (
            {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t", "AWS_REGION": "eu-1"},
            {"access_key_id": "a", "secret_access_key": "s", "session_token": "t", "region": "eu-1"},
        ),
        ({"region": "eu-2"}, {"region": "eu-2", "skip_signature": "true"}),
    ],
)
def test_s3_is_asked_as_whom_the_secret_names(keys: dict[str, str], expected: dict[str, str], secret: Secret) -> None:
    write(secret, keys)
    found = config("s3://models/k", secret)
    assert {key: value for key, value in found.items() if key not in ("bucket", "endpoint")} == {
        "region": "us-east-1",
        **expected,
    }


@pytest.mark.parametrize(
    ("endpoint", "account"),
    [
        ("http://127.0.0.1:10000/devstoreaccount1", "devstoreaccount1"),
        ("https://shop.blob.core.windows.net", "shop"),
        ("https://shop.blob.core.chinacloudapi.cn/", "shop"),
    ],
)
def test_an_endpoint_of_azure_may_hold_the_account(endpoint: str, account: str, secret: Secret) -> None:
    found = config("az://models/k", secret, endpoint)
    assert (found["account_name"], found["skip_signature"]) == (account, "true")


def test_azure_without_an_account_cannot_be_asked(secret: Secret) -> None:
    with pytest.raises(PackageError, match="accountName") as caught:
        config("az://models/k", secret, None)
    assert caught.value.reason is Reason.INVALID_CONFIG


@pytest.mark.parametrize(
    ("uri", "environ"),
    [
        ("s3://models/k", {"AWS_WEB_IDENTITY_TOKEN_FILE": "/var/run/secrets/token", "AWS_ROLE_ARN": "arn"}),
        ("s3://models/k", {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s"}),
        ("s3://models/k", {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials"}),
        (
            "s3://models/k",
            {
                "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1/credentials",
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/var/run/secrets/token",
            },
        ),
        ("gs://models/k", {"GOOGLE_APPLICATION_CREDENTIALS": "/var/run/secrets/gcp.json"}),
        ("az://models/k", {**FEDERATED, "AZURE_STORAGE_ACCOUNT_NAME": "shop"}),
    ],
)
def test_a_pods_own_identity_is_used_where_the_environment_has_one(
    uri: str, environ: dict[str, str], secret: Secret
) -> None:
    assert "skip_signature" not in config(uri, secret, **environ)


@pytest.mark.parametrize(
    ("uri", "keys"),
    [
        ("s3://models/k", {"accessKeyId": "a"}),
        ("s3://models/k", {"secretAccessKey": "s3cret"}),
        ("s3://models/k", {"sessionToken": "s3cret"}),
        ("s3://models/k", {"accessKeyId": "a", "sessionToken": "s3cret"}),
        ("gs://models/k", {"serviceAccount.json": "s3cret"}),
        ("gs://models/k", {"serviceAccount.json": '{"type": "service_account", "private_key": "s3cret"}'}),
        ("az://models/k", {"accountName": "a", "accountKey": "s3cret, not base64"}),
        ("az://models/k", {"accountName": "a", "clientId": "half"}),
        ("az://models/k", {"accountName": "a", "tenantId": "s3cret"}),
        ("az://models/k", {"accountName": "a", "clientId": "half", "tenantId": "s3cret"}),
        ("az://models/k", {"accountName": "a", "clientId": "half", "clientSecret": "s3cret"}),
        ("az://models/k", {"accountName": "a", "clientSecret": "s3cret", "tenantId": "t"}),
    ],
)
def test_a_secret_that_cannot_be_right_is_told_without_being_shown(
    uri: str, keys: dict[str, str], secret: Secret
) -> None:
    write(secret, keys)
    with pytest.raises(PackageError, match="Secret") as caught:
        config(uri, secret)
    assert caught.value.reason is Reason.SOURCE_FORBIDDEN
    assert "s3cret" not in caught.value.message


@pytest.mark.parametrize(
    ("uri", "environ"),
    [
        ("s3://models/k", {"AWS_ACCESS_KEY_ID": "a"}),
        ("s3://models/k", {"AWS_WEB_IDENTITY_TOKEN_FILE": "/var/run/secrets/token"}),
        ("s3://models/k", {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1/credentials"}),
        ("az://models/k", {"AZURE_FEDERATED_TOKEN_FILE": "/var/run/token", "AZURE_CLIENT_ID": "c"}),
        ("az://models/k", {"AZURE_CLIENT_SECRET": "s", "AZURE_TENANT_ID": "t"}),
    ],
)
def test_half_an_identity_of_the_environment_is_refused_and_not_made_whole_by_the_nodes(
    uri: str, environ: dict[str, str], secret: Secret
) -> None:
    with pytest.raises(PackageError, match="beside it") as caught:
        config(uri, secret, AZURE_STORAGE_ACCOUNT_NAME="shop", **environ)
    assert caught.value.reason is Reason.SOURCE_FORBIDDEN


def test_a_secret_may_say_as_which_client_a_pods_token_is_used(secret: Secret) -> None:
    write(secret, {"accountName": "shop", "clientId": "other"})
    found = config("az://models/k", secret, **FEDERATED)
    assert (found["client_id"], "skip_signature" in found) == ("other", False)


def test_a_secret_that_is_no_text_is_told(secret: Secret) -> None:
    (secret.folder / "accessKeyId").write_bytes(b"\xff\xfe")
    with pytest.raises(PackageError, match="accessKeyId"):
        config("s3://models/k", secret)


@pytest.mark.parametrize(
    ("endpoint", "allowed"), [(OWN, "true"), ("https://minio.models.svc", "false"), (None, "false")]
)
def test_http_is_spoken_only_where_the_endpoint_says_so(endpoint: str | None, allowed: str, secret: Secret) -> None:
    client = object_client(parse_uri("s3://models/k"), endpoint, secret, Fetching(), environ={})
    assert dict(client.client_options or {})["allow_http"] == allowed
