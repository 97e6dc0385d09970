"""A package that does not answer as it did in training is refused before anybody may ask it, whatever the reason."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from runtime.harness import config_for, package_of, run
from runtime.models import mean_over_rows
from runtime.skews import (
    CENTRED,
    NUMBERS,
    TOWNS,
    changed,
    coded,
    encoder,
    fitted,
    graph,
    sample_of,
    scaler,
    state,
    swapped,
    training,
)
from runtime.skews import package_of as sampled
from sluice.failures import Failure, PackageError, Reason
from sluice.manifest import Datatype, Sample, TensorSpec
from sluice.package import write_package
from sluice.parts import Parts
from sluice.sample import dump_sample
from sluice_runtime.replay import Recorded
from sluice_runtime.runtime import load
from sluice_runtime.signature import Signature, Tensor, Tensors


def refused(package: Path) -> PackageError:
    with pytest.raises(PackageError) as caught:
        load(config_for(package))
    return caught.value


def edit(package: Path, change: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads((package / "sample.json").read_text())
    change(document)
    (package / "sample.json").write_text(json.dumps(document))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sampled(graph(fitted()), tmp_path_factory.mktemp("trained"))


@pytest.fixture
def package(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "package"))


def with_model(package: Path, model: onnx.ModelProto) -> Path:
    (package / "model.onnx").write_bytes(model.SerializeToString())
    return package


def test_the_package_of_training_is_served(package: Path) -> None:
    assert load(config_for(package)).max_rows == 64


SKEWS: dict[str, Callable[[], onnx.ModelProto]] = {
    "a scaler fitted on other rows": lambda: graph(changed(lambda p: scaler(p).mean_.__imul__(1.01))),
    "a scaler of other spread": lambda: graph(changed(lambda p: scaler(p).scale_.__imul__(0.99))),
    "a scaler that does nothing": lambda: graph(changed(_without_scaling)),
    "two columns swapped": lambda: swapped(graph(fitted()), "size", "hours"),
    "two other columns swapped": lambda: swapped(graph(fitted()), "size", "staff"),
    "an encoder in another order": lambda: graph(changed(lambda p: _encode(p, TOWNS[::-1]))),
    "an encoder without one category": lambda: graph(changed(lambda p: _encode(p, (*TOWNS[:2], "Assen")))),
    "whole numbers in place of fractions": lambda: _cast("size", TensorProto.INT64),
    "half the precision": lambda: _cast("size", TensorProto.FLOAT16),
    "weights of another run": lambda: graph(changed(lambda p: p[-1].coef_.__imul__(1.0001))),
    "another intercept": lambda: graph(changed(lambda p: setattr(p[-1], "intercept_", p[-1].intercept_ + 50))),
}


def _without_scaling(pipeline: Any) -> None:
    scaler(pipeline).mean_[:] = 0
    scaler(pipeline).scale_[:] = 1


def _encode(pipeline: Any, towns: tuple[str, ...]) -> None:
    encoder(pipeline).categories_ = [np.array(towns, dtype=object)]


def _cast(name: str, kind: int) -> onnx.ModelProto:
    """The graph with one of its inputs brought to another type and back."""
    model = graph(fitted())
    for node in model.graph.node:
        node.input[:] = [f"{name}_back" if taken == name else taken for taken in node.input]
    back = helper.make_node("Cast", [f"{name}_cast"], [f"{name}_back"], to=TensorProto.FLOAT)
    model.graph.node.insert(0, back)
    model.graph.node.insert(0, helper.make_node("Cast", [name], [f"{name}_cast"], to=kind))
    return model


@pytest.mark.parametrize("skew", SKEWS)
def test_a_skewed_package_is_refused(skew: str, package: Path) -> None:
    error = refused(with_model(package, SKEWS[skew]()))
    assert error.reason is Reason.SAMPLE_MISMATCH


@settings(max_examples=40, deadline=None)
@given(
    which=st.sampled_from(["mean_", "scale_"]),
    column=st.integers(0, 2),
    share=st.one_of(st.floats(-0.9, -0.001), st.floats(0.001, 10)),
)
def test_however_the_scaler_differs_the_package_is_refused(
    trained: Path, which: str, column: int, share: float
) -> None:
    """By a thousandth or tenfold, in its means or its spread, in any one column."""

    def differ(pipeline: Any) -> None:
        getattr(scaler(pipeline), which)[column] *= 1 + share

    right = (trained / "model.onnx").read_bytes()
    try:
        assert refused(with_model(trained, graph(changed(differ)))).reason is Reason.SAMPLE_MISMATCH
    finally:
        (trained / "model.onnx").write_bytes(right)


def test_the_pod_ends_with_the_row_and_both_values(package: Path) -> None:
    with_model(package, SKEWS["two columns swapped"]())
    code, word = run("sluice_runtime", config_for(package))
    assert code == 1
    assert isinstance(word, Failure)
    assert word.reason is Reason.SAMPLE_MISMATCH
    assert word.reason.permanent
    assert "row 0: expected 1389064" in word.message
    assert "20 of 20 rows differ" in word.message


def test_answers_that_depend_on_the_other_rows_are_refused(tmp_path: Path) -> None:
    """As one batch all is as it was in training; a caller with one row would be told something else."""
    rows = np.column_stack([training()[0][name][:20] for name in NUMBERS]).astype(float).mean(axis=0)
    error = refused(coded(tmp_path, state() | {"rows": rows}, {"model.py": CENTRED}))
    assert error.reason is Reason.SAMPLE_MISMATCH
    assert "row by row" in error.message


def test_a_graph_that_is_meant_to_look_at_all_rows_is_asked_as_it_was_in_training(tmp_path: Path) -> None:
    package = package_of(mean_over_rows(), tmp_path / "plain")
    model = load(config_for(package)).session
    rows = {spec.name: np.arange(12, dtype=np.float32).reshape(-1, 2) for spec in model.signature.inputs}
    names = [spec.name for spec in model.signature.outputs]
    outputs = dict(zip(names, model.run(names, rows), strict=True))
    (tmp_path / "sample.json").write_text(dump_sample(rows, outputs))
    write_package(
        package / "model.onnx", "shop", "3", tmp_path / "sampled", parts=Parts(sample=tmp_path / "sample.json")
    )
    assert load(config_for(tmp_path / "sampled")).max_rows == 1


def test_rows_that_only_training_has_tell_that_a_graph_looks_at_all_of_them(tmp_path: Path) -> None:
    """The graph refuses made-up rows, and takes the mean of the others."""
    texts = helper.make_tensor_value_info("town", TensorProto.STRING, ("N", 1))
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, ("N", 1))
    nodes = [
        helper.make_node("OneHotEncoder", ["town"], ["known"], domain="ai.onnx.ml", cats_strings=TOWNS, zeros=0),
        helper.make_node("Reshape", ["known", "shape"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["each"]),
        helper.make_node("ReduceMean", ["each"], ["mean"], axes=[0], keepdims=1),
        helper.make_node("Sub", ["each", "mean"], ["y"]),
    ]
    constants = [
        numpy_helper.from_array(np.array([-1, 3], np.int64), "shape"),
        numpy_helper.from_array(np.array([[1], [2], [4]], np.float32), "weights"),
    ]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(helper.make_graph(nodes, "g", [texts], [out], constants), opset_imports=opsets)
    model.ir_version = 9
    onnx.save(model, tmp_path / "m.onnx")
    rows = {"town": np.array([["Delft"], ["Breda"], ["Utrecht"]], dtype=object)}
    answers = {"y": np.array([[2], [1], [4]], np.float32) - np.float32(7 / 3)}
    (tmp_path / "sample.json").write_text(dump_sample(rows, answers))
    write_package(tmp_path / "m.onnx", "s", "1", tmp_path / "package", parts=Parts(sample=tmp_path / "sample.json"))
    assert load(config_for(tmp_path / "package")).max_rows == 1


def scaled(folder: Path, rows: int, factor: float, answered: float) -> Path:
    """A graph that multiplies by `factor`, with a sample in which it has multiplied by `answered`."""
    takes, gives = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ("N", 1)) for name in "xy")
    constant = numpy_helper.from_array(np.array([factor], np.float32), "factor")
    body = helper.make_graph([helper.make_node("Mul", ["x", "factor"], ["y"])], "g", [takes], [gives], [constant])
    onnx.save(helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), folder / "m.onnx")
    asked = np.linspace(0.1, 1, rows, dtype=np.float32)[:, np.newaxis]
    (folder / "sample.json").write_text(dump_sample({"x": asked}, {"y": asked * np.float32(answered)}))
    write_package(folder / "m.onnx", "s", "1", folder / "package", parts=Parts(sample=folder / "sample.json"))
    return folder / "package"


def test_answers_that_are_all_small_are_no_excuse(tmp_path: Path) -> None:
    assert refused(scaled(tmp_path, 20, factor=-3e-7, answered=5e-7)).reason is Reason.SAMPLE_MISMATCH


def test_of_many_rows_some_are_asked_alone_and_too_many_are_refused(tmp_path: Path) -> None:
    (tmp_path / "many").mkdir()
    package = scaled(tmp_path / "many", 10_001, factor=2, answered=2)
    assert "it has 10001 rows, and 10000 are the most" in refused(package).message

    recorded = Recorded({"x": np.arange(3_000.0)[:, np.newaxis]}, {"y": np.arange(3_000.0)[:, np.newaxis]}, Sample())
    for off, told in ((set(), ""), ({2_999}, "row 2999: expected 2999")):
        predictor = Echo(off)
        with pytest.raises(PackageError, match=told) if told else contextlib.nullcontext():
            recorded.replay(predictor, alone=True)
        assert [rows for rows in predictor.asked if rows != 1] == [3_000]
        assert predictor.asked.count(1) == 256


class Echo:
    """Answers with what it is asked, and alone otherwise where it is asked for one of the rows `off`."""

    def __init__(self, off: set[int]) -> None:
        tensors = (TensorSpec(name="x", datatype=Datatype.FP64, shape=(-1, 1)),)
        outputs = (TensorSpec(name="y", datatype=Datatype.FP64, shape=(-1, 1)),)
        self.signature = Signature(tensors, outputs, batchable=True)
        self.asked: list[int] = []
        self._off = off

    def run(self, outputs: list[str], inputs: Tensors) -> list[Tensor]:
        rows = inputs["x"]
        self.asked.append(len(rows))
        return [rows + 1 if len(rows) == 1 and int(rows[0, 0]) in self._off else rows]

    def stop(self) -> None:
        """Nothing runs."""

    def resume(self) -> None:
        """Nothing was stopped."""


def test_a_tolerance_of_ones_own_is_kept(package: Path) -> None:
    with_model(package, SKEWS["weights of another run"]())
    text = (package / "model.yaml").read_text()
    assert "relative: 1.0e-05" in text
    (package / "model.yaml").write_text(text.replace("relative: 1.0e-05", "relative: 0.01"))
    load(config_for(package))


def _first(document: dict[str, Any], key: str) -> dict[str, Any]:
    found: dict[str, Any] = document[key][0]
    return found


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.pop("outputs"), "inputs and outputs"),
        (lambda d: d["inputs"].pop(), "'town' is missing"),
        (lambda d: d["outputs"].clear(), "expects no output"),
        (lambda d: _first(d, "inputs").update(name="sise"), "unknown or repeated tensor 'sise'"),
        (lambda d: _first(d, "inputs").update(name=["size"]), "unknown or repeated tensor ['size']"),
        (lambda d: d.update(inputs=7), "unknown or repeated tensor None"),
        (lambda d: _first(d, "inputs").update(data=[[1], [1, 2]]), "does not fit FP32"),
        (lambda d: _first(d, "inputs").update(shape=[10**30, 1]), "size"),
        (lambda d: d["inputs"].append(_first(d, "inputs")), "repeated tensor 'size'"),
        (lambda d: _first(d, "inputs").update(datatype="FP64"), "FP64"),
        (lambda d: _first(d, "inputs").update(shape=[19, 1]), "20 values"),
        (lambda d: _first(d, "inputs").update(shape=["a", 1]), "its shape is"),
        (lambda d: _first(d, "inputs").update(data="1"), "list of values"),
        (lambda d: _first(d, "inputs")["data"].__setitem__(0, "1"), "must hold numbers"),
        (lambda d: _first(d, "outputs")["data"].__setitem__(0, None), "expected nan"),
        (lambda d: _first(d, "outputs").update(shape=[20]), "shape"),
    ],
)
def test_a_sample_that_does_not_fit_says_what_is_wrong(
    change: Callable[[dict[str, Any]], object], words: str, package: Path
) -> None:
    edit(package, change)
    error = refused(package)
    assert error.reason in (Reason.INVALID_PACKAGE, Reason.SAMPLE_MISMATCH)
    assert words in error.message


def test_a_sample_that_is_no_json_or_not_there_is_named(package: Path) -> None:
    (package / "sample.json").write_text("[")
    assert "no JSON" in refused(package).message
    (package / "sample.json").unlink()
    assert "sample.json is missing" in refused(package).message


def test_a_sample_that_nobody_would_replay_is_refused(package: Path) -> None:
    text = (package / "model.yaml").read_text()
    assert "sample: {relative: 1.0e-05}" in text
    (package / "model.yaml").write_text(text.replace("sample: {relative: 1.0e-05}", ""))
    error = refused(package)
    assert error.reason is Reason.INVALID_PACKAGE
    assert "sample.json would never be replayed" in error.message


def test_missing_values_and_text_are_replayed_exactly(tmp_path: Path) -> None:
    kinds = {"number": TensorProto.FLOAT, "text": TensorProto.STRING, "flag": TensorProto.BOOL}
    tensors = {name: helper.make_tensor_value_info(name, kind, ("N", 1)) for name, kind in kinds.items()}
    outs = [helper.make_tensor_value_info(f"{name}_out", kind, ("N", 1)) for name, kind in kinds.items()]
    nodes = [helper.make_node("Identity", [name], [f"{name}_out"]) for name in kinds]
    model = helper.make_model(
        helper.make_graph(nodes, "g", list(tensors.values()), outs),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )
    onnx.save(model, tmp_path / "m.onnx")
    rows = {
        "number": np.array([[np.nan], [1.1]], np.float32),
        "text": np.array([["Bréda"], [""]], object),
        "flag": np.array([[True], [False]]),
    }
    answers = {f"{name}_out": value for name, value in rows.items()}
    (tmp_path / "sample.json").write_text(dump_sample(rows, answers))
    write_package(tmp_path / "m.onnx", "s", "1", tmp_path / "package", parts=Parts(sample=tmp_path / "sample.json"))
    load(config_for(tmp_path / "package"))
    edit(tmp_path / "package", lambda d: d["outputs"][1]["data"].__setitem__(0, "Breda"))
    assert "expected 'Breda', given 'Bréda'" in refused(tmp_path / "package").message


def test_a_sample_with_an_infinity_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'y' holds an infinity"):
        dump_sample({}, {"y": np.array([np.inf], np.float32)})
    assert sample_of(tmp_path).read_text() == sample_of(tmp_path).read_text()
