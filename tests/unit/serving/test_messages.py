"""gRPC's messages: every datatype survives, typed and raw, and what does not fit is the caller's fault."""

import contextlib
from pathlib import Path

import numpy as np
import pytest
from grpc_tools import protoc
from hypothesis import given
from hypothesis import strategies as st

from sluice.manifest import Datatype
from sluice_runtime.errors import Kind, RequestError
from sluice_runtime.plane import InferResponse
from sluice_runtime.protocol.messages import decode_message, encode_message
from sluice_runtime.protocol.pb import open_inference_pb2 as pb
from sluice_runtime.signature import NUMPY_TYPES
from unit.serving.fakes import model_of, spec
from unit.serving.tensors import Case, tensors

SERVING = Path(__file__).parents[3] / "serving"
PROTO = "sluice_runtime/protocol/pb/open_inference.proto"
TYPED = {
    **dict.fromkeys([Datatype.INT8, Datatype.INT16, Datatype.INT32], "int_contents"),
    **dict.fromkeys([Datatype.UINT8, Datatype.UINT16, Datatype.UINT32], "uint_contents"),
    Datatype.BOOL: "bool_contents",
    Datatype.INT64: "int64_contents",
    Datatype.UINT64: "uint64_contents",
    Datatype.FP32: "fp32_contents",
    Datatype.FP64: "fp64_contents",
    Datatype.BYTES: "bytes_contents",
}


@given(st.lists(tensors(), min_size=1, max_size=4), st.text(max_size=20))
def test_every_tensor_survives_raw_bit_for_bit(cases: list[Case], identity: str) -> None:
    specs = [spec(f"x{place}", datatype, *[-1] * tensor.ndim) for place, (datatype, tensor) in enumerate(cases)]
    model = model_of(*specs)
    outputs = {found.name: tensor for found, (_, tensor) in zip(specs, cases, strict=True)}
    answer = pb.ModelInferResponse.FromString(encode_message(InferResponse(model, identity, outputs)))
    message = pb.ModelInferRequest(id=answer.id, raw_input_contents=answer.raw_output_contents)
    for output in answer.outputs:
        message.inputs.add(name=output.name, datatype=output.datatype, shape=output.shape)
    request = decode_message(pb.ModelInferRequest.FromString(message.SerializeToString()), model, 1.5)
    assert (request.id or "", request.timeout) == (identity, 1.5)
    for name, tensor in outputs.items():
        received = request.inputs[name]
        assert (received.dtype, received.shape) == (tensor.dtype, tensor.shape)
        assert (
            received.tolist() == tensor.tolist() if tensor.dtype.kind == "O" else received.tobytes() == tensor.tobytes()
        )


@pytest.mark.parametrize("size", [0, 1, 31, 32, 63, 64, 5000])
@pytest.mark.parametrize("datatype", [Datatype.FP32, Datatype.FP64])
@pytest.mark.parametrize("more", [b"", b"\xfa\x01\x01x"], ids=["alone", "with a field of a later version"])
def test_many_typed_floats_arrive_as_they_were(size: int, datatype: Datatype, more: bytes) -> None:
    wanted = np.arange(size, dtype=NUMPY_TYPES[datatype]) / 7
    message = pb.ModelInferRequest()
    item = message.inputs.add(name="x", datatype=datatype, shape=[size])
    getattr(item.contents, TYPED[datatype]).extend(wanted.tolist())
    item.contents.MergeFromString(more)
    received = decode_message(message, model_of(spec("x", datatype, -1)), None).inputs["x"]
    assert (received.dtype, received.tobytes()) == (wanted.dtype, wanted.tobytes())


@given(tensors().filter(lambda case: case[0] in TYPED))
def test_typed_contents_arrive_as_they_were(case: Case) -> None:
    datatype, tensor = case
    message = pb.ModelInferRequest()
    item = message.inputs.add(name="x", datatype=datatype, shape=tensor.shape)
    values = [value.encode() if datatype is Datatype.BYTES else value for value in tensor.ravel().tolist()]
    getattr(item.contents, TYPED[datatype]).extend(values)
    received = decode_message(message, model_of(spec("x", datatype, *[-1] * tensor.ndim)), None).inputs["x"]
    assert received.dtype == NUMPY_TYPES[datatype]
    np.testing.assert_array_equal(received, tensor)


@pytest.mark.parametrize("datatype", [Datatype.FP16, Datatype.BF16])
def test_datatypes_without_a_field_are_asked_for_raw(datatype: Datatype) -> None:
    message = pb.ModelInferRequest()
    message.inputs.add(name="x", datatype=datatype, shape=[0])
    with pytest.raises(RequestError, match="raw_input_contents") as caught:
        decode_message(message, model_of(spec("x", datatype, -1)), None)
    assert caught.value.kind is Kind.INVALID


@given(st.binary(max_size=60), st.lists(st.integers(-(2**63), 2**63 - 1), max_size=40), st.sampled_from(list(Datatype)))
def test_no_message_raises_anything_but_a_clear_refusal(raw: bytes, shape: list[int], datatype: Datatype) -> None:
    message = pb.ModelInferRequest(raw_input_contents=[raw])
    message.inputs.add(name="x", datatype=datatype, shape=shape)
    with contextlib.suppress(RequestError):
        decode_message(message, model_of(spec("x", datatype, -1)), None)


def test_the_committed_messages_are_those_of_the_proto_file(tmp_path: Path) -> None:
    arguments = ["protoc", f"-I{SERVING}", f"--python_out={tmp_path}", f"--pyi_out={tmp_path}", str(SERVING / PROTO)]
    assert protoc.main(arguments) == 0
    for name in ("open_inference_pb2.py", "open_inference_pb2.pyi"):
        folder = Path(PROTO).parent
        assert (tmp_path / folder / name).read_text() == (SERVING / folder / name).read_text(), "run make generate"
