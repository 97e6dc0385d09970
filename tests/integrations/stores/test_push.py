"""`sluice push` and `sluice list` against real object stores: what is printed is what a pod then fetches."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import obstore
import pytest

from integrations.stores.packing import Shelf, run_step
from sluice.failures import Reason, Resolved
from sluice_store.signatures import sign_package
from unit.store.keys import write_keys
from unit.store.packages import make_package

pytestmark = pytest.mark.timeout(1800)  # the first run on a machine builds the stores

# fake-gcs-server takes uploads by Google's JSON API alone, and the client writes by the XML API, as gsutil can.
writable = pytest.mark.parametrize("any_store", ["az", "s3"], indirect=True)

PATIENCE = 300.0

VARIABLES = {
    "accessKeyId": "AWS_ACCESS_KEY_ID",
    "secretAccessKey": "AWS_SECRET_ACCESS_KEY",
    "accountName": "AZURE_STORAGE_ACCOUNT_NAME",
    "accountKey": "AZURE_STORAGE_ACCOUNT_KEY",
}


def started(shelf: Shelf, *words: object, keys: dict[str, str] | None = None) -> subprocess.Popen[str]:
    """The command, as someone whose environment holds the credentials."""
    who = shelf.server.secret if keys is None else keys
    environ = {VARIABLES[key]: value.strip() for key, value in who.items() if key in VARIABLES}
    argv = [sys.executable, "-m", "sluice", *map(str, words), "--endpoint", shelf.server.endpoint, "-o", "json"]
    inherited = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    return subprocess.Popen(
        argv, env={**inherited, **environ}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def told(process: subprocess.Popen[str]) -> tuple[int, Any, str]:
    """How it ended: exit status, what it printed, what it said on stderr."""
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, json.loads(out) if out else None, err


def sluice(shelf: Shelf, *words: object, keys: dict[str, str] | None = None) -> tuple[int, Any, str]:
    """The command, until it has ended."""
    return told(started(shelf, *words, keys=keys))


@writable
def test_a_package_goes_there_and_back(any_store: Shelf, tmp_path: Path) -> None:
    package = make_package(tmp_path / "package", name="round-trip", owner="team-a", weights=os.urandom(20 * 1024**2))
    store = any_store.uri("published")
    status, pushed, err = sluice(any_store, "push", package, store)
    assert status == 0, err
    assert (pushed["uri"], pushed["new"]) == (f"{store}/round-trip/1.tar.gz", True)
    outcome = run_step(any_store.config("published/round-trip/1.tar.gz", tmp_path, digest=pushed["digest"]))
    assert outcome.word == Resolved(digest=pushed["digest"], name="round-trip", version="1"), outcome.log
    assert sluice(any_store, "push", package, store)[1] == {**pushed, "new": False}
    status, found, err = sluice(any_store, "list", store)
    assert status == 0, err
    (entry,) = [entry for entry in found if entry["model"] == "round-trip"]
    expected = {"version": "1", "owner": "team-a", "uri": pushed["uri"], "digest": pushed["digest"], "signed": False}
    assert {key: entry[key] for key in expected} == expected


@writable
def test_another_package_is_refused_under_the_same_version(any_store: Shelf, tmp_path: Path) -> None:
    store = any_store.uri("taken")
    first = sluice(any_store, "push", make_package(tmp_path / "one", name="taken"), store)[1]
    other = make_package(tmp_path / "other", name="taken", extra=b"x")
    status, nothing, err = sluice(any_store, "push", other, store)
    assert (status, nothing) == (1, None)
    assert "published already" in err
    assert sluice(any_store, "list", store)[1][0]["digest"] == first["digest"]
    status, forced, err = sluice(any_store, "push", other, store, "--force")
    assert status == 0, err
    assert sluice(any_store, "list", store)[1][0]["digest"] == forced["digest"] != first["digest"]


@writable
def test_of_those_who_push_one_version_at_once_one_wins(any_store: Shelf, tmp_path: Path) -> None:
    store = any_store.uri("raced")
    packages = [make_package(tmp_path / f"p{number}", name="raced", extra=bytes([number])) for number in range(4)]
    results = [told(process) for process in [started(any_store, "push", package, store) for package in packages]]
    assert sorted(status for status, _, _ in results) == [0, 1, 1, 1], results
    (winner,) = [pushed for status, pushed, _ in results if status == 0]
    outcome = run_step(any_store.config("raced/raced/1.tar.gz", tmp_path, digest=winner["digest"]))
    assert outcome.code == 0, outcome.log


def test_what_push_did_not_publish_is_listed_too(any_store: Shelf) -> None:
    found = {entry["uri"]: entry for entry in sluice(any_store, "list", any_store.uri(""))[1]}
    assert found[any_store.uri("shop/3.tar.gz")].keys() == {"model", "version", "uri", "size", "modified"}
    assert found[any_store.uri("shop/3")]["version"] == "3"


@writable
def test_a_signed_package_is_fetched_from_a_store_and_a_changed_one_is_not(any_store: Shelf, tmp_path: Path) -> None:
    private, public = write_keys(tmp_path / "keys")
    sign_package(make_package(tmp_path / "package", name="signed"), tmp_path / "signed", private)
    assert sluice(any_store, "push", tmp_path / "signed", any_store.uri("sealed"))[0] == 0
    wanted = {"publicKeyFile": str(public)}
    outcome = run_step(any_store.config("sealed/signed/1.tar.gz", tmp_path, signature=wanted))
    assert outcome.code == 0, outcome.log
    unsigned = run_step(any_store.config("shop/3", tmp_path / "other", signature=wanted))
    assert unsigned.word is not None
    assert getattr(unsigned.word, "reason", None) is Reason.SIGNATURE_MISSING


@writable
def test_wrong_credentials_are_told_in_one_line(any_store: Shelf, tmp_path: Path) -> None:
    package = make_package(tmp_path / "package", name="refused")
    for words in (("push", package, any_store.uri("refused")), ("list", any_store.uri("refused"))):
        status, _, err = sluice(any_store, *words, keys=any_store.server.wrong)
        assert status == 1
        assert err.count("\n") == 1
        assert "credentials" in err
        assert not any(value.strip() in err for value in any_store.server.wrong.values() if len(value) > 20)


@writable
def test_a_description_is_written_once(any_store: Shelf) -> None:
    """What makes one of two win: the store itself refuses a second one."""
    client = any_store.client()
    obstore.put(client, "claims/1.json", b"one", mode="create")
    with pytest.raises(obstore.exceptions.AlreadyExistsError):
        obstore.put(client, "claims/1.json", b"other", mode="create")
    assert bytes(obstore.get(client, "claims/1.json").bytes()) == b"one"
