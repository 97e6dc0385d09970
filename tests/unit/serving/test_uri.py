"""The grammar of model URIs."""

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.uri import KNOWN_SCHEMES, URI_PATTERN, parse_uri

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SHA = "sha256:" + "0a" * 32


@pytest.mark.parametrize(
    ("text", "location", "path", "archive"),
    [
        ("https://host/models/shop.tar.gz", "host", "/models/shop.tar.gz", True),
        ("http://host:8000/download?id=3", "host:8000", "/download", True),
        ("pvc://claim/models/shop", "claim", "models/shop", False),
        ("pvc://claim/shop.tgz", "claim", "shop.tgz", True),
        ("file:///srv/shop", "", "/srv/shop", False),
        ("s3://bucket/shop.tar.gz", "bucket", "shop.tar.gz", True),
        ("s3://my.bucket-1/models/shop/3/", "my.bucket-1", "models/shop/3", False),
        ("s3://bucket/a%20b/c d+e", "bucket", "a%20b/c d+e", False),
        ("gs://Bucket_1/shop/3.tar", "Bucket_1", "shop/3.tar", True),
        ("az://$web/shop", "$web", "shop", False),
    ],
)
def test_a_known_uri_is_taken_apart(text: str, location: str, path: str, archive: bool) -> None:
    uri = parse_uri(text)
    assert (uri.location, uri.path, uri.is_archive) == (location, path, archive)
    assert re.match(URI_PATTERN, text)
    assert not uri.is_movable


@pytest.mark.parametrize(
    ("text", "location", "path", "reference", "folder"),
    [
        ("oci://ghcr.io/shop/model:3", "ghcr.io", "shop/model", "3", ""),
        ("oci://localhost:5000/model", "localhost:5000", "model", "latest", ""),
        ("oci://[::1]:5000/a__b/c-d.e:v1", "[::1]:5000", "a__b/c-d.e", "v1", ""),
        (f"oci://host/model@{SHA}", "host", "model", SHA, ""),
        (f"oci://host/model:3@{SHA}", "host", "model", SHA, ""),
        ("hf://shop/Model-3.1", "", "shop/Model-3.1", "main", ""),
        ("hf://models/shop/model", "", "shop/model", "main", ""),
        ("hf://models/shop", "", "models/shop", "main", ""),
        ("hf://shop/model@v2/sub/folder/", "", "shop/model", "v2", "sub/folder"),
        ("hf://shop/model@refs%2Fpr%2F1", "", "shop/model", "refs/pr/1", ""),
        (f"hf://shop/model@{COMMIT}/sub", "", "shop/model", COMMIT, "sub"),
        ("models:/shop@champion", "", "shop", "@champion", ""),
        ("models:/Store%20revenue/7", "", "Store revenue", "7", ""),
        ("models:/main.sales.shop/12", "", "main.sales.shop", "12", ""),
    ],
)
def test_a_repository_is_asked_for_one_of_what_it_holds(
    text: str, location: str, path: str, reference: str, folder: str
) -> None:
    uri = parse_uri(text)
    assert (uri.location, uri.path, uri.reference, uri.folder) == (location, path, reference, folder)
    assert uri.is_movable is (reference not in (SHA, COMMIT, "7", "12"))
    assert re.match(URI_PATTERN, text)


def test_only_a_volume_names_a_claim() -> None:
    assert parse_uri("pvc://claim/x").claim == "claim"
    assert parse_uri("https://claim/x").claim is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "shop",
        "http:/host/x",
        "http://",
        "https://host",
        "https://user:secret@host/x",
        "pvc://claim",
        "pvc://claim/",
        "pvc:///x",
        "pvc://Claim_1/x",
        "pvc://claim/../etc",
        "pvc://claim/a/%2e%2e/b",
        "file://host/x",
        "file:///",
        "file:///a/../b",
        "file:///a%00b",
        "https://host/a\nb",
        "ftp://host/x",
        "s3:bucket/x",
        "s3://bucket",
        "s3://bucket/",
        "s3:///x",
        "s3://user@bucket/x",
        "s3://bucket:9000/x",
        "s3://bucket/a/../b",
        "s3://bucket/a//b",
        "s3://bucket/./b",
        "gs://bucket/a?generation=1",
        "az://container/a#b",
        "s3://bucket/a\x7fb",
        "oci://host",
        "oci://host/",
        "oci://host/Model",
        "oci://user:secret@host/model",
        "oci://host/model:",
        "oci://host/model:-x",
        "oci://host/model@sha256:12",
        "oci://host/model@latest",
        "oci://host/a//b",
        "oci://host/../b",
        "hf://model",
        "hf://shop/",
        "hf://shop/model@",
        "hf://shop/../x",
        "hf://shop/model@..%2Fx",
        "hf://shop/model/a/../b",
        "hf://datasets/shop/model",
        "models://shop@champion",
        "models:shop@champion",
        "models:/shop",
        "models:/shop@",
        "models:/shop/",
        "models:/shop/Production",
        "models:/shop/3/4",
        "models:/a%2Fb/3",
        "models:/@champion",
    ],
)
def test_an_unknown_or_escaping_uri_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_uri(text)


@given(
    scheme=st.sampled_from(KNOWN_SCHEMES),
    slashes=st.sampled_from(["/", "//", "///"]),
    rest=st.text(alphabet=string.ascii_letters + string.digits + "/.:@%?#[]-_ \\\0\n~$", max_size=60),
)
def test_whatever_is_written_is_taken_apart_or_refused(scheme: str, slashes: str, rest: str) -> None:
    text = f"{scheme}:{slashes}{rest}"
    try:
        uri = parse_uri(text)
    except ValueError:
        return
    assert re.match(URI_PATTERN, text)
    assert ".." not in (*uri.path.split("/"), *uri.folder.split("/")) or scheme in ("http", "https")
    assert "@" not in uri.location
