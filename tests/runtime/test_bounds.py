"""What a caller may ask of one pod, and that everything beyond is refused in the protocol's own shape."""

import json
import select
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.harness import PATIENCE, Running, config_for, eventually, hammer, package_of, serving, turns_tensor
from runtime.models import as_slow_as_asked
from runtime.raw import BODY, Answers, ask, dial, request

LIMITS = {
    "maxBodyBytes": 200_000,
    "maxBufferedBytes": 300_000,
    "maxConnections": 4,
    "headSeconds": 1,
    "deadlineSeconds": 2,
}


@pytest.fixture(scope="module")
def tight(trained_package: Path) -> Iterator[Running]:
    with serving(config_for(trained_package, limits=LIMITS)) as running:
        running.client.close()
        yield running


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    limits = {"maxQueue": 3, "maxWaitSeconds": 60, "deadlineSeconds": 60}
    package = package_of(as_slow_as_asked(), tmp_path_factory.mktemp("slow"))
    with serving(config_for(package, limits=limits)) as running:
        yield running


def error_of(body: bytes) -> str:
    document = json.loads(body)
    assert list(document) == ["error"]
    return str(document["error"])


def rejections(running: Running, reason: str) -> float:
    _, _, body = ask(running, request(b"", method="GET", target="/metrics"))
    name = f'sluice_rejections_total{{model="shop",reason="{reason}",revision=""}} '
    return next(float(line[len(name) :]) for line in body.decode().splitlines() if line.startswith(name))


def test_requests_on_one_connection_are_answered_in_their_order(tight: Running) -> None:
    with dial(tight) as line:
        bodies = [json.dumps({**json.loads(BODY), "id": str(i)}).encode() for i in range(20)]
        line.sendall(b"".join(map(request, bodies)))
        answers = Answers(line)
        assert [json.loads(answers.next()[2])["id"] for _ in range(20)] == [str(i) for i in range(20)]


def test_a_request_in_single_bytes_is_understood(tight: Running) -> None:
    with dial(tight) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in request():
            line.sendall(bytes([byte]))
        assert Answers(line).next()[0] == 200


def test_an_offer_of_http_2_is_answered_in_http_1_and_the_connection_goes_on(tight: Running) -> None:
    offer = ("connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAMAAABkAARAAAAAAAIAAAAA")
    with dial(tight) as line:
        answers = Answers(line)
        for _ in range(2):
            line.sendall(request(BODY, *offer))
            assert answers.next()[0] == 200


def test_a_chunked_body_is_taken_and_its_trailers_are_no_headers(tight: Running) -> None:
    head = b"POST /v2/models/shop/infer HTTP/1.1\r\nhost: shop\r\ntransfer-encoding: chunked\r\n\r\n"
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (BODY[:100], BODY[100:]))
    status, _, _ = ask(tight, head + chunks + b"0\r\ncontent-encoding: gzip\r\n\r\n")
    assert status == 200


def test_an_announced_body_is_asked_for(tight: Running) -> None:
    with dial(tight) as line:
        line.sendall(request(BODY, "expect: 100-continue")[: -len(BODY)])
        answers = Answers(line)
        assert answers.file.readline() == b"HTTP/1.1 100 Continue\r\n"
        answers.file.readline()
        line.sendall(BODY)
        assert answers.next()[0] == 200


def test_a_chunked_body_beyond_the_limit_is_refused_before_its_end(tight: Running) -> None:
    head = b"POST /v2/models/shop/infer HTTP/1.1\r\nhost: shop\r\ntransfer-encoding: chunked\r\n\r\n"
    with dial(tight) as line:
        line.sendall(head + b"1000000\r\n" + b" " * 230_000)
        status, headers, body = Answers(line).next()
    assert (status, headers["connection"]) == (413, "close")
    assert "200000 bytes" in error_of(body)


def test_bodies_beyond_what_all_may_hold_together_are_refused(tight: Running) -> None:
    almost = request(b" " * 190_000)[:-1]
    with dial(tight) as first, dial(tight) as second:
        first.sendall(almost)
        second.sendall(almost)
        # Whose bytes are read first is the network's choice: the other caller is refused.
        [refused], _, _ = select.select([first, second], [], [], PATIENCE)
        status, headers, body = Answers(refused).next()
        assert (status, headers["retry-after"]) == (503, "1")
        assert "waiting" in error_of(body)
        accepted = second if refused is first else first
        accepted.sendall(b" ")
        assert Answers(accepted).next()[0] == 400


def test_no_tunnel_is_opened(tight: Running) -> None:
    assert ask(tight, b"CONNECT shop:80 HTTP/1.1\r\nhost: shop\r\n\r\n")[0] == 400


def test_what_is_no_http_is_answered_and_the_connection_closed(tight: Running) -> None:
    with dial(tight) as line:
        line.sendall(b"NONSENSE\r\n\r\n")
        answers = Answers(line)
        status, _, body = answers.next()
        assert status == 400
        assert "HTTP" in error_of(body)
        assert answers.ended()


def test_a_head_that_never_ends_is_refused(tight: Running) -> None:
    status, _, body = ask(tight, b"GET /v2 HTTP/1.1\r\nx: " + b"a" * 70_000)
    assert status == 431
    assert "headers" in error_of(body)


def test_too_many_headers_are_refused(tight: Running) -> None:
    assert ask(tight, request(BODY, *[f"x-{i}: 1" for i in range(200)]))[0] == 431


@pytest.mark.parametrize("part", [b"POST /v2/models/shop/in", request()[:-5]], ids=["head", "body"])
def test_a_caller_that_trickles_is_refused_in_time(tight: Running, part: bytes) -> None:
    with dial(tight) as line:
        line.sendall(part)
        status, headers, body = Answers(line).next()
    assert (status, headers["connection"]) == (408, "close")
    assert "too long" in error_of(body)


def test_connections_beyond_the_limit_are_refused_but_probes_are_not(tight: Running) -> None:
    lines = [socket.create_connection(("127.0.0.1", tight.config.port), timeout=60) for _ in range(4)]
    try:
        for line in lines:
            line.sendall(request())
            assert Answers(line).next()[0] == 200
        status, headers, body = ask(tight, request())
        assert (status, headers["retry-after"]) == (503, "1")
        assert "connections" in error_of(body)
        assert ask(tight, request(b"", method="GET", target="/livez"))[0] == 200
        assert rejections(tight, "connections") >= 1
    finally:
        for line in lines:
            line.close()
    eventually(lambda: ask(tight, request())[0] == 200)


def test_more_requests_than_the_queue_holds_are_refused_and_all_others_answered(slow: Running) -> None:
    answers = hammer(slow, 24, 300)
    assert {answer.status_code for answer in answers} == {200, 503}
    refused = [answer for answer in answers if answer.status_code == 503]
    assert all(answer.headers["retry-after"] == "1" and "error" in answer.json() for answer in refused)
    assert slow.infer(turns_tensor(1)).status_code == 200
    metrics = slow.metrics()
    assert metrics['sluice_rejections_total{model="shop",reason="overloaded",revision=""}'] >= len(refused)
    assert metrics['sluice_requests_in_flight{model="shop",revision=""}'] == 0


def test_a_caller_says_how_long_it_waits(slow: Running) -> None:
    body = {"inputs": [turns_tensor(2000)]}
    for headers, more in (({"x-request-timeout": "0.05"}, {}), ({}, {"parameters": {"timeout": 50_000}})):
        answer = slow.client.post("/v2/models/shop/infer", json={**body, **more}, headers=headers)
        assert answer.status_code == 504
        assert "time" in answer.json()["error"]
        eventually(lambda: slow.infer(turns_tensor(1)).status_code == 200)


@pytest.mark.parametrize("value", ["soon", "0", "-1", "nan", "inf"])
def test_a_time_that_is_none_is_refused(slow: Running, value: str) -> None:
    body = {"inputs": [turns_tensor(1)]}
    answer = slow.client.post("/v2/models/shop/infer", json=body, headers={"x-request-timeout": value})
    assert answer.status_code == 400


def test_a_long_run_after_many_short_ones_does_not_silence_the_probes(trained_package: Path, tmp_path: Path) -> None:
    package = package_of(as_slow_as_asked(), tmp_path)
    with serving(config_for(package)) as running:
        for _ in range(50):
            assert running.infer(turns_tensor(0)).status_code == 200
        with dial(running) as line:
            line.sendall(request(json.dumps({"inputs": [turns_tensor(10**9)]}).encode()))
            eventually(lambda: running.metrics()['sluice_requests_in_flight{model="shop",revision=""}'] == 1)
            assert running.client.get("/livez").status_code == 200
