"""What counts as ours is decided by pure functions over what the machine's own tools print."""

from __future__ import annotations

from pathlib import Path

import pytest

from localcluster import certs, containers, machine, packages, preflight, rootfs
from localcluster.errors import ClusterError

MOUNTS = """proc /proc proc rw 0 0
overlay /run/ours/rootfs overlay rw 0 0
tmpfs /run/ours-not/x tmpfs rw 0 0
tmpfs /run/ours/a\\040b tmpfs rw 0 0
"""


def test_only_mounts_below_our_folders_are_ours() -> None:
    assert containers.mounts_below(MOUNTS, (Path("/run/ours"),)) == ["/run/ours/rootfs", "/run/ours/a b"]


def test_a_half_installed_package_does_not_count() -> None:
    assert packages.parse_installed("etcd-server installed\nrunc config-files\n\n") == {"etcd-server"}


@pytest.mark.parametrize(
    ("text", "version"),
    [("go1.26.8\n", (1, 26)), ("go1.27", (1, 27)), ("devel +abc", (0, 0)), ("", (0, 0))],
)
def test_go_versions(text: str, version: tuple[int, int]) -> None:
    assert preflight.go_version(text) == version


def test_preflight_names_what_is_missing_and_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)

    with pytest.raises(ClusterError, match=r"not root.*sudo"):
        preflight.check()


def test_the_mirror_is_the_one_that_apt_uses_for_the_suite() -> None:
    targets = "a://x/ stable Other\na://sec/ bookworm-security Debian\na://main/ bookworm Debian\n"

    assert rootfs.choose_mirror(targets) == "a://main/"
    assert rootfs.choose_mirror("a://main/ trixie Debian\n") == "a://main/"
    assert rootfs.choose_mirror("a://x/ stable Other\n") is None


def test_another_running_clone_is_refused_with_the_way_to_stop_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(machine, "owner", lambda: tmp_path)
    monkeypatch.setattr(machine, "busy", lambda: True)

    with pytest.raises(ClusterError, match="localcluster down"):
        machine.refuse_foreign()
    machine.refuse_foreign(any_clone=True)


@pytest.mark.parametrize("state", ["the clone is gone", "nothing runs"])
def test_a_dead_claim_holds_nobody_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, state: str) -> None:
    clone = tmp_path / "gone" if state == "the clone is gone" else tmp_path
    monkeypatch.setattr(machine, "owner", lambda: clone)
    monkeypatch.setattr(machine, "busy", lambda: state != "nothing runs")

    machine.refuse_foreign()


def test_certificates_say_who_and_for_which_addresses() -> None:
    client = certs.Certificate("kubelet", "system:node:a", group="system:nodes")
    server = certs.Certificate("apiserver", "kube-apiserver", names=("localhost", "127.0.0.1"))

    assert client.subject == "/O=system:nodes/CN=system:node:a"
    assert "extendedKeyUsage=clientAuth" in client.extensions
    assert "extendedKeyUsage=serverAuth" in server.extensions
    assert "subjectAltName=DNS:localhost,IP:127.0.0.1" in server.extensions
