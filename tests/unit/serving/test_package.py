"""Packages are written reproducibly, opened strictly, and refused with a message that says what to change."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from sluice.archive import extract_archive
from sluice.digest import package_digest
from sluice.failures import PackageError, Reason
from sluice.manifest import Card, Datatype, load_manifest
from sluice.package import open_package, write_package


def identity_model(path: Path, kind: int = TensorProto.FLOAT, shape: tuple[str | int, ...] = ("N", 3)) -> Path:
    node = helper.make_node("Identity", ["x"], ["y"])
    tensors = [helper.make_tensor_value_info(name, kind, shape) for name in ("x", "y")]
    graph = helper.make_graph([node], "g", tensors[:1], tensors[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_package(identity_model(tmp_path / "m.onnx"), "shop", "3", tmp_path / "package")
    return tmp_path / "package"


def refusal(folder: Path, digest: str | None = None) -> PackageError:
    with pytest.raises(PackageError) as caught:
        open_package(folder, digest)
    return caught.value


def test_the_signature_comes_from_the_graph(folder: Path) -> None:
    manifest = open_package(folder).manifest
    assert (manifest.name, manifest.version) == ("shop", "3")
    assert [(t.name, t.datatype, t.shape) for t in manifest.inputs] == [("x", Datatype.FP32, (-1, 3))]
    assert [(t.name, t.datatype, t.shape) for t in manifest.outputs] == [("y", Datatype.FP32, (-1, 3))]


def test_folder_and_archive_have_the_same_digest(folder: Path, tmp_path: Path) -> None:
    digest = write_package(tmp_path / "m.onnx", "shop", "3", tmp_path / "package.tar.gz")
    (tmp_path / "out").mkdir()
    extract_archive(tmp_path / "package.tar.gz", tmp_path / "out", 10**6)
    assert package_digest(tmp_path / "out") == package_digest(folder) == digest


def test_external_tensor_data_travels_with_the_model(tmp_path: Path) -> None:
    weights = numpy_helper.from_array(np.ones((3, 1000), np.float32), "w")
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("N", 3))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ("N", 1000))],
        [weights],
    )
    onnx.save(helper.make_model(graph), tmp_path / "m.onnx", save_as_external_data=True, location="weights.bin")
    write_package(tmp_path / "m.onnx", "shop", "3", tmp_path / "package")
    assert (tmp_path / "package/weights.bin").stat().st_size == 12000


def in_a_branch(tensor: onnx.TensorProto) -> onnx.ModelProto:
    """A graph that keeps its only constant in a branch."""
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, (1000,))
    nodes = [helper.make_node("Constant", [], ["y"], value=tensor)]
    branch = helper.make_graph(nodes, "branch", [], [out])
    choice = helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch)
    graph = helper.make_graph([choice], "g", [helper.make_tensor_value_info("x", TensorProto.BOOL, ())], [out])
    return helper.make_model(graph)


def stored_outside(location: str) -> onnx.TensorProto:
    tensor = TensorProto(data_type=TensorProto.FLOAT, dims=[1000], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    return tensor


def test_tensor_data_of_a_branch_travels_too(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/w.bin").write_bytes(bytes(4000))
    (tmp_path / "m.onnx").write_bytes(in_a_branch(stored_outside("data/w.bin")).SerializeToString())
    write_package(tmp_path / "m.onnx", "shop", "3", tmp_path / "package")
    assert (tmp_path / "package/data/w.bin").stat().st_size == 4000


def test_missing_tensor_data_is_named_and_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(in_a_branch(stored_outside("w.bin")).SerializeToString())
    with pytest.raises(FileNotFoundError, match=r"w\.bin is not there"):
        write_package(tmp_path / "m.onnx", "shop", "3", tmp_path / "package")
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


@pytest.mark.parametrize("location", ["model.yaml", "model.onnx"])
def test_tensor_data_must_not_replace_a_part_of_the_package(location: str, tmp_path: Path) -> None:
    (tmp_path / location).write_bytes(bytes(4000))
    (tmp_path / "m.onnx").write_bytes(in_a_branch(stored_outside(location)).SerializeToString())
    with pytest.raises(PackageError, match="rename it"):
        write_package(tmp_path / "m.onnx", "shop", "3", tmp_path / "package")


def test_equal_inputs_give_equal_bytes(tmp_path: Path) -> None:
    model = identity_model(tmp_path / "m.onnx")
    card = Card(description="the same", owner="both")
    digests = {write_package(model, "shop", "3", tmp_path / f"{i}.tar.gz", card=card) for i in range(2)}
    assert len(digests) == 1
    assert (tmp_path / "0.tar.gz").read_bytes() == (tmp_path / "1.tar.gz").read_bytes()


def test_the_manifest_of_a_package_without_a_card_never_changes(folder: Path) -> None:
    """Byte for byte: another text would give every package a new digest."""
    assert (folder / "model.yaml").read_text() == (
        "apiVersion: sluice.dev/package/v1\nname: shop\nversion: '3'\n"
        "inputs:\n- name: x\n  datatype: FP32\n  shape: [-1, 3]\n"
        "outputs:\n- name: y\n  datatype: FP32\n  shape: [-1, 3]\n"
    )


def test_a_package_of_a_later_schema_says_what_to_use(folder: Path) -> None:
    text = (folder / "model.yaml").read_text().replace("package/v1", "package/v2") + "features: []\n"
    (folder / "model.yaml").write_text(text)
    message = refusal(folder).message
    assert "'sluice.dev/package/v2'" in message
    assert "newer runtime" in message
    assert "features" not in message


def test_nothing_is_overwritten(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(FileExistsError):
        write_package(tmp_path / "m.onnx", "shop", "4", folder)


def test_what_is_no_graph_is_not_packaged(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"\xff\xff no protobuf")
    with pytest.raises(PackageError) as caught:
        write_package(tmp_path / "m.onnx", "shop", "3", tmp_path / "package")
    assert caught.value.reason is Reason.MODEL_CORRUPT
    assert not (tmp_path / "package").exists()


def test_a_type_that_the_protocol_does_not_know_is_named(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="'x'") as caught:
        write_package(identity_model(tmp_path / "m.onnx", TensorProto.COMPLEX64), "s", "1", tmp_path / "p")
    assert caught.value.reason is Reason.SIGNATURE_UNSUPPORTED


def test_another_digest_is_a_mismatch_that_names_both(folder: Path) -> None:
    wanted = "sha256:" + "0" * 64
    error = refusal(folder, wanted)
    assert error.reason is Reason.DIGEST_MISMATCH
    assert wanted in error.message
    assert package_digest(folder) in error.message


@pytest.mark.parametrize("name", ["model.yaml", "model.onnx"])
def test_a_missing_file_is_named(name: str, folder: Path) -> None:
    (folder / name).unlink()
    assert refusal(folder).message.startswith(f"{name} is missing")


def test_a_package_inside_a_folder_is_recognised(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "outer").mkdir()
    folder.rename(tmp_path / "outer" / "shop")
    assert "lies in the folder 'shop'" in refusal(tmp_path / "outer").message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "no YAML"),
        ("[]", "document"),
        ("{}", "name"),
        ("apiVersion: sluice.dev/package/v9\nname: a\nversion: '1'\ninputs: []\noutputs: []", "apiVersion"),
        ("name: a\nversion: 1\ninputs: []\noutputs: [{name: y, datatype: FP32, shape: [1]}]", "version"),
        ("name: a\nversion: '1'\nextra: 1\ninputs: []\noutputs: [{name: y, datatype: FP32, shape: [1]}]", "extra"),
        ("name: a\nversion: '1'\ninputs: []\noutputs: [{name: y, datatype: FP31, shape: [1]}]", "datatype"),
        ("name: a\nversion: '1'\ninputs: []\noutputs: [{name: y, datatype: FP32, shape: [-2]}]", "shape"),
        ("!!python/object/apply:os.system ['true']", "no YAML"),
        ("[" * 5000, "nested too deeply"),
        ("name: a\ninputs: [" + "{}," * 20_000 + "{}]", "more than 20000 parts"),
        ("name: a\ninputs:\n" + "- {}\n" * 20_000, "more than 20000 parts"),
        ("name: a\n" + "".join(f"k{number}: 1\n" for number in range(100)), "and 9"),
    ],
)
def test_a_wrong_manifest_is_refused_by_field(text: str, words: str, folder: Path) -> None:
    (folder / "model.yaml").write_text(text)
    error = refusal(folder)
    assert error.reason is Reason.INVALID_PACKAGE
    assert words in error.message


def test_a_manifest_that_is_no_text_or_too_large_is_refused(folder: Path) -> None:
    for content in (b"\xff\xfe", b"#" * 1024**2 + b"##"):
        (folder / "model.yaml").write_bytes(content)
        assert refusal(folder).reason is Reason.INVALID_PACKAGE


def test_tensor_names_must_not_repeat(folder: Path) -> None:
    text = (folder / "model.yaml").read_text()
    (folder / "model.yaml").write_text(text.replace("outputs:\n", "outputs:\n- {name: y, datatype: FP32, shape: []}\n"))
    assert "repeat" in refusal(folder).message


def test_a_written_manifest_is_read_back(folder: Path) -> None:
    assert load_manifest(folder / "model.yaml") == open_package(folder).manifest
