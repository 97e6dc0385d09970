"""MLServer with a custom runtime, as its documentation writes one."""

from __future__ import annotations

from mlserver import MLModel  # type: ignore[import-not-found]  # lives in the peer's environment
from mlserver.codecs import NumpyCodec  # type: ignore[import-not-found]
from mlserver.types import InferenceRequest, InferenceResponse  # type: ignore[import-not-found]

from bench.serving.peers.session import open_session, output_names


class OnnxModel(MLModel):  # type: ignore[misc]
    """An ONNX file behind MLServer's data plane."""

    async def load(self) -> bool:
        self._session = open_session()
        self._outputs = output_names(self._session)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        inputs = {tensor.name: NumpyCodec.decode_input(tensor) for tensor in payload.inputs}
        results = self._session.run(self._outputs, inputs)
        outputs = [NumpyCodec.encode_output(*pair) for pair in zip(self._outputs, results, strict=True)]
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=outputs)
