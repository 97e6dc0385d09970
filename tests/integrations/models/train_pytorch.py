"""Trains a PyTorch network on images of digits; its exporter keeps the weights in a file beside the graph."""

import sys
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits


class Digits(torch.nn.Module):  # type: ignore[misc]  # torch is not here when types are checked
    """A convolution and a classifier on 8 x 8 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.features = torch.nn.Conv2d(1, 8, kernel_size=3)
        self.classify = torch.nn.Linear(8 * 6 * 6, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Probabilities, (rows, 10), of images, (rows, 1, 8, 8)."""
        return torch.softmax(self.classify(torch.relu(self.features(image)).flatten(1)), dim=1)


def train(images: torch.Tensor, labels: torch.Tensor) -> Digits:
    torch.manual_seed(1)
    model = Digits()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(30):
        optimizer.zero_grad()
        torch.nn.functional.nll_loss(torch.log(model(images)), labels).backward()
        optimizer.step()
    model.eval()
    return model


def main(out: Path) -> None:
    torch.set_num_threads(1)
    data = load_digits()
    images = torch.tensor(data.images[:, None] / 16, dtype=torch.float32)
    model, asked = train(images[100:], torch.tensor(data.target[100:])), images[:32]
    shapes = {"image": {0: torch.export.Dim("rows")}}
    names = {"input_names": ["image"], "output_names": ["probabilities"]}
    torch.onnx.export(model, (images[:2],), out / "model.onnx", dynamo=True, dynamic_shapes=shapes, **names)
    with torch.no_grad():
        np.savez(out / "outputs.npz", probabilities=model(asked).numpy())
    np.savez(out / "inputs.npz", image=asked.numpy())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
