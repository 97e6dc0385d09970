"""The command a data scientist types."""

import json
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from sluice.cli import main


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """An ONNX file that doubles its input."""
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 2]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "double", tensors[:1], tensors[1:])
    path = tmp_path / "double.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return path


def test_a_package_shows_the_digest_it_was_made_with(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "package"
    assert main(["package", str(model), "--name", "double", "--version", "1", "--output", str(folder)]) == 0
    digest = capsys.readouterr().out.strip()
    assert main(["inspect", str(folder)]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["digest"] == digest
    assert shown["name"] == "double"
    assert [tensor["name"] for tensor in shown["inputs"]] == ["x"]


def test_a_fault_is_one_line_and_exit_status_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(tmp_path / "nothing")]) == 1
    assert capsys.readouterr().err.count("\n") == 1
