"""Models as people have them answer through the runtime as they do in the library that trained them."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from runtime.harness import config_for, package_of, run, serving
from runtime.tensors import ask
from sluice.manifest import Datatype
from sluice.package import open_package, write_package

CITIES = np.array(["Amsterdam", "Utrecht", "Ede"], dtype=object)
REVIEWS = {
    "a warm jacket, worth every cent": 1,
    "warm and soft, my favourite": 1,
    "worth it, soft and warm": 1,
    "the seam broke on day one": 0,
    "broke after one wash, a shame": 0,
    "a shame, the colour is gone": 0,
}


def stores(count: int) -> dict[str, NDArray[Any]]:
    """Made-up stores: a city, a size in square metres, a number of employees."""
    random = np.random.default_rng(7)
    return {
        "city": CITIES[random.integers(0, 3, count)][:, None],
        "size": random.uniform(50, 400, (count, 1)).astype(np.float32),
        "staff": random.integers(1, 20, (count, 1)),
    }


def table(columns: dict[str, NDArray[Any]]) -> NDArray[Any]:
    """Columns of several types side by side, as scikit-learn takes them."""
    return np.hstack([column.astype(object) for column in columns.values()])


def test_a_scikit_learn_pipeline_takes_categories_and_numbers_as_inputs_of_their_own(tmp_path: Path) -> None:
    data = stores(200)
    revenue = data["size"][:, 0] * 30 + data["staff"][:, 0] * 500 + (data["city"][:, 0] == "Utrecht") * 4000
    encode = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), [0]), (StandardScaler(), [1, 2]))
    model = make_pipeline(encode, LinearRegression()).fit(table(data), revenue)
    types = [
        ("city", StringTensorType([None, 1])),
        ("size", FloatTensorType([None, 1])),
        ("staff", Int64TensorType([None, 1])),
    ]
    asked = stores(20) | {"city": np.array([["Elsewhere"], *[["Ede"]] * 19], dtype=object)}
    package = package_of(to_onnx(model, initial_types=types, target_opset=17), tmp_path)
    with serving(config_for(package)) as running:
        (answered,) = ask(running, asked).values()
    np.testing.assert_allclose(answered[:, 0], model.predict(table(asked)), rtol=1e-4)


def test_a_text_model_takes_bytes(tmp_path: Path) -> None:
    texts = np.array(list(REVIEWS), dtype=object)
    # skl2onnx knows this pattern; the default one has no form in ONNX.
    vectorizer = TfidfVectorizer(token_pattern="[a-zA-Z]+")
    model = make_pipeline(vectorizer, LogisticRegression()).fit(texts, list(REVIEWS.values()))
    graph = to_onnx(
        model, initial_types=[("text", StringTensorType([None]))], options={"zipmap": False}, target_opset=17
    )
    package = package_of(graph, tmp_path)
    assert open_package(package).manifest.inputs[0].datatype is Datatype.BYTES
    asked = np.array(["soft and warm", "it broke", "a shame", "prijs in € is warm"], dtype=object)
    with serving(config_for(package)) as running:
        answered = ask(running, {"text": asked})
    np.testing.assert_array_equal(answered["label"], model.predict(asked))
    np.testing.assert_allclose(answered["probabilities"], model.predict_proba(asked), rtol=1e-4)


@pytest.fixture
def foreign_model(tmp_path: Path) -> tuple[Path, NDArray[np.float32]]:
    """A file that another tool wrote: no Python framework's metadata, old opset, weights in a folder beside it."""
    weights = np.random.default_rng(3).normal(size=(6, 300)).astype(np.float32)
    nodes = [helper.make_node("MatMul", ["in.0", "W"], ["h"]), helper.make_node("Tanh", ["h"], ["out/0"])]
    graph = helper.make_graph(
        nodes,
        "from_elsewhere",
        [helper.make_tensor_value_info("in.0", TensorProto.FLOAT, ("N", 6))],
        [helper.make_tensor_value_info("out/0", TensorProto.FLOAT, ("N", 300))],
        [numpy_helper.from_array(weights, "W")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 9)], ir_version=4)
    (tmp_path / "weights").mkdir()
    onnx.save(model, tmp_path / "net.onnx", save_as_external_data=True, location="weights/W.bin", size_threshold=0)
    return tmp_path / "net.onnx", weights


@pytest.mark.parametrize("form", ["package", "package.tar.gz"])
def test_a_file_of_another_tool_is_served_with_its_external_data(
    form: str, foreign_model: tuple[Path, NDArray[np.float32]], tmp_path: Path
) -> None:
    path, weights = foreign_model
    write_package(path, "shop", "1", tmp_path / form)
    rows = np.random.default_rng(4).normal(size=(5, 6)).astype(np.float32)
    source = tmp_path / form
    if source.is_file():
        source = unpacked(source)
    with serving(config_for(source)) as running:
        answered = ask(running, {"in.0": rows})
    np.testing.assert_allclose(answered["out/0"], np.tanh(rows @ weights), rtol=1e-4, atol=1e-6)


def unpacked(archive: Path) -> Path:
    """The archive's package, brought by the pod's own first step."""
    target = archive.parent / "fetched" / "package"
    config = config_for(archive, package_dir=str(target))
    assert run("sluice_runtime.fetch", config)[0] == 0
    return target
