"""A store whose certificate was signed by a CA that only its company knows, by HTTPS."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from integrations.stores.packing import Shelf, run_step
from integrations.stores.servers import Server, versitygw
from sluice.config import Fetching
from sluice.failures import Failure, Reason, Resolved

pytestmark = pytest.mark.timeout(900)

KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"]


@dataclass(frozen=True)
class Issued:
    """Files: the CA's certificate, and a server's certificate and key for localhost."""

    ca: Path
    certificate: Path
    key: Path


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Issued:
    folder = tmp_path_factory.mktemp("ca")
    found = Issued(folder / "ca.crt", folder / "tls.crt", folder / "tls.key")
    openssl("req", "-x509", *KEY, "-subj", "/CN=company", "-keyout", folder / "ca.key", "-out", found.ca)
    signed = ["-CA", str(found.ca), "-CAkey", str(folder / "ca.key"), "-subj", "/CN=localhost"]
    named = ["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"]
    openssl("req", "-x509", *KEY, *signed, *named, "-keyout", found.key, "-out", found.certificate)
    return found


@pytest.fixture(scope="module")
def endpoint(issued: Issued, s3_store: Shelf, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """HTTPS in front of the same objects."""
    plain = s3_store.server
    server: Server = versitygw(tmp_path_factory.mktemp("tls"))
    options = ["--cert", str(issued.certificate), "--key", str(issued.key)]
    folders = plain.argv[plain.argv.index("posix") :]
    server.argv[server.argv.index("posix") :] = [*options, *folders]
    server.start()
    yield f"https://localhost:{server.port}"
    server.kill()


@pytest.mark.parametrize("key", ["shop/3", "shop/3.tar.gz"])
def test_the_ca_of_the_secret_is_trusted(
    s3_store: Shelf, issued: Issued, endpoint: str, key: str, tmp_path: Path
) -> None:
    secret = s3_store.secret({**s3_store.server.secret, "ca.crt": issued.ca.read_text()}, "with-ca")
    config = s3_store.config(key, tmp_path, store={"endpoint": endpoint}, credentials_dir=str(secret))
    outcome = run_step(config)
    assert outcome.word == Resolved(digest=s3_store.digest, name="shop", version="3"), outcome.log


def test_without_it_nobody_is_trusted(s3_store: Shelf, endpoint: str, tmp_path: Path) -> None:
    quick = Fetching(attempts=2, backoff_seconds=0.1)
    outcome = run_step(s3_store.config("shop/3", tmp_path, store={"endpoint": endpoint}, fetching=quick))
    assert isinstance(outcome.word, Failure)
    assert outcome.word.reason is Reason.SOURCE_UNREACHABLE
    assert "ca.crt" in outcome.word.message, outcome.word.message


def openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)
