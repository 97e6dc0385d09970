"""Other people's clients drive the runtime unchanged, over every datatype and error, bit for bit."""

import json
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from integrations.environments import environment
from runtime.harness import Running, config_for, package_of, serving
from runtime.models import DATATYPES, brain_floats, every_datatype, fails_beyond_the_table, trained

CLIENTS = Path(__file__).parent / "clients"
REQUIREMENTS = {
    "triton": ("tritonclient[http,grpc]==2.69.0",),
    "kserve_client": ("kserve==0.21.0",),
    "mlserver": ("mlserver==1.7.1",),
}
FORMS = [
    *(("triton", form) for form in ("binary", "json", "gzip", "deflate", "grpc", "grpc-gzip")),
    *(("kserve_client", form) for form in ("binary", "json", "grpc")),
]
NOT_IN_JSON = {"triton": {"FP16", "BF16"}, "kserve_client": {"BF16"}}
"""Datatypes that a client itself refuses to write as JSON."""

Tensors = list[dict[str, Any]]

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="session", params=["trained", "echo", "brain", "fragile"])
def _unused(request: pytest.FixtureRequest) -> None: ...


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return package_of(trained(), tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="session")
def classifier(package: Path) -> Iterator[Running]:
    with serving(config_for(package, threads=1, limits={"maxBodyBytes": 200_000})) as running:
        yield running


@pytest.fixture(scope="session")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(config_for(package_of(every_datatype(), tmp_path_factory.mktemp("echo")))) as running:
        yield running


@pytest.fixture(scope="session")
def brain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(config_for(package_of(brain_floats(), tmp_path_factory.mktemp("brain")))) as running:
        yield running


@pytest.fixture(scope="session")
def fragile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(config_for(package_of(fails_beyond_the_table(), tmp_path_factory.mktemp("fragile")))) as running:
        yield running


def ask(client: str, running: Running, *jobs: dict[str, Any]) -> list[dict[str, Any]]:
    """Let a client's program do jobs in its own environment."""
    places = {"http": f"127.0.0.1:{running.config.port}", "grpc": f"127.0.0.1:{running.config.grpc_port}"}
    settled = [{"ask": "infer", "model": "shop", "version": "", "outputs": [], **places, **job} for job in jobs]
    python = environment(client, REQUIREMENTS[client])
    result = subprocess.run(
        [python, CLIENTS / f"{client}.py"], input=json.dumps(settled), capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    answers: list[dict[str, Any]] = json.loads(result.stdout.splitlines()[-1])
    return answers


def told(name: str, datatype: str, array: np.ndarray[Any, Any]) -> dict[str, Any]:
    raw = array.tobytes()
    if datatype == "BYTES":
        raw = b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in array.ravel())
    return {"name": name, "datatype": datatype, "shape": list(array.shape), "hex": raw.hex()}


def extremes(datatype: str, rows: int) -> np.ndarray[Any, Any]:
    """Values at the ends of a datatype's range, one beside the other."""
    if datatype == "BYTES":
        return np.array([["", "grün \U0001f642", 'a"\\\n']] * rows, np.object_).reshape(rows, 3)
    if datatype == "BOOL":
        return np.array([[True, False, True]] * rows).reshape(rows, 3)
    dtype = np.dtype(datatype.lower().replace("fp", "float"))
    limits: Any = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
    middle = dtype.type(1 / 3) if dtype.kind == "f" else dtype.type(1)
    return np.array([[limits.min, middle, limits.max]] * rows, dtype).reshape(rows, 3)


@pytest.mark.parametrize(("client", "form"), FORMS)
@pytest.mark.parametrize("rows", [1, 3])
def test_every_datatype_comes_back_bit_for_bit(client: str, form: str, rows: int, echo: Running) -> None:
    # The model takes all datatypes at once, so where a client cannot write one as JSON, a whole request cannot be JSON.
    tensors = [told(f"in_{name}", name, extremes(name, rows)) for name in DATATYPES]
    if form == "json" and NOT_IN_JSON[client] & set(DATATYPES):
        pytest.fail("unreachable: see test_json_forms")
    [answer] = ask(client, echo, {"form": form, "inputs": tensors})
    assert answer["outputs"] == [{**tensor, "name": tensor["name"].replace("in_", "out_")} for tensor in tensors]
