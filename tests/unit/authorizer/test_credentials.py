"""How the authorizer proves itself: a pod's account, whose token is rotated, or a kubeconfig."""

import os
import ssl
from pathlib import Path

import certifi
import pytest
import yaml

from sluice_authorizer.credentials import NoCredentials, of_kubeconfig, of_service_account

INSIDE = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}


@pytest.fixture
def account(tmp_path: Path) -> Path:
    """What the kubelet mounts."""
    (tmp_path / "ca.crt").write_bytes(Path(certifi.where()).read_bytes())
    (tmp_path / "token").write_text("first\n")
    return tmp_path


def aged(path: Path) -> None:
    """As if it was written long after."""
    os.utime(path, (2_000_000_000, 2_000_000_000))


def test_a_pods_account_is_trusted_and_shown(account: Path) -> None:
    found = of_service_account(account, INSIDE)
    assert found.server == "https://10.0.0.1:443"
    assert found.headers() == {"authorization": "Bearer first"}
    assert found.trusts().verify_mode is ssl.CERT_REQUIRED
    assert found.trusts().check_hostname


def test_a_cluster_of_ipv6_has_brackets(account: Path) -> None:
    assert (
        of_service_account(account, {**INSIDE, "KUBERNETES_SERVICE_HOST": "fd00::1"}).server == "https://[fd00::1]:443"
    )


def test_a_rotated_token_is_read_again(account: Path) -> None:
    found = of_service_account(account, INSIDE)
    found.headers()
    (account / "token").write_text("second")
    aged(account / "token")
    assert found.headers() == {"authorization": "Bearer second"}


def test_rotated_authorities_are_trusted_from_then_on(account: Path) -> None:
    found = of_service_account(account, INSIDE)
    before = found.trusts()
    assert found.trusts() is before
    aged(account / "ca.crt")
    assert found.trusts() is not before


def test_outside_of_a_pod_there_is_none(tmp_path: Path) -> None:
    for environment in ({}, INSIDE):
        with pytest.raises(NoCredentials, match="no pod with a service account"):
            of_service_account(tmp_path, environment)


def kubeconfig(folder: Path, user: dict[str, str], **cluster: object) -> Path:
    path = folder / "kubeconfig"
    path.write_text(
        yaml.safe_dump(
            {
                "current-context": "b",
                "contexts": [
                    {"name": "a", "context": {"cluster": "other", "user": "other"}},
                    {"name": "b", "context": {"cluster": "c", "user": "u"}},
                ],
                "clusters": [{"name": "c", "cluster": {"server": "https://h:6443/", **cluster}}],
                "users": [{"name": "u", "user": user}],
            }
        )
    )
    return path


def test_a_kubeconfigs_current_context_counts(tmp_path: Path) -> None:
    found = of_kubeconfig(kubeconfig(tmp_path, {"token": "t"}))
    assert (found.server, found.headers()) == ("https://h:6443", {"authorization": "Bearer t"})
    assert found.trusts().verify_mode is ssl.CERT_REQUIRED


def test_a_kubeconfigs_files_lie_beside_it(account: Path) -> None:
    path = kubeconfig(account, {"tokenFile": "token"}, **{"certificate-authority": "ca.crt"})
    assert of_kubeconfig(path).headers() == {"authorization": "Bearer first"}


def test_only_who_says_so_trusts_anybody(tmp_path: Path) -> None:
    found = of_kubeconfig(kubeconfig(tmp_path, {}, **{"insecure-skip-tls-verify": True}))
    assert found.trusts().verify_mode is ssl.CERT_NONE
    assert found.headers() == {}


def test_no_token_is_told_where_credentials_are_printed(account: Path) -> None:
    found = of_service_account(account, INSIDE)
    found.headers()
    assert "first" not in repr(found)


@pytest.mark.parametrize("text", ["", "{}", "[]", "token: secret [", "current-context: x\ncontexts: []\n"])
def test_what_is_no_kubeconfig_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    with pytest.raises(NoCredentials, match="cannot be used") as refused:
        of_kubeconfig(path)
    assert "secret" not in str(refused.value)
