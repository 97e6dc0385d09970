"""KServe's Python server with a custom model, as its documentation writes one. Settings are its own arguments."""

from __future__ import annotations

from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer  # type: ignore[import-not-found]
from kserve.utils.utils import from_np_dtype, generate_uuid  # type: ignore[import-not-found]

from bench.serving.peers.session import open_session, output_names


class OnnxModel(Model):  # type: ignore[misc]
    """An ONNX file behind KServe's data plane."""

    def load(self) -> bool:
        self._session = open_session()
        self._outputs = output_names(self._session)
        self.ready = True
        return True

    def predict(self, payload: InferRequest, headers: object = None, response_headers: object = None) -> InferResponse:
        results = self._session.run(self._outputs, {tensor.name: tensor.as_numpy() for tensor in payload.inputs})
        outputs = []
        for name, result in zip(self._outputs, results, strict=True):
            output = InferOutput(name, list(result.shape), from_np_dtype(result.dtype))
            output.set_data_from_numpy(result, binary_data=payload.use_binary_outputs)
            outputs.append(output)
        return InferResponse(
            payload.id or generate_uuid(), self.name, outputs, use_binary_outputs=payload.use_binary_outputs
        )


if __name__ == "__main__":
    model = OnnxModel("bench")
    model.load()
    ModelServer().start([model])
