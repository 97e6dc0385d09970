"""Trains a pipeline whose scaler clips, and leaves its ONNX form, rows and its own predictions in the folder given.

Converters before skl2onnx 1.15 leave `clip=True` out without a word: rows beyond those of training are then answered
otherwise than by scikit-learn.
"""

import sys
from pathlib import Path

import numpy as np
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler


def main(out: Path) -> None:
    draw = np.random.default_rng(0)
    rows = draw.uniform(0, 100, (300, 3)).astype(np.float32)
    model = make_pipeline(MinMaxScaler(clip=True), Ridge()).fit(rows, rows @ [3, 5, -2])
    graph = to_onnx(model, initial_types=[("rows", FloatTensorType([None, 3]))], target_opset=15)
    (out / "model.onnx").write_bytes(graph.SerializeToString())
    asked = np.concatenate([rows[:10], 3 * rows[10:20]])
    np.savez(out / "sample.npz", rows=asked, variable=np.reshape(model.predict(asked), (-1, 1)).astype(np.float32))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
