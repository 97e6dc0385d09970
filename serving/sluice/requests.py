"""From data as people write it to a request of the Open Inference Protocol, by what the model's inputs are.

A person has rows: a line of numbers, a table with a header, one value for every input. The protocol wants tensors with
names, datatypes and shapes, and the model has told all of these already.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sluice.manifest import Datatype, TensorSpec

Request = dict[str, Any]
"""A request's JSON: `{"inputs": [{"name", "datatype", "shape", "data"}, ...]}`."""


def read_request(source: str, inputs: Sequence[TensorSpec], optional: Collection[str] = ()) -> Request:
    """A request from JSON text, from a .json or from a .csv file. `optional`: inputs that may be left out.

    JSON is a whole request of the protocol, or `{"input name": values}`, or a list of such rows, or, where the model
    has one input that must be there, its values alone.

    Raises:
        ValueError: the data does not fit the inputs; the message names the input and its form.
        FileNotFoundError: there is no such file.
    """
    if source.lstrip()[:1] in ("{", "["):
        return from_document(_json(source, "the input"), inputs, optional)
    path = Path(source)
    if not (source and path.exists()):
        raise FileNotFoundError(f"{source!r} is neither JSON (it begins with {{ or [) nor a file that is there")
    if path.suffix == ".csv":
        # Spreadsheets begin a file with a mark of its byte order.
        with open(path, encoding="utf-8-sig", newline="") as file:
            return from_table(list(csv.reader(file)), inputs, optional)
    return from_document(_json(path.read_text(encoding="utf-8-sig"), path.name), inputs, optional)


def from_document(document: Any, inputs: Sequence[TensorSpec], optional: Collection[str] = ()) -> Request:
    """A request from parsed JSON.

    Raises:
        ValueError: it does not fit the inputs.
    """
    if isinstance(document, dict):
        return document if "inputs" in document and not _has("inputs", inputs) else _by_name(document, inputs, optional)
    if isinstance(document, list) and document and all(isinstance(row, dict) for row in document):
        return _by_name(_columns(document), inputs, optional)
    only = _only(inputs, optional)
    if only is None:
        raise ValueError(f'the model has several inputs; write {{"name": values}} for {_names(inputs)}')
    return {"inputs": [_tensor(only, document)]}


def from_table(lines: Sequence[Sequence[str]], inputs: Sequence[TensorSpec], optional: Collection[str] = ()) -> Request:
    """A request from the lines of a CSV file. A header that names the inputs gives each its column; without one, a line
    is a row of the only input. Columns of other names are left aside where every input has one: elsewhere one may be
    an optional input, misspelt.

    Raises:
        ValueError: a cell is no value of its input's datatype, or the rows do not fit.
    """
    lines = [line for line in lines if line]
    if not lines:
        raise ValueError("the table is empty")
    named = [spec for spec in inputs if spec.name in lines[0]]
    if named and {spec.name for spec in inputs} - set(optional) <= set(lines[0]):
        _check_width(lines)
        unknown = [name for name in lines[0] if not _has(name, inputs)]
        if unknown and len(named) < len(inputs):
            raise ValueError(f"the model's inputs are {_names(inputs)}; it has no {', '.join(unknown)}")
        columns = {name: [line[i] for line in lines[1:]] for i, name in enumerate(lines[0])}
        return {"inputs": [_tensor(spec, _parsed(columns[spec.name], spec)) for spec in named]}
    only = _only(inputs, optional)
    if only is None:
        raise ValueError(f"the first line must name the inputs: {_names(inputs)}")
    rows = lines if _is_data(lines[0], only) else lines[1:]
    return {"inputs": [_tensor(only, [_parsed(row, only) for row in rows])]}


def read_answer(response: dict[str, Any]) -> dict[str, Any]:
    """Outputs of an answer by name, nested by their shapes."""
    return {
        output["name"]: np.array(output["data"], dtype=object).reshape(output["shape"]).tolist()
        for output in response["outputs"]
    }


def read_notes(response: dict[str, Any]) -> str:
    """What an answer says of its inputs: what was filled in by a default, imputed or flagged; empty for nothing."""
    return str(response.get("parameters", {}).get("sluice_notes", ""))


def _only(inputs: Sequence[TensorSpec], optional: Collection[str]) -> TensorSpec | None:
    """The only input, or the only one that must be there."""
    needed = inputs if len(inputs) == 1 else [spec for spec in inputs if spec.name not in optional]
    return needed[0] if len(needed) == 1 else None


def _check_width(lines: Sequence[Sequence[str]]) -> None:
    for number, line in enumerate(lines, start=1):
        if len(line) != len(lines[0]):
            raise ValueError(f"line {number} has {len(line)} cells, the header {len(lines[0])}")


def _by_name(values: dict[str, Any], inputs: Sequence[TensorSpec], optional: Collection[str]) -> Request:
    unknown = sorted(name for name in values if not _has(name, inputs))
    missing = [spec.name for spec in inputs if spec.name not in values and spec.name not in optional]
    if unknown or missing:
        wrong = [f"it has no {', '.join(unknown)}"] * bool(unknown) + [f"missing: {', '.join(missing)}"] * bool(missing)
        raise ValueError(f"the model's inputs are {_names(inputs)}; {'; '.join(wrong)}")
    return {"inputs": [_tensor(spec, values[spec.name]) for spec in inputs if spec.name in values]}


def _columns(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    if any(row.keys() != rows[0].keys() for row in rows):
        raise ValueError("every row must have the same names")
    return {name: [row[name] for row in rows] for name in rows[0]}


def _tensor(spec: TensorSpec, values: Any) -> dict[str, Any]:
    given = np.array(values, dtype=object)
    shape = _fitted(given.shape, spec.shape)
    # Rows of different length make an array of lists.
    if shape is None or any(isinstance(value, (list, dict)) for value in given.ravel()):
        raise ValueError(f"input {spec.name!r} takes {spec.datatype} {list(spec.shape)}; {_form(values)} does not fit")
    return {"name": spec.name, "datatype": str(spec.datatype), "shape": list(shape), "data": given.ravel().tolist()}


def _fitted(given: tuple[int, ...], wanted: tuple[int, ...]) -> tuple[int, ...] | None:
    """The shape as which values can be sent: as they are, as one row, or as one value a row."""
    candidates = [given, (1, *given), (*given, 1), (1, *given, 1)]
    fitting = (shape for shape in candidates if len(shape) == len(wanted) and _agree(shape, wanted))
    return next(fitting, None)


def _agree(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return all(want in (-1, have) for have, want in zip(shape, wanted, strict=True))


def _form(values: Any) -> str:
    text = json.dumps(values)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _has(name: str, inputs: Sequence[TensorSpec]) -> bool:
    return any(spec.name == name for spec in inputs)


def _names(inputs: Sequence[TensorSpec]) -> str:
    return ", ".join(spec.name for spec in inputs)


def _json(text: str, name: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{name} is no JSON: {error}") from error


def _parsed(cells: Sequence[str], spec: TensorSpec) -> list[Any]:
    try:
        return [_reader(spec.datatype)(cell.strip()) for cell in cells]
    except (ValueError, KeyError) as error:
        raise ValueError(f"input {spec.name!r} takes {spec.datatype}: {error}") from error


def _is_data(cells: Sequence[str], spec: TensorSpec) -> bool:
    try:
        _parsed(cells, spec)
    except ValueError:
        return False
    return True


def _reader(datatype: Datatype) -> Callable[[str], Any]:
    if datatype is Datatype.BYTES:
        return str
    if datatype is Datatype.BOOL:
        return lambda cell: {"true": True, "1": True, "false": False, "0": False}[cell.lower()]
    return float if datatype.startswith(("FP", "BF")) else int
