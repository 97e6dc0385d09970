"""Trains a Keras network on TensorFlow, with Keras's own export to ONNX."""

import os
import sys
from pathlib import Path

os.environ["KERAS_BACKEND"] = "tensorflow"
import keras
import numpy as np
from sklearn.datasets import load_diabetes


def main(out: Path) -> None:
    rows, targets = load_diabetes(return_X_y=True)
    rows = rows.astype(np.float32)
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Input((rows.shape[1],), name="rows"), keras.layers.Dense(16, "relu"), keras.layers.Dense(1)]
    model = keras.Sequential(layers)
    model.compile("adam", "mse")
    model.fit(rows[100:], targets[100:], epochs=3, verbose=0)
    model.export(out / "model.onnx", format="onnx", verbose=False)
    np.savez(out / "inputs.npz", rows=rows[:100])
    np.savez(out / "outputs.npz", output=model.predict(rows[:100], verbose=0))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
