"""Answers of registries that are made to be read take little memory, and long honest ones are read."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sluice.archive import MAX_MEMBERS
from sluice_store.huggingface import read_revision
from sluice_store.oci_manifest import MANIFEST_LIMIT, MAX_LAYERS, read_manifest

DESCRIPTOR = '{"digest":"sha256:%s","size":1}' % ("1" * 64)
VERSION = '{"model_version":{"name":"a","version":"1","tags":['
TENSORS = "name: a\nversion: '1'\ninputs:\n- &b {name: t, datatype: FP32, shape: [%s1]}\n" % ("1," * 9000)
HOSTILE = {
    "Manifest-layers": ('{"layers":[', "{},", "{}]}"),
    "Manifest-good": ('{"layers":[', f"{DESCRIPTOR},", f"{DESCRIPTOR}]}}"),
    "Manifest-index": ('{"manifests":[', "{},", "{}]}"),
    "Manifest-unknown": ('{"x":[', '{"":1},', "{}]}"),
    "Manifest-annotations": ('{"annotations":{', '"a":1,', '"a":1}}'),
    "Manifest-bracket": ("", "[", ""),
    "VersionAnswer-tags": (VERSION, "{},", "{}]}}"),
    "VersionAnswer-good": (VERSION, '{"key":""},', '{"key":""}]}}'),
    "ListAnswer-files": ('{"files":[', "{},", "{}]}"),
    "Revision-siblings": ('{"siblings":[', "{},", "{}]}"),
    "_Models-all": ('{"registered_models":[', "{},", "{}]}"),
    "_Versions-all": ('{"model_versions":[', "{},", "{}]}"),
    "_Names-numbers": ('{"tags":[', "1,", "1]}"),
}
PROGRAM = """
import sys
from pathlib import Path
from pydantic import ValidationError
from sluice.failures import PackageError
from sluice.manifest import explain, load_manifest
from sluice_store import huggingface, listing_mlflow, listing_oci, mlflow_answers, oci_manifest
from sluice_store.answers import read_answer
kinds = vars(mlflow_answers) | vars(huggingface) | vars(listing_mlflow) | vars(listing_oci)
for path in map(Path, sys.argv[1:]):
    name = path.stem.partition("-")[0]
    try:
        if path.suffix == ".yaml":
            load_manifest(path)
        elif name == "Manifest":
            oci_manifest.read_manifest(path.read_bytes(), None, "there")
        else:
            read_answer(kinds[name], path.read_bytes())
    except (PackageError, ValidationError) as error:
        if isinstance(error, ValidationError):
            explain(error)
        print("refused")
print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM:')))
"""


@pytest.mark.parametrize("limit", [MANIFEST_LIMIT, 200_000], ids=["as-large-as-can-be", "with-few-parts"])
def test_hostile_answers_take_little_memory(limit: int, tmp_path: Path) -> None:
    for kind, (head, part, tail) in HOSTILE.items():
        text = head + part * ((limit - len(head) - len(tail)) // len(part)) + tail
        (tmp_path / f"{kind}.json").write_text(text)
    copies = "".join(f"- {{<<: *b, name: t{i}}}\n" for i in range(2000))
    (tmp_path / "tensors.yaml").write_text(f"{TENSORS}{copies}outputs: [{{name: o, datatype: FP32, shape: []}}]\n")
    argv = [sys.executable, "-c", PROGRAM, *map(str, sorted(tmp_path.iterdir()))]
    *said, peak = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
    assert said == ["refused"] * (len(HOSTILE) + 1)
    assert int(peak) * 1024 < 100 * 1000**2


def test_an_honest_answer_about_as_many_files_as_a_package_may_have_is_read() -> None:
    lfs = {"sha256": "a" * 64, "size": 1, "pointerSize": 1}
    siblings = [{"rfilename": f"f{i}", "size": 1, "blobId": "b" * 40, "lfs": lfs} for i in range(MAX_MEMBERS)]
    content = json.dumps({"sha": "c" * 40, "siblings": siblings}).encode()
    assert len(read_revision(content, "there").siblings) == MAX_MEMBERS


def test_a_manifest_of_as_many_layers_as_there_may_be_is_read() -> None:
    content = f'{{"layers":[{",".join([DESCRIPTOR] * MAX_LAYERS)}]}}'.encode()
    assert len(read_manifest(content, None, "there").manifest.layers or ()) == MAX_LAYERS
