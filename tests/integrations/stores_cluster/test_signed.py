"""On a real cluster only what the wanted signer signed is served; all else is refused and does no harm."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from e2e.specs import QUICK, ROUTER, RUNTIME
from e2e.zoo import Zoo
from sluice.package import opened
from sluice_store.signatures import SIGNATURE_FILE, sign_package
from support.cluster import Cluster
from support.deployments import model_deployment, stable, until_promoted, until_stalled
from support.kube import Kube, Object, condition, is_true
from support.packages import Built, rearchived
from support.store import Store, run_store
from unit.store.keys import write_keys

NAME = "store-revenue"
SIGNER = "signer"


@dataclass(frozen=True)
class Signed:
    """A store in the test's own namespace, the digests of its packages, and the public key of who is wanted."""

    store: Store
    digests: Mapping[str, str]
    public: str


@pytest.fixture
def signed(kube: Kube, cluster: Cluster, zoo: Zoo, tmp_path: Path) -> Signed:
    """Two versions by the wanted signer, and what somebody else would put in their place."""
    ours, theirs = write_keys(tmp_path / "ours"), write_keys(tmp_path / "theirs")
    v1, v2 = (sign(zoo.built[name], ours[0], tmp_path / f"{name}.tar.gz") for name in ("v1", "v2"))
    files = {
        "v1.tar.gz": v1,
        "v2.tar.gz": v2,
        "unsigned.tar.gz": zoo.built["v2"].archive,
        "another-key.tar.gz": sign(zoo.built["v2"], theirs[0], tmp_path / "another-key.tar.gz"),
        "changed.tar.gz": rearchived(of(v2), {"model.onnx": zoo.built["v3"].model}),
        "added.tar.gz": rearchived(of(v2), {"notes.md": b"not there when it was signed"}),
        "borrowed.tar.gz": rearchived(of(v2), {SIGNATURE_FILE: signature_of(tmp_path / "v1.tar.gz")}),
        "pickled.tar.gz": rearchived(of(v2), {"weights": pickle.dumps({"a": 1})}),
    }
    store = run_store(kube, cluster.images["runtime"], files)
    return Signed(store, {name: digest_of(tmp_path / f"{name}.tar.gz") for name in ("v1", "v2")}, ours[1].read_text())


def sign(package: Built, key: Path, out: Path) -> bytes:
    plain = out.with_name(f"plain-{out.name}")
    plain.write_bytes(package.archive)
    sign_package(plain, out, key)
    return out.read_bytes()


def of(archive: bytes) -> Built:
    return replace(EMPTY, archive=archive)


EMPTY = Built(version="", archive=b"", digest="", model=b"")


def signature_of(archive: Path) -> bytes:
    with opened(archive) as package:
        return (package.folder / SIGNATURE_FILE).read_bytes()


def digest_of(archive: Path) -> str:
    with opened(archive) as package:
        return package.digest


def wanted(store: Store, file: str) -> Object:
    asked = model_deployment(NAME, store.uri(file), runtime=RUNTIME, router=ROUTER, rollout=QUICK)
    asked["spec"]["model"]["signature"] = {"publicKey": {"secretRef": {"name": SIGNER}}}
    return asked


REFUSED = {
    "unsigned.tar.gz": ("SignatureMissing", SIGNATURE_FILE),
    "another-key.tar.gz": ("SignatureInvalid", "key"),
    "changed.tar.gz": ("SignatureInvalid", "model.onnx"),
    "added.tar.gz": ("SignatureInvalid", "notes.md"),
    "borrowed.tar.gz": ("SignatureInvalid", "model.onnx"),
    "pickled.tar.gz": ("InvalidPackage", "pickle"),
}


def test_only_what_the_wanted_signer_signed_is_served(kube: Kube, signed: Signed) -> None:
    # Given a version that was signed by whoever holds the other half of a Secret's key
    kube.apply(secret(SIGNER, {"pub.pem": signed.public}), wanted(signed.store, "v1.tar.gz"))
    first = until_promoted(kube, NAME)
    assert first["status"]["stable"]["digest"] == signed.digests["v1"]
    for file, (reason, part) in REFUSED.items():
        # When something is asked for that they did not sign
        kube.apply(wanted(signed.store, file))
        found = until_stalled(kube, NAME)
        # Then it is refused with its reason, and the first version serves on
        told = condition(found, "Stalled")
        assert (told["reason"], found["status"]["reason"]) == (reason, reason), f"{file}: {told}"
        assert part in told["message"]
        assert (is_true(found, "Ready"), stable(found)) == (True, stable(first))
    # And the next one by the same signer is rolled out
    kube.apply(wanted(signed.store, "v2.tar.gz"))
    assert until_promoted(kube, NAME)["status"]["stable"]["digest"] == signed.digests["v2"]


def secret(name: str, values: Mapping[str, str]) -> Object:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": dict(values)}
