"""What a package holds beside its graph is written as files say it, and means what it says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from sluice.cli import main
from sluice.contract import Variable
from sluice.failures import PackageError, Reason
from sluice.manifest import Card, load_manifest
from sluice.merging import merged
from sluice.package import open_package, write_package
from sluice.parts import Parts, locked_requirements
from sluice.sample import dump_sample
from sluice.statistics import Statistics, dump_statistics
from sluice_runtime.protocol.card import encode_card

SAMPLE = dump_sample({"x": np.array([[1.5, 2]], np.float32)}, {"y": np.array([[3, 4]], np.float32)})

STATISTICS = dump_statistics(Statistics(rows=3))


def graph(nodes: list[onnx.NodeProto], takes: dict[str, int], gives: list[str], opset: int = 17) -> onnx.ModelProto:
    """A graph over vectors; `takes`: their lengths by name."""
    inputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [None, size]) for n, size in takes.items()]
    outputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [None, None]) for n in gives]
    return helper.make_model(
        helper.make_graph(nodes, "g", inputs, outputs), opset_imports=[helper.make_opsetid("", opset)], ir_version=9
    )


def saved(model: onnx.ModelProto, path: Path) -> Path:
    onnx.save(model, path)
    return path


@pytest.fixture
def double(tmp_path: Path) -> Path:
    return saved(graph([helper.make_node("Add", ["x", "x"], ["y"])], {"x": 2}, ["y"]), tmp_path / "double.onnx")


def pack(model: Path, *more: object) -> int:
    out = model.parent / "package"
    words = ["package", model, "--name", "double", "--version", "1", "--output", out, *more]
    return main([str(word) for word in words])


def written(folder: Path, name: str, text: str) -> Path:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


CARD = {
    "intendedUse": "Stock of next week",
    "limitations": "No shops abroad",
    "metrics": {"rmse": 12.5},
    "slices": [{"by": "town", "value": "Breda", "rows": 3, "metrics": {"rmse": 1}}],
    "fairness": [{"group": "sex", "metric": "rmse", "values": {"f": 1.0, "m": 2.0}, "difference": 1.0}],
    "importance": [{"variable": "x", "share": 0.75}],
}


def test_everything_that_files_say_is_in_the_package(
    double: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    contract = {"variables": [{"name": "width", "input": "x", "column": 1, "minimum": 0, "unit": "m"}]}
    features = {"service": "shops_v1", "entities": [{"name": "shop"}], "features": [{"name": "x", "column": 0}]}
    files = {
        "--card": written(tmp_path, "card.yaml", yaml.safe_dump(CARD)),
        "--contract": written(tmp_path, "contract.yaml", yaml.safe_dump(contract)),
        "--features": written(tmp_path, "features.yaml", yaml.safe_dump(features)),
        "--sample": written(tmp_path, "rows.json", SAMPLE),
        "--statistics": written(tmp_path, "seen.json", STATISTICS),
    }
    words = [word for pair in files.items() for word in pair]
    assert pack(double, *words, "--owner", "team-a", "--tolerance", "0.001") == 0
    manifest = open_package(tmp_path / "package").manifest
    assert manifest.card == Card.model_validate(CARD | {"owner": "team-a"})
    assert manifest.variables[0].tensor == "x"
    assert manifest.features is not None
    assert manifest.features.service == "shops_v1"
    assert manifest.sample is not None
    assert manifest.sample.relative == 0.001
    assert (tmp_path / "package/sample.json").read_text() == SAMPLE
    assert (tmp_path / "package/statistics.json").read_text() == STATISTICS
    capsys.readouterr()
    assert main(["inspect", str(tmp_path / "package")]) == 0
    shown = capsys.readouterr().out
    for text in ("Stock of next week", "rmse 12.5", "x 75.0%", "team-a", "replayed: yes, with the same answers"):
        assert text in shown


def test_a_package_that_answers_otherwise_is_never_written(
    double: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sample = written(tmp_path, "rows.json", SAMPLE.replace("3.0", "3.1"))
    assert pack(double, "--sample", sample) == 1
    assert "SampleMismatch" in capsys.readouterr().err
    assert not (tmp_path / "package").exists()


CODE = """
from sluice import Model

class Halved(Model):
    def preprocess(self, inputs):
        return {"x": inputs["pair"] / 2}
"""


def coded(tmp_path: Path, double: Path, *more: object) -> int:
    written(tmp_path, "code/halved.py", CODE)
    written(tmp_path, "code/__pycache__/halved.pyc", "x")
    written(tmp_path, "code/.secret", "x")
    sample = written(tmp_path, "rows.json", SAMPLE.replace('"x"', '"pair"').replace("1.5, 2.0", "3.0, 4.0"))
    return pack(double, "--code", tmp_path / "code", "--sample", sample, *more)


def test_a_package_with_code_has_the_signature_of_its_sample(
    double: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = written(tmp_path, "lock.txt", "# nothing but the runtime's own\n")
    assert coded(tmp_path, double, "--entrypoint", "halved:Halved", "--lock", lock) == 0
    package = open_package(tmp_path / "package")
    assert [(spec.name, spec.shape) for spec in package.manifest.inputs] == [("pair", (-1, 2))]
    files = {path.relative_to(package.folder).as_posix() for path in package.folder.rglob("*") if path.is_file()}
    assert files == {"model.onnx", "model.yaml", "sample.json", "code/halved.py", "code/requirements.lock"}
    capsys.readouterr()
    assert main(["inspect", str(tmp_path / "package")]) == 0
    assert "holds Python code, which --run-code runs" in capsys.readouterr().out


@pytest.mark.parametrize("given_words", [(), ("--entrypoint", "halved:Halved")])
def test_code_without_its_lock_or_entrypoint_is_not_packed(
    given_words: tuple[str, ...], double: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert coded(tmp_path, double, *given_words) == 1
    assert "belong together" in capsys.readouterr().err


def test_code_without_a_sample_has_no_signature(
    double: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path, "code/halved.py", CODE)
    lock = written(tmp_path, "lock.txt", "")
    assert pack(double, "--code", tmp_path / "code", "--entrypoint", "halved:Halved", "--lock", lock) == 1
    assert "needs a sample" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "text", "words"),
    [
        ("--contract", "variables: [{name: z}]", "there is no input 'z'"),
        ("--contract", "variables: [{name: x, column: 2}]", "no column 2"),
        ("--contract", "variables: [{name: x, minimum: 2, maximum: 1}]", "minimum is larger than maximum"),
        ("--contract", "variables: [{name: a, input: x}, {name: b, input: x}]", "another variable stands for the same"),
        ("--contract", "variable: []", "variables: Field required"),
        ("--features", "service: s\nentities: [{name: e}]\nfeatures: [{name: f}]", "feature 'f': there is no input"),
        ("--statistics", '{"rows": 3, "mean": 1}', "said: mean: Extra inputs"),
        ("--statistics", "[", "said: document: Invalid JSON"),
        ("--card", "metric: 1", "metric: Extra inputs"),
        ("--card", "a: [", "no YAML"),
        ("--sample", "{}", "no sample"),
    ],
)
def test_a_file_that_does_not_fit_is_one_line(
    option: str, text: str, words: str, double: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tmp_path = double.parent
    if option == "--sample":
        assert coded(tmp_path, double, "--entrypoint", "halved:Halved", "--lock", written(tmp_path, "l", ""), option,
                     written(tmp_path, "said", text)) == 1  # fmt: skip
    else:
        assert pack(double, option, written(tmp_path, "said", text)) == 1
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1


def test_a_contract_that_pods_refuse_is_told_by_who_looks_at_the_package(
    double: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = Parts(variables=(Variable(name="x", maximum=1e300),))
    write_package(double, "double", "1", tmp_path / "package", parts=parts)
    assert main(["inspect", str(tmp_path / "package")]) == 1
    assert "InvalidPackage: model.yaml: 'x': 1e+300 is too large for FP32" in capsys.readouterr().err


def test_the_clock_is_an_input_and_no_feature(double: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert pack(double, "--clock", "now") == 1
    assert "clock: there is no input 'now'" in capsys.readouterr().err
    features = written(tmp_path, "f", "service: s\nentities: [{name: e}]\nfeatures: [{name: x}]")
    assert pack(double, "--clock", "x", "--features", features) == 1
    assert "both a feature and the clock" in capsys.readouterr().err


def test_a_card_in_a_few_words_is_short_whatever_it_says() -> None:
    card = Card(description="a  b\n" * 500, metrics={f"m{number}": number / 3 for number in range(9)})
    assert card.summary()["description"].startswith("a b a b")
    assert len(card.summary()["description"]) == 240
    assert card.summary()["metrics"] == "m0=0, m1=0.333333, m2=0.666667, m3=1, m4=1.33333"
    assert Card().summary() == {}


def test_locks_are_read_as_pip_reads_them() -> None:
    hashes = " \\\n    --hash=sha256:0 \\\n    --hash=sha256:1\n    # via me\n"
    text = f"# made by uv\n--index-url x\nnumpy==2.2{hashes}\na==1 # b\n"
    assert locked_requirements(text) == ["numpy==2.2", "a==1"]


@given(st.lists(st.floats(width=32, allow_infinity=False), min_size=1, max_size=5))
def test_a_sample_keeps_every_number_exactly(numbers: list[float]) -> None:
    tensor = np.array(numbers, np.float32)
    data = json.loads(dump_sample({"x": tensor}, {}))["inputs"][0]["data"]
    back = np.array([np.nan if value is None else value for value in data], np.float32)
    assert np.array_equal(back, tensor, equal_nan=True)


def run(model: onnx.ModelProto, **inputs: list[float]) -> list[list[float]]:
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString())
    given = {name: np.array([values], np.float32) for name, values in inputs.items()}
    found: list[list[float]] = session.run(None, given)[0].tolist()
    return found


def adds(one: str, other: str, out: str) -> onnx.NodeProto:
    return helper.make_node("Add", [one, other], [out], name=f"to_{out}")


def test_a_graph_in_front_gives_what_the_model_takes(tmp_path: Path) -> None:
    """Both call their input x and a value in between t, and the model takes another input as it is."""
    first = graph([adds("x", "x", "t"), adds("t", "x", "scaled")], {"x": 2}, ["scaled"])
    second = graph([adds("scaled", "z", "t"), adds("t", "x", "y")], {"scaled": 2, "z": 2, "x": 2}, ["y"])
    whole = merged(saved(first, tmp_path / "a"), saved(second, tmp_path / "b"))
    assert [value.name for value in whole.graph.input] == ["x", "z"]
    assert [value.name for value in whole.graph.output] == ["y"]
    assert run(whole, x=[1, 2], z=[10, 20]) == [[3 + 10 + 1, 6 + 20 + 2]]


@pytest.mark.parametrize("version", [3, 9])
def test_constants_that_old_graphs_list_as_inputs_stay_constants(version: int, tmp_path: Path) -> None:
    """In both graphs, and under one name."""
    first = graph([adds("x", "w", "scaled")], {"x": 2, "w": 2}, ["scaled"])
    second = graph([adds("scaled", "w", "y")], {"w": 2, "scaled": 2}, ["y"])
    for model, value in ((first, 10), (second, 100)):
        model.ir_version = version
        model.graph.initializer.append(numpy_helper.from_array(np.full((1, 2), value, np.float32), "w"))
    whole = merged(saved(first, tmp_path / "a"), saved(second, tmp_path / "b"))
    assert [value.name for value in whole.graph.input] == ["x"]
    assert run(whole, x=[1, 2]) == [[111, 112]]


def test_names_that_look_like_ours_are_kept(tmp_path: Path) -> None:
    first = graph([adds("model/x", "model/x", "t")], {"model/x": 2}, ["t"])
    second = graph([adds("t", "preprocess/z", "model/y")], {"t": 2, "preprocess/z": 2}, ["model/y"])
    whole = merged(saved(first, tmp_path / "a"), saved(second, tmp_path / "b"))
    assert [value.name for value in whole.graph.input] == ["model/x", "preprocess/z"]
    assert [value.name for value in whole.graph.output] == ["model/y"]
    assert run(whole, **{"model/x": [1.0, 2.0], "preprocess/z": [5.0, 6.0]}) == [[7, 10]]


def test_one_output_goes_to_one_input_whatever_they_are_called(double: Path, tmp_path: Path) -> None:
    first = graph([adds("raw", "raw", "prepared")], {"raw": 2}, ["prepared"])
    assert pack(double, "--preprocess", saved(first, tmp_path / "p.onnx")) == 0
    package = open_package(tmp_path / "package")
    assert [spec.name for spec in package.manifest.inputs] == ["raw"]
    assert run(onnx.load(package.model_path), raw=[1, 2]) == [[4, 8]]


@pytest.mark.parametrize(
    ("first", "reason", "words"),
    [
        (lambda: graph([adds("x", "x", "t")], {"x": 2}, ["t"], opset=16), Reason.OPSET_UNSUPPORTED, "target_opset"),
        (
            lambda: graph([adds("x", "x", "t"), adds("x", "x", "u")], {"x": 2}, ["t", "u"]),
            Reason.SIGNATURE_MISMATCH,
            "gives ['t', 'u']",
        ),
        (lambda: graph([adds("y", "y", "t")], {"y": 2}, ["t"]), Reason.SIGNATURE_MISMATCH, "inputs and outputs of one"),
    ],
)
def test_graphs_that_do_not_go_together_say_why(
    first: Callable[[], onnx.ModelProto], reason: Reason, words: str, double: Path, tmp_path: Path
) -> None:
    with pytest.raises(PackageError) as caught:
        merged(saved(first(), tmp_path / "a"), double)
    assert caught.value.reason is reason
    assert words in caught.value.message


def test_the_manifest_is_read_back(double: Path, tmp_path: Path) -> None:
    card = written(tmp_path, "card.yaml", yaml.safe_dump(CARD))
    assert pack(double, "--card", card) == 0
    assert load_manifest(tmp_path / "package/model.yaml").card == Card.model_validate(CARD)


def test_what_an_image_is_made_from_can_be_taken_elsewhere(
    double: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = written(tmp_path, "lock.txt", "# nothing but the runtime's own\n")
    assert coded(tmp_path, double, "--entrypoint", "halved:Halved", "--lock", lock) == 0
    preprocessing = open_package(tmp_path / "package").manifest.preprocessing
    assert preprocessing is not None
    capsys.readouterr()
    source = str(tmp_path / "package")
    assert main(["build", source, "--print", "--base", "registry.example/runtime:7"]) == 0
    shown = capsys.readouterr().out
    assert "ARG BASE_IMAGE=registry.example/runtime:7" in shown
    assert f"LABEL dev.sluice.environment={preprocessing.environment}" in shown
    assert main(["build", source, "--context", str(tmp_path / "context"), "--base", "registry.example/runtime:7"]) == 0
    assert (tmp_path / "context/Dockerfile").read_text() == shown.removesuffix("\n")
    assert (tmp_path / "context/requirements.lock").read_text() == lock.read_text()
    assert open_package(tmp_path / "context/package").digest == open_package(tmp_path / "package").digest


@pytest.mark.parametrize("url", ["https://me:word@mirror.example/simple", "https://token@mirror.example/simple"])
def test_a_password_is_not_left_in_an_image(
    url: str, double: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = written(tmp_path, "lock.txt", "# nothing but the runtime's own\n")
    assert coded(tmp_path, double, "--entrypoint", "halved:Halved", "--lock", lock) == 0
    option = f"--option=--build-arg=PIP_INDEX_URL={url}"
    assert main(["build", str(tmp_path / "package"), "--image", "i", option]) == 1
    told = capsys.readouterr().err
    assert "--option=--secret=id=pip.conf,src=pip.conf" in told
    assert "mirror.example" not in told


def test_a_package_without_code_needs_no_image(double: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert pack(double) == 0
    assert main(["build", str(double.parent / "package"), "--print"]) == 1
    assert "the runtime's own image serves it" in capsys.readouterr().err


def test_a_package_without_a_card_says_nothing(double: Path) -> None:
    assert pack(double) == 0
    assert encode_card(open_package(double.parent / "package")) == b""
