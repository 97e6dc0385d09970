"""Data as people write it becomes the request the model takes, or a message that says what it takes."""

import re
from pathlib import Path
from typing import Any

import pytest

from sluice.manifest import Datatype, TensorSpec
from sluice.requests import read_answer, read_request


def spec(name: str, datatype: Datatype, *shape: int) -> TensorSpec:
    return TensorSpec(name=name, datatype=datatype, shape=shape)


ROWS = [spec("x", Datatype.FP32, -1, 2)]
TEXT = [spec("text", Datatype.BYTES, -1, 1)]
PERSON = [spec("age", Datatype.INT64, -1, 1), spec("city", Datatype.BYTES, -1, 1), spec("vip", Datatype.BOOL, -1)]


def tensors(source: object, inputs: list[TensorSpec]) -> list[tuple[str, list[int], list[Any]]]:
    request = read_request(str(source), inputs)
    return [(tensor["name"], tensor["shape"], tensor["data"]) for tensor in request["inputs"]]


def refusal(source: object, inputs: list[TensorSpec]) -> str:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 the message is what is looked at
        read_request(str(source), inputs)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "inputs", "shape", "data"),
    [
        ("[[1, 2], [3, 4]]", ROWS, [2, 2], [1, 2, 3, 4]),
        ("[1, 2]", ROWS, [1, 2], [1, 2]),
        ('["a", "b"]', TEXT, [2, 1], ["a", "b"]),
        ('{"text": "a"}', TEXT, [1, 1], ["a"]),
        ("[5]", [spec("x", Datatype.INT64)], None, None),
        ('{"x": 5}', [spec("x", Datatype.INT64)], [], [5]),
        ("[[[1]], [[2]]]", [spec("x", Datatype.FP32, -1, 1, 1)], [2, 1, 1], [1, 2]),
        ("[[1, 2]]", [spec("x", Datatype.FP32, -1, -1)], [1, 2], [1, 2]),
    ],
)
def test_values_of_the_only_input_take_its_shape(
    text: str, inputs: list[TensorSpec], shape: list[int] | None, data: list[Any] | None
) -> None:
    if shape is None:
        assert "does not fit" in refusal(text, inputs)
    else:
        assert tensors(text, inputs) == [(inputs[0].name, shape, data)]


@pytest.mark.parametrize(
    "text",
    [
        '{"age": [31, 7], "city": ["Utrecht", "Ede"], "vip": [true, false]}',
        '[{"age": 31, "city": "Utrecht", "vip": true}, {"vip": false, "age": 7, "city": "Ede"}]',
    ],
)
def test_several_inputs_come_by_name(text: str) -> None:
    expected = [("age", [2, 1], [31, 7]), ("city", [2, 1], ["Utrecht", "Ede"]), ("vip", [2], [True, False])]
    assert tensors(text, PERSON) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"age": 31}', [("age", [1, 1], [31])]),
        ("31", [("age", [1, 1], [31])]),
        ("[31, 7]", [("age", [2, 1], [31, 7])]),
        ('[{"age": 31, "vip": null}]', [("age", [1, 1], [31]), ("vip", [1], [None])]),
        ("city,age\nEde,7", [("age", [1, 1], [7]), ("city", [1, 1], ["Ede"])]),
        ("31\n7", [("age", [2, 1], [31, 7])]),
    ],
)
def test_what_may_be_left_out_need_not_be_there(text: str, expected: list[Any], tmp_path: Path) -> None:
    file = tmp_path / ("data.json" if text[0] in '{["' or text == "31" else "data.csv")
    file.write_text(text)
    request = read_request(str(file), PERSON, {"city", "vip"})
    assert [(item["name"], item["shape"], item["data"]) for item in request["inputs"]] == expected
    with pytest.raises(ValueError, match="missing: age"):
        read_request('{"city": "Ede"}', PERSON, {"city", "vip"})


@pytest.mark.parametrize("given", ["", "size=120", "absent.csv"])
def test_what_is_neither_json_nor_a_file_is_told_so(given: str) -> None:
    with pytest.raises(FileNotFoundError, match=re.escape(f"{given!r} is neither JSON")):
        read_request(given, [])


def test_the_mark_that_a_spreadsheet_begins_with_is_no_part_of_a_name(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(b"\xef\xbb\xbfage\r\n31\r\n")
    assert tensors(tmp_path / "rows.csv", [spec("age", Datatype.INT64, -1, 1)]) == [("age", [1, 1], [31])]


def test_a_column_that_may_be_a_misspelt_input_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text("age,city,VIP\n7,Ede,true\n")
    with pytest.raises(ValueError, match="the model's inputs are age, city, vip; it has no VIP"):
        read_request(str(file), PERSON, {"city", "vip"})
    file.write_text("age,city,vip,note\n7,Ede,true,x\n")
    assert len(read_request(str(file), PERSON, {"city", "vip"})["inputs"]) == 3


def test_a_whole_request_of_the_protocol_is_sent_as_it_is() -> None:
    text = '{"id": "7", "inputs": [], "outputs": [{"name": "y"}]}'
    assert read_request(text, ROWS) == {"id": "7", "inputs": [], "outputs": [{"name": "y"}]}


def test_a_table_gives_every_input_its_column(tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text("city,age,vip,note\nUtrecht,31,true,x\n'Ede, Gld',7,0\n".replace("'", '"').replace("0\n", "0,y\n"))
    expected = [("age", [2, 1], [31, 7]), ("city", [2, 1], ["Utrecht", "Ede, Gld"]), ("vip", [2], [True, False])]
    assert tensors(file, PERSON) == expected


@pytest.mark.parametrize("header", ["", "length,width\n"])
def test_a_table_of_the_only_input_may_have_a_header(header: str, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text(f"{header}1,2.5\n\n-3e2,nan\n")
    ((name, shape, data),) = tensors(file, ROWS)
    assert (name, shape, data[:3]) == ("x", [2, 2], [1.0, 2.5, -300.0])


@pytest.mark.parametrize(
    ("text", "inputs", "words"),
    [
        ("[[1, 2, 3]]", ROWS, "input 'x' takes FP32 [-1, 2]; [[1, 2, 3]] does not fit"),
        ("[[1, 2], [3]]", ROWS, "does not fit"),
        ("[1, 2", ROWS, "the input is no JSON"),
        ("[[1, 2]]", PERSON, "age, city, vip"),
        ('{"age": [1], "town": ["Ede"], "vip": [true]}', PERSON, "it has no town; missing: city"),
        ('[{"age": 1}, {"city": "Ede"}]', PERSON, "every row"),
    ],
)
def test_what_does_not_fit_is_told_in_the_models_terms(text: str, inputs: list[TensorSpec], words: str) -> None:
    assert words in refusal(text, inputs)


@pytest.mark.parametrize(
    ("text", "inputs", "words"),
    [
        ("", ROWS, "empty"),
        ("age,city\n1,Ede\n", PERSON, "must name the inputs: age, city, vip"),
        ("age,city,vip\nold,Ede,1\n", PERSON, "input 'age' takes INT64"),
        ("1,2\n3,x\n", ROWS, "input 'x' takes FP32"),
        ("age,city,vip\n1,Ede,maybe\n", PERSON, "input 'vip' takes BOOL"),
        ("age,city,vip\n1,Ede\n", PERSON, "line 2 has 2 cells"),
    ],
)
def test_a_wrong_table_is_told_by_its_input(text: str, inputs: list[TensorSpec], words: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(text)
    assert words in refusal(tmp_path / "t.csv", inputs)


def test_an_answer_is_nested_by_its_shapes() -> None:
    outputs = [
        {"name": "y", "datatype": "FP32", "shape": [2, 2], "data": [1, 2, 3, 4]},
        {"name": "total", "datatype": "INT64", "shape": [], "data": [7]},
    ]
    assert read_answer({"outputs": outputs}) == {"y": [[1, 2], [3, 4]], "total": 7}
