"""gRPC as an application sees it, against the real process."""

import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import onnxruntime as ort
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from runtime.harness import PATIENCE, Running, config_for, eventually, package_of, serving
from runtime.models import DATATYPES, as_slow_as_asked
from sluice_runtime.protocol.pb import open_inference_pb2 as pb

SERVICE = "inference.GRPCInferenceService"
FIELDS = {"BOOL": "bool", "BYTES": "bytes", "FP32": "fp32", "FP64": "fp64", "INT64": "int64", "UINT64": "uint64"}
VALUES: dict[str, list[Any]] = {
    "BOOL": [True, False],
    "BYTES": [b"", "grün".encode()],
    "FP32": [0.5, float("inf")],
    "FP64": [0.1, -1e300],
    "INT64": [-(2**63), 2**63 - 1],
    "UINT64": [0, 2**64 - 1],
    "UINT8": [0, 255],
    "INT8": [-128, 127],
}


class Client:
    """Calls methods by name."""

    def __init__(self, running: Running, **options: Any) -> None:
        settings = [("grpc.max_receive_message_length", -1), *options.items()]
        self.channel: Any = grpc.insecure_channel(f"127.0.0.1:{running.config.grpc_port}", options=settings)

    def call(self, method: str, request: Any, timeout: float = PATIENCE, **more: Any) -> Any:
        response = getattr(pb, method + "Response")
        unary = self.channel.unary_unary(
            f"/{SERVICE}/{method}",
            request_serializer=lambda m: m.SerializeToString(),
            response_deserializer=response.FromString,
        )
        return unary(request, timeout=timeout, **more)

    def infer(self, *inputs: Any, raw: tuple[bytes, ...] = (), **more: Any) -> Any:
        return self.call("ModelInfer", self.request(*inputs, raw=raw, **more))

    @staticmethod
    def request(*inputs: Any, raw: tuple[bytes, ...] = (), **more: Any) -> Any:
        request = pb.ModelInferRequest(
            **{"model_name": "shop", **more}, inputs=[tensor(*i) if isinstance(i, tuple) else i for i in inputs]
        )
        request.raw_input_contents.extend(raw)
        return request

    def refusal(self, call: Callable[[], Any]) -> tuple[grpc.StatusCode, str]:
        with pytest.raises(grpc.RpcError) as caught:
            call()
        return caught.value.code(), caught.value.details() or ""


def tensor(name: str, datatype: str, shape: list[int], values: list[Any] | None = None) -> Any:
    item = pb.ModelInferRequest.InferInputTensor(name=name, datatype=datatype, shape=shape)
    if values is not None:
        field = FIELDS.get(datatype, "uint" if datatype.startswith("U") else "int")
        getattr(item.contents, f"{field}_contents").extend(values)
    return item


@pytest.fixture(scope="module")
def client(classifier: Running) -> Iterator[Client]:
    found = Client(classifier)
    with found.channel:
        yield found


@pytest.fixture
def to_echo(echo: Running) -> Iterator[Client]:
    found = Client(echo)
    with found.channel:
        yield found


ROWS = np.random.default_rng(5).random((4, 30), dtype=np.float32) * 100
X = ("X", "FP32", [4, 30])


def test_predictions_are_those_of_onnx_runtime_bit_for_bit(client: Client, trained_package: Path) -> None:
    labels, probabilities = ort.InferenceSession(str(trained_package / "model.onnx")).run(None, {"X": ROWS})
    for answer in (client.infer(X, raw=(ROWS.tobytes(),)), client.infer((*X, ROWS.ravel().tolist()))):
        assert [(o.name, o.datatype, list(o.shape)) for o in answer.outputs] == [
            ("label", "INT64", [4]),
            ("probabilities", "FP32", [4, 2]),
        ]
        assert list(answer.raw_output_contents) == [labels.tobytes(), probabilities.tobytes()]
        assert (answer.model_name, answer.model_version) == ("shop", "3")


def test_every_datatype_goes_through_raw(to_echo: Client) -> None:
    half = np.array([0.5, -2], np.float16).tobytes()
    inputs = [tensor(f"in_{name}", name, [1, 2]) for name in DATATYPES]
    raw = {
        name: half if name == "FP16" else np.array(VALUES.get(name, [1, 2]), _dtype(name)).tobytes()
        for name in DATATYPES
        if name != "BYTES"
    }
    raw["BYTES"] = b"\0\0\0\0\5\0\0\0" + "grün".encode()
    answer = to_echo.infer(*inputs, raw=tuple(raw[name] for name in DATATYPES))
    sent = {f"out_{name}": data for name, data in raw.items()}
    assert dict(zip([o.name for o in answer.outputs], answer.raw_output_contents, strict=True)) == sent


def _dtype(name: str) -> str:
    return "bool" if name == "BOOL" else name.lower().replace("fp", "float")


def test_bf16_goes_through(brain: Running) -> None:
    client = Client(brain)
    patterns, singles = np.array([[0x3FC0, 0xC040]], np.uint16), np.array([[1.0, 2.0]], np.float32)
    answer = client.infer(
        ("in_BF16", "BF16", [1, 2]), ("in_FP32", "FP32", [1, 2]), raw=(patterns.tobytes(), singles.tobytes())
    )
    found = dict(zip([output.name for output in answer.outputs], answer.raw_output_contents, strict=True))
    assert found["out_BF16"] == patterns.tobytes()
    assert np.frombuffer(found["singles"], np.float32).tolist() == [1.5, -3.0]
    client.channel.close()


def test_the_id_comes_back_parameters_are_tolerated_and_outputs_are_chosen(client: Client) -> None:
    wanted = [pb.ModelInferRequest.InferRequestedOutputTensor(name="probabilities")]
    parameters = {"a": pb.InferParameter(int64_param=1)}
    answer = client.infer(X, raw=(ROWS.tobytes(),), id="42", outputs=wanted, parameters=parameters)
    assert answer.id == "42"
    assert [output.name for output in answer.outputs] == ["probabilities"]


def test_what_can_be_read(client: Client) -> None:
    assert client.call("ServerLive", pb.ServerLiveRequest()).live
    assert client.call("ServerReady", pb.ServerReadyRequest()).ready
    assert client.call("ModelReady", pb.ModelReadyRequest(name="shop", version="3")).ready
    server = client.call("ServerMetadata", pb.ServerMetadataRequest())
    assert (server.name, list(server.extensions)) == ("sluice", ["binary_tensor_data", "model_repository"])
    model = client.call("ModelMetadata", pb.ModelMetadataRequest(name="shop"))
    assert (model.name, list(model.versions), model.platform) == ("shop", ["3"], "onnx_onnxv1")
    assert [(t.name, t.datatype, list(t.shape)) for t in model.inputs] == [("X", "FP32", [-1, 30])]
    [entry] = client.call("RepositoryIndex", pb.RepositoryIndexRequest()).models
    assert (entry.name, entry.version, entry.state) == ("shop", "3", "READY")


INVALID, NOT_FOUND = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
RAW = (ROWS.tobytes(),)


@pytest.mark.parametrize(
    ("inputs", "raw", "more", "code"),
    [
        ((X,), RAW, {"model_name": "other"}, NOT_FOUND),
        ((X,), RAW, {"model_version": "9"}, NOT_FOUND),
        ((X,), (), {}, INVALID),
        ((), (), {}, INVALID),
        ((X,), (*RAW, *RAW), {}, INVALID),
        ((X, X), (*RAW, *RAW), {}, INVALID),
        ((X,), (b"123",), {}, INVALID),
        ((("Y", "FP32", [4, 30]),), RAW, {}, INVALID),
        ((("X", "FP64", [4, 30]),), RAW, {}, INVALID),
        ((("X", "FP32", [4, -30]),), RAW, {}, INVALID),
        ((("X", "FP32", [2**40]),), RAW, {}, INVALID),
        ((("X", "FP32", [120]),), RAW, {}, INVALID),
        (((*X, [1.0]),), RAW, {}, INVALID),
        (((*X, [1.0]),), (), {}, INVALID),
        ((X,), RAW, {"outputs": [pb.ModelInferRequest.InferRequestedOutputTensor(name="y")]}, INVALID),
        ((X,), RAW, {"outputs": [pb.ModelInferRequest.InferRequestedOutputTensor(name="label")] * 2}, INVALID),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_its_code(
    inputs: Any, raw: tuple[bytes, ...], more: dict[str, Any], code: grpc.StatusCode, client: Client
) -> None:
    status, words = client.refusal(lambda: client.infer(*inputs, raw=raw, **more))
    assert status is code
    assert words


@pytest.mark.parametrize("values", [[128, 0], [-129, 0]])
def test_typed_integers_out_of_range_are_refused(values: list[int], to_echo: Client) -> None:
    status, words = to_echo.refusal(lambda: to_echo.infer(tensor("in_INT8", "INT8", [1, 2], values)))
    assert (status, "between -128 and 127" in words) == (INVALID, True)


def test_an_unknown_method_is_unimplemented_and_garbage_is_the_callers_fault(client: Client) -> None:
    for method, code in (("ModelFly", grpc.StatusCode.UNIMPLEMENTED), ("ModelInfer", INVALID), ("ModelReady", INVALID)):
        unary: Any = client.channel.unary_unary(f"/{SERVICE}/{method}")
        assert client.refusal(partial(unary, b"\xff\xff\xff", timeout=PATIENCE))[0] is code


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_a_message_beyond_the_limit_is_refused_compressed_or_not(
    compression: grpc.Compression, client: Client, classifier: Running
) -> None:
    before = classifier.memory()
    request = pb.ModelInferRequest(model_name="shop", raw_input_contents=[bytes(100 * 2**20)])
    status, _ = client.refusal(lambda: client.call("ModelInfer", request, compression=compression))
    assert status is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert classifier.memory() - before < 50 * 2**20


def test_compressed_messages_are_understood(client: Client) -> None:
    plain = client.infer(X, raw=RAW)
    request = pb.ModelInferRequest(model_name="shop", inputs=[tensor(*X)], raw_input_contents=RAW)
    assert client.call("ModelInfer", request, compression=grpc.Compression.Gzip) == plain


def test_a_failure_inside_the_model_is_internal(fragile: Running) -> None:
    client = Client(fragile)
    status, words = client.refusal(lambda: client.infer(("x", "INT64", [1], [99])))
    assert (status, "the model failed" in words) == (grpc.StatusCode.INTERNAL, True)
    client.channel.close()


def test_requests_are_counted_with_those_of_rest(client: Client, classifier: Running) -> None:
    series = 'sluice_requests_total{code="200",model="shop",revision="abc123"}'
    before = classifier.metrics().get(series, 0)
    client.infer(X, raw=RAW)
    assert classifier.metrics()[series] == before + 1


def test_health_is_served(client: Client) -> None:
    stub = health_pb2_grpc.HealthStub(client.channel)
    for service in ("", SERVICE):
        answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=PATIENCE)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    unknown = health_pb2.HealthCheckRequest(service="x")
    assert client.refusal(lambda: stub.Check(unknown, timeout=PATIENCE))[0] is NOT_FOUND


def test_reflection_describes_the_service(client: Client) -> None:
    database = ProtoReflectionDescriptorDatabase(client.channel)
    assert SERVICE in database.get_services()
    served = database.FindFileContainingSymbol(SERVICE)
    assert [method.name for method in served.service[0].method][-2:] == ["ModelInfer", "RepositoryIndex"]


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Running]:
    with serving(config_for(package_of(as_slow_as_asked(), tmp_path), limits={"deadlineSeconds": 60})) as running:
        yield running


def ask_slowly(client: Client, turns: int, timeout: float = PATIENCE) -> Any:
    request = pb.ModelInferRequest(model_name="shop", inputs=[tensor("turns", "INT64", [], [turns])])
    unary: Any = client.channel.unary_unary(
        f"/{SERVICE}/ModelInfer", lambda m: m.SerializeToString(), pb.ModelInferResponse.FromString
    )
    return unary.future(request, timeout=timeout)


def in_flight(running: Running) -> float:
    return running.metrics()['sluice_requests_in_flight{model="shop",revision=""}']


def runs(running: Running) -> float:
    return running.metrics()['sluice_batch_size_count{model="shop",revision=""}']


def test_a_deadline_is_honoured_and_what_waits_is_dropped_when_its_caller_leaves(slow: Running) -> None:
    client = Client(slow)
    blocker = ask_slowly(client, 3000)
    eventually(lambda: in_flight(slow) == 1)
    before = runs(slow)
    late = ask_slowly(client, 1, timeout=0.2)
    assert late.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    leaving = [ask_slowly(client, 1) for _ in range(5)]
    eventually(lambda: in_flight(slow) >= 6)
    for call in leaving:
        call.cancel()
    eventually(lambda: in_flight(slow) <= 1)
    blocker.cancel()
    eventually(lambda: in_flight(slow) == 0)
    ask_slowly(client, 1).result()
    assert runs(slow) - before <= 2
    client.channel.close()


def test_on_sigterm_the_prediction_under_way_is_answered(slow: Running) -> None:
    client = Client(slow)
    call = ask_slowly(client, 1500)
    eventually(lambda: in_flight(slow) == 1)
    slow.process.send_signal(signal.SIGTERM)
    assert call.result(PATIENCE).model_name == "shop"
    assert slow.process.wait(PATIENCE) == 0
    client.channel.close()
