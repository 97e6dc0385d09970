"""The client of one store, with servers that mean harm and with disks that are full."""

import errno
import gzip
import http.server
import threading
from pathlib import Path

import pytest

from runtime.answering import answering, sends
from sluice.config import Fetching
from sluice.failures import PackageError, Reason
from sluice_store.transfer import TransientError
from sluice_store.web import MAX_ANSWER_SECONDS, Web


@pytest.fixture(autouse=True)
def _without_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "gzip, identity", "deflate", "br"])
def test_an_answer_that_would_grow_when_it_is_unpacked_is_refused(coding: str) -> None:
    with (
        answering(sends(gzip.compress(bytes(8 * 1024**2)), Content_Encoding=coding)) as url,
        Web(url, Fetching()) as web,
        pytest.raises(PackageError, match="compressed") as caught,
    ):
        web.ask("GET", url)
    assert caught.value.reason is Reason.INVALID_PACKAGE


def test_an_answer_that_says_it_is_as_it_is_is_read() -> None:
    with answering(sends(b"{}", Content_Encoding="identity")) as url, Web(url, Fetching()) as web:
        assert web.ask("GET", url).content == b"{}"


def test_a_full_disk_of_whoever_reads_is_no_fault_of_the_line() -> None:
    with (
        answering(sends(b"{}")) as url,
        Web(url, Fetching()) as web,
        pytest.raises(OSError, match="No space") as caught,
        web.stream("GET", url),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.errno == errno.ENOSPC


@pytest.mark.parametrize(
    "content", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"]
)
def test_a_ca_that_is_none_is_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text(content)
    with pytest.raises(PackageError, match=r"ca\.crt of the Secret") as caught:
        Web("https://host", Fetching(), ca=tmp_path / "ca.crt")
    assert caught.value.reason is Reason.SOURCE_FORBIDDEN


@pytest.mark.parametrize("url", ["http://[::1", "http://xn--zzzzzzz99999/x", "http://host:99999/", "/x", "file:///x"])
def test_what_is_no_address_on_the_web_is_refused_wherever_it_is_written(url: str) -> None:
    with pytest.raises(PackageError) as caught:
        Web(url, Fetching())
    assert caught.value.reason is Reason.ADDRESS_REFUSED


def test_no_cookie_is_taken() -> None:
    seen: list[str | None] = []

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        seen.append(handler.headers.get("Cookie"))
        sends(b"{}", Set_Cookie="a=1; Path=/")(handler)

    with answering(answer) as url, Web(url, Fetching()) as web:
        web.ask("GET", url)
        web.ask("GET", url)
    assert seen == [None, None]


def test_an_answer_that_comes_a_byte_at_a_time_is_given_up() -> None:
    passed = iter([0.0, MAX_ANSWER_SECONDS - 1, MAX_ANSWER_SECONDS + 1])
    first = threading.Event()

    def clock() -> float:
        now = next(passed)
        if now:
            first.set()  # one byte is here
        return now

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b"x")
        first.wait(30)
        handler.wfile.write(b"y")

    with (
        answering(answer) as url,
        Web(url, Fetching(), clock=clock) as web,
        pytest.raises(TransientError, match="took more than"),
    ):
        web.ask("GET", url)
