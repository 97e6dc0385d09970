"""Other people's clients drive the runtime unchanged, over every datatype and error, bit for bit."""

import json
import struct
import subprocess
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
    "triton": ("tritonclient[http,grpc]==2.73.0",),
    "kserve_client": ("kserve==0.21.0",),
    "mlserver": ("mlserver==1.7.1",),
}
FORMS = [
    *(("triton", form) for form in ("binary", "json", "gzip", "deflate", "grpc", "grpc-gzip")),
    *(("kserve_client", form) for form in ("binary", "json", "grpc")),
]
Tensors = list[dict[str, Any]]

pytestmark = pytest.mark.timeout(1800)


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
def jsonable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Without FP16, which NVIDIA's client does not write as JSON."""
    names = [name for name in DATATYPES if name != "FP16"]
    with serving(config_for(package_of(every_datatype(names), tmp_path_factory.mktemp("json")))) as running:
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
def test_every_datatype_comes_back_bit_for_bit(client: str, form: str, echo: Running, jsonable: Running) -> None:
    running = jsonable if form == "json" else echo
    names = [name for name in DATATYPES if form != "json" or name != "FP16"]
    jobs = [[told(f"in_{name}", name, extremes(name, rows)) for name in names] for rows in (1, 3, 0)]
    answers = ask(client, running, *({"form": form, "inputs": tensors} for tensors in jobs))
    for tensors, answer in zip(jobs, answers, strict=True):
        assert answer.get("outputs") == [renamed(tensor) for tensor in tensors], answer.get("error")


def renamed(tensor: dict[str, Any]) -> dict[str, Any]:
    return {**tensor, "name": tensor["name"].replace("in_", "out_")}


@pytest.mark.parametrize(("client", "form"), [("triton", "binary"), ("triton", "grpc")])
def test_bf16_comes_back_bit_for_bit(client: str, form: str, brain: Running) -> None:
    patterns = told("in_BF16", "BF16", np.array([[0x3FC0, 0xC040, 0x7F80, 0x0001]], np.uint16))
    singles = told("in_FP32", "FP32", np.array([[1.0, 2.0, 3.0, 4.0]], np.float32))
    job = {"form": form, "inputs": [patterns, singles], "outputs": ["out_BF16"]}
    [answer] = ask(client, brain, job)
    assert answer.get("outputs") == [renamed(patterns)], answer.get("error")


@pytest.mark.parametrize(("client", "form"), FORMS)
def test_predictions_are_those_of_onnx_runtime_in_this_process(
    client: str, form: str, classifier: Running, package: Path
) -> None:
    rows = np.random.default_rng(11).random((7, 30), dtype=np.float32) * 100
    expected = predict(package, rows)
    jobs = [{"form": form, "inputs": [told("X", "FP32", rows)], "outputs": names} for names in ([], ["probabilities"])]
    everything, one = ask(client, classifier, *jobs)
    assert everything.get("outputs") == expected, everything.get("error")
    assert one.get("outputs") == expected[1:], one.get("error")


def predict(package: Path, rows: np.ndarray[Any, Any]) -> Tensors:
    """The same batch on as many threads."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(str(package / "model.onnx"), options)
    labels, probabilities = session.run(None, {"X": rows})
    return [told("label", "INT64", labels), told("probabilities", "FP32", probabilities)]


X = told("X", "FP32", np.zeros((1, 30), np.float32))
ERRORS: list[tuple[dict[str, Any], str, str, str]] = [
    ({"model": "other"}, "404", "NOT_FOUND", "unknown model"),
    ({"inputs": [told("X", "FP64", np.zeros((1, 30)))]}, "400", "INVALID_ARGUMENT", "datatype"),
    ({"inputs": [told("X", "FP32", np.zeros((1, 29), np.float32))]}, "400", "INVALID_ARGUMENT", "shape"),
    ({"inputs": [told("Y", "FP32", np.zeros((1, 30), np.float32))]}, "400", "INVALID_ARGUMENT", "unknown input"),
    ({"outputs": ["nothing"]}, "400", "INVALID_ARGUMENT", "unknown outputs"),
]


@pytest.mark.parametrize(("client", "form"), FORMS)
def test_every_error_reaches_the_caller_with_its_status(client: str, form: str, classifier: Running) -> None:
    answers = ask(client, classifier, *({"form": form, "inputs": [X], **changes} for changes, *_ in ERRORS))
    for answer, (_, http_status, code, words) in zip(answers, ERRORS, strict=True):
        assert words in answer["error"]
        assert answer["status"] == (f"StatusCode.{code}" if form.startswith("grpc") else http_status)


@pytest.mark.parametrize(("client", "form"), FORMS)
def test_a_failure_of_the_model_reaches_the_caller(client: str, form: str, fragile: Running) -> None:
    [answer] = ask(client, fragile, {"form": form, "inputs": [told("x", "INT64", np.array([99]))]})
    assert "the model failed" in answer["error"]
    assert answer["status"] == ("StatusCode.INTERNAL" if form.startswith("grpc") else "500")


@pytest.mark.parametrize("form", ["binary", "grpc"])
def test_a_version_that_is_not_served_is_not_found(form: str, classifier: Running) -> None:
    wrong, right = ask("triton", classifier, *({"form": form, "inputs": [X], "version": version} for version in "93"))
    assert wrong["status"] in ("404", "StatusCode.NOT_FOUND")
    assert "outputs" in right


@pytest.mark.parametrize("form", ["binary", "grpc"])
def test_a_request_beyond_the_limit_is_refused(form: str, classifier: Running) -> None:
    [answer] = ask(
        "triton", classifier, {"form": form, "inputs": [told("X", "FP32", np.zeros((9999, 30), np.float32))]}
    )
    assert answer["status"] in ("413", "StatusCode.RESOURCE_EXHAUSTED")


@pytest.mark.parametrize(("client", "form"), [(client, form) for client, form in FORMS if form in ("binary", "grpc")])
def test_clients_find_out_about_the_server(client: str, form: str, classifier: Running) -> None:
    [answer] = ask(client, classifier, {"ask": "describe", "form": form})
    assert (answer["live"], answer["ready"]) == (True, True)
    if client == "triton":
        assert "binary_tensor_data" in answer["extensions"]
        assert answer["inputs"] == ["X"]
        assert [(model["name"], model["version"], model["state"]) for model in answer["index"]] == [
            ("shop", "3", "READY")
        ]


@pytest.mark.parametrize("options", [[], ["--binary-data"]], ids=["json", "binary"])
def test_mlserver_infer_runs_a_file_of_requests(
    options: list[str], classifier: Running, package: Path, tmp_path: Path
) -> None:
    rows = np.random.default_rng(12).random((5, 30), dtype=np.float32) * 100
    lines = [
        {"id": str(place), "inputs": [{"name": "X", "datatype": "FP32", "shape": [1, 30], "data": row.tolist()}]}
        for place, row in enumerate(rows)
    ]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    program = environment("mlserver", REQUIREMENTS["mlserver"]).parent / "mlserver"
    files = ["--input-data-path", str(tmp_path / "in.jsonl"), "--output-data-path", str(tmp_path / "out.jsonl")]
    address = f"127.0.0.1:{classifier.config.port}"
    result = subprocess.run(
        [program, "infer", "--url", address, "--model-name", "shop", *files, *options],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    answers = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert len(answers) == len(rows)
    for answer in answers:
        place = int(answer["id"].rsplit("_", 1)[-1] if "_" in answer["id"] else answer["id"])
        expected = predict(package, rows[place : place + 1])
        found = {output["name"]: output["data"] for output in answer["outputs"]}
        probabilities = np.array(found["probabilities"], np.float32)
        assert probabilities.tobytes().hex() == expected[1]["hex"]
