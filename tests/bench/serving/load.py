"""The load: wrk over HTTP, ghz over gRPC. Both are compiled, so that the server is measured and not its caller."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.serving.cores import Cores
from bench.serving.errors import BenchError
from bench.serving.messages import Request
from localcluster import cachedir, layout, packages
from localcluster.progress import step
from localcluster.shell import tail

SCRIPT = Path(__file__).with_name("wrk.lua")
PROTO = Path(__file__).with_name("inference.proto")
GHZ = "github.com/bojand/ghz/cmd/ghz@v0.120.0"
PATIENCE = 60.0
"""Seconds a load generator may outlast its own duration: the slowest answer it may still wait for."""


@dataclass(frozen=True)
class Load:
    """What one load saw: answers a second, and latencies in milliseconds."""

    rate: float
    p50: float
    p99: float
    requests: int


def ensure_wrk() -> None:
    """Install Debian's wrk if it is missing.

    Raises:
        ClusterError: it could not be installed.
    """
    if shutil.which("wrk") is None:
        with step("installing the Debian package wrk"):
            packages.apt_get("update")
            packages.apt_get("install", "--yes", "--no-install-recommends", "wrk")


def ghz() -> Path:
    """The ghz of the cache, built from its Go module on first use.

    Raises:
        BenchError: Go is missing or the build failed.
    """
    version = GHZ.rpartition("@")[2]
    return cachedir.ensure(layout.cache() / "bin" / f"ghz-{version}", _install_ghz) / "ghz"


def _install_ghz(folder: Path) -> None:
    environ = {**os.environ, "GOBIN": str(folder), "CGO_ENABLED": "0"}
    with step("building ghz (once per machine)"):
        done = subprocess.run(["go", "install", GHZ], env=environ, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"building ghz failed:\n{tail(done.stderr)}")


@dataclass(frozen=True)
class Generator:
    """Runs loads on the load's core; `folder` is scratch space for what is sent."""

    cores: Cores
    folder: Path

    def http(self, url: str, request: Request, connections: int, seconds: float) -> Load:
        """Send one request again and again over keep-alive connections.

        Raises:
            BenchError: there was an answer that is no 200, or an error on a connection.
        """
        body, headers = self.folder / "body", self.folder / "headers"
        body.write_bytes(request.body)
        headers.write_text("".join(f"{name}: {value}\n" for name, value in request.headers.items()))
        # wrk takes whole seconds.
        duration = f"{max(1, round(seconds))}s"
        argv = ["wrk", "--threads", "1", "--connections", str(connections), "--duration", duration]
        argv += ["--timeout", f"{PATIENCE:.0f}s", "--script", str(SCRIPT), url + request.path]
        environ = {"BENCH_BODY": str(body), "BENCH_HEADERS": str(headers)}
        return parse_wrk(_run(self.cores.loading(argv), environ, seconds))

    def grpc(self, target: str, message: bytes, streams: int, seconds: float) -> Load:
        """Call ModelInfer again and again: so many streams at once over one HTTP/2 connection.

        Raises:
            BenchError: a call did not end with OK.
        """
        body = self.folder / "message"
        body.write_bytes(message)
        argv = [str(ghz()), "--insecure", "--proto", str(PROTO), "--import-paths", str(PROTO.parent)]
        argv += ["--call", "inference.GRPCInferenceService.ModelInfer", "--binary-file", str(body)]
        argv += ["--concurrency", str(streams), "--connections", "1", "--cpus", "1", "--format", "json"]
        argv += ["--duration", f"{seconds * 1000:.0f}ms", "--duration-stop", "wait", target]
        return parse_ghz(_run(self.cores.loading(argv), {}, seconds))


def parse_wrk(output: str) -> Load:
    """The load out of what the script prints at the end of wrk's output.

    Raises:
        BenchError: the line is missing, nothing was answered, or something failed.
    """
    line = re.search(r"^BENCH (\{.*\})$", output, re.M)
    if line is None:
        raise BenchError(f"wrk printed no result:\n{tail(output)}")
    seen = json.loads(line[1])
    failed = {name: seen[name] for name in ("connect", "read", "write", "status", "timeout") if seen[name]}
    if failed or not seen["requests"]:
        raise BenchError(f"{seen['requests']} requests under load, and failures: {failed}")
    rate = seen["requests"] / seen["duration_us"] * 1e6
    return Load(rate, seen["p50_us"] / 1000, seen["p99_us"] / 1000, seen["requests"])


def parse_ghz(output: str) -> Load:
    """The load out of ghz's JSON; it counts nanoseconds.

    Raises:
        BenchError: nothing was answered, or a call failed.
    """
    seen = json.loads(output)
    codes: Mapping[str, int] = seen.get("statusCodeDistribution") or {}
    if set(codes) != {"OK"}:
        raise BenchError(f"status codes under load: {dict(codes)}; {seen.get('errorDistribution')}")
    latency = {entry["percentage"]: entry["latency"] / 1e6 for entry in seen["latencyDistribution"]}
    return Load(seen["rps"], latency[50], latency[99], seen["count"])


def _run(argv: Sequence[str], environ: Mapping[str, str], seconds: float) -> str:
    try:
        done = subprocess.run(
            argv,
            env={**os.environ, **environ},
            capture_output=True,
            text=True,
            timeout=seconds + PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        raise BenchError(f"the load did not end within {seconds + PATIENCE:.0f} s") from late
    if done.returncode != 0:
        raise BenchError(f"the load generator exited {done.returncode}:\n{tail(done.stderr + done.stdout)}")
    return done.stdout
