"""What is served: three graphs of different cost and size, with one input each and the answer it must give.

Two have random weights: a graph's speed depends on its shape alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sluice.package import write_package

NAME = "bench"
OPSET = 18
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Case:
    """A model to serve: its file, its package, one request's inputs and the outputs they must give."""

    name: str
    about: str
    onnx: Path
    package: Path
    inputs: Mapping[str, Array]
    outputs: Mapping[str, Array]


class Graph:
    """A chain of layers with random weights, scaled so that activations neither vanish nor grow (He et al. 2015)."""

    def __init__(self, source: str) -> None:
        self._random = np.random.default_rng(7)
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []
        self._last = source

    def add(self, operator: str, *weights: str, **attributes: Any) -> None:
        """Append one node that reads what the last one gave."""
        result = f"{operator.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, [self._last, *weights], [result], **attributes))
        self._last = result

    def dense(self, inputs: int, outputs: int) -> None:
        """A fully connected layer."""
        self.add("MatMul", self._weight((inputs, outputs), inputs))

    def convolution(self, inputs: int, outputs: int, stride: int) -> None:
        """A 3x3 convolution with its rectifier."""
        weight = self._weight((outputs, inputs, 3, 3), inputs * 9)
        self.add("Conv", weight, kernel_shape=[3, 3], strides=[stride, stride], pads=[1, 1, 1, 1])
        self.add("Relu")

    def model(self, source: onnx.ValueInfoProto, outputs: int) -> onnx.ModelProto:
        """The whole graph; its output is `scores`, shape (N, outputs)."""
        self._nodes[-1].output[0] = "scores"
        result = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ("N", outputs))
        graph = helper.make_graph(self._nodes, NAME, [source], [result], self._weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
        onnx.checker.check_model(model)
        return model

    def _weight(self, shape: tuple[int, ...], fan_in: int) -> str:
        values = self._random.standard_normal(shape, dtype=np.float32) * np.float32(np.sqrt(2 / fan_in))
        name = f"weight_{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(values, name))
        return name


def tabular() -> tuple[onnx.ModelProto, Array]:
    """A trained classifier on 30 features: scikit-learn's scaler and random forest of 100 trees."""
    rows, labels = load_breast_cancer(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), RandomForestClassifier(100, random_state=0)).fit(rows, labels)
    row = rows[:1].astype(np.float32)
    return to_onnx(pipeline, row, options={"zipmap": False}, target_opset=OPSET), row


def large() -> tuple[onnx.ModelProto, Array]:
    """25 million weights (101 MB), read from memory once a run."""
    graph = Graph("features")
    for inputs, outputs in ((1024, 4096), (4096, 4096), (4096, 1024)):
        graph.dense(inputs, outputs)
        graph.add("Relu")
    graph.dense(1024, 10)
    source = helper.make_tensor_value_info("features", TensorProto.FLOAT, ("N", 1024))
    return graph.model(source, 10), np.random.default_rng(1).random((1, 1024), dtype=np.float32)


def image() -> tuple[onnx.ModelProto, Array]:
    """300 million multiply-adds on 224x224 pixels, as many as MobileNetV2 has; 602 kB of FP32 input."""
    graph = Graph("pixels")
    for inputs, outputs, stride in ((3, 32, 2), (32, 64, 2), (64, 64, 1), (64, 128, 2), (128, 256, 2)):
        graph.convolution(inputs, outputs, stride)
    graph.add("GlobalAveragePool")
    graph.add("Flatten")
    graph.dense(256, 1000)
    source = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ("N", 3, 224, 224))
    return graph.model(source, 1000), np.random.default_rng(1).random((1, 3, 224, 224), dtype=np.float32)


MODELS: Mapping[str, Callable[[], tuple[onnx.ModelProto, Array]]] = {
    "tabular": tabular,
    "large": large,
    "image": image,
}


def build(name: str, folder: Path) -> Case:
    """Make one of the models in a new folder, package it, and ask it in-process for the right answer."""
    folder.mkdir(parents=True)
    make = MODELS[name]
    model, tensor = make()
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    write_package(path, NAME, "1", folder / "package")
    session = onnxruntime.InferenceSession(path)
    names = [output.name for output in session.get_outputs()]
    inputs = {session.get_inputs()[0].name: tensor}
    outputs = dict(zip(names, session.run(names, inputs), strict=True))
    return Case(name, (make.__doc__ or "").strip(), path, folder / "package", inputs, outputs)
