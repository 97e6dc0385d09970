"""Registries that name one page after the other, and never a last one."""

import http.server
import json
from pathlib import Path

import pytest
from obstore.store import S3Store

from runtime.answering import answering, sends
from sluice.config import Fetching
from sluice.failures import PackageError, Reason
from sluice.uri import parse_uri
from sluice_store import listing, listing_mlflow, listing_oci
from sluice_store.errors import StoreError
from sluice_store.objects import Bucket


@pytest.fixture(autouse=True)
def _without_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")


def test_an_oci_registry_whose_next_page_is_the_same_again_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    asked: list[str] = []

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        sends(b"{}", Link=f'<{handler.path}>; rel="next"')(handler)

    with answering(answer) as url, pytest.raises(StoreError, match="pages"):
        list(listing_oci.packages("oci://models.example/shop", url))
    assert len(asked) == listing_oci.MAX_PAGES


def test_an_mlflow_server_that_always_names_another_page_is_left() -> None:
    asked: list[str] = []

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        sends(json.dumps({"next_page_token": str(len(asked))}).encode())(handler)

    with answering(answer) as url, pytest.raises(StoreError, match="pages"):
        list(listing_mlflow.packages("models:/", url, {}))
    assert len(asked) == listing_mlflow.MAX_PAGES


def test_a_bucket_that_says_the_same_names_again_and_again_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI"):
        monkeypatch.delenv(name, raising=False)

    entry = "<Contents><Key>shop/a</Key><LastModified>2024-01-01T00:00:00.000Z</LastModified><Size>1</Size></Contents>"
    more = "<IsTruncated>true</IsTruncated><NextContinuationToken>1</NextContinuationToken>"
    page = sends(f"<ListBucketResult>{more}{entry * 1000}</ListBucketResult>".encode())
    with answering(page) as url, pytest.raises(StoreError, match="objects"):
        listing.listed("s3://models/shop", url)


def test_a_bucket_that_names_empty_pages_for_ever_is_left(tmp_path: Path) -> None:
    page = sends(
        b"<ListBucketResult><IsTruncated>true</IsTruncated>"
        b"<NextContinuationToken>1</NextContinuationToken></ListBucketResult>"
    )
    with answering(page) as url:
        with pytest.raises(StoreError, match="not listed in 0 s"):
            listing.listed("s3://models/shop", url, seconds=0.2)
        client = S3Store("models", endpoint=url, skip_signature=True, region="a", client_options={"allow_http": True})
        bucket = Bucket(client, parse_uri("s3://models/shop"), Fetching(), listing_seconds=0.2)
        with pytest.raises(PackageError, match="not listed") as caught:
            bucket.fetch_folder(10, tmp_path)
    assert caught.value.reason is Reason.SOURCE_UNREACHABLE
