"""Small graphs with one property each, and one trained model."""

from collections.abc import Collection

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

DATATYPES = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BYTES": TensorProto.STRING,
}


def trained() -> ModelProto:
    """A scaler and a classifier on 30 features (scikit-learn's breast cancer data), as one graph."""
    from skl2onnx import to_onnx
    from sklearn.datasets import load_breast_cancer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows, labels = load_breast_cancer(return_X_y=True)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, labels)
    graph: ModelProto = to_onnx(model, rows[:1].astype(np.float32), options={"zipmap": False}, target_opset=17)
    return graph


def brain_floats() -> ModelProto:
    """Gives its BF16 input back, and as singles, and its FP32 input as BF16."""
    return _model(
        [
            helper.make_node("Identity", ["in_BF16"], ["out_BF16"]),
            helper.make_node("Cast", ["in_BF16"], ["singles"], to=TensorProto.FLOAT),
            helper.make_node("Cast", ["in_FP32"], ["rounded"], to=TensorProto.BFLOAT16),
        ],
        [
            helper.make_tensor_value_info("in_BF16", TensorProto.BFLOAT16, ("N", None)),
            helper.make_tensor_value_info("in_FP32", TensorProto.FLOAT, ("N", None)),
        ],
        [
            helper.make_tensor_value_info("out_BF16", TensorProto.BFLOAT16, ("N", None)),
            helper.make_tensor_value_info("singles", TensorProto.FLOAT, ("N", None)),
            helper.make_tensor_value_info("rounded", TensorProto.BFLOAT16, ("N", None)),
        ],
    )


def every_datatype(names: Collection[str] = tuple(DATATYPES)) -> ModelProto:
    """Gives back each of its inputs, one for every datatype but BF16: `in_FP32` becomes `out_FP32`."""
    kinds = {name: DATATYPES[name] for name in names}
    nodes = [helper.make_node("Identity", [f"in_{name}"], [f"out_{name}"]) for name in kinds]
    inputs = [helper.make_tensor_value_info(f"in_{name}", kind, ("N", None)) for name, kind in kinds.items()]
    outputs = [helper.make_tensor_value_info(f"out_{name}", kind, ("N", None)) for name, kind in kinds.items()]
    return _model(nodes, inputs, outputs)


def fails_beyond_the_table() -> ModelProto:
    """Looks rows up in a table of four; any other number makes the graph fail although the request is valid."""
    table = numpy_helper.from_array(np.arange(4, dtype=np.float32), "table")
    return _model(
        [helper.make_node("Gather", ["table", "x"], ["y"])],
        [helper.make_tensor_value_info("x", TensorProto.INT64, ("N",))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ("N",))],
        [table],
    )


def as_slow_as_asked() -> ModelProto:
    """Multiplies a 256 x 256 matrix with itself `turns` times."""
    size = 256
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["before", "matrix"], ["after"]),
            helper.make_node("Identity", ["go_on"], ["still"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, ()),
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, ()),
            helper.make_tensor_value_info("before", TensorProto.FLOAT, (size, size)),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, ()),
            helper.make_tensor_value_info("after", TensorProto.FLOAT, (size, size)),
        ],
    )
    matrix = numpy_helper.from_array(np.eye(size, dtype=np.float32), "matrix")
    return _model(
        [
            helper.make_node("Loop", ["turns", "", "matrix"], ["result"], body=body),
            helper.make_node("ReduceSum", ["result"], ["total"], keepdims=0),
        ],
        [helper.make_tensor_value_info("turns", TensorProto.INT64, ())],
        [helper.make_tensor_value_info("total", TensorProto.FLOAT, ())],
        [matrix],
    )


def mean_over_rows() -> ModelProto:
    """Takes each row's distance from the mean of all rows: its rows must not share a run with foreign ones."""
    return _model(
        [
            helper.make_node("ReduceMean", ["x"], ["mean"], axes=[0], keepdims=1),
            helper.make_node("Sub", ["x", "mean"], ["y"]),
        ],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("N", 2))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ("N", 2))],
    )


def _model(nodes: list, inputs: list, outputs: list, initializers: list | None = None) -> ModelProto:  # type: ignore[type-arg]
    graph = helper.make_graph(nodes, "g", inputs, outputs, initializers or [])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
