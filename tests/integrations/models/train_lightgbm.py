"""Trains a LightGBM classifier and leaves its ONNX form and its own predictions in the folder given."""

import sys
from pathlib import Path

import lightgbm
import numpy as np
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType
from sklearn.datasets import load_breast_cancer


def main(out: Path) -> None:
    rows, labels = load_breast_cancer(return_X_y=True)
    rows = rows.astype(np.float32)
    model = lightgbm.LGBMClassifier(n_estimators=40, num_threads=1, verbose=-1).fit(rows[100:], labels[100:])
    types = [("rows", FloatTensorType([None, rows.shape[1]]))]
    graph = convert_lightgbm(model, initial_types=types, zipmap=False, target_opset=15)
    (out / "model.onnx").write_bytes(graph.SerializeToString())
    asked = rows[:100]
    np.savez(out / "inputs.npz", rows=asked)
    np.savez(out / "outputs.npz", label=model.predict(asked), probabilities=model.predict_proba(asked))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
