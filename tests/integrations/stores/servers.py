"""Real object stores on loopback: versitygw (S3), fake-gcs-server (Google) and Azurite (Azure).

Each is pinned by its ecosystem's own lock file, brought by its ecosystem's own client, and built once per machine. Each
keeps its objects on disk, so that it can be killed and started again in the middle of a download.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from localcluster import cachedir, layout
from localcluster.progress import step
from support.ports import free_port

HERE = Path(__file__).parent
PATIENCE = 60.0
"""Seconds until a test gives up on a server; never a claim about its speed."""

S3_USER, S3_PASSWORD = "tester", "a-password-of-the-tests"
AZURE_ACCOUNT = "devstoreaccount1"
# Azurite's own, the same everywhere and written down in its manual.
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
BUCKET = "models"


def go_program(name: str, package: str) -> Path:
    """A program compiled from the module that pins it."""
    module = HERE / "go" / name
    content = cachedir.digest_files(module, module.iterdir())

    def build(folder: Path) -> None:
        argv = ["nice", "go", "build", "-mod=readonly", "-trimpath", "-ldflags", "-s -w", "-o", str(folder / name)]
        _run([*argv, package], module, {"CGO_ENABLED": "0"})

    return cachedir.ensure(layout.cache() / "bin" / f"{name}-{content}", build) / name


def azurite() -> Path:
    """Azurite's program for blobs, as its lock file pins it."""
    module = HERE / "azurite"
    content = cachedir.digest_files(module, module.iterdir())

    def install(folder: Path) -> None:
        for file in module.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        _run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], folder, {})

    folder = cachedir.ensure(layout.cache() / "node" / f"azurite-{content}", install)
    return folder / "node_modules" / ".bin" / "azurite-blob"


def _run(argv: list[str], folder: Path, environ: dict[str, str]) -> None:
    with step(f"building {' '.join(argv[:3])} in {folder.name} (once per machine)"):
        done = subprocess.run(
            argv, cwd=folder, env={**os.environ, **environ}, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr[-4000:]


@dataclass
class Server:
    """A store: how it is started, and how it is reached. `secret`: what the Secret of someone who may read it holds."""

    scheme: str
    endpoint: str
    port: int
    argv: list[str]
    log: Path
    secret: dict[str, str] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)
    ended_by: signal.Signals = signal.SIGKILL
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it listens."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + PATIENCE
        while not listening(self.port):
            assert self.process.poll() is None, self.log.read_text()[-2000:]
            assert time.monotonic() < deadline, "the store does not listen"
            time.sleep(0.05)

    def kill(self) -> None:
        """End it without warning, where it bears that."""
        assert self.process is not None
        self.process.send_signal(self.ended_by)
        self.process.wait(PATIENCE)

    def restart(self) -> None:
        """Kill it and start it again, with what it had on disk."""
        self.kill()
        self.start()


def listening(port: int) -> bool:
    """True when someone accepts connections on the port."""
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def versitygw(folder: Path) -> Server:
    """S3 over a folder."""
    port = free_port()
    for part in ("data", "side"):
        (folder / part).mkdir()
    (folder / "data" / BUCKET).mkdir()
    argv = [str(go_program("versitygw", "github.com/versity/versitygw/cmd/versitygw"))]
    argv += ["--port", f"127.0.0.1:{port}", "--access", S3_USER, "--secret", S3_PASSWORD, "--quiet"]
    argv += ["posix", "--sidecar", str(folder / "side"), str(folder / "data")]
    secret = {"accessKeyId": S3_USER, "secretAccessKey": S3_PASSWORD + "\n"}
    wrong = {**secret, "secretAccessKey": "another"}
    return Server("s3", f"http://127.0.0.1:{port}", port, argv, folder / "log", secret, wrong)


def fake_gcs(folder: Path) -> Server:
    """Google's API over a folder. It lets everyone in: a wrong Secret can only be one that is none."""
    port = free_port()
    (folder / "data" / BUCKET).mkdir(parents=True)
    argv = [str(go_program("fake-gcs-server", "github.com/fsouza/fake-gcs-server"))]
    argv += ["-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-public-host", "127.0.0.1"]
    argv += ["-backend", "filesystem", "-filesystem-root", str(folder / "data"), "-log-level", "warn"]
    wrong = {"serviceAccount.json": '{"type": "service_account"}'}
    return Server("gs", f"http://127.0.0.1:{port}", port, argv, folder / "log", {"token": "any"}, wrong)


def azure(folder: Path) -> Server:
    """Azure's blobs over a folder, under the account that Azurite is born with.

    It writes its index every few seconds: what was uploaded since would be lost if it were killed.
    """
    port = free_port()
    argv = [str(azurite()), "--location", str(folder), "--blobHost", "127.0.0.1", "--blobPort", str(port)]
    argv += ["--skipApiVersionCheck", "--disableTelemetry", "--silent"]
    secret = {"accountName": AZURE_ACCOUNT, "accountKey": AZURE_KEY}
    wrong = {**secret, "accountKey": base64.b64encode(bytes(64)).decode()}
    endpoint = f"http://127.0.0.1:{port}/{AZURE_ACCOUNT}"
    return Server("az", endpoint, port, argv, folder / "log", secret, wrong, ended_by=signal.SIGTERM)


def make_container(server: Server) -> None:
    """Azure's containers are made by a request of their own, signed by the account's key."""
    now = datetime.datetime.now(datetime.UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    headers = {"x-ms-date": now, "x-ms-version": "2021-08-06"}
    named = "".join(f"{key}:{value}\n" for key, value in sorted(headers.items()))
    resource = f"/{AZURE_ACCOUNT}/{AZURE_ACCOUNT}/{BUCKET}\nrestype:container"
    text = "PUT" + "\n" * 12 + named + resource
    signature = hmac.new(base64.b64decode(AZURE_KEY), text.encode(), hashlib.sha256).digest()
    headers["Authorization"] = f"SharedKey {AZURE_ACCOUNT}:{base64.b64encode(signature).decode()}"
    url = f"{server.endpoint}/{BUCKET}?restype=container"
    answer = httpx.put(url, headers=headers, trust_env=False, timeout=PATIENCE)
    assert answer.status_code == 201, answer.text


KINDS: dict[str, Callable[[Path], Server]] = {"s3": versitygw, "gs": fake_gcs, "az": azure}
