"""A long list of numbers is read in pieces, and means what it means in one."""

from typing import Any

import numpy as np
import orjson
import pytest

from sluice.manifest import Datatype
from sluice_runtime.errors import RequestError
from sluice_runtime.protocol.codec import decode_request
from sluice_runtime.protocol.longlists import decode_long
from unit.serving.fakes import model_of, spec

COUNT = 60_000
NUMBERS = [i * 7 % 101 for i in range(COUNT)]
TENSOR = {"name": "x", "shape": [COUNT]}


def text(datatype: str, data: list[Any], **more: Any) -> bytes:
    return orjson.dumps({"id": "a", "inputs": [{**TENSOR, "datatype": datatype, "data": data, **more}]})


@pytest.mark.parametrize("datatype", [name for name in Datatype if name not in (Datatype.BOOL, Datatype.BYTES)])
@pytest.mark.parametrize("space", [b"", b" ", b"\n\t"])
def test_numbers_come_as_if_they_were_read_at_once(datatype: Datatype, space: bytes) -> None:
    model = model_of(spec("x", datatype, -1))
    numbers: list[Any] = NUMBERS if "INT" in datatype else [*NUMBERS[:-1], None]
    body = text(datatype, numbers, parameters={"timeout": 3}).replace(b",", b"," + space)
    body = body.replace(b":[", b":" + space + b"[" + space).replace(b"]", space + b"]")
    expected, _ = decode_request(body, model)
    found, _ = decode_long(body, model, None, 5.0)
    assert (found.id, found.timeout) == ("a", 5.0)
    assert found.inputs["x"].dtype == expected.inputs["x"].dtype
    np.testing.assert_array_equal(found.inputs["x"], expected.inputs["x"])


@pytest.mark.parametrize(
    "body",
    [
        text("INT8", [*NUMBERS[:-1], 300]),
        text("INT8", [*NUMBERS[:-1], 1.5]),
        text("INT8", [*NUMBERS[:-1], "1"]),
        text("INT8", NUMBERS[:-1]),
        text("INT16", NUMBERS),
        text("INT8", NUMBERS, parameters={"binary_data_size": 3}),
        text("INT8", NUMBERS).replace(b"]}", b",]}"),
        text("INT8", NUMBERS).replace(b"7,", b"7,,", 1),
        text("INT8", NUMBERS)[:-9],
        text("INT8", NUMBERS).replace(b"]}]", b"]},{}]"),
    ],
)
def test_what_is_wrong_is_said_as_always(body: bytes) -> None:
    model = model_of(spec("x", Datatype.INT8, -1))
    with pytest.raises(RequestError) as usual:
        decode_request(body, model)
    with pytest.raises(RequestError) as found:
        decode_long(body, model, None, None)
    assert found.value.message == usual.value.message


def test_another_form_is_decoded_as_always() -> None:
    model = model_of(spec("x", Datatype.INT8, -1, -1))
    body = orjson.dumps({"inputs": [{"name": "x", "datatype": "INT8", "shape": [2, 2], "data": [[1, 2], [3, 4]]}]})
    assert decode_long(body, model, None, None)[0].inputs["x"].tolist() == [[1, 2], [3, 4]]
