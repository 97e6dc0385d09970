"""A published package has a name that is its own, is never changed, and is listed with who made it."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption

from sluice.cli import main
from sluice.config import RuntimeConfig
from sluice.package import open_package
from sluice.uri import parse_uri
from sluice_store.errors import StoreError
from sluice_store.fetching import fetch_package
from sluice_store.listing import listed
from sluice_store.push import Pushed, push
from unit.store.keys import write_keys
from unit.store.packages import make_package


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"file://{tmp_path}/store"


def files(store: str) -> set[str]:
    root = Path(parse_uri(store).path)
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_what_was_pushed_is_fetched_by_what_was_printed(store: str, tmp_path: Path) -> None:
    package = make_package(tmp_path / "package", owner="team-a")
    pushed = push(package, store)
    assert pushed == Pushed(f"{store}/iris/1.tar.gz", open_package(package).digest)
    config = RuntimeConfig(name="m", uri=pushed.uri, digest=pushed.digest, package_dir=str(tmp_path / "m" / "p"))
    assert fetch_package(config).manifest.name == "iris"


def test_the_same_package_again_changes_nothing_in_whatever_form(store: str, tmp_path: Path) -> None:
    package = make_package(tmp_path / "package")
    first = push(package, store)
    archive = Path(parse_uri(first.uri).path)
    before = archive.stat().st_mtime_ns
    for again in (package, archive):
        assert push(again, store) == Pushed(first.uri, first.digest, new=False)
    assert archive.stat().st_mtime_ns == before


def test_another_package_under_the_same_name_is_refused_until_forced(store: str, tmp_path: Path) -> None:
    first = push(make_package(tmp_path / "one"), store)
    other = make_package(tmp_path / "other", extra=b"x")
    with pytest.raises(StoreError, match=first.digest) as refused:
        push(other, store)
    assert refused.value.permanent
    assert [entry.digest for entry in listed(store)] == [first.digest]
    forced = push(other, store, force=True)
    assert forced.digest != first.digest
    assert [entry.digest for entry in listed(store)] == [forced.digest]


def test_an_archive_that_others_put_there_is_not_overwritten(store: str, tmp_path: Path) -> None:
    place = Path(parse_uri(store).path) / "iris"
    place.mkdir(parents=True)
    (place / "1.tar.gz").write_bytes(b"theirs")
    with pytest.raises(StoreError, match="other bytes"):
        push(make_package(tmp_path / "package"), store)
    assert (place / "1.tar.gz").read_bytes() == b"theirs"


def test_a_description_that_is_none_holds_the_name(store: str, tmp_path: Path) -> None:
    place = Path(parse_uri(store).path) / "iris"
    place.mkdir(parents=True)
    (place / "1.json").write_text("[]")
    with pytest.raises(StoreError, match="something else"):
        push(make_package(tmp_path / "package"), store)


def test_a_push_that_was_cut_off_is_finished_by_the_same_one_alone(store: str, tmp_path: Path) -> None:
    pushed = push(make_package(tmp_path / "one"), store)
    Path(parse_uri(pushed.uri).path).unlink()  # the name was taken, and the archive never came
    with pytest.raises(StoreError, match="published already"):
        push(make_package(tmp_path / "other", extra=b"x"), store)
    assert push(tmp_path / "one", store).uri == pushed.uri
    assert files(store) == {"iris/1.json", "iris/1.tar.gz"}


def test_of_many_who_push_one_version_at_once_one_wins(store: str, tmp_path: Path) -> None:
    packages = [make_package(tmp_path / f"p{number}", extra=bytes([number])) for number in range(6)]
    won: list[Pushed] = []
    refused: list[StoreError] = []
    start = threading.Barrier(len(packages))

    def attempt(package: Path) -> None:
        start.wait()
        try:
            won.append(push(package, store))
        except StoreError as error:
            refused.append(error)

    threads = [threading.Thread(target=attempt, args=(package,)) for package in packages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(refused)) == (1, len(packages) - 1)
    config = RuntimeConfig(name="m", uri=won[0].uri, digest=won[0].digest, package_dir=str(tmp_path / "m" / "p"))
    assert fetch_package(config).digest == won[0].digest


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("https://host/models", "web server"),
        ("pvc://claim/models", "file:///"),
        ("hf://org/name", "huggingface"),
        ("models:/iris", "mlflow"),
        ("ftp://host", "no known store"),
        ("somewhere", "no known store"),
        ("file:///", "names no bucket"),
        ("s3://", "names no bucket"),
        ("oci://host/Upper", "write oci://"),
    ],
)
def test_where_nothing_can_be_pushed_it_is_said_what_to_do(target: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=told):
        push(make_package(tmp_path / "package"), target)


def test_a_store_is_listed_with_versions_owners_and_digests(store: str, tmp_path: Path) -> None:
    one = push(make_package(tmp_path / "1", version="1", owner="team-a"), store)
    two = push(make_package(tmp_path / "2", version="2", owner="team-b"), store)
    push(make_package(tmp_path / "z", name="zebra"), store)
    found = listed(store)
    assert [(entry.model, entry.version, entry.owner, entry.digest) for entry in found[:2]] == [
        ("iris", "1", "team-a", one.digest),
        ("iris", "2", "team-b", two.digest),
    ]
    assert (found[2].model, found[2].owner, found[2].signed) == ("zebra", None, False)
    assert all(entry.size and entry.modified and parse_uri(entry.uri) for entry in found)


def test_what_others_put_there_is_listed_as_such(store: str, tmp_path: Path) -> None:
    pushed = push(make_package(tmp_path / "package"), store)
    root = Path(parse_uri(store).path)
    make_package(root / "team" / "folder" / "7")
    (root / "iris" / "2.tgz").write_bytes(b"x")
    (root / "notes.txt").write_bytes(b"x")
    (root / "iris" / "3.json").write_bytes(b"{}")  # a description without a package
    found = {entry.uri: entry for entry in listed(store)}
    assert set(found) == {pushed.uri, f"{store}/iris/2.tgz", f"{store}/team/folder/7"}
    folder = found[f"{store}/team/folder/7"]
    assert (folder.model, folder.version, folder.digest) == ("team/folder", "7", None)
    assert folder.size == sum(path.stat().st_size for path in (root / "team" / "folder" / "7").iterdir())


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: b"",
        lambda text: b"[" * 60_000,
        lambda text: b" " * 70_000 + text,
        lambda text: text.replace(b'"iris"', b'"other"'),
        lambda text: text.replace(b"sha256:", b"sha1:"),
        lambda text: b"\xff" + text,
    ],
)
def test_a_hostile_description_is_none(spoil: Callable[[bytes], bytes], store: str, tmp_path: Path) -> None:
    push(make_package(tmp_path / "package", owner="team-a"), store)
    description = Path(parse_uri(store).path) / "iris" / "1.json"
    description.write_bytes(spoil(description.read_bytes()))
    (entry,) = listed(store)
    assert (entry.digest, entry.owner) == (None, None)


def test_equal_packages_leave_equal_files(tmp_path: Path) -> None:
    made = []
    for number in range(2):
        push(make_package(tmp_path / f"p{number}", owner="team-a"), f"file://{tmp_path}/s{number}")
        made.append({path.name: path.read_bytes() for path in (tmp_path / f"s{number}" / "iris").iterdir()})
    assert made[0] == made[1]


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    status = main([str(word) for word in words])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_the_commands_do_it_at_a_terminal(store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    package = make_package(tmp_path / "package", owner="team-a")
    status, out, _ = run(capsys, "push", package, store)
    digest = open_package(package).digest
    assert (status, out) == (0, f"model:\n  uri: {store}/iris/1.tar.gz\n  digest: {digest}\n")
    status, out, _ = run(capsys, "push", package, store, "-o", "json")
    assert (status, json.loads(out)) == (0, {"uri": f"{store}/iris/1.tar.gz", "digest": digest, "new": False})
    status, out, _ = run(capsys, "list", store)
    assert status == 0
    assert out.splitlines()[0].split() == ["MODEL", "VERSION", "OWNER", "SIZE", "WHEN", "SIGNED", "DIGEST"]
    assert out.splitlines()[1].split()[:3] == ["iris", "1", "team-a"]
    assert out.splitlines()[1].endswith(digest)
    status, out, _ = run(capsys, "list", store, "-o", "json")
    (entry,) = json.loads(out)
    assert (entry["model"], entry["version"], entry["owner"], entry["digest"]) == ("iris", "1", "team-a", digest)


def test_nothing_in_a_store_moves_the_cursor(store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    push(make_package(tmp_path / "package", owner="team\x1b[2Ja"), store)
    status, out, _ = run(capsys, "list", store)
    assert status == 0
    assert "\x1b" not in out
    assert "team?[2Ja" in out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("push", "nothing", "file:///tmp/x"), "nothing"),
        (("push", "package", "pvc://claim"), "claim"),
        (("list", "https://host/x"), "cannot be listed"),
        (("list", "file:///nowhere/at/all"), "/nowhere/at/all"),
        (("list", "models:/"), "--endpoint"),
        (("list", "s3://models", "--endpoint", "http://127.0.0.1:1"), "check its name"),
        (("push", "package", "s3://models", "--endpoint", "http://127.0.0.1:1"), "check its name"),
        (("sign", "package", "--key", "none.pem", "--output", "out"), "none.pem"),
        (("verify", "package"), "--public-key"),
        (("verify", "package", "--identity", "a@b.c"), "--issuer"),
        (("verify", "package", "--public-key", "p.pem", "--trust", "t.json"), "--public-key alone"),
        (("verify", "package", "--public-key", "none.pem"), "SignatureMissing"),
    ],
)
def test_a_fault_is_one_line_and_exit_status_1(
    words: tuple[str, ...],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_package(tmp_path / "package")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    status, out, err = run(capsys, *words)
    assert (status, out) == (1, "")
    assert err.count("\n") == 1
    assert told in err


def test_a_package_is_signed_and_verified_at_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    private, public = write_keys(tmp_path / "keys", encryption=BestAvailableEncryption(b"secret"))
    package = make_package(tmp_path / "package")
    monkeypatch.setenv("SLUICE_KEY_PASSWORD", "secret")
    status, digest, _ = run(capsys, "sign", package, "--key", private, "--output", tmp_path / "signed.tgz")
    assert status == 0
    status, out, _ = run(capsys, "verify", tmp_path / "signed.tgz", "--public-key", public)
    assert (status, out) == (0, f"the signature holds for {digest}")
    monkeypatch.setenv("SLUICE_KEY_PASSWORD", "wrong")
    assert run(capsys, "sign", package, "--key", private, "--output", tmp_path / "other")[0] == 1
    assert not (tmp_path / "other").exists()
    assert run(capsys, "verify", package, "--public-key", public)[0] == 1


WORDS = (
    ["sign", "p", "--key", "k", "--output", "o"],
    ["verify", "p"],
    ["push", "p", "file:///s"],
    ["list", "file:///s"],
)


@pytest.mark.parametrize("words", WORDS)
def test_where_the_extra_is_missing_it_is_named(words: list[str]) -> None:
    program = (
        "import sys; sys.modules.update(obstore=None, model_signing=None); from sluice.cli import main; "
        f"sys.exit(main({words}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "pip install 'sluice-serving[store]'" in done.stderr
