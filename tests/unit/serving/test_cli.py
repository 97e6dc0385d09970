"""The command a data scientist types."""

import json
import subprocess
import sys
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


def packed(model: Path, out: Path, *more: str) -> list[str]:
    return ["package", str(model), "--name", "double", "--version", "1", "--output", str(out), *more]


@pytest.mark.parametrize("form", ["package", "package.tar.gz"])
def test_a_package_shows_the_digest_it_was_made_with(
    form: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(packed(model, tmp_path / form)) == 0
    digest = capsys.readouterr().out.strip()
    assert main(["inspect", str(tmp_path / form), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["digest"] == digest
    assert shown["name"] == "double"
    assert shown["opset"] == {"ai.onnx": 17}
    assert shown["size"] == sum(shown["files"].values())
    assert set(shown["files"]) == {"model.onnx", "model.yaml"}
    assert [tensor["name"] for tensor in shown["inputs"]] == ["x"]


def test_a_person_is_shown_a_table_with_the_card(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "about.md").write_text("# Doubles\n")
    card = ("--description", "Doubles a pair", "--owner", "team-a", "--license", "MIT")
    main(packed(model, tmp_path / "package", *card, "--doc", str(tmp_path / "about.md")))
    capsys.readouterr()
    assert main(["inspect", str(tmp_path / "package")]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("double 1\n")
    for word in ("sha256:", "ai.onnx 17", "x  FP32    [-1, 2]", "Doubles a pair", "team-a", "MIT", "README.md"):
        assert word in shown
    assert (tmp_path / "package" / "README.md").read_text() == "# Doubles\n"


def test_an_output_that_cannot_be_served_is_pointed_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tensor = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])
    pair = helper.make_tensor_sequence_value_info("pair", TensorProto.FLOAT, None)
    double = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 2])
    nodes = [helper.make_node("SequenceConstruct", ["x", "x"], ["pair"]), helper.make_node("Add", ["x", "x"], ["y"])]
    graph = helper.make_graph(nodes, "g", [tensor], [double, pair])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), tmp_path / "m.onnx")
    assert main(packed(tmp_path / "m.onnx", tmp_path / "package")) == 0
    assert "pair" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["inspect", "nothing"], "nothing does not exist"),
        (["inspect", "double.onnx"], "no tar file"),
        (["package", "none.onnx", "--name", "m", "--version", "1", "--output", "p"], "none.onnx"),
        (["package", "double.onnx", "--name", "no spaces", "--version", "1", "--output", "p"], "name: "),
        (["package", "double.onnx", "--name", "m", "--version", "1", "--output", "double.onnx"], "exists"),
        (["package", "double.onnx", "--name", "m", "--version", "1", "--output", "m.tar"], ".tar.gz"),
        (["run", "double.onnx", "--port", "99999"], "port"),
        (["run", "double.onnx", "--provider", "cuda"], "ExecutionProvider"),
        (["predict", "nothing", "--input", "[]"], "nothing does not exist"),
    ],
)
def test_a_fault_is_one_line_and_exit_status_1(
    words: list[str],
    told: str,
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(model.parent)
    assert main(words) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert told in said.err
    assert sorted(path.name for path in model.parent.iterdir()) == ["double.onnx"]


def test_a_wrong_command_line_is_exit_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["pack"], ["inspect"]):
        with pytest.raises(SystemExit) as caught:
            main(words)
        assert caught.value.code == 2
    assert "usage: sluice" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["--help"], ["package", "--help"], ["run", "--help"], ["predict", "--help"], ["push", "--help"]]
)
def test_help_is_there_without_anything_heavy(words: list[str]) -> None:
    heavy = {"numpy", "pydantic", "yaml", "httpx", "onnx", "onnxruntime", "bentoml", "obstore"}
    program = f"""
import sys
from sluice.cli import main
try:
    main({words})
finally:
    print("loaded:", sorted({heavy} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "loaded: []" in done.stdout
