"""A package that cannot be published is told by what helps, and by a status that says whether trying again does."""

from __future__ import annotations

import http.server
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sluice.package import Package, open_package
from sluice_training import cli
from sluice_training.errors import AwayError, TrainingError
from sluice_training.job import OUTPUT
from sluice_training.registering import register
from unit.store.packages import make_package

Serve = Callable[[int, bytes], str]


@pytest.fixture
def package(tmp_path: Path) -> Package:
    return open_package(make_package(tmp_path / "package"))


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Servers on loopback that answer everything in one way; gives the address of each."""
    servers: list[http.server.ThreadingHTTPServer] = []

    def begin(status: int, content: bytes) -> str:
        class Answering(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_HEAD = do_GET  # noqa: N815

            def log_message(self, *_: object) -> None:
                """Silence."""

        servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering))
        threading.Thread(target=servers[-1].serve_forever, args=(0.01,)).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield begin
    for server in servers:
        server.shutdown()
        server.server_close()


def refused(publish: Callable[[], object]) -> tuple[bool, str]:
    """Whether it is worth trying again, and what was told."""
    with pytest.raises(TrainingError) as raised:
        publish()
    return isinstance(raised.value, AwayError), str(raised.value)


def test_a_name_that_is_taken_fails_for_good_and_the_package_is_kept(package: Package, tmp_path: Path) -> None:
    store, other = f"file://{tmp_path}/store", open_package(make_package(tmp_path / "other", extra=b"x"))
    cli._pushed(other, Path("other.tar.gz"), store, None)
    again, told = refused(lambda: cli._pushed(package, Path("iris.tar.gz"), store, None))
    assert not again
    assert told.endswith("replace what is there with --force; iris.tar.gz is kept")


def test_so_does_one_that_is_taken_in_a_registry(package: Package, serve: Serve) -> None:
    url = serve(200, b"theirs")
    store = f"oci://{url.removeprefix('http://')}/team"
    again, told = refused(lambda: cli._pushed(package, Path("iris.tar.gz"), store, None))
    assert not again
    assert re.search(r"iris 1 is published already, .* holds another artifact .*; iris.tar.gz is kept$", told)


def test_a_job_keeps_nothing(package: Package, serve: Serve) -> None:
    url = serve(403, b"")
    store = f"oci://{url.removeprefix('http://')}/team"
    again, told = refused(lambda: cli._pushed(package, Path(OUTPUT), store, None))
    assert not again
    assert "answered 403" in told
    assert "kept" not in told


@pytest.mark.parametrize(
    ("output", "endpoint", "end"),
    [
        ("iris 1.tar.gz", None, "away; iris 1.tar.gz is kept, and published by: sluice push 'iris 1.tar.gz' s3://b"),
        ("iris.tar.gz", "http://s:9000", "by: sluice push iris.tar.gz s3://b --endpoint http://s:9000"),
        (OUTPUT, None, "away"),
    ],
)
def test_a_store_that_is_away_is_pushed_to_later(output: str, endpoint: str | None, end: str) -> None:
    error = cli._unpublished("away", False, Path(output), "s3://b", endpoint)
    assert isinstance(error, AwayError)
    assert str(error).endswith(end)


@pytest.mark.parametrize(
    ("answer", "again", "message"),
    [
        ((408, b""), True, "answered 408: Request Timeout"),
        ((429, b'{"error_code": "REQUEST_LIMIT_EXCEEDED", "message": "slowly"}'), True, "answered 429: slowly"),
        ((429, b"<html>"), True, "answered 429: Too Many Requests"),
        ((503, b"<html>"), True, "answered 503: Service Unavailable"),
        ((400, b'{"error_code": "INVALID_PARAMETER_VALUE", "message": "no"}'), False, "answered 400: no"),
        ((403, b""), False, "refuses; set MLFLOW_TRACKING_TOKEN"),
        ((404, b"<html>"), False, "does not answer as MLflow does; check --register"),
        ((200, b"[]"), False, "does not answer as MLflow does; check --register"),
    ],
)
def test_a_registry_is_asked_again_where_that_may_help(
    answer: tuple[int, bytes], again: bool, message: str, package: Package, serve: Serve
) -> None:
    url = serve(*answer)
    tried_again, told = refused(lambda: register(package, url))
    assert (tried_again, told.removeprefix(f"{url} ").startswith(message)) == (again, True), told
