"""Signatures without a key: a package counts by who signed it, and by who vouched for that."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sluice.config import Signature
from sluice.failures import PackageError, Reason
from sluice_store.signatures import SIGNATURE_FILE, verify
from unit.store.own_sigstore import Sigstore, b64
from unit.store.packages import make_package

IDENTITY, ISSUER = "trainer@example.com", "https://accounts.example.com"


@pytest.fixture(scope="module")
def sigstore() -> Sigstore:
    return Sigstore()


@pytest.fixture
def signed(sigstore: Sigstore, tmp_path: Path) -> Path:
    package = make_package(tmp_path / "package")
    sigstore.sign(package, IDENTITY, ISSUER)
    return package


def by(sigstore: Sigstore, tmp_path: Path, identity: str = IDENTITY, issuer: str = ISSUER) -> Signature:
    return Signature(identity=identity, issuer=issuer, trust_file=str(sigstore.trust(tmp_path / "trust.json")))


def why(folder: Path, wanted: Signature) -> str:
    with pytest.raises(PackageError) as caught:
        verify(folder, wanted)
    assert caught.value.reason is Reason.SIGNATURE_INVALID
    return caught.value.message


def test_a_package_that_the_wanted_one_signed_holds(signed: Path, sigstore: Sigstore, tmp_path: Path) -> None:
    verify(signed, by(sigstore, tmp_path))


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"identity": "other@example.com"}, "SANs do not match"),
        ({"issuer": "https://elsewhere.example.com"}, "OIDCIssuer does not match"),
        ({"identity": "trainer@example.com.evil"}, "SANs do not match"),
        ({"identity": "*"}, "SANs do not match"),
        ({"identity": ""}, "SANs do not match"),
    ],
)
def test_another_identity_does_not_count(
    wanted: dict[str, str], told: str, signed: Path, sigstore: Sigstore, tmp_path: Path
) -> None:
    assert told in why(signed, by(sigstore, tmp_path, **wanted))


def test_an_authority_that_is_not_trusted_does_not_count(signed: Path, tmp_path: Path) -> None:
    assert "certificate chain" in why(signed, by(Sigstore(), tmp_path))


@pytest.mark.parametrize(
    ("part", "told"), [("ca_key", "certificate chain"), ("ct_key", "SCT verify failed"), ("log_key", "checkpoint")]
)
def test_each_part_of_the_root_of_trust_has_to_be_the_right_one(
    part: str, told: str, signed: Path, sigstore: Sigstore, tmp_path: Path
) -> None:
    """The authority alone is not enough: both logs must have seen it."""
    keys = {name: getattr(sigstore, name) for name in ("ca_key", "ct_key", "log_key")}
    assert told in why(signed, by(Sigstore(**{**keys, part: getattr(Sigstore(), part)}), tmp_path))


@pytest.mark.parametrize(
    ("tamper", "told"),
    [
        (lambda folder: (folder / "model.onnx").write_bytes(b"\x08\x07other"), "Hash mismatch for 'model.onnx'"),
        (lambda folder: (folder / "added").write_bytes(b"x"), "Extra files"),
        (lambda folder: (folder / "model.yaml").unlink(), "Missing files"),
    ],
)
def test_a_package_that_was_tampered_with_is_refused(
    tamper: Callable[[Path], Any], told: str, signed: Path, sigstore: Sigstore, tmp_path: Path
) -> None:
    tamper(signed)
    assert told in why(signed, by(sigstore, tmp_path))


BY_A_KEY = {"publicKey": {"hint": "x"}, "tlogEntries": []}


def without(bundle: dict[str, Any], *path: str) -> dict[str, Any]:
    inner = bundle["verificationMaterial"]
    for part in path[:-1]:
        inner = inner[part] if not isinstance(inner, list) else inner[0]
    inner.pop(path[-1])
    return bundle


@pytest.mark.parametrize(
    ("forge", "told"),
    [
        (lambda bundle, other: without(bundle, "tlogEntries"), "tlogEntries"),
        (lambda bundle, other: without(bundle, "certificate"), "certificate"),
        (lambda bundle, other: without(bundle, "tlogEntries", "", "inclusionProof"), "inclusionProof"),
        (lambda bundle, other: without(bundle, "tlogEntries", "", "inclusionPromise"), "inclusion promise"),
        (lambda bundle, other: bundle | {"dsseEnvelope": other["dsseEnvelope"]}, "invalid signature"),
        (lambda bundle, other: bundle | {"verificationMaterial": other["verificationMaterial"]}, "invalid signature"),
        (lambda bundle, other: bundle | {"verificationMaterial": BY_A_KEY}, "expected certificate"),
    ],
)
def test_a_bundle_of_parts_that_do_not_belong_together_is_refused(
    forge: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]],
    told: str,
    signed: Path,
    sigstore: Sigstore,
    tmp_path: Path,
) -> None:
    bundle = json.loads((signed / SIGNATURE_FILE).read_text())
    other = sigstore.sign(make_package(tmp_path / "elsewhere" / "other", extra=b"x"), IDENTITY, ISSUER)
    (signed / SIGNATURE_FILE).write_text(json.dumps(forge(bundle, other)))
    assert told in why(signed, by(sigstore, tmp_path))


def test_the_signature_of_another_package_is_refused(signed: Path, sigstore: Sigstore, tmp_path: Path) -> None:
    other = make_package(tmp_path / "elsewhere" / "other", extra=b"x")
    sigstore.sign(other, IDENTITY, ISSUER)
    shutil.copyfile(other / SIGNATURE_FILE, signed / SIGNATURE_FILE)
    assert "mismatch" in why(signed, by(sigstore, tmp_path)).lower()


def test_a_time_that_the_log_did_not_sign_is_refused(signed: Path, sigstore: Sigstore, tmp_path: Path) -> None:
    bundle = json.loads((signed / SIGNATURE_FILE).read_text())
    entry = bundle["verificationMaterial"]["tlogEntries"][0]
    entry["integratedTime"] = str(int(entry["integratedTime"]) + 60)
    entry["inclusionPromise"]["signedEntryTimestamp"] = b64(b"0" * 70)
    (signed / SIGNATURE_FILE).write_text(json.dumps(bundle))
    assert "inclusion promise" in why(signed, by(sigstore, tmp_path))
