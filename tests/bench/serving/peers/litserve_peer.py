"""LitServe, as its documentation shows a model; it has a JSON format of its own."""

import sys
from typing import Any

import litserve  # type: ignore[import-not-found]  # lives in the peer's environment
import numpy as np

from bench.serving.peers.session import open_session, output_names


class OnnxApi(litserve.LitAPI):  # type: ignore[misc]
    """`{"input": [[...]]}` in, `{output: [[...]], ...}` out."""

    def setup(self, device: str) -> None:
        self._session = open_session()
        self._outputs = output_names(self._session)
        self._input = self._session.get_inputs()[0].name

    def decode_request(self, request: dict) -> Any:  # type: ignore[type-arg]  # read by LitServe at run time
        return np.asarray(request["input"], dtype=np.float32)

    def predict(self, x: Any) -> Any:
        return self._session.run(self._outputs, {self._input: x})

    def encode_response(self, output: Any) -> dict[str, Any]:
        return {name: tensor.tolist() for name, tensor in zip(self._outputs, output, strict=True)}


if __name__ == "__main__":
    litserve.LitServer(OnnxApi(), accelerator="cpu", workers_per_device=1).run(
        host="127.0.0.1", port=int(sys.argv[1]), num_api_servers=1, log_level="error", generate_client_file=False
    )
