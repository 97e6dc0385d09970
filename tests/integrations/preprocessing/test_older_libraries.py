"""A package that an older version of a library made, and that answers otherwise for it, is refused by its sample."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from integrations.environments import environment
from runtime.harness import config_for, run
from sluice.failures import Failure, Reason
from sluice.package import write_package
from sluice.parts import Parts
from sluice.sample import dump_sample
from sluice_runtime.runtime import load

OLDER = (
    "numpy==1.24.4",
    "onnx==1.13.1",
    "protobuf==3.20.3",
    "scikit-learn==1.2.2",
    "scipy==1.10.1",
    "skl2onnx==1.14.0",
)


def package(python: str, folder: Path) -> Path:
    """A package that this interpreter's libraries made, with the sample that they recorded."""
    folder.mkdir()
    script = Path(__file__).with_name("train_clipped.py")
    subprocess.run([python, script, folder], check=True, timeout=600)
    recorded = np.load(folder / "sample.npz")
    sample = dump_sample({"rows": recorded["rows"]}, {"variable": recorded["variable"]})
    (folder / "sample.json").write_text(sample)
    write_package(folder / "model.onnx", "shop", "1", folder / "package", parts=Parts(sample=folder / "sample.json"))
    return folder / "package"


@pytest.mark.timeout(2400)
def test_an_older_converter_is_found_out_and_todays_is_not(tmp_path: Path) -> None:
    older = package(str(environment("older-converter", OLDER)), tmp_path / "older")
    code, word = run("sluice_runtime", config_for(older))
    assert code == 1
    assert isinstance(word, Failure)
    assert word.reason is Reason.SAMPLE_MISMATCH
    assert "a library is another one" in word.message
    load(config_for(package(sys.executable, tmp_path / "today")))
