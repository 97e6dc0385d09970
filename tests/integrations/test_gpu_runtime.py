"""The GPU's build of ONNX Runtime on a machine without a GPU: the quiet way to the CPU is closed."""

import os
import subprocess
from pathlib import Path

import pytest

from integrations.environments import environment
from runtime.harness import PATIENCE, SERVING, config_for, package_of
from runtime.models import trained
from sluice.failures import Failure, Reason, parse_termination

LOCK = SERVING / "requirements-gpu.lock"
# Without CUDA's own libraries, two gigabytes that only a driver could use.
LEFT_OUT = "nvidia-"


@pytest.mark.timeout(2400)
def test_a_gpu_image_on_a_node_without_a_gpu_ends_with_its_reason(tmp_path: Path) -> None:
    package = package_of(trained(), tmp_path)
    config = config_for(package, providers=[{"name": "CUDAExecutionProvider"}])
    python = environment("runtime-gpu", [pin for pin in pins() if not pin.startswith(LEFT_OUT)])
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SERVING), "SLUICE_CONFIG": config.to_env_value()}
    environ["CUDA_VISIBLE_DEVICES"] = ""  # so that a machine with a GPU has none either
    done = subprocess.run([python, "-m", "sluice_runtime"], env=environ, timeout=PATIENCE, check=False)
    assert done.returncode == 1
    word = parse_termination(Path(config.termination_log).read_text())
    assert isinstance(word, Failure)
    assert word.reason is Reason.ACCELERATOR_UNAVAILABLE


def pins() -> list[str]:
    """The versions in the GPU image."""
    lines = (line.split()[0] for line in LOCK.read_text().splitlines() if line and not line.startswith((" ", "#")))
    return [line for line in lines if "==" in line]
