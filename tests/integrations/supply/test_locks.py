"""The images can be built for amd64 and arm64 alike."""

from pathlib import Path

import pytest

from localcluster.errors import ClusterError
from supply.locks import LOCKS, MACHINES, check


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name if lock.parent.name == "serving" else "operator")
def test_every_locked_dependency_has_a_wheel(lock: Path, machine: str) -> None:
    check(lock, MACHINES[machine])


def test_one_that_has_none_is_named() -> None:
    gpu = next(lock for lock in LOCKS if "gpu" in lock.name)
    with pytest.raises(ClusterError, match="onnxruntime-gpu"):
        check(gpu, "aarch64-manylinux_2_28")
