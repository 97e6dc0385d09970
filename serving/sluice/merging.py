"""Puts a graph that prepares values in front of the one that predicts, so that both are one and cannot come apart.

Needs the `onnx` package, so only packaging imports this.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import compose

from sluice.failures import PackageError, Reason
from sluice.graph import opsets

_FIRST, _SECOND = "preprocess/", "model/"

_CONSTANTS_ARE_NO_INPUTS = 4
"""The version of ONNX's format since which they need not be listed among the inputs."""


def merged(preprocess: Path, model: Path) -> onnx.ModelProto:
    """One graph of two. What the first gives goes to the second's inputs of the same names, or, where each has one, to
    that one. Inputs of the model that the first does not give stay inputs; the outputs are the model's.

    Raises:
        PackageError: ModelCorrupt, OpsetUnsupported for graphs in different operator sets, or SignatureMismatch naming
            what does not fit.
    """
    first, second = _read(preprocess), _read(model)
    _check_opsets(first, second)
    first.ir_version = second.ir_version = max(first.ir_version, second.ir_version, _CONSTANTS_ARE_NO_INPUTS)
    try:
        whole = compose.merge_models(
            first,
            second,
            _pairs(first.graph, second.graph),
            outputs=[_SECOND + value.name for value in second.graph.output],
            prefix1=_FIRST,
            prefix2=_SECOND,
        )
        _name_as_before(whole.graph)
        onnx.checker.check_model(whole)
    except (ValueError, onnx.checker.ValidationError) as error:
        raise _mismatch(" ".join(str(error).split())[:600]) from error
    return whole


def _read(path: Path) -> onnx.ModelProto:
    # With tensors that lie beside it: two graphs' files could have one name.
    try:
        model = onnx.load(path)
    except DecodeError as error:
        raise PackageError(Reason.MODEL_CORRUPT, f"{path.name} is no ONNX file; export it again") from error
    constants = {tensor.name for tensor in model.graph.initializer}
    kept = [value for value in model.graph.input if value.name not in constants]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    return model


def _check_opsets(first: onnx.ModelProto, second: onnx.ModelProto) -> None:
    one, other = opsets(first), opsets(second)
    for domain in one.keys() & other.keys():
        if one[domain] != other[domain]:
            raise PackageError(
                Reason.OPSET_UNSUPPORTED,
                f"the preprocessing is written in {domain} {one[domain]}, the model in {domain} {other[domain]}; "
                "export both with the same target_opset",
            )


def _pairs(first: onnx.GraphProto, second: onnx.GraphProto) -> list[tuple[str, str]]:
    """What the first graph gives, and the input of the second that takes it."""
    gives = [value.name for value in first.output]
    takes = [value.name for value in second.input]
    if len(gives) == len(takes) == 1:
        return [(gives[0], takes[0])]
    if not set(gives) <= set(takes):
        unknown = sorted(set(gives) - set(takes))
        raise _mismatch(f"the preprocessing gives {unknown}, and the model takes {takes}; name them alike")
    return [(name, name) for name in gives]


def _name_as_before(graph: onnx.GraphProto) -> None:
    """Give inputs and outputs their own names back; an input that both graphs take is one."""
    for value in [*graph.input, *graph.output]:
        prefix = _FIRST if value.name.startswith(_FIRST) else _SECOND
        _rename(graph, value.name, value.name.removeprefix(prefix))
    names = [value.name for value in graph.input]
    for place in reversed(range(len(names))):
        first = names.index(names[place])
        if first != place:
            if graph.input[first].type != graph.input[place].type:
                raise _mismatch(f"preprocessing and model both take {names[place]!r}, but of different types")
            del graph.input[place]
    if both := {value.name for value in graph.output} & set(names):
        raise _mismatch(f"{sorted(both)} would be inputs and outputs of one graph; rename them in one of the two")


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    for values in (graph.input, graph.output, graph.value_info):
        for value in values:
            value.name = new if value.name == old else value.name
    for node in graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name == old:
                    names[place] = new
        for body in _bodies(node):
            _rename(body, old, new)


def _bodies(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _mismatch(message: str) -> PackageError:
    return PackageError(Reason.SIGNATURE_MISMATCH, f"preprocessing and model cannot be put together: {message}")
