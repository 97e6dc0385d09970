"""Who is measured: how each is started, what it is asked, and how its answer is read."""

from __future__ import annotations

import json
import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

import numpy as np
import orjson

from bench.serving import wire
from bench.serving.messages import (
    Answer,
    Encoding,
    Request,
    binary_request,
    json_request,
    read_answer,
    reference_answer,
)
from bench.serving.models import NAME, Array, Case
from integrations.environments import environment
from sluice.config import RuntimeConfig

REPOSITORY = Path(__file__).resolve().parents[3]
TESTS, SERVING = REPOSITORY / "tests", REPOSITORY / "serving"
LARGEST_BODY = 64 * 1024**2
ENGINE = f"onnxruntime=={metadata.version('onnxruntime')}"
"""The peers run the model by the same engine."""

# Where the image's own paths differ from this machine's.
PLACES = frozenset({"PATH", "PYTHONPATH", "HOME", "BENTOML_HOME"})


@dataclass(frozen=True)
class Ports:
    """What a server may listen on."""

    http: int
    grpc: int
    metrics: int


@dataclass(frozen=True)
class Command:
    """How a server is started in its scratch folder."""

    argv: list[str]
    environ: dict[str, str]


class Contender(ABC):
    """A server of the Open Inference Protocol unless a subclass says otherwise."""

    name: str
    ready_path: str | None = "/v2/health/ready"
    """None: it has no HTTP, and is ready when its port accepts."""
    requirements: tuple[str, ...] = ()
    """What its own environment holds; none: it runs in ours."""

    def python(self) -> str:
        """The interpreter it runs with; its environment is built on first use."""
        return (
            str(environment("bench-" + self.name.lower().replace(" ", "-"), self.requirements))
            if self.requirements
            else sys.executable
        )

    @abstractmethod
    def command(self, case: Case, ports: Ports, folder: Path) -> Command:
        """How to start it; `folder` is its own scratch folder."""

    def absent(self, encoding: Encoding, extensions: frozenset[str]) -> str | None:
        """Why it is not asked in this encoding; None when it is. `extensions` is what it advertises at `/v2`."""
        if encoding is Encoding.BINARY and "binary_tensor_data" not in extensions:
            return "not offered"
        return None

    def request(self, case: Case, encoding: Encoding) -> Request:
        """What it is asked over HTTP."""
        return binary_request(case) if encoding is Encoding.BINARY else json_request(case)

    def read(self, case: Case, answer: Answer) -> Mapping[str, Array]:
        """The tensors of its answer over HTTP."""
        return read_answer(answer)

    def _module(self, module: str, case: Case, *arguments: str, **environ: str) -> Command:
        argv = [self.python(), "-m", f"bench.serving.peers.{module}", *arguments]
        return Command(argv, {"PYTHONPATH": str(TESTS), "BENCH_MODEL": str(case.onnx), **environ})


class Echo(Contender):
    """The HTTP server with nothing behind it; its answer is as long as the real one."""

    name = "ASGI echo"
    ready_path = "/"

    def command(self, case: Case, ports: Ports, folder: Path) -> Command:
        answers = folder / "answers"
        answers.mkdir()
        for encoding in (Encoding.JSON, Encoding.BINARY):
            (answers / encoding.value).write_bytes(reference_answer(case, encoding).body)
        return self._module("asgi_echo", case, str(ports.http), BENCH_ANSWERS=str(answers))

    def absent(self, encoding: Encoding, extensions: frozenset[str]) -> str | None:
        return "HTTP only" if encoding is Encoding.GRPC else None

    def request(self, case: Case, encoding: Encoding) -> Request:
        real = super().request(case, encoding)
        return Request(f"/{encoding.value}", real.body, real.headers)

    def read(self, case: Case, answer: Answer) -> Mapping[str, Array]:
        for encoding in (Encoding.JSON, Encoding.BINARY):
            expected = reference_answer(case, encoding)
            if answer.body == expected.body:
                return read_answer(expected)
        return {}


class GrpcEcho(Contender):
    """A bare `grpc.aio` server."""

    name = "grpc.aio echo"
    ready_path = None

    def command(self, case: Case, ports: Ports, folder: Path) -> Command:
        answers = folder / "answers"
        answers.mkdir()
        (answers / Encoding.GRPC.value).write_bytes(wire.infer_response(case.outputs))
        return self._module("grpc_echo", case, str(ports.grpc), BENCH_ANSWERS=str(answers))

    def absent(self, encoding: Encoding, extensions: frozenset[str]) -> str | None:
        return None if encoding is Encoding.GRPC else "gRPC only"


class Sluice(Contender):
    """This runtime: the real process with a model pod's settings and the image's environment."""

    name = "Sluice"

    def command(self, case: Case, ports: Ports, folder: Path) -> Command:
        settings = {
            "name": NAME,
            "uri": f"file://{case.package}",
            "package_dir": str(case.package),
            "host": "127.0.0.1",
            "port": ports.http,
            "drain_seconds": 0.5,
            "termination_log": str(folder / "termination-log"),
        }
        if offers_grpc():
            settings["grpc_port"] = ports.grpc
        config = RuntimeConfig.model_validate(settings)
        places = {"PYTHONPATH": str(SERVING), "BENTOML_HOME": str(folder / "bentoml")}
        environ = {**image_environment(), **places, "SLUICE_CONFIG": config.to_env_value()}
        return Command([self.python(), "-m", "sluice_runtime"], environ)

    def absent(self, encoding: Encoding, extensions: frozenset[str]) -> str | None:
        if encoding is Encoding.GRPC and not offers_grpc():
            return "not offered"
        return super().absent(encoding, extensions)


class MlServer(Contender):
    """MLServer with a custom runtime, its workers in the server's process: on one core that is its fastest form."""

    name = "MLServer"
    requirements = ("mlserver==1.7.1", ENGINE)

    def command(self, case: Case, ports: Ports, folder: Path) -> Command:
        model = {"name": NAME, "implementation": "bench.serving.peers.mlserver_peer.OnnxModel"}
        (folder / "model-settings.json").write_text(json.dumps({**model, "parameters": {"version": "1"}}))
        settings = {
            "HOST": "127.0.0.1",
            "HTTP_PORT": str(ports.http),
            "GRPC_PORT": str(ports.grpc),
            "METRICS_PORT": str(ports.metrics),
            "PARALLEL_WORKERS": "0",
            "DEBUG": "false",
            "GRPC_MAX_MESSAGE_LENGTH": str(LARGEST_BODY),
        }
        argv = [str(Path(self.python()).with_name("mlserver")), "start", str(folder)]
        environ = {f"MLSERVER_{name}": value for name, value in settings.items()}
        return Command(argv, {"PYTHONPATH": str(TESTS), "BENCH_MODEL": str(case.onnx), **environ})


class KServe(Contender):
    """KServe's Python server with a custom model, its line of log per request off."""

    name = "KServe"
    requirements = ("kserve==0.21.0", ENGINE)

    def command(self, case: Case, ports: Ports, folder: Path) -> Command:
        chosen = {"http_port": ports.http, "grpc_port": ports.grpc, "workers": 1, "enable_latency_logging": False}
        arguments = [f"--{name}={value}" for name, value in chosen.items()]
        return self._module("kserve_peer", case, *arguments)

    def absent(self, encoding: Encoding, extensions: frozenset[str]) -> str | None:
        return None  # it serves binary tensors without saying so at /v2


class LitServe(Contender):
    """LitServe; it has a JSON format of its own and nothing else."""

    name = "LitServe"
    ready_path = "/health"
    requirements = ("litserve==0.2.19", ENGINE)

    def command(self, case: Case, ports: Ports, folder: Path) -> Command:
        return self._module("litserve_peer", case, str(ports.http))

    def absent(self, encoding: Encoding, extensions: frozenset[str]) -> str | None:
        return None if encoding is Encoding.JSON else "not offered"

    def request(self, case: Case, encoding: Encoding) -> Request:
        return Request("/predict", _plain(case, "input"))

    def read(self, case: Case, answer: Answer) -> Mapping[str, Array]:
        return _plain_answer(answer)


class BentoIo(Contender):
    """BentoML's own IO path; its JSON format is its own too."""

    name = "BentoML IO"
    ready_path = "/readyz"
    requirements = ("bentoml==1.4.39", "httptools", "uvloop", ENGINE)

    def command(self, case: Case, ports: Ports, folder: Path) -> Command:
        service = "bench.serving.peers.bentoml_peer:OnnxService"
        argv = [self.python(), "-m", "bentoml", "serve", service, "--host", "127.0.0.1", "--port", str(ports.http)]
        environ = {"BENTOML_HOME": str(folder / "bentoml"), "BENTOML_DO_NOT_TRACK": "True"}
        return Command(argv, {"PYTHONPATH": str(TESTS), "BENCH_MODEL": str(case.onnx), **environ})

    def absent(self, encoding: Encoding, extensions: frozenset[str]) -> str | None:
        return None if encoding is Encoding.JSON else "not offered"

    def request(self, case: Case, encoding: Encoding) -> Request:
        return Request("/predict", _plain(case, "features"))

    def read(self, case: Case, answer: Answer) -> Mapping[str, Array]:
        return _plain_answer(answer)


CONTENDERS: tuple[Contender, ...] = (
    Echo(),
    GrpcEcho(),
    Sluice(),
    MlServer(),
    KServe(),
    LitServe(),
    BentoIo(),
)


def offers_grpc() -> bool:
    """Whether the runtime has gRPC: a setting for its port, and the library."""
    return "grpc_port" in RuntimeConfig.model_fields and util.find_spec("grpc") is not None


def image_environment() -> dict[str, str]:
    """What the runtime's image sets, so that the process measured is the one that serves in a pod."""
    dockerfile = (SERVING / "Dockerfile").read_text()
    lines = re.search(r"^ENV ((?:.*\\\n)*.*)$", dockerfile, re.M)
    pairs = re.findall(r"(\w+)=(\S+)", lines[1]) if lines else []
    return {name: value for name, value in pairs if name not in PLACES}


def _plain(case: Case, name: str) -> bytes:
    """`{name: [[...]]}` with the one input tensor."""
    (tensor,) = case.inputs.values()
    return orjson.dumps({name: tensor}, option=orjson.OPT_SERIALIZE_NUMPY)


def _plain_answer(answer: Answer) -> dict[str, Array]:
    """The tensors of `{output: [[...]], ...}`."""
    return {name: np.asarray(values) for name, values in orjson.loads(answer.body).items()}
