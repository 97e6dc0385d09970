"""Threads follow the pod's quota, in both generations of cgroups."""

from pathlib import Path

import pytest

from sluice_runtime.cpu import cpu_quota, usable_threads


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


@pytest.mark.parametrize(
    ("quota", "cpus", "threads"), [(0.25, 8, 1), (1.0, 8, 1), (1.5, 8, 2), (16.0, 4, 4), (None, 4, 4), (None, 0, 1)]
)
def test_threads_are_the_quota_rounded_up_within_the_allowed_cpus(quota: float | None, cpus: int, threads: int) -> None:
    assert usable_threads(quota, cpus) == threads
