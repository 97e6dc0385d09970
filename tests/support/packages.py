"""Models on real data, exported to ONNX and packaged: what the demo and the tests deploy.

The data is the breast cancer data set that scikit-learn ships (569 rows, 30 features). Each version is a scaler and a
logistic regression in one graph; versions differ in regularisation, so that every row tells them apart.
"""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sluice.digest import package_digest
from sluice.package import write_package

MODEL_NAME = "breast-cancer"
INPUT = "features"
OUTPUT = "probabilities"
FAILING_SHARE = 0.2
TOLERANCE = 1e-5
"""Absolute. float32 sums in another order in other batches differ by about 1e-7, versions by 1e-4 on most rows."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Built:
    """A package as an archive: its bytes, its digest, and the ONNX graph it holds."""

    version: str
    archive: bytes
    digest: str
    model: bytes

    def predict(self, rows: Floats) -> npt.NDArray[np.float64]:
        """In-process predictions, one line a row: what the flat outputs of a served answer must equal."""
        session = onnxruntime.InferenceSession(self.model)
        outputs = session.run(None, {session.get_inputs()[0].name: rows})
        return np.column_stack([np.asarray(output, dtype=np.float64) for output in outputs])


@cache
def rows() -> Floats:
    """The data set's features, shape (569, 30)."""
    features: Floats = load_breast_cancer().data.astype(np.float32)
    return features


def request_body(row: Floats, name: str = INPUT) -> dict[str, Any]:
    """An Open Inference Protocol request for one row; numbers are the shortest that give the same float32."""
    tensor = {"name": name, "shape": [1, row.size], "datatype": "FP32", "data": [float(str(value)) for value in row]}
    return {"inputs": [tensor]}


@cache
def train(regularisation: float) -> onnx.ModelProto:
    """Scaler and logistic regression as one graph; `regularisation` is scikit-learn's C (smaller is stronger)."""
    data = load_breast_cancer()
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=regularisation, max_iter=1000))
    pipeline.fit(data.data, data.target)
    model: onnx.ModelProto = to_onnx(
        pipeline, rows()[:1], initial_types=None, options={"zipmap": False}, target_opset=18
    )
    return named_input(model)


def named_input(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with its one input named as a person would name it."""
    old = model.graph.input[0].name
    model.graph.input[0].name = INPUT
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            if name == old:
                node.input[index] = INPUT
    return model


def failing_rows() -> npt.NDArray[np.bool_]:
    """Which rows the failing model cannot compute: about a fifth, those with the largest first feature."""
    first = rows()[:, 0]
    failing: npt.NDArray[np.bool_] = first > threshold()
    return failing


def threshold() -> float:
    return float(np.quantile(rows()[:, 0], 1 - FAILING_SHARE))


def failing(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with a look-up whose index lies outside its table when the first feature is too large.

    ONNX Runtime finds out only at run time, and only for such input: the model loads and warms up.
    """
    broken = onnx.ModelProto()
    broken.CopyFrom(model)
    constants: dict[str, npt.NDArray[Any]] = {
        "column": np.array(0, np.int64),
        "limit": np.array(threshold(), np.float32),
    }
    constants |= {"table": np.zeros((1, 1), np.float32)}
    broken.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    checks = [
        helper.make_node("Gather", [INPUT, "column"], ["first_feature"], axis=1),
        helper.make_node("Greater", ["first_feature", "limit"], ["too_large"]),
        helper.make_node("Cast", ["too_large"], ["row_of_table"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "row_of_table"], ["nothing"], axis=0),
        helper.make_node("Add", [INPUT, "nothing"], ["checked"]),
    ]
    return with_prelude(broken, checks, "checked")


def slow(model: onnx.ModelProto, rounds: int) -> onnx.ModelProto:
    """The graph after `rounds` of useless work, which a constant folder cannot remove: a regression in latency."""
    late = onnx.ModelProto()
    late.CopyFrom(model)
    size = model.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    constants = {"wide": np.zeros((size, 4096), np.float32), "narrow": np.zeros((4096, size), np.float32)}
    late.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    nodes, current = [], INPUT
    for index in range(rounds):
        names = [f"{part}_{index}" for part in ("widened", "waved", "narrowed", "next")]
        nodes += [
            helper.make_node("MatMul", [current, "wide"], [names[0]]),
            helper.make_node("Sin", [names[0]], [names[1]]),
            helper.make_node("MatMul", [names[1], "narrow"], [names[2]]),
            helper.make_node("Add", [current, names[2]], [names[3]]),
        ]
        current = names[3]
    return with_prelude(late, nodes, current)


def with_prelude(model: onnx.ModelProto, nodes: list[onnx.NodeProto], output: str) -> onnx.ModelProto:
    """The graph with nodes before it: what read the input reads `output` instead."""
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            if name == INPUT:
                node.input[index] = output
    after = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *after])
    onnx.checker.check_model(model)
    return model


def build(model: onnx.ModelProto | bytes, version: str, folder: Path) -> Built:
    """Package a graph with the writer that users have; `folder` is scratch space."""
    content = model if isinstance(model, bytes) else model.SerializeToString()
    source = folder / f"{version}.onnx"
    source.write_bytes(content)
    write_package(source, MODEL_NAME, version, folder / version)
    write_package(source, MODEL_NAME, version, folder / f"{version}.tar.gz")
    archive = (folder / f"{version}.tar.gz").read_bytes()
    return Built(version, archive, package_digest(folder / version), content)


def rearchived(package: Built, changed: dict[str, bytes]) -> bytes:
    """The package's archive with other files in it: for packages that the writer would never write."""
    output = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(package.archive)) as source,
        tarfile.open(fileobj=output, mode="w:gz") as target,
    ):
        files = {entry.name: content.read() for entry in source if (content := source.extractfile(entry))}
        for name, data in {**files, **changed}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            target.addfile(entry, io.BytesIO(data))
    return output.getvalue()
