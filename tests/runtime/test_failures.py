"""A model that cannot be served is never ready, and says why in words that help."""

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from runtime.harness import config_for, hammer, package_of, run, serving
from runtime.models import as_slow_as_asked, fails_beyond_the_table, mean_over_rows
from sluice.failures import Failure, PackageError, Reason
from sluice_runtime.runtime import load


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return package_of(fails_beyond_the_table(), tmp_path)


def change_model(package: Path, change: Callable[[onnx.ModelProto], object]) -> None:
    model = onnx.load(package / "model.onnx")
    change(model)
    (package / "model.onnx").write_bytes(model.SerializeToString())


def opset(version: int) -> Callable[[onnx.ModelProto], object]:
    return lambda model: setattr(model.opset_import[0], "version", version)


def ir_version(version: int) -> Callable[[onnx.ModelProto], object]:
    return lambda model: setattr(model, "ir_version", version)


def unknown_operator(model: onnx.ModelProto) -> None:
    model.graph.node[0].op_type = "Unheard"


def other_output(model: onnx.ModelProto) -> None:
    model.graph.node[0].output[0] = model.graph.output[0].name = "other"


@pytest.mark.parametrize(
    ("change", "reason", "words"),
    [
        (opset(99), Reason.OPSET_UNSUPPORTED, "target_opset"),
        (ir_version(99), Reason.OPSET_UNSUPPORTED, "newer runtime image"),
        (unknown_operator, Reason.MODEL_CORRUPT, "Unheard"),
        (other_output, Reason.SIGNATURE_MISMATCH, "model.yaml declares"),
    ],
)
def test_a_graph_that_cannot_be_served_has_its_reason(
    change: Callable[[onnx.ModelProto], object], reason: Reason, words: str, package: Path
) -> None:
    change_model(package, change)
    with pytest.raises(PackageError) as caught:
        load(config_for(package))
    assert caught.value.reason is reason
    assert words in caught.value.message


@pytest.mark.parametrize("content", [b"", b"no protobuf at all", b"\x08\x07\x12"])
def test_a_file_that_is_no_graph_is_corrupt(content: bytes, package: Path) -> None:
    (package / "model.onnx").write_bytes(content)
    with pytest.raises(PackageError) as caught:
        load(config_for(package))
    assert caught.value.reason is Reason.MODEL_CORRUPT


def test_an_accelerator_that_is_not_there_is_never_replaced_by_the_cpu(package: Path) -> None:
    code, word = run("sluice_runtime", config_for(package, providers=[{"name": "CUDAExecutionProvider"}]))
    assert code == 1
    assert isinstance(word, Failure)
    assert word.reason is Reason.ACCELERATOR_UNAVAILABLE
    assert "CPUExecutionProvider" in word.message


def test_a_package_that_was_not_fetched_is_named(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="the fetch step must run first"):
        load(config_for(tmp_path / "nowhere"))


def test_the_process_ends_with_its_reason(package: Path) -> None:
    (package / "model.onnx").write_bytes(b"no protobuf at all")
    code, word = run("sluice_runtime", config_for(package))
    assert code == 1
    assert isinstance(word, Failure)
    assert word.reason is Reason.MODEL_CORRUPT


def test_the_process_refuses_another_digest(package: Path) -> None:
    code, word = run("sluice_runtime", config_for(package, digest="sha256:" + "0" * 64))
    assert code == 1
    assert isinstance(word, Failure)
    assert word.reason is Reason.DIGEST_MISMATCH


def test_a_graph_whose_rows_influence_each_other_is_never_batched(tmp_path: Path) -> None:
    assert load(config_for(package_of(mean_over_rows(), tmp_path))).max_rows == 1


def test_a_graph_that_refuses_made_up_rows_is_served_and_batched(tmp_path: Path) -> None:
    assert load(config_for(package_of(fails_beyond_the_table(), tmp_path))).max_rows == 64


def test_batching_can_be_switched_off(package: Path) -> None:
    assert load(config_for(package, batching={"maxSize": 1})).max_rows == 1


def test_a_graph_without_a_row_dimension_is_not_batched(tmp_path: Path) -> None:
    assert load(config_for(package_of(as_slow_as_asked(), tmp_path))).max_rows == 1


def test_overload_and_deadline_are_answered_in_the_protocols_shape(tmp_path: Path) -> None:
    limits = {"deadlineSeconds": 0.3, "maxQueue": 1}
    with serving(config_for(package_of(as_slow_as_asked(), tmp_path), limits=limits)) as running:
        answers = hammer(running, callers=8, turns=20_000)
    assert {response.status_code for response in answers} == {503, 504}
    for response in answers:
        assert list(response.json()) == ["error"]
    assert all("retry-after" in r.headers for r in answers if r.status_code == 503)
