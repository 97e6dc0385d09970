"""`sluice run` and `sluice predict`: the pod's own process on one machine, from nothing but a package."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from runtime.harness import PATIENCE, SERVING, package_of
from runtime.models import trained
from runtime.shops import ROW as ROW_OF_SHOP
from runtime.shops import shop_package
from sluice.archive import write_archive
from support.feature_store import feature_store_aside
from support.ports import free_port

ROW = json.dumps([[0.5] * 30])


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return package_of(trained(), tmp_path_factory.mktemp("local"))


@pytest.fixture(scope="module")
def archive(package: Path) -> Path:
    write_archive(package, package.parent / "shop.tar.gz")
    return package.parent / "shop.tar.gz"


def environment(home: Path) -> dict[str, str]:
    scratch = home / "tmp"
    scratch.mkdir(exist_ok=True)
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(SERVING), "HOME": str(home), "TMPDIR": str(scratch)}


def sluice(*words: object, home: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sluice", *map(str, words)]
    return subprocess.run(
        command, env=environment(home), capture_output=True, text=True, check=False, timeout=2 * PATIENCE
    )


def free_ports() -> list[str]:
    return ["--port", str(free_port()), "--grpc-port", str(free_port())]


@contextlib.contextmanager
def running(source: object, home: Path) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """A `sluice run` that has announced itself, and the lines it announced."""
    command = [sys.executable, "-m", "sluice", "run", str(source), *free_ports()]
    with open(home / "stderr", "w+") as errors:
        process = subprocess.Popen(
            command, env=environment(home), stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
        )
        watchdog = threading.Timer(PATIENCE, process.kill)
        watchdog.start()
        assert process.stdout is not None
        try:
            yield process, list(iter(process.stdout.readline, "Ctrl-C stops.\n"))
        finally:
            watchdog.cancel()
            process.kill()
            process.wait()
            process.stdout.close()


@pytest.mark.parametrize("form", ["folder", "archive"])
def test_the_printed_command_works_when_pasted(form: str, package: Path, archive: Path, tmp_path: Path) -> None:
    with running(package if form == "folder" else archive, tmp_path) as (_, said):
        curl = next(line.strip() for line in said if line.strip().startswith("curl "))
        answer = subprocess.run(["bash", "-c", f"{curl} --silent --noproxy '*'"], capture_output=True, check=True)
    outputs = json.loads(answer.stdout)["outputs"]
    assert [output["name"] for output in outputs] == ["label", "probabilities"]


def test_ctrl_c_stops_it_cleanly_and_leaves_nothing_behind(archive: Path, tmp_path: Path) -> None:
    with running(archive, tmp_path) as (process, _):
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
    assert (tmp_path / "stderr").read_text() == ""
    assert [path.name for path in (tmp_path / "tmp").iterdir() if path.name.startswith("sluice-")] == []


def test_a_package_is_served_from_a_uri(archive: Path, tmp_path: Path) -> None:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(archive.parent))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with running(f"http://127.0.0.1:{server.server_port}/{archive.name}", tmp_path) as (_, said):
            assert said[0].startswith("serving shop 3, sha256:")
        server.shutdown()


def test_a_running_model_is_asked_by_its_url(package: Path, tmp_path: Path) -> None:
    with running(package, tmp_path) as (_, said):
        url = next(line.split()[1] for line in said if line.strip().startswith("HTTP"))
        for target, words in ((url, ()), (url.split("/v2")[0], ("--model", "shop"))):
            done = sluice("predict", target, *words, "--input", ROW, home=tmp_path)
            assert done.returncode == 0, done.stderr
            assert json.loads(done.stdout)["label"] in ([0], [1])
        refused = sluice("predict", url, "--input", "[[1, 2]]", home=tmp_path)
    assert refused.returncode == 1
    assert refused.stderr == "sluice: input 'X' takes FP32 [-1, 30]; [[1, 2]] does not fit\n"


def test_a_package_answers_without_being_served_before(package: Path, tmp_path: Path) -> None:
    done = sluice("predict", package, "--input", ROW, "--raw", home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["model_name"] == "shop"


def test_a_package_with_features_is_tried_at_home(tmp_path: Path) -> None:
    with feature_store_aside(rows={42: ROW_OF_SHOP}) as store:
        words = ("--features-url", store.url, "--input", '{"store_id": 42}')
        done = sluice("predict", shop_package(tmp_path), *words, home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["size_out"] == [[100.5]]
    assert done.stderr.splitlines()[-1] == "sluice: rain=imputed(1)"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("run", "nowhere.tar.gz"), "does not exist"),
        (("run", "s3:/typo"), "does not exist"),
        (("run", "ftp://models/m.tar.gz"), "known scheme"),
        (("predict", "nowhere", "--input", "[1]"), "does not exist"),
        (("predict", "http://127.0.0.1:9", "--model", "m", "--input", "[1]"), "127.0.0.1:9"),
        (("predict", "http://127.0.0.1:9", "--features-url", "http://f", "--input", "[1]"), "has its own"),
    ],
)
def test_a_fault_is_one_line_that_says_what_is_wrong(words: tuple[str, ...], told: str, tmp_path: Path) -> None:
    done = sluice(*words, *(free_ports() if words[0] == "run" else ()), home=tmp_path)
    assert done.returncode == 1
    assert told in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stdout == ""


def test_a_model_that_cannot_be_served_says_why(package: Path, tmp_path: Path) -> None:
    done = sluice("run", package, "--provider", "CUDAExecutionProvider", *free_ports(), home=tmp_path)
    assert done.returncode == 1
    assert "AcceleratorUnavailable" in done.stderr


def test_a_port_in_use_is_named(package: Path, tmp_path: Path) -> None:
    with running(package, tmp_path) as (_, said):
        port = next(line for line in said if "HTTP" in line).split(":")[2].split("/")[0]
        done = sluice("run", package, "--port", port, "--grpc-port", free_port(), home=tmp_path)
    assert done.returncode == 1
    assert f"port {port}" in done.stderr
