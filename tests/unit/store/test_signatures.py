"""A package is served only when its every file is what the wanted signer signed."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from model_signing import hashing, signing

from sluice.config import RuntimeConfig, Signature
from sluice.failures import PackageError, Reason
from sluice.package import open_package
from sluice_store.fetching import fetch_package
from sluice_store.signatures import MAX_BUNDLE_BYTES, SIGNATURE_FILE, sign_package, verify
from unit.store.keys import AnyKey, write_keys
from unit.store.packages import make_package


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, keys: tuple[Path, Path]) -> Path:
    """A signed package; tests change copies of it."""
    home = tmp_path_factory.mktemp("signed")
    plain = make_package(home / "plain")
    (plain / "data").mkdir()
    (plain / "data" / "weights").write_bytes(b"1234")
    sign_package(plain, home / "signed", keys[0])
    return home / "signed"


@pytest.fixture
def signed(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "signed"))


def by_key(keys: tuple[Path, Path]) -> Signature:
    return Signature(public_key_file=str(keys[1]))


def reason_of(folder: Path, wanted: Signature) -> Reason:
    with pytest.raises(PackageError) as caught:
        verify(folder, wanted)
    assert len(caught.value.message) < 1000
    assert caught.value.message.isprintable()
    return caught.value.reason


def test_what_was_signed_holds(signed: Path, keys: tuple[Path, Path]) -> None:
    verify(signed, by_key(keys))


def test_a_signature_is_a_part_of_the_package_and_of_its_digest(
    signed: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    plain = Path(shutil.copytree(signed, tmp_path / "plain"))
    (plain / SIGNATURE_FILE).unlink()
    digest = sign_package(plain, tmp_path / "again.tar.gz", keys[0])
    assert digest not in (open_package(plain).digest, open_package(signed).digest)  # ECDSA never signs alike


def test_a_signed_package_is_signed_anew_by_another_key(signed: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    other = write_keys(tmp_path / "other")
    sign_package(signed, tmp_path / "again", other[0])
    verify(tmp_path / "again", by_key(other))
    assert reason_of(tmp_path / "again", by_key(keys)) is Reason.SIGNATURE_INVALID


def test_signing_changes_neither_the_package_nor_what_is_there(
    signed: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    before = open_package(signed).digest
    with pytest.raises(FileExistsError):
        sign_package(signed, signed, keys[0])
    assert open_package(signed).digest == before


def change(path: str, content: bytes) -> Callable[[Path], Any]:
    return lambda folder: (folder / path).write_bytes(content)


def link(path: str, target: str) -> Callable[[Path], Any]:
    def to(folder: Path) -> None:
        (folder / path).unlink(missing_ok=True)
        (folder / path).symlink_to(target)

    return to


def resigned(**fields: Any) -> Callable[[Path], Any]:
    def write(folder: Path) -> None:
        bundle = json.loads((folder / SIGNATURE_FILE).read_text())
        (folder / SIGNATURE_FILE).write_text(json.dumps(bundle | fields))

    return write


@pytest.mark.parametrize(
    ("tamper", "reason"),
    [
        (change("model.onnx", b"\x08\x07grapH"), Reason.SIGNATURE_INVALID),
        (change("model.yaml", b"name: other"), Reason.SIGNATURE_INVALID),
        (change("data/weights", b""), Reason.SIGNATURE_INVALID),
        (change("added", b"x"), Reason.SIGNATURE_INVALID),
        (change("data/added", b"x"), Reason.SIGNATURE_INVALID),
        # What Git keeps beside the files is as much a part of the package as they are.
        (change(".gitignore", b"x"), Reason.SIGNATURE_INVALID),
        (change(".gitattributes", b"x"), Reason.SIGNATURE_INVALID),
        (lambda folder: (folder / ".git").mkdir() or change(".git/config", b"x")(folder), Reason.SIGNATURE_INVALID),
        (change("Model.sig", b"x"), Reason.SIGNATURE_INVALID),
        (lambda folder: (folder / "model.onnx").unlink(), Reason.SIGNATURE_INVALID),
        (lambda folder: (folder / "data" / "weights").rename(folder / "weights"), Reason.SIGNATURE_INVALID),
        (lambda folder: (folder / SIGNATURE_FILE).unlink(), Reason.SIGNATURE_MISSING),
        (
            lambda folder: (folder / SIGNATURE_FILE).unlink() or (folder / SIGNATURE_FILE).mkdir(),
            Reason.SIGNATURE_MISSING,
        ),
        (link("model.onnx", "model.yaml"), Reason.UNSAFE_ARCHIVE),
        (link("added", "/etc/passwd"), Reason.UNSAFE_ARCHIVE),
        (link(SIGNATURE_FILE, "/dev/zero"), Reason.UNSAFE_ARCHIVE),
        (lambda folder: os.mkfifo(folder / "pipe"), Reason.UNSAFE_ARCHIVE),
        (change(SIGNATURE_FILE, b""), Reason.SIGNATURE_INVALID),
        (change(SIGNATURE_FILE, b"{}"), Reason.SIGNATURE_INVALID),
        (change(SIGNATURE_FILE, b"null"), Reason.SIGNATURE_INVALID),
        (change(SIGNATURE_FILE, b"\xff\xfe"), Reason.SIGNATURE_INVALID),
        (change(SIGNATURE_FILE, b"[" * 500_000), Reason.SIGNATURE_INVALID),
        (change(SIGNATURE_FILE, b" " * (MAX_BUNDLE_BYTES + 1)), Reason.SIGNATURE_INVALID),
        (resigned(mediaType="x"), Reason.SIGNATURE_INVALID),
        (resigned(dsseEnvelope=None), Reason.SIGNATURE_INVALID),
        (resigned(verificationMaterial={}), Reason.SIGNATURE_INVALID),
        (resigned(verificationMaterial={"publicKey": {"hint": "00"}}), Reason.SIGNATURE_INVALID),
        (
            resigned(dsseEnvelope={"payload": "", "payloadType": "application/vnd.in-toto+json", "signatures": []}),
            Reason.SIGNATURE_INVALID,
        ),
    ],
)
def test_a_package_that_was_tampered_with_is_refused(
    tamper: Callable[[Path], Any], reason: Reason, signed: Path, keys: tuple[Path, Path]
) -> None:
    tamper(signed)
    assert reason_of(signed, by_key(keys)) is reason


BUNDLE = '{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":'
HOSTILE = {
    "entries": (BUNDLE + '{"tlogEntries":[', "{},", "{}]}}"),
    "signatures": (BUNDLE + '{"tlogEntries":[]},"dsseEnvelope":{"payload":"","signatures":[', "{},", "{}]}}"),
    "numbers": (BUNDLE + '{"tlogEntries":[', "0,", "0]}}"),
    "depth": ("", "[", ""),
    "deep objects": ("", '{"a":', ""),
    "one string": (BUNDLE + '{"publicKey":{"hint":"', "x", '"}}}'),
}


def test_hostile_bundles_take_little_memory(signed: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    """As much as the limit of size lets through, in a process of its own."""
    for kind, (head, part, tail) in HOSTILE.items():
        text = head + part * ((MAX_BUNDLE_BYTES - len(head) - len(tail)) // len(part)) + tail
        (tmp_path / f"{kind}.json").write_text(text)
    program = """
import shutil, sys
from pathlib import Path
from sluice.config import Signature
from sluice.failures import PackageError
from sluice_store.signatures import SIGNATURE_FILE, verify
for bundle in sys.argv[3:]:
    shutil.copyfile(bundle, Path(sys.argv[1]) / SIGNATURE_FILE)
    try:
        verify(Path(sys.argv[1]), Signature(public_key_file=sys.argv[2]))
    except PackageError as error:
        print(error.reason)
print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM:')))
"""
    argv = [sys.executable, "-c", program, str(signed), str(keys[1]), *map(str, tmp_path.glob("*.json"))]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    *reasons, peak = done.stdout.split()
    assert reasons == ["SignatureInvalid"] * len(HOSTILE)
    assert int(peak) * 1024 < 100 * 1000**2


def test_the_signature_of_another_package_is_refused(signed: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    sign_package(make_package(tmp_path / "plain", name="other"), tmp_path / "other", keys[0])
    shutil.copyfile(tmp_path / "other" / SIGNATURE_FILE, signed / SIGNATURE_FILE)
    assert reason_of(signed, by_key(keys)) is Reason.SIGNATURE_INVALID


def test_a_payload_cannot_be_put_under_another_signature(signed: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    sign_package(make_package(tmp_path / "plain", name="other"), tmp_path / "other", keys[0])
    ours, theirs = (json.loads((folder / SIGNATURE_FILE).read_text()) for folder in (signed, tmp_path / "other"))
    theirs["dsseEnvelope"]["payload"] = ours["dsseEnvelope"]["payload"]
    (signed / SIGNATURE_FILE).write_text(json.dumps(theirs))
    assert reason_of(signed, by_key(keys)) is Reason.SIGNATURE_INVALID


def test_the_key_is_the_policys_never_the_bundles(signed: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    """A bundle may say which key it is by; it does not get to choose the one it is checked with."""
    other = write_keys(tmp_path / "other")
    shutil.rmtree(signed / "data")
    sign_package(signed, tmp_path / "forged", other[0])
    forged = json.loads((tmp_path / "forged" / SIGNATURE_FILE).read_text())
    honest = json.loads((signed / SIGNATURE_FILE).read_text())
    forged["verificationMaterial"] = honest["verificationMaterial"]
    (tmp_path / "forged" / SIGNATURE_FILE).write_text(json.dumps(forged))
    assert reason_of(tmp_path / "forged", by_key(keys)) is Reason.SIGNATURE_INVALID


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_changed_byte_of_a_bundle_or_a_file_gets_through(
    data: st.DataObject, signed: Path, template: Path, keys: tuple[Path, Path]
) -> None:
    name = data.draw(st.sampled_from(["model.onnx", "model.yaml", "data/weights", SIGNATURE_FILE]))
    content = bytearray((template / name).read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    (signed / name).write_bytes(content)
    try:
        refused = outcome(signed, by_key(keys))
    finally:
        shutil.copyfile(template / name, signed / name)
    if refused is None:  # only what signs nothing may differ: white space, a field that nobody asks for
        assert name == SIGNATURE_FILE
        assert signed_part(bytes(content)) == signed_part((template / name).read_bytes())
    else:
        assert refused is Reason.SIGNATURE_INVALID


def outcome(folder: Path, wanted: Signature) -> Reason | None:
    try:
        verify(folder, wanted)
    except PackageError as error:
        return error.reason
    return None


def signed_part(bundle: bytes) -> Any:
    return json.loads(bundle)["dsseEnvelope"]["payload"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    bundle=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "mediaType",
                        "verificationMaterial",
                        "dsseEnvelope",
                        "publicKey",
                        "hint",
                        "payload",
                        "signatures",
                        "sig",
                    ]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_a_hostile_bundle_is_refused_whatever_its_shape(bundle: Any, signed: Path, keys: tuple[Path, Path]) -> None:
    (signed / SIGNATURE_FILE).write_text(json.dumps(bundle))
    assert reason_of(signed, by_key(keys)) is Reason.SIGNATURE_INVALID


def test_a_signer_that_leaves_files_out_is_not_believed(keys: tuple[Path, Path], tmp_path: Path) -> None:
    """OpenSSF's own tool leaves out Git's files, and whatever it is told to."""
    folder = make_package(tmp_path / "package", extra=b"unsigned")
    config = signing.Config().use_elliptic_key_signer(private_key=keys[0])
    config.set_hashing_config(hashing.Config().set_ignored_paths(paths=["extra", SIGNATURE_FILE]))
    config.sign(folder, folder / SIGNATURE_FILE)
    assert reason_of(folder, by_key(keys)) is Reason.SIGNATURE_INVALID
    (folder / "extra").unlink()
    verify(folder, by_key(keys))


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_keys_of_three_curves_are_taken_with_a_password_too(curve: ec.EllipticCurve, tmp_path: Path) -> None:
    keys = write_keys(tmp_path / "keys", ec.generate_private_key(curve), BestAvailableEncryption(b"secret"))
    package = make_package(tmp_path / "package")
    sign_package(package, tmp_path / "signed", keys[0], b"secret")
    verify(tmp_path / "signed", by_key(keys))
    for wrong in (b"other", None):
        with pytest.raises(ValueError, match="password"):
            sign_package(package, tmp_path / "none", keys[0], wrong)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("key", [rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256K1()), None])
def test_a_key_of_another_kind_is_refused_by_name(key: AnyKey | None, signed: Path, tmp_path: Path) -> None:
    private, public = write_keys(tmp_path / "keys", key)
    if key is None:
        private.write_text("no PEM")
        public.write_text("no PEM")
    with pytest.raises(ValueError, match="elliptic curve"):
        sign_package(signed, tmp_path / "again", private)
    assert reason_of(signed, Signature(public_key_file=str(public))) is Reason.INVALID_CONFIG


def test_a_key_that_was_not_mounted_is_a_fault_of_the_settings(signed: Path) -> None:
    assert reason_of(signed, Signature(public_key_file="/nowhere/pub.pem")) is Reason.INVALID_CONFIG


def test_a_trust_configuration_that_is_none_is_a_fault_of_the_settings(signed: Path, tmp_path: Path) -> None:
    (tmp_path / "trust.json").write_text("{}")
    wanted = Signature(identity="a@b.c", issuer="https://i", trust_file=str(tmp_path / "trust.json"))
    assert reason_of(signed, wanted) is Reason.INVALID_CONFIG


def fetching(folder: Path, home: Path, wanted: Signature | None) -> RuntimeConfig:
    return RuntimeConfig(name="m", uri=f"file://{folder}", package_dir=str(home / "models" / "now"), signature=wanted)


def test_a_signed_package_is_fetched(signed: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    package = fetch_package(fetching(signed, tmp_path, by_key(keys)))
    assert package.digest == open_package(signed).digest


@pytest.mark.parametrize("tamper", [change("added", b"x"), lambda folder: (folder / SIGNATURE_FILE).unlink()])
def test_nothing_is_left_of_a_package_whose_signature_does_not_hold(
    tamper: Callable[[Path], Any], signed: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    tamper(signed)
    with pytest.raises(PackageError, match="Signature"):
        fetch_package(fetching(signed, tmp_path, by_key(keys)))
    assert os.listdir(tmp_path / "models") == []
    assert fetch_package(fetching(signed, tmp_path, None)).manifest.name == "iris"
