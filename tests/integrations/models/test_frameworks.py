"""A model trained here by each framework answers through the real runtime as it does in its framework.

The frameworks' exporters cannot share an environment with the runtime, and nobody's do: what crosses is the ONNX file.
"""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from integrations.environments import environment
from runtime.harness import config_for, serving
from runtime.tensors import ask
from sluice.package import open_package, write_package

TREES = (
    "lightgbm==4.7.0",
    "numpy==2.4.6",
    "onnx==1.23.2",
    "onnxmltools==1.16.0",
    "packaging==26.3",
    "scikit-learn==1.9.1",
    "skl2onnx==1.20.0",
    "xgboost-cpu==3.2.0",
)
FRAMEWORKS = {
    "lightgbm": ("trees", TREES),
    "xgboost": ("trees", TREES),
    "pytorch": (
        "pytorch",
        ("numpy==2.4.6", "onnx==1.23.2", "onnxscript==0.7.2", "scikit-learn==1.9.1", "torch==2.15.0"),
    ),
    "keras": (
        "tensorflow",
        ("keras==3.15.1", "onnx==1.23.2", "scikit-learn==1.9.1", "tensorflow-cpu==2.21.0", "tf2onnx==1.17.0"),
    ),
}


@pytest.mark.timeout(2400)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_model_answers_as_in_its_framework(framework: str, tmp_path: Path) -> None:
    train(framework, tmp_path)
    write_package(tmp_path / "model.onnx", "shop", "1", tmp_path / "package")
    inputs, expected = dict(np.load(tmp_path / "inputs.npz")), dict(np.load(tmp_path / "outputs.npz"))
    with serving(config_for(tmp_path / "package")) as running:
        answered = ask(running, inputs)
    named = zip(sorted(expected), sorted(answered), strict=True)
    for ours, theirs in named:
        np.testing.assert_allclose(answered[theirs], expected[ours], rtol=1e-4, atol=1e-5)


@pytest.mark.timeout(2400)
def test_weights_that_pytorch_keeps_beside_the_graph_are_part_of_the_package(tmp_path: Path) -> None:
    train("pytorch", tmp_path)
    write_package(tmp_path / "model.onnx", "shop", "1", tmp_path / "package")
    weights = tmp_path / "package" / "model.onnx.data"
    before = open_package(tmp_path / "package").digest
    weights.write_bytes(bytes(weights.stat().st_size))
    assert open_package(tmp_path / "package").digest != before


def train(framework: str, out: Path) -> None:
    """Run a framework's script in its own environment."""
    python = environment(*FRAMEWORKS[framework])
    script = Path(__file__).parent / f"train_{framework}.py"
    done = subprocess.run([python, script, out], capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
