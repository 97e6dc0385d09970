"""A package's own Python code prepares values as it did in training, sees no other code, and harms only its request."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime.harness import config_for, serving
from runtime.skews import (
    CODE,
    HELPERS,
    NUMBERS,
    TOWNS,
    coded,
    fitted,
    matrix,
    state,
    training,
)
from sluice.digest import package_digest
from sluice.failures import PackageError, Reason
from sluice.parts import environment_digest
from sluice_runtime.runtime import load

LOCK = "# made by hand\npandas==1.0.0 \\\n    --hash=sha256:00\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return coded(tmp_path_factory.mktemp("made"))


@pytest.fixture
def package(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "package"))


def refused(package: Path, **changes: Any) -> PackageError:
    with pytest.raises(PackageError) as caught:
        load(config_for(package, **changes))
    return caught.value


def tensors(rows: slice) -> list[dict[str, Any]]:
    columns, _ = training()
    return [
        {
            "name": name,
            "datatype": "BYTES" if name == "town" else "FP32",
            "shape": [len(columns[name][rows]), 1],
            "data": columns[name][rows].tolist(),
        }
        for name in (*NUMBERS, "town")
    ]


def predicted(rows: slice) -> list[float]:
    columns, _ = training()
    return [float(value) for value in fitted().predict(matrix({name: v[rows] for name, v in columns.items()}))]


FRAGILE = CODE.replace(
    "        numbers =",
    '        if (inputs["size"] < 0).any():\n            raise SystemExit("no such shop")\n        numbers =',
)


def test_code_answers_as_the_pipeline_does_and_its_failure_is_of_one_request(tmp_path: Path) -> None:
    """Even where it wants to end the process."""
    package = coded(tmp_path, files={"model.py": FRAGILE, "helpers.py": HELPERS})
    before = package_digest(package)
    with serving(config_for(package)) as running:
        bad = tensors(slice(0, 1))
        bad[0]["data"] = [-1.0]
        failed = running.infer(*bad)
        assert failed.status_code == 500
        assert "no such shop (code/model.py, line" in failed.json()["error"]
        answer = running.infer(*tensors(slice(0, 400)))
        assert answer.json()["outputs"][0]["data"] == pytest.approx(predicted(slice(0, 400)), rel=1e-6)
        metadata = running.client.get("/v2/models/shop").json()
        card = running.client.get("/v2/models/shop/versions/3/card")
        paths = running.client.get("/v2/docs/openapi.json").json()["paths"]
        other = running.client.get("/v2/models/another/card")
    assert [item["name"] for item in metadata["inputs"]] == [*NUMBERS, "town"]
    assert package_digest(package) == before  # nothing was compiled into it
    told = {"description": "Revenue of shops", "owner": "team-a", "intendedUse": "Stock", "metrics": {"rmse": 5000.5}}
    assert card.json() == {"name": "shop", "version": "3", "digest": before, "card": told}
    assert "/v2/models/shop/card" in paths
    assert other.status_code == 404


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import numpy\nimport pandaz\n", "ModuleNotFoundError: No module named 'pandaz' (code/model.py, line 2)"),
        ("def f(:\n", "SyntaxError"),
        ("x = 1\n", "has no attribute 'Revenue'"),
        ("Revenue = int\n", "model:Revenue is no subclass of sluice.Model"),
        ("raise SystemExit(3)\n", "SystemExit: 3 (code/model.py, line 1)"),
        ("raise KeyboardInterrupt\n", "KeyboardInterrupt (code/model.py, line 1)"),
        ("from helpers import nothing\n", "cannot import name 'nothing'"),
        ("import broken\n", "ZeroDivisionError: division by zero (code/broken.py, line 2)"),
        (CODE + "    def __init__(self):\n        1 / 0\n", "ZeroDivisionError: division by zero (code/model.py, line"),
        (CODE + "    def restore(self, folder):\n        raise OSError('gone')\n", "OSError: gone (code/model.py"),
    ],
)
def test_code_that_cannot_be_imported_says_where(text: str, words: str, package: Path) -> None:
    (package / "code/model.py").write_text(text)
    (package / "code/broken.py").write_text("x = 0\ny = 1 / x\n")
    error = refused(package)
    assert error.reason is Reason.CODE_FAILED
    assert words in error.message


def test_modules_of_a_package_and_those_of_the_process_do_not_see_each_other(tmp_path: Path) -> None:
    """`json.py` of the package is the package's alone; packages of one name of module keep theirs apart."""
    one = coded(
        tmp_path / "one",
        files={
            "model.py": CODE.replace("from helpers import", "import json\nfrom json import"),
            "json.py": HELPERS + "\nloads = None\n",
        },
    )
    other = coded(tmp_path / "other", files={"model.py": CODE, "helpers.py": HELPERS + "# another\n"})
    for package in (one, other, one):
        load(config_for(package))
    assert json.loads("1") == 1
    assert not any(name in sys.modules for name in ("helpers", "model"))
    assert not any(str(tmp_path) in entry for entry in sys.path)


def test_folders_of_modules_are_imported_as_in_training(tmp_path: Path) -> None:
    files = {
        "model.py": CODE.replace(
            "from helpers import scaled", "import shop.steps.scale\nfrom shop.steps import scaled"
        ),
        "shop/__init__.py": "",
        "shop/steps/__init__.py": "from .scale import scaled\n",
        "shop/steps/scale.py": HELPERS,
    }
    load(config_for(coded(tmp_path, files=files)))


def test_folders_of_files_hide_no_library_and_folders_of_sources_need_no_init(tmp_path: Path) -> None:
    """`json` was imported before, `colorsys` was not; both have words for a name beside the package's modules."""
    imports = "import json\nfrom json import loads\nimport colorsys\nfrom colorsys import rgb_to_hsv\n"
    files = {
        "model.py": imports + CODE.replace("from helpers import scaled", "from shop.steps.scale import scaled"),
        "json/words.txt": "a",
        "colorsys/more.py": "raise ImportError('this is no library')\n",
        "shop/steps/scale.py": HELPERS,
    }
    load(config_for(coded(tmp_path, files=files)))


def test_code_may_change_what_it_is_given_and_goes_by_the_order_of_the_manifest(tmp_path: Path) -> None:
    """A sample in another order is asked in the manifest's, as requests are."""
    text = CODE.replace(
        '        numbers = np.column_stack([inputs[name] for name in self.state["order"]])',
        "        for name in self.state['order']:\n            inputs[name] += 1\n            inputs[name] -= 1\n"
        "        numbers = np.column_stack(list(inputs.values())[:3])",
    )
    assert text != CODE
    package = coded(tmp_path, files={"model.py": text, "helpers.py": HELPERS})
    sample = json.loads((package / "sample.json").read_text())
    sample["inputs"].reverse()
    (package / "sample.json").write_text(json.dumps(sample))
    load(config_for(package))
    manifest = (package / "model.yaml").read_text()
    size, staff = (
        "- name: size\n  datatype: FP32\n  shape: [-1, 1]\n",
        "- name: staff\n  datatype: FP32\n  shape: [-1, 1]\n",
    )
    assert size + staff in manifest
    (package / "model.yaml").write_text(manifest.replace(size + staff, staff + size))
    assert refused(package).reason is Reason.SAMPLE_MISMATCH


SKEWED_STATES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "mean": lambda fitted: {"mean": fitted["mean"] * 1.001},
    "deviation": lambda fitted: {"deviation": fitted["deviation"] * 0.999},
    "columns": lambda fitted: {"order": list(NUMBERS[::-1])},
    "encoder": lambda fitted: {"towns": list(TOWNS[::-1])},
    "precision": lambda fitted: {"mean": fitted["mean"].astype(np.float16)},
    "nothing fitted": lambda fitted: {"mean": np.zeros(3), "deviation": np.ones(3)},
}


@pytest.mark.parametrize("skew", SKEWED_STATES)
def test_other_fitted_state_is_refused(skew: str, tmp_path: Path) -> None:
    skewed = state() | SKEWED_STATES[skew](state())
    assert refused(coded(tmp_path, skewed)).reason is Reason.SAMPLE_MISMATCH


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('{"prepared": np', '{"other": np', "preprocess: ValueError: it returned ['other'], without ['prepared']"),
        (".astype(np.float32)}", ".astype(np.float32)[:, 1:]}", "'prepared' has shape"),
        (".astype(np.float32)}", ".astype(np.float32)[1:]}", "'prepared' has 19 rows for 20 that were asked with"),
        (".astype(np.float32)}", ".astype(str)}", "'prepared' holds object, wanted FP32"),
        ('{"variable": outputs["revenue"]}', "{}", "postprocess: ValueError: it returned [], without ['variable']"),
        ('outputs["revenue"]', 'outputs["x"]', "postprocess: KeyError: 'x' (code/model.py, line"),
    ],
)
def test_code_that_returns_what_does_not_fit_is_refused(old: str, new: str, words: str, package: Path) -> None:
    (package / "code/model.py").write_text(CODE.replace(old, new))
    error = refused(package)
    assert error.reason is Reason.SAMPLE_MISMATCH
    assert words in error.message


def with_lock(package: Path, text: str) -> str:
    """Give a package another lock; returns its environment."""
    old = environment_digest(package / "code/requirements.lock")
    (package / "code/requirements.lock").write_text(text)
    new = environment_digest(package / "code/requirements.lock")
    (package / "model.yaml").write_text((package / "model.yaml").read_text().replace(old, new))
    return new


def test_an_image_without_the_packages_libraries_is_no_place_for_it(package: Path, tmp_path: Path) -> None:
    wanted = with_lock(package, LOCK)
    file = tmp_path / "environment"
    error = refused(package, environment_file=str(file))
    assert error.reason is Reason.ENVIRONMENT_MISMATCH
    assert wanted in error.message
    assert "none of its own" in error.message
    assert "sluice build" in error.message
    file.write_text("sha256:" + hashlib.sha256(b"another").hexdigest() + "\n")
    assert refused(package, environment_file=str(file)).reason is Reason.ENVIRONMENT_MISMATCH
    file.write_text(wanted + "\n")
    load(config_for(package, environment_file=str(file)))


def test_where_there_is_no_image_the_installed_libraries_tell(package: Path) -> None:
    with_lock(package, f"numpy=={np.__version__}\nNever_Heard==1 ; sys_platform == 'win32'\n")
    load(config_for(package, environment_file=None))
    with_lock(package, "numpy==1.0.0 --hash=sha256:0\nnever-heard==1.2\nnumpy>=1\n")
    error = refused(package, environment_file=None)
    assert error.reason is Reason.ENVIRONMENT_MISMATCH
    assert f"numpy 1.0.0 (here {np.__version__})" in error.message
    assert "never-heard 1.2 (not installed)" in error.message
    assert "'numpy>=1' is not pinned" in error.message


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda p: (p / "code/requirements.lock").write_text("numpy==1\n"), "and model.yaml says"),
        (lambda p: (p / "code/requirements.lock").unlink(), "code/requirements.lock is missing"),
        (lambda p: (p / "code/model.py").unlink(), "code/model.py, where preprocessing.entrypoint begins"),
        (lambda p: np.savez(p / "code/more.npz", x=np.array([{}], object)), "'code/more.npz' is a pickle"),
        (lambda p: (p / "code/scaler.joblib").write_bytes(b"x"), "'code/scaler.joblib' is a pickle"),
        (
            lambda p: (p / "model.yaml").write_text(
                "".join(
                    line
                    for line in (p / "model.yaml").read_text().splitlines(keepends=True)
                    if not line.startswith(("preprocessing", "  environment", "  entrypoint"))
                )
            ),
            "would never run, as model.yaml declares no preprocessing",
        ),
    ],
)
def test_code_that_is_not_what_the_manifest_says_is_refused(spoil: Any, words: str, package: Path) -> None:
    spoil(package)
    error = refused(package)
    assert error.reason is Reason.INVALID_PACKAGE
    assert words in error.message
