"""BentoML's own IO: an `@bentoml.api` method with NumPy input, as its documentation shows it."""

from __future__ import annotations

from typing import Annotated, Any

import bentoml
import numpy as np
from bentoml.validators import DType

from bench.serving.peers.session import open_session, output_names


@bentoml.service(workers=1, logging={"access": {"enabled": False}})
class OnnxService:
    """`{"features": [[...]]}` in, `{output: [[...]], ...}` out, at `/predict`."""

    def __init__(self) -> None:
        self._session = open_session()
        self._outputs = output_names(self._session)
        self._input = self._session.get_inputs()[0].name

    @bentoml.api  # type: ignore[untyped-decorator]
    def predict(self, features: Annotated[np.ndarray, DType("float32")]) -> dict[str, Any]:
        results = self._session.run(self._outputs, {self._input: features})
        return {name: tensor.tolist() for name, tensor in zip(self._outputs, results, strict=True)}
