"""Trains an XGBoost regressor and leaves its ONNX form and its own predictions in the folder given."""

import sys
from pathlib import Path

import numpy as np
import xgboost
from onnxmltools import convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType
from sklearn.datasets import load_diabetes


def main(out: Path) -> None:
    rows, targets = load_diabetes(return_X_y=True)
    rows = rows.astype(np.float32)
    model = xgboost.XGBRegressor(n_estimators=40, n_jobs=1).fit(rows[100:], targets[100:])
    types = [("rows", FloatTensorType([None, rows.shape[1]]))]
    graph = convert_xgboost(model, initial_types=types, target_opset=15)
    (out / "model.onnx").write_bytes(graph.SerializeToString())
    asked = rows[:100]
    np.savez(out / "inputs.npz", rows=asked)
    np.savez(out / "outputs.npz", variable=model.predict(asked)[:, None])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
