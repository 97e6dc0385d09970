"""`sluice` about a cluster: against a real API server, answered by a real operator."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from controlplane.apiserver import ApiServer
from controlplane.crd import definition
from controlplane.engine.process import REPOSITORY, operator, until
from sluice.cli import main
from sluice_operator.api.request import REQUEST
from support.kube import Kube

NAME = "store-revenue"
SPEC = {"model": {"uri": "http://store.example/1.tar.gz", "digest": "sha256:" + "a" * 64}}
MODEL = {
    "apiVersion": "sluice.dev/v1alpha1",
    "kind": "ModelDeployment",
    "metadata": {"name": NAME},
    "spec": SPEC,
}
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{REPOSITORY / 'operator'}:{REPOSITORY / 'serving'}", "COLUMNS": "160"}


@pytest.fixture(scope="module")
def kube(api_server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kube]:
    """A namespace with an operator that looks after it alone, and the first version on its way (there are no nodes)."""
    with api_server.namespace("cli") as found:
        definition.install(found)
        found.apply(MODEL)
        log = tmp_path_factory.mktemp("cli") / "operator.log"
        with operator(api_server.kubeconfig, log, f"--namespaces={found.namespace}") as started:
            until(started.ready, "the operator is ready")
            until(lambda: "canary" in status_of(found), "a rollout is under way")
            yield found


@pytest.fixture
def under_way(kube: Kube) -> Kube:
    """A rollout is under way."""
    if "canary" not in status_of(kube):
        assert sluice(kube, "retry", NAME) == 0
        until(lambda: "canary" in status_of(kube), "a rollout is under way")
    return kube


def status_of(kube: Kube) -> dict[str, Any]:
    found: dict[str, Any] = kube.get("mdep", NAME).get("status", {})
    return found


def words(kube: Kube, *said: str) -> list[str]:
    return [*said, "--namespace", kube.namespace, "--kubeconfig", kube.kubeconfig]


def sluice(kube: Kube, *said: str) -> int:
    return main(words(kube, *said))


@contextmanager
def running(kube: Kube, *said: str, output: Any = subprocess.PIPE) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "sluice", *words(kube, *said)]
    with subprocess.Popen(command, stdout=output, text=True, env=ENVIRONMENT) as process:
        try:
            yield process
        finally:
            process.kill()


def test_status_shows_where_it_stands(under_way: Kube, capsys: pytest.CaptureFixture[str]) -> None:
    assert sluice(under_way, "status", NAME) == 0
    told = capsys.readouterr().out
    revision = status_of(under_way)["canary"]["revision"]
    for part in (NAME, under_way.namespace, "Progressing", revision, "canary", "RolloutStarted"):
        assert part in told


def test_status_is_json_for_programs(under_way: Kube, capsys: pytest.CaptureFixture[str]) -> None:
    assert sluice(under_way, "status", NAME, "--output", "json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["health"] == "Progressing"
    assert told["revisions"][0]["role"] == "canary"
    assert told["conditions"]


def test_an_abort_and_a_retry_wait_for_the_operators_answer(
    under_way: Kube, capsys: pytest.CaptureFixture[str]
) -> None:
    revision = status_of(under_way)["canary"]["revision"]
    assert sluice(under_way, "abort", NAME, "--by", "ann") == 0
    assert f"{revision} is taken back" in capsys.readouterr().out
    until(lambda: status_of(under_way).get("blocked", {}).get("reason") == "Aborted", "the spec is blocked")
    assert sluice(under_way, "history", NAME, "--output", "json") == 0
    (entry, *_) = json.loads(capsys.readouterr().out)
    assert (entry["revision"], entry["outcome"], entry["reason"]) == (revision, "RolledBack", "Aborted")
    assert entry["message"] == "aborted by ann"
    assert entry["requestedBy"] == "kubectl-client-side-apply"
    assert sluice(under_way, "retry", NAME) == 0
    until(lambda: status_of(under_way).get("canary", {}).get("revision") == revision, "it is under way again")


def test_who_asks_is_whom_the_api_server_knows(under_way: Kube) -> None:
    sluice(under_way, "resume", NAME)
    assert status_of(under_way)["requests"][0]["by"] == "administrator"


def test_what_is_refused_fails_with_the_reason(under_way: Kube, capsys: pytest.CaptureFixture[str]) -> None:
    for action in (["rollback", NAME], ["resume", NAME], ["retry", NAME]):
        assert sluice(under_way, *action) == 1
        told = capsys.readouterr()
        assert "was refused: " in told.err
        assert told.out == ""


def test_a_request_need_not_be_waited_for(under_way: Kube, capsys: pytest.CaptureFixture[str]) -> None:
    assert sluice(under_way, "resume", NAME, "--no-wait") == 0
    asked = capsys.readouterr().out.rpartition("request ")[2].strip(")\n")
    until(lambda: status_of(under_way)["requests"][0]["id"] == asked, "it is answered all the same")


def test_without_an_operator_the_wait_ends_and_says_how_to_withdraw(
    api_server: ApiServer, kube: Kube, capsys: pytest.CaptureFixture[str]
) -> None:
    with api_server.namespace("alone") as alone:
        alone.apply(MODEL)
        assert sluice(alone, "abort", NAME, "--timeout", "1") == 1
        told = capsys.readouterr().err
        assert "no answer within 1 s" in told
        alone.run(*told.partition("kubectl ")[2].rstrip(")\n").split())
        assert REQUEST not in alone.get("mdep", NAME)["metadata"].get("annotations", {})


def test_a_request_is_left_alone_by_whoever_applies_the_manifest(under_way: Kube) -> None:
    sluice(under_way, "resume", NAME)
    before = under_way.get("mdep", NAME)["metadata"]["annotations"][REQUEST]
    for _ in range(2):
        under_way.run(
            "apply", "--server-side", "--field-manager=argocd-controller", "--force-conflicts", "-f", "-",
            stdin=json.dumps(MODEL),
        )  # fmt: skip
    found = under_way.get("mdep", NAME)
    assert found["metadata"]["annotations"][REQUEST] == before
    assert found["metadata"]["generation"] == 1


def test_a_pipe_gets_a_line_for_each_change_and_the_end_says_how_it_ended(under_way: Kube) -> None:
    with running(under_way, "watch", NAME, "--until-settled", "--interval", "0.2") as process:
        assert process.stdout
        first = process.stdout.readline()
        assert "Progressing" in first
        assert sluice(under_way, "abort", NAME) == 0
        last = process.stdout.read().splitlines()[-1]
        assert "Stalled Aborted" in last
        assert process.wait(30) == 1


def test_a_terminal_is_redrawn_in_place(under_way: Kube) -> None:
    ours, theirs = pty.openpty()
    with running(under_way, "watch", NAME, "--until-settled", "--interval", "0.2", output=theirs) as process:
        assert sluice(under_way, "abort", NAME) == 0
        assert process.wait(60) == 1
    os.close(theirs)
    told = drained(ours)
    assert "Stalled" in told
    assert "\x1b[2K" in told, "lines are cleared where they stand"
    assert "\x1b[2J" not in told, "the screen is never cleared: nothing flickers"


def drained(descriptor: int) -> str:
    parts = []
    while True:
        try:
            part = os.read(descriptor, 65536)
        except OSError:
            break
        if not part:
            break
        parts.append(part)
    os.close(descriptor)
    return b"".join(parts).decode()


def test_a_model_that_is_not_there(kube: Kube, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("status", "watch", "history", "abort"):
        assert sluice(kube, command, "nobody") == 1
        assert f"there is no ModelDeployment nobody in namespace {kube.namespace}" in capsys.readouterr().err


def test_without_rights(api_server: ApiServer, kube: Kube, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kube.run("create", "serviceaccount", "guest")
    token = kube.run("create", "token", "guest").strip()
    config = json.loads(api_server.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": token}
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(config))
    guest = Kube(str(path), kube.namespace, kube.program)
    assert sluice(guest, "status", NAME) == 1
    assert "you may not read ModelDeployments" in capsys.readouterr().err
    allow(kube, "get", "list", "watch")
    assert sluice(guest, "status", NAME) == 0, "pods and events that may not be seen are left out"
    capsys.readouterr()
    assert sluice(guest, "abort", NAME) == 1
    assert "you may not patch ModelDeployments" in capsys.readouterr().err


def allow(kube: Kube, *verbs: str) -> None:
    rule = ["--resource=modeldeployments.sluice.dev", *(f"--verb={verb}" for verb in verbs)]
    kube.run("create", "role", "looks", *rule)
    kube.run("create", "rolebinding", "looks", "--role=looks", f"--serviceaccount={kube.namespace}:guest")


def test_without_a_cluster(kube: Kube, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", NAME, "--kubeconfig", str(tmp_path / "nothing")]) == 1
    assert "kubeconfig" in capsys.readouterr().err
    assert main(["status", NAME, "--kubeconfig", kube.kubeconfig, "--context", "other"]) == 1
    assert "other" in capsys.readouterr().err
    config = json.loads(Path(kube.kubeconfig).read_text())
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(config))
    assert main(["status", NAME, "--kubeconfig", str(path)]) == 1
    assert "does not answer" in capsys.readouterr().err


def test_kubectl_finds_it_as_a_plugin(under_way: Kube) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    command = [under_way.program, "sluice", *words(under_way, "status", NAME)]
    environment = {**ENVIRONMENT, "PATH": path}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert NAME in done.stdout
