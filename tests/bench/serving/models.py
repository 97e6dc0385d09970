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

    def convolution(self, inputs: int, outputs: int, size: int = 1, stride: int = 1, groups: int = 1) -> None:
        """A convolution of `size` x `size` pixels that keeps the picture's size but for its stride."""
        weight = self._weight((outputs, inputs // groups, size, size), inputs // groups * size * size)
        pads = [size // 2] * 4
        self.add("Conv", weight, kernel_shape=[size, size], strides=[stride, stride], pads=pads, group=groups)

    def rectifier(self) -> None:
        """ReLU6."""
        self.add("Clip", self._constant(0.0), self._constant(6.0))

    def inverted_residual(self, inputs: int, outputs: int, expansion: int, stride: int) -> None:
        """A block of MobileNetV2 with its normalisation folded into the convolutions."""
        before, wide = self._last, inputs * expansion
        if expansion > 1:
            self.convolution(inputs, wide)
            self.rectifier()
        self.convolution(wide, wide, size=3, stride=stride, groups=wide)
        self.rectifier()
        self.convolution(wide, outputs)
        if inputs == outputs and stride == 1:
            self.add("Add", before)

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
        return self._keep(values)

    def _constant(self, value: float) -> str:
        return self._keep(np.array(value, np.float32))

    def _keep(self, values: Array) -> str:
        name = f"weight_{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(values, name))
        return name


MOBILENET_V2 = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Expansion, channels, blocks and first stride of each stage: table 2 of Sandler et al. 2018 (arXiv:1801.04381)."""


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
    """MobileNetV2 on 224x224 pixels (300 million multiply-adds, 602 kB of FP32 input) with random weights."""
    graph, channels = Graph("pixels"), 32
    graph.convolution(3, channels, size=3, stride=2)
    graph.rectifier()
    for expansion, outputs, blocks, first_stride in MOBILENET_V2:
        for block in range(blocks):
            graph.inverted_residual(channels, outputs, expansion, 1 if block else first_stride)
            channels = outputs
    graph.convolution(channels, 1280)
    graph.rectifier()
    graph.add("GlobalAveragePool")
    graph.add("Flatten")
    graph.dense(1280, 1000)
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
