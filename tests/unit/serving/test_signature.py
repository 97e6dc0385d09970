"""A request fits the graph, or the message names the tensor that does not."""

from dataclasses import dataclass

import numpy as np
import pytest

from sluice.failures import PackageError, Reason
from sluice.manifest import Datatype, Manifest, TensorSpec
from sluice_runtime.errors import RequestError
from sluice_runtime.signature import Signature, agree, read_signature
from unit.serving.fakes import spec


@dataclass
class Node:
    """A node argument as ONNX Runtime describes it."""

    name: str
    shape: list[int | str | None]
    type: str = "tensor(float)"


def manifest_of(signature: Signature) -> Manifest:
    return Manifest(name="shop", version="3", inputs=signature.inputs, outputs=signature.outputs)


@pytest.mark.parametrize(
    ("inputs", "outputs", "batchable"),
    [
        ([Node("x", [None, 3])], [Node("y", [None])], True),
        ([Node("x", ["N", 3]), Node("z", ["N"])], [Node("y", ["N"])], True),
        ([Node("x", ["N", 3])], [Node("y", [None])], True),
        ([Node("x", ["N", 3])], [Node("y", ["M"])], False),
        ([Node("x", [1, 3])], [Node("y", [1])], False),
        ([Node("x", ["N", 3])], [Node("y", [1])], False),
        ([Node("x", ["N", 3])], [Node("y", [])], False),
        ([Node("x", [])], [Node("y", [None])], False),
        ([Node("x", ["N"])], [Node("y", ["N"]), Node("maps", [], "seq(map(int64,tensor(float)))")], False),
        ([], [Node("y", [None])], False),
    ],
)
def test_only_a_graph_whose_tensors_all_count_rows_is_batched(
    inputs: list[Node], outputs: list[Node], batchable: bool
) -> None:
    assert read_signature(inputs, outputs).batchable is batchable


@pytest.mark.parametrize(
    ("inputs", "batchable", "bounded"),
    [
        ((spec("x", Datatype.FP32, -1, 3),), True, True),
        ((spec("x", Datatype.FP32, -1, 3),), False, False),
        ((spec("x", Datatype.FP32, -1, -1),), True, False),
        ((spec("x", Datatype.FP32, 1, 3),), False, True),
        ((spec("x", Datatype.FP32, -1), spec("t", Datatype.BYTES, -1)), True, False),
    ],
)
def test_only_shapes_that_rows_determine_bound_the_cost(
    inputs: tuple[TensorSpec, ...], batchable: bool, bounded: bool
) -> None:
    assert Signature(inputs, inputs, batchable).bounded is bounded


def test_an_output_that_is_no_tensor_is_not_offered() -> None:
    signature = read_signature([Node("x", [None])], [Node("y", [None]), Node("z", [], "seq(tensor(float))")])
    assert [output.name for output in signature.outputs] == ["y"]


def test_an_input_that_is_no_tensor_cannot_be_served() -> None:
    with pytest.raises(PackageError) as caught:
        read_signature([Node("x", [], "seq(tensor(float))")], [Node("y", [None])])
    assert caught.value.reason is Reason.SIGNATURE_UNSUPPORTED


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({}, "'a' is missing"),
        ({"a": np.zeros((2, 4)), "b": np.zeros(2)}, "'a' has shape [2, 4], expected [-1, 3]"),
        ({"a": np.zeros(3), "b": np.zeros(2)}, "'a' has shape [3]"),
        ({"a": np.zeros((2, 3)), "b": np.zeros(2), "c": np.zeros(1)}, "['c']"),
        ({"a": np.zeros((2, 3)), "b": np.zeros(4)}, "number of rows"),
    ],
)
def test_a_request_that_does_not_fit_is_refused(tensors: dict[str, np.ndarray], words: str) -> None:
    inputs = (spec("a", Datatype.FP64, -1, 3), spec("b", Datatype.FP64, -1))
    with pytest.raises(RequestError) as caught:
        Signature(inputs, inputs, batchable=True).check(tensors)
    assert words in caught.value.message


def test_an_unknown_output_is_refused() -> None:
    signature = Signature((spec("a", Datatype.FP32, -1),), (spec("y", Datatype.FP32, -1),), batchable=True)
    signature.check_outputs(["y"])
    with pytest.raises(RequestError, match="unknown outputs"):
        signature.check_outputs(["y", "z"])


def test_a_graph_agrees_with_a_manifest_that_leaves_dimensions_open() -> None:
    graph = Signature((spec("x", Datatype.FP32, -1, 3),), (spec("y", Datatype.FP32, -1, 1),), batchable=True)
    declared = Signature((spec("x", Datatype.FP32, -1, 3),), (spec("y", Datatype.FP32, -1, -1),), batchable=True)
    agree(graph, manifest_of(declared))


@pytest.mark.parametrize(
    "declared",
    [
        spec("z", Datatype.FP32, -1, 3),
        spec("x", Datatype.FP64, -1, 3),
        spec("x", Datatype.FP32, -1, 4),
        spec("x", Datatype.FP32, 3),
    ],
)
def test_a_graph_that_is_not_what_the_manifest_says_is_refused(declared: object) -> None:
    graph = Signature((spec("x", Datatype.FP32, -1, 3),), (spec("y", Datatype.FP32, -1),), batchable=True)
    said = Signature((declared,), graph.outputs, batchable=True)  # type: ignore[arg-type]
    with pytest.raises(PackageError) as caught:
        agree(graph, manifest_of(said))
    assert caught.value.reason is Reason.SIGNATURE_MISMATCH


def test_a_row_is_as_large_as_its_inputs_without_open_dimensions() -> None:
    inputs = (
        spec("x", Datatype.FP32, -1, 3, 224, 224),
        spec("t", Datatype.INT64, -1),
        spec("w", Datatype.FP16, -1, -1),
    )
    assert Signature(inputs, (), batchable=True).row_bytes == 4 * 3 * 224 * 224 + 8 + 2
