"""Folders of artifacts, listed by a server that may not mean well."""

from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from sluice.config import Fetching, RuntimeConfig
from sluice.failures import PackageError, Reason
from sluice.uri import parse_uri
from sluice_store.mlflow import MAX_DEPTH, Server
from sluice_store.web import Web

URI = "models:/shop/1"


class Listing:
    """Answers as the server does; `folders` are lists of (name, is a folder), by path."""

    def __init__(self, folders: dict[str, list[tuple[str, bool]]], otherwise: list[tuple[str, bool]]) -> None:
        self.folders, self.otherwise = folders, otherwise
        self.asked: list[str] = []

    def ask(self, method: str, url: str) -> httpx.Response:
        (path,) = parse_qs(urlsplit(url).query)["path"]
        self.asked.append(path)
        found = self.folders.get(path, self.otherwise)
        answer: dict[str, Any] = {"files": [{"path": name, "is_dir": folder} for name, folder in found]}
        return httpx.Response(200, json=answer if found else {}, request=httpx.Request(method, url))


def files_of(listing: Listing) -> list[str]:
    config = RuntimeConfig(name="shop", uri=URI, fetching=Fetching(attempts=1))
    return list(Server(cast("Web", listing), "http://mlflow", parse_uri(URI), config).files("0/run/package"))


def test_folders_in_folders_are_listed() -> None:
    root = "0/run/package"
    listing = Listing({root: [("model.yaml", False), ("code", True)], f"{root}/code": [("a b.txt", False)]}, [])
    assert files_of(listing) == ["model.yaml", "code/a b.txt"]
    assert listing.asked == [root, f"{root}/code"]


def test_what_has_no_listing_is_a_file() -> None:
    assert files_of(Listing({}, [])) == [""]


DEEP = [("deeper", True)]
WIDE = [(f"folder{number}", True) for number in range(500)]
LONG = [(f"file{number}", False) for number in range(10_001)]


@pytest.mark.parametrize("endless", [DEEP, WIDE, LONG], ids=["deep", "wide", "long"])
def test_a_listing_without_end_is_left(endless: list[tuple[str, bool]]) -> None:
    listing = Listing({}, endless)
    with pytest.raises(PackageError) as caught:
        files_of(listing)
    assert caught.value.reason in (Reason.UNSAFE_ARCHIVE, Reason.SOURCE_NOT_FOUND)
    assert len(listing.asked) <= MAX_DEPTH + 2


@pytest.mark.parametrize("name", ["../up", "/etc/passwd", "", ".", "a/../../b", "a\x00"])
def test_a_name_that_leads_out_is_refused(name: str) -> None:
    with pytest.raises(PackageError) as caught:
        files_of(Listing({}, [(name, False)]))
    assert caught.value.reason is Reason.UNSAFE_ARCHIVE
