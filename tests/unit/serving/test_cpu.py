"""Threads follow the pod's limit, or else its request, in both generations of cgroups."""

from pathlib import Path

import pytest

from sluice_runtime.cpu import cpu_quota, cpu_request, usable_threads

IN_A_POD = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}


def v1(root: Path, quota: str) -> None:
    (root / "cpu").mkdir()
    (root / "cpu/cpu.cfs_quota_us").write_text(quota + "\n")
    (root / "cpu/cpu.cfs_period_us").write_text("100000\n")


@pytest.mark.parametrize(("text", "quota"), [("50000 100000\n", 0.5), ("400000 200000\n", 2.0), ("max 100000\n", None)])
def test_the_quota_is_read_from_cgroup_v2(text: str, quota: float | None, tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text(text)
    assert cpu_quota(tmp_path) == quota


@pytest.mark.parametrize(("text", "quota"), [("50000", 0.5), ("250000", 2.5), ("-1", None)])
def test_the_quota_is_read_from_cgroup_v1(text: str, quota: float | None, tmp_path: Path) -> None:
    v1(tmp_path, text)
    assert cpu_quota(tmp_path) == quota


def test_without_a_cgroup_there_is_no_quota(tmp_path: Path) -> None:
    assert cpu_quota(tmp_path) is None


@pytest.mark.parametrize(("quota", "threads"), [(0.25, 1), (1.0, 1), (1.5, 2), (16.0, 4)])
@pytest.mark.parametrize("request_", [None, 0.1, 3.0])
def test_a_limit_alone_decides_rounded_up_within_the_allowed_cpus(
    quota: float, threads: int, request_: float | None
) -> None:
    assert usable_threads(quota, request_, allowed_cpus=4) == threads


@pytest.mark.parametrize(("request_", "threads"), [(0.002, 1), (0.25, 1), (2.0, 2), (2.5, 3), (100.0, 64)])
def test_without_a_limit_threads_follow_the_request_and_not_the_node(request_: float, threads: int) -> None:
    assert usable_threads(None, request_, allowed_cpus=64) == threads


def test_without_either_all_cpus_are_used() -> None:
    assert usable_threads(None, None, allowed_cpus=4) == 4


@pytest.mark.parametrize(("shares", "cpus"), [("2", 0.002), ("256", 0.25), ("1024", 1.0), ("4096", 4.0)])
def test_the_request_of_a_pod_is_read_from_cgroup_v1(shares: str, cpus: float, tmp_path: Path) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.shares").write_text(shares + "\n")
    assert cpu_request(tmp_path, IN_A_POD) == pytest.approx(cpus, abs=1e-3)


@pytest.mark.parametrize(("weight", "cpus"), [("1", 0.002), ("10", 0.25), ("39", 1.0), ("157", 4.0)])
def test_the_request_of_a_pod_is_read_from_cgroup_v2(weight: str, cpus: float, tmp_path: Path) -> None:
    (tmp_path / "cpu.weight").write_text(weight + "\n")
    assert cpu_request(tmp_path, IN_A_POD) == pytest.approx(cpus, rel=0.1, abs=1e-3)


def test_outside_a_pod_a_share_is_no_request(tmp_path: Path) -> None:
    (tmp_path / "cpu.weight").write_text("100\n")
    assert cpu_request(tmp_path, {}) is None
    assert cpu_request(tmp_path / "nothing", IN_A_POD) is None
