"""The grammar of model URIs."""

import re

import pytest

from sluice.uri import URI_PATTERN, parse_uri


@pytest.mark.parametrize(
    ("text", "location", "path", "archive"),
    [
        ("https://host/models/shop.tar.gz", "host", "/models/shop.tar.gz", True),
        ("http://host:8000/download?id=3", "host:8000", "/download", True),
        ("pvc://claim/models/shop", "claim", "models/shop", False),
        ("pvc://claim/shop.tgz", "claim", "shop.tgz", True),
        ("file:///srv/shop", "", "/srv/shop", False),
    ],
)
def test_a_known_uri_is_taken_apart(text: str, location: str, path: str, archive: bool) -> None:
    uri = parse_uri(text)
    assert (uri.location, uri.path, uri.is_archive) == (location, path, archive)
    assert re.match(URI_PATTERN, text)


def test_only_a_volume_names_a_claim() -> None:
    assert parse_uri("pvc://claim/x").claim == "claim"
    assert parse_uri("https://claim/x").claim is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "shop",
        "s3://bucket/x",
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
    ],
)
def test_an_unknown_or_escaping_uri_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_uri(text)
