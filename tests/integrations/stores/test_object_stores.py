"""Packages from real object stores, by the step that a pod runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from integrations.stores.lines import line_to, nothing
from integrations.stores.packing import Shelf, run_step
from sluice.config import Fetching
from sluice.digest import package_digest
from sluice.failures import Failure, Reason, Resolved
from support.ports import free_port

pytestmark = pytest.mark.timeout(1800)  # the first run on a machine builds the stores

QUICK = Fetching(attempts=2, backoff_seconds=0.1)
FILLING = 24 * 1024**2


@pytest.mark.parametrize("key", ["shop/3", "shop/3/", "shop/3.tar.gz"])
def test_a_folder_and_an_archive_are_fetched(any_store: Shelf, key: str, tmp_path: Path) -> None:
    config = any_store.config(key, tmp_path, digest=any_store.digest)
    outcome = run_step(config)
    assert outcome.word == Resolved(digest=any_store.digest, name="shop", version="3"), outcome.log
    assert outcome.code == 0
    assert package_digest(Path(config.package_dir)) == any_store.digest


@pytest.mark.parametrize("key", ["shop/4", "shop/4.tar.gz", "shop/3.tar"])
def test_a_key_that_is_not_there_is_not_found(any_store: Shelf, key: str, tmp_path: Path) -> None:
    assert_refused(any_store, key, Reason.SOURCE_NOT_FOUND, tmp_path)


def test_a_bucket_that_is_not_there_is_not_found(any_store: Shelf, tmp_path: Path) -> None:
    uri = f"{any_store.server.scheme}://no-such-bucket/shop/3.tar.gz"
    assert_refused(any_store, "", Reason.SOURCE_NOT_FOUND, tmp_path, uri=uri)


@pytest.mark.parametrize("key", ["shop/3", "shop/3.tar.gz"])
def test_wrong_credentials_are_forbidden(any_store: Shelf, key: str, tmp_path: Path) -> None:
    wrong = any_store.secret(any_store.server.wrong, "wrong")
    assert_refused(any_store, key, Reason.SOURCE_FORBIDDEN, tmp_path, credentials_dir=str(wrong))


def test_a_folder_beyond_the_limit_is_refused_before_it_is_fetched(any_store: Shelf, tmp_path: Path) -> None:
    assert_refused(any_store, "shop/3", Reason.PACKAGE_TOO_LARGE, tmp_path, limits={"maxPackageBytes": 100})


def test_other_bytes_under_the_same_key_are_refused(any_store: Shelf, tmp_path: Path) -> None:
    wanted = "sha256:" + "0" * 64
    assert_refused(any_store, "shop/3", Reason.DIGEST_MISMATCH, tmp_path, digest=wanted)


def test_nobody_at_the_endpoint_is_unreachable(any_store: Shelf, tmp_path: Path) -> None:
    gone = any_store.server.endpoint.replace(str(any_store.server.port), str(free_port()))
    assert_refused(any_store, "shop/3", Reason.SOURCE_UNREACHABLE, tmp_path, store={"endpoint": gone})


@pytest.mark.parametrize("key", ["filled", "filled.tar"])
def test_a_download_goes_on_after_cuts_and_a_restart_of_the_store(any_store: Shelf, key: str, tmp_path: Path) -> None:
    digest = put_filled(any_store, tmp_path)
    faults = {2 * 1024**2: nothing, 6 * 1024**2: any_store.server.restart, 14 * 1024**2: nothing}
    with line_to(any_store.server.port, faults) as line:
        endpoint = any_store.server.endpoint.replace(str(any_store.server.port), str(line.port))
        outcome = run_step(any_store.config(key, tmp_path, store={"endpoint": endpoint}))
    assert outcome.word == Resolved(digest=digest, name="shop", version="3"), outcome.log
    assert line.cuts == len(faults)
    assert line.passed < 2 * FILLING, "it went on where it was cut"


def put_filled(shelf: Shelf, tmp_path: Path) -> str:
    """A package that is large enough to be cut, as a folder and as an archive, made once for each store."""
    folder = shelf.folder / "filled"
    if not folder.exists():
        folder.mkdir()
        for file in (shelf.folder / "shop").iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        (folder / "filling").write_bytes(os.urandom(FILLING))
        os.system(f"tar -C {folder} -cf {shelf.folder}/filled.tar .")
        for path in folder.iterdir():
            shelf.put(f"filled/{path.name}", path)
        shelf.put("filled.tar", shelf.folder / "filled.tar")
    return package_digest(folder)


def assert_refused(shelf: Shelf, key: str, reason: Reason, tmp_path: Path, **changes: object) -> None:
    config = shelf.config(key or "x", tmp_path, **{"fetching": QUICK, **changes})
    outcome = run_step(config)
    assert outcome.code == 1
    assert isinstance(outcome.word, Failure), outcome.log
    assert outcome.word.reason is reason, outcome.word
    assert ";" in outcome.word.message, "it says what to change"
    assert os.listdir(Path(config.package_dir).parent) == []
