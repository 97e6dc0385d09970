"""The operator as a process of its own, on an API server that a test may stop and start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from controlplane import apiserver
from controlplane.apiserver import ApiServer
from controlplane.crd import definition
from localcluster import certs
from localcluster.shell import tail
from support.kube import Kube, KubectlError
from support.ports import free_port

REPOSITORY = Path(__file__).resolve().parents[3]
PATIENCE = 90.0
PAUSE = 0.1


def until(holds: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
    """Wait for something that must come about; how fast is no matter here."""
    deadline = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < deadline, f"not within {patience:.0f} s: {what}"
        time.sleep(PAUSE)


@dataclass
class ControlPlane:
    """etcd that runs on, and an API server that comes and goes, always on the same port."""

    folder: Path
    server: ApiServer
    command: list[str]
    _running: ExitStack = field(default_factory=ExitStack)

    def start(self) -> None:
        """Start the API server and wait until it answers."""
        started = self._running.enter_context(apiserver.process(self.command, self.folder / "apiserver.log"))
        # Killed and not asked: an outage says no goodbye, and asking takes long while watches are open.
        self._running.callback(started.kill)
        until(lambda: apiserver.answers(self.server), "the API server answers")

    def stop(self) -> None:
        """End the API server; all its connections break."""
        self._running.close()


@contextmanager
def control_plane(folder: Path) -> Iterator[ControlPlane]:
    """etcd and an API server that has not been started yet."""
    store, peer, port = (free_port() for _ in range(3))
    token = "administrator-of-this-test"
    (folder / "tokens.csv").write_text(f'{token},administrator,1,"system:masters"\n')
    certs.new_key(folder / "service-accounts.key")
    server = ApiServer(apiserver.write_kubeconfig(folder, port, token))
    plane = ControlPlane(folder, server, apiserver.apiserver_command(folder, store, port))
    with apiserver.process(apiserver.etcd_command(folder, store, peer), folder / "etcd.log"):
        try:
            yield plane
        finally:
            plane.stop()


@dataclass
class Operator:
    """A running operator."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def ask(self, path: str) -> tuple[int, str]:
        """What its own server answers; (0, "") while it does not."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def ready(self) -> bool:
        return self.ask("/readyz")[0] == 200

    def metric(self, name: str) -> float:
        """Sum over all labels of a metric."""
        return sum(sample.value for sample in self._samples() if sample.name == name)

    def writes(self) -> float:
        """Writes to the API server, without those of its Lease."""
        writes = (found for found in self._samples() if found.name == "sluice_operator_api_writes_total")
        return sum(sample.value for sample in writes if sample.labels["kind"] != "Lease")

    def _samples(self) -> Iterator[Sample]:
        for family in text_string_to_metric_families(self.ask("/metrics")[1]):
            yield from family.samples

    def lines(self, text: str) -> list[str]:
        """Log lines that hold the text."""
        return [line for line in self.log.read_text().splitlines() if text in line]

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)


@contextmanager
def operator(kubeconfig: Path, log: Path, *flags: str) -> Iterator[Operator]:
    """Start `python -m sluice_operator`; it is killed on leaving where it still runs."""
    port = free_port()
    command = [sys.executable, "-m", "sluice_operator", f"--kubeconfig={kubeconfig}", f"--metrics-port={port}"]
    command += ["--runtime-image=img/runtime:1", "--router-image=img/router:1", *flags]
    paths = os.pathsep.join(str(REPOSITORY / root) for root in ("operator", "serving"))
    environment = {**os.environ, "PYTHONPATH": paths}
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment) as process,
    ):
        try:
            yield Operator(process, port, log)
        finally:
            process.kill()
            # Shown where the test has failed.
            print(tail(log.read_text()))


def at_rest(running: Operator, quiet: float = 2.0) -> float:
    """The count of writes once it has not risen for `quiet` seconds."""
    deadline = time.monotonic() + PATIENCE
    seen, since = -1.0, time.monotonic()
    while time.monotonic() - since < quiet:
        assert time.monotonic() < deadline, "the operator never comes to rest"
        now = running.writes()
        if now != seen:
            seen, since = now, time.monotonic()
        time.sleep(PAUSE)
    return seen


def install(plane: ControlPlane) -> Kube:
    """The definition, and kubectl in a new namespace."""
    kube = plane.server.kube("shop")
    until(lambda: created(kube), "a namespace can be made")
    definition.install(kube)
    return kube


def created(kube: Kube) -> bool:
    with suppress(KubectlError):
        kube.create_namespace()
        return True
    return False
